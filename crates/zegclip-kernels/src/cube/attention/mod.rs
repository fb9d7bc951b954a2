//! Attention in blocks: scores live in a cube's own memory and its registers, never as `[batch, heads, queries, keys]`.
//!
//! A cube of 8 × 8 units takes [`BLOCK`](tiles::BLOCK) tokens of one head past all others, tile by tile; each unit has four of
//! its tokens. Vectors of four floats are what units read at once. Gradients compute the weights again from the logarithm of
//! their sum, first those of the queries, past all keys, then those of keys and values, past all queries: nothing is added up by
//! several cubes, so that results are the same in every run.

mod backward;
mod forward;
mod tiles;

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, DType};
use burn::tensor::Shape;
use burn_cubecl::cubecl::zspace::{Strides, metadata::Metadata};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

pub(crate) use backward::{attention_gradients, takes_gradients};
pub(crate) use forward::{attention, takes};

use super::dropout::launched;
use super::empty;
use crate::cpu::{AttentionMask, Lots};
use tiles::{ExtentLaunch, Form, OperandsLaunch, TokensLaunch, row};

/// The inputs of attention, dimensions of a token one behind the other in memory.
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

    fn form(&self) -> Form {
        Form {
            dim: self.query.meta.shape()[3],
            value_dim: self.value.meta.shape()[3],
            causal: self.mask.causal,
            dropout: self.mask.dropout.is_some(),
            has_extra: self.extra.is_some(),
        }
    }

    fn extent(&self) -> ExtentLaunch {
        let [_, heads, queries, dim] = self.query.meta.shape().dims::<4>();
        let own_keys = self.key.meta.shape()[2];
        let keys = own_keys + self.extra_keys();
        // Not read where nothing is dropped, but kernels have to be given something.
        let lots = launched(self.mask.dropout.unwrap_or_else(|| Lots::new([0; 2], 0.0)));
        ExtentLaunch::new(heads, queries, own_keys, keys, (dim as f32).powf(-0.5), lots)
    }
}

/// Vectors of four floats that a token of queries and one of values take in a cube's memory.
fn padded_vectors(query: &CubeTensor, value: &CubeTensor) -> [usize; 2] {
    [query, value].map(|tensor| row(tensor.meta.shape()[3].div_ceil(4)))
}

/// Whether the device has so many bytes of memory for a cube, and buffers for a kernel.
fn fits(tensor: &CubeTensor, memory: usize, buffers: u32) -> bool {
    let hardware = &tensor.client.properties().hardware;
    tensor.dtype == DType::F32 && memory <= hardware.max_shared_memory_size && buffers <= hardware.max_bindings
}

/// A tensor whose last dimension lies together in memory.
fn dense(tensor: CubeTensor) -> CubeTensor {
    if tensor.meta.strides()[3] == 1 || tensor.meta.shape()[3] == 1 {
        tensor
    } else {
        into_contiguous(tensor)
    }
}

/// A tensor for a kernel; all images of a batch share the only one if there is but one.
fn tokens(tensor: &CubeTensor, batch: usize) -> TokensLaunch {
    let strides = tensor.meta.strides();
    let image = if tensor.meta.shape()[0] < batch { 0 } else { strides[0] };
    // All that the buffer holds: a view reaches further than it has elements.
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

/// An uninitialised tensor `[batch, heads, tokens, dim]`, heads of a token together in memory.
fn tokens_first(like: &CubeTensor, [batch, heads, tokens, dim]: [usize; 4]) -> CubeTensor {
    Cube::float_swap_dims(empty(like, [batch, tokens, heads, dim], DType::F32), 1, 2)
}

/// An uninitialised tensor of the same shape, in order.
pub(crate) fn like(tensor: &CubeTensor) -> CubeTensor {
    empty(tensor, tensor.meta.shape().clone(), tensor.dtype)
}

/// Queries, keys and values as views of one tensor `[batch, tokens, 3 · heads · dim]`, unless the device cannot bind a buffer
/// where keys and values begin.
pub(crate) fn parts(qkv: &CubeTensor, heads: usize) -> Option<[CubeTensor; 3]> {
    let [batch, tokens, width] = qkv.meta.shape().dims::<3>();
    let part = width / 3;
    let bytes = (part * qkv.dtype.size()) as u64;
    if !qkv.is_contiguous() || !bytes.is_multiple_of(qkv.client.properties().memory.alignment) {
        return None;
    }
    let dim = part / heads;
    let shape = Shape::new([batch, heads, tokens, dim]);
    Some([0, 1, 2].map(|index| {
        let strides = Strides::new(&[tokens * width, dim, width, 1]);
        let handle = qkv.handle.clone().offset_start(index * bytes);
        let meta = Metadata::new(shape.clone(), strides);
        CubeTensor::new(qkv.client.clone(), handle, meta, qkv.device.clone(), qkv.dtype)
    }))
}
