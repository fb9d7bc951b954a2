//! The random crop: at least two classes, of which none fills too much of what is labeled.

use super::region::{Region, nearest_indices};
use crate::TrainingLabels;
use zegclip_foundation::RandomStream;

/// Draws a crop of up to `size × size` pixels from labels resized to `resized` (width, height).
///
/// A crop in which fewer than two classes have pixels, or one has at least `max_share` of the labeled ones, is drawn
/// again up to `redraws` times; the last one is taken as it is. Nothing is redrawn if `max_share` is 1 or more.
/// Pixels of unseen classes count as one class where the setting lets them be known, and as unlabeled where not. (The
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
        Region {
            x,
            y,
            width: size,
            height: size,
        }
        .within(resized)
    };
    let mut region = draw();
    if max_share >= 1.0 {
        return region;
    }
    let mut counts = Counts::new(labels, resized);
    let whole = Region {
        x: 0,
        y: 0,
        width: resized.0,
        height: resized.1,
    };
    // Where the whole image has but one class no crop has two: then only the last draw matters.
    let hopeless = !counts.are_balanced(whole, f64::INFINITY);
    for _ in 0..redraws {
        if !hopeless && counts.are_balanced(region, max_share) {
            break;
        }
        region = draw();
    }
    region
}

/// Counts the labels of regions of resized labels, from the runs of equal labels in the rows that are not resized.
struct Counts {
    /// Of each source row its runs: the column after the last, and the label.
    rows: Vec<Vec<(u32, u16)>>,
    /// Of each source column (and one more) how many columns of the resized labels lie before it.
    columns_before: Vec<u32>,
    /// The same of rows.
    rows_before: Vec<u32>,
    /// Pixels of each label at its value + 2, so that ignored and unseen ones come first.
    pixels: Vec<u64>,
}

const UNSEEN: usize = TrainingLabels::UNSEEN.wrapping_add(2) as usize;
const IGNORED: usize = TrainingLabels::IGNORED.wrapping_add(2) as usize;
// Other positions would need 65,536 counts.
const _: () = assert!(UNSEEN == 0 && IGNORED == 1);

impl Counts {
    fn new(labels: &TrainingLabels, resized: (u32, u32)) -> Self {
        let mut highest = 0;
        let mut runs_of = |row: usize| {
            let runs = labels.row(row).chunk_by(|left, right| left == right);
            let runs = runs.scan(0, |column, run| {
                *column += run.len() as u32;
                run.first().map(|&label| (*column, label))
            });
            let runs: Vec<_> = runs.collect();
            highest = runs
                .iter()
                .map(|(_, label)| label.wrapping_add(2))
                .fold(highest, u16::max);
            runs
        };
        let rows = (0..labels.height() as usize).map(&mut runs_of).collect();
        Self {
            rows,
            columns_before: counts_before(labels.width(), resized.0),
            rows_before: counts_before(labels.height(), resized.1),
            pixels: vec![0; 2 + usize::from(highest)],
        }
    }

    /// Whether the region has two classes or more of which the largest has less than `max_share` of all their pixels.
    fn are_balanced(&mut self, region: Region, max_share: f64) -> bool {
        self.pixels.fill(0);
        let inside = |before: u32, start: u32, length: u32| before.clamp(start, start + length) - start;
        let columns: Vec<_> = self
            .columns_before
            .iter()
            .map(|&before| inside(before, region.x, region.width))
            .collect();
        for (row, before) in self.rows.iter().zip(self.rows_before.windows(2)) {
            let [first, last] = [0, 1].map(|side| inside(before[side], region.y, region.height));
            if first == last {
                continue;
            }
            let mut start = 0;
            for &(end, label) in row {
                let end = columns.get(end as usize).copied().unwrap_or(region.width);
                if let Some(pixels) = self.pixels.get_mut(usize::from(label.wrapping_add(2))) {
                    *pixels += u64::from(end - start) * u64::from(last - first);
                }
                start = end;
            }
        }
        let labeled = self
            .pixels
            .iter()
            .enumerate()
            .filter(|&(label, &pixels)| label != IGNORED && pixels > 0);
        let (classes, all, largest) = labeled.fold((0, 0, 0), |(classes, all, largest), (_, &pixels)| {
            (classes + 1, all + pixels, pixels.max(largest))
        });
        classes > 1 && (largest as f64 / all as f64) < max_share
    }
}

/// Of each source index (and one more) how many indices of the target come from smaller ones.
fn counts_before(source: u32, target: u32) -> Vec<u32> {
    let mut counts = vec![0; source as usize + 1];
    for index in nearest_indices(source, target, 0, target) {
        if let Some(count) = counts.get_mut(index + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    counts
        .iter()
        .map(|count| {
            sum += count;
            sum
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::random::{Draw, random_stream};
    use super::*;
    use crate::{ClassIndex, LabelMap, SeenClasses, TrainingSetting};

    const U: u16 = TrainingLabels::UNSEEN;

    /// Blocks of labels that look random; class 5 is unseen.
    fn labels(width: u32, height: u32, seed: u64) -> TrainingLabels {
        let label = |x: u32, y: u32| {
            let mut stream = random_stream(seed, u64::from(x / 9), u64::from(y / 7), Draw::Order);
            ClassIndex::new(stream.below(7) as u16).filter(|class| class.get() < 6)
        };
        let seen = SeenClasses::from_unseen_indices(6, [5]).unwrap();
        TrainingLabels::new(
            TrainingSetting::Transductive,
            &seen,
            LabelMap::from_fn(width, height, label),
        )
        .unwrap()
    }

    #[test]
    fn counting_runs_is_counting_pixels() {
        for (number, resized) in [(100, 75), (61, 29), (40, 30), (161, 122)].into_iter().enumerate() {
            let labels = labels(100, 75, number as u64);
            let mut counts = Counts::new(&labels, resized);
            let mut stream = random_stream(1, 2, number as u64, Draw::Crop);
            for _ in 0..50 {
                let mut side = |length| stream.below(u64::from(length)) as u32;
                let region = Region {
                    x: side(resized.0),
                    y: side(resized.1),
                    width: 1 + side(40),
                    height: 1 + side(40),
                };
                let region = region.within(resized);
                let mut expected = std::collections::BTreeMap::<u16, u64>::new();
                for y in nearest_indices(75, resized.1, region.y, region.height) {
                    for x in nearest_indices(100, resized.0, region.x, region.width) {
                        *expected.entry(labels.row(y)[x]).or_default() += 1;
                    }
                }
                counts.are_balanced(region, 0.75);
                let at = |label: u16| {
                    counts
                        .pixels
                        .get(usize::from(label.wrapping_add(2)))
                        .copied()
                        .unwrap_or_default()
                };
                let all = expected.iter().all(|(&label, &pixels)| at(label) == pixels);
                assert!(all && counts.pixels.iter().sum::<u64>() == expected.values().sum::<u64>());

                expected.remove(&TrainingLabels::IGNORED);
                let (all, largest) = (
                    expected.values().sum::<u64>(),
                    expected.values().max().copied().unwrap_or(0),
                );
                for share in [0.3, 0.5, 0.75] {
                    let balanced = expected.len() > 1 && (largest as f64) / (all as f64) < share;
                    assert_eq!(counts.are_balanced(region, share), balanced);
                }
            }
        }
        assert!(labels(100, 75, 0).as_raw().contains(&U));
    }

    #[test]
    fn a_crop_is_redrawn_until_no_class_fills_it() {
        // Class 1 in the right eighth only: most crops of a quarter have class 0 alone.
        let seen = SeenClasses::all(2);
        let map = LabelMap::from_fn(400, 300, |x, _| ClassIndex::new(u16::from(x >= 350)));
        let labels = TrainingLabels::new(TrainingSetting::Full, &seen, map).unwrap();
        let good = |redraws: u32| {
            let good = (0..300).filter(|&slot| {
                let mut stream = random_stream(3, 0, slot, Draw::Crop);
                let region = draw_crop(&labels, (400, 300), 100, 0.75, redraws, &mut stream);
                // At least a quarter of the columns are of class 1.
                region.x + region.width > 375
            });
            good.count()
        };
        // x is even in 0..=300, of which 276..=300 are good: 1 in 12; and with ten redraws 1 − (11/12)¹¹ = 0.62.
        assert!((10..45).contains(&good(0)), "{}", good(0));
        assert!((155..215).contains(&good(10)), "{}", good(10));
    }

    #[test]
    fn crops_lie_inside() {
        for resized in [(40, 30), (64, 64), (200, 65), (70, 300)] {
            let labels = labels(100, 75, 3);
            for slot in 0..100 {
                let mut stream = random_stream(5, 0, slot, Draw::Crop);
                let region = draw_crop(&labels, resized, 64, 0.75, 10, &mut stream);
                assert_eq!((region.width, region.height), (resized.0.min(64), resized.1.min(64)));
                assert!(region.x + region.width <= resized.0 && region.y + region.height <= resized.1);
            }
        }
    }
}
