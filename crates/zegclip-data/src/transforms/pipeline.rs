//! The training pipeline: ratio resize, crop, flip, photometric distortion, normalization, padding.
//!
//! First a [`Plan`] is drawn, then it is carried out. The crop is chosen on the labels, so that only what it keeps of
//! the image is resized and distorted; the result is that of doing everything on the whole image, step by step.

use image::RgbImage;

use super::TrainingPipeline;
use super::crop::draw_crop;
use super::normalize::{normalized, write_planar};
use super::photometric::Distortion;
use super::random::{Draw, random_stream};
use super::region::{Region, nearest_indices, resize_region};
use crate::TrainingLabels;

/// What is done to one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Width and height that image and labels are resized to.
    pub resized: (u32, u32),
    /// What is kept of them; smaller than the crop size where they are.
    pub region: Region,
    /// Whether left and right are exchanged.
    pub flip: bool,
    /// What is done to the colors.
    pub distortion: Distortion,
}

/// A sample that is ready for training.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSample {
    /// Normalized channels red, green, blue, `[3, crop_size, crop_size]`; 0 where there is not an image.
    pub image: Vec<f32>,
    /// Labels as [`TrainingLabels::as_raw`] writes them, `[crop_size, crop_size]`; ignored where there is not an image.
    pub labels: Vec<u16>,
}

impl TrainingPipeline {
    /// Draws what happens to a sample: a function of the arguments alone.
    ///
    /// `slot` is the position of the sample in the batch of all workers together.
    pub fn plan(&self, labels: &TrainingLabels, seed: u64, iteration: u64, slot: u64) -> Plan {
        let stream = |draw| random_stream(seed, iteration, slot, draw);
        let ratio = stream(Draw::Scale).uniform(self.ratio[0], self.ratio[1]);
        let bounds = self.scale.map(|side| (f64::from(side) * ratio) as u32);
        let resized = fit_inside(labels.dimensions(), bounds);
        let (share, redraws) = (self.max_class_share, self.crop_redraws);
        let region = draw_crop(labels, resized, self.crop_size, share, redraws, &mut stream(Draw::Crop));
        let flip = stream(Draw::Flip).chance(self.flip);
        let distortion = self.distortion.draw(&mut stream(Draw::Photometric));
        Plan {
            resized,
            region,
            flip,
            distortion,
        }
    }

    /// Carries a plan out. Image and labels must have the same size, which a training set has checked.
    pub fn apply(&self, plan: &Plan, image: &RgbImage, labels: &TrainingLabels) -> TrainingSample {
        let size = self.crop_size as usize;
        let region = plan.region.within(plan.resized);
        let mut pixels = resize_region(image, plan.resized, region);
        let table = plan.distortion.apply_but_last(&mut pixels);
        let tables = normalized(&table, self.mean, self.std);
        let mut normalized = vec![0.0; 3 * size * size];
        write_planar(
            &pixels,
            region.width as usize,
            size,
            plan.flip,
            &tables,
            &mut normalized,
        );

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
        TrainingSample {
            image: normalized,
            labels: cropped,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClassIndex, LabelMap, SeenClasses, TrainingSetting, resize_bilinear, resize_labels_nearest};

    fn image(width: u32, height: u32) -> RgbImage {
        let mut stream = random_stream(1, u64::from(width), u64::from(height), Draw::Order);
        RgbImage::from_fn(width, height, |_, _| {
            image::Rgb([(); 3].map(|()| stream.next_u64() as u8))
        })
    }

    fn label_map(width: u32, height: u32) -> LabelMap {
        LabelMap::from_fn(width, height, |x, y| {
            ClassIndex::new((x / 13 + y / 11) as u16 % 7).filter(|c| c.get() != 3)
        })
    }

    fn training_labels(labels: &LabelMap) -> TrainingLabels {
        TrainingLabels::new(TrainingSetting::Full, &SeenClasses::all(7), labels.clone()).unwrap()
    }

    fn small() -> TrainingPipeline {
        TrainingPipeline {
            scale: [256, 64],
            crop_size: 64,
            ..TrainingPipeline::default()
        }
    }

    /// Each step on the whole image, as the release does it.
    fn step_by_step(pipeline: &TrainingPipeline, plan: &Plan, image: &RgbImage, labels: &LabelMap) -> TrainingSample {
        let Region { x, y, width, height } = plan.region;
        let image = resize_bilinear(image, plan.resized.0, plan.resized.1);
        let labels = resize_labels_nearest(labels, plan.resized.0, plan.resized.1).crop(x, y, width, height);
        let mut image = image::imageops::crop_imm(&image, x, y, width, height).to_image();
        let labels = if plan.flip { labels.flip_horizontal() } else { labels };
        if plan.flip {
            image::imageops::flip_horizontal_in_place(&mut image);
        }
        plan.distortion.apply(&mut image);
        let size = pipeline.crop_size;
        let mut sample = TrainingSample {
            image: Vec::new(),
            labels: Vec::new(),
        };
        for channel in 0..3 {
            for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
                let value = image.get_pixel_checked(x, y).map(|pixel| pixel.0[channel]);
                let mean = f64::from(pipeline.mean[channel]);
                let normalized =
                    |value| (f64::from((f64::from(value) - mean) as f32) / f64::from(pipeline.std[channel])) as f32;
                sample.image.push(value.map_or(0.0, normalized));
            }
        }
        for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
            sample
                .labels
                .push(labels.get(x, y).map_or(TrainingLabels::IGNORED, ClassIndex::get));
        }
        sample
    }

    #[test]
    fn working_on_the_crop_is_working_on_the_whole() {
        let pipeline = small();
        let (mut flipped, mut padded) = (0, 0);
        for (number, (width, height)) in [(90, 70), (50, 120), (64, 64), (33, 47)].into_iter().enumerate() {
            let (image, map) = (image(width, height), label_map(width, height));
            let labels = training_labels(&map);
            for iteration in 0..12 {
                let plan = pipeline.plan(&labels, 5, iteration, number as u64);
                let (fused, steps) = (
                    pipeline.apply(&plan, &image, &labels),
                    step_by_step(&pipeline, &plan, &image, &map),
                );
                assert_eq!(fused.labels, steps.labels);
                let difference = fused
                    .image
                    .iter()
                    .zip(&steps.image)
                    .map(|(fused, steps)| (fused - steps).abs());
                // A product with the reciprocal and a quotient differ in the last bit; 8-bit steps are 0.017 apart.
                assert!(difference.fold(0.0, f32::max) < 1e-6);
                flipped += usize::from(plan.flip);
                padded += usize::from(plan.region.width < 64 || plan.region.height < 64);
            }
        }
        assert!((12..37).contains(&flipped) && padded > 5, "{flipped} {padded}");
    }

    #[test]
    fn flipping_twice_is_identity() {
        let (pipeline, labels) = (small(), training_labels(&label_map(90, 70)));
        let image = image(90, 70);
        for iteration in 0..8 {
            let plan = pipeline.plan(&labels, 2, iteration, 0);
            let other = Plan {
                flip: !plan.flip,
                ..plan.clone()
            };
            let (one, other) = (
                pipeline.apply(&plan, &image, &labels),
                pipeline.apply(&other, &image, &labels),
            );
            let width = plan.region.width as usize;
            let rows = one.labels.chunks(64).zip(other.labels.chunks(64));
            assert!(
                rows.clone()
                    .all(|(one, other)| one[..width].iter().rev().eq(&other[..width]))
            );
            let rows = one.image.chunks(64).zip(other.image.chunks(64));
            assert!(
                rows.clone()
                    .all(|(one, other)| one[..width].iter().rev().eq(&other[..width]))
            );
        }
    }

    #[test]
    fn labels_are_never_mixed_and_images_stay_in_range() {
        let (pipeline, image) = (small(), image(90, 70));
        // Only the classes 1 and 6: a mean of them would be neither.
        let map = label_map(90, 70).map(|class| ClassIndex::new(if class.get() % 2 == 0 { 1 } else { 6 }));
        let labels = training_labels(&map);
        for iteration in 0..20 {
            let sample = pipeline.sample(&image, &labels, 3, iteration, 1);
            assert!(
                sample
                    .labels
                    .iter()
                    .all(|label| [1, 6, TrainingLabels::IGNORED].contains(label))
            );
            assert!(sample.image.iter().all(|value| (-2.2..2.7).contains(value)));
            assert_eq!((sample.image.len(), sample.labels.len()), (3 * 64 * 64, 64 * 64));
        }
    }

    #[test]
    fn a_plan_is_a_function_of_its_place() {
        let (pipeline, labels) = (TrainingPipeline::default(), training_labels(&label_map(90, 70)));
        let plan = pipeline.plan(&labels, 1, 10, 3);
        assert_eq!(plan, pipeline.plan(&labels, 1, 10, 3));
        for (seed, iteration, slot) in [(2, 10, 3), (1, 11, 3), (1, 10, 4)] {
            assert_ne!(plan, pipeline.plan(&labels, seed, iteration, slot));
        }
        // Recorded: what a seed means must not change.
        let expected = (plan.resized, plan.region, plan.flip);
        assert_eq!(expected, RECORDED);
    }

    const RECORDED: ((u32, u32), Region, bool) = (
        (696, 541),
        Region {
            x: 78,
            y: 4,
            width: 512,
            height: 512,
        },
        false,
    );

    #[test]
    fn sizes_are_rounded_as_in_mmcv() {
        for ((size, ratio), expected) in [
            (((500, 375), 0.5_f64), (341, 256)),
            (((500, 375), 1.3337), (909, 682)),
            (((375, 500), 2.0), (1024, 1365)),
            (((640, 427), 0.77), (591, 394)),
            (((500, 80), 1.0), (2048, 328)),
            (((80, 500), 1.9), (623, 3891)),
            (((333, 500), 1.0), (512, 769)),
        ] {
            assert_eq!(
                fit_inside(size, [2048.0, 512.0].map(|side| (side * ratio) as u32)),
                expected
            );
        }
    }
}
