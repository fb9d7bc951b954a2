//! Color conversion to RGB.

/// The meaning of a file's components.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColorSpace {
    Gray,
    Rgb,
    YCbCr,
    /// Ink; Adobe writes it inverted (255: no ink).
    Cmyk {
        inverted: bool,
    },
    /// CMY as YCbCr, and black.
    Ycck {
        inverted: bool,
    },
}

impl ColorSpace {
    /// What libjpeg assumes a file to be: by its JFIF marker, by the transform in its Adobe marker, else by the
    /// components' numbers.
    pub(super) fn guess(ids: &[u8], jfif: bool, adobe: Option<u8>) -> Option<Self> {
        let inverted = adobe.is_some();
        Some(match (ids, adobe) {
            ([_], _) => Self::Gray,
            ([_, _, _], _) if jfif => Self::YCbCr,
            ([_, _, _], Some(0)) => Self::Rgb,
            ([_, _, _], Some(_)) => Self::YCbCr,
            ([b'R', b'G', b'B'], None) => Self::Rgb,
            ([_, _, _], None) => Self::YCbCr,
            ([_, _, _, _], None | Some(0)) => Self::Cmyk { inverted },
            ([_, _, _, _], Some(_)) => Self::Ycck { inverted },
            _ => return None,
        })
    }

    /// Converts one row; `components` are its full-size samples, `rgb` has 3 values a pixel.
    pub(super) fn convert(self, components: &[&[u8]], rgb: &mut [u8]) {
        let pixels = rgb.as_chunks_mut::<3>().0.iter_mut();
        match (self, components) {
            (Self::Gray, &[gray]) => pixels.zip(gray).for_each(|(rgb, &gray)| *rgb = [gray; 3]),
            (Self::Rgb, &[red, green, blue]) => {
                pixels
                    .zip(red)
                    .zip(green)
                    .zip(blue)
                    .for_each(|(((rgb, &r), &g), &b)| *rgb = [r, g, b]);
            }
            (Self::YCbCr, &[y, cb, cr]) => {
                pixels
                    .zip(y)
                    .zip(cb)
                    .zip(cr)
                    .for_each(|(((rgb, &y), &cb), &cr)| *rgb = from_ycc(y, cb, cr));
            }
            (Self::Cmyk { inverted }, &[c, m, y, k]) => {
                let inks = c.iter().zip(m).zip(y).zip(k);
                pixels
                    .zip(inks)
                    .for_each(|(rgb, (((&c, &m), &y), &k))| *rgb = from_cmyk([c, m, y], k, inverted));
            }
            (Self::Ycck { inverted }, &[y, cb, cr, k]) => {
                let inks = y.iter().zip(cb).zip(cr).zip(k);
                pixels.zip(inks).for_each(|(rgb, (((&y, &cb), &cr), &k))| {
                    *rgb = from_cmyk(from_ycc(y, cb, cr).map(|value| 255 - value), k, inverted);
                });
            }
            _ => {}
        }
    }
}

/// BT.601 at full range with 16 fractional bits; green's two products are rounded together.
#[inline(always)]
fn from_ycc(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const BITS: u32 = 16;
    const HALF: i32 = 1 << (BITS - 1);
    const fn fix(value: f64) -> i32 {
        (value * (1 << BITS) as f64 + 0.5) as i32
    }
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((fix(1.402) * cr + HALF) >> BITS);
    let green = y + ((HALF - fix(0.34414) * cb - fix(0.71414) * cr) >> BITS);
    let blue = y + ((fix(1.772) * cb + HALF) >> BITS);
    [level(red), level(green), level(blue)]
}

/// Ink to light as OpenCV does it, whose numbers are Adobe's inverted ones: light = k − (255 − c)·k / 256.
fn from_cmyk(inks: [u8; 3], black: u8, inverted: bool) -> [u8; 3] {
    let light = |ink: u8| i32::from(if inverted { ink } else { 255 - ink });
    let black = light(black);
    inks.map(|ink| level(black - (((255 - light(ink)) * black) >> 8)))
}

#[inline(always)]
fn level(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}
