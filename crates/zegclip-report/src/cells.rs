//! Parts of tables and legends.

use maud::{Markup, html};
use zegclip_data::palette::Color;

/// A square of a class's color, 0.8 em wide.
pub(crate) fn class_chip(color: Color) -> Markup {
    let [red, green, blue] = color;
    html! { i.chip style={ "background:rgb(" (red) "," (green) "," (blue) ")" } {} }
}

/// A fraction of 1 in percent with one digit after the point; `–` where it is undefined.
pub(crate) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "–".to_owned(), |fraction| format!("{:.1}", 100.0 * fraction))
}
