//! The samples and weights of bilinear resizing, without burn.

/// The two input samples of an output sample, and their weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tap {
    /// Index of the sample before the position.
    pub low: usize,
    /// Index of the sample after it; equals `low` at the end of the line.
    pub high: usize,
    /// Weight of `high`, in `[0, 1)`; that of `low` is `1 − fraction`.
    pub fraction: f32,
}

/// The matrix `[output, input]`, row by row, of the resampling of [`bilinear_taps`]. Every row sums to one.
pub fn bilinear_weights(input: usize, output: usize) -> Vec<f32> {
    let mut weights = vec![0f32; input * output];
    for (row, tap) in weights.chunks_exact_mut(input).zip(bilinear_taps(input, output)) {
        row[tap.low] += 1.0 - tap.fraction;
        row[tap.high] += tap.fraction;
    }
    weights
}

/// The [`Tap`] of each of `output` samples over a line of `input` samples: half-pixel centers and border values
/// repeated outwards, as in PyTorch's `interpolate(mode="bilinear", align_corners=False)`.
pub fn bilinear_taps(input: usize, output: usize) -> impl Iterator<Item = Tap> {
    let scale = input as f32 / output as f32;
    (0..output).map(move |index| {
        let position = ((index as f32 + 0.5) * scale - 0.5).max(0.0);
        let low = (position as usize).min(input - 1);
        Tap {
            low,
            high: (low + 1).min(input - 1),
            fraction: position - low as f32,
        }
    })
}
