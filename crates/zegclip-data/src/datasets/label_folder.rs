//! A folder of label PNGs without a data set around it: predictions, or labels to score them by.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zegclip_foundation::{FoundFile, files_in, text_of};

use super::error::DatasetError;
use crate::result_names::{LABELS, OVERLAY};
use crate::{DataError, ImageLimits, LabelDepth, LabelEncoding, LabelMap, read_label_png};

/// How mmsegmentation's scripts end the names of COCO-Stuff's label files. They lie beside others, which are not meant.
const TRAIN_IDS: &str = "_labelTrainIds";
/// Label maps in a folder and those below it, by their path in it without extension.
#[derive(Clone, Debug)]
pub struct LabelFolder {
    root: PathBuf,
    encoding: Arc<LabelEncoding>,
    depth: LabelDepth,
    files: Arc<BTreeMap<String, LabelPng>>,
}

impl LabelFolder {
    /// Looks at a folder whose files have values as `encoding` says. The ending `_labelTrainIds` or `.labels` is no
    /// part of a name; where there are files with such an ending, the others are not label maps.
    ///
    /// # Errors
    /// [`DatasetError::Data`] if the folder cannot be read, [`DatasetError::NoSamples`] if no PNG is in it.
    pub fn open(root: &Path, encoding: LabelEncoding, depth: LabelDepth) -> Result<Self, DatasetError> {
        let all = label_pngs(root)?;
        let ending = [TRAIN_IDS, LABELS]
            .into_iter()
            .find(|ending| all.keys().any(|name| name.ends_with(ending)));
        let files: BTreeMap<String, LabelPng> = match ending {
            Some(ending) => all
                .into_iter()
                .filter_map(|(name, path)| Some((name.strip_suffix(ending)?.to_owned(), path)))
                .collect(),
            None => all.into_iter().filter(|(name, _)| !name.ends_with(OVERLAY)).collect(),
        };
        if files.is_empty() {
            return Err(DatasetError::NoSamples {
                dataset: format!("`{}`", root.display()),
                split: "all".to_owned(),
                patterns: "`**/*.png`".to_owned(),
            });
        }
        Ok(Self {
            root: root.to_owned(),
            encoding: Arc::new(encoding),
            depth,
            files: Arc::new(files),
        })
    }

    /// The names of all label maps, in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The file of a label map.
    ///
    /// # Errors
    /// [`DatasetError::NoPrediction`].
    pub fn path(&self, id: &str) -> Result<&Path, DatasetError> {
        self.files.get(id).map(|file| file.path.as_path()).ok_or_else(|| {
            let expected = [LABELS, ""].map(|ending| {
                let path = self.root.join(format!("{id}{ending}.png"));
                format!("`{}`", path.display())
            });
            DatasetError::NoPrediction {
                id: id.to_owned(),
                expected: expected.join(" or "),
            }
        })
    }

    /// The file that the name of a label map leads to, where that is a link.
    pub(crate) fn link(&self, id: &str) -> Option<&Path> {
        self.files.get(id)?.link.as_deref()
    }

    /// Reads a label map.
    ///
    /// # Errors
    /// Those of [`Self::path`]; [`DatasetError::UnknownValue`], and what is wrong with a file.
    pub fn read(&self, id: &str) -> Result<LabelMap, DatasetError> {
        let path = self.path(id)?;
        let raw = read_label_png(path, &ImageLimits::default(), self.depth)?;
        let decoded = self.encoding.decode(&raw);
        DatasetError::unknown_values("this vocabulary", path, &decoded).map_or(Ok(decoded.labels), Err)
    }
}

/// A PNG and, where its name is a link, the file that it leads to.
#[derive(Clone, Debug)]
struct LabelPng {
    path: PathBuf,
    link: Option<PathBuf>,
}

/// The PNGs of a folder and those below it, by their path in it without extension.
fn label_pngs(root: &Path) -> Result<BTreeMap<String, LabelPng>, DatasetError> {
    let files = files_in(root, true).map_err(DataError::listing)?;
    let png = |file: FoundFile| {
        let names: Vec<String> = file.path.strip_prefix(root).ok()?.iter().map(text_of).collect();
        let name = names.join("/");
        let stem = name
            .strip_suffix(".png")
            .or_else(|| name.strip_suffix(".PNG"))?
            .to_owned();
        let link = file.is_link.then_some(file.real);
        let path = file.path;
        Some((stem, LabelPng { path, link }))
    };
    Ok(files.into_iter().filter_map(png).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::write_label_png(&path, &LabelMap::filled(2, 1, None), &[[1, 2, 3]]).unwrap();
        }
        folder
    }

    fn ids(names: &[&str]) -> Vec<String> {
        let folder = folder(names);
        let labels = LabelFolder::open(folder.path(), LabelEncoding::identity(1), LabelDepth::Eight).unwrap();
        labels.ids().map(str::to_owned).collect()
    }

    #[test]
    fn names_are_those_of_the_images() {
        assert_eq!(ids(&["b.png", "x/a.png", "c.overlay.png"]), ["b", "x/a"]);
        assert_eq!(
            ids(&["1.png", "1_labelTrainIds.png", "2_labelTrainIds.png"]),
            ["1", "2"]
        );
        assert_eq!(ids(&["cat.labels.png", "cat.overlay.png"]), ["cat"]);
    }

    #[test]
    fn what_is_not_there_or_not_understood_is_named() {
        let folder = folder(&["a.png"]);
        let open = |encoding| LabelFolder::open(folder.path(), encoding, LabelDepth::Eight).unwrap();
        let labels = open(LabelEncoding::identity(1));
        assert_eq!(labels.read("a").unwrap().as_raw(), [LabelMap::IGNORE; 2]);
        let error = labels.read("b").unwrap_err().to_string();
        assert!(
            error.contains("`b` has no prediction") && error.contains("b.labels.png"),
            "{error}"
        );
        let error = open(LabelEncoding::offset(1, 0, []).unwrap())
            .read("a")
            .unwrap_err()
            .to_string();
        assert!(error.contains("a.png` has the label value 255"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        assert!(LabelFolder::open(empty.path(), LabelEncoding::identity(1), LabelDepth::Eight).is_err());
    }
}
