//! AdamW as PyTorch computes it (Loshchilov and Hutter 2019), as an optimizer of burn.
//!
//! Unlike burn-optim's AdamW, the bias correction is f64, and the update is one pass over memory.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor, TensorData};

/// Keys of the state in a record.
const STEP: &str = "step";
const FIRST: &str = "first_moment";
const SECOND: &str = "second_moment";

/// Updates one parameter: `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`,
/// `θ ← (1 − ηλ)θ − η · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)`.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamW {
    /// Decay of the two moments, β₁ and β₂, each in `[0, 1)`.
    pub betas: [f64; 2],
    /// Added to the denominator, ε, above 0.
    pub epsilon: f64,
    /// Decoupled weight decay, λ, which is multiplied by the learning rate η.
    pub weight_decay: f64,
}

/// Optimizer state of one parameter.
#[derive(Debug, Clone)]
pub struct AdamWState<const D: usize> {
    /// Updates so far, t.
    pub step: u64,
    /// Exponential mean of the gradient, m, of the parameter's shape.
    pub first: Tensor<D>,
    /// Exponential mean of the squared gradient, v, of the parameter's shape.
    pub second: Tensor<D>,
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let shape = tensor.dims();
        let step = state.as_ref().map_or(0, |state| state.step) + 1;
        let (first, second) = match state {
            Some(state) => (state.first, state.second),
            None => (grad.zeros_like(), grad.zeros_like()),
        };
        let coefficients = self.coefficients(rate, step);
        let state = [tensor, grad, first, second].map(|tensor| {
            let count = tensor.shape().num_elements();
            tensor.reshape([count])
        });
        let updated = match on_host::update(state, &coefficients) {
            Ok(updated) => updated,
            Err(state) => coefficients.composed(state),
        };
        let [value, first, second] = updated.map(|tensor| tensor.reshape(shape));
        (value, Some(AdamWState { step, first, second }))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        AdamWState {
            step: state.step,
            first: state.first.to_device(device),
            second: state.second.to_device(device),
        }
    }
}

impl AdamW {
    fn coefficients(&self, rate: f64, step: u64) -> AdamWCoefficients {
        let [beta1, beta2] = self.betas;
        let exponent = step.min(i32::MAX as u64) as i32;
        AdamWCoefficients {
            beta1,
            beta2,
            kept: 1.0 - rate * self.weight_decay,
            root_correction2: (1.0 - beta2.powi(exponent)).sqrt(),
            epsilon: self.epsilon,
            rate: rate / (1.0 - beta1.powi(exponent)),
        }
    }
}

impl<const D: usize> RecordState for AdamWState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, STEP, self.step.into());
        out.push_tensor(prefix, FIRST, self.first.to_data());
        out.push_tensor(prefix, SECOND, self.second.to_data());
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _device: &Device) -> Option<Self> {
        Some(Self {
            step: u64::try_from(source.take_scalar(prefix, STEP)?).ok()?,
            first: recorded(source.take_tensor(prefix, FIRST)?)?,
            second: recorded(source.take_tensor(prefix, SECOND)?)?,
        })
    }
}

/// A recorded tensor in host memory, since burn's default device may not exist; the next step moves it to its parameter's
/// device.
pub(crate) fn recorded<const D: usize>(data: TensorData) -> Option<Tensor<D>> {
    (data.rank() == D).then(|| Tensor::from_data(data, &Device::flex()))
}

/// Coefficients of one update.
struct AdamWCoefficients {
    beta1: f64,
    beta2: f64,
    /// `1 − ηλ`.
    kept: f64,
    /// `√(1 − β₂ᵗ)`.
    root_correction2: f64,
    epsilon: f64,
    /// `η / (1 − β₁ᵗ)`.
    rate: f64,
}

impl AdamWCoefficients {
    /// The update on any device: value, gradient and moments to value and moments.
    fn composed(&self, [value, gradient, first, second]: [Tensor<1>; 4]) -> [Tensor<1>; 3] {
        let first = first.clone() + (gradient.clone() - first) * (1.0 - self.beta1);
        let second = second * self.beta2 + gradient.powi_scalar(2) * (1.0 - self.beta2);
        let denominator = second.clone().sqrt() / self.root_correction2 + self.epsilon;
        let value = value * self.kept - first.clone() / denominator * self.rate;
        [value, first, second]
    }
}

/// The update on the CPU, in one pass over memory.
mod on_host {
    use burn::backend::Flex;
    use burn::tensor::{DType, Tensor, TensorData};
    use rayon::prelude::*;

    use super::AdamWCoefficients;
    use crate::gradients::take_floats;

    /// Values per task.
    const CHUNK: usize = 1 << 14;

    /// Returns the state if it is not f32 in host memory.
    #[expect(clippy::result_large_err, reason = "the error is the unchanged state")]
    pub(super) fn update(
        state: [Tensor<1>; 4],
        coefficients: &AdamWCoefficients,
    ) -> Result<[Tensor<1>; 3], [Tensor<1>; 4]> {
        let here = |tensor: &Tensor<1>| {
            let primitive = tensor.clone().try_into_primitive::<Flex>();
            primitive.is_ok_and(|tensor| tensor.dtype() == DType::F32)
        };
        if !state.iter().all(here) {
            return Err(state);
        }
        let device = state[0].device();
        let [mut value, gradient, mut first, mut second] = state.map(take_floats);
        // The order of operations is that of the composed update, for the same rounding.
        let (new1, beta2) = ((1.0 - coefficients.beta1) as f32, coefficients.beta2 as f32);
        let (new2, kept) = ((1.0 - coefficients.beta2) as f32, coefficients.kept as f32);
        let (root, epsilon, rate) = (
            coefficients.root_correction2 as f32,
            coefficients.epsilon as f32,
            coefficients.rate as f32,
        );
        let chunks = value
            .par_chunks_mut(CHUNK)
            .zip(gradient.par_chunks(CHUNK))
            .zip(first.par_chunks_mut(CHUNK))
            .zip(second.par_chunks_mut(CHUNK));
        chunks.for_each(|(((value, gradient), first), second)| {
            let moments = first.iter_mut().zip(second);
            for ((value, &gradient), (first, second)) in value.iter_mut().zip(gradient).zip(moments) {
                *first += (gradient - *first) * new1;
                *second = *second * beta2 + gradient * gradient * new2;
                let denominator = second.sqrt() / root + epsilon;
                *value = *value * kept - *first / denominator * rate;
            }
        });
        let tensor = |values: Vec<f32>| {
            let count = values.len();
            Tensor::from_data(TensorData::new(values, [count]), &device)
        };
        Ok([value, first, second].map(tensor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_equals_the_composed_update() {
        let device = Device::flex();
        let coefficients = AdamW {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
        .coefficients(1e-3, 3);
        let state = || {
            [0.7f32, -0.2, 0.05, 0.4].map(|scale| {
                let values: Vec<f32> = (1..=40_000).map(|i| scale * (i as f32).sin()).collect();
                let tensor = Tensor::<1>::from_data(TensorData::new(values, [40_000]), &device);
                if scale == 0.4 { tensor.abs() } else { tensor }
            })
        };
        let fused = on_host::update(state(), &coefficients).unwrap();
        for (fused, composed) in fused.into_iter().zip(coefficients.composed(state())) {
            let difference = (fused - composed).abs().max().into_scalar::<f32>();
            assert!(difference <= 1e-6, "{difference}");
        }
    }
}
