//! Scores from a confusion: IoU and accuracy a class, their means over all, seen and unseen classes.

use super::{boundary::BoundaryCounts, confusion::Confusion};

/// The scores of a class, as fractions 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScores {
    /// The class.
    pub name: String,
    /// Whether it had labels in training.
    pub seen: bool,
    /// Intersection over union; `None` if the class occurs neither in labels nor in predictions.
    pub iou: Option<f64>,
    /// Part of the class's pixels predicted right; `None` if it has none.
    pub accuracy: Option<f64>,
    /// Pixels with this label.
    pub pixels: u64,
    /// IoU of the pixels near contours; `None` if not counted or without any.
    pub boundary_iou: Option<f64>,
}

/// The scores of a data set, as fractions 0 to 1; `None` where there is nothing to average.
///
/// Computed as mmsegmentation does for the published numbers: pixels of all images together, and classes without a
/// value left out of the means.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Images counted.
    pub images: u64,
    /// One a class, in order.
    pub classes: Vec<ClassScores>,
    /// pAcc: part of all pixels predicted right.
    pub pixel_accuracy: Option<f64>,
    /// mAcc: mean accuracy of the classes.
    pub mean_accuracy: Option<f64>,
    /// mIoU over all classes.
    pub miou: Option<f64>,
    /// mIoU(S) over the seen classes.
    pub miou_seen: Option<f64>,
    /// mIoU(U) over the unseen classes.
    pub miou_unseen: Option<f64>,
    /// hIoU: harmonic mean of mIoU(S) and mIoU(U), §4.2 of the ZegCLIP paper.
    pub hiou: Option<f64>,
    /// Mean boundary IoU over all classes; `None` if not counted.
    pub mean_boundary_iou: Option<f64>,
}

impl Scores {
    /// The scores of what was counted so far.
    pub fn of(confusion: &Confusion) -> Self {
        let areas = confusion.areas();
        let boundary = |class: usize| confusion.boundary().and_then(|counts| counts.get(class));
        let classes = confusion.scored_classes().iter().zip(&areas).enumerate();
        let classes = classes.map(|(index, (class, area))| ClassScores {
            name: class.name.clone(),
            seen: class.seen,
            iou: ratio(area.right, area.labeled + area.predicted - area.right),
            accuracy: ratio(area.right, area.labeled),
            pixels: area.labeled,
            boundary_iou: boundary(index)
                .and_then(|&BoundaryCounts { intersection, union }| ratio(intersection, union)),
        });
        let classes = classes.collect::<Vec<_>>();
        let miou_of = |seen: bool| {
            mean(
                classes
                    .iter()
                    .filter(|class| class.seen == seen)
                    .filter_map(|class| class.iou),
            )
        };
        let (miou_seen, miou_unseen) = (miou_of(true), miou_of(false));
        let total = |pixels: fn(&super::confusion::Areas) -> u64| areas.iter().map(pixels).sum();
        Self {
            images: confusion.images(),
            pixel_accuracy: ratio(total(|area| area.right), total(|area| area.labeled)),
            mean_accuracy: mean(classes.iter().filter_map(|class| class.accuracy)),
            miou: mean(classes.iter().filter_map(|class| class.iou)),
            miou_seen,
            miou_unseen,
            hiou: miou_seen
                .zip(miou_unseen)
                .map(|(seen, unseen)| harmonic_mean(seen, unseen)),
            mean_boundary_iou: mean(classes.iter().filter_map(|class| class.boundary_iou)),
            classes,
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

fn harmonic_mean(a: f64, b: f64) -> f64 {
    if a + b > 0.0 { 2.0 * a * b / (a + b) } else { 0.0 }
}
