//! The result as one HTML file without anything beside it: scores, and pictures of the worst and best images.

use std::fmt::Write;

use super::base64;
use crate::draw::{blend, colorize, error_map};
use crate::metrics::Scores;
use crate::{
    ClassIndex, DataError, LabelMap, RgbImage, Vocabulary, encode_jpeg, resize_bilinear, resize_labels_nearest,
};

/// Pictures are not wider or higher.
const LARGEST_SIDE: u32 = 400;
/// Smaller ones are enlarged by a whole factor.
const SMALLEST_SIDE: u32 = 256;
const QUALITY: u8 = 85;
/// How much of a picture is class colour.
const OPACITY: f32 = 0.75;
/// Classes in the legend of an image.
const NAMED: usize = 8;

/// An image with its pictures, made small.
#[derive(Clone, Debug)]
pub struct ShownExample {
    name: String,
    miou: f64,
    photo: Option<RgbImage>,
    labels: LabelMap,
    prediction: LabelMap,
}

impl ShownExample {
    /// Keeps small pictures of an image; `miou` from 0 to 1.
    pub fn new(name: &str, miou: f64, photo: Option<&RgbImage>, labels: &LabelMap, prediction: &LabelMap) -> Self {
        let (width, height) = labels.dimensions();
        let longest = width.max(height).max(1);
        let scale = match SMALLEST_SIDE.div_ceil(longest) {
            1 => (f64::from(LARGEST_SIDE) / f64::from(longest)).min(1.0),
            factor => factor.into(),
        };
        let scaled = |side: u32| (f64::from(side) * scale).round().max(1.0) as u32;
        let (width, height) = (scaled(width), scaled(height));
        Self {
            name: name.to_owned(),
            miou,
            photo: photo.map(|photo| resize_bilinear(photo, width, height)),
            labels: resize_labels_nearest(labels, width, height),
            prediction: resize_labels_nearest(prediction, width, height),
        }
    }
}

/// A page about an evaluation.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// The heading.
    pub title: String,
    /// What was evaluated and how: name and value.
    pub facts: Vec<(String, String)>,
    /// The scores.
    pub scores: &'a Scores,
    /// The classes.
    pub vocabulary: &'a Vocabulary,
    /// Images to look at, such as the worst and the best ones, each group under its heading.
    pub images: Vec<(String, Vec<ShownExample>)>,
}

impl Page<'_> {
    /// The file's text.
    ///
    /// # Errors
    /// [`DataError`] if a picture cannot be made.
    pub fn html(&self) -> Result<String, DataError> {
        let mut page = head(&self.title);
        self.body(&mut page)?;
        page.push_str("</body></html>\n");
        Ok(page)
    }

    fn body(&self, page: &mut String) -> Result<(), DataError> {
        self.means(page);
        page.push_str("<dl>");
        for (name, value) in &self.facts {
            let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        }
        page.push_str("</dl>\n");
        for (heading, images) in &self.images {
            self.images(page, heading, images)?;
        }
        self.classes(page);
        Ok(())
    }

    fn means(&self, page: &mut String) {
        let scores = self.scores;
        let mut means = vec![
            ("hIoU", scores.hiou),
            ("mIoU(S)", scores.miou_seen),
            ("mIoU(U)", scores.miou_unseen),
            ("mIoU", scores.miou),
            ("pAcc", scores.pixel_accuracy),
            ("mAcc", scores.mean_accuracy),
        ];
        if scores.mean_boundary_iou.is_some() {
            means.push(("boundary mIoU", scores.mean_boundary_iou));
        }
        page.push_str("<div class=\"means\">");
        for (name, score) in means {
            let _ = write!(page, "<div><b>{}</b><span>{name}</span></div>", shown(score));
        }
        let _ = writeln!(page, "<div><b>{}</b><span>images</span></div></div>", scores.images);
    }

    fn images(&self, page: &mut String, heading: &str, images: &[ShownExample]) -> Result<(), DataError> {
        if images.is_empty() {
            return Ok(());
        }
        let _ = writeln!(page, "<h2>{heading}</h2>");
        for image in images {
            let _ = write!(
                page,
                "<section><h3>{} <span>mIoU {}</span></h3>\n<div class=\"row\">",
                escape(&image.name),
                shown(Some(image.miou))
            );
            for (caption, picture) in self.pictures(image)? {
                let (width, height) = picture.dimensions();
                let data = base64::encode(&encode_jpeg(&picture, QUALITY)?);
                let _ = writeln!(
                    page,
                    "<figure><img width=\"{width}\" height=\"{height}\" alt=\"{caption}\" \
                     src=\"data:image/jpeg;base64,{data}\"><figcaption>{caption}</figcaption></figure>"
                );
            }
            page.push_str("</div>\n");
            self.legend(page, image);
            page.push_str("</section>\n");
        }
        Ok(())
    }

    fn pictures(&self, image: &ShownExample) -> Result<Vec<(&'static str, RgbImage)>, DataError> {
        let ShownExample {
            photo,
            labels,
            prediction,
            ..
        } = image;
        let colored = |labels: &LabelMap| match photo {
            Some(photo) => blend(photo, labels, self.vocabulary, OPACITY),
            None => Ok(colorize(labels, self.vocabulary)),
        };
        let mut pictures = Vec::new();
        pictures.extend(photo.clone().map(|photo| ("photo", photo)));
        pictures.push(("labels", colored(labels)?));
        pictures.push(("prediction", colored(prediction)?));
        pictures.push(("errors", error_map(photo.as_ref(), labels, prediction)?));
        Ok(pictures)
    }

    /// The largest classes of labels and prediction.
    fn legend(&self, page: &mut String, image: &ShownExample) {
        let classes = self.vocabulary.len();
        let counts = image.labels.histogram(classes);
        let predicted = image.prediction.histogram(classes);
        let mut present: Vec<(u64, ClassIndex)> = counts
            .iter()
            .zip(predicted)
            .enumerate()
            .filter_map(|(class, (labelled, predicted))| {
                Some((labelled.max(&predicted).to_owned(), ClassIndex::from_usize(class)?))
            })
            .filter(|(pixels, _)| *pixels > 0)
            .collect();
        present.sort_by_key(|&(pixels, class)| (std::cmp::Reverse(pixels), class));
        page.push_str("<p class=\"legend\">");
        for &(_, class) in present.iter().take(NAMED) {
            let name = self.vocabulary.class(class).map_or("", |class| class.name());
            let unseen = if self.vocabulary.seen().is_seen(class) {
                ""
            } else {
                " ★"
            };
            let _ = write!(page, "<span>{}{}{unseen}</span>", self.chip(class), escape(name));
        }
        if present.len() > NAMED {
            let _ = write!(page, "<span>and {} more</span>", present.len() - NAMED);
        }
        page.push_str("</p>");
    }

    fn classes(&self, page: &mut String) {
        let boundary = self.scores.mean_boundary_iou.is_some();
        let extra = if boundary { "<th>boundary IoU</th>" } else { "" };
        let _ = write!(
            page,
            "<h2>Classes</h2>\n<table><tr><th>class</th><th></th><th colspan=\"2\">IoU</th><th>accuracy</th><th>pixels</th>\
             {extra}</tr>\n"
        );
        for (position, class) in self.scores.classes.iter().enumerate() {
            let chip = ClassIndex::from_usize(position).map_or_else(String::new, |class| self.chip(class));
            let unseen = if class.seen { "" } else { "★ unseen" };
            let bar = 100.0 * class.iou.unwrap_or_default();
            let _ = write!(
                page,
                "<tr><td>{chip}{}</td><td>{unseen}</td><td class=\"bar\"><i style=\"width:{bar:.1}%\"></i></td>\
                 <td>{}</td><td>{}</td><td>{}</td>",
                escape(&class.name),
                shown(class.iou),
                shown(class.accuracy),
                class.pixels
            );
            if boundary {
                let _ = write!(page, "<td>{}</td>", shown(class.boundary_iou));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table>\n<p class=\"note\">★ not seen in training. All scores in percent.</p>");
    }

    fn chip(&self, class: ClassIndex) -> String {
        let [red, green, blue] = self.vocabulary.color(class);
        format!("<i class=\"chip\" style=\"background:rgb({red},{green},{blue})\"></i>")
    }
}

/// Several evaluations on one page, each under its own title; `introduction` stands above them.
///
/// # Errors
/// [`DataError`] if a picture cannot be made.
pub fn html_of_all(title: &str, introduction: &str, parts: &[Page<'_>]) -> Result<String, DataError> {
    let mut page = head(title);
    let _ = writeln!(page, "<p>{}</p>", escape(introduction));
    for part in parts {
        let _ = writeln!(page, "<h2 class=\"part\">{}</h2>", escape(&part.title));
        part.body(&mut page)?;
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

fn head(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
    )
}

fn shown(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "–".to_owned(), |fraction| format!("{:.1}", 100.0 * fraction))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;color:#212529;max-width:1720px;margin:2em auto;padding:0 1.5em}
h1{font-size:1.6em}h2{margin:2em 0 .6em;font-size:1.25em}h3{font-size:1em;margin:0 0 .5em}.part{font-size:1.45em;margin-top:2.5em}h3 span{color:#6c757d;font-weight:400;margin-left:.6em}
.means{display:flex;flex-wrap:wrap;gap:.8em}.means div{background:#f1f3f5;border-radius:8px;padding:.6em 1.1em;text-align:center}
.means b{display:block;font-size:1.5em}.means span,.note,figcaption,dt{color:#6c757d}
dl{display:grid;grid-template-columns:max-content auto;gap:.1em 1em}dd{margin:0;overflow-wrap:anywhere}
section{border-top:1px solid #dee2e6;padding:1em 0}.row{display:flex;flex-wrap:wrap;gap:.7em}
figure{margin:0}figure img{display:block;border-radius:4px;max-width:100%;height:auto}figcaption{text-align:center;font-size:.85em}
.legend{margin:.5em 0 0;display:flex;flex-wrap:wrap;gap:.2em 1.1em;font-size:.9em}
.chip{display:inline-block;width:.8em;height:.8em;border:1px solid #495057;border-radius:2px;margin-right:.4em;vertical-align:-.05em}
table{border-collapse:collapse}th{text-align:left;font-weight:600}td,th{padding:.15em .8em;border-bottom:1px solid #e9ecef}
td:nth-child(n+4){text-align:right;font-variant-numeric:tabular-nums}
.bar{width:220px}.bar i{display:block;height:.75em;background:#4c8dd6;border-radius:2px}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;

    #[test]
    fn names_are_escaped_and_pictures_are_inside() {
        let vocabulary = Vocabulary::from_names("a<b, dog").unwrap();
        let labels = LabelMap::from_raw(2, 1, vec![0, 1]).unwrap();
        let mut confusion = Confusion::new(&vocabulary);
        confusion.add(&labels, &labels).unwrap();
        let scores = Scores::of(&confusion);
        let photo = RgbImage::new(2, 1);
        let page = Page {
            title: "T & t".to_owned(),
            facts: vec![("model".to_owned(), "x".to_owned())],
            scores: &scores,
            vocabulary: &vocabulary,
            images: vec![
                (
                    "Worst images".to_owned(),
                    vec![ShownExample::new("one", 1.0, Some(&photo), &labels, &labels)],
                ),
                (
                    "Best images".to_owned(),
                    vec![ShownExample::new("two", 1.0, None, &labels, &labels)],
                ),
            ],
        };
        let html = page.html().unwrap();
        assert!(html.contains("a&lt;b") && !html.contains("a<b") && html.contains("T &amp; t"));
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), 4 + 3);
        assert!(!html.contains("http"));
        // Small pictures are enlarged by a whole factor.
        assert!(html.contains("<img width=\"256\" height=\"128\""), "{html}");
        let twice = html_of_all("All", "1 < 2", &[page.clone(), page]).unwrap();
        assert_eq!(twice.matches("data:image/jpeg;base64,").count(), 2 * (4 + 3));
        assert!(twice.contains("<p>1 &lt; 2</p>") && twice.matches("<html").count() == 1);
    }
}
