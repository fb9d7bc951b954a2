//! The grounds of one scene: one, or a lower one with sky or a wall behind it.

use zegclip_data::transforms::RandomStream;

use crate::color::Rgb;
use crate::ground::Ground;
use crate::noise::{DrawF32, Noise};
use crate::texture::Texture;

/// The grounds of one scene, and where they are.
#[derive(Debug)]
pub(crate) struct Backdrop {
    lower: Area,
    /// Above the horizon, which is at this height in pixels.
    upper: Option<(Area, f32)>,
}

#[derive(Debug)]
struct Area {
    ground: Ground,
    texture: Texture,
    /// Pixels of the unit of textures.
    unit: f32,
    view: View,
}

#[derive(Clone, Copy, Debug)]
enum View {
    /// Seen from the front or above, turned by the angle of this cosine and sine.
    Facing { cos: f32, sin: f32 },
    /// Reaching from the viewer to the horizon.
    Receding,
}

impl Backdrop {
    /// `unit`: the side in pixels of a scene whose pictures have the usual size.
    pub(crate) fn draw(stream: &mut RandomStream, size: u32, unit: f32) -> Self {
        let size = size as f32;
        let unit = unit * stream.range(0.75, 1.5);
        if stream.chance(0.5) {
            const LOWER: [Ground; 6] = [
                Ground::Grass,
                Ground::Sand,
                Ground::Sea,
                Ground::Snow,
                Ground::WoodenFloor,
                Ground::Road,
            ];
            let lower = stream.pick(&LOWER).copied().unwrap_or(Ground::Grass);
            let upper = match lower {
                Ground::Sea => Ground::Sky,
                Ground::WoodenFloor => Ground::BrickWall,
                _ if stream.chance(0.3) => Ground::BrickWall,
                _ => Ground::Sky,
            };
            let horizon = size * stream.range(0.25, 0.6);
            return Self {
                lower: Area::draw(stream, lower, unit, true),
                upper: Some((Area::draw(stream, upper, unit, false), horizon)),
            };
        }
        let ground = stream.pick(&Ground::ALL).copied().unwrap_or(Ground::Grass);
        Self {
            lower: Area::draw(stream, ground, unit, false),
            upper: None,
        }
    }

    /// The lower ground first.
    pub(crate) fn grounds(&self) -> impl Iterator<Item = Ground> {
        [
            Some(self.lower.ground),
            self.upper.as_ref().map(|(area, _)| area.ground),
        ]
        .into_iter()
        .flatten()
    }

    /// Height of the horizon in pixels, if there is one.
    pub(crate) fn horizon(&self) -> Option<f32> {
        self.upper.as_ref().map(|&(_, horizon)| horizon)
    }

    /// Paints all pixels, `[size, size]` in rows, and tells for each its ground's position in [`Self::grounds`].
    pub(crate) fn paint(&self, noise: &Noise, size: u32, mut pixel: impl FnMut(Rgb, usize)) {
        let middle = size as f32 / 2.0;
        for row in 0..size {
            let y = row as f32 + 0.5;
            let (area, position, top, bottom) = match &self.upper {
                Some((upper, horizon)) if y < *horizon => (upper, 1, 0.0, *horizon),
                Some((_, horizon)) => (&self.lower, 0, *horizon, size as f32),
                None => (&self.lower, 0, 0.0, size as f32),
            };
            for column in 0..size {
                let x = column as f32 + 0.5 - middle;
                pixel(area.color(noise, x, y, top, bottom), position);
            }
        }
    }
}

impl Area {
    fn draw(stream: &mut RandomStream, ground: Ground, unit: f32, receding: bool) -> Self {
        let turn = match ground {
            Ground::Sky => 0.06,
            Ground::BrickWall => 0.1,
            Ground::Sea => 0.12,
            Ground::Grass => 0.4,
            Ground::Sand | Ground::Snow => 0.6,
            // Floors and roads seen from above run any way.
            Ground::WoodenFloor | Ground::Road => std::f32::consts::FRAC_PI_2,
        };
        let (sin, cos) = stream.range(-turn, turn).sin_cos();
        Self {
            ground,
            texture: Texture::draw(stream, ground),
            unit,
            view: if receding {
                View::Receding
            } else {
                View::Facing { cos, sin }
            },
        }
    }

    /// `x` from the middle, `y` from the top of the scene; the area reaches from `top` to `bottom`.
    fn color(&self, noise: &Noise, x: f32, y: f32, top: f32, bottom: f32) -> Rgb {
        match self.view {
            View::Facing { cos, sin } => {
                let y = y - (top + bottom) / 2.0;
                // Skies are as high as they are painted: their color goes from top to bottom.
                let height = if self.ground == Ground::Sky {
                    bottom - top
                } else {
                    self.unit
                };
                let (u, v) = ((cos * x - sin * y) / self.unit, (sin * x + cos * y) / height);
                self.texture.color(noise, u, v, 1.0 / self.unit)
            }
            View::Receding => {
                // A plane below the eye: nearness grows evenly from the horizon down.
                let near = (y - top + 0.02 * self.unit) / (0.55 * self.unit);
                let (u, v) = (x / self.unit / near, -0.6 / near);
                // One row covers more ground the farther it is.
                let fine = (1.0 / (self.unit * near)).max(0.6 / (near * near) / (0.55 * self.unit) * 0.6);
                self.texture.color(noise, u, v, fine)
            }
        }
    }
}
