//! Names of devices.

use std::fmt;

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
