//! Which values dropout drops: a hash of each value's position, from a counter-based generator.

/// A dropout mask: a function of a seed and of each value's position, so that no mask is stored.
#[derive(Debug, Clone, Copy)]
pub struct DropoutMask {
    pub(crate) seed: [u32; 2],
    /// Values whose bits are below it are dropped.
    pub(crate) threshold: u32,
    /// Factor of the kept values.
    pub(crate) scale: f32,
}

impl DropoutMask {
    /// Drops each value with `probability`, in `[0, 1)`.
    pub(crate) fn new(seed: [u32; 2], probability: f64) -> Self {
        Self {
            seed,
            threshold: (probability * 2f64.powi(32)) as u32,
            scale: (1.0 - probability).recip() as f32,
        }
    }

    /// Factor of the value at a position.
    #[inline(always)]
    pub(crate) fn factor(self, position: u32) -> f32 {
        if self.bits_at(position) < self.threshold {
            0.0
        } else {
            self.scale
        }
    }

    /// Multiplies values by their factors: the first is at position `first`, each other one `step` after the one before.
    #[inline(always)]
    pub(crate) fn apply(self, values: &mut [f32], first: u32, step: u32) {
        for (index, value) in values.iter_mut().enumerate() {
            *value *= self.factor(first.wrapping_add((index as u32).wrapping_mul(step)));
        }
    }

    /// Uniform random bits of a position: two rounds of a 32-bit hash, with half of the seed before each.
    #[inline(always)]
    fn bits_at(self, position: u32) -> u32 {
        mix(mix(position ^ self.seed[0]) ^ self.seed[1])
    }
}

/// The multipliers of "lowbias32", from Chris Wellons' search of 32-bit hashes.
pub(crate) const MULTIPLIERS: [u32; 2] = [0x7feb_352d, 0x846c_a68b];

/// A bijection of 32 bits in which every bit of the argument changes every bit of the result about half of the time.
#[inline(always)]
fn mix(bits: u32) -> u32 {
    let bits = (bits ^ (bits >> 16)).wrapping_mul(MULTIPLIERS[0]);
    let bits = (bits ^ (bits >> 15)).wrapping_mul(MULTIPLIERS[1]);
    bits ^ (bits >> 16)
}
