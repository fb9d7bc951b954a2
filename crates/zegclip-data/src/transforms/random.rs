//! Random numbers that are a function of where they are used, so that nothing has to be carried or saved.
//!
//! Every draw of the training pipeline comes from a [`RandomStream`] named by `(seed, iteration, slot)` and a [`Draw`].
//! Which thread draws first changes nothing, resuming needs no state, and a further draw in one transform leaves the
//! others alone. The generator is SplitMix64 (Steele, Lea and Flood, 2014): a counter in steps of the golden ratio,
//! mixed by Stafford's variant 13. Its numbers are part of what a seed means and must not change.

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

/// A stream of random numbers; equal names give equal numbers, on every platform.
///
/// ```
/// use zegclip_data::transforms::{Draw, RandomStream};
///
/// let mut stream = RandomStream::new(7, 1200, 3, Draw::Flip);
/// assert_eq!(stream.next_u64(), RandomStream::new(7, 1200, 3, Draw::Flip).next_u64());
/// ```
#[derive(Clone, Debug)]
pub struct RandomStream {
    state: u64,
}

const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

impl RandomStream {
    /// The stream of one use: run seed, iteration, slot of the sample within the batch, and what for.
    pub fn new(seed: u64, iteration: u64, slot: u64, draw: Draw) -> Self {
        let name = [seed, iteration, slot, draw as u64];
        Self {
            state: name
                .into_iter()
                .fold(0, |state, word| mix((state ^ word).wrapping_add(GOLDEN_RATIO))),
        }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_RATIO);
        mix(self.state)
    }

    /// A number in `[0, 1)`, a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `[low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A whole number below `bound`, each equally likely; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Lemire's multiplication; the low half tells the few draws that would favour some numbers.
        let unfair = bound.wrapping_neg().checked_rem(bound).unwrap_or_default();
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }
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
    let mut keys = RandomStream::new(seed, epoch, 0, Draw::Order);
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

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_split_mix_64() {
        // The first numbers that the published generator gives for seed 1234567.
        let mut stream = RandomStream { state: 1_234_567 };
        let numbers = [(); 3].map(|()| stream.next_u64());
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn every_part_of_the_name_matters() {
        let first = |seed, iteration, slot, draw| RandomStream::new(seed, iteration, slot, draw).next_u64();
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
    fn whole_numbers_are_equally_likely() {
        let mut stream = RandomStream::new(1, 2, 3, Draw::Crop);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[stream.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_700..10_300).contains(count)), "{counts:?}");
        assert_eq!([stream.below(0), stream.below(1)], [0, 0]);
        let mean = (0..10_000).map(|_| stream.uniform(-32.0, 32.0)).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 1.0, "{mean}");
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
