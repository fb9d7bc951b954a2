//! Devices: names, adapters, opening.

use std::str::FromStr;
use std::sync::Mutex;

use burn::tensor::{DType, Device};

mod adapter;
#[cfg(feature = "wgpu")]
mod adapters;
#[cfg(not(feature = "wgpu"))]
#[path = "device/no_adapters.rs"]
mod adapters;
mod error;
mod name;
mod open_device;

pub use adapter::Adapter;
pub use adapters::adapters;
pub use error::DeviceError;
pub use name::{DeviceName, GraphicsApi};
pub use open_device::OpenDevice;

use error::Problem;
use open_device::Opened;

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

/// Open devices: a second initialization of the same adapter would be an error.
static OPENED: Mutex<Opened> = Mutex::new(Opened::new());

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
        DeviceName::Auto => Ok(open_best_gpu(&mut opened).unwrap_or_else(|| {
            tracing::info!("{}; device `auto` is the CPU", why_no_gpu());
            cpu()
        })),
        DeviceName::Cpu => Ok(cpu()),
        DeviceName::NdArray => open_ndarray(),
        DeviceName::Cuda(index) => open_cuda(index),
        DeviceName::Wgpu | DeviceName::Graphics(..) => adapters::open(name, &mut opened),
    };
    let device = device.map_err(|problem| error(problem, name))?;
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
        match open_cuda(0) {
            Ok(device) => return Some(device),
            Err(problem) => tracing::warn!("{}", error(problem, DeviceName::Cuda(0))),
        }
    }
    for candidate in adapters::gpus() {
        match adapters::open_adapter(&candidate, opened) {
            Ok(device) => return Some(device),
            Err(problem) => tracing::warn!("{}", error(problem, candidate.name())),
        }
    }
    None
}

fn error(problem: Problem, device: DeviceName) -> DeviceError {
    problem.of(device, available().join(", "))
}

/// Why `auto` found no GPU.
fn why_no_gpu() -> &'static str {
    if cfg!(any(feature = "wgpu", feature = "cuda")) {
        "no GPU could be opened"
    } else {
        "this build has no GPU support"
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
fn open_ndarray() -> Result<OpenDevice, Problem> {
    Ok(OpenDevice {
        device: Device::ndarray(),
        description: "ndarray".to_owned(),
        gpu: false,
    })
}

#[cfg(not(feature = "ndarray"))]
fn open_ndarray() -> Result<OpenDevice, Problem> {
    Err(Problem::NotBuilt("ndarray"))
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
fn open_cuda(index: usize) -> Result<OpenDevice, Problem> {
    // Opening an absent device would panic; listing does not.
    if index >= cuda_devices() {
        return Err(Problem::NoAdapter);
    }
    Ok(OpenDevice {
        device: Device::cuda(index),
        description: format!("cuda:{index}"),
        gpu: true,
    })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_index: usize) -> Result<OpenDevice, Problem> {
    Err(Problem::NotBuilt("cuda"))
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
