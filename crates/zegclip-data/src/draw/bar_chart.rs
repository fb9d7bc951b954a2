//! Horizontal bar charts with a row for each class.

use image::RgbImage;

use super::{
    canvas::{FAINT_INK, INK, RULE, Rect, canvas, fill},
    text::Text,
};
use crate::palette::Color;

/// A row of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The text left of the bar; shortened to 260 pixels.
    pub name: String,
    /// The length of the bar; negative and non-finite values are drawn as 0.
    pub value: f64,
    /// The text right of the bar, such as the value with its unit.
    pub label: String,
    /// The color of the bar.
    pub color: Color,
    /// Whether a star precedes the name, as for unseen classes.
    pub marked: bool,
}

/// A bar chart with a row for each bar and at most 48 rows in a column.
///
/// The longest bar is 320 pixels wide, a row 27 pixels high; the other bars are in proportion.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    /// The heading.
    pub title: String,
    /// The line below the heading, such as the unit and the meaning of the star.
    pub subtitle: String,
    /// The rows from top to bottom.
    pub bars: Vec<Bar>,
    /// Whether lengths are proportional to `ln(1 + value)`, for counts that differ by orders of magnitude.
    pub logarithmic: bool,
}

const TEXT: Text = Text { height: 20 };
const TITLE: Text = Text { height: 30 };
const ROW_HEIGHT: u32 = 27;
const MARGIN: u32 = 24;
const GAP: u32 = 10;
const MAX_BAR_WIDTH: u32 = 320;
const MAX_NAME_WIDTH: u32 = 260;
const ROWS_PER_COLUMN: usize = 48;
const MARK: &str = "★ ";

impl BarChart {
    /// Draws the chart, large enough for all its rows.
    pub fn draw(&self) -> RgbImage {
        let columns = self.bars.len().div_ceil(ROWS_PER_COLUMN).max(1);
        let rows = self.bars.len().div_ceil(columns);
        let widest = |width: &dyn Fn(&Bar) -> u32| self.bars.iter().map(width).max().unwrap_or(0);
        let names = widest(&|bar| TEXT.width(&name(bar))).min(MAX_NAME_WIDTH);
        let labels = widest(&|bar| TEXT.width(&bar.label));
        let column_width = names + GAP + MAX_BAR_WIDTH + GAP + labels;
        let longest = self.bars.iter().map(|bar| self.length(bar.value)).fold(0.0, f64::max);

        let headings = TITLE.width(&self.title).max(TEXT.width(&self.subtitle));
        let columns_width = columns as u32 * (column_width + 2 * MARGIN) - 2 * MARGIN;
        let top = MARGIN + TITLE.height * 5 / 4 + ROW_HEIGHT + GAP;
        let mut chart = canvas(
            columns_width.max(headings) + 2 * MARGIN,
            top + rows as u32 * ROW_HEIGHT + MARGIN,
        );
        TITLE.draw(&mut chart, MARGIN, MARGIN, &self.title, INK);
        TEXT.draw(
            &mut chart,
            MARGIN,
            MARGIN + TITLE.height * 5 / 4,
            &self.subtitle,
            FAINT_INK,
        );

        for (column, bars) in (0..).zip(self.bars.chunks(rows.max(1))) {
            let x = MARGIN + column * (column_width + 2 * MARGIN);
            let axis = Rect {
                x: x + names + GAP - 1,
                y: top,
                width: 1,
                height: bars.len() as u32 * ROW_HEIGHT,
            };
            fill(&mut chart, axis, RULE);
            for (row, bar) in (0..).zip(bars) {
                let y = top + row * ROW_HEIGHT;
                let name = TEXT.shortened(&name(bar), names);
                TEXT.draw(&mut chart, x + names - TEXT.width(&name).min(names), y + 2, &name, INK);
                let fraction = if longest > 0.0 {
                    self.length(bar.value) / longest
                } else {
                    0.0
                };
                let length = (fraction * f64::from(MAX_BAR_WIDTH)).round() as u32;
                // Positive values are visible.
                let length = if bar.value > 0.0 { length.max(1) } else { length };
                fill(
                    &mut chart,
                    Rect {
                        x: x + names + GAP,
                        y: y + 3,
                        width: length,
                        height: ROW_HEIGHT - 7,
                    },
                    bar.color,
                );
                TEXT.draw(&mut chart, x + names + GAP + length + GAP, y + 2, &bar.label, FAINT_INK);
            }
        }
        chart
    }

    fn length(&self, value: f64) -> f64 {
        let value = if value.is_finite() { value.max(0.0) } else { 0.0 };
        if self.logarithmic { value.ln_1p() } else { value }
    }
}

fn name(bar: &Bar) -> String {
    if bar.marked {
        format!("{MARK}{}", bar.name)
    } else {
        bar.name.clone()
    }
}
