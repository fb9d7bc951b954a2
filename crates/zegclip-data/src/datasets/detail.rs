//! The annotation file of PASCAL in Detail (`trainval_merged.json`), from which mmsegmentation makes Context's labels.
//!
//! It holds one run-length encoded mask a category and image. Only what labels need is read: of `images` the file
//! name, size and phase, and the masks of `annos_segmentation`, painted over one another in the file's order as the
//! official `getMask` does. Parts, boundaries, occlusion and joints are skipped.

use std::collections::HashMap;
use std::io::{BufReader, Read};

use serde::Deserialize;

use crate::RawLabels;

/// Why an annotation file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetailError {
    /// It is not the JSON that it should be.
    #[error("{0}; expected `images` and `annos_segmentation` of PASCAL in Detail")]
    Json(#[from] serde_json::Error),
    /// A mask does not fill its image.
    #[error("a mask of category {category} in `{image}` is damaged: {problem}")]
    Mask {
        /// The image's file name.
        image: String,
        /// The mask's category.
        category: u16,
        /// What is wrong.
        problem: &'static str,
    },
    /// A mask belongs to an image that is not listed.
    #[error("a mask belongs to image {0}, which `images` does not list")]
    UnknownImage(u64),
    /// An image larger than any that labels are read for.
    #[error("`{image}` has a stated size of {width}×{height}")]
    TooLarge {
        /// The image's file name.
        image: String,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

/// The images of an annotation file with their masks.
#[derive(Debug)]
pub(super) struct Detail {
    images: Vec<Image>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image {
    image_id: u64,
    file_name: String,
    width: u32,
    height: u32,
    phase: String,
    #[serde(skip)]
    masks: Vec<(u16, Mask)>,
}

#[derive(Deserialize)]
struct File {
    images: Vec<Image>,
    annos_segmentation: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u16,
    segmentation: Mask,
}

#[derive(Debug, Deserialize)]
struct Mask {
    /// Rows and columns.
    size: [u32; 2],
    counts: Counts,
}

/// Lengths of runs of pixels outside and inside the mask in turn, column by column.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Counts {
    /// COCO's text form: six bits a letter, each count as the difference to the one before the last.
    Text(String),
    Numbers(Vec<u32>),
}

/// 256 million pixels, far more than any image of PASCAL has.
const MAX_PIXELS: u64 = 1 << 28;

impl Detail {
    /// Reads the contents of an annotation file.
    pub(super) fn read(file: impl Read) -> Result<Self, DetailError> {
        Self::from_file(serde_json::from_reader(BufReader::with_capacity(1 << 20, file))?)
    }

    fn from_file(file: File) -> Result<Self, DetailError> {
        let mut images = file.images;
        let positions = images.iter().map(|image| image.image_id).zip(0..);
        let positions: HashMap<u64, usize> = positions.collect();
        for annotation in file.annos_segmentation {
            let image = positions
                .get(&annotation.image_id)
                .and_then(|&position| images.get_mut(position));
            let image = image.ok_or(DetailError::UnknownImage(annotation.image_id))?;
            image.masks.push((annotation.category_id, annotation.segmentation));
        }
        Ok(Self { images })
    }

    /// All images in the file's order, with their position.
    pub(super) fn images(&self) -> impl Iterator<Item = (usize, &Image)> {
        self.images.iter().enumerate()
    }

    /// The images of a split: `train`, `val`, or both in `trainval`.
    pub(super) fn of_split<'a>(&'a self, split: &'a str) -> impl Iterator<Item = (usize, &'a Image)> {
        self.images()
            .filter(move |(_, image)| image.phase == split || (split == "trainval" && image.phase != "test"))
    }

    /// The category of every pixel of the image at `position`, 0 where there is none.
    pub(super) fn labels(&self, position: usize) -> Result<Option<RawLabels>, DetailError> {
        self.images.get(position).map(Image::labels).transpose()
    }
}

impl Image {
    /// The file name without extension.
    pub(super) fn id(&self) -> &str {
        self.file_name
            .rsplit_once('.')
            .map_or(self.file_name.as_str(), |(stem, _)| stem)
    }

    fn labels(&self) -> Result<RawLabels, DetailError> {
        let (width, height) = (self.width as usize, self.height as usize);
        if u64::from(self.width) * u64::from(self.height) > MAX_PIXELS {
            let (image, width, height) = (self.file_name.clone(), self.width, self.height);
            return Err(DetailError::TooLarge { image, width, height });
        }
        let mut values = vec![0; width * height];
        for (category, mask) in &self.masks {
            let damaged = |problem| DetailError::Mask {
                image: self.file_name.clone(),
                category: *category,
                problem,
            };
            if mask.size != [self.height, self.width] {
                return Err(damaged("it has another size than the image"));
            }
            let runs = mask
                .counts
                .runs()
                .ok_or_else(|| damaged("its counts are not run lengths"))?;
            let mut position = 0_usize;
            for (run, inside) in runs.into_iter().zip([false, true].into_iter().cycle()) {
                let end = position.saturating_add(run);
                if end > values.len() {
                    return Err(damaged("its counts are longer than the image"));
                }
                if inside {
                    for pixel in position..end {
                        // Columns first.
                        if let Some(value) = values.get_mut(pixel % height * width + pixel / height) {
                            *value = *category;
                        }
                    }
                }
                position = end;
            }
        }
        // The number of values is right by construction.
        RawLabels::new(self.width, self.height, values).map_err(|_| DetailError::TooLarge {
            image: self.file_name.clone(),
            width: self.width,
            height: self.height,
        })
    }
}

impl Counts {
    fn runs(&self) -> Option<Vec<usize>> {
        let text = match self {
            Self::Numbers(runs) => return Some(runs.iter().map(|&run| run as usize).collect()),
            Self::Text(text) => text,
        };
        let mut runs: Vec<i64> = Vec::new();
        let mut letters = text.bytes();
        while letters.len() > 0 {
            let (mut run, mut shift) = (0_i64, 0);
            loop {
                let letter = i64::from(letters.next()?.checked_sub(48).filter(|&letter| letter < 64)?);
                run |= (letter & 0x1F).checked_shl(shift).filter(|_| shift < 50)?;
                shift += 5;
                if letter & 0x20 == 0 {
                    // The last letter's fifth bit is the sign.
                    if letter & 0x10 != 0 {
                        run |= -1 << shift;
                    }
                    break;
                }
            }
            if runs.len() > 2 {
                run += runs.get(runs.len() - 2)?;
            }
            runs.push(run);
        }
        runs.into_iter().map(|run| usize::try_from(run).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two overlapping masks of 5×6 pixels, encoded by pycocotools.
    const JSON: &str = r#"{
        "info": {}, "categories": [{"category_id": 2, "name": "aeroplane"}], "parts": [], "annos_joints": [],
        "images": [
            {"file_name": "2008_000002.jpg", "image_id": 2008000002, "height": 6, "width": 5, "phase": "train",
             "date_captured": "31-Dec-2007"},
            {"file_name": "2008_000003.jpg", "image_id": 2008000003, "height": 1, "width": 1, "phase": "val"}
        ],
        "annos_segmentation": [
            {"id": 1, "image_id": 2008000002, "category_id": 2, "iscrowd": 0, "bbox": [0, 0, 1, 1],
             "segmentation": {"size": [6, 5], "counts": "511220005"}, "parts": []},
            {"id": 2, "image_id": 2008000002, "category_id": 458,
             "segmentation": {"size": [6, 5], "counts": "d0420"}}
        ]
    }"#;

    fn detail(json: &str) -> Result<Detail, DetailError> {
        Detail::from_file(serde_json::from_str(json)?)
    }

    #[test]
    fn masks_are_painted_in_order() {
        let detail = detail(JSON).unwrap();
        let labels = detail.labels(0).unwrap().unwrap();
        assert_eq!((labels.width(), labels.height()), (5, 6));
        let expected = [
            [0, 0, 0, 0, 0],
            [0, 2, 2, 2, 0],
            [0, 2, 2, 458, 458],
            [0, 2, 2, 458, 458],
            [0, 0, 0, 458, 458],
            [2, 0, 0, 458, 458],
        ];
        assert_eq!(labels.values(), expected.as_flattened());
        assert_eq!(detail.labels(1).unwrap().unwrap().values(), [0]);
        assert!(detail.labels(2).unwrap().is_none());
    }

    #[test]
    fn phases_are_splits() {
        let detail = detail(JSON).unwrap();
        let ids = |split| {
            detail
                .of_split(split)
                .map(|(_, image)| image.id().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("train"), ["2008_000002"]);
        assert_eq!(ids("val"), ["2008_000003"]);
        assert_eq!(ids("trainval").len(), 2);
    }

    #[test]
    fn long_runs_are_decoded() {
        // The start of a mask of 375×500 pixels, and its first runs.
        let runs = Counts::Text("R]b0b1:j2U5VMkJj2U5VM".to_owned()).runs().unwrap();
        assert_eq!(runs, [18_850, 50, 10, 140, 175, 50, 10, 140, 175, 50]);
        assert_eq!(Counts::Numbers(vec![3, 4]).runs(), Some(vec![3, 4]));
    }

    #[test]
    fn damage_is_told() {
        let damaged = |from: &str, to: &str| {
            assert!(JSON.contains(from));
            let detail = detail(&JSON.replacen(from, to, 1));
            detail.and_then(|detail| detail.labels(0)).unwrap_err().to_string()
        };
        let longer = damaged("511220005", "511P1");
        assert_eq!(
            longer,
            "a mask of category 2 in `2008_000002.jpg` is damaged: its counts are longer than the image"
        );
        for counts in ["P", "ÿ", " ", "PPPPPPPPPPPPPPPPPPPP", "oooooooooooooooooo", "5O"] {
            assert!(damaged("511220005", counts).contains("its counts are"), "{counts}");
        }
        assert!(damaged("[6, 5]", "[5, 6]").contains("another size"));
        assert!(damaged("\"width\": 5", "\"width\": 4000000000").contains("4000000000×6"));
        assert!(
            damaged(
                "\"image_id\": 2008000002, \"category_id\": 2",
                "\"image_id\": 7, \"category_id\": 2"
            )
            .contains("image 7")
        );
        assert!(damaged("annos_segmentation", "annos").contains("expected `images` and `annos_segmentation`"));
    }
}
