//! AdamW as PyTorch computes it (Loshchilov and Hutter 2019) or Muon for matrices, with state under the names of checkpoints.
//!
//! burn's own AdamW rounds the bias correction to f32 and keys its state by random identities, which a file that survives a
//! restart cannot hold; hence these few lines.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::gradients::{Gradients, names_by_id};
use crate::muon;

/// What updates matrices of weights; everything else is always updated by AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// AdamW, as published.
    #[default]
    Adamw,
    /// Momentum made orthogonal: learns more from each iteration where encoders begin from random values.
    Muon,
}

/// Numbers of the optimiser; the defaults are those published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimiserConfig {
    /// `adamw`, or `muon` for matrices of weights.
    pub method: Method,
    /// Learning rate before the multiplier.
    pub lr: f64,
    /// Multiplier of everything trainable: prompts, relation descriptor and decoder alike.
    pub lr_multiplier: f64,
    /// Decoupled weight decay, multiplied by the rate of the iteration.
    pub weight_decay: f64,
    /// Decay of the two moments.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub epsilon: f64,
    /// Whether norms are decayed. The published configuration asks for no decay, but its key never matches and the published
    /// numbers decay them; `false` is what was intended.
    pub decay_norms: bool,
    /// Longest allowed vector of all gradients; without it nothing is clipped, as published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self {
            method: Method::Adamw,
            lr: 2e-5,
            lr_multiplier: 10.0,
            weight_decay: 0.01,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            decay_norms: true,
            clip_norm: None,
        }
    }
}

/// State of one parameter.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Updates so far.
    pub step: u64,
    /// Decaying mean of the gradient: `[values]`.
    pub first: Tensor<1>,
    /// Decaying mean of its square: `[values]`; Muon has none.
    pub second: Option<Tensor<1>>,
}

/// What is not decayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exempt {
    /// Nothing, as published, or norms.
    Norms(bool),
    /// Norms, biases, embeddings and the temperature, as in CLIP.
    AllButMatrices,
}

/// The optimiser.
#[derive(Debug, Clone)]
pub struct Optimiser {
    exempt: Exempt,
    config: OptimiserConfig,
    moments: BTreeMap<String, Moments>,
}

impl Optimiser {
    /// An optimiser that has not stepped yet.
    pub fn new(config: OptimiserConfig) -> Self {
        Self {
            exempt: Exempt::Norms(!config.decay_norms),
            config,
            moments: BTreeMap::new(),
        }
    }

    /// Decays matrices of weights only: not norms, biases, embeddings and CLIP's temperature.
    #[must_use]
    pub fn decaying_matrices_only(self) -> Self {
        Self {
            exempt: Exempt::AllButMatrices,
            ..self
        }
    }

    /// Forgets the state of a parameter, whose shape changes for example.
    pub fn forget(&mut self, name: &str) {
        self.moments.remove(name);
    }

    /// Goes on with recorded state.
    pub fn with_moments(self, moments: BTreeMap<String, Moments>) -> Self {
        Self { moments, ..self }
    }

    /// State of every parameter that was updated, by its checkpoint name.
    pub fn moments(&self) -> &BTreeMap<String, Moments> {
        &self.moments
    }

    /// Updates the parameters that have a gradient; others, their decay included, are left alone.
    ///
    /// `rate` is the learning rate of this iteration, the multiplier included.
    pub fn step<M: Module>(&mut self, module: M, gradients: &Gradients, rate: f64) -> M {
        let names = names_by_id(&module);
        module.map(&mut Update {
            optimiser: self,
            names,
            gradients,
            rate,
        })
    }

    fn decay(&self, name: &str) -> f64 {
        let exempt = match self.exempt {
            Exempt::Norms(norms) => norms && is_norm(name),
            Exempt::AllButMatrices => !is_matrix(name),
        };
        if exempt { 0.0 } else { self.config.weight_decay }
    }

    /// New values of one parameter: `[values]`.
    fn update(&mut self, name: &str, value: Tensor<1>, gradient: Tensor<1>, rate: f64) -> Tensor<1> {
        let [beta1, beta2] = self.config.betas;
        let previous = self.moments.remove(name);
        let step = previous.as_ref().map_or(0, |moments| moments.step) + 1;
        let exponent = step.min(i32::MAX as u64) as i32;
        let numbers = Numbers {
            beta1,
            beta2,
            kept: 1.0 - rate * self.decay(name),
            root_correction2: (1.0 - beta2.powi(exponent)).sqrt(),
            epsilon: self.config.epsilon,
            rate: rate / (1.0 - beta1.powi(exponent)),
        };
        let (first, second) = previous.map_or((None, None), |moments| (Some(moments.first), moments.second));
        let first = first.unwrap_or_else(|| gradient.zeros_like());
        let second = second.unwrap_or_else(|| gradient.zeros_like());
        let state = [value, gradient, first, second];
        let [value, first, second] = match on_host::update(state, &numbers) {
            Ok(updated) => updated,
            Err(state) => numbers.composed(state),
        };
        let second = Some(second);
        self.moments.insert(name.to_owned(), Moments { step, first, second });
        value
    }

    /// The same by Muon for a matrix `[rows, columns]`.
    fn update_matrix(&mut self, name: &str, value: Tensor<2>, gradient: Tensor<1>, rate: f64) -> Tensor<2> {
        let previous = self.moments.remove(name);
        let step = previous.as_ref().map_or(0, |moments| moments.step) + 1;
        let first = previous.map_or_else(|| gradient.zeros_like(), |moments| moments.first);
        let first = first.clone() + (gradient.clone() - first) * (1.0 - muon::MOMENTUM);
        // Nesterov's form looks one step ahead.
        let ahead = gradient.clone() + (first.clone() - gradient) * muon::MOMENTUM;
        let direction = muon::direction(ahead.reshape(value.dims()), matrices_of(name));
        let second = None;
        self.moments.insert(name.to_owned(), Moments { step, first, second });
        value * (1.0 - rate * self.decay(name)) - direction * rate
    }

    fn is_muons<const D: usize>(&self, name: &str) -> bool {
        self.config.method == Method::Muon && D == 2 && is_matrix(name)
    }
}

/// What an update of one parameter multiplies and adds.
struct Numbers {
    beta1: f64,
    beta2: f64,
    /// What decay leaves of a value.
    kept: f64,
    root_correction2: f64,
    epsilon: f64,
    /// The learning rate over the correction of the first moment.
    rate: f64,
}

impl Numbers {
    /// The update on any device, from value, gradient and moments to value and moments.
    fn composed(&self, [value, gradient, first, second]: [Tensor<1>; 4]) -> [Tensor<1>; 3] {
        let first = first.clone() + (gradient.clone() - first) * (1.0 - self.beta1);
        let second = second * self.beta2 + gradient.powi_scalar(2) * (1.0 - self.beta2);
        let denominator = second.clone().sqrt() / self.root_correction2 + self.epsilon;
        let value = value * self.kept - first.clone() / denominator * self.rate;
        [value, first, second]
    }
}

/// The same in one pass over memory.
mod on_host {
    use burn::backend::Flex;
    use burn::tensor::{DType, Tensor, TensorData};
    use rayon::prelude::*;

    use super::Numbers;

    /// Values that a task updates.
    const CHUNK: usize = 1 << 14;

    /// Gives the state back if it does not lie in the processor's memory as f32.
    #[expect(clippy::result_large_err, reason = "the state is handed back to its owner")]
    pub(super) fn update(state: [Tensor<1>; 4], numbers: &Numbers) -> Result<[Tensor<1>; 3], [Tensor<1>; 4]> {
        let here = |tensor: &Tensor<1>| {
            let plain = tensor.clone().try_into_primitive::<Flex>();
            plain.is_ok_and(|tensor| tensor.dtype() == DType::F32)
        };
        if !state.iter().all(here) {
            return Err(state);
        }
        let device = state[0].device();
        let [mut value, gradient, mut first, mut second] = state.map(values);
        // The order of operations is that of the composed update, so that both round alike.
        let (new1, beta2) = ((1.0 - numbers.beta1) as f32, numbers.beta2 as f32);
        let (new2, kept) = ((1.0 - numbers.beta2) as f32, numbers.kept as f32);
        let (root, epsilon, rate) = (
            numbers.root_correction2 as f32,
            numbers.epsilon as f32,
            numbers.rate as f32,
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

    /// Takes the memory over where nobody else has it.
    fn values(tensor: Tensor<1>) -> Vec<f32> {
        let data = tensor.into_data();
        if data.as_slice::<f32>().is_ok() {
            return data.try_into_vec::<f32>().unwrap_or_default();
        }
        data.iter::<f32>().collect()
    }
}

/// Whether a parameter belongs to a norm, by its checkpoint name.
fn is_norm(name: &str) -> bool {
    name.split('.')
        .any(|part| part.starts_with("norm") || part.ends_with("_norm") || part.starts_with("ln_"))
}

/// Whether a parameter is a matrix of weights, by its checkpoint name.
fn is_matrix(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    !(is_norm(name) || last.ends_with("bias") || name.contains("embedding") || last == "logit_scale")
}

/// Matrices side by side in one parameter: queries, keys and values are projected together.
fn matrices_of(name: &str) -> usize {
    if name.ends_with("in_proj_weight") { 3 } else { 1 }
}

struct Update<'a> {
    optimiser: &'a mut Optimiser,
    names: HashMap<ParamId, String>,
    gradients: &'a Gradients,
    rate: f64,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(name) = self.names.get(&param.id).cloned() else {
            return param;
        };
        let Some(gradient) = self.gradients.get(&name) else {
            return param;
        };
        let tensor = param.val();
        let strategy = tensor.gradient_checkpointing_strategy();
        let (shape, values) = (tensor.dims(), tensor.shape().num_elements());
        let updated = if self.optimiser.is_muons::<D>(&name) {
            let value = tensor.inner().reshape([shape[0], values / shape[0].max(1)]);
            let updated = self.optimiser.update_matrix(&name, value, gradient, self.rate);
            updated.reshape(shape)
        } else {
            let value = tensor.inner().reshape([values]);
            self.optimiser.update(&name, value, gradient, self.rate).reshape(shape)
        };
        Param::initialized(param.id, crate::freeze::tracked(updated, strategy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_are_known_by_their_names() {
        for name in [
            "backbone.prompt_norm.weight",
            "decode_head.decoder_1.layers.0.norm2.bias",
            "backbone.ln_post.weight",
        ] {
            assert!(is_norm(name), "{name}");
        }
        assert!(!is_norm("decode_head.decoder_1.layers.0.linear1.bias"));
        assert!(!is_norm("backbone.prompt_proj.weight"));
    }

    #[test]
    fn clip_decays_its_matrices() {
        for name in [
            "backbone.conv1.weight",
            "backbone.proj",
            "backbone.transformer.resblocks.0.attn.in_proj_weight",
            "text_encoder.text_projection",
        ] {
            assert!(is_matrix(name), "{name}");
        }
        for name in [
            "backbone.ln_pre.weight",
            "backbone.class_embedding",
            "text_encoder.token_embedding.weight",
            "text_encoder.positional_embedding",
            "backbone.transformer.resblocks.0.attn.in_proj_bias",
            "logit_scale",
        ] {
            assert!(!is_matrix(name), "{name}");
        }
    }
}
