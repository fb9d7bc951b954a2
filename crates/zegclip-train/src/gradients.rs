//! Gradients under the names of checkpoints, so that nothing depends on the identities that burn draws at random.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, FloatDType, Tensor};
use zegclip_model::parameters::parameter_names;

use crate::TrainError;
use crate::replica::data;

/// A gradient for each parameter that got one, flattened in row-major order: `[values]`, on the plain device.
#[derive(Debug, Clone, Default)]
pub struct Gradients(BTreeMap<String, Tensor<1>>);

impl Gradients {
    /// The gradients that `backward` left for the parameters of `module`.
    pub fn collect<M: Module>(module: &M, gradients: &burn::tensor::Gradients) -> Self {
        let mut visitor = Collect {
            names: names_by_id(module),
            gradients,
            found: BTreeMap::new(),
        };
        module.visit(&mut visitor);
        Self(visitor.found)
    }

    /// The gradient of a parameter; `None` if the loss does not depend on it.
    pub fn get(&self, name: &str) -> Option<Tensor<1>> {
        self.0.get(name).cloned()
    }

    /// Names of the parameters that have one.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Adds those of another part of the batch.
    pub fn add(&mut self, other: Self) {
        for (name, gradient) in other.0 {
            let sum = match self.0.remove(&name) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            self.0.insert(name, sum);
        }
    }

    /// The same on another device.
    ///
    /// # Errors
    /// [`TrainError::Device`] if a device fails.
    pub fn moved_to(self, device: &Device) -> Result<Self, TrainError> {
        let moved = self
            .0
            .into_iter()
            .map(|(name, gradient)| Ok((name, Tensor::from_data(data(gradient)?, device))));
        moved.collect::<Result<_, TrainError>>().map(Self)
    }

    /// Every gradient times `factor`.
    pub fn scaled(self, factor: f64) -> Self {
        Self(
            self.0
                .into_iter()
                .map(|(name, gradient)| (name, gradient * factor))
                .collect(),
        )
    }

    /// Length of all gradients taken as one vector.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn norm(&self) -> Result<f64, TrainError> {
        let squares: Vec<_> = self
            .0
            .values()
            .map(|gradient| gradient.clone().powi_scalar(2).sum())
            .collect();
        if squares.is_empty() {
            return Ok(0.0);
        }
        let squares = Tensor::cat(squares, 0).try_into_data().map_err(TrainError::device)?;
        Ok(squares.iter::<f64>().sum::<f64>().sqrt())
    }

    /// Shortens the vector of all gradients to `max_norm` if it is longer, as PyTorch's `clip_grad_norm_`.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn clipped(self, max_norm: f64) -> Result<Self, TrainError> {
        let factor = max_norm / (self.norm()? + 1e-6);
        Ok(if factor < 1.0 { self.scaled(factor) } else { self })
    }
}

/// The checkpoint's name of each parameter.
pub(crate) fn names_by_id<M: Module>(module: &M) -> HashMap<ParamId, String> {
    parameter_names(module, "")
        .into_iter()
        .map(|parameter| (parameter.id, parameter.name))
        .collect()
}

struct Collect<'a> {
    names: HashMap<ParamId, String>,
    gradients: &'a burn::tensor::Gradients,
    found: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(name) = self.names.get(&param.id) else { return };
        if let Some(gradient) = param.val().grad(self.gradients) {
            let values = gradient.shape().num_elements();
            self.found
                .insert(name.clone(), gradient.cast(FloatDType::F32).reshape([values]));
        }
    }
}
