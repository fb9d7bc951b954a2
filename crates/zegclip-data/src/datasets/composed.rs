//! Composed scenes as a data set, made when they are read.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::DatasetError;
use super::layout::Place;
use super::sample::Sample;
use super::survey::Survey;
use crate::scenes::{Scene, SceneSettings, Scenes, TestSplit};
use crate::{LabelMap, Vocabulary};

/// Name of the data set of all pictures.
pub(super) const SCENES: &str = "scenes";
/// Name of the data set whose classes are VOC's; grounds are its background.
pub(super) const VOC_SCENES: &str = "voc-scenes";
const VOC_VOCABULARY: &str = "voc-pictures";
/// Width and height of the scenes in pixels.
const SIZE: u32 = 128;
pub(super) const TRAINING: &str = "train";
/// The split that published results would be of.
pub(super) const KNOWN: &str = TestSplit::KnownArtists.name();
/// Scenes of a training split: more than a run draws.
const TRAINING_SCENES: u64 = 100_000;
const TEST_SCENES: u64 = 500;

/// The data set of this name.
pub(super) fn name(text: &str) -> Option<&'static str> {
    [SCENES, VOC_SCENES].into_iter().find(|name| *name == text.trim())
}

fn test_split(name: &str) -> Option<TestSplit> {
    TestSplit::ALL.into_iter().find(|split| split.name() == name)
}

/// A scene that is composed when it is asked for.
#[derive(Clone, Debug)]
pub(super) struct ComposedScene {
    scenes: Arc<Scenes>,
    index: u64,
}

impl ComposedScene {
    pub(super) fn load(&self) -> (RgbImage, LabelMap) {
        let Scene { image, labels, .. } = self.scenes.compose(self.index);
        (image, labels)
    }
}

/// Scenes of the pictures in `folder`, or of the embedded ones.
pub(super) fn scenes(folder: Option<&Path>, settings: SceneSettings) -> Result<Scenes, DatasetError> {
    Ok(match folder {
        None => Scenes::embedded(settings)?,
        Some(folder) => Scenes::from_dir(folder, settings)?,
    })
}

/// Settings of a split; those of the training split for any other name.
pub(super) fn settings(name: &str, split: &str) -> Result<SceneSettings, DatasetError> {
    let settings = match test_split(split) {
        Some(split) => SceneSettings::test(SIZE, 0, split.artists()),
        None => SceneSettings::train(SIZE, 0),
    };
    let vocabulary = (name == VOC_SCENES).then(|| Vocabulary::built_in(VOC_VOCABULARY));
    Ok(SceneSettings {
        vocabulary: vocabulary.transpose()?,
        ..settings
    })
}

/// The classes of either data set of the embedded pictures.
pub(super) fn vocabulary(name: &str) -> Result<Vocabulary, DatasetError> {
    let vocabulary = if name == VOC_SCENES { VOC_VOCABULARY } else { "demo" };
    Ok(Vocabulary::built_in(vocabulary)?.with_labels_in_order())
}

pub(super) fn survey(name: &'static str, folder: Option<&Path>, split: &str) -> Result<Survey, DatasetError> {
    let count = match split {
        TRAINING => TRAINING_SCENES,
        _ if test_split(split).is_some() => TEST_SCENES,
        _ => {
            let root = folder.unwrap_or(Path::new(""));
            return Err(
                Place { dataset: name, root }.unknown_split(split, &[TRAINING, KNOWN, TestSplit::UnknownArtist.name()])
            );
        }
    };
    let scenes = Arc::new(scenes(folder, settings(name, split)?)?);
    let sample = |index| Sample {
        id: format!("{split}-{index:06}"),
        image: None,
        labels: None,
        scene: Some(ComposedScene {
            scenes: scenes.clone(),
            index,
        }),
    };
    Ok(Survey {
        vocabulary: Arc::new(scenes.vocabulary().clone()),
        samples: (0..count).map(sample).collect(),
        problems: Vec::new(),
        photos: "scenes that are composed".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::DatasetSpec;
    use crate::TrainingSetting;

    #[test]
    fn scenes_are_a_data_set() {
        let spec = DatasetSpec::parse("scenes").unwrap();
        assert_eq!((spec.name(), spec.training_split()), ("scenes", "train"));
        let test = spec.open(spec.validation_split()).unwrap();
        let (photo, labels) = test.load(3).unwrap();
        assert_eq!((photo.dimensions(), labels.dimensions()), ((128, 128), (128, 128)));
        assert_eq!(test.load(3).unwrap(), (photo, labels));
        let training = spec
            .open("train")
            .unwrap()
            .into_training(TrainingSetting::Inductive)
            .unwrap();
        assert_eq!(training.vocabulary().len(), 140);
        assert!(training.load(training.len() - 1).is_ok());
        let voc = DatasetSpec::parse("voc-scenes").unwrap();
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
}
