//! Attention and its gradients on a backend without autodiff.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::AttentionMask;
use super::composed;
use crate::dropout::DropoutKernel;

/// Keys and values of extra tokens.
type Extra<B> = Option<(FloatTensor<B>, FloatTensor<B>)>;

/// Gradients of attention, shaped like its inputs.
#[derive(Debug)]
pub struct AttentionGradients<B: Backend> {
    /// `[batch, heads, queries, head_dim]`
    pub query: FloatTensor<B>,
    /// `[batch, heads, keys, head_dim]`
    pub key: FloatTensor<B>,
    /// `[batch, heads, keys, value_dim]`
    pub value: FloatTensor<B>,
    /// Of the extra keys and values, if there are any.
    pub extra: Extra<B>,
}

/// Attention and its gradients on a backend without autodiff. The defaults compose burn's operators.
pub trait AttentionKernel: DropoutKernel {
    /// Queries, keys and values, each `[batch, heads, tokens, head_dim]`, of `[batch, tokens, 3 · heads · head_dim]`.
    fn split_heads(qkv: FloatTensor<Self>, heads: usize) -> [FloatTensor<Self>; 3] {
        split::<Self>(qkv, heads)
    }

    /// Result of attention: `[batch, heads, queries, value_dim]`.
    fn attention_output(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        extra: Extra<Self>,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        Self::attention_forward(query, key, value, extra, mask).0
    }

    /// Result of attention, and the log-sum-exp of each query's scores: `[batch, heads, queries]`.
    fn attention_forward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        extra: Extra<Self>,
        mask: AttentionMask,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::forward::<Self>(query, key, value, extra, mask)
    }

    /// Gradients from the results of [`Self::attention_forward`]; the weights are computed again.
    #[allow(clippy::too_many_arguments)] // inputs, results and the gradient of the result: all are needed
    fn attention_gradients(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        extra: Extra<Self>,
        mask: AttentionMask,
        output: FloatTensor<Self>,
        log_sum: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> AttentionGradients<Self> {
        composed::gradients::<Self>(query, key, value, extra, mask, output, log_sum, gradient)
    }

    /// The same for queries, keys and values in one tensor `[batch, tokens, 3 · heads · head_dim]`, from the result with
    /// merged heads and its gradient: the gradient of that tensor and those of the extra keys and values.
    #[allow(clippy::too_many_arguments)] // as above
    fn self_attention_gradients(
        qkv: FloatTensor<Self>,
        heads: usize,
        extra: Extra<Self>,
        mask: AttentionMask,
        output: FloatTensor<Self>,
        log_sum: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, Extra<Self>) {
        let [query, key, value] = Self::split_heads(qkv, heads);
        let (output, gradient) = (unmerge::<Self>(output, heads), unmerge::<Self>(gradient, heads));
        let gradients = Self::attention_gradients(query, key, value, extra, mask, output, log_sum, gradient);
        let parts = [gradients.query, gradients.key, gradients.value].map(merge::<Self>);
        (Self::float_cat(parts.into(), 2), gradients.extra)
    }
}

pub(super) fn split<B: Backend>(qkv: FloatTensor<B>, heads: usize) -> [FloatTensor<B>; 3] {
    let [batch, tokens, width] = qkv.shape().dims::<3>();
    let qkv = B::float_reshape(qkv, Shape::new([batch, tokens, 3, heads, width / 3 / heads]));
    let qkv = B::float_permute(qkv, &[2, 0, 3, 1, 4]);
    let shape = Shape::new([batch, heads, tokens, width / 3 / heads]);
    [0, 1, 2].map(|part| {
        let slices = [(part..part + 1).into()];
        let part = B::float_slice(qkv.clone(), &slices);
        B::float_reshape(part, shape.clone())
    })
}

/// `[batch, tokens, heads · dim]` of `[batch, heads, tokens, dim]`.
pub(super) fn merge<B: Backend>(heads: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, count, tokens, dim] = heads.shape().dims::<4>();
    let tokens_first = B::float_swap_dims(heads, 1, 2);
    B::float_reshape(tokens_first, Shape::new([batch, tokens, count * dim]))
}

/// `[batch, heads, tokens, dim]` of `[batch, tokens, heads · dim]`.
pub(super) fn unmerge<B: Backend>(merged: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [batch, tokens, width] = merged.shape().dims::<3>();
    let split = B::float_reshape(merged, Shape::new([batch, tokens, heads, width / heads]));
    B::float_swap_dims(split, 1, 2)
}
