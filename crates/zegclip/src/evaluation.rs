//! A model on a data set: its labels of every photo, scored.

use std::sync::Arc;

use zegclip_data::datasets::Dataset;
pub use zegclip_data::evaluation::{Evaluation, EvaluationError, EvaluationState, Scored};

use crate::{Error, SegmentOptions, Segmenter};

/// Segments and scores the images of a data set; see [`Evaluation::run`] for what happens when it is stopped.
///
/// `evaluation.vocabulary` may have other seen classes than the data set's, but the same classes.
///
/// ```no_run
/// use std::collections::BTreeMap;
/// use std::sync::atomic::AtomicBool;
/// use zegclip::{SegmentOptions, Segmenter, evaluate, evaluation::Evaluation};
/// use zegclip_data::{datasets::DatasetSpec, metrics::Scores};
///
/// let segmenter = Segmenter::load("zegclip-voc.safetensors", "auto".parse()?)?;
/// let dataset = DatasetSpec::parse("voc2012=data/VOCdevkit")?.open("val")?;
/// let (stop, identity) = (AtomicBool::new(false), BTreeMap::new());
/// let evaluation = Evaluation::new(dataset.vocabulary(), dataset.len(), &identity, &stop);
/// let state = evaluate(&segmenter, &dataset, &evaluation, &SegmentOptions::default(), |_| Ok(()))?;
/// println!("hIoU {:?}", Scores::of(state.confusion()).hiou);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Evaluation`] for files, and those of [`Segmenter::segment_with`].
pub fn evaluate(
    segmenter: &Segmenter,
    dataset: &Dataset,
    evaluation: &Evaluation,
    options: &SegmentOptions,
    scored: impl FnMut(&Scored) -> Result<(), EvaluationError> + Send,
) -> Result<EvaluationState, Error> {
    let images = Arc::new(dataset.clone());
    let load = move |index: usize| images.load(index);
    let predict = |photo| {
        let result = segmenter.segment_with(&photo, evaluation.vocabulary, options)?;
        Ok::<_, Error>(result.labels.0)
    };
    evaluation.run(load, predict, scored)
}
