//! COCO-Stuff 164k: `images/{train,val}2017` with either encoding of its labels.
//!
//! `*_labelTrainIds.png` hold 0–170; the raw `stuffthingmaps` hold COCO's category id − 1, in whose 182 values eleven
//! are missing. Both ignore 255. Raw files may also lie in `annotations`, where mmsegmentation unpacks them.

use std::path::PathBuf;
use std::sync::Arc;

use super::error::DatasetError;
use super::file_index::{FileIndex, Files};
use super::layout::{Place, candidates};
use super::sample::LabelSource;
use crate::{ClassIndex, DataError, LabelEncoding, Vocabulary};

const ROOTS: [&str; 3] = ["", "coco_stuff164k", "coco"];
const SPLITS: [&str; 2] = ["train", "val"];
const TRAIN_IDS: &str = "_labelTrainIds.png";

/// Category ids that COCO-Stuff does not use, of 1 to 182.
const MISSING_IDS: [u16; 11] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91];
const LAST_ID: u16 = 182;

pub(super) fn index(place: &Place<'_>, split: &str, vocabulary: Arc<Vocabulary>) -> Result<FileIndex, DatasetError> {
    let year = match split {
        "train" | "train2017" => "train2017",
        "val" | "val2017" => "val2017",
        _ => return Err(place.unknown_split(split, &SPLITS)),
    };
    let images = format!("images/{year}");
    // COCO's own archives unpack to `train2017` and `val2017`.
    let images = place
        .find(&candidates(&ROOTS, &[&images, year]))
        .unwrap_or_else(|| place.root.join(&images));
    let images = Files::<PathBuf>::in_folder(&images, ".jpg")?;
    let labels = labels(place, year, &vocabulary)?;
    Ok(FileIndex::of_files(vocabulary, &images, &labels))
}

/// The label files of the first folder that has any, `*_labelTrainIds.png` before raw ones.
fn labels(place: &Place<'_>, year: &str, vocabulary: &Vocabulary) -> Result<Files<LabelSource>, DatasetError> {
    let folders = [format!("annotations/{year}"), format!("stuffthingmaps/{year}")];
    let folders = candidates(&ROOTS, &folders.each_ref().map(String::as_str));
    for folder in folders.iter().map(|folder| place.root.join(folder)) {
        let files = Files::<PathBuf>::in_folder(&folder, TRAIN_IDS)?;
        if !files.by_id.is_empty() {
            return Ok(files.into_label_pngs(vocabulary.encoding().clone()));
        }
        let files = Files::<PathBuf>::in_folder(&folder, ".png")?;
        if !files.by_id.is_empty() {
            return Ok(files.into_label_pngs(category_ids()?));
        }
    }
    Err(place.missing("label files", &folders))
}

/// The encoding of `stuffthingmaps`: category id − 1, ids in order without those missing.
fn category_ids() -> Result<LabelEncoding, DataError> {
    let ids = (1..=LAST_ID).filter(|id| !MISSING_IDS.contains(id));
    LabelEncoding::table(ids.map(|id| id - 1).zip((0..).filter_map(ClassIndex::new)), [255])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_ids_become_171_classes() {
        let encoding = category_ids().unwrap();
        let class = |value| encoding.class_of(value).map(ClassIndex::get);
        assert_eq!(
            [class(0), class(10), class(11), class(12)],
            [Some(0), Some(10), None, Some(11)]
        );
        // toothbrush, the last thing, and banner, the first stuff.
        assert_eq!([class(89), class(90), class(91)], [Some(79), None, Some(80)]);
        assert_eq!([class(181), class(182), class(255)], [Some(170), None, None]);
    }
}
