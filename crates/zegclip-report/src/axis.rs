//! Axes with round numbers.

/// Approximate number of ticks of an axis.
const TICKS: f64 = 5.0;
/// Positive values with a larger ratio get a logarithmic axis.
const MAX_LINEAR_RATIO: f64 = 20.0;
/// A logarithmic axis with more ticks keeps those at powers of ten only.
const MAX_LOGARITHMIC_TICKS: usize = 9;

/// The scale of the vertical axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerticalScale {
    /// From 0 to the highest value; negative values are drawn at 0.
    FromZero,
    /// Logarithmic for positive values whose ratio exceeds 20, else [`FromZero`](Self::FromZero).
    Automatic,
}

/// The vertical axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum VerticalAxis {
    /// From 0 to `top`, with ticks at multiples of `step`.
    Linear { top: f64, step: f64 },
    /// Between two of the numbers 1, 2 and 5 times powers of ten.
    Logarithmic { bottom: f64, top: f64 },
}

impl VerticalAxis {
    /// An axis that includes `lowest` and `highest`.
    pub(crate) fn new(scale: VerticalScale, lowest: f64, highest: f64) -> Self {
        if scale == VerticalScale::Automatic && lowest > 0.0 && highest > MAX_LINEAR_RATIO * lowest {
            let numbers = round_numbers(lowest / 10.0, highest * 10.0);
            let bottom = numbers.iter().rev().find(|number| **number <= lowest);
            let top = numbers.iter().find(|number| **number >= highest);
            return Self::Logarithmic {
                bottom: *bottom.unwrap_or(&lowest),
                top: *top.unwrap_or(&highest),
            };
        }
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let step = tick_step(highest);
        let top = (highest / step - 1e-6).ceil() * step;
        Self::Linear { top, step }
    }

    /// From 0 at the bottom to 1 at the top.
    pub(crate) fn position(self, value: f64) -> f64 {
        match self {
            Self::Linear { top, .. } => value.max(0.0) / top,
            Self::Logarithmic { bottom, top } => (value / bottom).ln() / (top / bottom).ln(),
        }
    }

    /// Values and their labels.
    pub(crate) fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { top, step } => ticks(top, step).map(|tick| (tick, label(tick, step))).collect(),
            Self::Logarithmic { bottom, top } => {
                let mut numbers = round_numbers(bottom, top);
                if numbers.len() > MAX_LOGARITHMIC_TICKS {
                    numbers.retain(|number| (number.log10() - number.log10().round()).abs() < 1e-6);
                }
                numbers
                    .into_iter()
                    .map(|number| (number, label(number, number)))
                    .collect()
            }
        }
    }
}

/// 1, 2 and 5 times powers of ten between two positive numbers.
fn round_numbers(low: f64, high: f64) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let numbers = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
    numbers
        .filter(|number| (low * 0.999_999..=high * 1.000_001).contains(number))
        .collect()
}

/// 1, 2 or 5 times a power of ten, so that about [`TICKS`] of them reach `highest`.
pub(crate) fn tick_step(highest: f64) -> f64 {
    let rough = highest / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= rough * 0.999);
    factor.unwrap_or(10.0) * power
}

/// Multiples of `step` from 0 to `top`.
pub(crate) fn ticks(top: f64, step: f64) -> impl Iterator<Item = f64> {
    let count = (top / step + 1e-6).floor() as usize;
    (0..=count).map(move |tick| tick as f64 * step)
}

/// With the digits that distinguish neighboring ticks.
fn label(value: f64, step: f64) -> String {
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

    #[test]
    fn ticks_are_round_numbers() {
        for (highest, step) in [(4.7, 1.0), (100.0, 20.0), (0.83, 0.2), (2e-4, 5e-5), (12.0, 5.0)] {
            assert!(
                (tick_step(highest) / step - 1.0).abs() < 1e-9,
                "{highest}: {}",
                tick_step(highest)
            );
        }
        assert_eq!(ticks(100.0, 20.0).count(), 6);
        assert_eq!(
            (label(0.6, 0.2), label(40.0, 20.0)),
            ("0.6".to_owned(), "40".to_owned())
        );
        assert_eq!(label(1.5e-4, 5e-5), "1.5e-4");
    }

    #[test]
    fn values_of_different_magnitude_get_a_logarithmic_axis() {
        let axis = VerticalAxis::new(VerticalScale::Automatic, 8.5, 389.0);
        assert_eq!(
            axis,
            VerticalAxis::Logarithmic {
                bottom: 5.0,
                top: 500.0
            }
        );
        let labels: Vec<String> = axis.ticks().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["5", "10", "20", "50", "100", "200", "500"]);
        assert!(axis.position(5.0).abs() < 1e-9 && (axis.position(50.0) - 0.5).abs() < 1e-9);
        let linear = VerticalAxis::Linear { top: 100.0, step: 20.0 };
        assert_eq!(VerticalAxis::new(VerticalScale::Automatic, 0.0, 100.0), linear);
        let from_zero = VerticalAxis::new(VerticalScale::FromZero, 1.0, 100.0);
        assert_eq!(from_zero, linear);
    }
}
