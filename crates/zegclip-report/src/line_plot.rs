//! Line plots over iterations as inline SVG.

use maud::{Markup, html};

use crate::axis::{VerticalAxis, VerticalScale, tick_step, ticks};

/// Size of a plot in its own units, which are pixels where the page is wide enough.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 302.0;
/// Edges of the plotting area.
const LEFT: f64 = 84.0;
const RIGHT: f64 = 740.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 250.0;
/// Distinguishable with every kind of color vision (Okabe and Ito), and on light and dark pages.
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
/// Points of a curve; more are averaged.
const MAX_POINTS: usize = 500;
/// Curves of at most this many points have their points marked.
const MAX_MARKED_POINTS: usize = 40;

/// A plot of several curves over the same iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct LinePlot {
    /// The heading.
    pub title: String,
    /// The label of the vertical axis.
    pub unit: String,
    /// The scale of the vertical axis.
    pub scale: VerticalScale,
    /// The curves; those without a finite point are omitted.
    pub curves: Vec<Curve>,
}

/// A named line of points.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The name in the legend.
    pub name: String,
    /// Iteration and value in order of iterations; points that are not finite are omitted.
    pub points: Vec<(f64, f64)>,
}

impl LinePlot {
    /// The plot from iteration 0 to `last_iteration` under its heading, 760 × 302 units; `None` without a finite point.
    pub(crate) fn markup(&self, last_iteration: u64) -> Option<Markup> {
        let curves: Vec<(&str, &str, Vec<_>)> = (self.curves.iter())
            .map(|curve| (curve.name.as_str(), downsampled(&curve.points)))
            .filter(|(_, points)| !points.is_empty())
            .zip(COLORS.into_iter().cycle())
            .map(|((name, points), color)| (name, color, points))
            .collect();
        let values = || {
            curves
                .iter()
                .flat_map(|(_, _, points)| points.iter().map(|(_, value)| *value))
        };
        let (lowest, highest) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        let axis = VerticalAxis::new(self.scale, lowest, highest);
        let end = last_iteration.max(1) as f64;
        let x = |iteration: f64| LEFT + iteration / end * (RIGHT - LEFT);
        let y = |value: f64| BOTTOM - axis.position(value) * (BOTTOM - TOP);
        Some(html! {
            div {
                h2 { (self.title) }
                div.plot {
                    svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.title) font-size="13" {
                        @for (value, label) in axis.ticks() {
                            @let y = y(value);
                            line.grid x1=(LEFT) x2=(RIGHT) y1=(tenths(y)) y2=(tenths(y)) {}
                            text x=(LEFT - 8.0) y=(tenths(y + 4.5)) text-anchor="end" { (label) }
                        }
                        @for iteration in ticks(end, tick_step(end).max(1.0)) {
                            @let x = tenths(x(iteration));
                            line.axis x1=(x) x2=(x) y1=(BOTTOM) y2=(BOTTOM + 5.0) {}
                            text x=(x) y=(BOTTOM + 20.0) text-anchor="middle" { (iteration) }
                        }
                        path.axis d={ "M" (LEFT) " " (TOP) "V" (BOTTOM) "H" (RIGHT) } {}
                        text x=(f64::midpoint(LEFT, RIGHT)) y=(BOTTOM + 40.0) text-anchor="middle" { "iteration" }
                        text transform={ "translate(14 " (f64::midpoint(TOP, BOTTOM)) ") rotate(-90)" }
                            text-anchor="middle" { (self.unit) }
                        @for (_, color, points) in &curves {
                            (polyline(color, points.iter().map(|&(iteration, value)| (x(iteration), y(value)))))
                        }
                    }
                }
                p.legend {
                    @for (name, color, _) in &curves {
                        span { i.chip style={ "background:" (color) } {} (name) }
                    }
                }
            }
        })
    }
}

/// A curve of points in the plot's units.
fn polyline(color: &str, points: impl Iterator<Item = (f64, f64)>) -> Markup {
    let points: Vec<(String, String)> = points.map(|(x, y)| (tenths(x), tenths(y))).collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
    html! {
        polyline fill="none" stroke=(color) stroke-width="2" points=(path.join(" ")) {}
        @if points.len() <= MAX_MARKED_POINTS {
            @for (x, y) in &points { circle cx=(x) cy=(y) r="3" fill=(color) {} }
        }
    }
}

/// With one digit after the point.
fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

/// The finite points; more than [`MAX_POINTS`] are averaged in groups of neighbors.
fn downsampled(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(_, value)| value.is_finite()).collect();
    let group = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let sum = points
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / points.len() as f64, sum.1 / points.len() as f64)
    };
    points.chunks(group).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(curves: Vec<Vec<(f64, f64)>>) -> LinePlot {
        let curve = |points| Curve {
            name: "a < b".to_owned(),
            points,
        };
        LinePlot {
            title: "\"Loss\"".to_owned(),
            unit: "<unit>".to_owned(),
            scale: VerticalScale::Automatic,
            curves: curves.into_iter().map(curve).collect(),
        }
    }

    #[test]
    fn many_points_are_averaged_and_not_a_number_is_omitted() {
        let points: Vec<_> = (0..2000)
            .map(|i| (f64::from(i), if i == 7 { f64::NAN } else { 3.0 }))
            .collect();
        let averaged = downsampled(&points);
        assert!(averaged.len() <= MAX_POINTS && averaged.iter().all(|(_, y)| *y == 3.0));
        assert!(plot(vec![vec![(1.0, f64::INFINITY)]]).markup(5).is_none());
        let svg = plot(vec![points]).markup(2000).unwrap().into_string();
        assert!(
            !svg.contains("NaN") && svg.contains(">1000</text>") && !svg.contains("<circle"),
            "{svg}"
        );
    }

    #[test]
    fn text_is_escaped() {
        let svg = plot(vec![vec![(1.0, 1.0)]]).markup(1).unwrap().into_string();
        for text in ["aria-label=\"&quot;Loss&quot;\"", ">&lt;unit&gt;</text>", "a &lt; b"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
    }

    #[test]
    fn every_curve_is_drawn() {
        let svg = plot(vec![vec![(1.0, 1.0)]; 9]).markup(1).unwrap().into_string();
        assert_eq!(svg.matches("<polyline").count(), 9);
    }
}
