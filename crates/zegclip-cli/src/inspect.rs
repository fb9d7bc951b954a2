//! `zegclip inspect`

use serde_json::{Value, json};
use zegclip_weights::{FoundValues, WeightFile, set_memory_mapping};

use crate::arguments::InspectArguments;
use crate::failure::Failure;
use crate::output;
use crate::weights;

/// The entry of a description with what is assumed.
const ASSUMED: &str = "assumed";
/// Number of class names that are printed.
const SHOWN_CLASSES: usize = 12;
/// Longest list of a configuration that is printed.
const SHOWN_VALUES: usize = 12;

pub(crate) fn run(options: &InspectArguments) -> Result<(), Failure> {
    set_memory_mapping(!options.no_mmap);
    let file = match &options.file {
        Some(path) => WeightFile::open(&weights::located(path)?)?,
        None => demo_model()?,
    };
    let mut description = file.describe();
    let not_finite = file.not_finite();
    if options.json {
        description["not_finite"] = not_finite?.iter().map(not_finite_json).collect();
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
        let assumed: Vec<&str> = architecture[ASSUMED]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let parts = architecture
            .iter()
            .filter(|(part, sizes)| *part != ASSUMED && !sizes.is_null());
        for (part, sizes) in parts {
            output::line(format!("{part:<13} {}", sizes_line(part, sizes, &assumed)))?;
        }
        if !assumed.is_empty() {
            output::line(format!(
                "{ASSUMED:<13} {}: stated neither by the file nor by a configuration beside it, but `--model-config` can",
                assumed.join(", ")
            ))?;
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
    for key in ["config", "vision", "text", "setting", "provenance"] {
        if let Some(value) = description["meta"][key].as_str() {
            output::line(format!("{key:<13} {}", shortened(value)))?;
        }
    }
    if let Some(unknown) = description["unknown"].as_array().filter(|unknown| !unknown.is_empty()) {
        output::line(format!(
            "not used      {} tensors, such as {}",
            unknown.len(),
            unknown[0]
        ))?;
    }
    for values in not_finite? {
        output::line(format!("not finite    {}: {values}", values.name()))?;
    }
    Ok(())
}

/// A JSON text whose long lists are replaced by their length, or the text itself.
fn shortened(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(mut value @ (Value::Object(_) | Value::Array(_))) => {
            shorten(&mut value);
            value.to_string()
        }
        _ => text.to_owned(),
    }
}

fn shorten(value: &mut Value) {
    match value {
        Value::Array(values) if values.len() > SHOWN_VALUES => {
            *value = Value::String(format!("{} values", values.len()));
        }
        Value::Array(values) => values.iter_mut().for_each(shorten),
        Value::Object(values) => values.values_mut().for_each(shorten),
        _ => {}
    }
}

/// JSON has no NaN, so the value is text.
fn not_finite_json(values: &FoundValues) -> Value {
    json!({
        "tensor": values.key,
        "name_in_file": values.raw,
        "first": format!("{:?}", values.first),
        "place": values.place,
        "count": values.count,
        "elements": values.elements,
    })
}

fn sizes_line(part: &str, sizes: &Value, assumed: &[&str]) -> String {
    let mark = |name: &str| {
        let property = format!("{part}.{name}");
        if assumed.contains(&property.as_str()) {
            " (assumed)"
        } else {
            ""
        }
    };
    match sizes {
        Value::Object(sizes) => {
            let stated = sizes.iter().filter(|(_, value)| !value.is_null());
            let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            stated
                .map(|(name, value)| format!("{name} {}{}", shortened(&shown(value)), mark(name)))
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
