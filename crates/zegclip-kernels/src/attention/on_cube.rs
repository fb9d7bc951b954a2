//! Attention on GPUs, of burn-cubecl's tensors.

use burn::backend::Cube;
use burn::backend::ops::FloatTensorOps;
use burn_cubecl::tensor::CubeTensor;

use super::AttentionMask;
use super::composed;
use super::cube::{self, Inputs};
use super::kernel::{AttentionGradients, AttentionKernel, merge, split, unmerge};

type Extra = Option<(CubeTensor, CubeTensor)>;

impl AttentionKernel for Cube {
    fn split_heads(qkv: CubeTensor, heads: usize) -> [CubeTensor; 3] {
        cube::qkv_views(&qkv, heads).unwrap_or_else(|| split::<Self>(qkv, heads))
    }

    fn attention_forward(
        query: CubeTensor,
        key: CubeTensor,
        value: CubeTensor,
        extra: Extra,
        mask: AttentionMask,
    ) -> (CubeTensor, CubeTensor) {
        if !cube::supports(&query, &value) {
            return composed::forward::<Self>(query, key, value, extra, mask);
        }
        cube::attention(&Inputs::new(query, key, value, extra, mask))
    }

    fn attention_gradients(
        query: CubeTensor,
        key: CubeTensor,
        value: CubeTensor,
        extra: Extra,
        mask: AttentionMask,
        output: CubeTensor,
        log_sum: CubeTensor,
        gradient: CubeTensor,
    ) -> AttentionGradients<Self> {
        if !cube::supports_gradients(&query, &value) {
            return composed::gradients::<Self>(query, key, value, extra, mask, output, log_sum, gradient);
        }
        let inputs = Inputs::new(query, key, value, extra, mask);
        let ([query, key, value], extra) = cube::attention_gradients(&inputs, output, log_sum, gradient, None);
        AttentionGradients {
            query,
            key,
            value,
            extra,
        }
    }

    fn self_attention_gradients(
        qkv: CubeTensor,
        heads: usize,
        extra: Extra,
        mask: AttentionMask,
        output: CubeTensor,
        log_sum: CubeTensor,
        gradient: CubeTensor,
    ) -> (CubeTensor, Extra) {
        let [query, key, value] = Self::split_heads(qkv.clone(), heads);
        let (output, gradient) = (unmerge::<Self>(output, heads), unmerge::<Self>(gradient, heads));
        // Gradients are written in place if the device can bind parts of a buffer.
        let result = cube::like(&qkv);
        if cube::supports_gradients(&query, &value)
            && let Some(targets) = cube::qkv_views(&result, heads)
        {
            let inputs = Inputs::new(query, key, value, extra, mask);
            let (_, extra) = cube::attention_gradients(&inputs, output, log_sum, gradient, Some(targets));
            return (result, extra);
        }
        let gradients = Self::attention_gradients(query, key, value, extra, mask, output, log_sum, gradient);
        let parts = [gradients.query, gradients.key, gradients.value].map(merge::<Self>);
        (Self::float_cat(parts.into(), 2), gradients.extra)
    }
}
