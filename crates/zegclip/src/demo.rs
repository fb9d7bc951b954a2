//! The benchmark of the demo model: test scenes that are composed while they are scored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde_json::Value;
use zegclip_data::draw::{blend, side_by_side, with_legend};
use zegclip_data::evaluation::Evaluation;
use zegclip_data::metrics::{Confusion, Scores, evaluation_json};
use zegclip_data::{LabelMap, RgbImage, Vocabulary, resize_bilinear, resize_labels_nearest};
use zegclip_scenes::{Scene, SceneSettings, Scenes, TestSplit};

use crate::{Error, Segmenter};

/// Side of a panel in pixels; scenes are enlarged by an integer factor up to it.
const PANEL_SIDE: u32 = 384;
/// Opacity of class colors.
const OPACITY: f32 = 0.75;

/// Which scenes are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoSettings {
    /// Number of scenes of the split.
    pub scenes: u64,
    /// Number of scenes, the first ones, that the result keeps.
    pub shown: usize,
    /// Width and height of a scene in pixels.
    pub size: u32,
    /// Seed of the scenes.
    pub seed: u64,
}

/// A scene and its prediction.
#[derive(Debug, Clone)]
pub struct DemoScene {
    /// The scene with its labels, `[size, size]`.
    pub scene: Scene,
    /// The labels of the model, `[size, size]`.
    pub prediction: LabelMap,
}

/// The result for a split.
#[derive(Debug, Clone)]
pub struct DemoResult {
    /// Counts of true and predicted classes; [`Scores::of`] computes the scores.
    pub confusion: Confusion,
    /// The first scenes.
    pub shown: Vec<DemoScene>,
    /// Mean time per scene in milliseconds.
    pub milliseconds: f64,
    /// The artists of the pictures.
    pub artists: Vec<String>,
    /// The classes of the scenes.
    pub vocabulary: Vocabulary,
    /// Which scenes.
    pub settings: DemoSettings,
}

/// Segments the scenes of a split into all names of their vocabulary and scores them. The scenes are those that `zegclip scenes
/// --split test` writes for the same size, seed and artists. `progress` is called after every scene; once `stop` is true, no
/// further scenes are scored.
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use zegclip::demo::{DemoSettings, run};
/// use zegclip::Segmenter;
/// use zegclip_data::metrics::Scores;
/// use zegclip_scenes::TestSplit;
///
/// let segmenter = Segmenter::demo("cpu")?;
/// let settings = DemoSettings { scenes: 50, shown: 0, size: 128, seed: 0 };
/// let result = run(&segmenter, TestSplit::UnknownArtist, &settings, &AtomicBool::new(false), || ())?;
/// println!("hIoU {:?}", Scores::of(&result.confusion).hiou);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Scenes`], and those of [`Segmenter::segment_with`].
pub fn run(
    segmenter: &Segmenter,
    split: TestSplit,
    settings: &DemoSettings,
    stop: &AtomicBool,
    progress: impl Fn() + Sync,
) -> Result<DemoResult, Error> {
    let kind = SceneSettings::test(settings.size, settings.seed, split.artists());
    let scenes = Arc::new(Scenes::embedded(kind)?);
    let vocabulary = scenes.vocabulary().clone();
    // Once for all scenes, and not part of the measured time.
    segmenter.text_features(&vocabulary)?;
    let (composer, identity) = (scenes.clone(), BTreeMap::new());
    let evaluation = Evaluation {
        examples: 0,
        ..Evaluation::new(&vocabulary, settings.scenes as usize, &identity, stop)
    };
    let mut predictions = Vec::new();
    let started = Instant::now();
    let state = evaluation.run(
        move |index| {
            let scene = composer.compose(index as u64);
            Ok((scene.image, scene.labels))
        },
        |image| {
            let result = segmenter.segment(&image, &vocabulary)?;
            Ok::<_, Error>(result.into_labels())
        },
        |scored| {
            if scored.index < settings.shown {
                predictions.push(scored.prediction.clone());
            }
            progress();
            Ok(())
        },
    )?;
    let milliseconds = 1e3 * started.elapsed().as_secs_f64() / (state.done().max(1) as f64);
    let shown = (0..).zip(predictions).map(|(index, prediction)| DemoScene {
        scene: scenes.compose(index),
        prediction,
    });
    Ok(DemoResult {
        settings: *settings,
        confusion: state.confusion().clone(),
        shown: shown.collect(),
        milliseconds,
        artists: scenes.artists().to_vec(),
        vocabulary,
    })
}

impl DemoScene {
    /// The simplest caption of the scene.
    pub fn caption(&self) -> &str {
        self.scene.captions.first().map_or("", String::as_str)
    }

    /// Scene, labels and prediction side by side, with a legend of the classes that occur in either label map.
    ///
    /// # Errors
    /// [`Error::Data`] if the prediction has another size than the scene.
    pub fn drawing(&self, vocabulary: &Vocabulary) -> Result<RgbImage, Error> {
        let Scene { image, labels, .. } = &self.scene;
        let factor = (PANEL_SIDE / image.width().max(1)).max(1);
        let (width, height) = (image.width() * factor, image.height() * factor);
        let enlarged = resize_bilinear(image, width, height);
        let colored = |labels: &LabelMap| {
            blend(
                &enlarged,
                &resize_labels_nearest(labels, width, height),
                vocabulary,
                OPACITY,
            )
        };
        let (truth, prediction) = (colored(labels)?, colored(&self.prediction)?);
        let panels = side_by_side(&[("scene", &enlarged), ("truth", &truth), ("prediction", &prediction)]);
        let both = stacked(labels, &self.prediction);
        Ok(with_legend(&panels, &both, vocabulary))
    }
}

impl DemoResult {
    /// The scores as [`evaluation_json`], after split, model, artists, seed and size.
    pub fn json(&self, split: TestSplit, model: &str) -> Value {
        let mut entry = serde_json::Map::new();
        entry.insert("split".to_owned(), split.name().into());
        entry.insert("model".to_owned(), model.into());
        entry.insert("artists".to_owned(), self.artists.clone().into());
        entry.insert("seed".to_owned(), self.settings.seed.into());
        entry.insert("size".to_owned(), self.settings.size.into());
        if let Value::Object(scores) = evaluation_json(&Scores::of(&self.confusion)) {
            entry.extend(scores);
        }
        Value::Object(entry)
    }
}

/// Two label maps of one width in one, the first above the second.
fn stacked(first: &LabelMap, second: &LabelMap) -> LabelMap {
    let height = first.height();
    LabelMap::from_fn(first.width(), height + second.height(), |x, y| {
        if y < height {
            first.get(x, y)
        } else {
            second.get(x, y - height)
        }
    })
}
