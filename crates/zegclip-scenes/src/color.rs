//! Colors as three numbers from 0 to 1.

/// Red, green and blue in `[0, 1]`, sRGB.
pub(crate) type Rgb = [f32; 3];

pub(crate) fn mix(a: Rgb, b: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * share)
}

pub(crate) fn scale(color: Rgb, factor: f32) -> Rgb {
    color.map(|value| value * factor)
}

/// Weighted as ITU-R BT.601 does.
pub(crate) fn luminance([red, green, blue]: Rgb) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// `hue` in degrees, `saturation` and `value` in `[0, 1]`.
pub(crate) fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    let channel = |offset: f32| {
        let k = (offset + hue / 60.0).rem_euclid(6.0);
        value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}

/// A matrix and an offset on colors: turns of hue, saturation, contrast and brightness in one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColorShift {
    rows: [Rgb; 3],
    offset: f32,
}

impl ColorShift {
    /// Hue in radians, the others as factors with 1 for no change.
    pub(crate) fn new(hue: f32, saturation: f32, contrast: f32, brightness: f32) -> Self {
        let (sin, cos) = hue.sin_cos();
        // A turn about the gray axis: gray stays gray.
        let third = (1.0 - cos) / 3.0;
        let side = (1.0_f32 / 3.0).sqrt() * sin;
        let turn = [
            [cos + third, third - side, third + side],
            [third + side, cos + third, third - side],
            [third - side, third + side, cos + third],
        ];
        let gray = [0.299, 0.587, 0.114];
        let gain = contrast * brightness;
        let rows = std::array::from_fn(|row: usize| {
            std::array::from_fn(|column: usize| {
                let turned_gray = (0..3).map(|k| gray[k] * turn[k][column]).sum::<f32>();
                gain * (turned_gray + saturation * (turn[row][column] - turned_gray))
            })
        });
        Self {
            rows,
            offset: brightness * 0.5 * (1.0 - contrast),
        }
    }

    pub(crate) fn apply(&self, color: Rgb) -> Rgb {
        self.rows
            .map(|row| (row[0] * color[0] + row[1] * color[1] + row[2] * color[2] + self.offset).clamp(0.0, 1.0))
    }
}
