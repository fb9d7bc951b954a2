//! hIoU of every row as a picture.

use std::fmt::Write as _;

use super::configuration::{Configuration, Row};
use super::results::Results;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 260.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 11.0;
/// Distinguishable with any kind of color vision (Okabe and Ito).
const COLORS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

pub(super) fn svg(configuration: &Configuration, results: &Results) -> String {
    let splits = &configuration.splits;
    let hiou = |row: &Row, split: &str| results.samples(configuration, row, split, |scores| scores.hiou);
    let row_height = BAR * splits.len() as f64 + 8.0;
    let mut largest = 1.0f64;
    for row in configuration.rows() {
        for split in splits {
            let values = hiou(row, split).0;
            largest = values.into_iter().fold(largest, f64::max);
        }
    }
    let top = (largest / 10.0).ceil() * 10.0;
    let x = |value: f64| LEFT + value / top * (WIDTH - LEFT - RIGHT);
    let mut body = String::new();
    let mut y = 30.0;
    for (index, split) in splits.iter().enumerate() {
        let place = LEFT + 180.0 * index as f64;
        let _ = write!(
            body,
            "<rect x=\"{place}\" y=\"8\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"18\">{}</text>",
            COLORS[index % COLORS.len()],
            place + 17.0,
            split.replace('_', " "),
        );
    }
    for group in &configuration.groups {
        y += 20.0;
        let _ = write!(
            body,
            "<text x=\"6\" y=\"{y:.0}\" font-weight=\"bold\">{}</text>",
            escape(&group.title)
        );
        y += 8.0;
        for row in &group.rows {
            let middle = y + row_height / 2.0;
            let _ = write!(
                body,
                "<text x=\"{}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                escape(&row.name)
            );
            for (index, split) in splits.iter().enumerate() {
                let found = hiou(row, split);
                let bar = y + BAR * index as f64;
                let Some(mean) = found.mean() else { continue };
                let _ = write!(
                    body,
                    "<rect x=\"{LEFT}\" y=\"{bar:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\" opacity=\"0.75\"/>",
                    x(mean) - LEFT,
                    BAR - 2.0,
                    COLORS[index % COLORS.len()],
                );
                let center = bar + BAR / 2.0 - 1.0;
                for value in &found.0 {
                    let _ = write!(
                        body,
                        "<circle cx=\"{:.1}\" cy=\"{center:.1}\" r=\"2\" fill=\"#222\"/>",
                        x(*value)
                    );
                }
                let furthest = found.0.iter().copied().fold(mean, f64::max);
                let _ = write!(
                    body,
                    "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\">{mean:.1}</text>",
                    x(furthest) + 5.0,
                    center + 3.5
                );
            }
            y += row_height;
        }
    }
    let height = y + 34.0;
    let mut axis = String::new();
    for step in 0..=5 {
        let value = top * f64::from(step) / 5.0;
        let _ = write!(
            axis,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"30\" y2=\"{1:.0}\" stroke=\"#ddd\"/><text x=\"{0:.1}\" y=\"{2:.0}\" text-anchor=\"middle\">{value:.0}</text>",
            x(value),
            y + 4.0,
            y + 18.0,
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#222\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/><title>hIoU in percent, mean and every seed</title>{axis}{body}</svg>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
