//! Attention on GPUs in blocks: scores are in shared memory and registers, never an array `[batch, heads, queries, keys]`.
//!
//! A cube of 8 × 8 units holds [`BLOCK`](tiles::BLOCK) resident tokens of one head, four per unit, and streams all other tokens
//! tile by tile, in vectors of four floats. The backward pass computes the weights again from the log-sum-exp: first the
//! gradients of the queries, streaming keys, then those of keys and values, streaming queries. No two cubes add to one number,
//! so that every run has the same result.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the code that `#[cube]` generates"
)]

mod backward;
mod forward;
mod tiles;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, DType};
use burn::tensor::Shape;
use burn_cubecl::cubecl::zspace::{Strides, metadata::Metadata};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

pub(crate) use backward::{attention_gradients, supports_gradients};
pub(crate) use forward::{attention, supports};

use super::AttentionMask;
use crate::cube::empty;
use crate::dropout::DropoutMask;
use crate::dropout::cube::launch_arg;
use tiles::{KernelConfig, OperandsLaunch, ProblemLaunch, TokensLaunch, padded_row};

/// Inputs of attention, whose last dimension is contiguous.
pub(crate) struct Inputs {
    query: CubeTensor,
    key: CubeTensor,
    value: CubeTensor,
    extra: Option<(CubeTensor, CubeTensor)>,
    mask: AttentionMask,
}

impl Inputs {
    pub(crate) fn new(
        query: CubeTensor,
        key: CubeTensor,
        value: CubeTensor,
        extra: Option<(CubeTensor, CubeTensor)>,
        mask: AttentionMask,
    ) -> Self {
        Self {
            query: dense(query),
            key: dense(key),
            value: dense(value),
            extra: extra.map(|(key, value)| (dense(key), dense(value))),
            mask,
        }
    }

    fn extra_keys(&self) -> usize {
        self.extra.as_ref().map_or(0, |(key, _)| key.meta.shape()[2])
    }

    fn operands(&self) -> OperandsLaunch {
        let batch = self.query.meta.shape()[0];
        let own = (&self.key, &self.value);
        let (extra_key, extra_value) = self.extra.as_ref().map_or(own, |(key, value)| (key, value));
        OperandsLaunch::new(
            tokens(&self.query, batch),
            tokens(&self.key, batch),
            tokens(&self.value, batch),
            tokens(extra_key, batch),
            tokens(extra_value, batch),
        )
    }

    fn config(&self) -> KernelConfig {
        KernelConfig {
            dim: self.query.meta.shape()[3],
            value_dim: self.value.meta.shape()[3],
            causal: self.mask.causal,
            dropout: self.mask.dropout.is_some(),
            has_extra: self.extra.is_some(),
        }
    }

    fn problem(&self) -> ProblemLaunch {
        let [_, heads, queries, dim] = self.query.meta.shape().dims::<4>();
        let own_keys = self.key.meta.shape()[2];
        let keys = own_keys + self.extra_keys();
        // Not read without dropout, but an argument of every kernel.
        let dropout = launch_arg(self.mask.dropout.unwrap_or_else(|| DropoutMask::new([0; 2], 0.0)));
        ProblemLaunch::new(heads, queries, own_keys, keys, (dim as f32).powf(-0.5), dropout)
    }
}

/// Vectors of four floats of a query and of a value in shared memory.
fn padded_vectors(query: &CubeTensor, value: &CubeTensor) -> [usize; 2] {
    [query, value].map(|tensor| padded_row(tensor.meta.shape()[3].div_ceil(4)))
}

/// Whether the device has `memory` bytes of shared memory and `buffers` bindings.
fn fits(tensor: &CubeTensor, memory: usize, buffers: u32) -> bool {
    let hardware = &tensor.client.properties().hardware;
    tensor.dtype == DType::F32 && memory <= hardware.max_shared_memory_size && buffers <= hardware.max_bindings
}

/// A tensor whose last dimension is contiguous.
fn dense(tensor: CubeTensor) -> CubeTensor {
    if tensor.meta.strides()[3] == 1 || tensor.meta.shape()[3] == 1 {
        tensor
    } else {
        into_contiguous(tensor)
    }
}

/// A tensor as an argument; a batch of one is shared by all images.
fn tokens(tensor: &CubeTensor, batch: usize) -> TokensLaunch {
    let strides = tensor.meta.strides();
    let image = if tensor.meta.shape()[0] < batch { 0 } else { strides[0] };
    // The complete buffer, since a view may extend beyond its number of elements.
    let floats = tensor.handle.size_in_used() as usize / size_of::<f32>();
    let buffer = CubeTensor::new_contiguous(
        tensor.client.clone(),
        tensor.device.clone(),
        Shape::new([floats]),
        tensor.handle.clone(),
        tensor.dtype,
    );
    TokensLaunch::new(buffer.into_buffer_arg(), image, strides[1], strides[2])
}

/// An uninitialized tensor `[batch, heads, tokens, dim]`, heads of a token together in memory.
fn tokens_first(like: &CubeTensor, [batch, heads, tokens, dim]: [usize; 4]) -> CubeTensor {
    Cube::float_swap_dims(empty(like, [batch, tokens, heads, dim], DType::F32), 1, 2)
}

/// An uninitialized contiguous tensor of the same shape.
pub(crate) fn like(tensor: &CubeTensor) -> CubeTensor {
    empty(tensor, tensor.meta.shape().clone(), tensor.dtype)
}

/// Queries, keys and values as views of one tensor `[batch, tokens, 3 · heads · dim]`; `None` if the device cannot bind a buffer
/// at the offsets of keys and values.
pub(crate) fn qkv_views(qkv: &CubeTensor, heads: usize) -> Option<[CubeTensor; 3]> {
    let [batch, tokens, width] = qkv.meta.shape().dims::<3>();
    let qkv_width = width / 3;
    let bytes = (qkv_width * qkv.dtype.size()) as u64;
    if !qkv.is_contiguous() || !bytes.is_multiple_of(qkv.client.properties().memory.alignment) {
        return None;
    }
    let dim = qkv_width / heads;
    let shape = Shape::new([batch, heads, tokens, dim]);
    Some([0, 1, 2].map(|index| {
        let strides = Strides::new(&[tokens * width, dim, width, 1]);
        let handle = qkv.handle.clone().offset_start(index * bytes);
        let meta = Metadata::new(shape.clone(), strides);
        CubeTensor::new(qkv.client.clone(), handle, meta, qkv.device.clone(), qkv.dtype)
    }))
}
