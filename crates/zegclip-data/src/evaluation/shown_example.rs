//! A photo, its labels, a prediction and its errors side by side, as a piece of an HTML page.

use std::fmt::Write;

use super::base64;
use crate::draw::{blend, colorize, error_map};
use crate::metrics::{Confusion, Scores};
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

/// The style that [`ShownExample::html`] counts on.
pub const EXAMPLE_STYLE: &str = "
section{border-top:1px solid #dee2e6;padding:1em 0}.row{display:flex;flex-wrap:wrap;gap:.7em}
h3{font-size:1em;margin:0 0 .5em}h3 span{color:#6c757d;font-weight:400;margin-left:.6em}
figure{margin:0}figure img{display:block;border-radius:4px;max-width:100%;height:auto}
figcaption{text-align:center;font-size:.85em;color:#6c757d}
.legend{margin:.5em 0 0;display:flex;flex-wrap:wrap;gap:.2em 1.1em;font-size:.9em}
.chip{display:inline-block;width:.8em;height:.8em;border:1px solid #495057;border-radius:2px;margin-right:.4em;vertical-align:-.05em}
";

/// An image with its pictures, made small.
#[derive(Clone, Debug)]
pub struct ShownExample {
    name: String,
    miou: Option<f64>,
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
            miou: Some(miou),
            photo: photo.map(|photo| resize_bilinear(photo, width, height)),
            labels: resize_labels_nearest(labels, width, height),
            prediction: resize_labels_nearest(prediction, width, height),
        }
    }

    /// As [`new`](Self::new) with the mean IoU over the classes of labels and prediction; without labels there is none.
    ///
    /// # Errors
    /// [`DataError`] if labels and prediction are not of the same size or have a class that the vocabulary lacks.
    pub fn scored(
        name: &str,
        photo: &RgbImage,
        labels: &LabelMap,
        prediction: &LabelMap,
        vocabulary: &Vocabulary,
    ) -> Result<Self, DataError> {
        let mut image = Confusion::new(vocabulary);
        image.add(labels, prediction)?;
        Ok(Self {
            miou: Scores::of(&image).miou,
            ..Self::new(name, 0.0, Some(photo), labels, prediction)
        })
    }

    /// A `<section>` with the pictures inside it and a legend; [`EXAMPLE_STYLE`] is its style.
    ///
    /// # Errors
    /// [`DataError`] if a picture cannot be made.
    pub fn html(&self, vocabulary: &Vocabulary) -> Result<String, DataError> {
        let mut section = String::new();
        let _ = write!(
            section,
            "<section><h3>{} <span>mIoU {}</span></h3>\n<div class=\"row\">",
            escape(&self.name),
            shown(self.miou)
        );
        for (caption, picture) in self.pictures(vocabulary)? {
            let (width, height) = picture.dimensions();
            let data = base64::encode(&encode_jpeg(&picture, QUALITY)?);
            let _ = writeln!(
                section,
                "<figure><img width=\"{width}\" height=\"{height}\" alt=\"{caption}\" \
                 src=\"data:image/jpeg;base64,{data}\"><figcaption>{caption}</figcaption></figure>"
            );
        }
        section.push_str("</div>\n");
        self.legend(&mut section, vocabulary);
        section.push_str("</section>\n");
        Ok(section)
    }

    fn pictures(&self, vocabulary: &Vocabulary) -> Result<Vec<(&'static str, RgbImage)>, DataError> {
        let Self {
            photo,
            labels,
            prediction,
            ..
        } = self;
        let colored = |labels: &LabelMap| match photo {
            Some(photo) => blend(photo, labels, vocabulary, OPACITY),
            None => Ok(colorize(labels, vocabulary)),
        };
        let mut pictures = Vec::new();
        pictures.extend(photo.clone().map(|photo| ("photo", photo)));
        pictures.push(("labels", colored(labels)?));
        pictures.push(("prediction", colored(prediction)?));
        pictures.push(("errors", error_map(photo.as_ref(), labels, prediction)?));
        Ok(pictures)
    }

    /// The largest classes of labels and prediction.
    fn legend(&self, section: &mut String, vocabulary: &Vocabulary) {
        let classes = vocabulary.len();
        let counts = self.labels.histogram(classes);
        let predicted = self.prediction.histogram(classes);
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
        section.push_str("<p class=\"legend\">");
        for &(_, class) in present.iter().take(NAMED) {
            let name = vocabulary.class(class).map_or("", |class| class.name());
            let unseen = if vocabulary.seen().is_seen(class) { "" } else { " ★" };
            let _ = write!(
                section,
                "<span>{}{}{unseen}</span>",
                chip(vocabulary, class),
                escape(name)
            );
        }
        if present.len() > NAMED {
            let _ = write!(section, "<span>and {} more</span>", present.len() - NAMED);
        }
        section.push_str("</p>");
    }
}

/// A square in the colour of a class.
pub(super) fn chip(vocabulary: &Vocabulary, class: ClassIndex) -> String {
    let [red, green, blue] = vocabulary.color(class);
    format!("<i class=\"chip\" style=\"background:rgb({red},{green},{blue})\"></i>")
}

/// A share in percent.
pub(super) fn shown(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "–".to_owned(), |fraction| format!("{:.1}", 100.0 * fraction))
}

/// Text for HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
