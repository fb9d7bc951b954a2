//! `results.json`: the scores of all rows and seeds that are done. It is kept beside the table, so that an ablation that takes
//! hours can be made in several sittings, on several machines.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::configuration::{Configuration, Row};
use super::table::Samples;

/// Scores of one model on one split, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Scores {
    pub(super) pixel_accuracy: Option<f64>,
    pub(super) miou_seen: Option<f64>,
    pub(super) miou_unseen: Option<f64>,
    pub(super) hiou: Option<f64>,
}

/// One of the scores.
pub(super) type Score = fn(&Scores) -> Option<f64>;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Stored {
    /// What all rows have in common: only such rows can be compared.
    made_with: String,
    /// By row and seed, then by split.
    rows: BTreeMap<String, BTreeMap<String, Scores>>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    stored: Stored,
}

impl Results {
    /// Those in `path`; none if there is no such file.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let stored = match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        Ok(Self {
            path: path.to_owned(),
            stored,
        })
    }

    /// The same, to be gone on with; fails if they were made with something else.
    pub(super) fn continued_with(mut self, made_with: &str) -> Result<Self, String> {
        if !self.stored.rows.is_empty() && self.stored.made_with != made_with {
            return Err(format!(
                "{} was made with another CLIP, another preset or other numbers of iterations or images; remove it to begin anew",
                self.path.display()
            ));
        }
        made_with.clone_into(&mut self.stored.made_with);
        Ok(self)
    }

    pub(super) fn has(&self, row: &Row, seed: u64) -> bool {
        self.stored.rows.contains_key(&row.file_name(seed))
    }

    /// Adds what `zegclip eval --json` printed for each split, and writes the file.
    pub(super) fn add(&mut self, row: &Row, seed: u64, splits: &BTreeMap<String, Value>) -> Result<(), String> {
        let score = |value: &Value, key: &str| value[key].as_f64();
        let scores = splits.iter().map(|(split, value)| {
            let scores = Scores {
                pixel_accuracy: score(value, "pixel_accuracy"),
                miou_seen: score(value, "miou_seen"),
                miou_unseen: score(value, "miou_unseen"),
                hiou: score(value, "hiou"),
            };
            (split.clone(), scores)
        });
        self.stored.rows.insert(row.file_name(seed), scores.collect());
        let wrong = |error: String| format!("{}: {error}", self.path.display());
        let text = serde_json::to_string_pretty(&self.stored).map_err(|error| wrong(error.to_string()))?;
        zegclip_foundation::write_atomically(&self.path, |file| writeln!(file, "{text}"))
            .map_err(|error| wrong(error.to_string()))
    }

    /// A score of a row on a split, over the seeds that are done.
    pub(super) fn samples(&self, configuration: &Configuration, row: &Row, split: &str, score: Score) -> Samples {
        let scores = |seed: &u64| self.stored.rows.get(&row.file_name(*seed))?.get(split);
        let done = configuration.seeds.iter().filter_map(scores);
        Samples(done.filter_map(score).collect())
    }
}

/// A name for bytes: FNV-1a, which tells slips and changes, not forgeries.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_and_not_mixed() {
        let configuration = Configuration::read(&crate::root().join(super::super::CONFIGURATION)).unwrap();
        let row = configuration.rows().next().unwrap();
        let path = std::env::temp_dir().join(format!("zegclip-results-{}.json", std::process::id()));
        let open = |made_with: &str| Results::read(&path).unwrap().continued_with(made_with);
        let mut results = open("a").unwrap();
        let value = serde_json::json!({"hiou": 12.5, "miou_seen": null, "classes": []});
        results
            .add(row, 1, &[("known_artists".to_owned(), value)].into())
            .unwrap();
        let read = open("a").unwrap();
        let other = open("b").map(|_| ()).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(read.has(row, 1) && !read.has(row, 2));
        assert_eq!(
            read.samples(&configuration, row, "known_artists", |scores| scores.hiou)
                .0,
            [12.5]
        );
        assert!(
            read.samples(&configuration, row, "known_artists", |scores| scores.miou_seen)
                .0
                .is_empty()
        );
        assert!(other.contains("remove it to begin anew"), "{other}");
        // The published test vector of FNV-1a.
        assert_eq!(fingerprint(b"foobar"), "85944171f73967e8");
    }
}
