//! The result of an evaluation: mean scores, scores per class, example images.

use maud::{Markup, html};
use zegclip_data::evaluation::{EvaluationError, EvaluationState, ReportHeader};
use zegclip_data::metrics::{ClassScores, Scores};
use zegclip_data::{ClassIndex, LabelMap, RgbImage, Vocabulary};

use crate::cells::{class_chip, percent};
use crate::document::document;
use crate::{Example, ExampleFigure, ExampleGroup};

/// A page about one evaluation.
#[derive(Clone, Debug)]
pub struct EvaluationPage<'a> {
    /// The heading.
    pub title: String,
    /// What was evaluated and how: name and value.
    pub facts: Vec<(String, String)>,
    /// The scores, one class for each of the vocabulary.
    pub scores: &'a Scores,
    /// The classes.
    pub vocabulary: &'a Vocabulary,
    /// Images such as the worst and the best ones.
    pub examples: Vec<ExampleGroup>,
}

/// The page of a finished evaluation with its worst and best images. `image` returns name, image and labels at an index.
///
/// # Errors
/// Those of `image`, and [`EvaluationError::Data`] if an example cannot be drawn.
pub fn evaluation_page(
    header: &ReportHeader,
    state: &EvaluationState,
    vocabulary: &Vocabulary,
    image: impl Fn(usize) -> Result<(String, Option<RgbImage>, LabelMap), EvaluationError>,
) -> Result<String, EvaluationError> {
    let figure = |example: &zegclip_data::evaluation::Example| {
        let (name, image, labels) = image(example.index)?;
        let figure = ExampleFigure::new(&Example {
            name: &name,
            image: image.as_ref(),
            labels: &labels,
            prediction: &example.prediction(vocabulary.len())?,
            vocabulary,
        });
        Ok::<_, EvaluationError>(figure?)
    };
    let group = |title: &str, examples: Vec<_>| {
        let title = title.to_owned();
        let examples = examples
            .into_iter()
            .map(figure)
            .collect::<Result<_, EvaluationError>>()?;
        Ok::<_, EvaluationError>(ExampleGroup { title, examples })
    };
    let (worst, best) = state.examples().worst_and_best();
    let page = EvaluationPage {
        title: "ZegCLIP evaluation".to_owned(),
        facts: header.to_vec(),
        scores: &Scores::of(state.confusion()),
        vocabulary,
        examples: vec![group("Worst images", worst)?, group("Best images", best)?],
    };
    Ok(page.html())
}

/// Several evaluations on one page, each under its own title, below an introduction.
pub fn evaluation_collection(title: &str, introduction: &str, parts: &[EvaluationPage<'_>]) -> String {
    let body = html! {
        p { (introduction) }
        @for part in parts {
            h2.part { (part.title) }
            (part.body())
        }
    };
    document(title, &body)
}

impl EvaluationPage<'_> {
    /// The page as an HTML document.
    pub fn html(&self) -> String {
        document(&self.title, &self.body())
    }

    fn body(&self) -> Markup {
        html! {
            (self.means())
            dl { @for (name, value) in &self.facts { dt { (name) } dd { (value) } } }
            @for group in &self.examples { (group.markup()) }
            h2 { "Classes" }
            (self.classes())
            p.muted { "★ not seen in training. All scores in percent." }
        }
    }

    fn means(&self) -> Markup {
        let scores = self.scores;
        let means = [
            ("hIoU", scores.hiou),
            ("mIoU(S)", scores.miou_seen),
            ("mIoU(U)", scores.miou_unseen),
            ("mIoU", scores.miou),
            ("pAcc", scores.pixel_accuracy),
            ("mAcc", scores.mean_accuracy),
        ];
        html! {
            div.cards {
                @for (name, score) in means { div { b { (percent(score)) } span { (name) } } }
                @if let Some(boundary) = scores.mean_boundary_iou {
                    div { b { (percent(Some(boundary))) } span { "boundary mIoU" } }
                }
                div { b { (scores.images) } span { "images" } }
            }
        }
    }

    fn classes(&self) -> Markup {
        let boundary = self.scores.mean_boundary_iou.is_some();
        html! {
            div.scroll {
                table {
                    tr {
                        th { "class" }
                        th {}
                        th colspan="2" { "IoU" }
                        th.number { "accuracy" }
                        th.number { "pixels" }
                        @if boundary { th.number { "boundary IoU" } }
                    }
                    @for (index, class) in self.scores.classes.iter().enumerate() {
                        (self.class_row(index, class, boundary))
                    }
                }
            }
        }
    }

    fn class_row(&self, index: usize, class: &ClassScores, boundary: bool) -> Markup {
        let width = format_args!("width:{:.1}%", 100.0 * class.iou.unwrap_or_default());
        html! {
            tr {
                td {
                    @if let Some(index) = ClassIndex::from_usize(index) { (class_chip(self.vocabulary.color(index))) }
                    (class.name)
                }
                td { @if !class.seen { "★ unseen" } }
                td.bar { i style=(width) {} }
                td.number { (percent(class.iou)) }
                td.number { (percent(class.accuracy)) }
                td.number { (class.pixels) }
                @if boundary { td.number { (percent(class.boundary_iou)) } }
            }
        }
    }
}
