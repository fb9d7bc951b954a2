//! How grounds look: colors as functions of a place on the ground.

use crate::color::{Rgb, hsv, mix, scale};
use crate::ground::Ground;
use crate::noise::{DrawF32, Noise, floor, fraction, step, wave};
use zegclip_data::transforms::RandomStream;

/// A ground with its random looks. Places on it, `(u, v)`, have the unit of a scene's side.
#[derive(Clone, Debug)]
pub(crate) struct Texture {
    ground: Ground,
    /// Main, second and third color; what they are depends on the ground.
    colors: [Rgb; 3],
    /// Numbers in `[0, 1]` that shape the ground.
    dials: [f32; 6],
    offset: [f32; 2],
}

impl Texture {
    pub(crate) fn draw(stream: &mut RandomStream, ground: Ground) -> Self {
        Self {
            ground,
            colors: colors(stream, ground),
            dials: std::array::from_fn(|_| stream.range(0.0, 1.0)),
            offset: std::array::from_fn(|_| stream.range(0.0, 64.0)),
        }
    }

    /// The color at `(u, v)`; `fine` is the size of a pixel there: what is finer fades to its average.
    pub(crate) fn color(&self, noise: &Noise, u: f32, v: f32, fine: f32) -> Rgb {
        let fade = |frequency: f32| (1.6 - 2.2 * fine * frequency).clamp(0.0, 1.0);
        let place = Place {
            noise,
            u: u + self.offset[0],
            v: v + self.offset[1],
        };
        match self.ground {
            Ground::Grass => self.grass(&place, fade),
            Ground::Sand => self.sand(&place, fade),
            Ground::Sea => self.sea(&place, fade),
            Ground::Sky => self.sky(noise, u, v),
            Ground::Snow => self.snow(&place, fade),
            Ground::BrickWall => self.brick_wall(&place, fade),
            Ground::WoodenFloor => self.wooden_floor(&place, fade),
            Ground::Road => self.road(&place, u, fade),
        }
    }

    fn grass(&self, place: &Place<'_>, fade: impl Fn(f32) -> f32) -> Rgb {
        let [light, dark, dry] = self.colors;
        let length = 9.0 + 10.0 * self.dials[0];
        // Blades are long one way and thin the other; two layers lean differently.
        let lean = 0.5 * (self.dials[1] - 0.5);
        let blades = |lean: f32, width: f32, seed: f32| {
            place
                .noise
                .at((place.u + lean * place.v) * width + seed, place.v * length + seed)
        };
        let near = fade(60.0);
        let layer = 0.5 * blades(lean + 0.3, 62.0, 0.0) + 0.5 * blades(lean - 0.25, 48.0, 31.7);
        let blade = 0.5 + (step(0.25, 0.75, layer) - 0.5) * near;
        let patch = place.cloudy(3.0);
        let mut color = mix(dark, light, 0.75 * blade + 0.25 * patch);
        color = mix(color, dry, 0.7 * self.dials[2] * step(0.5, 0.8, place.cloudy(1.7)));
        if self.dials[3] > 0.72 {
            color = self.flower(place, color);
        }
        color
    }

    fn flower(&self, place: &Place<'_>, color: Rgb) -> Rgb {
        const CELLS: f32 = 9.0;
        let (x, y) = (place.u * CELLS, place.v * CELLS);
        let (column, row) = (floor(x), floor(y));
        if place.noise.cell(column, row) > 0.25 {
            return color;
        }
        let center = |seed: i32| 0.25 + 0.5 * place.noise.cell(column + seed, row);
        let distance = (fraction(x) - center(101)).hypot(fraction(y) - center(211));
        let petals = if self.dials[4] > 0.5 {
            [0.97, 0.95, 0.9]
        } else {
            [0.98, 0.85, 0.25]
        };
        let heart = mix([0.95, 0.75, 0.15], petals, step(0.05, 0.07, distance));
        mix(heart, color, step(0.13, 0.18, distance))
    }

    fn sand(&self, place: &Place<'_>, fade: impl Fn(f32) -> f32) -> Rgb {
        let [light, dark, pebble] = self.colors;
        let bend = place.cloudy(3.2);
        let ripples = wave(place.v * (5.0 + 8.0 * self.dials[0]) + 2.2 * bend);
        let strength = 0.35 * step(0.25, 0.6, self.dials[1]) * fade(14.0);
        let grain = (place.at(120.0) - 0.5) * fade(90.0) + (place.at(55.0) - 0.5) * fade(50.0);
        let shade = 0.5 + 0.5 * strength * ripples + 0.45 * grain + 0.7 * (bend - 0.5);
        let color = mix(dark, light, shade.clamp(0.0, 1.0));
        let pebbles = step(0.9, 0.96, place.at(26.0)) * fade(26.0) * step(0.4, 0.5, self.dials[2]);
        mix(color, pebble, 0.7 * pebbles)
    }

    fn sea(&self, place: &Place<'_>, fade: impl Fn(f32) -> f32) -> Rgb {
        let [light, dark, foam] = self.colors;
        let swell = place.stretched(3.0, 8.0);
        let warp = 0.09 * place.cloudy(4.0);
        let crest = |across: f32, down: f32| {
            let value = place.noise.at(place.u * across, (place.v + warp) * down + 0.6 * swell);
            1.0 - (2.0 * value - 1.0).abs()
        };
        let near = fade(26.0);
        let waves = 0.55 * crest(5.0, 17.0) + 0.45 * crest(11.0, 34.0) * near + 0.22 * (1.0 - near);
        let color = mix(dark, light, (0.6 * waves + 0.6 * (swell - 0.3)).clamp(0.0, 1.0));
        let foamy = step(0.80 - 0.06 * self.dials[0], 0.95, waves) * (0.35 + 0.4 * self.dials[1]);
        mix(color, foam, foamy * fade(18.0))
    }

    fn sky(&self, noise: &Noise, u: f32, v: f32) -> Rgb {
        let [high, low, haze] = self.colors;
        let color = mix(high, low, step(-0.55, 0.65, v + 0.12 * (self.dials[0] - 0.5)));
        // Thin streaks: a heaped cloud would be a thing of its own.
        let streak = noise.cloudy(2.2 * u + self.offset[0], 9.0 * v + 1.1 * u + self.offset[1]);
        mix(color, haze, 0.55 * self.dials[1] * step(0.45, 0.85, streak))
    }

    fn snow(&self, place: &Place<'_>, fade: impl Fn(f32) -> f32) -> Rgb {
        let [light, shadow, _] = self.colors;
        let size = 2.0 + 3.0 * self.dials[0];
        let height = |shift: f32| {
            place
                .noise
                .cloudy((place.u + shift) * size, (place.v + 0.6 * shift) * size * 1.6)
        };
        let slope = 9.0 * (height(0.02) - height(0.0));
        let grain = (place.at(110.0) - 0.5) * fade(90.0);
        let color = mix(shadow, light, (0.68 + slope + 0.16 * grain).clamp(0.0, 1.0));
        let sparkle = step(0.93, 0.99, place.at(95.0)) * fade(80.0);
        mix(color, [1.0; 3], 0.8 * sparkle)
    }

    fn brick_wall(&self, place: &Place<'_>, fade: impl Fn(f32) -> f32) -> Rgb {
        let [brick, other, mortar] = self.colors;
        let rows = 7.0 + 5.0 * self.dials[0];
        let columns = rows / (2.0 + 0.8 * self.dials[1]);
        let y = place.v * rows + 0.04 * place.at(9.0);
        let row = floor(y);
        let x = place.u * columns + 0.5 * (row & 1) as f32 + 0.03 * place.at(7.0);
        let hue = place.noise.cell(floor(x), row);
        let rough = 0.16 * (place.at(40.0) - 0.5) * fade(40.0) + 0.2 * (place.at(15.0) - 0.5);
        let face = scale(mix(brick, other, hue), 0.92 + 0.2 * fraction(hue * 7.0) + rough);
        // Distance to the joint in rows; light from above left gives each brick an edge.
        let (inner_x, inner_y) = (fraction(x) * rows / columns, fraction(y));
        let (right, lower) = (rows / columns - inner_x, 1.0 - inner_y);
        let joint = inner_x.min(right).min(inner_y).min(lower);
        let width = 0.05 + 0.05 * self.dials[2];
        let bevel = step(0.26, 0.1, inner_y.min(inner_x)) - step(0.26, 0.1, lower.min(right));
        let face = scale(face, 1.0 + 0.13 * bevel * fade(rows * 3.0));
        let joints = scale(mortar, 0.9 + 0.2 * place.at(50.0));
        mix(joints, face, step(width, width + 0.08, joint))
    }

    fn wooden_floor(&self, place: &Place<'_>, fade: impl Fn(f32) -> f32) -> Rgb {
        let [light, dark, gap] = self.colors;
        let planks = 4.0 + 4.0 * self.dials[0];
        let y = place.v * planks;
        let row = floor(y);
        let shift = place.noise.cell(row, 17);
        let x = place.u * (0.9 + 0.8 * self.dials[1]) + 3.0 * shift;
        let plank = place.noise.cell(floor(x), row);
        // Year rings: stretched noise, another piece for every plank.
        let (along, across) = (place.u * 2.6 + 13.0 * plank, place.v * planks + 29.0 * plank);
        let rings = place.noise.at(along, across * 1.3) * 5.0 + across;
        let ring = (fraction(rings) * 2.0 - 1.0).abs();
        let fiber = (place.noise.at(along * 5.0, across * 11.0) - 0.5) * fade(planks * 6.0);
        let tone = 0.35 * ring + 0.4 * plank + 0.5 * fiber + 0.15;
        let color = mix(dark, light, tone.clamp(0.0, 1.0));
        let edge = fraction(y).min(1.0 - fraction(y)) / planks;
        let end = fraction(x).min(1.0 - fraction(x)) / 1.3;
        mix(gap, color, step(0.001, 0.007, edge.min(end)))
    }

    fn road(&self, place: &Place<'_>, u: f32, fade: impl Fn(f32) -> f32) -> Rgb {
        let [light, dark, line] = self.colors;
        let grain = 0.5 * (place.at(105.0) - 0.5) * fade(90.0) + 0.4 * (place.at(48.0) - 0.5) * fade(48.0);
        let patch = place.cloudy(2.1) - 0.5;
        let mut color = mix(dark, light, (0.5 + 0.9 * grain + 0.6 * patch).clamp(0.0, 1.0));
        let crack = (place.noise.cloudy(place.u * 4.0, place.v * 4.0) - 0.5).abs();
        let cracked = step(0.012, 0.004, crack) * step(0.5, 0.6, self.dials[0]) * fade(40.0);
        color = mix(color, scale(dark, 0.5), 0.7 * cracked);
        // A broken line along the road, or two closed ones at its sides.
        let (center, width) = (0.3 * (self.dials[1] - 0.5), 0.022 + 0.016 * self.dials[2]);
        let worn = 0.75 + 0.25 * step(0.3, 0.5, place.at(22.0));
        let painted = |middle: f32| step(width, width - 0.012, (u - middle).abs());
        let paint = if self.dials[3] < 0.65 {
            painted(center) * step(0.62, 0.58, fraction(place.v * 2.2))
        } else if self.dials[3] < 0.85 {
            painted(center - 0.42).max(painted(center + 0.42))
        } else {
            0.0
        };
        mix(color, line, paint * worn)
    }
}

struct Place<'a> {
    noise: &'a Noise,
    u: f32,
    v: f32,
}

impl Place<'_> {
    fn at(&self, frequency: f32) -> f32 {
        self.noise.at(self.u * frequency, self.v * frequency)
    }

    fn cloudy(&self, frequency: f32) -> f32 {
        self.noise.cloudy(self.u * frequency, self.v * frequency)
    }

    fn stretched(&self, across: f32, down: f32) -> f32 {
        self.noise.at(self.u * across, self.v * down)
    }
}

fn colors(stream: &mut RandomStream, ground: Ground) -> [Rgb; 3] {
    let rare = stream.chance(0.3);
    match ground {
        Ground::Grass => {
            let hue = stream.range(82.0, 128.0);
            let (saturation, value) = (stream.range(0.45, 0.75), stream.range(0.5, 0.8));
            [
                hsv(hue - 8.0, saturation, value),
                hsv(hue + 8.0, saturation + 0.12, value * 0.48),
                hsv(stream.range(48.0, 70.0), 0.5, value),
            ]
        }
        Ground::Sand => {
            let hue = stream.range(28.0, 48.0);
            let (saturation, value) = (stream.range(0.22, 0.5), stream.range(0.8, 0.98));
            [
                hsv(hue, saturation, value),
                hsv(hue - 6.0, saturation + 0.12, value * 0.72),
                hsv(hue - 10.0, stream.range(0.05, 0.35), stream.range(0.35, 0.65)),
            ]
        }
        Ground::Sea => {
            let hue = if rare {
                stream.range(172.0, 188.0)
            } else {
                stream.range(192.0, 222.0)
            };
            let (saturation, value) = (stream.range(0.5, 0.85), stream.range(0.5, 0.82));
            [
                hsv(hue - 8.0, saturation * 0.75, (value * 1.25).min(0.95)),
                hsv(hue + 6.0, (saturation + 0.1).min(1.0), value * 0.5),
                [0.93, 0.97, 0.98],
            ]
        }
        Ground::Sky if rare => {
            // Morning and evening.
            let hue = stream.range(8.0, 42.0);
            [
                hsv(
                    stream.range(205.0, 265.0),
                    stream.range(0.3, 0.6),
                    stream.range(0.45, 0.85),
                ),
                hsv(hue, stream.range(0.35, 0.6), 0.98),
                hsv(hue - 12.0, 0.4, 1.0),
            ]
        }
        Ground::Sky => {
            let hue = stream.range(196.0, 220.0);
            [
                hsv(hue, stream.range(0.45, 0.8), stream.range(0.75, 0.95)),
                hsv(hue - 6.0, stream.range(0.12, 0.35), 0.99),
                [0.97, 0.98, 1.0],
            ]
        }
        Ground::Snow => {
            let hue = stream.range(200.0, 235.0);
            [
                hsv(hue, 0.02, stream.range(0.95, 1.0)),
                hsv(hue, stream.range(0.14, 0.3), stream.range(0.72, 0.86)),
                [1.0; 3],
            ]
        }
        Ground::BrickWall => {
            let hue = stream.range(4.0, 26.0);
            let (saturation, value) = if rare {
                (stream.range(0.08, 0.35), stream.range(0.6, 0.85))
            } else {
                (stream.range(0.45, 0.7), stream.range(0.5, 0.75))
            };
            let gray = stream.range(0.5, 0.88);
            [
                hsv(hue, saturation, value),
                hsv(hue + 8.0, saturation * 0.85, value * 0.72),
                [gray, gray * 0.98, gray * 0.94],
            ]
        }
        Ground::WoodenFloor => {
            let hue = stream.range(20.0, 36.0);
            let (saturation, value) = if rare {
                (stream.range(0.12, 0.3), stream.range(0.6, 0.85))
            } else {
                (stream.range(0.4, 0.68), stream.range(0.55, 0.9))
            };
            [
                hsv(hue + 3.0, saturation * 0.85, value),
                hsv(hue - 4.0, saturation, value * 0.6),
                hsv(hue - 6.0, saturation, value * 0.25),
            ]
        }
        Ground::Road => {
            let gray = stream.range(0.28, 0.6);
            let tint = stream.range(-0.02, 0.02);
            let line = if rare { [0.95, 0.78, 0.2] } else { [0.94, 0.94, 0.92] };
            [
                [gray * 1.2 + tint, gray * 1.2, gray * 1.2 - tint],
                [gray * 0.72 + tint, gray * 0.72, gray * 0.72],
                line,
            ]
        }
    }
}
