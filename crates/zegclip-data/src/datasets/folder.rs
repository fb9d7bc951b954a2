//! A user's data set, described by a TOML.
//!
//! The TOML is a vocabulary (see [`Vocabulary::from_toml`]) with a table for each split:
//!
//! ```toml
//! name = "farm"
//! classes = ["cow", "sheep", "sofa|couch"]
//! unseen = ["sheep"]
//! labels = { values = { 7 = "cow", 9 = "sheep", 12 = "sofa" }, ignore = [0, 255] }
//!
//! [splits.train]
//! images = "photos/train/**/*.jpg"    # patterns of file names, from the TOML's folder
//! labels = "masks/train/**/*.png"     # 8-bit PNG: gray values or palette indices
//! label_suffix = "_mask"              # `a/b_mask.png` belongs to `a/b.jpg`; default: none
//! list = "lists/train.txt"            # only these, a line each: `a/b`, a file, or image and label file; default: all
//! ```
//!
//! Image and label file belong together when their paths below the fixed start of their patterns (`photos/train`,
//! `masks/train`) are equal, extension and suffix aside. `images` may be left out to score label maps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use zegclip_foundation::{FilePattern, FoundFile, text_of};

use super::error::DatasetError;
use super::file_index::{FileIndex, Files};
use super::layout::Place;
use super::split_list::SplitFiles;
use crate::result_names::is_result;
use crate::toml_table::{check_keys, parse, read_text};
use crate::vocabulary::VOCABULARY_KEYS;
use crate::{DataError, Vocabulary};

const SPLITS: &str = "splits";
const IMAGE: &str = "image";
const SPLIT_KEYS: &[&str] = &["images", "labels", "label_suffix", "list"];

/// A data set described by a TOML.
#[derive(Clone, Debug)]
pub(super) struct FolderDescription {
    pub(super) vocabulary: Arc<Vocabulary>,
    splits: BTreeMap<String, Split>,
    folder: PathBuf,
    origin: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Split {
    images: Option<String>,
    labels: String,
    #[serde(default)]
    label_suffix: String,
    list: Option<PathBuf>,
}

impl FolderDescription {
    /// Reads the description; looks at no other file.
    pub(super) fn read(path: &Path) -> Result<Self, DatasetError> {
        let origin = format!("`{}`", path.display());
        let mistake = |message: String| DataError::Toml {
            origin: origin.clone(),
            message,
        };
        let mut table = parse(&read_text(path)?, &origin)?;
        check_keys(&table, &[VOCABULARY_KEYS, &[SPLITS]].concat(), &origin)?;
        let entries = match table.remove(SPLITS) {
            Some(toml::Value::Table(splits)) if !splits.is_empty() => splits,
            _ => {
                let example = "`[splits.train]` with `images = \"photos/*.jpg\"` and `labels = \"masks/*.png\"`";
                return Err(mistake(format!("it has no split, such as {example}")).into());
            }
        };
        let mut splits = BTreeMap::new();
        for (name, entry) in entries {
            let place = format!("{origin}, `splits.{name}`");
            check_keys(entry.as_table().unwrap_or(&toml::Table::new()), SPLIT_KEYS, &place)?;
            let split = entry.try_into().map_err(|error: toml::de::Error| DataError::Toml {
                origin: place,
                message: error.message().replace('\n', ", "),
            })?;
            splits.insert(name, split);
        }
        let file_name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        table.entry("name").or_insert(file_name.into());
        let vocabulary = Vocabulary::from_toml_text(&table.to_string(), &origin)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Self {
            vocabulary: Arc::new(vocabulary),
            splits,
            folder,
            origin,
        })
    }

    pub(super) fn splits(&self) -> impl Iterator<Item = &str> {
        self.splits.keys().map(String::as_str)
    }

    pub(super) fn index(&self, split: &str) -> Result<FileIndex, DatasetError> {
        let place = Place {
            dataset: self.vocabulary.name(),
            root: &self.folder,
        };
        let Some(entry) = self.splits.get(split) else {
            return Err(place.unknown_split(split, &self.splits().collect::<Vec<_>>()));
        };
        let origin = format!("{}, `splits.{split}`", self.origin);
        let images = match &entry.images {
            Some(pattern) => self.files(pattern, "", IMAGE, &origin)?,
            None => Files::new(BTreeMap::new(), "`images` of the split".to_owned()),
        };
        let labels = self.files(&entry.labels, &entry.label_suffix, "label file", &origin)?;
        let no_images = entry.images.as_ref().filter(|_| images.by_id.is_empty());
        let no_labels = Some(&entry.labels).filter(|_| labels.by_id.is_empty());
        if no_images.is_some() || no_labels.is_some() {
            return Err(self.no_match(entry, no_images, no_labels, origin));
        }
        let labels = labels.into_label_pngs(self.vocabulary.encoding().clone());
        let vocabulary = self.vocabulary.clone();
        match &entry.list {
            None => Ok(FileIndex::of_files(vocabulary, &images, &labels)),
            Some(list) => {
                let path = self.folder.join(list);
                let files = SplitFiles {
                    folder: &self.folder,
                    images: &images,
                    labels: &labels,
                    label_suffix: &entry.label_suffix,
                };
                let (names, problems) = files.read(&path)?;
                let mut index = FileIndex::of_list(vocabulary, names, &path, &images, &labels);
                index.problems.splice(..0, problems);
                Ok(index)
            }
        }
    }

    /// The error for patterns without a file.
    fn no_match(
        &self,
        entry: &Split,
        images: Option<&String>,
        labels: Option<&String>,
        origin: String,
    ) -> DatasetError {
        let mut patterns = Vec::new();
        if let Some(pattern) = images {
            patterns.push(format!("`images = {}`", toml::Value::from(pattern.as_str())));
        }
        if let Some(pattern) = labels {
            let suffix = match entry.label_suffix.as_str() {
                "" => String::new(),
                suffix => format!(" with `label_suffix = {}`", toml::Value::from(suffix)),
            };
            patterns.push(format!("`labels = {}`{suffix}", toml::Value::from(pattern.as_str())));
        }
        let given = images.into_iter().chain(labels);
        let folder = given.clone().find_map(|pattern| {
            let pattern = FilePattern::new(pattern).ok()?;
            Some(self.folder.join(pattern.start())).filter(|folder| !folder.is_dir())
        });
        DatasetError::NoMatch {
            origin,
            patterns: patterns.join(" or "),
            missing_folder: folder,
            has_braces: given.into_iter().any(|pattern| pattern.contains('{')),
        }
    }

    /// The files that match a pattern, by their path below its fixed start without extension and suffix.
    fn files(
        &self,
        pattern: &str,
        suffix: &str,
        what: &'static str,
        origin: &str,
    ) -> Result<Files<PathBuf>, DatasetError> {
        let wrong = |reason: String| DatasetError::Glob {
            origin: origin.to_owned(),
            pattern: pattern.to_owned(),
            reason,
        };
        let parsed = FilePattern::new(pattern).map_err(|error| wrong(error.reason))?;
        let start = self.folder.join(parsed.start());
        let mut files = BTreeMap::<String, FoundFile>::new();
        for file in parsed.files(&self.folder).map_err(DataError::listing)? {
            let below = file.path.strip_prefix(&start).unwrap_or(&file.path).with_extension("");
            let id = id_of(&below);
            let Some(id) = id.strip_suffix(suffix) else {
                continue;
            };
            if what == IMAGE && is_result(&file.path) {
                continue;
            }
            match files.entry(id.to_owned()) {
                Entry::Vacant(entry) => {
                    entry.insert(file);
                }
                Entry::Occupied(mut entry) if entry.get().real == file.real => {
                    if !file.is_link {
                        entry.insert(file);
                    }
                }
                Entry::Occupied(entry) => {
                    return Err(DatasetError::SameName {
                        origin: format!("{origin}, `{pattern}`"),
                        what,
                        id: id.to_owned(),
                        first: entry.get().path.clone(),
                        second: file.path,
                    });
                }
            }
        }
        let links = files.iter().filter(|(_, file)| file.is_link);
        let links = links.map(|(id, file)| (id.clone(), file.real.clone())).collect();
        let by_id = files.into_iter().map(|(id, file)| (id, file.path)).collect();
        Ok(Files {
            by_id,
            links,
            expected: format!("it to match `{pattern}`"),
        })
    }
}

/// The name of a sample: its path with `/` on every system.
fn id_of(below: &Path) -> String {
    let names: Vec<String> = below.iter().map(text_of).collect();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FARM: &str = r#"
        classes = ["cow", "sheep", "sofa|couch"]
        unseen = ["sheep"]
        labels = { values = { 7 = "cow", 9 = "sheep", 12 = "couch" }, ignore = [0] }
        [splits.train]
        images = "photos/**/*.jpg"
        labels = "masks/**/*.png"
        label_suffix = "_mask"
        [splits.val]
        images = "photos/*.jpg"
        labels = "masks/*.png"
        list = "val.txt"
    "#;

    fn farm(toml: &str, files: &[&str]) -> (tempfile::TempDir, Result<FolderDescription, DatasetError>) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let path = folder.path().join("farm.toml");
        std::fs::write(&path, toml).unwrap();
        let description = FolderDescription::read(&path);
        (folder, description)
    }

    #[test]
    fn files_are_paired_below_the_fixed_start() {
        let files = [
            "photos/a/1.jpg",
            "photos/2.jpg",
            "masks/a/1_mask.png",
            "masks/2_mask.png",
            "masks/2.png",
        ];
        let (_folder, description) = farm(FARM, &files);
        let description = description.unwrap();
        assert_eq!(description.vocabulary.name(), "farm");
        assert_eq!(description.splits().collect::<Vec<_>>(), ["train", "val"]);
        let index = description.index("train").unwrap();
        assert_eq!(
            index.samples.iter().map(|sample| sample.id()).collect::<Vec<_>>(),
            ["2", "a/1"]
        );
        assert!(index.problems.is_empty(), "{:?}", index.problems);
        assert!(index.samples[1].label_path().unwrap().ends_with("masks/a/1_mask.png"));
    }

    #[test]
    fn a_missing_partner_and_a_duplicate_are_named() {
        let (_folder, description) = farm(FARM, &["photos/1.jpg", "masks/3_mask.png"]);
        let problems = description.unwrap().index("train").unwrap().problems;
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "`1` has no label file, expected it to match `masks/**/*.png`",
                "`3` has no image, expected it to match `photos/**/*.jpg`"
            ]
        );
        let both = FARM.replace("**/*.jpg", "*.*");
        let (_folder, description) = farm(&both, &["photos/1.jpg", "photos/1.jpeg"]);
        let error = description.unwrap().index("train").unwrap_err().to_string();
        assert!(error.contains("are both the image of `1`"), "{error}");
    }

    #[test]
    fn hidden_files_and_results_are_not_samples() {
        let files = [
            "photos/1.jpg",
            "photos/._1.jpg",
            "photos/1.labels.png",
            "photos/1.overlay.png",
            "photos/1.json",
            "masks/1_mask.png",
            "masks/._1_mask.png",
        ];
        let (_folder, description) = farm(&FARM.replace("**/*.jpg", "**/*.*g"), &files);
        let index = description.unwrap().index("train").unwrap();
        let ids: Vec<_> = index.samples.iter().map(|sample| sample.id()).collect();
        assert_eq!(ids, ["1"]);
        assert!(index.problems.is_empty(), "{:?}", index.problems);
    }

    #[cfg(unix)]
    #[test]
    fn links_count_once_unless_image_or_labels_differ() {
        use std::os::unix::fs::symlink;

        let (folder, description) = farm(FARM, &["photos/b.jpg", "masks/b_mask.png", "masks/d_mask.png"]);
        let link = |to: &str, name: &str| symlink(to, folder.path().join(name)).unwrap();
        link("b.jpg", "photos/a.jpg");
        link("b_mask.png", "masks/a_mask.png");
        link("b.jpg", "photos/c.jpg");
        // Another opinion about the same image.
        link("b.jpg", "photos/d.jpg");
        link(".", "photos/latest");
        link("..", "masks/latest");
        let index = description.unwrap().index("train").unwrap();
        let ids: Vec<_> = index.samples.iter().map(|sample| sample.id()).collect();
        assert_eq!(ids, ["b", "d"]);
        assert!(index.problems.is_empty(), "{:?}", index.problems);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_are_paired() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let (folder, description) = farm(FARM, &["photos/b.jpg", "masks/b_mask.png"]);
        for (place, name) in [("photos", &b"caf\xe9.jpg"[..]), ("masks", b"caf\xe9_mask.png")] {
            std::fs::write(folder.path().join(place).join(OsStr::from_bytes(name)), "").unwrap();
        }
        let index = description.unwrap().index("train").unwrap();
        let ids: Vec<_> = index.samples.iter().map(|sample| sample.id()).collect();
        assert_eq!(ids, ["b", "caf\\xE9"]);
        assert!(index.problems.is_empty(), "{:?}", index.problems);
    }

    #[test]
    fn lists_choose() {
        let (folder, description) = farm(FARM, &["photos/1.jpg", "photos/2.jpg", "masks/1.png", "masks/2.png"]);
        let description = description.unwrap();
        let list = folder.path().join("val.txt");
        assert!(description.index("val").unwrap_err().to_string().contains("val.txt"));
        std::fs::write(&list, "\n").unwrap();
        assert!(matches!(description.index("val"), Err(DatasetError::EmptyList { .. })));
        std::fs::write(&list, "2\n2\n9\n").unwrap();
        let index = description.index("val").unwrap();
        assert_eq!(index.samples.len(), 2);
        let problems: Vec<_> = index.problems.iter().map(super::super::PairProblem::id).collect();
        assert_eq!(problems, ["2", "9", "9"]);
    }

    #[test]
    fn mistakes_in_the_description_are_named() {
        let error = |from: &str, to: &str| {
            assert!(FARM.contains(from));
            let (_folder, description) = farm(&FARM.replacen(from, to, 1), &[]);
            description
                .and_then(|description| description.index("train").map(|_| ()))
                .unwrap_err()
                .to_string()
        };
        assert!(error("unseen", "unsen").contains("unknown key `unsen` (did you mean `unseen`?)"));
        assert!(error("label_suffix", "label_sufix").contains("did you mean `label_suffix`?"));
        assert!(error("images =", "image =").contains("did you mean `images`?"));
        assert!(error("\"sheep\", \"sofa", "\"cow\", \"sofa").contains("`cow` names both class 1 and class 2"));
        assert!(error("labels = \"masks/**/*.png\"", "").contains("missing field `labels`"));
        assert!(error("masks/**/*.png", "masks/**x/*.png").contains("is not a pattern of file names"));
        assert!(error("9 = \"sheep\"", "9 = \"shep\"").contains("did you mean `sheep`?"));
        let nothing = error("_mask", "");
        assert!(
            nothing.contains("nothing matches `images = \"photos/**/*.jpg\"` or `labels = \"masks/**/*.png\"`"),
            "{nothing}"
        );
        let (_folder, description) = farm("classes = [\"a\"]", &[]);
        assert!(description.unwrap_err().to_string().contains("it has no split"));
        let (_folder, description) = farm(FARM, &[]);
        let error = description.unwrap().index("trian").unwrap_err().to_string();
        assert!(error.contains("no split `trian` (did you mean `train`?)"), "{error}");
    }
}
