//! The frame of every page: head, style sheet, heading, footer.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
/// Forbids scripts, network access and everything else that the pages do not use.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// A complete HTML document with `title` as its title and heading.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                (body)
                footer { "ZegCLIP " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    document.into_string() + "\n"
}
