//! The taps of [`bilinear_taps`](crate::bilinear_taps) in kernels.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Position of a sample on the line that is resampled; `scale` is that line's length over the new one's.
#[cube]
pub(crate) fn position(index: usize, scale: f32) -> f32 {
    let center = (f32::cast_from(index as u32) + 0.5f32) * scale - 0.5f32;
    center.max(0.0f32)
}

/// Length of the line that is resampled over that of the new one.
#[cube]
pub(crate) fn scale(from: usize, to: usize) -> f32 {
    f32::cast_from(from as u32) / f32::cast_from(to as u32)
}

/// The two samples around a position, and the weight of the second.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Tap {
    pub(crate) low: usize,
    pub(crate) high: usize,
    pub(crate) fraction: f32,
}

/// The tap of a sample of the new line, of length `to`, on that of length `from`.
#[cube]
pub(crate) fn sample(index: usize, from: usize, to: usize) -> Tap {
    tap(position(index, scale(from, to)), from)
}

/// The tap of a position on a line of `samples` samples.
#[cube]
pub(crate) fn tap(position: f32, samples: usize) -> Tap {
    let low = (u32::cast_from(position) as usize).min(samples - 1);
    Tap {
        low,
        high: (low + 1).min(samples - 1),
        fraction: position - f32::cast_from(low as u32),
    }
}
