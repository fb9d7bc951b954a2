//! Softmax attention whose queries may also attend to extra keys and values.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

mod autodiff;
mod composed;
mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod kernel;
mod mask;
#[cfg(feature = "cube")]
mod on_cube;
mod on_flex;

pub use kernel::{AttentionGradients, AttentionKernel};
pub use mask::AttentionMask;

use crate::dropout::next_mask;
use crate::optional::OptionalPair;

/// `softmax(query · keyᵀ / sqrt(head_dim)) · value`, with the extra keys and values after the own ones; f32 arithmetic for f32
/// tensors on every device. Differentiable in every tensor.
///
/// With `causal`, which needs `keys ≥ queries`, query `i` attends to the own keys up to `i + keys − queries`, and to all extra ones.
///
/// # Shapes
/// - `query`: `[batch, heads, queries, head_dim]`
/// - `key`: `[batch, heads, keys, head_dim]`
/// - `value`: `[batch, heads, keys, value_dim]`
/// - `extra`: keys `[batch or 1, heads, extra, head_dim]` and values `[batch or 1, heads, extra, value_dim]`
/// - output: `[batch, heads, queries, value_dim]`; on the CPU the heads of a token are contiguous, so that swapping the axes
///   back and merging the heads copies nothing
///
/// # Panics
/// If the shapes do not fit together.
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    extra: Option<(Tensor<4>, Tensor<4>)>,
    causal: bool,
) -> Tensor<4> {
    attend(query, key, value, extra, AttentionMask { causal, dropout: None })
}

/// [`attention()`] whose weights are dropped at random with `probability`, as [`dropout()`](crate::dropout()) drops values,
/// before they multiply values; the matrix of weights is never stored.
///
/// # Shapes
/// As for [`attention()`].
///
/// # Panics
/// If the shapes do not fit together, or `probability` is not in `[0, 1)`.
pub fn attention_with_dropout(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, probability: f64) -> Tensor<4> {
    let mask = AttentionMask {
        causal: false,
        dropout: Some(next_mask(probability)),
    };
    attend(query, key, value, None, mask)
}

fn attend(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    extra: Option<(Tensor<4>, Tensor<4>)>,
    mask: AttentionMask,
) -> Tensor<4> {
    let extra_dims = extra.as_ref().map(|(key, value)| [key.dims(), value.dims()]);
    check_shapes(query.dims(), key.dims(), value.dims(), extra_dims, mask.causal);
    let (query, key, value) = (query.into_dispatch(), key.into_dispatch(), value.into_dispatch());
    let extra = optional_pair(extra);
    Tensor::from_dispatch(<Dispatch as AttentionOperator>::attend(query, key, value, extra, mask))
}

/// [`attention()`] of tokens to themselves, from one tensor of queries, keys and values, without copies between
/// the projection and attention, or between their gradients.
///
/// # Shapes
/// - `qkv`: queries, keys and values of each token, `[batch, tokens, 3 · heads · head_dim]`
/// - `extra`: as for [`attention()`]
/// - output: heads merged, `[batch, tokens, heads · head_dim]`
///
/// # Panics
/// If the shapes do not fit together.
pub fn self_attention(qkv: Tensor<3>, heads: usize, extra: Option<(Tensor<4>, Tensor<4>)>, causal: bool) -> Tensor<3> {
    let [batch, tokens, width] = qkv.dims();
    assert!(
        heads > 0 && width.is_multiple_of(3 * heads),
        "queries, keys and values of {heads} heads do not divide {width}"
    );
    let own = [batch, heads, tokens, width / 3 / heads];
    let extra_dims = extra.as_ref().map(|(key, value)| [key.dims(), value.dims()]);
    check_shapes(own, own, own, extra_dims, causal);
    let extra = optional_pair(extra);
    let qkv = qkv.into_dispatch();
    let mask = AttentionMask { causal, dropout: None };
    Tensor::from_dispatch(<Dispatch as AttentionOperator>::attend_to_self(qkv, extra, heads, mask))
}

fn optional_pair(extra: Option<(Tensor<4>, Tensor<4>)>) -> OptionalPair<Dispatch> {
    match extra {
        // No extra tokens are the same as no extra, so that kernels need not treat empty matrices.
        Some((key, value)) if key.dims()[2] > 0 => OptionalPair::Present(key.into_dispatch(), value.into_dispatch()),
        _ => OptionalPair::Absent,
    }
}

fn check_shapes(query: [usize; 4], key: [usize; 4], value: [usize; 4], extra: Option<[[usize; 4]; 2]>, causal: bool) {
    let [batch, heads, queries, head_dim] = query;
    let keys = key[2];
    assert_eq!(key, [batch, heads, keys, head_dim], "keys for queries {query:?}");
    assert_eq!(value[..3], key[..3], "a value for each key");
    assert!(
        keys > 0 && queries > 0 && head_dim > 0,
        "empty attention: {query:?} to {key:?}"
    );
    assert!(
        !causal || keys >= queries,
        "causal attention of {queries} queries to {keys} keys"
    );
    if let Some([key, extra_value]) = extra {
        let extra = key[2];
        assert!(
            key[0] == batch || key[0] == 1,
            "{} images of extra keys for {batch}",
            key[0]
        );
        assert_eq!(
            key,
            [key[0], heads, extra, head_dim],
            "extra keys for queries {query:?}"
        );
        assert_eq!(
            extra_value,
            [key[0], heads, extra, value[3]],
            "extra values for values {value:?}"
        );
    }
}

/// [`attention()`] and [`self_attention()`] by backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait AttentionOperator: Backend {
    /// [`attention()`]
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        #[extension_type] extra: OptionalPair<Self>,
        mask: AttentionMask,
    ) -> FloatTensor<Self>;

    /// [`self_attention()`]
    fn attend_to_self(
        qkv: FloatTensor<Self>,
        #[extension_type] extra: OptionalPair<Self>,
        heads: usize,
        mask: AttentionMask,
    ) -> FloatTensor<Self>;
}

/// Without autodiff.
impl<B: AttentionKernel> AttentionOperator for B {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        extra: OptionalPair<Self>,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        Self::attention_output(query, key, value, extra.into_option(), mask)
    }

    fn attend_to_self(
        qkv: FloatTensor<Self>,
        extra: OptionalPair<Self>,
        heads: usize,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        let [query, key, value] = Self::split_heads(qkv, heads);
        let output = Self::attention_output(query, key, value, extra.into_option(), mask);
        kernel::merge::<Self>(output)
    }
}
