//! `zegclip devices`

use serde_json::json;
use zegclip::DeviceName;
use zegclip_model::device;

use crate::arguments::DevicesOptions;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(options: &DevicesOptions) -> Result<(), Failure> {
    let adapters = device::adapters();
    let processor = std::thread::available_parallelism().map_or(1, usize::from);
    let auto = device::open(DeviceName::Auto).map_err(Failure::failed)?.description;
    if options.json {
        output::json(&json!({ "device": "cpu", "name": "processor", "threads": processor, "f16": true }))?;
        for adapter in &adapters {
            output::json(adapter)?;
        }
        return Ok(());
    }
    output::line(format!("{:<12} processor, {processor} threads (burn-flex)", "cpu"))?;
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
    for name in device::available()
        .iter()
        .filter(|name| name.starts_with("cuda") || *name == "ndarray")
    {
        output::line(name)?;
    }
    output::line(format!("`--device auto` takes {auto}"))
}
