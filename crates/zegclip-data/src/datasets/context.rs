//! PASCAL Context on VOC 2010, with 59 classes or with background as the 60th.
//!
//! Labels come from the first of these that is there:
//! 1. `SegmentationClassContext/*.png` of mmsegmentation's script, values in the alphabetical order of the classes;
//! 2. `59_context_labels/*.png` of the publishers, in the order of their `59_labels.txt`;
//! 3. `trainval_merged.json`, the annotation file of PASCAL in Detail which mmsegmentation's script reads;
//! 4. `trainval/*.mat` of the publishers, with 459 categories.
//!
//! The 400 categories that are not among the 59 are background, as in the publishers' labels of 59 classes.
//! Lists are `ImageSets/SegmentationContext/*.txt` of the script, the phases of the annotation file, or VOC 2010's
//! `ImageSets/Main/*.txt` as far as there are labels.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::detail::Detail;
use super::error::DatasetError;
use super::file_index::{FileIndex, Files};
use super::layout::{Place, candidates};
use super::sample::{LabelFile, LabelSource};
use super::split_list::{Listed, read_list};
use crate::toml_table::read_text;
use crate::{ClassIndex, DataError, LabelEncoding, Vocabulary};

const ROOTS: [&str; 3] = ["VOCdevkit/VOC2010", "VOC2010", ""];
/// The publishers' archives are unpacked anywhere near.
const NEAR: [&str; 5] = ["", "VOCdevkit/VOC2010", "VOC2010", "..", "../.."];
const SPLITS: [&str; 3] = ["train", "val", "trainval"];
const IMAGES: &str = "JPEGImages";
const SCRIPT_LABELS: &str = "SegmentationClassContext";
const PUBLISHED_LABELS: &str = "59_context_labels";
const PUBLISHED_NAMES: &str = "59_labels.txt";
const ANNOTATIONS: [&str; 4] = [
    "trainval_merged.json",
    "trainval.json",
    "trainval_withkeypoints.json",
    "json/trainval_withkeypoints.json",
];
const MATLAB_LABELS: [&str; 2] = ["trainval/trainval", "trainval"];
const LISTS: [&str; 2] = ["ImageSets/SegmentationContext", "ImageSets/Main"];
const BACKGROUND: &str = "background";

/// Which of the 459 categories are the 59 classes, in alphabetical order; the numbers that mmsegmentation's script has.
const CATEGORIES: [u16; 59] = [
    2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85, 98, 104, 105, 113, 115, 144, 158, 159,
    162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296, 308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397,
    415, 416, 420, 424, 427, 440, 445, 454, 458,
];
const LAST_CATEGORY: u16 = 459;

pub(super) fn index(place: &Place<'_>, split: &str, vocabulary: Arc<Vocabulary>) -> Result<FileIndex, DatasetError> {
    if !SPLITS.contains(&split) {
        return Err(place.unknown_split(split, &SPLITS));
    }
    let images = place
        .find(&candidates(&ROOTS, &[IMAGES]))
        .unwrap_or_else(|| place.root.join(IMAGES));
    let images = Files::<PathBuf>::in_folder(&images, ".jpg")?;
    let labels = labels(place, &vocabulary)?;
    let (ids, list) = match &labels {
        Labels::Detail { path, annotations, .. } if script_list(place, split).is_none() => {
            let ids: Vec<Listed> = annotations
                .of_split(split)
                .map(|(_, image)| image.id().to_owned().into())
                .collect();
            if ids.is_empty() {
                return Err(DatasetError::EmptyList {
                    path: path.to_path_buf(),
                });
            }
            (ids, path.to_path_buf())
        }
        _ => listed(place, split, &labels)?,
    };
    Ok(FileIndex::of_list(
        vocabulary,
        ids,
        &list,
        &images,
        &labels.into_files(),
    ))
}

/// Label files, and the annotation file where they are in one.
enum Labels {
    Files(Files<LabelSource>),
    Detail {
        path: Arc<Path>,
        annotations: Arc<Detail>,
        files: Files<LabelSource>,
    },
}

impl Labels {
    fn files(&self) -> &Files<LabelSource> {
        match self {
            Self::Files(files) | Self::Detail { files, .. } => files,
        }
    }

    fn into_files(self) -> Files<LabelSource> {
        match self {
            Self::Files(files) | Self::Detail { files, .. } => files,
        }
    }
}

fn labels(place: &Place<'_>, vocabulary: &Vocabulary) -> Result<Labels, DatasetError> {
    let folder = |names: &[&str]| place.find(&candidates(&NEAR, names)).filter(|path| path.is_dir());
    if let Some(folder) = folder(&[SCRIPT_LABELS]) {
        let files = Files::<PathBuf>::in_folder(&folder, ".png")?;
        return Ok(Labels::Files(files.into_label_pngs(vocabulary.encoding().clone())));
    }
    if let Some(folder) = folder(&[PUBLISHED_LABELS]) {
        let names = candidates(
            &NEAR,
            &[PUBLISHED_NAMES, &format!("{PUBLISHED_LABELS}/{PUBLISHED_NAMES}")],
        );
        let names = place.require("list of names of `59_context_labels`", &names)?;
        let encoding = published_encoding(&names, vocabulary)?;
        return Ok(Labels::Files(
            Files::<PathBuf>::in_folder(&folder, ".png")?.into_label_pngs(encoding),
        ));
    }
    let encoding = Arc::new(category_encoding(vocabulary)?);
    if let Some(path) = place.find(&candidates(&NEAR, &ANNOTATIONS)) {
        let file = std::fs::File::open(&path).map_err(DataError::io("read", &path))?;
        let annotations = Detail::read(file).map_err(|source| DatasetError::Detail {
            path: path.clone(),
            source,
        })?;
        let (annotations, path) = (Arc::new(annotations), Arc::<Path>::from(path));
        let sources = annotations.images().map(|(position, image)| {
            let file = LabelFile::Detail {
                path: path.clone(),
                annotations: annotations.clone(),
                position,
            };
            (
                image.id().to_owned(),
                LabelSource {
                    file,
                    encoding: encoding.clone(),
                },
            )
        });
        let files = Files::new(sources.collect(), format!("it in `{}`", path.display()));
        return Ok(Labels::Detail {
            annotations: annotations.clone(),
            path: path.clone(),
            files,
        });
    }
    if let Some(folder) = folder(&MATLAB_LABELS) {
        let files = Files::<PathBuf>::in_folder(&folder, ".mat")?;
        let sources = files.by_id.into_iter().map(|(id, path)| {
            let file = LabelFile::Mat5 {
                path,
                variable: &["LabelMap"],
            };
            (
                id,
                LabelSource {
                    file,
                    encoding: encoding.clone(),
                },
            )
        });
        return Ok(Labels::Files(Files::new(sources.collect(), files.expected)));
    }
    let expected = [SCRIPT_LABELS, PUBLISHED_LABELS, ANNOTATIONS[0], "trainval/*.mat"];
    Err(place.missing("labels", &expected.map(str::to_owned)))
}

fn script_list(place: &Place<'_>, split: &str) -> Option<PathBuf> {
    let lists = place.find(&candidates(&ROOTS, &[LISTS[0]]))?;
    Some(lists.join(format!("{split}.txt"))).filter(|path| path.is_file())
}

fn listed(place: &Place<'_>, split: &str, labels: &Labels) -> Result<(Vec<Listed>, PathBuf), DatasetError> {
    if let Some(path) = script_list(place, split) {
        return Ok((read_list(&path)?, path));
    }
    // The script writes no list of both splits.
    if let (Some(train), Some(val)) = (script_list(place, "train"), script_list(place, "val"))
        && split == "trainval"
    {
        return Ok(([read_list(&train)?, read_list(&val)?].concat(), train));
    }
    // VOC 2010's lists name all its images, of which some have no labels here.
    let names = LISTS.map(|folder| format!("{folder}/{split}.txt"));
    let path = place.require("list", &candidates(&ROOTS, &names.each_ref().map(String::as_str)))?;
    let ids = read_list(&path)?
        .into_iter()
        .filter(|listed| labels.files().by_id.contains_key(&listed.id))
        .collect::<Vec<_>>();
    if ids.is_empty() {
        Err(DatasetError::EmptyList { path })
    } else {
        Ok((ids, path))
    }
}

/// The encoding of the publishers' PNGs: `1: aeroplane` a line, 0 is background.
fn published_encoding(names: &Path, vocabulary: &Vocabulary) -> Result<LabelEncoding, DatasetError> {
    let origin = format!("`{}`", names.display());
    let text = read_text(names)?;
    let mut values = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let entry = line
            .split_once(':')
            .and_then(|(value, name)| Some((value.trim().parse::<u16>().ok()?, name.trim())));
        let (value, name) = entry.ok_or_else(|| DataError::Toml {
            origin: origin.clone(),
            message: format!("`{line}` is not a label value and name, as in `1: aeroplane`"),
        })?;
        values.push((value, vocabulary.require(name, &origin)?));
    }
    Ok(with_background(vocabulary, values, [0])?)
}

/// The encoding of the 459 categories.
fn category_encoding(vocabulary: &Vocabulary) -> Result<LabelEncoding, DatasetError> {
    let others = (0..=LAST_CATEGORY).filter(|category| !CATEGORIES.contains(category));
    let first = u16::from(vocabulary.find(BACKGROUND).is_some());
    let classes = CATEGORIES
        .into_iter()
        .zip((first..).filter_map(ClassIndex::new))
        .collect();
    Ok(with_background(vocabulary, classes, others)?)
}

/// Background is a class, or ignored where the vocabulary has none.
fn with_background(
    vocabulary: &Vocabulary,
    mut values: Vec<(u16, ClassIndex)>,
    background: impl IntoIterator<Item = u16>,
) -> Result<LabelEncoding, DataError> {
    match vocabulary.find(BACKGROUND) {
        Some(class) => {
            values.extend(background.into_iter().map(|value| (value, class)));
            LabelEncoding::table(values, [])
        }
        None => LabelEncoding::table(values, background),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_the_classes_in_alphabetical_order() {
        let context59 = Vocabulary::built_in("context59").unwrap();
        let names: Vec<_> = context59.names().collect();
        assert!(names.is_sorted() && CATEGORIES.is_sorted());
        let encoding = category_encoding(&context59).unwrap();
        let name = |value| {
            encoding
                .class_of(value)
                .and_then(|class| names.get(class.index()).copied())
        };
        // From the publishers' list of 459 names.
        assert_eq!(
            [name(2), name(23), name(397), name(458)],
            ["aeroplane", "bicycle", "table", "wood"].map(Some)
        );
        assert_eq!([name(0), name(1), name(459)], [None; 3]);

        let context60 = Vocabulary::built_in("context60").unwrap();
        let encoding = category_encoding(&context60).unwrap();
        let class = |value| encoding.class_of(value).map(ClassIndex::get);
        assert_eq!(
            [class(0), class(1), class(2), class(458), class(460)],
            [Some(0), Some(0), Some(1), Some(59), None]
        );
    }

    #[test]
    fn the_publishers_order_is_read_from_their_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PUBLISHED_NAMES);
        std::fs::write(&path, "1: aeroplane\n2: bicycle\n\n11: table\n").unwrap();
        let context60 = Vocabulary::built_in("context60").unwrap();
        let encoding = published_encoding(&path, &context60).unwrap();
        let class = |value| encoding.class_of(value);
        assert_eq!(
            [class(0), class(2)],
            [context60.find("background"), context60.find("bicycle")]
        );
        assert_eq!([class(11), class(12)], [context60.find("table"), None]);
        std::fs::write(&path, "aeroplane").unwrap();
        let error = published_encoding(&path, &context60).unwrap_err().to_string();
        assert!(error.contains("as in `1: aeroplane`"), "{error}");
    }
}
