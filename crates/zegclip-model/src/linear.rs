//! Linear layers through this project's kernels.

use burn::nn::Linear;
use burn::tensor::Tensor;
use zegclip_kernels::{Activation, linear, linear_add};

/// A linear layer and its activation through this project's kernels, in the type of its weight: matrices may be kept in a
/// smaller type than the tokens between the blocks.
pub(crate) fn apply_linear<const D: usize>(layer: &Linear, x: Tensor<D>, activation: Activation) -> Tensor<D> {
    let weight = layer.weight.val();
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    linear(x.cast(weight.dtype()), weight, bias, activation)
}

/// `residual + layer(x)` in the type of the residual.
pub(crate) fn add_linear<const D: usize>(residual: Tensor<D>, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let (weight, dtype) = (layer.weight.val(), residual.dtype());
    if weight.dtype() == dtype && x.dtype() == dtype {
        linear_add(x, weight, layer.bias.as_ref().map(|bias| bias.val()), residual)
    } else {
        residual + apply_linear(layer, x, Activation::None).cast(dtype)
    }
}
