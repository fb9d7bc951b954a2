//! The gradients of layer norm composed from burn's operators: half precision, f64 and the reference device.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::LayerNormGradients;

/// [`LayerNormKernel::norm_gradients`](super::LayerNormKernel::norm_gradients)
pub(super) fn gradients<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    epsilon: f64,
    gradient: FloatTensor<B>,
    parameters: bool,
) -> LayerNormGradients<B> {
    let shape = x.shape();
    let last = shape.num_dims() - 1;
    let width = shape[last];
    let mean = B::float_mean_dim(x.clone(), last);
    let centered = B::float_sub(x, mean);
    let variance = B::float_mean_dim(B::float_mul(centered.clone(), centered.clone()), last);
    let scale = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())));
    let normalized = B::float_mul(centered, scale.clone());
    let parameters = parameters.then(|| {
        let rows = shape.num_elements() / width;
        let sum = |values: FloatTensor<B>| {
            let values = B::float_reshape(values, Shape::new([rows, width]));
            B::float_reshape(B::float_sum_dim(values, 0), Shape::new([width]))
        };
        [
            sum(B::float_mul(gradient.clone(), normalized.clone())),
            sum(gradient.clone()),
        ]
    });
    let mut along_last = vec![1; last];
    along_last.push(width);
    let weighted = B::float_mul(gradient, B::float_reshape(gamma, Shape::from(along_last)));
    let mean = B::float_mean_dim(weighted.clone(), last);
    let along = B::float_mean_dim(B::float_mul(weighted.clone(), normalized.clone()), last);
    let rest = B::float_sub(B::float_sub(weighted, mean), B::float_mul(normalized, along));
    LayerNormGradients {
        x: B::float_mul(rest, scale),
        parameters,
    }
}
