//! Muon (Jordan et al. 2024): updates by orthogonalized momentum, so that all directions of a weight matrix are learned at the
//! same rate. Scaled as in Liu et al. 2025 (arXiv 2502.16982), so that learning rate and decay of AdamW apply.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use zegclip_kernels::{Activation, linear, linear_add};

use crate::adamw::recorded;

/// Decay of the momentum.
const MOMENTUM: f64 = 0.95;
/// Root mean square of an update, about that of AdamW.
const UPDATE: f64 = 0.2;
/// Newton–Schulz iterations and their quintic, which maps singular values in `[1e-3, 1]` to about `[0.7, 1.2]`.
const ITERATIONS: usize = 5;
const QUINTIC: [f64; 3] = [3.4445, -4.775, 2.0315];

/// Key of the state in a record.
const VELOCITY: &str = "momentum";

/// Updates one matrix, or several side by side, along the orthogonal matrix nearest to its momentum.
///
/// Unlike burn-optim's Muon, it treats a fused projection as several matrices and uses this workspace's matrix products.
#[derive(Debug, Clone, PartialEq)]
pub struct Muon {
    /// Number of matrices side by side in one parameter, at least 1.
    pub matrices: usize,
    /// Decoupled weight decay, which is multiplied by the learning rate.
    pub weight_decay: f64,
}

/// Optimizer state of one parameter.
#[derive(Debug, Clone)]
pub struct MuonState<const D: usize> {
    /// Exponential mean of the gradient, of the parameter's shape.
    pub momentum: Tensor<D>,
}

impl Optimizer for Muon {
    type State<const D: usize> = MuonState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = tensor.dims();
        let momentum = state.map_or_else(|| grad.zeros_like(), |state| state.momentum);
        let momentum = momentum.clone() + (grad.clone() - momentum) * (1.0 - MOMENTUM);
        // Nesterov momentum.
        let ahead = grad.clone() + (momentum.clone() - grad) * MOMENTUM;
        let rows = shape[0];
        let columns = shape.iter().skip(1).product();
        let direction = direction(ahead.reshape([rows, columns]), self.matrices).reshape(shape);
        let value = tensor * (1.0 - rate * self.weight_decay) - direction * rate;
        (value, Some(MuonState { momentum }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        MuonState {
            momentum: state.momentum.to_device(device),
        }
    }
}

impl<const D: usize> RecordState for MuonState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(prefix, VELOCITY, self.momentum.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _device: &Device) -> Option<Self> {
        let momentum = recorded(source.take_tensor(prefix, VELOCITY)?)?;
        Some(Self { momentum })
    }
}

/// The update before the learning rate.
///
/// # Shapes
/// - `momentum`: `[rows, columns]`, of `matrices` matrices side by side
/// - output: the same; its root mean square is 0.2 if the matrices have full rank
fn direction(momentum: Tensor<2>, matrices: usize) -> Tensor<2> {
    let [rows, columns] = momentum.dims();
    let width = columns / matrices.max(1);
    let scale = UPDATE * (rows.max(width) as f64).sqrt();
    let parts = momentum
        .split(width, 1)
        .into_iter()
        .map(|part| orthogonal(part) * scale);
    Tensor::cat(parts.collect(), 1)
}

/// Approximately the nearest matrix with orthonormal rows or columns.
fn orthogonal(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    // The Gram matrix is smaller on the short side.
    let tall = rows > columns;
    let mut wide = if tall { matrix.transpose() } else { matrix };
    let norm = wide.clone().powi_scalar(2).sum().sqrt() + 1e-7;
    wide = wide / norm.unsqueeze::<2>();
    let [a, b, c] = QUINTIC;
    for _ in 0..ITERATIONS {
        let gram = linear(wide.clone(), wide.clone().transpose(), None, Activation::None);
        let powers = linear_add(gram.clone() * c, gram.clone(), None, gram * b);
        wide = linear_add(powers, wide.clone(), None, wide * a);
    }
    if tall { wide.transpose() } else { wide }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tensor};

    use super::*;

    fn values(tensor: Tensor<2>) -> Vec<f64> {
        tensor.into_data().iter::<f64>().collect()
    }

    #[test]
    fn directions_are_nearly_orthogonal_at_any_scale() {
        let device = Device::flex();
        device.seed(3);
        for (rows, columns, matrices) in [(8, 32, 1), (32, 8, 1), (16, 48, 3)] {
            let random = Tensor::<2>::random([rows, columns], Distribution::Normal(0.0, 1e-4), &device);
            let width = columns / matrices;
            let scale = 0.2 * (rows.max(width) as f64).sqrt();
            for part in direction(random, matrices).split(width, 1) {
                let part = if rows > width { part.transpose() } else { part } / scale;
                let short = part.dims()[0];
                let gram = values(part.clone().matmul(part.transpose()));
                for (index, value) in gram.into_iter().enumerate() {
                    let expected = f64::from(u8::from(index / short == index % short));
                    // The quintic is inexact: squares of singular values are in 0.45 to 1.5.
                    assert!((value - expected).abs() < 0.55, "{rows}x{columns}: {value} at {index}");
                }
            }
        }
    }

    #[test]
    fn a_direction_points_with_the_momentum() {
        let device = Device::flex();
        let momentum = Tensor::<2>::from_data([[3.0, 0.0], [0.0, -0.5]], &device);
        let [a, b, c, d] = values(direction(momentum, 1))[..] else {
            panic!("four values")
        };
        assert!(
            a > 0.15 && d < -0.15 && b.abs() < 1e-6 && c.abs() < 1e-6,
            "{a} {b} {c} {d}"
        );
    }

    #[test]
    fn zero_momentum_gives_no_update() {
        let zero = Tensor::<2>::zeros([4, 6], &Device::flex());
        assert!(values(direction(zero, 1)).into_iter().all(|value| value == 0.0));
    }
}
