//! One image and its label file, and how the label file is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zegclip_codecs::mat5::read_label_matrix;

use super::computed::ComputedSample;
use super::detail::Detail;
use super::error::DatasetError;
use crate::{DataError, DecodedLabels, ImageLimits, LabelDepth, LabelEncoding, RawLabels, read_label_png};

/// An image and its label file; either may be absent from a data set that is not complete.
#[derive(Clone, Debug)]
pub struct Sample {
    pub(super) id: String,
    pub(super) image: Option<PathBuf>,
    pub(super) labels: Option<LabelSource>,
    /// Instead of both files.
    pub(super) computed: Option<ComputedSample>,
}

impl Sample {
    /// The name of the sample in its data set: what image and label file have in common.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The image; `None` where there are label files only.
    pub fn image_path(&self) -> Option<&Path> {
        self.image.as_deref()
    }

    /// Whether image and labels are computed when they are read, without files.
    pub fn is_computed(&self) -> bool {
        self.computed.is_some()
    }

    /// The file that holds the labels; several samples may share it.
    pub fn label_path(&self) -> Option<&Path> {
        self.labels.as_ref().map(LabelSource::path)
    }
}

/// Labels in a file, and what their values mean.
#[derive(Clone, Debug)]
pub(super) struct LabelSource {
    pub(super) file: LabelFile,
    pub(super) encoding: Arc<LabelEncoding>,
}

/// Where labels are.
#[derive(Clone, Debug)]
pub(super) enum LabelFile {
    /// The gray values or palette indices of a PNG.
    Png { path: PathBuf, depth: LabelDepth },
    /// A matrix in a MATLAB file, and the variable and fields that lead to it.
    Mat5 {
        path: PathBuf,
        variable: &'static [&'static str],
    },
    /// The masks of one image of an annotation file.
    Detail {
        path: Arc<Path>,
        annotations: Arc<Detail>,
        position: usize,
    },
}

impl LabelSource {
    pub(super) fn path(&self) -> &Path {
        match &self.file {
            LabelFile::Png { path, .. } | LabelFile::Mat5 { path, .. } => path,
            LabelFile::Detail { path, .. } => path,
        }
    }

    /// Reads the labels; what their values mean is applied here and nowhere else.
    pub(super) fn decode(&self, limits: &ImageLimits) -> Result<DecodedLabels, DatasetError> {
        let raw = match &self.file {
            LabelFile::Png { path, depth } => read_label_png(path, limits, *depth)?,
            LabelFile::Mat5 { path, variable } => {
                let file = std::fs::read(path).map_err(DataError::io("read", path))?;
                let matrix = read_label_matrix(&file, variable).map_err(|source| DatasetError::Mat5 {
                    path: path.clone(),
                    source,
                })?;
                RawLabels::new(matrix.width, matrix.height, matrix.values)?
            }
            LabelFile::Detail {
                path,
                annotations,
                position,
            } => {
                let labels = annotations.labels(*position);
                let labels = labels.map_err(|source| DatasetError::Detail {
                    path: path.to_path_buf(),
                    source,
                })?;
                // Positions come from the annotations themselves.
                labels.map_or_else(|| RawLabels::new(0, 0, Vec::new()), Ok)?
            }
        };
        Ok(self.encoding.decode(&raw))
    }
}
