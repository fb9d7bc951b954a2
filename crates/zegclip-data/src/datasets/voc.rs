//! PASCAL VOC 2012, with the further labels of the Semantic Boundaries Dataset (SBD).
//!
//! Layouts: the two downloads unpacked side by side (`VOCdevkit/VOC2012`, `benchmark_RELEASE/dataset`), mmsegmentation's
//! (`VOCdevkit/VOCaug/dataset`, `SegmentationClassAug`), and DeepLab's. A label is VOC's own where there is one, since
//! SBD's knows no ignored border, then `SegmentationClassAug`, then SBD's MATLAB file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::DatasetError;
use super::file_index::{FileIndex, Files};
use super::layout::{Place, candidates, files_by_id};
use super::sample::{LabelFile, LabelSource};
use super::split_list::{Listed, read_list};
use crate::{LabelDepth, Vocabulary};

const ROOTS: [&str; 3] = ["VOCdevkit/VOC2012", "VOC2012", ""];
/// SBD lies beside `VOCdevkit`, or where mmsegmentation's guide puts it; the root may be any folder of VOC's.
const SBD_PARENTS: [&str; 5] = ["", "VOCdevkit", "..", "../..", "SBD"];
const SBD_FOLDERS: [&str; 3] = ["benchmark_RELEASE/dataset", "VOCaug/dataset", "dataset"];
const LISTS: &str = "ImageSets/Segmentation";
const IMAGES: &str = "JPEGImages";
const LABELS: &str = "SegmentationClass";
const LABELS_AUG: &str = "SegmentationClassAug";
/// Where SBD's MATLAB files keep the labels.
const SBD_VARIABLE: &[&str] = &["GTcls", "Segmentation"];

/// The split that the published results are trained on, and its other name.
pub(super) const TRAIN_AUG: &str = "train_aug";
const TRAINAUG: &str = "trainaug";

pub(super) fn index(place: &Place<'_>, split: &str, vocabulary: Arc<Vocabulary>) -> Result<FileIndex, DatasetError> {
    let lists = place.require("folder of lists", &candidates(&ROOTS, &[LISTS]))?;
    let root = lists.ancestors().nth(2).unwrap_or(place.root).to_owned();
    let sbd = place
        .find(&candidates(&SBD_PARENTS, &SBD_FOLDERS))
        .filter(|sbd| sbd.join("cls").is_dir());
    let (ids, list) = ids(place, &lists, sbd.as_deref(), split)?;
    let images = Files::<PathBuf>::in_folder(&root.join(IMAGES), ".jpg")?;

    let encoding = Arc::new(vocabulary.encoding().clone());
    let mut by_id = BTreeMap::new();
    let mut places = Vec::new();
    if let Some(sbd) = &sbd {
        for (id, path) in files_by_id(&sbd.join("cls"), ".mat")? {
            let file = LabelFile::Mat5 {
                path,
                variable: SBD_VARIABLE,
            };
            by_id.insert(
                id,
                LabelSource {
                    file,
                    encoding: encoding.clone(),
                },
            );
        }
        places.push(sbd.join("cls/{}.mat"));
    }
    // Later folders take precedence.
    for folder in [LABELS_AUG, LABELS]
        .map(|folder| root.join(folder))
        .into_iter()
        .filter(|folder| folder.is_dir())
    {
        for (id, path) in files_by_id(&folder, ".png")? {
            let file = LabelFile::Png {
                path,
                depth: LabelDepth::Eight,
            };
            by_id.insert(
                id,
                LabelSource {
                    file,
                    encoding: encoding.clone(),
                },
            );
        }
        places.push(folder.join("{}.png"));
    }
    if places.is_empty() {
        let within = Place { root: &root, ..*place };
        return Err(within.missing("label files", &candidates(&[""], &[LABELS, LABELS_AUG])));
    }
    let places: Vec<_> = places
        .iter()
        .rev()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    let labels = Files::new(by_id, places.join(" or "));
    Ok(FileIndex::of_list(vocabulary, ids, &list, &images, &labels))
}

/// The names of a split, and the file that lists them (or the folder whose lists were put together).
fn ids(
    place: &Place<'_>,
    lists: &Path,
    sbd: Option<&Path>,
    split: &str,
) -> Result<(Vec<Listed>, PathBuf), DatasetError> {
    let augmented = matches!(split, TRAIN_AUG | TRAINAUG);
    let names: &[&str] = if augmented { &[TRAIN_AUG, TRAINAUG] } else { &[split] };
    let mut files = names.iter().map(|name| lists.join(format!("{name}.txt")));
    if let Some(path) = files.find(|path| path.is_file()) {
        return Ok((read_list(&path)?, path));
    }
    if !augmented {
        let files = files_by_id(lists, ".txt")?;
        let known: BTreeSet<&str> = files.keys().map(String::as_str).chain([TRAIN_AUG]).collect();
        return Err(place.unknown_split(split, &known.into_iter().collect::<Vec<_>>()));
    }
    // What everyone's list of 10,582 is: VOC's training images and SBD's of both its splits, without VOC's validation.
    // mmsegmentation lists SBD's part alone in `aug.txt`.
    let optional = |path: PathBuf| {
        if path.is_file() {
            read_list(&path)
        } else {
            Ok(Vec::new())
        }
    };
    let further = match sbd {
        Some(sbd) => [optional(sbd.join("train.txt"))?, optional(sbd.join("val.txt"))?].concat(),
        None => optional(lists.join("aug.txt"))?,
    };
    if further.is_empty() {
        let list = format!("{LISTS}/{TRAIN_AUG}.txt");
        let expected = [
            list,
            "../../benchmark_RELEASE/dataset".to_owned(),
            "../VOCaug/dataset".to_owned(),
        ];
        let root = lists.ancestors().nth(2).unwrap_or(place.root);
        return Err(Place { root, ..*place }.missing("list of the split `train_aug`", &expected));
    }
    let validation = read_list(&lists.join("val.txt"))?;
    let validation: BTreeSet<_> = validation.into_iter().map(|listed| listed.id).collect();
    let train = read_list(&lists.join("train.txt"))?;
    let all = train.into_iter().chain(further);
    let all: BTreeMap<_, _> = all
        .filter(|listed| !validation.contains(&listed.id))
        .map(|listed| (listed.id.clone(), listed))
        .collect();
    Ok((all.into_values().collect(), lists.to_owned()))
}
