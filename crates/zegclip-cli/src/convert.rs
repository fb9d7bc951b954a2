//! `zegclip convert`

use zegclip::Conversion;
use zegclip_foundation::counted;
use zegclip_weights::set_memory_mapping;

use crate::arguments::ConvertArguments;
use crate::failure::Failure;
use crate::segment::model_overrides;
use crate::{assumptions, classes, hints, output, weights};

pub(crate) fn run(options: &ConvertArguments) -> Result<(), Failure> {
    set_memory_mapping(!options.no_mmap);
    let input = weights::located(&options.input)?;
    let mut conversion = Conversion::new(&input, &options.output).overwrite(options.overwrite);
    conversion.check()?;
    if let Some(name) = &options.vocabulary {
        let vocabulary = classes::from_name_or_file(name)?;
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
    let converted = conversion.run()?;
    assumptions::report(&converted.assumptions, hints::state);
    output::line(format!(
        "{}: {} from {}",
        options.output.display(),
        counted(converted.tensors, "tensor", "tensors"),
        converted.format
    ))
}
