//! Adapters of graphics interfaces, through wgpu.

use std::collections::BTreeMap;

use burn::tensor::wgpu::{WgpuBackend, WgpuInitError, wgpu};
use burn::tensor::{Device, DeviceKind, read_sync};

use super::{Adapter, DeviceError, DeviceName, GraphicsApi, OpenDevice, Opened, available, no_adapter};

/// Every adapter of every graphics interface, the best first, without opening any.
pub fn adapters() -> Vec<Adapter> {
    candidates(|_| true).into_iter().map(|found| found.adapter).collect()
}

/// Opens the adapter that `name` states.
pub(super) fn open(name: DeviceName, opened: &mut Opened) -> Result<OpenDevice, DeviceError> {
    let found = candidates(|found| match name {
        DeviceName::Graphics(api, index) => found.api == api && index.is_none_or(|index| found.index == index),
        _ => true,
    });
    let best = found.first().ok_or_else(|| no_adapter(name))?;
    open_adapter(best, name, opened)
}

/// Opens the best adapter that is not a software driver.
pub(super) fn open_best(opened: &mut Opened) -> Option<OpenDevice> {
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

/// An adapter and how to open it.
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
                // Without a selector: only as the default of the interface.
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

fn open_adapter(found: &Found, name: DeviceName, opened: &mut Opened) -> Result<OpenDevice, DeviceError> {
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
