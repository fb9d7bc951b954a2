//! Adapters as their drivers describe them.

use serde::Serialize;

use super::name::GraphicsApi;

/// An adapter as its driver describes it.
#[derive(Debug, Clone, Serialize)]
pub struct Adapter {
    /// Its [`DeviceName`](super::DeviceName).
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
