//! Attention composed from burn's operators: the reference device, types other than f32, and very wide heads.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use super::AttentionMask;
use super::kernel::AttentionGradients;
use crate::dropout::DropoutKernel;

/// Added to the score of a hidden key; finite in f16.
const HIDDEN: f32 = -3e4;

pub(super) fn forward<B: DropoutKernel>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    extra: Option<(FloatTensor<B>, FloatTensor<B>)>,
    mask: AttentionMask,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let [batch, heads, queries, _] = query.shape().dims::<4>();
    let own_keys = key.shape()[2];
    let (key, value) = with_extra::<B>(key, value, extra, batch);
    let scores = scores::<B>(query, key, own_keys, mask.causal);
    let maximum = B::float_max_dim(scores.clone(), 3);
    let exponentials = B::float_exp(B::float_sub(scores, maximum.clone()));
    let total = B::float_sum_dim(exponentials.clone(), 3);
    let weights = B::float_div(exponentials, total.clone());
    let output = B::float_matmul(dropped::<B>(weights, mask), value);
    let log_sum = B::float_add(B::float_log(total), maximum);
    (output, B::float_reshape(log_sum, Shape::new([batch, heads, queries])))
}

#[allow(clippy::too_many_arguments)] // inputs, results and the gradient of the result: all are needed
pub(super) fn gradients<B: DropoutKernel>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    extra: Option<(FloatTensor<B>, FloatTensor<B>)>,
    mask: AttentionMask,
    output: FloatTensor<B>,
    log_sum: FloatTensor<B>,
    gradient: FloatTensor<B>,
) -> AttentionGradients<B> {
    let [batch, heads, queries, head_dim] = query.shape().dims::<4>();
    let own_keys = key.shape()[2];
    let extra_batch = extra.as_ref().map(|(key, _)| key.shape()[0]);
    let (key, value) = with_extra::<B>(key, value, extra, batch);
    let scores = scores::<B>(query.clone(), key.clone(), own_keys, mask.causal);
    let log_sum = B::float_reshape(log_sum, Shape::new([batch, heads, queries, 1]));
    let weights = B::float_exp(B::float_sub(scores, log_sum));
    let kept = dropped::<B>(weights.clone(), mask);
    let value_gradient = B::float_matmul(B::float_swap_dims(kept, 2, 3), gradient.clone());
    let product = B::float_sum_dim(B::float_mul(output, gradient.clone()), 3);
    let weight_gradient = dropped::<B>(B::float_matmul(gradient, B::float_swap_dims(value, 2, 3)), mask);
    let score_gradient = B::float_mul(weights, B::float_sub(weight_gradient, product));
    let score_gradient = B::float_mul_scalar(score_gradient, scale(head_dim).into());
    let query_gradient = B::float_matmul(score_gradient.clone(), key);
    let key_gradient = B::float_matmul(B::float_swap_dims(score_gradient, 2, 3), query);
    let (key, extra_key) = without_extra::<B>(key_gradient, own_keys, extra_batch);
    let (value, extra_value) = without_extra::<B>(value_gradient, own_keys, extra_batch);
    AttentionGradients {
        query: query_gradient,
        key,
        value,
        extra: extra_key.zip(extra_value),
    }
}

/// Weights, or their gradients, after dropout.
fn dropped<B: DropoutKernel>(weights: FloatTensor<B>, mask: AttentionMask) -> FloatTensor<B> {
    match mask.dropout {
        Some(lots) => B::masked(weights, lots),
        None => weights,
    }
}

fn scale(head_dim: usize) -> f64 {
    (head_dim as f64).powf(-0.5)
}

/// Scaled scores `[batch, heads, queries, keys]`, with those of hidden keys far below all others.
fn scores<B: Backend>(query: FloatTensor<B>, key: FloatTensor<B>, own_keys: usize, causal: bool) -> FloatTensor<B> {
    let [_, _, queries, head_dim] = query.shape().dims::<4>();
    let keys = key.shape()[2];
    let (device, dtype) = (query.device(), query.dtype());
    let query = B::float_mul_scalar(query, scale(head_dim).into());
    let scores = B::float_matmul(query, B::float_swap_dims(key, 2, 3));
    if !causal {
        return scores;
    }
    let mut bias = vec![0.0f32; queries * keys];
    for (query, row) in bias.chunks_exact_mut(keys).enumerate() {
        row[query + 1 + own_keys - queries..own_keys].fill(HIDDEN);
    }
    let bias = TensorData::new(bias, [1, 1, queries, keys]).convert_dtype(dtype);
    B::float_add(scores, B::float_from_data(bias, &device))
}

/// Own keys and values followed by the extra ones.
fn with_extra<B: Backend>(
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    extra: Option<(FloatTensor<B>, FloatTensor<B>)>,
    batch: usize,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let Some((extra_key, extra_value)) = extra else {
        return (key, value);
    };
    let append = |own: FloatTensor<B>, extra: FloatTensor<B>| {
        let [_, heads, tokens, dim] = extra.shape().dims::<4>();
        let extra = B::float_expand(extra, Shape::new([batch, heads, tokens, dim]));
        B::float_cat(vec![own, extra], 2)
    };
    (append(key, extra_key), append(value, extra_value))
}

/// Gradients of own and extra tokens, the latter summed over the batch if the batch shares them.
fn without_extra<B: Backend>(
    gradient: FloatTensor<B>,
    own: usize,
    extra_batch: Option<usize>,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let Some(extra_batch) = extra_batch else {
        return (gradient, None);
    };
    let [batch, heads, tokens, dim] = gradient.shape().dims::<4>();
    let part = |from: usize, to: usize| {
        let slices = [(0..batch).into(), (0..heads).into(), (from..to).into(), (0..dim).into()];
        B::float_slice(gradient.clone(), &slices)
    };
    let extra = part(own, tokens);
    let extra = if extra_batch < batch {
        B::float_sum_dim(extra, 0)
    } else {
        extra
    };
    (part(0, own), Some(extra))
}
