//! `zegclip convert`

use std::path::Path;

use zegclip::{Conversion, Vocabulary};
use zegclip_data::remove_if_there;

use crate::arguments::ConvertArguments;
use crate::failure::Failure;
use crate::output;
use crate::segment::model_overrides;
use crate::weights;

pub(crate) fn run(options: &ConvertArguments) -> Result<(), Failure> {
    let input = weights::located(&options.input)?;
    let mut conversion = Conversion::new(&input, &options.output).overwrite(options.overwrite);
    conversion.check()?;
    if let Some(name) = &options.vocabulary {
        let vocabulary = Vocabulary::from_name_or_file(name).map_err(Failure::usage)?;
        conversion = conversion.vocabulary(vocabulary);
    }
    if let Some(path) = &options.model_config {
        conversion = conversion.model_overrides(model_overrides(path)?);
    }
    if let Some(clip) = &options.clip {
        conversion = conversion.clip(weights::located(clip)?);
    }
    if let Some(precision) = options.precision {
        conversion = conversion.precision(precision.into());
    }
    let converted = conversion.run().inspect_err(|_| {
        let inputs = [Some(&options.input), options.clip.as_ref()].into_iter().flatten();
        // Earlier weights are not those of this input, unless they are the input.
        if options.overwrite && !inputs.into_iter().any(|input| is_same(input, &options.output)) {
            let _ = remove_if_there(&options.output);
        }
    })?;
    output::line(format!(
        "{}: {} tensors from {}",
        options.output.display(),
        converted.tensors,
        converted.format
    ))
}

/// Whether two paths are one file, or one has the other in it.
fn is_same(input: &Path, output: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    real(input)
        .zip(real(output))
        .is_none_or(|(input, output)| output.starts_with(input))
}
