//! Smooth noise and random numbers for textures.

use zegclip_data::transforms::{Draw, RandomStream, random_stream};

/// Draws in `f32`.
pub(crate) trait DrawF32 {
    fn range(&mut self, low: f32, high: f32) -> f32;
    fn integer(&mut self, low: usize, high_inclusive: usize) -> usize;
    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T>;
    fn shuffle<T>(&mut self, list: &mut [T]);
}

impl DrawF32 for RandomStream {
    fn range(&mut self, low: f32, high: f32) -> f32 {
        self.uniform(low.into(), high.into()) as f32
    }

    fn integer(&mut self, low: usize, high_inclusive: usize) -> usize {
        low + self.below((high_inclusive.max(low) - low + 1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len() as u64) as usize)
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.integer(0, last));
        }
    }
}

const SIDE: usize = 64;
const MASK: i32 = SIDE as i32 - 1;

/// Value noise on a wrapped lattice: drawn once, used by all scenes at offsets of their own.
pub(crate) struct Noise {
    lattice: Vec<f32>,
}

impl Noise {
    pub(crate) fn new() -> Self {
        let mut stream = random_stream(0, 0, 0, Draw::Scene);
        Self {
            lattice: (0..SIDE * SIDE).map(|_| stream.range(0.0, 1.0)).collect(),
        }
    }

    /// In `[0, 1]`, 0.5 on average; one bump has the size of 1.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (floor(x), floor(y));
        let (across, down) = (smooth(x - left as f32), smooth(y - top as f32));
        let row = |y: i32| {
            let start = (y & MASK) as usize * SIDE;
            let value = |x: i32| {
                self.lattice
                    .get(start + (x & MASK) as usize)
                    .copied()
                    .unwrap_or_default()
            };
            let (a, b) = (value(left), value(left.wrapping_add(1)));
            a + (b - a) * across
        };
        let (a, b) = (row(top), row(top.wrapping_add(1)));
        a + (b - a) * down
    }

    /// Three octaves, in `[0, 1]`.
    pub(crate) fn cloudy(&self, x: f32, y: f32) -> f32 {
        0.57 * self.at(x, y)
            + 0.29 * self.at(2.03 * x + 17.3, 2.03 * y + 5.9)
            + 0.14 * self.at(4.1 * x + 3.7, 4.1 * y + 41.1)
    }

    /// A number in `[0, 1]` for each cell of a grid.
    pub(crate) fn cell(&self, x: i32, y: i32) -> f32 {
        let mixed = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
        let mixed = (mixed ^ mixed >> 15).wrapping_mul(0x2C1B_3C6D);
        (mixed ^ mixed >> 13) as f32 / u32::MAX as f32
    }
}

/// The next whole number below. [`f32::floor`] is a call of the system's library on CPUs without its instruction.
pub(crate) fn floor(value: f32) -> i32 {
    let whole = value as i32;
    whole - i32::from((whole as f32) > value)
}

/// What is left above [`floor`].
pub(crate) fn fraction(value: f32) -> f32 {
    value - floor(value) as f32
}

pub(crate) fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(crate) fn step(low: f32, high: f32, value: f32) -> f32 {
    smooth(((value - low) / (high - low)).clamp(0.0, 1.0))
}

/// Like the sine of `turns`, from -1 to 1, without its cost: parabolas.
pub(crate) fn wave(turns: f32) -> f32 {
    let t = 2.0 * fraction(turns) - 1.0;
    4.0 * t * (t.abs() - 1.0)
}
