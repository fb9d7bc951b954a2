//! Which data set and where: `NAME=DIR` on the command line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zegclip_foundation::{quoted, split_at_equals, text_of};

use super::computed::{ComputedDataset, ComputedSample};
use super::dataset::Dataset;
use super::error::DatasetError;
use super::file_index::FileIndex;
use super::folder::FolderDescription;
use super::layout::Place;
use super::sample::Sample;
use super::{coco_stuff, context, voc};
use crate::Vocabulary;
use crate::suggestion::hint;

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
    Computed(Arc<dyn ComputedDataset>),
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

static BENCHMARKS: [Benchmark; 6] = [
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
        name: "voc21",
        vocabulary: "voc21",
        kind: Kind::Voc,
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
    /// Reads `NAME=DIR`, or the path of a TOML.
    ///
    /// # Errors
    /// [`DatasetError::Spec`], [`DatasetError::UnknownDataset`], and [`DatasetError::Data`] for a wrong TOML.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self, DatasetError> {
        let text = text.as_ref();
        let is_toml = |path: &OsStr| {
            Path::new(path)
                .extension()
                .is_some_and(|end| end.eq_ignore_ascii_case("toml"))
        };
        match split_at_equals(text) {
            Some((name, root)) if !root.is_empty() && !is_toml(&name) => Self::new(&text_of(name), Path::new(&root)),
            _ if is_toml(text) => Self::from_toml(Path::new(text)),
            _ => Err(DatasetError::Spec {
                text: text_of(text),
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

    /// A data set whose samples are computed when they are read.
    pub fn computed(dataset: Arc<dyn ComputedDataset>) -> Self {
        Self {
            vocabulary: Arc::new(dataset.vocabulary().clone()),
            source: Source::Computed(dataset),
        }
    }

    /// The names that [`Self::new`] knows.
    pub fn names() -> Vec<&'static str> {
        BENCHMARKS.iter().map(|benchmark| benchmark.name).collect()
    }

    /// What the data set is called.
    pub fn name(&self) -> &str {
        match &self.source {
            Source::Benchmark { benchmark, .. } => benchmark.name,
            Source::Folder { .. } => self.vocabulary.name(),
            Source::Computed(dataset) => dataset.name(),
        }
    }

    /// The folder or TOML; empty for samples that are computed from neither.
    pub fn path(&self) -> &Path {
        match &self.source {
            Source::Benchmark { root: path, .. } | Source::Folder { path, .. } => path,
            Source::Computed(dataset) => dataset.path(),
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
            Source::Computed(dataset) => dataset.training_split(),
            Source::Folder { description, .. } => first_of(description, TRAINING),
        }
    }

    /// The split that the published results are measured on; of a TOML, `val` or its first.
    pub fn validation_split(&self) -> &str {
        match &self.source {
            Source::Benchmark { .. } => VALIDATION,
            Source::Computed(dataset) => dataset.validation_split(),
            Source::Folder { description, .. } => first_of(description, VALIDATION),
        }
    }

    /// Opens a split that is complete.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`] if an image or label file is missing, and those of [`Self::open_incomplete`].
    pub fn open(&self, split: &str) -> Result<Dataset, DatasetError> {
        self.open_incomplete(split)?.complete()
    }

    /// Opens a split of which files may be missing; [`Dataset::problems`] lists them.
    ///
    /// # Errors
    /// [`DatasetError::Layout`] if folders or lists are not where they should be, [`DatasetError::UnknownSplit`],
    /// [`DatasetError::EmptyList`], [`DatasetError::NoSamples`], and what is wrong with files that say which samples
    /// there are.
    pub fn open_incomplete(&self, split: &str) -> Result<Dataset, DatasetError> {
        let index = match &self.source {
            Source::Folder { description, .. } => description.index(split)?,
            Source::Computed(dataset) => computed_index(dataset.as_ref(), split)?,
            Source::Benchmark { benchmark, root } => {
                let place = Place {
                    dataset: benchmark.name,
                    root,
                };
                let vocabulary = self.vocabulary.clone();
                match benchmark.kind {
                    Kind::Voc => voc::index(&place, split, vocabulary)?,
                    Kind::CocoStuff => coco_stuff::index(&place, split, vocabulary)?,
                    Kind::Context => context::index(&place, split, vocabulary)?,
                }
            }
        };
        Ok(Dataset::new(self.name(), split, index))
    }
}

impl Dataset {
    /// Opens a complete split of a benchmark by its name, see [`DatasetSpec`].
    ///
    /// # Errors
    /// Those of [`DatasetSpec::new`] and [`DatasetSpec::open`].
    pub fn open(name: &str, root: &Path, split: &str) -> Result<Self, DatasetError> {
        DatasetSpec::new(name, root)?.open(split)
    }
}

fn computed_index(dataset: &dyn ComputedDataset, split: &str) -> Result<FileIndex, DatasetError> {
    let splits = dataset.splits();
    if !splits.contains(&split) {
        let place = Place {
            dataset: dataset.name(),
            root: dataset.path(),
        };
        return Err(place.unknown_split(split, &splits));
    }
    let samples = dataset.open(split).map_err(DatasetError::Computed)?;
    let sample = |index| Sample {
        id: samples.id(index),
        image: None,
        labels: None,
        computed: Some(ComputedSample {
            split: samples.clone(),
            index,
        }),
    };
    Ok(FileIndex {
        vocabulary: samples.vocabulary(),
        samples: (0..samples.len()).map(sample).collect(),
        problems: Vec::new(),
        images: "computed samples".to_owned(),
    })
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
