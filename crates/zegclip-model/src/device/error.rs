//! Why devices do not open.

use super::name::DeviceName;

/// Why a device does not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is not the name of a device.
    #[error(
        "unknown device `{0}`; known are auto, cpu, ndarray, wgpu, vulkan[:i], metal[:i], dx12[:i], gl[:i] and cuda[:i]"
    )]
    UnknownName(String),
    /// The build lacks the Cargo feature that this kind of device needs.
    #[error("this build has no support for device `{device}` (feature `{feature}`)")]
    NotBuilt {
        /// The name of the device.
        device: DeviceName,
        /// Cargo feature that adds it.
        feature: &'static str,
        /// Devices of this build and machine, separated by commas.
        available: String,
    },
    /// The machine has no such adapter.
    #[error("no adapter for device `{device}` in this machine")]
    NoAdapter {
        /// The name of the device.
        device: DeviceName,
        /// Devices of this build and machine, separated by commas.
        available: String,
    },
    /// The driver refused.
    #[error("device `{device}` does not open: {reason}")]
    Refused {
        /// The name of the device.
        device: DeviceName,
        /// The driver's message.
        reason: String,
        /// Devices of this build and machine, separated by commas.
        available: String,
    },
}

/// Why a device does not open, without the devices that would.
pub(super) enum Problem {
    /// [`DeviceError::NotBuilt`], with the Cargo feature.
    #[cfg_attr(
        all(feature = "wgpu", feature = "ndarray", feature = "cuda"),
        expect(dead_code, reason = "all kinds are built")
    )]
    NotBuilt(&'static str),
    /// [`DeviceError::NoAdapter`].
    #[cfg_attr(
        not(any(feature = "wgpu", feature = "cuda")),
        expect(dead_code, reason = "there are no adapters")
    )]
    NoAdapter,
    /// [`DeviceError::Refused`], with the driver's message.
    #[cfg_attr(not(feature = "wgpu"), expect(dead_code, reason = "only wgpu's drivers refuse"))]
    Refused(String),
}

impl Problem {
    /// The error for `device` where the devices `available` would open.
    pub(super) fn of(self, device: DeviceName, available: String) -> DeviceError {
        match self {
            Self::NotBuilt(feature) => DeviceError::NotBuilt {
                device,
                feature,
                available,
            },
            Self::NoAdapter => DeviceError::NoAdapter { device, available },
            Self::Refused(reason) => DeviceError::Refused {
                device,
                reason,
                available,
            },
        }
    }
}
