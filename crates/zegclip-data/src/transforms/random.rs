//! Random numbers that are a function of where they are used, so that nothing has to be carried or saved.
//!
//! Every draw of the training pipeline comes from a [`RandomStream`] named by `(seed, iteration, slot)` and a [`Draw`].
//! Which thread draws first changes nothing, resuming needs no state, and a further draw in one transform leaves the
//! others alone. The generator is SplitMix64 (Steele, Lea and Flood, 2014): a counter in steps of the golden ratio,
//! mixed by Stafford's variant 13. Its numbers are part of what a seed means and must not change.

use zegclip_foundation::{RandomStream, mix};

/// What random numbers are for: each transform has a stream of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Draw {
    /// The ratio of the resize.
    Scale = 1,
    /// Corners of the crop.
    Crop = 2,
    /// Whether to flip.
    Flip = 3,
    /// Brightness, contrast, saturation and hue.
    Photometric = 4,
    /// Order of the samples in an epoch.
    Order = 5,
    /// A composed scene.
    Scene = 6,
    /// Which of an image's captions.
    Caption = 7,
}

/// The stream of one use: run seed, iteration, slot of the sample within the batch, and what for.
///
/// ```
/// use zegclip_data::transforms::{Draw, random_stream};
///
/// let mut stream = random_stream(7, 1200, 3, Draw::Flip);
/// assert_eq!(stream.next_u64(), random_stream(7, 1200, 3, Draw::Flip).next_u64());
/// ```
pub fn random_stream(seed: u64, iteration: u64, slot: u64, draw: Draw) -> RandomStream {
    RandomStream::from_key([seed, iteration, slot, draw as u64])
}

/// The number at `position` of a random order of `0..count`, which is another one in each `epoch`.
///
/// A pure function without a table: a Feistel network is a permutation of a power of four at least `count`, and
/// numbers beyond `count` are sent through again until they fall inside. 0 if `count` is 0.
pub fn shuffled(seed: u64, epoch: u64, position: u64, count: u64) -> u64 {
    const ROUNDS: usize = 6;
    if count < 2 {
        return 0;
    }
    let half_bits = (u64::BITS - (count - 1).leading_zeros()).div_ceil(2);
    let half_mask = (1_u64 << half_bits) - 1;
    let mut keys = random_stream(seed, epoch, 0, Draw::Order);
    let keys: [u64; ROUNDS] = std::array::from_fn(|_| keys.next_u64());
    let mut number = position % count;
    loop {
        let (mut left, mut right) = (number >> half_bits, number & half_mask);
        for key in keys {
            (left, right) = (right, left ^ (mix(right.wrapping_add(key)) & half_mask));
        }
        number = left << half_bits | right;
        if number < count {
            return number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_name_matters() {
        let first = |seed, iteration, slot, draw| random_stream(seed, iteration, slot, draw).next_u64();
        let mut numbers = std::collections::HashSet::new();
        for seed in 0..4 {
            for iteration in 0..4 {
                for slot in 0..4 {
                    for draw in [Draw::Scale, Draw::Crop, Draw::Flip, Draw::Photometric, Draw::Order] {
                        assert!(numbers.insert(first(seed, iteration, slot, draw)));
                    }
                }
            }
        }
    }

    #[test]
    fn an_epoch_has_every_sample_once() {
        for count in (1..70).chain([1449, 10_582]) {
            for epoch in 0..2 {
                let mut order: Vec<_> = (0..count).map(|position| shuffled(9, epoch, position, count)).collect();
                if count > 20 {
                    let still = order
                        .iter()
                        .zip(0..)
                        .filter(|&(&number, position)| number == position)
                        .count();
                    assert!(still < 10, "{still} of {count} stayed in place");
                }
                order.sort_unstable();
                assert!(order.into_iter().eq(0..count), "{count}");
            }
        }
        assert_eq!(shuffled(9, 0, 0, 0), 0);
        let epoch = |epoch| {
            (0..50)
                .map(|position| shuffled(9, epoch, position, 50))
                .collect::<Vec<_>>()
        };
        assert_ne!(epoch(0), epoch(1));
    }
}
