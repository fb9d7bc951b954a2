//! An image, its labels, a prediction and the errors side by side.

use std::cmp::Reverse;

use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{Markup, html};
use zegclip_data::draw::{blend, colorize, error_map};
use zegclip_data::metrics::{Confusion, Scores};
use zegclip_data::palette::Color;
use zegclip_data::{
    ClassIndex, DataError, LabelMap, RgbImage, Vocabulary, encode_jpeg, resize_bilinear, resize_labels_nearest,
};

use crate::cells::{class_chip, percent};

/// Longest side of a panel in pixels; larger images are reduced.
const LARGEST_SIDE: u32 = 400;
/// Images with a shorter longest side are enlarged by an integer factor.
const SMALLEST_SIDE: u32 = 256;
const JPEG_QUALITY: u8 = 85;
/// Fraction of class color in the colored panels.
const OPACITY: f32 = 0.75;
const LEGEND_CLASSES: usize = 8;

/// What an [`ExampleFigure`] shows.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The heading, such as a file name or a caption.
    pub name: &'a str,
    /// `[height, width, 3]`; without it the panels show class colors only.
    pub image: Option<&'a RgbImage>,
    /// `[height, width]`
    pub labels: &'a LabelMap,
    /// `[height, width]`
    pub prediction: &'a LabelMap,
    /// The classes of `labels` and `prediction`.
    pub vocabulary: &'a Vocabulary,
}

/// An example as embedded images with a legend.
#[derive(Clone, Debug)]
pub struct ExampleFigure {
    name: String,
    /// Mean IoU over the classes of labels and prediction, 0 to 1; `None` without labels.
    miou: Option<f64>,
    panels: Vec<Panel>,
    legend: Vec<LegendEntry>,
    /// Classes that the legend omits.
    omitted: usize,
}

#[derive(Clone, Debug)]
struct Panel {
    caption: &'static str,
    /// In pixels.
    width: u32,
    height: u32,
    jpeg: Vec<u8>,
}

#[derive(Clone, Debug)]
struct LegendEntry {
    name: String,
    color: Color,
    seen: bool,
}

/// Examples under one heading.
#[derive(Clone, Debug)]
pub struct ExampleGroup {
    /// The heading, such as `Worst images`.
    pub title: String,
    /// The examples in their order on the page; a group without examples is omitted.
    pub examples: Vec<ExampleFigure>,
}

impl ExampleFigure {
    /// Scores an example and draws its panels: image, labels, prediction, errors. Their longest side is at most 400
    /// pixels, that of small images at least 256.
    ///
    /// # Errors
    /// [`DataError`] if labels, prediction and image differ in size, have a class that the vocabulary lacks, or are
    /// empty.
    pub fn new(example: &Example<'_>) -> Result<Self, DataError> {
        let Example {
            name,
            image,
            labels,
            prediction,
            vocabulary,
        } = *example;
        let mut confusion = Confusion::new(vocabulary);
        confusion.add(labels, prediction)?;
        let (width, height) = panel_size(labels.dimensions());
        let image = image.map(|image| resize_bilinear(image, width, height));
        let labels = resize_labels_nearest(labels, width, height);
        let prediction = resize_labels_nearest(prediction, width, height);
        let colored = |labels: &LabelMap| match &image {
            Some(image) => blend(image, labels, vocabulary, OPACITY),
            None => Ok(colorize(labels, vocabulary)),
        };
        let mut panels = Vec::new();
        if let Some(image) = &image {
            panels.push(Panel::new("image", image)?);
        }
        panels.push(Panel::new("labels", &colored(&labels)?)?);
        panels.push(Panel::new("prediction", &colored(&prediction)?)?);
        panels.push(Panel::new("errors", &error_map(image.as_ref(), &labels, &prediction)?)?);
        let mut legend = legend(&labels, &prediction, vocabulary);
        let omitted = legend.len().saturating_sub(LEGEND_CLASSES);
        legend.truncate(LEGEND_CLASSES);
        Ok(Self {
            name: name.to_owned(),
            miou: Scores::of(&confusion).miou,
            panels,
            legend,
            omitted,
        })
    }

    fn markup(&self) -> Markup {
        html! {
            section {
                h3 { (self.name) " " span { "mIoU " (percent(self.miou)) } }
                div.row { @for panel in &self.panels { (panel.markup()) } }
                p.legend {
                    @for LegendEntry { name, color, seen } in &self.legend {
                        span { (class_chip(*color)) (name) @if !seen { " ★" } }
                    }
                    @if self.omitted > 0 { span { "and " (self.omitted) " more" } }
                }
            }
        }
    }
}

impl ExampleGroup {
    pub(crate) fn markup(&self) -> Markup {
        html! {
            @if !self.examples.is_empty() {
                h2 { (self.title) }
                @for example in &self.examples { (example.markup()) }
            }
        }
    }
}

impl Panel {
    fn new(caption: &'static str, image: &RgbImage) -> Result<Self, DataError> {
        Ok(Self {
            caption,
            width: image.width(),
            height: image.height(),
            jpeg: encode_jpeg(image, JPEG_QUALITY)?,
        })
    }

    fn markup(&self) -> Markup {
        let data = BASE64_STANDARD.encode(&self.jpeg);
        html! {
            figure {
                img width=(self.width) height=(self.height) alt=(self.caption) src={ "data:image/jpeg;base64," (data) };
                figcaption { (self.caption) }
            }
        }
    }
}

/// Width and height of the panels of an image.
fn panel_size((width, height): (u32, u32)) -> (u32, u32) {
    let longest = width.max(height).max(1);
    let scale = match SMALLEST_SIDE.div_ceil(longest) {
        1 => (f64::from(LARGEST_SIDE) / f64::from(longest)).min(1.0),
        factor => factor.into(),
    };
    let scaled = |side: u32| (f64::from(side) * scale).round().max(1.0) as u32;
    (scaled(width), scaled(height))
}

/// The classes of labels and prediction, in descending order of the larger of their two areas.
fn legend(labels: &LabelMap, prediction: &LabelMap, vocabulary: &Vocabulary) -> Vec<LegendEntry> {
    let areas = labels.histogram(vocabulary.len());
    let predicted = prediction.histogram(vocabulary.len());
    let mut present: Vec<(u64, ClassIndex)> = (areas.into_iter().zip(predicted).enumerate())
        .filter_map(|(class, (area, predicted))| Some((area.max(predicted), ClassIndex::from_usize(class)?)))
        .filter(|(area, _)| *area > 0)
        .collect();
    present.sort_by_key(|&(area, class)| (Reverse(area), class));
    let entry = |(_, class): (u64, ClassIndex)| {
        Some(LegendEntry {
            name: vocabulary.class(class)?.name().to_owned(),
            color: vocabulary.color(class),
            seen: vocabulary.seen().is_seen(class),
        })
    };
    present.into_iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_are_small_and_legible() {
        for (size, panel) in [
            ((2, 1), (256, 128)),
            ((100, 60), (300, 180)),
            ((300, 200), (300, 200)),
            ((4000, 3000), (400, 300)),
            ((1, 5000), (1, 400)),
        ] {
            assert_eq!(panel_size(size), panel, "{size:?}");
        }
    }

    #[test]
    fn inputs_of_other_sizes_are_errors() {
        let vocabulary = Vocabulary::from_names("cat, dog").unwrap();
        let labels = LabelMap::filled(8, 6, ClassIndex::new(0));
        let (wide, image) = (LabelMap::filled(9, 6, ClassIndex::new(0)), RgbImage::new(8, 6));
        let example = Example {
            name: "a",
            image: Some(&image),
            labels: &labels,
            prediction: &labels,
            vocabulary: &vocabulary,
        };
        assert!(ExampleFigure::new(&example).is_ok());
        assert!(matches!(
            ExampleFigure::new(&Example {
                prediction: &wide,
                ..example
            }),
            Err(DataError::PredictionSize { .. })
        ));
    }

    #[test]
    fn the_legend_omits_the_smallest_classes() {
        let names: Vec<String> = (0..11).map(|class| format!("class {class}")).collect();
        let vocabulary = Vocabulary::from_names(&names.join(",")).unwrap();
        // Class 10 has one column, class 9 two, class 8 three, …
        let labels = LabelMap::from_fn(66, 66, |x, _| {
            let class = (0..11).rev().find(|class| x < (11 - class) * (12 - class) / 2);
            ClassIndex::new(class.unwrap_or(0) as u16)
        });
        let figure = ExampleFigure::new(&Example {
            name: "a",
            image: None,
            labels: &labels,
            prediction: &labels,
            vocabulary: &vocabulary,
        });
        let figure = figure.unwrap();
        let names: Vec<&str> = figure.legend.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!((names.first(), names.last()), (Some(&"class 0"), Some(&"class 7")));
        assert_eq!((names.len(), figure.omitted, figure.panels.len()), (8, 3, 3));
        assert_eq!(figure.miou, Some(1.0));
    }
}
