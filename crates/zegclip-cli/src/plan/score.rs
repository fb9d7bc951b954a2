//! `zegclip score`

use std::ffi::OsString;
use std::path::PathBuf;

use crate::arguments::{ClassNames, ScoreArguments};
use crate::failure::Failure;
use crate::hints;

#[derive(Debug)]
pub(crate) enum ScorePlan {
    /// Predictions against labels.
    Compare(Comparison),
    /// The sum of the shards of an evaluation.
    Merge {
        shards: Vec<PathBuf>,
        output: Option<PathBuf>,
        overwrite: bool,
        json: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Comparison {
    /// Folder of the predicted label maps.
    pub(crate) predictions: PathBuf,
    pub(crate) truth: Truth,
    pub(crate) seen: Option<ClassNames>,
    pub(crate) boundary: bool,
    /// Folder of the results; nothing is written where there is none.
    pub(crate) output: Option<PathBuf>,
    pub(crate) overwrite: bool,
    pub(crate) json: bool,
}

/// Where the true labels are.
#[derive(Debug)]
pub(crate) enum Truth {
    Dataset {
        dataset: OsString,
        split: Option<String>,
        vocabulary: Option<OsString>,
        table: Option<PathBuf>,
        unmatched: Option<String>,
    },
    Folder {
        labels: PathBuf,
        vocabulary: OsString,
    },
}

impl ScorePlan {
    pub(crate) fn new(arguments: ScoreArguments) -> Result<Self, Failure> {
        let (output, overwrite, json) = (arguments.output, arguments.overwrite, arguments.json);
        let predictions = match arguments.predictions {
            Some(predictions) if arguments.merge.is_empty() => predictions,
            None if arguments.merge.is_empty() => {
                return Err(Failure::usage("neither predictions nor shards are named").hint(hints::NAME_PREDICTIONS));
            }
            _ => {
                return Ok(Self::Merge {
                    shards: arguments.merge,
                    output,
                    overwrite,
                    json,
                });
            }
        };
        let truth = match (arguments.dataset, arguments.labels, arguments.vocabulary) {
            (Some(dataset), _, vocabulary) => Truth::Dataset {
                dataset,
                split: arguments.split,
                vocabulary,
                table: arguments.table,
                unmatched: arguments.unmatched,
            },
            (None, Some(labels), Some(vocabulary)) => Truth::Folder { labels, vocabulary },
            _ => return Err(Failure::usage("no true labels are named").hint(hints::NAME_LABELS)),
        };
        Ok(Self::Compare(Comparison {
            predictions,
            truth,
            seen: arguments.seen,
            boundary: arguments.boundary,
            output,
            overwrite,
            json,
        }))
    }
}
