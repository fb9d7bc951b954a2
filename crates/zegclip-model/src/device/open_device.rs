//! Open devices.

use std::collections::BTreeMap;

use burn::tensor::Device;

use super::name::DeviceName;

/// Devices by the names under which they were opened.
pub(super) type Opened = BTreeMap<DeviceName, OpenDevice>;

/// An open device.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// For tensors.
    pub device: Device,
    /// Display name: `vulkan:0 (NVIDIA RTX A2000)`.
    pub description: String,
    /// Whether it is a device of a graphics interface or CUDA, with memory of its own.
    pub gpu: bool,
}
