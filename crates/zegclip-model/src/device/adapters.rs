//! Adapters of graphics interfaces, through wgpu.

use std::collections::BTreeMap;

use burn::tensor::wgpu::{WgpuBackend, WgpuInitError, wgpu};
use burn::tensor::{Device, DeviceKind, read_sync};

use super::adapter::Adapter;
use super::error::Problem;
use super::name::{DeviceName, GraphicsApi};
use super::open_device::{OpenDevice, Opened};

/// Every adapter of every graphics interface, the best first, without opening any.
pub fn adapters() -> Vec<Adapter> {
    candidates(|_| true).into_iter().map(|found| found.adapter).collect()
}

/// Opens the adapter that `name` states.
pub(super) fn open(name: DeviceName, opened: &mut Opened) -> Result<OpenDevice, Problem> {
    let found = candidates(|found| match name {
        DeviceName::Graphics(api, index) => found.api == api && index.is_none_or(|index| found.index == index),
        _ => true,
    });
    open_adapter(found.first().ok_or(Problem::NoAdapter)?, opened)
}

/// The adapters that are not software drivers, the best first.
pub(super) fn gpus() -> Vec<Found> {
    candidates(|found| found.adapter.kind != "software")
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
pub(super) struct Found {
    adapter: Adapter,
    api: GraphicsApi,
    /// Among all adapters of the interface.
    index: usize,
    kind: Option<DeviceKind>,
    rank: usize,
}

impl Found {
    /// The name that opens exactly this adapter.
    pub(super) fn name(&self) -> DeviceName {
        DeviceName::Graphics(self.api, Some(self.index))
    }
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

/// Opens an adapter, or returns it if it is open.
pub(super) fn open_adapter(found: &Found, opened: &mut Opened) -> Result<OpenDevice, Problem> {
    let exact = found.name();
    if let Some(device) = opened.get(&exact) {
        return Ok(device.clone());
    }
    let kind = found.kind.clone().unwrap_or(DeviceKind::DefaultDevice);
    let device = Device::wgpu_options()
        .graphics_api(found.api.backend())
        .device_kind(kind)
        .init()
        .map_err(problem)?;
    let device = OpenDevice {
        device,
        description: format!("{} ({})", found.adapter.device, found.adapter.name),
        gpu: true,
    };
    opened.insert(exact, device.clone());
    Ok(device)
}

fn problem(error: WgpuInitError) -> Problem {
    match error {
        WgpuInitError::AdapterUnavailable { .. } | WgpuInitError::UnsupportedGraphicsApi { .. } => Problem::NoAdapter,
        other => Problem::Refused(other.to_string()),
    }
}
