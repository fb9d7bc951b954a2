//! Imitations of other drawing styles: colors, outlines, flatness.

use crate::color::{ColorShift, Rgb, hsv, luminance, mix};
use crate::noise::{DrawF32, step};
use crate::settings::Augmentation;
use crate::sprite::Sprite;
use zegclip_data::transforms::RandomStream;

/// What colors mean for a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Made things come in any color.
    Made,
    /// Animals come in several.
    Animal,
    /// A lemon of another color is not a lemon.
    Colored,
}

impl Kind {
    pub(crate) fn of_group(group: &str) -> Self {
        match group {
            "animal" | "person" => Self::Animal,
            "food" | "plant" | "nature" => Self::Colored,
            _ => Self::Made,
        }
    }
}

/// The looks of one picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    shift: ColorShift,
    /// Steps of brightness, if few.
    posterize: Option<f32>,
    /// Light across the picture: direction and strength.
    shade: [f32; 2],
    /// Share of darkening or lightening towards the rim.
    rim: f32,
    outline: Option<Outline>,
    /// Lines on paper instead of areas.
    sketch: Option<(Rgb, Rgb)>,
    /// Levels by which colors are coarser than the shape.
    pub(crate) flatten: usize,
}

#[derive(Clone, Copy, Debug)]
struct Outline {
    color: Rgb,
    radius: f32,
    /// Such lines inside too, between areas of different brightness, as comics have them.
    inside: bool,
}

impl Style {
    pub(crate) fn draw(stream: &mut RandomStream, kind: Kind, augmentation: Augmentation) -> Self {
        let mild = Self {
            shift: ColorShift::new(
                stream.range(-0.08, 0.08),
                stream.range(0.85, 1.15),
                stream.range(0.9, 1.1),
                stream.range(0.92, 1.08),
            ),
            posterize: None,
            shade: [0.0, 0.0],
            rim: 0.0,
            outline: None,
            sketch: None,
            flatten: 0,
        };
        match augmentation {
            Augmentation::Mild => mild,
            Augmentation::Strong => Self::draw_strong(stream, kind),
        }
    }

    fn draw_strong(stream: &mut RandomStream, kind: Kind) -> Self {
        let (usual, rare) = match kind {
            Kind::Made => (0.5, std::f32::consts::PI),
            Kind::Animal => (0.2, 0.7),
            Kind::Colored => (0.13, 0.25),
        };
        let hue = if stream.chance(0.25) { rare } else { usual };
        let saturation = if stream.chance(0.07) {
            stream.range(0.0, 0.25)
        } else {
            stream.range(0.55, 1.6)
        };
        let shift = ColorShift::new(
            stream.range(-hue, hue),
            saturation,
            stream.range(0.7, 1.35),
            stream.range(0.75, 1.25),
        );
        let angle = stream.range(0.0, std::f32::consts::TAU);
        let strength = if stream.chance(0.5) {
            stream.range(0.0, 0.35)
        } else {
            0.0
        };
        // Broad lines around and inside are what a model that never met them takes for things of their own.
        let comic = stream.chance(0.25);
        let outline = (comic || stream.chance(0.25)).then(|| Outline {
            color: if !comic && stream.chance(0.12) {
                [1.0; 3]
            } else {
                hsv(stream.range(0.0, 360.0), stream.range(0.0, 0.6), stream.range(0.0, 0.3))
            },
            radius: if comic {
                stream.range(0.02, 0.05)
            } else {
                stream.range(0.012, 0.035)
            },
            inside: comic,
        });
        let sketch = stream.chance(0.03).then(|| {
            let paper = stream.range(0.85, 1.0);
            (
                [paper, paper, paper * stream.range(0.9, 1.0)],
                [stream.range(0.0, 0.3); 3],
            )
        });
        Self {
            shift,
            posterize: stream
                .chance(if comic { 0.4 } else { 0.12 })
                .then(|| stream.range(3.0, 6.0)),
            shade: [angle.cos() * strength, angle.sin() * strength],
            rim: if stream.chance(0.3) {
                stream.range(-0.35, 0.25)
            } else {
                0.0
            },
            outline,
            sketch,
            flatten: if !comic && stream.chance(0.15) {
                stream.integer(1, 2)
            } else {
                0
            },
        }
    }

    /// Pixels that the outline adds around a picture of `size` pixels.
    pub(crate) fn margin(&self, size: f32) -> usize {
        self.outline_radius(size).map_or(0, |radius| radius.ceil() as usize)
    }

    fn outline_radius(&self, size: f32) -> Option<f32> {
        self.outline.map(|outline| (outline.radius * size).max(0.8))
    }

    /// Restyles a picture of `size` pixels.
    pub(crate) fn apply(&self, sprite: &mut Sprite, size: f32) {
        let outline = self.outline.zip(self.outline_radius(size));
        let lines = outline.filter(|(outline, _)| outline.inside);
        let slopes = if self.sketch.is_some() || lines.is_some() {
            slopes(sprite)
        } else {
            Vec::new()
        };
        if let Some((paper, ink)) = self.sketch {
            sketch(sprite, &slopes, paper, ink);
        }
        self.recolor(sprite, size);
        if let Some((Outline { color, .. }, radius)) = lines {
            // As broad as the outline: where that is less than a pixel, fainter.
            draw_lines(sprite, &slopes, color, radius.min(1.0));
        }
        if let Some((Outline { color, .. }, radius)) = outline {
            draw_outline(sprite, color, radius);
        }
    }

    fn recolor(&self, sprite: &mut Sprite, size: f32) {
        let (width, height) = (sprite.width, sprite.height);
        let half = [width as f32 / 2.0, height as f32 / 2.0];
        let shaded = self.shade != [0.0, 0.0] || self.rim != 0.0;
        for (y, row) in sprite.pixels.chunks_exact_mut(width.max(1)).enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                let opacity = pixel[3];
                if opacity < 0.004 {
                    continue;
                }
                let color = [pixel[0], pixel[1], pixel[2]].map(|value| value / opacity);
                let mut color = if self.sketch.is_some() {
                    color
                } else {
                    self.shift.apply(color)
                };
                if let Some(steps) = self.posterize {
                    color = color.map(|value| (value * steps).round() / steps);
                }
                if shaded {
                    let across = 2.0 * (x as f32 - half[0]) / size;
                    let down = 2.0 * (y as f32 - half[1]) / size;
                    let light = 1.0
                        + self.shade[0] * across
                        + self.shade[1] * down
                        + self.rim * (across * across + down * down).min(1.0);
                    color = color.map(|value| (value * light).clamp(0.0, 1.0));
                }
                *pixel = [color[0] * opacity, color[1] * opacity, color[2] * opacity, opacity];
            }
        }
    }
}

/// How much brightness changes around each pixel.
fn slopes(sprite: &Sprite) -> Vec<f32> {
    let width = sprite.width;
    let gray = |pixel: &[f32; 4]| luminance([pixel[0], pixel[1], pixel[2]]);
    let brightness = sprite.pixels.iter().map(gray).collect::<Vec<_>>();
    let value = |position: usize| brightness.get(position).copied().unwrap_or_default();
    let change = |position: usize, step: usize| {
        let (after, before) = (value(position + step), value(position.saturating_sub(step)));
        (after - before).abs()
    };
    let slope = |position: usize| change(position, 1).max(change(position, width));
    (0..brightness.len()).map(slope).collect()
}

/// Dark lines where brightness changes, paper elsewhere.
fn sketch(sprite: &mut Sprite, slopes: &[f32], paper: Rgb, ink: Rgb) {
    for (pixel, slope) in sprite.pixels.iter_mut().zip(slopes) {
        let color = mix(paper, ink, step(0.06, 0.3, *slope));
        *pixel = [color[0] * pixel[3], color[1] * pixel[3], color[2] * pixel[3], pixel[3]];
    }
}

/// Dark lines where brightness changed before colors did, on top of these.
fn draw_lines(sprite: &mut Sprite, slopes: &[f32], ink: Rgb, strength: f32) {
    for (pixel, slope) in sprite.pixels.iter_mut().zip(slopes) {
        let share = strength * step(0.08, 0.3, *slope);
        let opacity = pixel[3];
        for (value, ink) in pixel.iter_mut().zip(ink) {
            *value += (ink * opacity - *value) * share;
        }
    }
}

/// A rim of one color around the shape; it is part of the thing.
fn draw_outline(sprite: &mut Sprite, color: Rgb, radius: f32) {
    let opacities = sprite.pixels.iter().map(|pixel| pixel[3]).collect::<Vec<_>>();
    // Grown by a square with soft ends: first along rows, then along columns.
    let across = grow(&opacities, sprite.width, 1, radius);
    let grown = grow(&across, across.len(), sprite.width, radius);
    for (pixel, grown) in sprite.pixels.iter_mut().zip(grown) {
        // Only what the picture leaves free: its own half-transparent inside stays so.
        let behind = (grown - pixel[3]).max(0.0);
        for (value, outline) in pixel.iter_mut().zip(color) {
            *value += outline * behind;
        }
        pixel[3] += behind;
    }
}

/// The largest value within `radius` steps of `stride` in the same line, of which the farthest count less.
fn grow(values: &[f32], line: usize, stride: usize, radius: f32) -> Vec<f32> {
    let mut grown = values.to_vec();
    for distance in 1..=radius.ceil() as usize {
        let weight = (radius + 1.0 - distance as f32).clamp(0.0, 1.0);
        let raise = |grown: &mut f32, value: &f32| *grown = grown.max(value * weight);
        let shift = distance * stride;
        for (grown, values) in grown
            .chunks_exact_mut(line.max(1))
            .zip(values.chunks_exact(line.max(1)))
        {
            let behind = values.iter().skip(shift);
            grown
                .iter_mut()
                .zip(behind)
                .for_each(|(grown, value)| raise(grown, value));
            let before = grown.iter_mut().skip(shift);
            before.zip(values).for_each(|(grown, value)| raise(grown, value));
        }
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_part_areas_and_leave_their_colors() {
        let half = |x: usize| {
            if x < 8 {
                [0.8, 0.2, 0.2, 1.0]
            } else {
                [1.0, 1.0, 0.6, 1.0]
            }
        };
        let mut sprite = Sprite {
            width: 16,
            height: 4,
            pixels: (0..64).map(|position| half(position % 16)).collect(),
        };
        let slopes = slopes(&sprite);
        draw_lines(&mut sprite, &slopes, [0.0; 3], 1.0);
        let row = &sprite.pixels[16..32];
        assert_eq!(row[7], [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(row[8], [0.0, 0.0, 0.0, 1.0]);
        for x in [3, 5, 10, 13] {
            assert_eq!(row[x], half(x), "column {x}");
        }
    }
}
