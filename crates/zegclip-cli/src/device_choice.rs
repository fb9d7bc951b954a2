//! Which device computes.

use zegclip::{DeviceName, OpenDevice};

use crate::output::message;

/// Reports the device, and what `auto` selected.
pub(crate) fn report(name: DeviceName, device: &OpenDevice) {
    let choice = match name {
        DeviceName::Auto if device.gpu => ", selected by `auto`",
        DeviceName::Auto => ", selected by `auto`: no GPU is usable",
        _ => "",
    };
    message(format_args!("device: {}{choice}", device.description));
}
