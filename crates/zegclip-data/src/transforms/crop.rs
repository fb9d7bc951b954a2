//! The random crop: at least two classes, of which none fills too much of what is labelled.

use super::random::RandomStream;
use super::region::{Region, nearest_indices};
use crate::{LabelMap, TrainingLabels};

/// Draws a crop of up to `size × size` pixels from labels resized to `resized` (width, height).
///
/// A crop in which fewer than two classes have pixels, or one has at least `max_share` of the labelled ones, is drawn
/// again up to `redraws` times; the last one is taken as it is. Nothing is redrawn if `max_share` is 1 or more.
/// Pixels of unseen classes count as one class where the setting lets them be known, and as unlabelled where not. (The
/// release counts them under their own names even in inductive training, which leaks labels into the choice.)
pub fn draw_crop(
    labels: &TrainingLabels,
    resized: (u32, u32),
    size: u32,
    max_share: f64,
    redraws: u32,
    stream: &mut RandomStream,
) -> Region {
    let mut draw = || {
        let y = stream.below(u64::from(resized.1.saturating_sub(size)) + 1) as u32;
        let x = stream.below(u64::from(resized.0.saturating_sub(size)) + 1) as u32;
        Region { x, y, width: size, height: size }.within(resized)
    };
    let mut region = draw();
    if max_share >= 1.0 {
        return region;
    }
    let mut counts = Counts::new(labels);
    // Where the whole image has but one class no crop has two: then only the last draw matters.
    let hopeless = counts.of(labels.as_raw()) < 2;
    for _ in 0..redraws {
        if !hopeless && counts.are_balanced(labels, resized, region, max_share) {
            break;
        }
        region = draw();
    }
    region
}

/// Pixels of each label; label + 2 is the position, so that ignored and unseen pixels come first.
struct Counts(Vec<u64>);

const UNSEEN: usize = TrainingLabels::UNSEEN.wrapping_add(2) as usize;
const IGNORED: usize = LabelMap::IGNORE.wrapping_add(2) as usize;

impl Counts {
    fn new(labels: &TrainingLabels) -> Self {
        let highest = labels.as_raw().iter().map(|label| label.wrapping_add(2)).max();
        Self(vec![0; 2 + usize::from(highest.unwrap_or_default())])
    }

    /// Counts labels; returns how many different ones there are, ignored pixels aside.
    fn of<'a>(&mut self, labels: impl IntoIterator<Item = &'a u16>) -> usize {
        self.0.fill(0);
        self.add(labels);
        self.classes().count()
    }

    fn add<'a>(&mut self, labels: impl IntoIterator<Item = &'a u16>) {
        for label in labels {
            if let Some(count) = self.0.get_mut(usize::from(label.wrapping_add(2))) {
                *count += 1;
            }
        }
    }

    fn classes(&self) -> impl Iterator<Item = u64> {
        let counts = self.0.iter().copied().enumerate();
        counts.filter(|&(position, count)| position != IGNORED && count > 0).map(|(_, count)| count)
    }

    fn are_balanced(
        &mut self,
        labels: &TrainingLabels,
        resized: (u32, u32),
        region: Region,
        max_share: f64,
    ) -> bool {
        self.0.fill(0);
        let columns = nearest_indices(labels.width(), resized.0, region.x, region.width);
        for row in nearest_indices(labels.height(), resized.1, region.y, region.height) {
            let row = labels.row(row);
            self.add(columns.iter().filter_map(|&column| row.get(column)));
        }
        let (classes, pixels) = (self.classes().count(), self.classes().sum::<u64>());
        let largest = self.classes().max().unwrap_or_default();
        classes > 1 && (largest as f64 / pixels as f64) < max_share
    }
}

// The two codes must be the first positions, or the counts would need 65,536 of them.
const _: () = assert!(UNSEEN == 0 && IGNORED == 1);
