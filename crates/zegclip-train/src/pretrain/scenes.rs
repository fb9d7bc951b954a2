//! Pairs of scenes, composed on demand.

use std::path::Path;

use zegclip_data::transforms::{Draw, RandomStream, random_stream};
use zegclip_data::{Class, ClassIndex, Vocabulary};
use zegclip_scenes::{Ground, Scene, SceneSettings, Scenes, TestSplit};

use super::config::StageConfig;
use super::pair::{ClassifiedImage, HeldOut, Name, Pair};
use crate::TrainError;

/// Offset of the facts of counts behind those of classes.
const COUNTS: u64 = 1 << 16;
/// Probability that a name is replaced by one of its synonyms.
const SYNONYM_PROBABILITY: f64 = 0.4;

/// The scenes of a stage.
#[derive(Debug)]
pub(crate) struct StageScenes {
    scenes: Scenes,
    seed: u64,
    /// Fraction of the captions that name grounds.
    ground_captions: f64,
}

impl StageScenes {
    pub(crate) fn open(
        pictures: Option<&Path>,
        stage: &StageConfig,
        seed: u64,
        ground_captions: f64,
    ) -> Result<Self, TrainError> {
        let settings = settings(stage, SceneSettings::train(stage.image_size as u32, seed));
        Ok(Self {
            scenes: open(pictures, settings)?,
            seed,
            ground_captions,
        })
    }

    /// A scene and one of its captions.
    pub(crate) fn pair(&self, [iteration, slot]: [u64; 2], batch: u64) -> Pair {
        let scene = self
            .scenes
            .compose(iteration.saturating_mul(batch).saturating_add(slot));
        let mut stream = random_stream(self.seed, iteration, slot, Draw::Caption);
        let grounds = stream.chance(self.ground_captions);
        let fitting: Vec<usize> = (0..scene.captions.len())
            .filter(|caption| {
                scene
                    .captions
                    .get(*caption)
                    .is_some_and(|text| names_any(text, &scene.grounds) == grounds)
            })
            .collect();
        let place = stream.below(fitting.len() as u64) as usize;
        let any = stream.below(scene.captions.len() as u64) as usize;
        let caption = fitting.get(place).copied().unwrap_or(any);
        let mut pair = pair(scene, caption, self.scenes.vocabulary());
        self.choose_names(&mut pair, &mut stream);
        pair
    }

    /// Replaces some names by synonyms, as captions do.
    fn choose_names(&self, pair: &mut Pair, stream: &mut RandomStream) {
        for name in &mut pair.names {
            let class = class_of(name.id, self.scenes.vocabulary());
            let names: Vec<&str> = class.iter().flat_map(|class| class.names()).collect();
            let place = stream.below(names.len() as u64) as usize;
            if stream.chance(SYNONYM_PROBABILITY)
                && let Some(synonym) = names.get(place)
            {
                name.text = (*synonym).to_owned();
            }
        }
    }
}

/// All phrases of captions.
pub(crate) fn texts(pictures: Option<&Path>) -> Result<Vec<String>, TrainError> {
    Ok(open(pictures, SceneSettings::train(32, 0))?.caption_phrases())
}

/// Names of the test splits: known artists and an unknown one.
pub(crate) fn held_out_names() -> Vec<String> {
    TestSplit::ALL.map(|split| split.name().to_owned()).to_vec()
}

pub(crate) fn held_out(pictures: Option<&Path>, stage: &StageConfig, count: usize) -> Result<Vec<HeldOut>, TrainError> {
    TestSplit::ALL
        .into_iter()
        .map(|split| {
            let all = SceneSettings::test(stage.image_size as u32, 0, split.artists());
            let all = settings(stage, all);
            let single = SceneSettings {
                pictures: 1..=1,
                ..all.clone()
            };
            let (single, all) = (open(pictures, single)?, open(pictures, all)?);
            let classes = single.vocabulary().classes().iter();
            Ok(HeldOut {
                name: split.name().to_owned(),
                classes: classes
                    .map(|class| class.names().map(str::to_owned).collect())
                    .collect(),
                classified: (0..count as u64)
                    .filter_map(|index| classified(single.compose(index)))
                    .collect(),
                pairs: (0..count as u64)
                    .map(|index| pair(all.compose(index), 0, all.vocabulary()))
                    .collect(),
            })
        })
        .collect()
}

fn open(pictures: Option<&Path>, settings: SceneSettings) -> Result<Scenes, TrainError> {
    Ok(match pictures {
        None => Scenes::embedded(settings)?,
        Some(folder) => Scenes::from_dir(folder, settings)?,
    })
}

fn settings(stage: &StageConfig, all: SceneSettings) -> SceneSettings {
    let [fewest, most] = stage.pictures;
    let [smallest, largest] = stage.picture_size;
    SceneSettings {
        pictures: fewest..=most,
        picture_size: smallest..=largest,
        ..all
    }
}

fn classified(scene: Scene) -> Option<ClassifiedImage> {
    let [picture] = scene.pictures.as_slice() else {
        return None;
    };
    let class = picture.class.index();
    let also_true = scene.classes().into_iter().map(ClassIndex::index);
    Some(ClassifiedImage {
        also_true: also_true.filter(|other| *other != class).collect(),
        class,
        image: scene.image,
    })
}

/// A scene with one of its captions. Captions state every class and its count, and some state the grounds.
fn pair(scene: Scene, caption: usize, vocabulary: &Vocabulary) -> Pair {
    let caption = scene.captions.get(caption).cloned().unwrap_or_default();
    let mut classes: Vec<u64> = scene
        .pictures
        .iter()
        .map(|picture| u64::from(picture.class.get()))
        .collect();
    classes.sort_unstable();
    let (mut caption_facts, mut image_facts) = (Vec::new(), Vec::new());
    for same in classes.chunk_by(|a, b| a == b) {
        let Some(&class) = same.first() else { continue };
        let count = class + COUNTS * same.len() as u64;
        image_facts.extend([class, count]);
        caption_facts.push(if same.len() > 1 { count } else { class });
    }
    for ground in &scene.grounds {
        let Some(class) = vocabulary.find(ground.name()) else {
            continue;
        };
        image_facts.push(u64::from(class.get()));
        if names(&caption, *ground) {
            caption_facts.push(u64::from(class.get()));
        }
    }
    caption_facts.sort_unstable();
    image_facts.sort_unstable();
    let names = image_facts.iter().filter_map(|&id| {
        let text = class_of(id, vocabulary)?.name().to_owned();
        Some(Name { id, text })
    });
    Pair {
        names: names.collect(),
        image: scene.image,
        caption,
        caption_facts,
        image_facts,
    }
}

/// The class of a fact; `None` for a count.
fn class_of(fact: u64, vocabulary: &Vocabulary) -> Option<&Class> {
    vocabulary.class(ClassIndex::new(u16::try_from(fact).ok()?)?)
}

/// Whether a caption names one of the grounds.
fn names_any(caption: &str, grounds: &[Ground]) -> bool {
    grounds.iter().any(|ground| names(caption, *ground))
}

/// Whether a caption contains a name of a ground as complete words.
fn names(caption: &str, ground: Ground) -> bool {
    let caption = format!(" {} ", caption.replace(',', " "));
    std::iter::once(ground.name())
        .chain(ground.synonyms().iter().copied())
        .any(|name| caption.contains(&format!(" {name} ")))
}

#[cfg(test)]
mod tests {
    use super::super::pair::is_true_of;
    use super::*;

    #[test]
    fn grounds_are_found_as_complete_words() {
        assert!(names("a cat on the beach, lying", Ground::Sand));
        assert!(names("a cat in front of a brick wall", Ground::BrickWall));
        assert!(!names("a seal and a watermelon", Ground::Sea));
    }

    #[test]
    fn a_caption_is_true_of_its_own_scene() {
        let scenes = Scenes::embedded(SceneSettings::train(32, 5)).unwrap();
        for index in 0..40 {
            let scene = scenes.compose(index);
            for caption in 0..scene.captions.len() {
                let pair = pair(scene.clone(), caption, scenes.vocabulary());
                assert!(is_true_of(&pair.caption_facts, &pair.image_facts), "{}", pair.caption);
                assert!(pair.caption_facts.len() >= usize::from(!scene.pictures.is_empty()));
            }
        }
    }
}
