//! The demo model's own benchmark: test scenes that are composed while they are scored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use zegclip_data::evaluation::Evaluation;
use zegclip_data::metrics::Confusion;
use zegclip_data::{LabelMap, Vocabulary};
use zegclip_scenes::{Scene, SceneSettings, Scenes, TestSplit};

use crate::{Error, SegmentOptions, Segmenter};

/// How much is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoSettings {
    /// Scenes of the split.
    pub scenes: u64,
    /// The first of them are kept, to be shown.
    pub shown: usize,
    /// Width and height of a scene in pixels.
    pub size: u32,
    /// Another seed, other scenes.
    pub seed: u64,
}

/// A scene and what the model saw in it.
#[derive(Debug, Clone)]
pub struct DemoScene {
    /// The scene with its labels.
    pub scene: Scene,
    /// The model's labels.
    pub prediction: LabelMap,
}

/// Counts of a split.
#[derive(Debug, Clone)]
pub struct DemoResult {
    /// What was counted; [`Scores::of`](zegclip_data::metrics::Scores::of) tells the scores.
    pub confusion: Confusion,
    /// The first scenes.
    pub shown: Vec<DemoScene>,
    /// Milliseconds that a scene took.
    pub milliseconds: f64,
    /// Those who drew.
    pub artists: Vec<String>,
    /// The classes of the scenes.
    pub vocabulary: Vocabulary,
}

/// Segments the scenes of a split, those that `zegclip scenes --split test` makes of the same size, seed and artists, with all names of their vocabulary and counts what is right. `progress` is told of every
/// scene; once `stop` is true, fewer scenes are counted.
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use zegclip::demo::{DemoSettings, run};
/// use zegclip::Segmenter;
/// use zegclip_data::metrics::Scores;
/// use zegclip_scenes::TestSplit;
///
/// let segmenter = Segmenter::demo("cpu".parse()?)?;
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
    // Names are encoded once, before the clock runs.
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
        |photo| {
            let result = segmenter.segment_with(&photo, &vocabulary, &SegmentOptions::default())?;
            Ok::<_, Error>(result.labels.0)
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
        confusion: state.confusion().clone(),
        shown: shown.collect(),
        milliseconds,
        artists: scenes.artists().to_vec(),
        vocabulary,
    })
}

impl DemoScene {
    /// The scene's plainest caption.
    pub fn caption(&self) -> &str {
        self.scene.captions.first().map_or("", String::as_str)
    }
}
