//! Pairs from a file with a line of JSON for each image.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zegclip_data::transforms::{Draw, Region, random_stream, resize_region, shuffled};
use zegclip_data::{DataError, ImageLimits, RgbImage, read_image};

use super::config::{PretrainConfig, StageConfig};
use super::source::{HeldOut, Name, Pair};
use crate::TrainError;

/// Images in files and their captions.
#[derive(Debug)]
pub struct Jsonl {
    seed: u64,
    lines: Vec<Line>,
    validation: Vec<Line>,
    /// Smallest share of the largest square that a crop has.
    crop: f64,
    flip: f64,
}

/// Name of the split that is held out.
const VALIDATION: &str = "validation";

/// An image and what is said of it. Other keys are not looked at.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    image: PathBuf,
    captions: Vec<String>,
    /// What the captions name, for the share of the patches in the loss.
    #[serde(default)]
    names: Vec<String>,
}

impl Jsonl {
    pub(crate) fn open(path: &Path, config: &PretrainConfig) -> Result<Self, TrainError> {
        let data = &config.data;
        let lines = read(path)?;
        if config.loss.patches > 0.0 && lines.iter().all(|line| line.names.is_empty()) {
            let reason = "no line has `names`, of which `loss.patches` lets patches choose; add \"names\": [\"cat\", …] to \
                          the lines, or set `loss.patches` = 0";
            return Err(pairs(path, reason.to_owned()));
        }
        Ok(Self {
            seed: config.seed,
            lines,
            validation: data.validation.as_deref().map(read).transpose()?.unwrap_or_default(),
            crop: data.crop,
            flip: data.flip,
        })
    }

    /// Epochs follow one another without a gap, each in an order of its own.
    pub(crate) fn pair(&self, [iteration, slot]: [u64; 2], stage: &StageConfig) -> Result<Pair, TrainError> {
        let (seed, batch) = (self.seed, stage.batch_size as u64);
        let count = self.lines.len() as u64;
        let position = iteration.saturating_mul(batch).saturating_add(slot);
        let index = shuffled(seed, position / count, position % count, count) as usize;
        let mut crop = random_stream(seed, iteration, slot, Draw::Crop);
        let mut caption = random_stream(seed, iteration, slot, Draw::Caption);
        let flip = random_stream(seed, iteration, slot, Draw::Flip).chance(self.flip);
        let Some(line) = self.lines.get(index) else {
            return Err(pairs(Path::new(""), "the list is empty".to_owned()));
        };
        let image = read_image(&line.image, &ImageLimits::default())?;
        let share = crop.uniform(self.crop, 1.0);
        let mut image = square(&image, stage.image_size, share, [crop.unit(), crop.unit()]);
        if flip {
            image = mirrored(&image);
        }
        Ok(line.pair(image, caption.below(line.captions.len() as u64) as usize))
    }

    pub(crate) fn held_out(&self, stage: &StageConfig, count: usize) -> Result<Vec<HeldOut>, TrainError> {
        if self.validation.is_empty() {
            return Ok(Vec::new());
        }
        let read = |line: &Line| {
            let image = read_image(&line.image, &ImageLimits::default())?;
            Ok(line.pair(square(&image, stage.image_size, 1.0, [0.5, 0.5]), 0))
        };
        let found: Result<Vec<Pair>, DataError> = self.validation.iter().take(count).map(read).collect();
        Ok(vec![HeldOut {
            name: VALIDATION.to_owned(),
            classes: Vec::new(),
            classified: Vec::new(),
            pairs: found?,
        }])
    }

    pub(crate) fn held_out_names(&self) -> Vec<String> {
        let any = !self.validation.is_empty();
        any.then(|| VALIDATION.to_owned()).into_iter().collect()
    }

    /// A line for each image: its path and what is said of it.
    pub(crate) fn entries(&self) -> impl Iterator<Item = String> {
        let lines = self.lines.iter().chain(&self.validation);
        lines.map(|line| format!("{} {:?} {:?}", line.image.display(), line.captions, line.names))
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let lines = self.lines.iter().chain(&self.validation);
        lines
            .flat_map(|line| line.captions.iter().chain(&line.names).cloned())
            .collect()
    }
}

impl Line {
    /// The facts of an image are its captions themselves.
    fn pair(&self, image: RgbImage, caption: usize) -> Pair {
        let mut contents: Vec<u64> = self.captions.iter().map(|caption| fact(caption)).collect();
        contents.sort_unstable();
        let caption = self.captions.get(caption).cloned().unwrap_or_default();
        let names = self.names.iter().map(|name| Name {
            id: fact(name),
            text: name.clone(),
        });
        Pair {
            image,
            mentions: vec![fact(&caption)],
            contents,
            caption,
            names: names.collect(),
        }
    }
}

fn fact(caption: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    caption.hash(&mut hasher);
    hasher.finish()
}

fn read(path: &Path) -> Result<Vec<Line>, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut lines = Vec::new();
    for (number, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let number = number + 1;
        let mut line: Line =
            serde_json::from_str(text).map_err(|error| pairs(path, format!("line {number}: {error}")))?;
        if line.captions.is_empty() {
            return Err(pairs(path, format!("line {number}: the image has no caption")));
        }
        line.image = folder.join(line.image);
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(pairs(path, "it has no line".to_owned()));
    }
    Ok(lines)
}

fn pairs(path: &Path, reason: String) -> TrainError {
    TrainError::Pairs {
        path: path.to_owned(),
        reason,
    }
}

/// A square part of an image that has `share` of the area of its largest square, `size` pixels a side; `place` in `[0, 1]`
/// from the left and the top.
fn square(image: &RgbImage, size: usize, share: f64, place: [f64; 2]) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = f64::from(width.min(height)).max(1.0) * share.clamp(0.0, 1.0).sqrt();
    let scale = size as f64 / side;
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(size as u32);
    let (wide, high) = (scaled(width), scaled(height));
    let start = |length: u32, place: f64| (f64::from(length - size as u32) * place).round() as u32;
    let region = Region {
        x: start(wide, place[0]),
        y: start(high, place[1]),
        width: size as u32,
        height: size as u32,
    };
    let pixels = resize_region(image, (wide, high), region);
    RgbImage::from_raw(size as u32, size as u32, pixels).unwrap_or_else(|| RgbImage::new(size as u32, size as u32))
}

fn mirrored(image: &RgbImage) -> RgbImage {
    let width = image.width();
    RgbImage::from_fn(width, image.height(), |x, y| *image.get_pixel(width - 1 - x, y))
}
