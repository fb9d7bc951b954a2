//! The scores of a model on a data set.

use std::sync::Arc;

use zegclip_data::datasets::Dataset;
pub use zegclip_data::evaluation::{
    ASSUMED, Evaluation, EvaluationError, EvaluationFiles, EvaluationState, ReportHeader, Scored, Shard,
    add_assumptions,
};

pub use crate::evaluation_identity::{EvaluationIdentity, InputFile};
use crate::{Error, SegmentOptions, Segmenter};

/// Segments and scores the images of a data set; see [`Evaluation::run`] for what happens when it is stopped.
///
/// `evaluation.vocabulary` has the classes of the data set, of which others may be seen.
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use zegclip::evaluation::{Evaluation, EvaluationIdentity};
/// use zegclip::{SegmentOptions, Segmenter, evaluate};
/// use zegclip_data::{datasets::DatasetSpec, metrics::Scores};
///
/// let segmenter = Segmenter::load("zegclip-voc.safetensors", "auto")?;
/// let dataset = DatasetSpec::parse("voc2012=data/VOCdevkit")?.open("val")?;
/// let setting = segmenter.setting_for(dataset.vocabulary());
/// let identity = EvaluationIdentity::new(&dataset, dataset.vocabulary(), setting);
/// let stop = AtomicBool::new(false);
/// let evaluation = Evaluation::new(dataset.vocabulary(), dataset.len(), identity.as_map(), &stop);
/// let state = evaluate(&segmenter, &dataset, &evaluation, &SegmentOptions::for_setting(setting), |_| Ok(()))?;
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
    let load = move |index: usize| {
        let (image, labels) = images.load(index)?;
        Ok(((index, image), labels))
    };
    let predict = |(index, image)| {
        let result = segmenter.segment_with(&image, evaluation.vocabulary, options);
        let result = result.map_err(|error| error.of_image(dataset.id(index)))?;
        Ok::<_, Error>(result.into_labels())
    };
    evaluation.run(load, predict, scored)
}
