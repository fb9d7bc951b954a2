//! How a picture lies in the scene: size, turn, flip, shear, bending.

use crate::noise::DrawF32;
use crate::settings::Augmentation;
use zegclip_data::transforms::RandomStream;

/// From the scene, relative to the picture's center, to the picture's own pixels relative to its center.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pose {
    /// Rows of the matrix.
    pub(crate) inverse: [[f32; 2]; 2],
    /// Half the size of the turned picture in the scene, `[x, y]`.
    pub(crate) half: [f32; 2],
    /// Waves that bend the picture: amplitude in the picture's pixels, turns a pixel, phase in turns; along x and y.
    pub(crate) bend: Option<[[f32; 3]; 2]>,
}

impl Pose {
    /// `size`: the longer side of the picture in the scene; `upright`: it stands, so turns little.
    pub(crate) fn draw(
        stream: &mut RandomStream,
        (width, height): (f32, f32),
        size: f32,
        upright: bool,
        augmentation: Augmentation,
    ) -> Self {
        let strong = augmentation == Augmentation::Strong;
        let turn = match (upright, strong) {
            (true, _) => 0.14,
            (false, false) => 0.35,
            (false, true) if stream.chance(0.1) => 1.2,
            (false, true) => 0.5,
        };
        let (sin, cos) = stream.range(-turn, turn).sin_cos();
        let flip = if stream.chance(0.5) { -1.0 } else { 1.0 };
        let (stretch, shear) = if strong {
            (stream.range(0.8, 1.25), stream.range(-0.2, 0.2))
        } else {
            (stream.range(0.95, 1.05), 0.0)
        };
        let scale = size / width.max(height);
        let (across, down) = (scale * flip * stretch.sqrt(), scale / stretch.sqrt());
        // Turn · shear · scale.
        let forward = [
            [cos * across, (cos * shear - sin) * down],
            [sin * across, (sin * shear + cos) * down],
        ];
        let half = forward.map(|[x, y]| (x.abs() * width + y.abs() * height) / 2.0);
        let determinant = forward[0][0] * forward[1][1] - forward[0][1] * forward[1][0];
        let inverse = [
            [forward[1][1] / determinant, -forward[0][1] / determinant],
            [-forward[1][0] / determinant, forward[0][0] / determinant],
        ];
        let bend = (strong && stream.chance(0.5)).then(|| {
            [width, height].map(|length| {
                let longest = width.max(height);
                [
                    stream.range(0.0, 0.04) * longest,
                    stream.range(0.6, 1.8) / length,
                    stream.range(0.0, 1.0),
                ]
            })
        });
        let bent = bend.map_or(0.0, |[x, y]| (x[0] + y[0]) * scale * 1.3);
        Self {
            inverse,
            half: half.map(|half| half + bent),
            bend,
        }
    }

    /// Pixels of the picture that one pixel of the scene covers.
    pub(crate) fn step(&self) -> f32 {
        let [[a, b], [c, d]] = self.inverse;
        a.hypot(c).min(b.hypot(d))
    }

    /// The same picture cast on the ground as a shadow: `height` of its height, leaning by `lean`, from its lower edge.
    pub(crate) fn cast(&self, height: f32, lean: f32) -> Self {
        // Scene coordinates are first taken back from the ground into the upright plane.
        let [[a, b], [c, d]] = self.inverse;
        let column = |x: f32, y: f32| (y - x * lean) / height;
        Self {
            inverse: [[a, column(a, b)], [c, column(c, d)]],
            half: [self.half[0] + lean.abs() * self.half[1], self.half[1] * height],
            bend: self.bend,
        }
    }
}
