//! Devices: names, adapters, opening.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use burn::tensor::{DType, Device};
use serde::Serialize;

#[cfg(feature = "wgpu")]
mod adapters;
#[cfg(not(feature = "wgpu"))]
#[path = "device/no_adapters.rs"]
mod adapters;

pub use adapters::adapters;

/// Devices by the names under which they were opened.
type Opened = BTreeMap<DeviceName, OpenDevice>;

/// A graphics interface that wgpu can drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GraphicsApi {
    /// Vulkan: Linux, Windows, Android.
    Vulkan,
    /// Metal: macOS, iOS.
    Metal,
    /// Direct3D 12: Windows.
    Dx12,
    /// OpenGL: old machines.
    Gl,
}

/// The name of a device: `auto`, `cpu`, `ndarray`, `wgpu`, `vulkan[:i]`, `metal[:i]`, `dx12[:i]`, `gl[:i]`, `cuda[:i]`.
///
/// ```
/// use zegclip_model::device::{DeviceName, GraphicsApi};
///
/// assert_eq!("vulkan:1".parse::<DeviceName>()?, DeviceName::Graphics(GraphicsApi::Vulkan, Some(1)));
/// # Ok::<(), zegclip_model::device::DeviceError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceName {
    /// The best GPU that opens, else the CPU.
    Auto,
    /// The CPU, through burn-flex.
    Cpu,
    /// The CPU, through burn-ndarray: a slow reference without kernels of this project.
    NdArray,
    /// The best adapter of any graphics interface, software drivers included.
    Wgpu,
    /// An adapter of one interface; the best one without an index.
    Graphics(GraphicsApi, Option<usize>),
    /// An NVIDIA card through CUDA.
    Cuda(usize),
}

/// An adapter as its driver describes it.
#[derive(Debug, Clone, Serialize)]
pub struct Adapter {
    /// Its [`DeviceName`].
    pub device: String,
    /// Name of the adapter.
    pub name: String,
    /// Interface.
    pub api: GraphicsApi,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// Largest buffer in bytes that the driver allows.
    pub max_buffer_bytes: u64,
    /// Whether shaders may compute in f16.
    pub f16: bool,
}

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

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::UnknownName(text.to_owned());
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, Some(index.parse().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (kind, index) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("ndarray", None) => Ok(Self::NdArray),
            ("wgpu", None) => Ok(Self::Wgpu),
            ("vulkan", index) => Ok(Self::Graphics(GraphicsApi::Vulkan, index)),
            ("metal", index) => Ok(Self::Graphics(GraphicsApi::Metal, index)),
            ("dx12", index) => Ok(Self::Graphics(GraphicsApi::Dx12, index)),
            ("gl", index) => Ok(Self::Graphics(GraphicsApi::Gl, index)),
            ("cuda", index) => Ok(Self::Cuda(index.unwrap_or(0))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::NdArray => f.write_str("ndarray"),
            Self::Wgpu => f.write_str("wgpu"),
            Self::Graphics(api, None) => write!(f, "{api}"),
            Self::Graphics(api, Some(index)) => write!(f, "{api}:{index}"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl fmt::Display for GraphicsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Dx12 => "dx12",
            Self::Gl => "gl",
        })
    }
}

/// Open devices: a second initialization of the same adapter would be an error.
static OPENED: Mutex<Opened> = Mutex::new(BTreeMap::new());

/// Opens a device, once: later calls return the same one.
///
/// # Errors
/// [`DeviceError`] if this build or machine lacks it or its driver refuses.
pub fn open(name: DeviceName) -> Result<OpenDevice, DeviceError> {
    let mut opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(device) = opened.get(&name) {
        return Ok(device.clone());
    }
    let device = match name {
        DeviceName::Auto => open_best_gpu(&mut opened).unwrap_or_else(|| {
            tracing::info!("{}; device `auto` is the CPU", why_no_gpu());
            cpu()
        }),
        DeviceName::Cpu => cpu(),
        DeviceName::NdArray => open_ndarray(name)?,
        DeviceName::Cuda(index) => open_cuda(name, index)?,
        DeviceName::Wgpu | DeviceName::Graphics(..) => adapters::open(name, &mut opened)?,
    };
    opened.insert(name, device.clone());
    Ok(device)
}

/// Description of a device that is in use, whether or not [`open`] opened it.
pub fn describe(device: &Device) -> OpenDevice {
    let opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let found = opened.values().find(|open| open.device == *device).cloned();
    found.unwrap_or_else(|| OpenDevice {
        device: device.clone(),
        description: format!("{device:?}"),
        gpu: is_gpu(device),
    })
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn is_gpu(device: &Device) -> bool {
    let device = device.clone().without_autodiff();
    matches!(device.as_dispatch(), burn::backend::DispatchDevice::Cube(_))
}

#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
fn is_gpu(_device: &Device) -> bool {
    false
}

/// Names of the devices that this build can open on this machine.
pub fn available() -> Vec<String> {
    let mut names = vec!["cpu".to_owned()];
    names.extend(cfg!(feature = "ndarray").then(|| "ndarray".to_owned()));
    names.extend(adapters().into_iter().map(|adapter| adapter.device));
    names.extend((0..cuda_devices()).map(|index| format!("cuda:{index}")));
    names
}

/// Whether the device computes in f16.
pub fn supports_f16(device: &Device) -> bool {
    device.supports_dtype(DType::F16)
}

/// The best GPU that opens: an NVIDIA card through CUDA, else an adapter that is not a software driver.
fn open_best_gpu(opened: &mut Opened) -> Option<OpenDevice> {
    if cuda_devices() > 0 {
        match open_cuda(DeviceName::Cuda(0), 0) {
            Ok(device) => return Some(device),
            Err(error) => tracing::warn!("{error}"),
        }
    }
    adapters::open_best(opened)
}

/// Why `auto` found no GPU.
fn why_no_gpu() -> &'static str {
    if cfg!(any(feature = "wgpu", feature = "cuda")) {
        "no GPU could be opened"
    } else {
        "this build has no GPU support"
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn no_adapter(device: DeviceName) -> DeviceError {
    DeviceError::NoAdapter {
        device,
        available: available().join(", "),
    }
}

fn cpu() -> OpenDevice {
    OpenDevice {
        device: Device::flex(),
        description: "cpu".to_owned(),
        gpu: false,
    }
}

#[cfg(feature = "ndarray")]
#[allow(deprecated, reason = "burn 0.23 drops it")]
fn open_ndarray(_name: DeviceName) -> Result<OpenDevice, DeviceError> {
    Ok(OpenDevice {
        device: Device::ndarray(),
        description: "ndarray".to_owned(),
        gpu: false,
    })
}

#[cfg(not(feature = "ndarray"))]
fn open_ndarray(name: DeviceName) -> Result<OpenDevice, DeviceError> {
    Err(DeviceError::NotBuilt {
        device: name,
        feature: "ndarray",
        available: available().join(", "),
    })
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> usize {
    Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec().len()
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> usize {
    0
}

#[cfg(feature = "cuda")]
fn open_cuda(name: DeviceName, index: usize) -> Result<OpenDevice, DeviceError> {
    // Opening an absent device would panic; listing does not.
    if index >= cuda_devices() {
        return Err(no_adapter(name));
    }
    Ok(OpenDevice {
        device: Device::cuda(index),
        description: format!("cuda:{index}"),
        gpu: true,
    })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(name: DeviceName, _index: usize) -> Result<OpenDevice, DeviceError> {
    Err(DeviceError::NotBuilt {
        device: name,
        feature: "cuda",
        available: available().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in [
            "auto", "cpu", "ndarray", "wgpu", "vulkan", "vulkan:1", "metal", "dx12:0", "gl", "cuda:3",
        ] {
            let parsed: DeviceName = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(parsed.to_string(), name);
        }
    }

    #[test]
    fn other_names_are_refused_with_the_list() {
        for name in ["", "gpu", "cpu:0", "vulkan:", "vulkan:x", "cuda:-1"] {
            let error = name.parse::<DeviceName>().expect_err(name).to_string();
            assert!(error.contains("vulkan[:i]"), "{error}");
        }
    }

    #[cfg(not(any(feature = "wgpu", feature = "cuda")))]
    #[test]
    fn a_build_without_gpu_support_has_the_cpu_alone() {
        for name in ["wgpu", "vulkan", "vulkan:0", "gl", "cuda"] {
            let error = open(name.parse().expect(name)).expect_err(name);
            assert!(matches!(error, DeviceError::NotBuilt { .. }), "{error}");
        }
        assert!(!open(DeviceName::Auto).expect("the CPU").gpu);
    }
}
