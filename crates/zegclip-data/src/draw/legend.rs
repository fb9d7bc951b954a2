//! Legends: the names of the class colors.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use super::{
    canvas::{BACKGROUND, FAINT_INK, INK, Rect, canvas, fill_bordered, paste},
    text::Text,
};
use crate::{ClassIndex, LabelMap, Vocabulary, palette::Color};

/// Images with a shorter side below this are enlarged by an integer factor.
const SMALLEST_SIDE: u32 = 256;
/// Marks unseen classes.
const UNSEEN_MARK: &str = "★";
/// Widths of a column in multiples of the text height; long names make it wider where there is space.
const MIN_COLUMN_WIDTH: u32 = 5;
const MAX_COLUMN_WIDTH: u32 = 15;
/// A legend is at most as high as its image, but always has space for this many rows.
const MIN_ROWS: u32 = 4;

struct Entry {
    /// `None` for pixels without a class.
    color: Option<Color>,
    name: String,
    unseen: bool,
    pixels: u64,
    /// Fraction of the pixels, in percent.
    percent: String,
}

/// The image with a legend below it, or beside it if it is higher than wide.
///
/// The legend has the classes that occur in `labels` `[height, width]` in descending order of their fraction of the pixels,
/// with that fraction in percent and a star for unseen classes; classes beyond its capacity are summed up in one line.
/// Images with a shorter side below 256 pixels are enlarged by an integer factor, except long strips.
pub fn with_legend(image: &RgbImage, labels: &LabelMap, vocabulary: &Vocabulary) -> RgbImage {
    let factor = enlargement(image.width(), image.height());
    let enlarged;
    let image = if factor > 1 {
        let (width, height) = (image.width() * factor, image.height() * factor);
        enlarged = resize(image, width, height, FilterType::Nearest);
        &enlarged
    } else {
        image
    };
    let layout = Layout::new(
        image.dimensions(),
        entries(labels, vocabulary),
        labels.as_raw().len() as u64,
    );
    let mut drawing = canvas(layout.size.0, layout.size.1);
    paste(&mut drawing, image, 0, 0);
    layout.draw(&mut drawing);
    drawing
}

/// The factor by which an image is enlarged to have space for a legend.
pub(super) fn enlargement(width: u32, height: u32) -> u32 {
    let factor = SMALLEST_SIDE.div_ceil(width.min(height).max(1));
    // The long side of a strip would become too long.
    if width.max(height).saturating_mul(factor) > 16 * SMALLEST_SIDE {
        1
    } else {
        factor
    }
}

fn entries(labels: &LabelMap, vocabulary: &Vocabulary) -> Vec<Entry> {
    let counts = labels.histogram(vocabulary.len());
    let total = labels.as_raw().len() as u64;
    let ignored = total.saturating_sub(counts.iter().sum());
    let mut present = counts
        .iter()
        .enumerate()
        .filter(|(_, pixels)| **pixels > 0)
        .collect::<Vec<_>>();
    present.sort_by_key(|&(class, &pixels)| (std::cmp::Reverse(pixels), class));
    let classes = present.into_iter().filter_map(|(class, &pixels)| {
        let class = ClassIndex::from_usize(class)?;
        Some(Entry {
            color: Some(vocabulary.color(class)),
            name: vocabulary.class(class)?.name().to_owned(),
            unseen: !vocabulary.seen().is_seen(class),
            pixels,
            percent: percent(pixels, total),
        })
    });
    let name = "no class".to_owned();
    let rest = Entry {
        color: None,
        name,
        unseen: false,
        pixels: ignored,
        percent: percent(ignored, total),
    };
    classes.chain((ignored > 0).then_some(rest)).collect()
}

fn percent(pixels: u64, total: u64) -> String {
    let percent = 100.0 * pixels as f64 / total.max(1) as f64;
    match percent {
        percent if percent < 0.1 => "<0.1 %".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

struct Layout {
    text: Text,
    entries: Vec<Entry>,
    /// The line that sums up the entries beyond the capacity.
    rest: Option<String>,
    columns: u32,
    column_width: u32,
    rows: u32,
    /// Top left corner of the first entry.
    origin: (u32, u32),
    /// Size of the drawing, image included.
    size: (u32, u32),
}

impl Layout {
    fn new((width, height): (u32, u32), mut entries: Vec<Entry>, pixels: u64) -> Self {
        let text = Text::for_image(width, height);
        let line = Self::line(text);
        let gap = Self::gap(text);
        let margin = text.height / 2;
        let widest = |part: fn(&Entry) -> &str| entries.iter().map(|entry| text.width(part(entry))).max().unwrap_or(0);
        let mark = if entries.iter().any(|entry| entry.unseen) {
            text.width(UNSEEN_MARK) + text.height / 4
        } else {
            0
        };
        let content = widest(|entry| &entry.name) + mark + widest(|entry| &entry.percent) + text.height * 5 / 2;
        let narrow = content
            .min(MAX_COLUMN_WIDTH * text.height)
            .max(MIN_COLUMN_WIDTH * text.height);
        let footer = if mark > 0 { line } else { 0 };

        // Below a wide image there is space for columns, beside a tall one for rows.
        let below = width >= height;
        let across = width.saturating_sub(2 * margin);
        let most_columns = ((across + gap) / (narrow + gap)).max(1);
        let down = if below {
            height
        } else {
            height.saturating_sub(2 * margin + footer)
        };
        let most_rows = (down / line).max(MIN_ROWS);
        let capacity = (most_columns * most_rows) as usize;
        let rest = (entries.len() > capacity).then(|| {
            let hidden = entries.split_off(capacity - 1);
            format!(
                "and {} more: {}",
                hidden.len(),
                percent(hidden.iter().map(|entry| entry.pixels).sum(), pixels)
            )
        });
        let lines = entries.len() as u32 + u32::from(rest.is_some());
        let (columns, rows) = if below {
            (most_columns, lines.div_ceil(most_columns))
        } else {
            (lines.div_ceil(most_rows), lines.min(most_rows))
        };
        // Long names are not truncated where there is space below an image.
        let room = (across + gap) / columns.max(1) - gap.min(across / columns.max(1));
        let column_width = if below {
            content.max(narrow).min(room.max(narrow))
        } else {
            narrow
        };

        let legend_width = columns * (column_width + gap) - gap.min(columns * gap) + 2 * margin;
        let legend_height = rows * line + footer + 2 * margin;
        let (size, origin) = if below {
            (
                (width.max(legend_width), height + legend_height),
                (margin, height + margin),
            )
        } else {
            (
                (width + legend_width, height.max(legend_height)),
                (width + margin, margin),
            )
        };
        Self {
            text,
            entries,
            rest,
            columns,
            column_width,
            rows,
            origin,
            size,
        }
    }

    /// Distance of lines.
    fn line(text: Text) -> u32 {
        text.height * 5 / 4
    }

    /// Space between columns.
    fn gap(text: Text) -> u32 {
        text.height * 3 / 2
    }

    fn draw(&self, drawing: &mut RgbImage) {
        let Self { text, .. } = *self;
        let line = Self::line(text);
        let corner = |position: u32| {
            let (column, row) = (position / self.rows.max(1), position % self.rows.max(1));
            (
                self.origin.0 + column * (self.column_width + Self::gap(text)),
                self.origin.1 + row * line,
            )
        };
        for (entry, position) in self.entries.iter().zip(0..) {
            let (x, y) = corner(position);
            self.draw_entry(drawing, entry, x, y);
        }
        if let Some(rest) = &self.rest {
            let (x, y) = corner(self.entries.len() as u32);
            text.draw(drawing, x, y, &text.shortened(rest, self.column_width), FAINT_INK);
        }
        if self.entries.iter().any(|entry| entry.unseen) {
            let note = format!("{UNSEEN_MARK} not seen in training");
            let y = self.origin.1 + self.rows * line;
            let room = self.columns * (self.column_width + Self::gap(text));
            text.draw(drawing, self.origin.0, y, &text.shortened(&note, room), FAINT_INK);
        }
    }

    fn draw_entry(&self, drawing: &mut RgbImage, entry: &Entry, x: u32, y: u32) {
        let Self { text, column_width, .. } = *self;
        let side = text.height * 7 / 8;
        let border = (text.height / 16).max(1);
        let chip = Rect {
            x,
            y: y + (text.height - side) / 2,
            width: side,
            height: side,
        };
        match entry.color {
            Some(color) => fill_bordered(drawing, chip, color, INK, border),
            None => fill_bordered(drawing, chip, BACKGROUND, FAINT_INK, border),
        }
        let percent_width = text.width(&entry.percent);
        let name_x = x + side + text.height / 2;
        let percent_x = x + column_width.saturating_sub(percent_width);
        let mark_width = if entry.unseen {
            text.width(UNSEEN_MARK) + text.height / 4
        } else {
            0
        };
        let room = percent_x.saturating_sub(name_x + text.height / 2 + mark_width);
        let name = text.shortened(&entry.name, room);
        text.draw(drawing, name_x, y, &name, INK);
        if entry.unseen {
            text.draw(
                drawing,
                name_x + text.width(&name) + text.height / 4,
                y,
                UNSEEN_MARK,
                INK,
            );
        }
        text.draw(drawing, percent_x, y, &entry.percent, FAINT_INK);
    }
}
