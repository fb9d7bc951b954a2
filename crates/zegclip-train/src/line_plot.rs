//! Line plots as SVG for the report.

use std::fmt::Write as _;

use zegclip_data::evaluation::escape;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
/// Edges of the drawing area: left, right, top, bottom.
const AREA: [f64; 4] = [72.0, 740.0, 34.0, 268.0];
/// Distinguishable with any kind of colour vision (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];
/// Points of a curve; more are averaged.
const MOST_POINTS: usize = 500;
/// Values that differ by a larger factor get a logarithmic axis.
const LARGEST_RATIO: f64 = 20.0;
/// Marks of an axis, about.
const TICKS: f64 = 5.0;

/// A named line of points `(iteration, value)`.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Curves over the iterations `0..=last`, from zero upwards or, if `logarithmic` and positive values differ too much for that,
/// on a logarithmic axis; `None` without a point. Points that are no numbers are left out.
pub(crate) fn line_plot(title: &str, unit: &str, curves: &[Curve], last: u64, logarithmic: bool) -> Option<String> {
    let curves: Vec<(&str, Vec<(f64, f64)>)> = curves
        .iter()
        .map(|curve| (curve.name.as_str(), thinned(&curve.points)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let values = || curves.iter().flat_map(|(_, points)| points.iter().map(|(_, y)| *y));
    let (lowest, highest) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let axis = Axis::of(if logarithmic { lowest } else { 0.0 }, highest);
    let end = last.max(1) as f64;
    let [left, right, upper, lower] = AREA;
    let x = |value: f64| left + value / end * (right - left);
    let y = |value: f64| lower - axis.place(value) * (lower - upper);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" font-size=\"13\">");
    for (tick, text) in axis.ticks() {
        let _ = write!(
            svg,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#dee2e6\"/>\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{text}</text>",
            y(tick),
            left - 8.0,
            y(tick) + 4.5,
        );
    }
    let step = tick_step(end).max(1.0);
    for tick in ticks(end, step) {
        let _ = write!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{lower}\" y2=\"{1}\" stroke=\"#495057\"/>\
             <text x=\"{0:.1}\" y=\"{2}\" text-anchor=\"middle\">{tick}</text>",
            x(tick),
            lower + 5.0,
            lower + 20.0,
        );
    }
    let _ = write!(
        svg,
        "<path d=\"M{left} {upper}V{lower}H{right}\" fill=\"none\" stroke=\"#495057\"/>\
         <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">iteration</text>\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{unit}</text>",
        f64::midpoint(left, right),
        lower + 40.0,
        f64::midpoint(upper, lower),
    );
    for (index, ((name, points), colour)) in curves.iter().zip(COLOURS).enumerate() {
        let places: Vec<String> = points
            .iter()
            .map(|(iteration, value)| format!("{:.1},{:.1}", x(*iteration), y(*value)))
            .collect();
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            places.join(" ")
        );
        // Few points, such as those of evaluations, are marked one by one.
        if points.len() <= 40 {
            for place in &places {
                let (x, y) = place.split_once(',').unwrap_or_default();
                let _ = write!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>");
            }
        }
        let place = left + 165.0 * index as f64;
        let _ = write!(
            svg,
            "<line x1=\"{place}\" x2=\"{0}\" y1=\"14\" y2=\"14\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{1}\" y=\"18.5\">{2}</text>",
            place + 18.0,
            place + 24.0,
            escape(name),
        );
    }
    Some(svg + "</svg>")
}

/// The vertical axis.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Axis {
    /// From zero to `top`.
    Linear { top: f64, step: f64 },
    /// Between powers of ten times 1, 2 or 5.
    Logarithmic { bottom: f64, top: f64 },
}

impl Axis {
    fn of(lowest: f64, highest: f64) -> Self {
        if lowest > 0.0 && highest > LARGEST_RATIO * lowest {
            let (mut bottom, mut top) = (lowest, highest);
            // The round numbers around both.
            for value in round_numbers(lowest / 10.0, highest * 10.0) {
                if value <= lowest {
                    bottom = value;
                }
                if value >= highest {
                    top = value;
                    break;
                }
            }
            return Self::Logarithmic { bottom, top };
        }
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = tick_step(highest);
        let top = (highest / step - 1e-6).ceil() * step;
        Self::Linear { top, step }
    }

    /// From 0 at the bottom to 1 at the top.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear { top, .. } => value.max(0.0) / top,
            Self::Logarithmic { bottom, top } => (value / bottom).ln() / (top / bottom).ln(),
        }
    }

    /// Marks and their texts.
    fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { top, step } => ticks(top, step).map(|tick| (tick, number(tick, step))).collect(),
            Self::Logarithmic { bottom, top } => {
                let mut marks = round_numbers(bottom, top);
                if marks.len() > 9 {
                    marks.retain(|mark| (mark.log10() - mark.log10().round()).abs() < 1e-6);
                }
                marks.into_iter().map(|mark| (mark, number(mark, mark))).collect()
            }
        }
    }
}

/// 1, 2 and 5 times powers of ten between two positive numbers.
fn round_numbers(low: f64, high: f64) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let numbers = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|times| times * 10f64.powi(power)));
    numbers
        .filter(|number| (low * 0.999_999..=high * 1.000_001).contains(number))
        .collect()
}

/// The finite points; where they are many, means of neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(_, y)| y.is_finite()).collect();
    let together = points.len().div_ceil(MOST_POINTS).max(1);
    points
        .chunks(together)
        .map(|chunk| {
            let count = chunk.len() as f64;
            let sum = chunk
                .iter()
                .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            (sum.0 / count, sum.1 / count)
        })
        .collect()
}

/// 1, 2 or 5 times a power of ten, so that about [`TICKS`] of them reach `highest`.
fn tick_step(highest: f64) -> f64 {
    let rough = highest / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|times| times * power >= rough * 0.999);
    times.unwrap_or(10.0) * power
}

fn ticks(top: f64, step: f64) -> impl Iterator<Item = f64> {
    let count = (top / step + 1e-6).floor() as usize;
    (0..=count).map(move |tick| tick as f64 * step)
}

/// With the digits that tell neighbouring marks apart.
fn number(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if step < 0.01 {
        let digits = (value.log10().floor() - step.log10().floor()).max(0.0) as usize;
        return format!("{value:.digits$e}");
    }
    let digits = (-step.log10().floor()).max(0.0) as usize;
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: Vec<(f64, f64)>) -> Curve {
        Curve {
            name: "loss".to_owned(),
            points,
        }
    }

    #[test]
    fn axes_have_round_numbers() {
        for (highest, step) in [(4.7, 1.0), (100.0, 20.0), (0.83, 0.2), (2e-4, 5e-5), (12.0, 5.0)] {
            assert!(
                (tick_step(highest) / step - 1.0).abs() < 1e-9,
                "{highest}: {}",
                tick_step(highest)
            );
        }
        assert_eq!(ticks(100.0, 20.0).count(), 6);
        assert_eq!(
            (number(0.6, 0.2), number(40.0, 20.0)),
            ("0.6".to_owned(), "40".to_owned())
        );
        assert_eq!(number(1.5e-4, 5e-5), "1.5e-4");
    }

    #[test]
    fn values_of_different_size_get_a_logarithmic_axis() {
        let axis = Axis::of(8.5, 389.0);
        assert_eq!(
            axis,
            Axis::Logarithmic {
                bottom: 5.0,
                top: 500.0
            }
        );
        let texts: Vec<String> = axis.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["5", "10", "20", "50", "100", "200", "500"]);
        assert!(axis.place(5.0).abs() < 1e-9 && (axis.place(50.0) - 0.5).abs() < 1e-9);
        assert_eq!(Axis::of(0.0, 100.0), Axis::Linear { top: 100.0, step: 20.0 });
    }

    #[test]
    fn many_points_are_averaged_and_no_numbers_left_out() {
        let points: Vec<_> = (0..2000)
            .map(|i| (f64::from(i), if i == 7 { f64::NAN } else { 3.0 }))
            .collect();
        let thin = thinned(&points);
        assert!(thin.len() <= MOST_POINTS && thin.iter().all(|(_, y)| *y == 3.0));
        assert!(line_plot("t", "u", &[curve(vec![(1.0, f64::INFINITY)])], 5, true).is_none());
        let svg = line_plot("t", "u", &[curve(points)], 2000, true).unwrap();
        assert!(!svg.contains("NaN") && svg.contains(">1000</text>"), "{svg}");
    }
}
