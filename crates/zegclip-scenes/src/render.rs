//! Draws a picture at its size in a scene, and its shadow.

use crate::mipmap::Mipmap;
use crate::noise::wave;
use crate::pose::Pose;
use crate::sprite::Sprite;
use crate::style::Style;

/// Draws a picture in this pose and style; `size` is its longer side in pixels.
pub(crate) fn draw_sprite(picture: &Mipmap, pose: &Pose, style: &Style, size: f32) -> Sprite {
    let margin = style.margin(size) + 1;
    let [width, height] = pose.half.map(|half| 2 * (half.ceil() as usize + margin));
    let level = picture.level(pose.step());
    let mut sprite = Sprite {
        width,
        height,
        pixels: Vec::with_capacity(width * height),
    };
    let flat = (style.flatten > 0).then_some(level + style.flatten);
    visit(picture, pose, width, height, |x, y| {
        let pixel = picture.sample(level, x, y).map(|value| value * (1.0 / 255.0));
        sprite.pixels.push(match flat {
            Some(coarse) if pixel[3] > 0.0 => {
                let color = picture.sample(coarse, x, y);
                let opacity = pixel[3] / color[3].max(1.0);
                [color[0] * opacity, color[1] * opacity, color[2] * opacity, pixel[3]].map(|value| value.min(pixel[3]))
            }
            _ => pixel,
        });
    });
    style.apply(&mut sprite, size);
    sprite
}

/// Only the opacity, softened by `softness` levels: a shadow. `[height, width]`, with its width.
pub(crate) fn draw_shadow(picture: &Mipmap, pose: &Pose, softness: usize) -> (usize, Vec<f32>) {
    let level = picture.level(pose.step()) + softness;
    let [width, height] = pose.half.map(|half| 2 * (half * 1.15 + 2.0).ceil() as usize);
    let mut shadow = Vec::with_capacity(width * height);
    visit(picture, pose, width, height, |x, y| {
        shadow.push(picture.sample(level, x, y)[3] * (1.0 / 255.0));
    });
    (width, shadow)
}

/// Calls `each` with the point of the picture under every pixel of a box around the scene's center, in rows.
fn visit(picture: &Mipmap, pose: &Pose, width: usize, height: usize, mut each: impl FnMut(f32, f32)) {
    let (picture_width, picture_height) = picture.size();
    let [[a, b], [c, d]] = pose.inverse;
    for row in 0..height {
        let down = row as f32 + 0.5 - height as f32 / 2.0;
        for column in 0..width {
            let across = column as f32 + 0.5 - width as f32 / 2.0;
            let mut x = a * across + b * down + picture_width / 2.0;
            let mut y = c * across + d * down + picture_height / 2.0;
            if let Some([along_x, along_y]) = pose.bend {
                let moved = along_y[0] * wave(along_y[1] * y + along_y[2]);
                y += along_x[0] * wave(along_x[1] * x + along_x[2]);
                x += moved;
            }
            each(x, y);
        }
    }
}
