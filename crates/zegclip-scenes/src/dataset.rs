//! Composed scenes as data sets, and the specifications of data sets that include them.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use zegclip_data::datasets::{ComputedDataset, ComputedSplit, DatasetError, DatasetSpec};
use zegclip_data::{LabelMap, Vocabulary};
use zegclip_foundation::{did_you_mean, nearest_name, quoted, split_at_equals, text_of};

use crate::composer::Scenes;
use crate::error::SceneError;
use crate::scene::Scene;
use crate::settings::{SceneSettings, TestSplit};

/// Width and height of the scenes in pixels.
const SIZE: u32 = 128;
const TRAINING: &str = "train";
/// Scenes of the training split: more than a run draws.
const TRAINING_SCENES: usize = 100_000;
const TEST_SCENES: usize = 500;

/// Reads the specification of a data set: `scenes`, `voc-scenes`, one of them with a folder of pictures
/// (`scenes=DIR`), or anything that [`DatasetSpec::parse`] reads.
///
/// Scenes have 128 × 128 pixels and the splits `train`, `known_artists` and `unknown_artist`, of which the last two
/// are for scoring. The classes of `scenes` are those of the vocabulary `demo`, those of `voc-scenes` are VOC's.
///
/// ```
/// let spec = zegclip_scenes::dataset_spec("scenes")?;
/// assert_eq!((spec.name(), spec.training_split()), ("scenes", "train"));
/// let (image, labels) = spec.open("known_artists")?.load(0)?;
/// assert_eq!(image.dimensions(), labels.dimensions());
/// # Ok::<(), zegclip_data::datasets::DatasetError>(())
/// ```
///
/// # Errors
/// Those of [`DatasetSpec::parse`], whose lists of names include scenes, and [`DatasetError::Computed`] with a
/// [`SceneError`] for a folder without usable pictures.
pub fn dataset_spec(text: impl AsRef<OsStr>) -> Result<DatasetSpec, DatasetError> {
    let text = text.as_ref();
    let find = |name: &str| SceneDataset::ALL.into_iter().find(|(known, _)| *known == name);
    if let Some((name, vocabulary)) = text.to_str().and_then(|text| find(text.trim())) {
        return SceneDataset::spec(name, vocabulary, None);
    }
    if let Some((name, folder)) = split_at_equals(text)
        && let Some((name, vocabulary)) = find(&text_of(name).trim().to_lowercase())
        && !folder.is_empty()
    {
        return SceneDataset::spec(name, vocabulary, Some(Path::new(&folder)));
    }
    DatasetSpec::parse(text).map_err(|error| match error {
        DatasetError::Spec { text, .. } => DatasetError::Spec {
            text,
            known: quoted(&dataset_names()),
        },
        DatasetError::UnknownDataset { name, .. } => {
            let known = dataset_names();
            let nearest = nearest_name(&name, known.iter().copied());
            DatasetError::UnknownDataset {
                hint: did_you_mean(nearest),
                known: quoted(&known),
                name,
            }
        }
        error => error,
    })
}

/// The names that [`dataset_spec`] knows: those of [`DatasetSpec::names`], and those of scenes.
pub fn dataset_names() -> Vec<&'static str> {
    let mut names = DatasetSpec::names();
    names.extend(SceneDataset::ALL.map(|(name, _)| name));
    names
}

/// Scenes as a data set.
#[derive(Debug)]
struct SceneDataset {
    name: &'static str,
    vocabulary: Vocabulary,
    /// The vocabulary that scenes are labeled with, where the pictures do not decide.
    fixed_vocabulary: Option<Vocabulary>,
    /// Of pictures; none for the embedded ones.
    folder: Option<PathBuf>,
}

impl SceneDataset {
    /// Each data set with the vocabulary of its labels, if that does not depend on the pictures. The grounds are the
    /// background of VOC's classes.
    const ALL: [(&'static str, Option<&'static str>); 2] = [("scenes", None), ("voc-scenes", Some("voc-pictures"))];

    fn spec(
        name: &'static str,
        fixed_vocabulary: Option<&str>,
        folder: Option<&Path>,
    ) -> Result<DatasetSpec, DatasetError> {
        let fixed_vocabulary = fixed_vocabulary.map(Vocabulary::built_in).transpose()?;
        let mut dataset = Self {
            name,
            vocabulary: match &fixed_vocabulary {
                Some(vocabulary) => vocabulary.clone().with_identity_encoding(),
                None => Vocabulary::built_in("demo")?.with_identity_encoding(),
            },
            fixed_vocabulary,
            folder: folder.map(Path::to_owned),
        };
        if dataset.folder.is_some() {
            dataset.vocabulary = dataset.scenes(TRAINING)?.vocabulary().clone();
        }
        Ok(DatasetSpec::computed(Arc::new(dataset)))
    }

    fn scenes(&self, split: &str) -> Result<Scenes, SceneError> {
        let settings = match test_split(split) {
            Some(split) => SceneSettings::test(SIZE, 0, split.artists()),
            None => SceneSettings::train(SIZE, 0),
        };
        let settings = SceneSettings {
            vocabulary: self.fixed_vocabulary.clone(),
            ..settings
        };
        match &self.folder {
            None => Scenes::embedded(settings),
            Some(folder) => Scenes::from_dir(folder, settings),
        }
    }
}

impl ComputedDataset for SceneDataset {
    fn name(&self) -> &str {
        self.name
    }

    fn path(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new(""))
    }

    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn splits(&self) -> Vec<&str> {
        let tests = TestSplit::ALL.map(TestSplit::name);
        [TRAINING].into_iter().chain(tests).collect()
    }

    fn training_split(&self) -> &str {
        TRAINING
    }

    fn validation_split(&self) -> &str {
        // Published results would be of this split.
        TestSplit::KnownArtists.name()
    }

    fn open(&self, split: &str) -> Result<Arc<dyn ComputedSplit>, Box<dyn Error + Send + Sync>> {
        let scenes = self.scenes(split)?;
        Ok(Arc::new(SceneSamples {
            vocabulary: Arc::new(scenes.vocabulary().clone()),
            scenes,
            split: split.to_owned(),
            len: if test_split(split).is_some() {
                TEST_SCENES
            } else {
                TRAINING_SCENES
            },
        }))
    }
}

fn test_split(name: &str) -> Option<TestSplit> {
    TestSplit::ALL.into_iter().find(|split| split.name() == name)
}

/// The scenes of one split.
#[derive(Debug)]
struct SceneSamples {
    scenes: Scenes,
    vocabulary: Arc<Vocabulary>,
    split: String,
    len: usize,
}

impl ComputedSplit for SceneSamples {
    fn vocabulary(&self) -> Arc<Vocabulary> {
        self.vocabulary.clone()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn id(&self, index: usize) -> String {
        format!("{}-{index:06}", self.split)
    }

    fn compute(&self, index: usize) -> (RgbImage, LabelMap) {
        let Scene { image, labels, .. } = self.scenes.compose(index as u64);
        (image, labels)
    }
}

impl From<SceneError> for DatasetError {
    fn from(error: SceneError) -> Self {
        Self::Computed(Box::new(error))
    }
}

#[cfg(all(test, feature = "pictures"))]
mod tests {
    use zegclip_data::TrainingSetting;

    use super::*;

    #[test]
    fn scenes_are_a_data_set() {
        let spec = dataset_spec("scenes").unwrap();
        assert_eq!((spec.name(), spec.training_split()), ("scenes", "train"));
        let test = spec.open(spec.validation_split()).unwrap();
        let (image, labels) = test.load(3).unwrap();
        assert_eq!((image.dimensions(), labels.dimensions()), ((128, 128), (128, 128)));
        assert_eq!(test.load(3).unwrap(), (image, labels));
        assert_eq!(test.samples()[3].id(), "known_artists-000003");
        let training = spec
            .open("train")
            .unwrap()
            .into_training(TrainingSetting::Inductive)
            .unwrap();
        assert_eq!(training.vocabulary().len(), 140);
        assert!(training.load(training.len() - 1).is_ok());
        let voc = dataset_spec("voc-scenes").unwrap();
        assert_eq!((voc.name(), voc.vocabulary().len()), ("voc-scenes", 20));
        let (_, labels) = voc.open("unknown_artist").unwrap().load(0).unwrap();
        let ground = labels.iter().filter(Option::is_none).count();
        assert!(labels.max_class().is_some() && ground > 1_000, "{labels:?} {ground}");
        let error = spec.open("trian").unwrap_err().to_string();
        assert!(
            error.contains("`train`") && error.contains("`unknown_artist`"),
            "{error}"
        );
    }

    #[test]
    fn other_data_sets_are_read_and_scenes_are_among_the_known_names() {
        assert_eq!(dataset_spec("voc=x").unwrap().name(), "voc2012");
        let error = dataset_spec("scnes=x").unwrap_err().to_string();
        assert!(
            error.contains("(did you mean `scenes`?)") && error.contains("`coco-stuff`"),
            "{error}"
        );
        let error = dataset_spec("x").unwrap_err().to_string();
        assert!(error.contains("`voc2012`") && error.contains("`voc-scenes`"), "{error}");
        let missing = dataset_spec("scenes=/does/not/exist").unwrap_err();
        let DatasetError::Computed(source) = missing else {
            panic!("{missing}")
        };
        assert!(
            matches!(source.downcast_ref(), Some(SceneError::NoList { .. })),
            "{source}"
        );
    }
}
