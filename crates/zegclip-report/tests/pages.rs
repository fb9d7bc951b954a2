//! Every page: snapshots for a tiny input, and text that tries to become markup.

use zegclip_data::metrics::{Confusion, Scores};
use zegclip_data::{ClassIndex, LabelMap, RgbImage, Vocabulary};
use zegclip_report::{
    Curve, EvaluationPage, Example, ExampleFigure, ExampleGroup, LinePlot, Number, RunPage, VerticalScale,
    evaluation_collection,
};

const HOSTILE: &str = "<script>alert(1)</script> & \"x\"";
const ESCAPED: &str = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;";

/// One half right, one half wrong, with and without the image.
fn examples(name: &str, vocabulary: &Vocabulary) -> (Confusion, Vec<ExampleGroup>) {
    let labels = LabelMap::from_fn(8, 6, |_, y| if y == 0 { None } else { ClassIndex::new(0) });
    let prediction = LabelMap::from_fn(8, 6, |x, _| ClassIndex::new(u16::from(x > 3)));
    let image = RgbImage::from_vec(8, 6, (0..8 * 6 * 3).collect()).expect("an image");
    let mut confusion = Confusion::new(vocabulary).with_boundary();
    confusion.add(&labels, &prediction).expect("labels of one size");
    let group = |title: &str, image: Option<&RgbImage>| ExampleGroup {
        title: title.to_owned(),
        examples: vec![
            ExampleFigure::new(&Example {
                name,
                image,
                labels: &labels,
                prediction: &prediction,
                vocabulary,
            })
            .expect("a figure"),
        ],
    };
    let empty = ExampleGroup {
        title: "Empty group".to_owned(),
        examples: Vec::new(),
    };
    let groups = vec![group("Worst images", Some(&image)), group("Best images", None), empty];
    (confusion, groups)
}

/// The pages of all kinds, with `text` wherever users' text is shown.
fn pages(text: &str) -> [(&'static str, String); 3] {
    let vocabulary = Vocabulary::from_names(&format!("{text}, dog"))
        .and_then(|vocabulary| vocabulary.with_seen_names(["dog"]))
        .expect("two classes");
    let (confusion, groups) = examples(text, &vocabulary);
    let scores = Scores::of(&confusion);
    let evaluation = EvaluationPage {
        title: text.to_owned(),
        facts: vec![(text.to_owned(), text.to_owned())],
        scores: &scores,
        vocabulary: &vocabulary,
        examples: groups.clone(),
    };
    let collection = evaluation_collection(text, text, &[evaluation.clone(), evaluation.clone()]);
    let curve = |points| Curve {
        name: text.to_owned(),
        points,
    };
    let plot = |scale, curves| LinePlot {
        title: text.to_owned(),
        unit: text.to_owned(),
        scale,
        curves,
    };
    let number = |value| Number {
        name: text.to_owned(),
        value,
        digits: 2,
    };
    let run = RunPage {
        title: text.to_owned(),
        description: text.to_owned(),
        iterations_done: 3,
        iterations: 4,
        numbers: vec![number(Some(1.234)), number(None)],
        plots: vec![
            plot(
                VerticalScale::Automatic,
                vec![
                    curve(vec![(1.0, 300.0), (2.0, f64::NAN), (3.0, 4.0)]),
                    curve(vec![(2.0, 50.0)]),
                    curve(Vec::new()),
                ],
            ),
            plot(VerticalScale::FromZero, vec![curve(vec![(3.0, 0.25)])]),
            plot(VerticalScale::FromZero, Vec::new()),
        ],
        examples: &groups,
        config: text.to_owned(),
    };
    [
        ("evaluation", evaluation.html()),
        ("collection", collection),
        ("run", run.html()),
    ]
}

/// The page, a line for each element, without the style sheet, the data of images and the version.
fn readable(page: &str) -> String {
    let page = without(page, "<style>", "</style>");
    let page = without(&page, "base64,", "\"");
    without(&page, "<footer>", "</footer>").replace("><", ">\n<")
}

/// Replaces what is between `start` and `end` by `[…]`.
fn without(text: &str, start: &str, end: &str) -> String {
    let mut parts = text.split(start);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.find(end).and_then(|place| part.get(place..)).expect("an end");
        kept.extend([start, "[…]", rest]);
    }
    kept
}

#[test]
fn pages_are_as_recorded() {
    for (name, page) in pages("a < b") {
        insta::assert_snapshot!(name, readable(&page));
    }
}

#[test]
fn text_never_becomes_markup() {
    for (name, page) in pages(HOSTILE) {
        let body = without(&page, "<style>", "</style>");
        assert!(!body.contains("<script"), "{name}");
        assert!(!body.contains(HOSTILE) && body.contains(ESCAPED), "{name}");
        // As many quotes and brackets as with harmless text: nothing opens or closes an element or an attribute.
        let (_, harmless) = pages("x")
            .into_iter()
            .find(|(other, _)| *other == name)
            .expect("the page");
        for mark in ['"', '<', '>', '\''] {
            let count = |page: &str| without(page, "base64,", "\"").matches(mark).count();
            assert_eq!(count(&page), count(&harmless), "{name}: {mark}");
        }
    }
}

#[test]
fn pages_need_nothing_else() {
    for (name, page) in pages("x") {
        for outside in ["://", "<script", "<link", "@import", "url(", "NaN"] {
            assert!(!page.contains(outside), "{name}: {outside}");
        }
        assert!(
            page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"),
            "{name}"
        );
        assert_eq!(page.matches("<html").count(), 1, "{name}");
        let version = concat!("<footer>ZegCLIP ", env!("CARGO_PKG_VERSION"), "</footer>");
        assert!(page.contains(version), "{name}");
        assert!(!page.contains("Empty group"), "{name}");
    }
}

#[test]
fn images_are_inside_the_pages() {
    let counts = pages("x").map(|(_, page)| page.matches("src=\"data:image/jpeg;base64,").count());
    assert_eq!(counts, [4 + 3, 2 * (4 + 3), 4 + 3]);
}

#[test]
fn a_run_without_data_has_a_page() {
    let page = RunPage {
        title: "Training".to_owned(),
        description: "data set x".to_owned(),
        iterations_done: 0,
        iterations: 4,
        numbers: Vec::new(),
        plots: Vec::new(),
        examples: &[],
        config: String::new(),
    };
    let html = page.html();
    assert!(!html.contains("<svg") && !html.contains("<table") && html.contains("0 of 4 iterations (not finished)"));
}
