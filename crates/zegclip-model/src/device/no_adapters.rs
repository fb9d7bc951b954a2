//! A build without wgpu: no graphics interface, no adapter.

use super::adapter::Adapter;
use super::error::Problem;
use super::name::DeviceName;
use super::open_device::{OpenDevice, Opened};

/// Every adapter of every graphics interface: none in this build.
pub fn adapters() -> Vec<Adapter> {
    Vec::new()
}

/// An adapter, of which there is none.
pub(super) enum Found {}

impl Found {
    pub(super) fn name(&self) -> DeviceName {
        match *self {}
    }
}

/// Refuses every adapter.
pub(super) fn open(_name: DeviceName, _opened: &mut Opened) -> Result<OpenDevice, Problem> {
    Err(Problem::NotBuilt("wgpu"))
}

/// The adapters that are not software drivers: none.
pub(super) fn gpus() -> Vec<Found> {
    Vec::new()
}

/// Opens an adapter, of which there is none.
pub(super) fn open_adapter(found: &Found, _opened: &mut Opened) -> Result<OpenDevice, Problem> {
    match *found {}
}
