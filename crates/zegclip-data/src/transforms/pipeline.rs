//! The training pipeline: ratio resize, crop, flip, photometric distortion, normalisation, padding.
//!
//! First a [`Plan`] is drawn, then it is carried out. The crop is chosen on the labels, so that only what it keeps of
//! the photo is resized and distorted; the result is that of doing everything on the whole photo, step by step.

use image::RgbImage;

use super::crop::draw_crop;
use super::normalize::{CHANNEL_DEVIATION, CHANNEL_MEAN, normalised, write_planar};
use super::photometric::{Distortion, PhotometricDistortion};
use super::random::{Draw, RandomStream};
use super::region::{Region, nearest_indices, resize_bilinear};
use crate::TrainingLabels;

/// Settings of the training pipeline; the defaults are those published.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingPipeline {
    /// Longer and shorter side that a photo fits into at ratio 1, aspect kept.
    pub scale: [u32; 2],
    /// The ratio is drawn between these.
    pub ratio: [f64; 2],
    /// Side of the square crop, in pixels.
    pub crop_size: u32,
    /// A crop is redrawn if one class fills this share of its labelled pixels; 1 never redraws.
    pub max_class_share: f64,
    /// How often at most.
    pub crop_redraws: u32,
    /// Probability of exchanging left and right.
    pub flip: f64,
    /// How far colours may go.
    pub distortion: PhotometricDistortion,
    /// Mean of red, green and blue, on 0–255.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, on 0–255.
    pub deviation: [f32; 3],
}

impl Default for TrainingPipeline {
    fn default() -> Self {
        Self {
            scale: [2048, 512],
            ratio: [0.5, 2.0],
            crop_size: 512,
            max_class_share: 0.75,
            crop_redraws: 10,
            flip: 0.5,
            distortion: PhotometricDistortion::default(),
            mean: CHANNEL_MEAN,
            deviation: CHANNEL_DEVIATION,
        }
    }
}

/// What is done to one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Width and height that photo and labels are resized to.
    pub resized: (u32, u32),
    /// What is kept of them; smaller than the crop size where they are.
    pub region: Region,
    /// Whether left and right are exchanged.
    pub flip: bool,
    /// What is done to the colours.
    pub distortion: Distortion,
}

/// A sample that is ready for training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSample {
    /// Normalised channels red, green, blue, `[3, crop_size, crop_size]`; 0 where there is no photo.
    pub image: Vec<f32>,
    /// Labels as [`TrainingLabels::as_raw`] writes them, `[crop_size, crop_size]`; ignored where there is no photo.
    pub labels: Vec<u16>,
}

impl TrainingPipeline {
    /// Draws what happens to a sample: a function of the arguments alone.
    ///
    /// `slot` is the position of the sample in the batch of all workers together.
    pub fn plan(&self, labels: &TrainingLabels, seed: u64, iteration: u64, slot: u64) -> Plan {
        let stream = |draw| RandomStream::new(seed, iteration, slot, draw);
        let ratio = stream(Draw::Scale).uniform(self.ratio[0], self.ratio[1]);
        let bounds = self.scale.map(|side| (f64::from(side) * ratio) as u32);
        let resized = fit_inside(labels.dimensions(), bounds);
        let (share, redraws) = (self.max_class_share, self.crop_redraws);
        let region = draw_crop(labels, resized, self.crop_size, share, redraws, &mut stream(Draw::Crop));
        let flip = stream(Draw::Flip).chance(self.flip);
        let distortion = self.distortion.draw(&mut stream(Draw::Photometric));
        Plan { resized, region, flip, distortion }
    }

    /// Carries a plan out. Photo and labels must have the same size, which a training set has checked.
    pub fn apply(&self, plan: &Plan, image: &RgbImage, labels: &TrainingLabels) -> TrainingSample {
        let size = self.crop_size as usize;
        let region = plan.region.within(plan.resized);
        let mut pixels = resize_bilinear(image, plan.resized, region);
        let table = plan.distortion.apply_but_last(&mut pixels);
        let tables = normalised(&table, self.mean, self.deviation);
        let mut normalised = vec![0.0; 3 * size * size];
        write_planar(&pixels, region.width as usize, size, plan.flip, &tables, &mut normalised);

        let mut columns = nearest_indices(labels.width(), plan.resized.0, region.x, region.width);
        if plan.flip {
            columns.reverse();
        }
        let rows = nearest_indices(labels.height(), plan.resized.1, region.y, region.height);
        let mut cropped = vec![TrainingLabels::IGNORED; size * size];
        for (target, row) in cropped.chunks_exact_mut(size.max(1)).zip(rows) {
            let row = labels.row(row);
            for (target, &column) in target.iter_mut().zip(&columns) {
                *target = row.get(column).copied().unwrap_or(TrainingLabels::IGNORED);
            }
        }
        TrainingSample { image: normalised, labels: cropped }
    }

    /// [`Self::plan`] and [`Self::apply`] in one.
    pub fn sample(
        &self,
        image: &RgbImage,
        labels: &TrainingLabels,
        seed: u64,
        iteration: u64,
        slot: u64,
    ) -> TrainingSample {
        self.apply(&self.plan(labels, seed, iteration, slot), image, labels)
    }
}

/// The largest size with the aspect of `size` whose longer and shorter side stay within the longer and shorter of
/// `bounds`, rounded half up, at least one pixel.
pub fn fit_inside((width, height): (u32, u32), bounds: [u32; 2]) -> (u32, u32) {
    let [longer, shorter] = [bounds[0].max(bounds[1]), bounds[0].min(bounds[1])].map(f64::from);
    let factor = (longer / f64::from(width.max(height))).min(shorter / f64::from(width.min(height)));
    let side = |side: u32| ((f64::from(side) * factor + 0.5) as u32).max(1);
    (side(width), side(height))
}
