//! `zegclip devices`

use serde_json::json;
use zegclip::DeviceName;
use zegclip_model::device;

use crate::arguments::DevicesArguments;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(options: &DevicesArguments) -> Result<(), Failure> {
    let adapters = device::adapters();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let auto = device::open(DeviceName::Auto)?.description;
    let mut others = device::available();
    others.retain(|name| name == "ndarray" || name.starts_with("cuda"));
    if options.json {
        output::json(&json!({ "device": "cpu", "name": "CPU", "threads": threads, "f16": true }))?;
        for name in &others {
            output::json(&json!({ "device": name }))?;
        }
        for adapter in &adapters {
            output::json(adapter)?;
        }
        return Ok(());
    }
    output::line(format!("{:<12} CPU, {threads} threads (burn-flex)", "cpu"))?;
    for adapter in &adapters {
        output::line(format!(
            "{:<12} {}, {} ({}), buffers up to {:.1} GiB, f16: {}",
            adapter.device,
            adapter.name,
            adapter.kind,
            adapter.driver,
            adapter.max_buffer_bytes as f64 / f64::from(1u32 << 30),
            if adapter.f16 { "yes" } else { "no" },
        ))?;
    }
    for name in &others {
        output::line(match name.as_str() {
            "ndarray" => format!("{name:<12} CPU, a slow reference for comparisons (burn-ndarray)"),
            _ => name.clone(),
        })?;
    }
    output::line(format!("`--device auto` selects {auto}"))
}
