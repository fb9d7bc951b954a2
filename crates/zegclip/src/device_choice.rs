//! Where to compute, as applications name it.

use burn::tensor::Device;
use zegclip_model::device::{DeviceError, DeviceName, OpenDevice, describe, open};

/// Where to compute: a device name (`"auto"`, `"cpu"`, `"vulkan:1"`, see [`DeviceName`]), or a device that the application has
/// already, such as the one that it trains on.
///
/// ```
/// use zegclip::DeviceChoice;
/// use zegclip::burn::tensor::Device;
///
/// let by_name = DeviceChoice::from("cpu");
/// let own = DeviceChoice::from(&Device::flex());
/// assert_eq!(own.open()?.device, by_name.open()?.device);
/// assert!(DeviceChoice::from("toaster").open().is_err());
/// # Ok::<(), zegclip::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DeviceChoice(Choice);

#[derive(Debug, Clone)]
enum Choice {
    Named(DeviceName),
    Text(String),
    Own(Device),
    Open(OpenDevice),
}

impl DeviceChoice {
    /// Opens the device. One of the application is used as it is, without automatic differentiation.
    ///
    /// # Errors
    /// [`DeviceError`] for an unknown name, or a device that this build or machine lacks.
    pub fn open(&self) -> Result<OpenDevice, DeviceError> {
        match &self.0 {
            Choice::Named(name) => open(*name),
            Choice::Text(text) => open(text.parse()?),
            Choice::Own(device) => Ok(describe(&device.clone().without_autodiff())),
            Choice::Open(device) => Ok(device.clone()),
        }
    }
}

impl Default for DeviceChoice {
    /// The best device that opens.
    fn default() -> Self {
        DeviceName::Auto.into()
    }
}

impl From<DeviceName> for DeviceChoice {
    fn from(name: DeviceName) -> Self {
        Self(Choice::Named(name))
    }
}

impl From<&str> for DeviceChoice {
    fn from(text: &str) -> Self {
        Self(Choice::Text(text.to_owned()))
    }
}

impl From<String> for DeviceChoice {
    fn from(text: String) -> Self {
        Self(Choice::Text(text))
    }
}

impl From<&String> for DeviceChoice {
    fn from(text: &String) -> Self {
        Self(Choice::Text(text.clone()))
    }
}

impl From<Device> for DeviceChoice {
    fn from(device: Device) -> Self {
        Self(Choice::Own(device))
    }
}

impl From<&Device> for DeviceChoice {
    fn from(device: &Device) -> Self {
        Self(Choice::Own(device.clone()))
    }
}

impl From<OpenDevice> for DeviceChoice {
    fn from(device: OpenDevice) -> Self {
        Self(Choice::Open(device))
    }
}

impl From<&OpenDevice> for DeviceChoice {
    fn from(device: &OpenDevice) -> Self {
        Self(Choice::Open(device.clone()))
    }
}
