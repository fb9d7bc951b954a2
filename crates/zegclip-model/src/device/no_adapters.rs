//! A build without wgpu: no graphics interface, no adapter.

use super::{Adapter, DeviceError, DeviceName, OpenDevice, Opened, available};

/// Every adapter of every graphics interface: none in this build.
pub fn adapters() -> Vec<Adapter> {
    Vec::new()
}

/// Refuses every adapter.
pub(super) fn open(device: DeviceName, _opened: &mut Opened) -> Result<OpenDevice, DeviceError> {
    Err(DeviceError::NotBuilt {
        device,
        feature: "wgpu",
        available: available().join(", "),
    })
}

/// Finds nothing.
pub(super) fn open_best(_opened: &mut Opened) -> Option<OpenDevice> {
    None
}
