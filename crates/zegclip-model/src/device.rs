//! Every difference between devices: their names, how they are opened, and what they can do.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use burn::tensor::wgpu::{WgpuBackend, WgpuInitError, wgpu};
use burn::tensor::{DType, Device, DeviceKind, read_sync};
use serde::Serialize;

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
    /// OpenGL: what is left on old machines.
    Gl,
}

/// What `--device` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceName {
    /// The best GPU that opens, else the processor.
    Auto,
    /// The processor, through burn-flex.
    Cpu,
    /// The CPU, through burn-ndarray: a slow reference that shares no kernel with the others.
    NdArray,
    /// The best adapter of any graphics interface, software drivers included.
    Wgpu,
    /// An adapter of one interface; the best one where no index is given.
    Graphics(GraphicsApi, Option<usize>),
    /// An NVIDIA card through CUDA.
    Cuda(usize),
}

/// An adapter as its driver describes it.
#[derive(Debug, Clone, Serialize)]
pub struct Adapter {
    /// What to give to `--device`.
    pub device: String,
    /// Name of the card.
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
    /// Which one it is, for people: `vulkan:0 (NVIDIA RTX A2000)`.
    pub description: String,
    /// Whether it is reached through a graphics interface or CUDA: what it computes should stay there.
    pub gpu: bool,
}

/// Why a device does not open.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The name is none that `--device` knows.
    #[error(
        "unknown device `{0}`; known are auto, cpu, ndarray, wgpu, vulkan[:i], metal[:i], dx12[:i], gl[:i] and cuda[:i]"
    )]
    UnknownName(String),
    /// This program was built without that kind of device.
    #[error("device `{device}` is not in this build; build with `--features {feature}`, or use one of: {available}")]
    NotBuilt {
        /// As given.
        device: DeviceName,
        /// Cargo feature that adds it.
        feature: &'static str,
        /// Devices that this machine has.
        available: String,
    },
    /// No such adapter in this machine.
    #[error("no adapter for device `{device}` in this machine; use one of: {available}")]
    NoAdapter {
        /// As given.
        device: DeviceName,
        /// Devices that this machine has.
        available: String,
    },
    /// The driver refused.
    #[error("device `{device}` does not open: {reason}; use one of: {available}")]
    Refused {
        /// As given.
        device: DeviceName,
        /// In the driver's words.
        reason: String,
        /// Devices that this machine has.
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

impl GraphicsApi {
    /// In order of preference.
    const ALL: [Self; 4] = [Self::Metal, Self::Vulkan, Self::Dx12, Self::Gl];

    fn backend(self) -> WgpuBackend {
        match self {
            Self::Vulkan => WgpuBackend::Vulkan,
            Self::Metal => WgpuBackend::Metal,
            Self::Dx12 => WgpuBackend::Dx12,
            Self::Gl => WgpuBackend::Gl,
        }
    }

    fn wgpu_backends(self) -> wgpu::Backends {
        match self {
            Self::Vulkan => wgpu::Backends::VULKAN,
            Self::Metal => wgpu::Backends::METAL,
            Self::Dx12 => wgpu::Backends::DX12,
            Self::Gl => wgpu::Backends::GL,
        }
    }
}

/// Devices that were opened: a second initialisation of the same adapter would be an error.
static OPENED: Mutex<BTreeMap<DeviceName, OpenDevice>> = Mutex::new(BTreeMap::new());

/// Opens a device. A device that was opened before is handed out again.
///
/// # Errors
/// [`DeviceError`] if this build or machine lacks it or its driver refuses.
pub fn open(name: DeviceName) -> Result<OpenDevice, DeviceError> {
    let mut opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(device) = opened.get(&name) {
        return Ok(device.clone());
    }
    let device = match name {
        DeviceName::Auto => open_best_gpu(&mut opened).unwrap_or_else(cpu),
        DeviceName::Cpu => cpu(),
        DeviceName::NdArray => open_ndarray(name)?,
        DeviceName::Cuda(index) => open_cuda(name, index)?,
        DeviceName::Wgpu => {
            let best = candidates(|_| true).into_iter().next();
            let found = best.ok_or_else(|| no_adapter(name))?;
            open_adapter(&found, name, &mut opened)?
        }
        DeviceName::Graphics(api, index) => {
            let found = match index {
                Some(index) => candidates(|found| found.api == api && found.index == index)
                    .into_iter()
                    .next(),
                None => candidates(|found| found.api == api).into_iter().next(),
            };
            open_adapter(&found.ok_or_else(|| no_adapter(name))?, name, &mut opened)?
        }
    };
    opened.insert(name, device.clone());
    Ok(device)
}

/// What is known of a device that a program holds already. One that [`open`] did not open counts as no GPU.
pub fn describe(device: &Device) -> OpenDevice {
    let opened = OPENED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let found = opened.values().find(|open| open.device == *device).cloned();
    found.unwrap_or_else(|| OpenDevice {
        device: device.clone(),
        description: format!("{device:?}"),
        gpu: false,
    })
}

/// Every adapter of every graphics interface, the best first. None is opened.
pub fn adapters() -> Vec<Adapter> {
    candidates(|_| true).into_iter().map(|found| found.adapter).collect()
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

/// An adapter with what it takes to open it.
struct Found {
    adapter: Adapter,
    api: GraphicsApi,
    /// Among all adapters of the interface.
    index: usize,
    kind: Option<DeviceKind>,
    rank: usize,
}

fn candidates(accept: impl Fn(&Found) -> bool) -> Vec<Found> {
    let mut found: Vec<Found> = GraphicsApi::ALL
        .into_iter()
        .flat_map(adapters_of)
        .filter(accept)
        .collect();
    found.sort_by_key(|found| found.rank); // stable: the order of preference of the interfaces stays within a rank
    found
}

fn adapters_of(api: GraphicsApi) -> Vec<Found> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: api.wgpu_backends(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut of_kind = BTreeMap::new();
    let adapters = read_sync(instance.enumerate_adapters(api.wgpu_backends()));
    adapters
        .into_iter()
        .enumerate()
        .map(|(index, adapter)| {
            let info = adapter.get_info();
            let (kind, rank): (&'static str, usize) = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => ("discrete", 0),
                wgpu::DeviceType::IntegratedGpu => ("integrated", 1),
                wgpu::DeviceType::VirtualGpu => ("virtual", 2),
                wgpu::DeviceType::Other => ("other", 3),
                wgpu::DeviceType::Cpu => ("software", 4),
            };
            let number: &mut usize = of_kind.entry(rank).or_default();
            let selector = match kind {
                "discrete" => Some(DeviceKind::DiscreteGpu(*number)),
                "integrated" => Some(DeviceKind::IntegratedGpu(*number)),
                "virtual" => Some(DeviceKind::VirtualGpu(*number)),
                "software" if *number == 0 => Some(DeviceKind::Cpu),
                // No selector names it; it is reached as the interface's default.
                _ => None,
            };
            *number += 1;
            let adapter = Adapter {
                device: format!("{api}:{index}"),
                name: info.name,
                api,
                kind,
                driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
                max_buffer_bytes: adapter.limits().max_buffer_size,
                f16: adapter.features().contains(wgpu::Features::SHADER_F16),
            };
            Found {
                adapter,
                api,
                index,
                kind: selector,
                rank,
            }
        })
        .collect()
}

fn open_best_gpu(opened: &mut BTreeMap<DeviceName, OpenDevice>) -> Option<OpenDevice> {
    if cuda_devices() > 0
        && let Ok(device) = open_cuda(DeviceName::Cuda(0), 0)
    {
        return Some(device);
    }
    candidates(|found| found.adapter.kind != "software")
        .iter()
        .find_map(|found| match open_adapter(found, DeviceName::Auto, opened) {
            Ok(device) => Some(device),
            Err(error) => {
                tracing::warn!("{error}");
                None
            }
        })
}

fn open_adapter(
    found: &Found,
    name: DeviceName,
    opened: &mut BTreeMap<DeviceName, OpenDevice>,
) -> Result<OpenDevice, DeviceError> {
    let exact = DeviceName::Graphics(found.api, Some(found.index));
    if let Some(device) = opened.get(&exact) {
        return Ok(device.clone());
    }
    let kind = found.kind.clone().unwrap_or(DeviceKind::DefaultDevice);
    let device = Device::wgpu_options()
        .graphics_api(found.api.backend())
        .device_kind(kind)
        .init()
        .map_err(|error| refused(name, error))?;
    let device = OpenDevice {
        device,
        description: format!("{} ({})", found.adapter.device, found.adapter.name),
        gpu: true,
    };
    opened.insert(exact, device.clone());
    Ok(device)
}

fn refused(device: DeviceName, error: WgpuInitError) -> DeviceError {
    match error {
        WgpuInitError::AdapterUnavailable { .. } | WgpuInitError::UnsupportedGraphicsApi { .. } => no_adapter(device),
        other => DeviceError::Refused {
            device,
            reason: other.to_string(),
            available: available().join(", "),
        },
    }
}

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
}
