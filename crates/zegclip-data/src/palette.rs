//! Well separated colors for class lists that bring none.

use std::sync::OnceLock;

/// An sRGB color.
pub type Color = [u8; 3];

/// Colors that are chosen so that each is as far from all earlier ones as can be.
const SEPARATED: usize = 256;
/// Lightness in OKLab: darker colors read as black beside an image, lighter ones as white.
const LIGHTNESS: std::ops::RangeInclusive<f32> = 0.45..=0.90;
/// Chroma in OKLab: below it colors read as gray, of which images are full.
const MIN_CHROMA: f32 = 0.08;
/// Where the list begins: a clear blue.
const FIRST: Color = [51, 119, 238];

/// The color of the class at `index`, which does not depend on the length of the list.
///
/// The first 256 are the farthest-first order of sRGB colors in OKLab (Ottosson 2020), where Euclidean distance is
/// about how different two colors look; later ones walk the hue circle by the golden angle and may resemble others.
pub fn distinct_color(index: usize) -> Color {
    static COLORS: OnceLock<Vec<Color>> = OnceLock::new();
    let separated = COLORS.get_or_init(separated);
    separated.get(index).copied().unwrap_or_else(|| golden_angle(index))
}

/// The first `count` colors of [`distinct_color`].
pub fn distinct_palette(count: usize) -> Vec<Color> {
    (0..count).map(distinct_color).collect()
}

fn separated() -> Vec<Color> {
    const STEP: usize = 17;
    let levels = || (0..=255u8).step_by(STEP);
    let colors = levels().flat_map(|red| levels().flat_map(move |green| levels().map(move |blue| [red, green, blue])));
    let mut candidates = colors
        .map(|color| (color, oklab(color), f32::INFINITY))
        .filter(|(_, lab, _)| LIGHTNESS.contains(&lab[0]) && lab[1].hypot(lab[2]) >= MIN_CHROMA)
        .collect::<Vec<_>>();
    let mut chosen = Vec::with_capacity(SEPARATED);
    let mut next = Some((FIRST, oklab(FIRST)));
    while let Some((color, lab)) = next.filter(|_| chosen.len() < SEPARATED) {
        chosen.push(color);
        for (_, other, nearest) in &mut candidates {
            *nearest = nearest.min(squared_distance(lab, *other));
        }
        let farthest = candidates.iter().max_by(|a, b| a.2.total_cmp(&b.2));
        next = farthest.map(|&(color, lab, _)| (color, lab));
    }
    chosen
}

fn golden_angle(index: usize) -> Color {
    const GOLDEN_ANGLE: f32 = 2.399_963;
    let hue = GOLDEN_ANGLE * (index % 65_536) as f32;
    let lightness = 0.5 + 0.09 * (index % 5) as f32;
    let chroma = 0.09 + 0.03 * (index / 5 % 3) as f32;
    from_oklab([lightness, chroma * hue.cos(), chroma * hue.sin()])
}

fn squared_distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// OKLab lightness, green–red and blue–yellow of an sRGB color.
pub(crate) fn oklab(color: Color) -> [f32; 3] {
    let [red, green, blue] = color.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    let long = (0.412_221_46 * red + 0.536_332_55 * green + 0.051_445_995 * blue).cbrt();
    let medium = (0.211_903_5 * red + 0.680_699_5 * green + 0.107_396_96 * blue).cbrt();
    let short = (0.088_302_46 * red + 0.281_718_85 * green + 0.629_978_7 * blue).cbrt();
    [
        0.210_454_26 * long + 0.793_617_8 * medium - 0.004_072_047 * short,
        1.977_998_5 * long - 2.428_592_2 * medium + 0.450_593_7 * short,
        0.025_904_037 * long + 0.782_771_77 * medium - 0.808_675_77 * short,
    ]
}

fn from_oklab([lightness, a, b]: [f32; 3]) -> Color {
    let long = (lightness + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let medium = (lightness - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let short = (lightness - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    let linear = [
        4.076_741_7 * long - 3.307_711_6 * medium + 0.230_969_94 * short,
        -1.268_438 * long + 2.609_757_4 * medium - 0.341_319_38 * short,
        -0.004_196_086_3 * long - 0.703_418_6 * medium + 1.707_614_7 * short,
    ];
    linear.map(|value| {
        let value = value.clamp(0.0, 1.0);
        let value = if value <= 0.003_130_8 {
            12.92 * value
        } else {
            1.055 * value.powf(1.0 / 2.4) - 0.055
        };
        (255.0 * value).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A just noticeable difference is about 0.02 in OKLab.
    fn distance(a: Color, b: Color) -> f32 {
        squared_distance(oklab(a), oklab(b)).sqrt()
    }

    fn smallest_distance(colors: &[Color]) -> f32 {
        let pairs = colors
            .iter()
            .enumerate()
            .flat_map(|(index, &a)| colors[..index].iter().map(move |&b| distance(a, b)));
        pairs.fold(f32::INFINITY, f32::min)
    }

    #[test]
    fn colors_of_common_lists_differ_clearly() {
        assert!(
            smallest_distance(&distinct_palette(30)) > 0.1,
            "{}",
            smallest_distance(&distinct_palette(30))
        );
        assert!(
            smallest_distance(&distinct_palette(171)) > 0.04,
            "{}",
            smallest_distance(&distinct_palette(171))
        );
    }

    #[test]
    fn no_color_is_nearly_black_at_any_position() {
        for color in distinct_palette(2_000) {
            assert!(color.iter().any(|&value| value >= 80), "{color:?}");
        }
        assert!(distinct_color(65_534).iter().any(|&value| value >= 80));
    }

    #[test]
    fn oklab_goes_both_ways() {
        for color in distinct_palette(300) {
            let back = from_oklab(oklab(color));
            assert!(
                color.iter().zip(back).all(|(a, b)| a.abs_diff(b) <= 1),
                "{color:?} {back:?}"
            );
        }
        let white = oklab([255; 3]);
        assert!((white[0] - 1.0).abs() < 1e-3 && white[1].abs() < 1e-3 && white[2].abs() < 1e-3);
    }
}
