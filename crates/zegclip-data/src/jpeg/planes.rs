//! Decoded samples, component by component, and their way to a picture.

use image::RgbImage;

use super::{Problem, color::ColorSpace, header::Frame, upsample::Upsampler};

/// Samples of one component in rows, padded to whole blocks.
pub(super) struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Columns that belong to the picture.
    pub(super) width: usize,
    /// Rows that belong to the picture.
    pub(super) height: usize,
}

impl Plane {
    /// Room for `columns × rows` blocks of 8×8 samples, of which `width × height` samples count.
    pub(super) fn new((columns, rows): (usize, usize), (width, height): (usize, usize)) -> Self {
        Self {
            samples: vec![0; columns * rows * 64],
            stride: columns * 8,
            width,
            height,
        }
    }

    /// Puts the samples of the block at column `x`, row `y` of blocks in place.
    #[inline]
    pub(super) fn put(&mut self, x: usize, y: usize, block: &[[u8; 8]; 8]) {
        let start = y * 8 * self.stride + x * 8;
        let rows = self
            .samples
            .get_mut(start..)
            .unwrap_or_default()
            .chunks_mut(self.stride.max(1));
        for (row, samples) in rows.zip(block) {
            if let Some(row) = row.first_chunk_mut() {
                *row = *samples;
            }
        }
    }

    /// The samples of a row that belong to the picture.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let start = y * self.stride;
        self.samples.get(start..start + self.width).unwrap_or_default()
    }
}

/// Stretches the planes to the picture's size and converts their colours.
pub(super) fn to_rgb(frame: &Frame, planes: &[Plane], space: ColorSpace) -> Result<RgbImage, Problem> {
    let (width, height) = (frame.width as usize, frame.height as usize);
    let mut rgb = vec![0; width * height * 3];
    let components = frame.components.iter().zip(planes);
    let mut upsamplers = components
        .map(|(component, plane)| {
            Upsampler::new(
                plane,
                (frame.largest.0, component.sampling.0),
                (frame.largest.1, component.sampling.1),
                width,
            )
        })
        .collect::<Vec<_>>();
    for (y, rgb) in rgb.chunks_exact_mut((width * 3).max(1)).enumerate() {
        let rows = upsamplers
            .iter_mut()
            .map(|upsampler| upsampler.row(y))
            .collect::<Vec<_>>();
        space.convert(&rows, rgb);
    }
    RgbImage::from_raw(frame.width, frame.height, rgb).ok_or_else(|| Problem::new("it is too large"))
}
