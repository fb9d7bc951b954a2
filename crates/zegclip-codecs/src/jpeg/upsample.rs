//! Chroma planes to full size, as libjpeg does by default: triangle interpolation where a side is halved ("fancy
//! upsampling"), repetition elsewhere. The alternating rounding offsets keep the mean.

use super::planes::Plane;

/// How a plane is upsampled to the image's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Full,
    HalfWidth,
    HalfHeight,
    HalfBoth,
    Repeat { horizontal: usize, vertical: usize },
}

/// Makes full-size rows of one plane.
pub(super) struct Upsampler<'a> {
    plane: &'a Plane,
    method: Method,
    row: Vec<u8>,
    /// Vertically weighted sums of the two nearest rows.
    sums: Vec<i32>,
}

impl<'a> Upsampler<'a> {
    /// `horizontal`, `vertical`: how many image samples one sample of the plane covers, times its own sampling
    /// factors: `(largest factor, own factor)`.
    pub(super) fn new(plane: &'a Plane, horizontal: (usize, usize), vertical: (usize, usize), width: usize) -> Self {
        let halved = |(largest, own): (usize, usize)| own * 2 == largest;
        let equal = |(largest, own): (usize, usize)| own == largest;
        // libjpeg interpolates columns only where a plane has more than two.
        let wide = plane.width > 2;
        let method = match () {
            () if equal(horizontal) && equal(vertical) => Method::Full,
            () if halved(horizontal) && equal(vertical) && wide => Method::HalfWidth,
            () if equal(horizontal) && halved(vertical) => Method::HalfHeight,
            () if halved(horizontal) && halved(vertical) && wide => Method::HalfBoth,
            () => Method::Repeat {
                horizontal: horizontal.0 / horizontal.1,
                vertical: vertical.0 / vertical.1,
            },
        };
        Self {
            plane,
            method,
            row: vec![0; width + 1],
            sums: vec![0; plane.width],
        }
    }

    /// Row `y` of the image, at least `[width]` samples.
    pub(super) fn row(&mut self, y: usize) -> &[u8] {
        match self.method {
            Method::Full => return self.plane.row(y),
            Method::HalfWidth => {
                let samples = self.plane.row(y).iter().map(|&sample| i32::from(sample));
                self.sums
                    .iter_mut()
                    .zip(samples)
                    .for_each(|(sum, sample)| *sum = sample);
                interpolate(&self.sums, &mut self.row, 1, 2, 2);
            }
            Method::HalfHeight => {
                self.weight_rows(y);
                let offset = if y.is_multiple_of(2) { 1 } else { 2 };
                for (sample, sum) in self.row.iter_mut().zip(&self.sums) {
                    *sample = ((sum + offset) >> 2) as u8;
                }
            }
            Method::HalfBoth => {
                self.weight_rows(y);
                interpolate(&self.sums, &mut self.row, 8, 7, 4);
            }
            Method::Repeat { horizontal, vertical } => {
                let samples = self.plane.row(y / vertical.max(1));
                for (repeated, &sample) in self.row.chunks_mut(horizontal.max(1)).zip(samples) {
                    repeated.fill(sample);
                }
            }
        }
        &self.row
    }

    /// Three parts of the nearest row and one of the next nearest; the plane's first and last rows are repeated.
    fn weight_rows(&mut self, y: usize) {
        let near = y / 2;
        let far = if y.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(self.plane.height - 1)
        };
        let rows = self.plane.row(near).iter().zip(self.plane.row(far));
        for (sum, (&near, &far)) in self.sums.iter_mut().zip(rows) {
            *sum = 3 * i32::from(near) + i32::from(far);
        }
    }
}

/// Doubles a row: three parts of the nearest sample and one of the next nearest. `left` and `right` are the offsets
/// before `shift` bits go, of the sample to the left and to the right of each center.
fn interpolate(samples: &[i32], row: &mut [u8], left: i32, right: i32, shift: u32) {
    let at = |position: usize| samples.get(position).copied().unwrap_or_default();
    let last = samples.len().saturating_sub(1);
    let mut put = |position: usize, value: i32| {
        if let Some(sample) = row.get_mut(position) {
            *sample = value as u8;
        }
    };
    // The outermost samples are taken as they are.
    put(0, (4 * at(0) + left) >> shift);
    put(2 * last + 1, (4 * at(last) + right) >> shift);
    for (position, pair) in samples.windows(2).enumerate() {
        if let [near, next] = *pair {
            put(2 * position + 1, (3 * near + next + right) >> shift);
            put(2 * position + 2, (3 * next + near + left) >> shift);
        }
    }
}
