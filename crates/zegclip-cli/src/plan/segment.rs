//! `zegclip segment`

use zegclip::ImageOutputs;

use super::ModelPlan;
use crate::arguments::{ClassArguments, MinPresence, SegmentArguments};
use crate::failure::Failure;
use crate::inputs::{Input, expand};

#[derive(Debug)]
pub(crate) struct SegmentPlan {
    pub(crate) inputs: Vec<Input>,
    pub(crate) classes: ClassArguments,
    pub(crate) model: ModelPlan,
    pub(crate) outputs: ImageOutputs,
    /// Images with complete results are left out.
    pub(crate) skip_existing: bool,
    pub(crate) scores: bool,
    /// Classes whose pixels have no label.
    pub(crate) background_classes: Vec<String>,
    /// Pixels whose best score is lower have no label.
    pub(crate) min_score: Option<f32>,
    /// The least presence of a class that takes pixels; `None`: that of the model.
    pub(crate) presence: Option<MinPresence>,
    pub(crate) json: bool,
}

impl SegmentPlan {
    pub(crate) fn new(arguments: SegmentArguments) -> Result<Self, Failure> {
        let outputs = ImageOutputs::new(&arguments.output)
            // Files without a report are of an image that was being written.
            .overwrite(arguments.overwrite || arguments.skip_existing)
            .overlay_opacity(arguments.overlay_opacity);
        let mut plan = Self {
            inputs: expand(&arguments.inputs, &outputs)?,
            outputs,
            classes: arguments.classes,
            model: arguments.model.into(),
            skip_existing: arguments.skip_existing,
            scores: arguments.scores,
            background_classes: arguments.background_class,
            min_score: arguments.min_score,
            presence: arguments.presence,
            json: arguments.json,
        };
        for value in &arguments.background {
            plan.add_background(value.trim())?;
        }
        Ok(plan)
    }

    /// Reads a value of the former option `--background`: a score or a class.
    fn add_background(&mut self, value: &str) -> Result<(), Failure> {
        let option = match value.parse::<f32>() {
            Ok(score) if (-1.0..=1.0).contains(&score) => {
                self.min_score = Some(score);
                "--min-score"
            }
            Ok(_) => {
                return Err(Failure::usage(format!(
                    "`--background {value}`: a score is a number from -1 to 1"
                )));
            }
            Err(_) if value.is_empty() => return Err(Failure::usage("`--background`: the class name is empty")),
            Err(_) => {
                self.background_classes.push(value.to_owned());
                "--background-class"
            }
        };
        tracing::info!("`--background {value}` is now `{option} {value}`");
        Ok(())
    }
}
