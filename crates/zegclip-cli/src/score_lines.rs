//! Scores on stdout and in progress bars.

use zegclip_data::evaluation::{ReportHeader, add_assumptions};
use zegclip_data::metrics::{Confusion, Scores, evaluation_json, markdown_table};

use crate::failure::Failure;
use crate::output;

/// Prints scores to stdout: JSON on one line, with the assumptions of the header, or tables.
pub(crate) fn print(confusion: &Confusion, header: &ReportHeader, json: bool) -> Result<(), Failure> {
    let scores = Scores::of(confusion);
    if json {
        let mut evaluation = evaluation_json(&scores);
        add_assumptions(&mut evaluation, header);
        output::json(&evaluation)
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
