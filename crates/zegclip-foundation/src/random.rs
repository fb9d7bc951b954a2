//! Random numbers that are functions of their seed, so that nothing has to be carried or saved.
//!
//! The generator is SplitMix64 (Steele, Lea and Flood, 2014): a counter in steps of the golden ratio, mixed by Stafford's
//! variant 13. Its numbers are part of what a seed means and must not change.

/// 2⁶⁴ divided by the golden ratio: the step of SplitMix64's counter.
pub const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

/// Stafford's variant 13: a bijection of 64 bits.
pub fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// SplitMix64's number after `value`: a bijection of 64 bits after which neighbors have nothing in common.
pub fn split_mix(value: u64) -> u64 {
    mix(value.wrapping_add(GOLDEN_RATIO))
}

/// A stream of random numbers; equal keys give equal numbers on every platform.
#[derive(Clone, Debug)]
pub struct RandomStream {
    state: u64,
}

impl RandomStream {
    /// The stream of a key.
    pub fn from_key(key: impl IntoIterator<Item = u64>) -> Self {
        Self {
            state: key.into_iter().fold(0, |state, word| split_mix(state ^ word)),
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
        // Lemire's multiplication; the low half tells the few draws that would favor some numbers.
        let unfair = bound.wrapping_neg().checked_rem(bound).unwrap_or_default();
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }
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
        assert_eq!(split_mix(1_234_567), numbers[0]);
    }

    #[test]
    fn whole_numbers_are_equally_likely() {
        let mut stream = RandomStream::from_key([1, 2, 3]);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[stream.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_700..10_300).contains(count)), "{counts:?}");
        assert_eq!([stream.below(0), stream.below(1)], [0, 0]);
        let mean = (0..10_000).map(|_| stream.uniform(-32.0, 32.0)).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 1.0, "{mean}");
    }
}
