//! Which data set and where: `NAME=DIR` on the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::FolderDescription;
use super::layout::Place;
use super::survey::Survey;
use super::{Dataset, DatasetError, coco_stuff, composed, context, voc};
use crate::Vocabulary;
use crate::suggestion::hint;
use crate::toml_table::quoted;

/// A data set and the folder that holds it, or the TOML that describes it.
///
/// ```
/// use zegclip_data::datasets::DatasetSpec;
///
/// let spec = DatasetSpec::parse("voc2012=data/VOCdevkit")?;
/// assert_eq!((spec.name(), spec.training_split()), ("voc2012", "train_aug"));
/// assert!(DatasetSpec::parse("voc2021=data").unwrap_err().to_string().contains("`voc2012`"));
/// # Ok::<(), zegclip_data::datasets::DatasetError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DatasetSpec {
    source: Source,
    vocabulary: Arc<Vocabulary>,
}

#[derive(Clone, Debug)]
enum Source {
    Benchmark {
        benchmark: &'static Benchmark,
        root: PathBuf,
    },
    Folder {
        path: PathBuf,
        description: Arc<FolderDescription>,
    },
    Scenes {
        name: &'static str,
        /// Of pictures; empty for the embedded ones.
        pictures: PathBuf,
    },
}

#[derive(Debug)]
struct Benchmark {
    name: &'static str,
    vocabulary: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Voc,
    CocoStuff,
    Context,
}

static BENCHMARKS: [Benchmark; 5] = [
    Benchmark {
        name: "voc2012",
        vocabulary: "voc20",
        kind: Kind::Voc,
    },
    Benchmark {
        name: "coco-stuff",
        vocabulary: "coco171",
        kind: Kind::CocoStuff,
    },
    Benchmark {
        name: "context59",
        vocabulary: "context59",
        kind: Kind::Context,
    },
    Benchmark {
        name: "context60",
        vocabulary: "context60",
        kind: Kind::Context,
    },
    Benchmark {
        name: "context59-zs10",
        vocabulary: "context59-zs10",
        kind: Kind::Context,
    },
];
/// Other names that people give.
const ALIASES: [(&str, &str); 5] = [
    ("voc", "voc2012"),
    ("voc12", "voc2012"),
    ("coco-stuff164k", "coco-stuff"),
    ("coco", "coco-stuff"),
    ("context", "context59"),
];

const VALIDATION: &str = "val";
const TRAINING: &str = "train";

impl DatasetSpec {
    /// Reads `NAME=DIR`, the path of a TOML, `scenes` or `voc-scenes`, or these with a folder of pictures: `scenes=DIR`.
    ///
    /// # Errors
    /// [`DatasetError::Spec`], [`DatasetError::UnknownDataset`], and [`DatasetError::Data`] for a wrong TOML.
    pub fn parse(text: &str) -> Result<Self, DatasetError> {
        let is_toml = |path: &str| {
            Path::new(path)
                .extension()
                .is_some_and(|end| end.eq_ignore_ascii_case("toml"))
        };
        if let Some(name) = composed::name(text) {
            return Self::scenes(name, None);
        }
        match text.split_once('=') {
            Some((name, root)) if !root.is_empty() && !is_toml(name) => Self::new(name, Path::new(root)),
            _ if is_toml(text) => Self::from_toml(Path::new(text)),
            _ => Err(DatasetError::Spec {
                text: text.to_owned(),
                known: quoted(&Self::names()),
            }),
        }
    }

    /// A benchmark under `root`, which may be the folder that holds its files or one of those above.
    ///
    /// # Errors
    /// [`DatasetError::UnknownDataset`], which names the nearest.
    pub fn new(name: &str, root: &Path) -> Result<Self, DatasetError> {
        let lower = name.trim().to_lowercase();
        if let Some(name) = composed::name(&lower) {
            return Self::scenes(name, Some(root));
        }
        let alias = ALIASES
            .iter()
            .find(|(alias, _)| *alias == lower)
            .map_or(lower.as_str(), |(_, name)| name);
        let Some(benchmark) = BENCHMARKS.iter().find(|benchmark| benchmark.name == alias) else {
            let known = Self::names();
            return Err(DatasetError::UnknownDataset {
                name: name.to_owned(),
                hint: hint(name, known.iter().copied()),
                known: quoted(&known),
            });
        };
        let vocabulary = Arc::new(Vocabulary::built_in(benchmark.vocabulary)?);
        Ok(Self {
            source: Source::Benchmark {
                benchmark,
                root: root.into(),
            },
            vocabulary,
        })
    }

    /// A data set described by a TOML, whose path patterns start at the TOML's folder. It holds a vocabulary (see
    /// [`Vocabulary::from_toml`]) and for each split where its files are:
    ///
    /// ```toml
    /// classes = ["cow", "sheep", "sofa|couch"]
    /// unseen = ["sheep"]
    /// labels = { values = { 7 = "cow", 9 = "sheep", 12 = "sofa" }, ignore = [0, 255] }
    ///
    /// [splits.train]
    /// images = "photos/train/**/*.jpg"
    /// labels = "masks/train/**/*.png"
    /// label_suffix = "_mask"           # `a/b_mask.png` belongs to `a/b.jpg`
    /// list = "lists/train.txt"         # only these, `a/b` a line
    /// ```
    ///
    /// # Errors
    /// [`DatasetError::Data`] for an unreadable file, a mistake in the vocabulary or an unknown key.
    pub fn from_toml(path: &Path) -> Result<Self, DatasetError> {
        let description = Arc::new(FolderDescription::read(path)?);
        let vocabulary = description.vocabulary.clone();
        Ok(Self {
            source: Source::Folder {
                path: path.into(),
                description,
            },
            vocabulary,
        })
    }

    /// Composed scenes of 128 × 128 pixels, of the pictures in a folder or the embedded ones. Splits: `train`,
    /// `known_artists` and `unknown_artist`, the last two to be scored on.
    fn scenes(name: &'static str, pictures: Option<&Path>) -> Result<Self, DatasetError> {
        let vocabulary = match pictures {
            None => composed::vocabulary(name)?,
            Some(_) => composed::scenes(pictures, composed::settings(name, composed::TRAINING)?)?
                .vocabulary()
                .clone(),
        };
        Ok(Self {
            source: Source::Scenes {
                name,
                pictures: pictures.unwrap_or(Path::new("")).to_owned(),
            },
            vocabulary: Arc::new(vocabulary),
        })
    }

    /// The names that [`Self::new`] knows.
    pub fn names() -> Vec<&'static str> {
        let benchmarks = BENCHMARKS.iter().map(|benchmark| benchmark.name);
        benchmarks.chain([composed::SCENES, composed::VOC_SCENES]).collect()
    }

    /// What the data set is called.
    pub fn name(&self) -> &str {
        match &self.source {
            Source::Benchmark { benchmark, .. } => benchmark.name,
            Source::Folder { .. } => self.vocabulary.name(),
            Source::Scenes { name, .. } => name,
        }
    }

    /// The folder or TOML; empty for scenes of the embedded pictures.
    pub fn path(&self) -> &Path {
        match &self.source {
            Source::Benchmark { root: path, .. }
            | Source::Folder { path, .. }
            | Source::Scenes { pictures: path, .. } => path,
        }
    }

    /// The classes of its labels.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The split that the published results are trained on; of a TOML, `train` or its first.
    pub fn training_split(&self) -> &str {
        match &self.source {
            Source::Benchmark {
                benchmark: Benchmark { kind: Kind::Voc, .. },
                ..
            } => voc::TRAIN_AUG,
            Source::Benchmark { .. } => TRAINING,
            Source::Scenes { .. } => composed::TRAINING,
            Source::Folder { description, .. } => first_of(description, TRAINING),
        }
    }

    /// The split that the published results are measured on; of a TOML, `val` or its first.
    pub fn validation_split(&self) -> &str {
        match &self.source {
            Source::Benchmark { .. } => VALIDATION,
            Source::Scenes { .. } => composed::KNOWN,
            Source::Folder { description, .. } => first_of(description, VALIDATION),
        }
    }

    /// Opens a split that is complete.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`] if a photo or label file is missing, and those of [`Self::survey`].
    pub fn open(&self, split: &str) -> Result<Dataset, DatasetError> {
        self.survey(split)?.complete()
    }

    /// Opens a split whatever it lacks; [`Dataset::problems`] lists that.
    ///
    /// # Errors
    /// [`DatasetError::Layout`] if folders or lists are not where they should be, [`DatasetError::UnknownSplit`],
    /// [`DatasetError::EmptyList`], [`DatasetError::NoSamples`], and what is wrong with files that say which samples
    /// there are.
    pub fn survey(&self, split: &str) -> Result<Dataset, DatasetError> {
        let survey: Survey = match &self.source {
            Source::Folder { description, .. } => description.survey(split)?,
            Source::Scenes { name, pictures } => {
                let pictures = (!pictures.as_os_str().is_empty()).then_some(pictures.as_path());
                composed::survey(name, pictures, split)?
            }
            Source::Benchmark { benchmark, root } => {
                let place = Place {
                    dataset: benchmark.name,
                    root,
                };
                let vocabulary = self.vocabulary.clone();
                match benchmark.kind {
                    Kind::Voc => voc::survey(&place, split, vocabulary)?,
                    Kind::CocoStuff => coco_stuff::survey(&place, split, vocabulary)?,
                    Kind::Context => context::survey(&place, split, vocabulary)?,
                }
            }
        };
        Ok(Dataset::new(self.name(), split, survey))
    }
}

fn first_of<'a>(description: &'a FolderDescription, preferred: &'a str) -> &'a str {
    let mut splits = description.splits();
    let has = description.splits().any(|split| split == preferred);
    if has {
        preferred
    } else {
        splits.next().unwrap_or(preferred)
    }
}
