//! `zegclip inspect`

use serde_json::Value;
use zegclip_weights::WeightFile;

use crate::arguments::InspectArguments;
use crate::failure::Failure;
use crate::output;
use crate::weights;

/// Number of class names that are printed.
const SHOWN_CLASSES: usize = 12;

pub(crate) fn run(options: &InspectArguments) -> Result<(), Failure> {
    let file = match &options.file {
        Some(path) => WeightFile::open(&weights::located(path)?)?,
        None => demo_model()?,
    };
    let description = file.describe();
    if options.json {
        return output::json(&description);
    }
    let number = |key: &str| description[key].as_u64().unwrap_or(0);
    output::line(format!("file          {}", file.path().display()))?;
    output::line(format!("format        {}", file.format()))?;
    output::line(format!("contents      {}", file.parts()))?;
    output::line(format!(
        "tensors       {} with {:.1} M values in {:.1} MB",
        number("tensors"),
        number("parameters") as f64 / 1e6,
        number("bytes") as f64 / 1e6
    ))?;
    let dtypes = description["dtypes"].as_object();
    let dtypes: Vec<String> = dtypes
        .into_iter()
        .flatten()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    output::line(format!("types         {}", dtypes.join(", ")))?;
    if let Some(architecture) = description["architecture"].as_object() {
        for (part, sizes) in architecture.iter().filter(|(_, sizes)| !sizes.is_null()) {
            output::line(format!("{part:<13} {}", sizes_line(sizes)))?;
        }
    }
    if let Some(error) = description["architecture_error"].as_str() {
        output::line(format!("sizes         unknown: {error}"))?;
    }
    if let Some(classes) = file.classes() {
        let shown = classes
            .iter()
            .take(SHOWN_CLASSES)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let rest = if classes.len() > SHOWN_CLASSES { ", …" } else { "" };
        output::line(format!("classes       {}: {shown}{rest}", classes.len()))?;
    }
    for key in ["config", "text", "setting", "provenance"] {
        if let Some(value) = description["meta"][key].as_str() {
            output::line(format!("{key:<13} {value}"))?;
        }
    }
    if let Some(unknown) = description["unknown"].as_array().filter(|unknown| !unknown.is_empty()) {
        output::line(format!(
            "not used      {} tensors, such as {}",
            unknown.len(),
            unknown[0]
        ))?;
    }
    Ok(())
}

fn sizes_line(sizes: &Value) -> String {
    match sizes {
        Value::Object(sizes) => {
            let stated = sizes.iter().filter(|(_, value)| !value.is_null());
            stated
                .map(|(name, value)| format!("{name} {value}"))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(feature = "demo")]
fn demo_model() -> Result<WeightFile, Failure> {
    use zegclip::{DEMO_MODEL_LIMITS, DEMO_MODEL_NAME};
    output::message(format_args!("{DEMO_MODEL_NAME}: {DEMO_MODEL_LIMITS}"));
    Ok(WeightFile::from_bytes(DEMO_MODEL_NAME, zegclip::demo_model())?)
}

#[cfg(not(feature = "demo"))]
fn demo_model() -> Result<WeightFile, Failure> {
    Err(Failure::usage("no weight file is named"))
}
