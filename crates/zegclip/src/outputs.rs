//! The files of a segmented image: label map, overlay, scores and a description.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use zegclip_data::draw::{DEFAULT_OPACITY, overlay};
use zegclip_data::{DataError, RgbImage, Vocabulary, encode_png, remove_if_there, write_atomically};
use zegclip_foundation::{FileLock, LockError, check_folder, create_folder, remove_leftovers};
use zegclip_model::Assumption;

use crate::{Error, Segmentation, Segmenter, Timings};

/// Held while the files of one image are written, so that they are of one process. Its name is that of an unfinished file, so that it
/// is removed like those.
const LOCK: &str = ".zegclip-writing.partial";
/// How long another process may write the files of an image.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of results: for an image `NAME` the files of [`OutputFile`].
///
/// ```
/// use zegclip::{ImageOutputs, OutputFile, RgbImage, Segmenter, Vocabulary};
///
/// # #[cfg(feature = "demo")] {
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let segmenter = Segmenter::demo("cpu")?;
/// let (image, classes) = (RgbImage::new(48, 32), Vocabulary::from_names("cat, grass")?);
/// let outputs = ImageOutputs::new(folder);
/// outputs.prepare(["first"])?;
/// let result = segmenter.segment(&image, &classes)?;
/// let report = outputs.write("first", "images/first.jpg", &image, &result, &classes, &segmenter)?;
/// assert_eq!((report.width, report.height), (48, 32));
/// assert!(outputs.path("first", OutputFile::Labels).ends_with("first.labels.png"));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ImageOutputs {
    folder: PathBuf,
    overwrite: bool,
    overlay_opacity: f32,
    notes: Vec<String>,
}

/// A file of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFile {
    /// `NAME.labels.png`: the class of every pixel by index, with the class list's palette.
    Labels,
    /// `NAME.overlay.png`: the image with its classes in color and a legend.
    Overlay,
    /// `NAME.scores.safetensors`: `scores` `[classes, height, width]` of f32 and `labels` `[height, width]` of u16; only where the
    /// result has scores.
    Scores,
    /// `NAME.json`: an [`ImageReport`]. It is written last: where it exists, the other files do.
    Report,
}

/// The description of a result, in the order of its JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageReport {
    /// Path of the image, or `stdin`.
    pub image: String,
    /// Columns of the image.
    pub width: u32,
    /// Rows of the image.
    pub height: u32,
    /// The classes in the order of their list.
    pub classes: Vec<ClassReport>,
    /// Fraction of the pixels without class, in `[0, 1]`. The key is `unlabelled_share`.
    #[serde(rename = "unlabelled_share")]
    pub unlabeled_fraction: f64,
    /// The model.
    pub model: String,
    /// The device that computed.
    pub device: String,
    /// What is assumed of the model, see [`Segmenter::assumptions`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<Assumption>,
    /// How masks are made: `zegclip`, or the name of a method on plain CLIP.
    pub method: &'static str,
    /// The least presence of a class that has pixels, if it is stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_presence: Option<f32>,
    /// `f32` or `f16`.
    pub precision: &'static str,
    /// Windows that covered the image.
    pub windows: usize,
    /// How long it took.
    pub milliseconds: Milliseconds,
    /// What is assumed of the class list, and what of it is seldom meant; see [`ImageOutputs::notes`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A class of a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Its color in overlay and label map: red, green, blue.
    pub color: [u8; 3],
    /// The fraction of the image's pixels that it has, in `[0, 1]`. The key is `share`.
    #[serde(rename = "share")]
    pub fraction: f64,
    /// Whether it had pixel labels in training.
    pub seen: bool,
    /// How strongly it is present in the image, in `[0, 1]`, where a minimum is stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<f32>,
}

/// Wall-clock time of the stages in milliseconds, to 0.01.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Milliseconds {
    /// Resizing and normalization.
    pub preparation: f64,
    /// The model.
    pub model: f64,
    /// Masks to labels.
    pub decoding: f64,
    /// All stages.
    pub total: f64,
}

impl ImageOutputs {
    /// Results in `folder`; existing ones are kept, and overlays have [`DEFAULT_OPACITY`].
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().to_owned(),
            overwrite: false,
            overlay_opacity: DEFAULT_OPACITY,
            notes: Vec::new(),
        }
    }

    /// Whether [`prepare`](Self::prepare) permits that results exist, which are replaced then.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Opacity of the class colors in overlays, in `[0, 1]`.
    #[must_use]
    pub fn overlay_opacity(mut self, opacity: f32) -> Self {
        self.overlay_opacity = opacity;
        self
    }

    /// What all descriptions state beside the results, such as what is assumed of the class list.
    #[must_use]
    pub fn notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// The path of a file.
    pub fn path(&self, name: impl AsRef<OsStr>, file: OutputFile) -> PathBuf {
        let mut name = name.as_ref().to_owned();
        name.push(".");
        name.push(file.suffix());
        self.folder.join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the folder and checks that files can be written there and that it has no results of these names.
    ///
    /// # Errors
    /// [`Error::ResultExists`] for the first file that exists, unless results are overwritten; [`Error::Data`] if the folder
    /// cannot be created or written to.
    pub fn prepare<N: AsRef<OsStr>>(&self, names: impl IntoIterator<Item = N>) -> Result<(), Error> {
        create_folder(&self.folder).map_err(DataError::io("create", &self.folder))?;
        check_folder(&self.folder).map_err(DataError::io("write to", &self.folder))?;
        remove_leftovers(&self.folder);
        if self.overwrite {
            return Ok(());
        }
        names.into_iter().try_for_each(|name| self.check_free(name.as_ref()))
    }

    fn check_free(&self, name: &OsStr) -> Result<(), Error> {
        let paths = OutputFile::ALL.map(|file| self.path(name, file));
        let exists = paths.into_iter().find(|path| path.exists());
        exists.map_or(Ok(()), |path| Err(Error::ResultExists { path }))
    }

    /// Removes all results of these names where results are overwritten, so that none stands beside a new one.
    ///
    /// # Errors
    /// [`Error::Data`] if a file cannot be removed.
    pub fn clear<N: AsRef<OsStr>>(&self, names: impl IntoIterator<Item = N>) -> Result<(), Error> {
        if self.overwrite {
            let _lock = self.lock()?;
            for name in names {
                self.remove(name.as_ref())?;
            }
        }
        Ok(())
    }

    /// The report first: without it the others are not results.
    fn remove(&self, name: &OsStr) -> Result<(), DataError> {
        let files = [
            OutputFile::Report,
            OutputFile::Labels,
            OutputFile::Overlay,
            OutputFile::Scores,
        ];
        files
            .into_iter()
            .try_for_each(|file| remove_if_there(&self.path(name, file)))
    }

    /// The classes of the results that an image has, if they are complete.
    pub fn existing_classes(&self, name: &OsStr) -> Option<Vec<String>> {
        let text = std::fs::read(self.path(name, OutputFile::Report)).ok()?;
        let report: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let classes = report["classes"].as_array()?.iter();
        classes.map(|class| Some(class["name"].as_str()?.to_owned())).collect()
    }

    /// Waits for a process that writes files of an image into the same folder.
    fn lock(&self) -> Result<FileLock, Error> {
        FileLock::wait(&self.folder.join(LOCK), PATIENCE).map_err(|error| match error {
            LockError::Io(source) => DataError::Io {
                action: "write",
                path: self.folder.clone(),
                source,
            }
            .into(),
            _ => Error::FolderInUse {
                path: self.folder.clone(),
            },
        })
    }

    /// Writes the files of one image and returns its description. `name` begins the names of the files, `origin` is what the
    /// description states as the image, `classes` the list that it was segmented with.
    ///
    /// # Errors
    /// [`Error::Data`] if a file cannot be written or image and labels have different sizes; [`Error::ResultExists`] if another
    /// process has written results of this name; [`Error::FolderInUse`] if one has been writing for a minute.
    pub fn write(
        &self,
        name: impl AsRef<OsStr>,
        origin: &str,
        image: &RgbImage,
        result: &Segmentation,
        classes: &Vocabulary,
        segmenter: &Segmenter,
    ) -> Result<ImageReport, Error> {
        let name = name.as_ref();
        let picture = encode_png(&overlay(image, result.labels(), classes, self.overlay_opacity)?)?;
        let report = ImageReport {
            notes: self.notes.clone(),
            ..ImageReport::new(origin, result, classes, segmenter)
        };
        let _lock = self.lock()?;
        if self.overwrite {
            self.remove(name)?;
        } else {
            self.check_free(name)?;
        }
        self.write_all(name, result, classes, &picture, &report)
            .inspect_err(|_| {
                // The first error is the one that matters.
                let _ = self.remove(name);
            })?;
        Ok(report)
    }

    /// `picture` is the overlay as PNG.
    fn write_all(
        &self,
        name: &OsStr,
        result: &Segmentation,
        classes: &Vocabulary,
        picture: &[u8],
        report: &ImageReport,
    ) -> Result<(), Error> {
        result.save_labels(self.path(name, OutputFile::Labels), classes)?;
        write_atomically(&self.path(name, OutputFile::Overlay), |file| file.write_all(picture))?;
        if let Some(scores) = result.scores() {
            let bytes = scores_file(scores, result);
            let path = self.path(name, OutputFile::Scores);
            write_atomically(&path, |file| file.write_all(&bytes.map_err(std::io::Error::other)?))?;
        }
        write_atomically(&self.path(name, OutputFile::Report), |file| {
            writeln!(file, "{}", serde_json::to_string_pretty(report)?)
        })?;
        Ok(())
    }
}

impl OutputFile {
    /// All files, in the order in which they are checked.
    pub const ALL: [Self; 4] = [Self::Labels, Self::Overlay, Self::Report, Self::Scores];

    /// What follows the name of the image and a dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Labels => "labels.png",
            Self::Overlay => "overlay.png",
            Self::Scores => "scores.safetensors",
            Self::Report => "json",
        }
    }
}

impl ImageReport {
    /// Describes a result; see [`ImageOutputs::write`] for the arguments.
    pub fn new(origin: &str, result: &Segmentation, classes: &Vocabulary, segmenter: &Segmenter) -> Self {
        let (width, height) = result.labels().dimensions();
        let fractions = result.class_fractions();
        let classes = classes.names().zip(classes.palette()).zip(classes.seen().flags());
        let classes = classes
            .zip(&fractions)
            .enumerate()
            .map(|(index, (((name, color), seen), fraction))| ClassReport {
                name: name.to_owned(),
                color,
                fraction: *fraction,
                seen,
                presence: result.presence().and_then(|presence| presence.get(index).copied()),
            });
        Self {
            image: origin.to_owned(),
            width,
            height,
            classes: classes.collect(),
            unlabeled_fraction: result.unlabeled_fraction(),
            model: segmenter.model_name(),
            device: segmenter.device().description.clone(),
            assumptions: segmenter.assumptions().to_vec(),
            method: segmenter.method().name(),
            min_presence: result.min_presence(),
            precision: segmenter.precision().name(),
            windows: result.windows(),
            milliseconds: result.timings().into(),
            notes: Vec::new(),
        }
    }

    /// The classes that have pixels, the largest first.
    pub fn found(&self) -> Vec<&ClassReport> {
        let mut found: Vec<&ClassReport> = self.classes.iter().filter(|class| class.fraction > 0.0).collect();
        found.sort_by(|a, b| b.fraction.total_cmp(&a.fraction));
        found
    }
}

impl From<Timings> for Milliseconds {
    fn from(timings: Timings) -> Self {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        Self {
            preparation: milliseconds(timings.preparation),
            model: milliseconds(timings.model),
            decoding: milliseconds(timings.decoding),
            total: milliseconds(timings.total()),
        }
    }
}

/// `scores` `[classes, height, width]` and `labels` `[height, width]` as safetensors.
fn scores_file(scores: &[f32], result: &Segmentation) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let (width, height) = result.labels().dimensions();
    let size = [height as usize, width as usize];
    let classes = scores.len() / (size[0] * size[1]).max(1);
    let scores: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
    let labels = result.labels().as_raw().iter();
    let labels: Vec<u8> = labels.flat_map(|label| label.to_le_bytes()).collect();
    let tensors = [
        (
            "scores",
            TensorView::new(Dtype::F32, vec![classes, size[0], size[1]], &scores)?,
        ),
        ("labels", TensorView::new(Dtype::U16, size.to_vec(), &labels)?),
    ];
    safetensors::serialize(tensors, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_results_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = ImageOutputs::new(folder.path().join("results"));
        outputs.prepare(["a", "b"]).unwrap();
        let path = outputs.path("b", OutputFile::Scores);
        std::fs::write(&path, "").unwrap();
        let refused = outputs.prepare(["a", "b"]);
        assert!(
            matches!(&refused, Err(Error::ResultExists { path: found }) if *found == path),
            "{refused:?}"
        );
        outputs.overwrite(true).prepare(["a", "b"]).unwrap();
    }

    #[test]
    fn results_are_removed_only_where_they_are_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = ImageOutputs::new(folder.path());
        let paths = OutputFile::ALL.map(|file| outputs.path("a", file));
        let other = folder.path().join("a.txt");
        for path in paths.iter().chain([&other, &outputs.path("b", OutputFile::Report)]) {
            std::fs::write(path, "").unwrap();
        }
        outputs.clear(["a"]).unwrap();
        assert!(paths.iter().all(|path| path.exists()));
        let outputs = outputs.overwrite(true);
        outputs.clear(["a", "c"]).unwrap();
        assert!(!paths.iter().any(|path| path.exists()));
        assert!(other.exists() && outputs.path("b", OutputFile::Report).exists());
    }

    #[test]
    fn milliseconds_have_two_decimals() {
        let timings = Timings {
            preparation: Duration::from_nanos(1_234_567),
            model: Duration::from_micros(10),
            decoding: Duration::ZERO,
        };
        let milliseconds = Milliseconds::from(timings);
        assert_eq!(
            [milliseconds.preparation, milliseconds.model, milliseconds.total],
            [1.23, 0.01, 1.24]
        );
    }
}
