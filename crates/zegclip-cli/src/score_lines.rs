//! Scores on stdout and in progress bars.

use zegclip_data::metrics::{Confusion, Scores, evaluation_json, markdown_table};

use crate::failure::Failure;
use crate::output;

/// Prints scores to stdout: JSON on one line, or tables.
pub(crate) fn print(confusion: &Confusion, json: bool) -> Result<(), Failure> {
    let scores = Scores::of(confusion);
    if json {
        output::json(&evaluation_json(&scores))
    } else {
        output::line(markdown_table(&scores).trim_end())
    }
}

/// Message of the progress bar: the current hIoU, or mIoU without unseen classes.
pub(crate) fn running(confusion: &Confusion) -> String {
    let scores = Scores::of(confusion);
    match (scores.hiou, scores.miou) {
        (Some(hiou), _) => format!("hIoU {:.1}", 100.0 * hiou),
        (None, Some(miou)) => format!("mIoU {:.1}", 100.0 * miou),
        (None, None) => String::new(),
    }
}
