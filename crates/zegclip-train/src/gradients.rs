//! Norm, clipping, scaling and names of gradients.

use std::collections::{BTreeMap, HashMap};

use burn::backend::{DType, Flex};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor, TensorData};
use rayon::prelude::*;
use zegclip_model::parameters::parameter_names;

use crate::TrainError;

/// Values per task.
const CHUNK: usize = 1 << 15;

/// L2 norm of all gradients together.
///
/// # Errors
/// [`TrainError::Device`] if the device fails.
pub fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> Result<f64, TrainError> {
    let mut visitor = Squares {
        gradients,
        on_host: 0.0,
        elsewhere: Vec::new(),
    };
    module.visit(&mut visitor);
    let mut sum = visitor.on_host;
    if !visitor.elsewhere.is_empty() {
        let squares = Tensor::cat(visitor.elsewhere, 0)
            .try_into_data()
            .map_err(TrainError::device)?;
        sum += squares.iter::<f64>().sum::<f64>();
    }
    Ok(sum.sqrt())
}

/// Scales all gradients to the norm `max_norm` if theirs is larger, as PyTorch's `clip_grad_norm_`; without `max_norm` it only
/// checks that they are finite.
///
/// # Errors
/// [`TrainError::GradientNotFinite`], [`TrainError::Device`].
pub fn clip_gradients<M: Module>(
    module: &M,
    gradients: GradientsParams,
    max_norm: Option<f64>,
) -> Result<GradientsParams, TrainError> {
    let norm = gradient_norm(module, &gradients)?;
    if !norm.is_finite() {
        return Err(TrainError::GradientNotFinite { norm });
    }
    let factor = max_norm.map_or(1.0, |max_norm| max_norm / (norm + 1e-6));
    Ok(if factor < 1.0 {
        scale_gradients(module, gradients, factor)
    } else {
        gradients
    })
}

/// Multiplies every gradient by `factor`.
pub fn scale_gradients<M: Module>(module: &M, gradients: GradientsParams, factor: f64) -> GradientsParams {
    let mut visitor = Scale {
        gradients,
        factor,
        scaled: GradientsParams::new(),
    };
    module.visit(&mut visitor);
    visitor.scaled
}

/// The existing gradients by checkpoint name, flattened in row-major order: `[values]`.
pub fn gradients_by_name<M: Module>(module: &M, gradients: &GradientsParams) -> BTreeMap<String, Tensor<1>> {
    let mut visitor = ByName {
        names: names_by_id(module),
        gradients,
        found: BTreeMap::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

/// The checkpoint name of each parameter.
pub(crate) fn names_by_id<M: Module>(module: &M) -> HashMap<ParamId, String> {
    parameter_names(module, "")
        .into_iter()
        .map(|parameter| (parameter.id, parameter.name))
        .collect()
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    on_host: f64,
    elsewhere: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else {
            return;
        };
        match squares_on_host(&gradient) {
            Some(sum) => self.on_host += sum,
            None => self.elsewhere.push(gradient.powi_scalar(2).sum()),
        }
    }
}

/// The sum of squares of an f32 tensor in host memory. Fixed chunks make its rounding independent of threads.
fn squares_on_host<const D: usize>(tensor: &Tensor<D>) -> Option<f64> {
    let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
    if tensor.dtype() != DType::F32 {
        return None;
    }
    let tensor = tensor.to_contiguous();
    let (start, count) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    let values = tensor.storage::<f32>().get(start..start + count)?;
    let sums: Vec<f64> = values.par_chunks(CHUNK).map(sum_of_squares).collect();
    Some(sums.into_iter().sum())
}

/// Eight partial sums, which the compiler keeps in vector registers.
fn sum_of_squares(values: &[f32]) -> f64 {
    let square = |value: f32| f64::from(value) * f64::from(value);
    let (lanes, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for lane in lanes {
        for (sum, value) in sums.iter_mut().zip(lane) {
            *sum += square(*value);
        }
    }
    sums.into_iter().sum::<f64>() + rest.iter().map(|value| square(*value)).sum::<f64>()
}

struct Scale {
    gradients: GradientsParams,
    factor: f64,
    scaled: GradientsParams,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.scaled.register(param.id, scaled(gradient, self.factor));
        }
    }
}

/// A multiple of a tensor; on the CPU by all threads, and in place if the tensor is not shared.
fn scaled<const D: usize>(tensor: Tensor<D>, factor: f64) -> Tensor<D> {
    let primitive = tensor.clone().try_into_primitive::<Flex>();
    if !primitive.is_ok_and(|tensor| tensor.dtype() == DType::F32) {
        return tensor * factor;
    }
    let (shape, device) = (tensor.dims(), tensor.device());
    let mut values = take_floats(tensor);
    let factor = factor as f32;
    values
        .par_chunks_mut(CHUNK)
        .for_each(|chunk| chunk.iter_mut().for_each(|value| *value *= factor));
    Tensor::from_data(TensorData::new(values, shape), &device)
}

/// The values of a tensor in host memory, without a copy if they are not shared.
pub(crate) fn take_floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data();
    if data.as_slice::<f32>().is_ok() {
        return data.try_into_vec::<f32>().unwrap_or_default();
    }
    data.iter::<f32>().collect()
}

struct ByName<'a> {
    names: HashMap<ParamId, String>,
    gradients: &'a GradientsParams,
    found: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for ByName<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(name) = self.names.get(&param.id) else { return };
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let count = gradient.shape().num_elements();
            let flat = gradient.cast(FloatDType::F32).reshape([count]);
            self.found.insert(name.clone(), flat);
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Param;
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Pair {
        weight: Param<Tensor<2>>,
        bias: Param<Tensor<1>>,
    }

    fn pair(gradient: [f32; 2]) -> (Pair, GradientsParams) {
        let device = Device::flex();
        let module = Pair {
            weight: Param::from_tensor(Tensor::zeros([1, 2], &device)),
            bias: Param::from_tensor(Tensor::zeros([2], &device)),
        };
        let mut gradients = GradientsParams::new();
        gradients.register(module.weight.id, Tensor::<2>::from_data([[3.0, 0.0]], &device));
        gradients.register(module.bias.id, Tensor::<1>::from_data(gradient, &device));
        (module, gradients)
    }

    #[test]
    fn all_gradients_are_clipped_by_their_common_norm() {
        let (module, gradients) = pair([0.0, -4.0]);
        assert_eq!(gradient_norm(&module, &gradients).unwrap(), 5.0);
        let clipped = clip_gradients(&module, gradients, Some(1.0)).unwrap();
        assert!((gradient_norm(&module, &clipped).unwrap() - 1.0).abs() < 1e-6);
        let unclipped = clip_gradients(&module, clipped, Some(2.0)).unwrap();
        let bias = unclipped.get::<1>(module.bias.id).unwrap().into_data();
        assert!((bias.iter::<f64>().nth(1).unwrap() + 0.8).abs() < 1e-6);
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_an_error() {
        for bad in [f32::NAN, f32::INFINITY] {
            for longest in [None, Some(1.0)] {
                let (module, gradients) = pair([bad, 0.0]);
                let error = clip_gradients(&module, gradients, longest).unwrap_err();
                assert!(matches!(error, TrainError::GradientNotFinite { .. }), "{error}");
            }
        }
    }
}
