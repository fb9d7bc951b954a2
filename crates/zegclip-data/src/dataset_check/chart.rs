//! How often each class occurs, as a bar chart.

use super::{CheckReport, ClassCount};
use crate::Vocabulary;
use crate::draw::{Bar, BarChart};
use crate::palette::Color;

impl CheckReport {
    /// A bar for each class, as long as the logarithm of its pixels; unseen classes are marked. `vocabulary` gives the colors.
    pub fn chart(&self, vocabulary: &Vocabulary) -> BarChart {
        let bar = |(class, color): (&ClassCount, Color)| Bar {
            name: class.name.clone(),
            value: class.pixels as f64,
            label: match class.pixels {
                0 => "none".to_owned(),
                pixels => format!("{} in {}", short(pixels), class.images),
            },
            color,
            marked: !class.seen,
        };
        let unseen = self.classes.iter().any(|class| !class.seen);
        BarChart {
            title: format!("{}, split {}: {} samples", self.dataset, self.split, self.samples),
            subtitle: format!(
                "pixels of each class (logarithmic) and images that have it{}",
                if unseen { "; ★ not seen in training" } else { "" }
            ),
            bars: self.classes.iter().zip(vocabulary.palette()).map(bar).collect(),
            logarithmic: true,
        }
    }
}

/// `12.3 M`
fn short(count: u64) -> String {
    let count = count as f64;
    match count {
        count if count >= 1e9 => format!("{:.1} G", count / 1e9),
        count if count >= 1e6 => format!("{:.1} M", count / 1e6),
        count if count >= 1e3 => format!("{:.1} k", count / 1e3),
        count => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_short() {
        let counts = [0, 999, 1_000, 12_345_678, 9_000_000_000].map(super::short);
        assert_eq!(counts, ["0", "999", "1.0 k", "12.3 M", "9.0 G"]);
    }
}
