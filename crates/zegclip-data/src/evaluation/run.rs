//! The loop: images are read ahead by threads, predicted by the caller's thread and scored by another.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use zegclip_foundation::create_folder;

use super::{EvaluationError, EvaluationState};
use crate::datasets::DatasetError;
use crate::metrics::Confusion;
use crate::{DataError, LabelMap, Prefetch, ThreadFailed, Vocabulary, write_label_png};

/// Predictions that wait to be scored.
const WAITING: usize = 2;

/// What is evaluated and how.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// The classes; of their seen ones the scores make a group.
    pub vocabulary: &'a Vocabulary,
    /// How many images there are.
    pub images: u64,
    /// Also score boundaries.
    pub boundary: bool,
    /// Threads that read images and labels.
    pub threads: usize,
    /// Images read ahead at most.
    pub ahead: usize,
    /// Images of either kind that [`Examples`](super::Examples) keeps.
    pub examples: usize,
    /// Where the state is saved while the evaluation goes on; an evaluation goes on from what is there.
    pub state: Option<&'a Path>,
    /// What the scores depend on; a state of other values is refused.
    pub identity: &'a BTreeMap<String, String>,
    /// The state is saved after this many images, and at the end.
    pub save_every: u64,
    /// Once true, the evaluation stops after the image in work.
    pub stop: &'a AtomicBool,
}

/// An image that was just scored.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// Its position.
    pub index: usize,
    /// Its labels.
    pub labels: &'a LabelMap,
    /// What was predicted.
    pub prediction: &'a LabelMap,
    /// The counts of all images so far.
    pub total: &'a Confusion,
}

impl Scored<'_> {
    /// Writes the prediction as `FOLDER/ID.png`, see [`write_label_png`]; an id may have folders in it.
    ///
    /// # Errors
    /// [`EvaluationError::Data`] if a folder or the file cannot be written.
    pub fn save_prediction(&self, folder: &Path, id: &str, vocabulary: &Vocabulary) -> Result<(), EvaluationError> {
        let path = folder.join(format!("{id}.png"));
        if let Some(folder) = path.parent() {
            create_folder(folder).map_err(DataError::io("create", folder))?;
        }
        Ok(write_label_png(&path, self.prediction, &vocabulary.palette())?)
    }
}

struct Predicted {
    index: usize,
    labels: LabelMap,
    prediction: LabelMap,
}

impl<'a> Evaluation<'a> {
    /// An evaluation of `images` images without boundaries, saved nowhere, that keeps six examples of either kind.
    pub fn new(
        vocabulary: &'a Vocabulary,
        images: usize,
        identity: &'a BTreeMap<String, String>,
        stop: &'a AtomicBool,
    ) -> Self {
        Self {
            vocabulary,
            images: images as u64,
            boundary: false,
            threads: 2,
            ahead: 4,
            examples: 6,
            state: None,
            identity,
            save_every: 50,
            stop,
        }
    }

    /// Evaluates the images that are not done yet. `load` gives what `predict` needs, and the labels, of an image;
    /// `scored` is called for every image and may write files.
    ///
    /// The state that is returned has fewer than `images` images done only if `stop` became true. Whatever ends the
    /// evaluation, the state file holds all images that were scored.
    ///
    /// # Errors
    /// What `load`, `predict` and `scored` say, and [`EvaluationError`].
    pub fn run<I, E>(
        &self,
        load: impl Fn(usize) -> Result<(I, LabelMap), DatasetError> + Send + Sync + 'static,
        mut predict: impl FnMut(I) -> Result<LabelMap, E>,
        scored: impl FnMut(&Scored) -> Result<(), EvaluationError> + Send,
    ) -> Result<EvaluationState, E>
    where
        I: Send + 'static,
        E: From<EvaluationError>,
    {
        let state = self.resume()?;
        let numbers = state.done..self.images;
        let load = move |number: u64| Ok::<_, DatasetError>((number as usize, load(number as usize)?));
        let images = Prefetch::start(self.threads, self.ahead, numbers, load)
            .map_err(DataError::io("start", "a thread that reads images"))
            .map_err(EvaluationError::from)?;
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(WAITING);
            let scorer = std::thread::Builder::new()
                .name("scores".to_owned())
                .spawn_scoped(scope, || self.score(state, receiver, scored))
                .map_err(DataError::io("start", "a thread that scores"))
                .map_err(EvaluationError::from)?;
            let predict_all = || {
                for image in images {
                    if self.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (index, (input, labels)) = image.map_err(EvaluationError::from)?;
                    let prediction = predict(input)?;
                    let predicted = Predicted {
                        index,
                        labels,
                        prediction,
                    };
                    // The scorer has ended: it says why.
                    if sender.send(predicted).is_err() {
                        break;
                    }
                }
                Ok::<(), E>(())
            };
            let predicted = predict_all();
            drop(sender);
            let state = scorer.join().unwrap_or_else(|_| Err(ThreadFailed.into()));
            predicted?;
            Ok(state?)
        })
    }

    /// The saved state, or a new one.
    fn resume(&self) -> Result<EvaluationState, EvaluationError> {
        let saved = self.state.map(|path| EvaluationState::load(path, self.identity));
        Ok(saved.transpose()?.flatten().unwrap_or_else(|| {
            let confusion = Confusion::new(self.vocabulary);
            let confusion = if self.boundary {
                confusion.with_boundary()
            } else {
                confusion
            };
            EvaluationState::new(self.identity, confusion, self.examples)
        }))
    }

    fn score(
        &self,
        mut state: EvaluationState,
        predicted: Receiver<Predicted>,
        mut scored: impl FnMut(&Scored) -> Result<(), EvaluationError>,
    ) -> Result<EvaluationState, EvaluationError> {
        let save = |state: &EvaluationState| self.state.map_or(Ok(()), |path| state.save(path));
        let mut unsaved = 0;
        let mut ended = Ok(());
        for image in predicted {
            ended = self.score_one(&mut state, &image, &mut scored);
            if ended.is_err() {
                break;
            }
            unsaved += 1;
            if unsaved >= self.save_every.max(1) {
                save(&state)?;
                unsaved = 0;
            }
        }
        if unsaved > 0 {
            save(&state)?;
        }
        ended.map(|()| state)
    }

    /// Nothing is counted if anything fails, so that the image is done again.
    fn score_one(
        &self,
        state: &mut EvaluationState,
        image: &Predicted,
        scored: &mut impl FnMut(&Scored) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let mut counts = Confusion::new(self.vocabulary);
        if self.boundary {
            counts = counts.with_boundary();
        }
        counts.add(&image.labels, &image.prediction)?;
        let mut total = state.confusion.clone();
        total.merge(&counts)?;
        scored(&Scored {
            index: image.index,
            labels: &image.labels,
            prediction: &image.prediction,
            total: &total,
        })?;
        state
            .examples
            .offer(image.index, &counts, &image.prediction, self.vocabulary)?;
        state.confusion = total;
        state.done += 1;
        Ok(())
    }
}
