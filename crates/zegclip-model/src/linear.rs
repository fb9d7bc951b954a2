//! Linear layers on the kernels of `zegclip-kernels`.

use burn::nn::Linear;
use burn::tensor::Tensor;
use zegclip_kernels::{Activation, linear, linear_add};

/// A linear layer and its activation, in the element type of its weight, which may be smaller than that of the tokens.
///
/// # Shapes
/// - `x`: `[…, input]`
/// - output: `[…, output]`
pub(crate) fn apply_linear<const D: usize>(layer: &Linear, x: Tensor<D>, activation: Activation) -> Tensor<D> {
    let weight = layer.weight.val();
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    linear(x.cast(weight.dtype()), weight, bias, activation)
}

/// `residual + layer(x)` in the element type of the residual.
pub(crate) fn add_linear<const D: usize>(residual: Tensor<D>, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
    let (weight, dtype) = (layer.weight.val(), residual.dtype());
    if weight.dtype() == dtype && x.dtype() == dtype {
        linear_add(x, weight, layer.bias.as_ref().map(|bias| bias.val()), residual)
    } else {
        residual + apply_linear(layer, x, Activation::None).cast(dtype)
    }
}
