//! From component planes to RGB.

use super::{color::ColorSpace, header::Frame, planes::Plane, upsample::Upsampler};

/// Upsamples the planes to the image's size and converts their colors: `[height, width, 3]`.
pub(super) fn to_rgb(frame: &Frame, planes: &[Plane], space: ColorSpace) -> Vec<u8> {
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
    rgb
}
