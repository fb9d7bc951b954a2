//! Pairs from a JSONL file with a line per image.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zegclip_data::transforms::{Draw, Region, random_stream, resize_region, shuffled};
use zegclip_data::{DataError, ImageLimits, RgbImage, read_image};

use super::config::{PretrainConfig, StageConfig};
use super::pair::{HeldOut, Name, Pair};
use crate::TrainError;

/// A list of image files with captions.
#[derive(Debug)]
pub struct Jsonl {
    seed: u64,
    lines: Vec<Line>,
    validation: Vec<Line>,
    /// Smallest area of a crop as a fraction of the largest square.
    crop: f64,
    flip: f64,
}

/// Name of the held-out split.
const VALIDATION: &str = "validation";

/// A line of the list. Other keys are ignored.
#[derive(Debug, Clone, Deserialize)]
struct Line {
    image: PathBuf,
    captions: Vec<String>,
    /// Class names in the captions, for the patch-text loss.
    #[serde(default)]
    names: Vec<String>,
}

impl Jsonl {
    pub(crate) fn open(path: &Path, config: &PretrainConfig) -> Result<Self, TrainError> {
        let data = &config.data;
        let lines = read(path)?;
        if config.loss.patches > 0.0 && lines.iter().all(|line| line.names.is_empty()) {
            return Err(TrainError::NoPairNames { path: path.to_owned() });
        }
        Ok(Self {
            seed: config.seed,
            lines,
            validation: data.validation.as_deref().map(read).transpose()?.unwrap_or_default(),
            crop: data.crop,
            flip: data.flip,
        })
    }

    /// Consecutive epochs, each in its own order.
    pub(crate) fn pair(&self, [iteration, slot]: [u64; 2], stage: &StageConfig) -> Result<Pair, TrainError> {
        let (seed, batch) = (self.seed, stage.batch_size as u64);
        let count = self.lines.len() as u64;
        let position = iteration.saturating_mul(batch).saturating_add(slot);
        let index = shuffled(seed, position / count, position % count, count) as usize;
        let mut crop = random_stream(seed, iteration, slot, Draw::Crop);
        let mut caption = random_stream(seed, iteration, slot, Draw::Caption);
        let flip = random_stream(seed, iteration, slot, Draw::Flip).chance(self.flip);
        let Some(line) = self.lines.get(index) else {
            return Err(TrainError::NoPairs { path: PathBuf::new() });
        };
        let image = read_image(&line.image, &ImageLimits::default())?;
        let area = crop.uniform(self.crop, 1.0);
        let mut image = square(&image, stage.image_size, area, [crop.unit(), crop.unit()]);
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

    /// Path, captions and names of each image.
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
    /// The facts of an image are its captions.
    fn pair(&self, image: RgbImage, caption: usize) -> Pair {
        let mut image_facts: Vec<u64> = self.captions.iter().map(|caption| fact(caption)).collect();
        image_facts.sort_unstable();
        let caption = self.captions.get(caption).cloned().unwrap_or_default();
        let names = self.names.iter().map(|name| Name {
            id: fact(name),
            text: name.clone(),
        });
        Pair {
            image,
            caption_facts: vec![fact(&caption)],
            image_facts,
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
        let mut line: Line = serde_json::from_str(text).map_err(|source| TrainError::InvalidPair {
            path: path.to_owned(),
            line: number,
            source,
        })?;
        if line.captions.is_empty() {
            return Err(TrainError::NoCaption {
                path: path.to_owned(),
                line: number,
            });
        }
        line.image = folder.join(line.image);
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(TrainError::NoPairs { path: path.to_owned() });
    }
    Ok(lines)
}

/// A square crop of an image with the fraction `area` of its largest square, resized to `size × size` pixels; `offset` in
/// `[0, 1]` from the left and the top.
fn square(image: &RgbImage, size: usize, area: f64, offset: [f64; 2]) -> RgbImage {
    let (width, height) = image.dimensions();
    let side = f64::from(width.min(height)).max(1.0) * area.clamp(0.0, 1.0).sqrt();
    let scale = size as f64 / side;
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(size as u32);
    let (wide, high) = (scaled(width), scaled(height));
    let start = |length: u32, offset: f64| (f64::from(length - size as u32) * offset).round() as u32;
    let region = Region {
        x: start(wide, offset[0]),
        y: start(high, offset[1]),
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
