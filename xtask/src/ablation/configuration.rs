//! The file of rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What is trained and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Configuration {
    /// What the results at hand were made of, where that has changed since.
    pub(super) note: Option<String>,
    /// Weights of the pre-trained CLIP, or of a ZegCLIP made of it.
    pub(super) clip: PathBuf,
    /// Preset of `zegclip train` that every row starts from.
    pub(super) preset: PathBuf,
    pub(super) seeds: Vec<u64>,
    /// Splits of the scenes that are scored.
    pub(super) splits: Vec<String>,
    /// Images of a split.
    pub(super) images: u64,
    smoke: Smoke,
    pub(super) groups: Vec<Group>,
}

/// What a run has instead that only shows that all works.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Smoke {
    seeds: Vec<u64>,
    /// Put over everything, rows included.
    set: Vec<String>,
    images: u64,
}

/// A table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) title: String,
    /// What the paper claims.
    pub(super) claim: String,
    /// What became of it here.
    pub(super) finding: Option<String>,
    /// Values of all its rows, whose own go over them.
    #[serde(default)]
    set: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// A configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Its name and that of its files.
    pub(super) name: String,
    #[serde(default)]
    pub(super) set: Vec<String>,
    /// Put over `set` of the row, in a smoke run.
    #[serde(skip)]
    pub(super) last: Vec<String>,
    /// A row from whose half-way checkpoint of the same seed to start.
    pub(super) initial: Option<String>,
    /// Another row that is this one, in another table.
    pub(super) same_as: Option<String>,
    /// `maskclip` trains nothing.
    pub(super) method: Option<String>,
    /// pAcc, mIoU(S), mIoU(U), hIoU by data set.
    #[serde(default)]
    pub(super) paper: BTreeMap<String, [f64; 4]>,
}

impl Configuration {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut read: Self = toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        for group in &mut read.groups {
            for row in &mut group.rows {
                row.set = [group.set.as_slice(), &row.set].concat();
            }
        }
        let mut names: Vec<&str> = read.rows().map(|row| row.name.as_str()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        if names.len() < count {
            return Err(format!("{}: two rows have the same name", path.display()));
        }
        Ok(read)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().flat_map(|group| &group.rows)
    }

    /// The same rows, as small as they go.
    pub(super) fn smoke(self) -> Self {
        let Smoke { seeds, set, images } = self.smoke.clone();
        let mut groups = self.groups;
        for row in groups.iter_mut().flat_map(|group| &mut group.rows) {
            row.last.clone_from(&set);
        }
        Self {
            seeds,
            images,
            groups,
            ..self
        }
    }
}

impl Row {
    /// The name in files.
    pub(super) fn file_name(&self, seed: u64) -> String {
        let plain = |letter: char| {
            if letter.is_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let name: String = self.same_as.as_ref().unwrap_or(&self.name).chars().map(plain).collect();
        format!("{}-seed-{seed}", name.trim_matches('-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_understood() {
        let path = crate::root().join(super::super::CONFIGURATION);
        let configuration = Configuration::read(&path).unwrap();
        assert!(configuration.seeds.len() >= 3);
        for row in configuration.rows() {
            for initial in row.initial.iter().chain(&row.same_as) {
                assert!(configuration.rows().any(|other| other.name == *initial), "{initial}");
            }
        }
        let count = configuration.rows().count();
        let smoke = configuration.smoke();
        assert_eq!(smoke.rows().count(), count);
        assert!(smoke.rows().all(|row| !row.last.is_empty()));
    }
}
