//! Which device computes.

use zegclip::{DeviceName, OpenDevice};

use crate::output::message;

/// Reports the device. That `auto` found no GPU is an event of the library.
pub(crate) fn report(name: DeviceName, device: &OpenDevice) {
    let choice = match name {
        DeviceName::Auto => ", selected by `auto`",
        _ => "",
    };
    message(format_args!("device: {}{choice}", device.description));
}
