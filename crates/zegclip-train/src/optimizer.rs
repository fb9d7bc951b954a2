//! The optimizer: AdamW, or Muon for matrices, in parameter groups by checkpoint names.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::adamw::AdamW;
use crate::gradients::names_by_id;
use crate::muon::Muon;

/// The optimizer of weight matrices; AdamW updates all other parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// AdamW, as published.
    #[default]
    Adamw,
    /// Orthogonalized momentum, which needs fewer iterations to train encoders from random values.
    Muon,
}

/// Coefficients of the optimizer; the defaults are the published ones (paper, section 4.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// `adamw`, or `muon` for weight matrices.
    pub method: Method,
    /// Learning rate before the multiplier, above 0.
    pub lr: f64,
    /// Multiplier of the learning rate of all trained parameters, above 0.
    pub lr_multiplier: f64,
    /// Decoupled weight decay, at least 0, which is multiplied by the learning rate of the iteration.
    pub weight_decay: f64,
    /// Decay of the two moments, each in `[0, 1)`.
    pub betas: [f64; 2],
    /// Added to the denominator, above 0.
    pub epsilon: f64,
    /// Whether norms are decayed. The release intends `false`, but its configuration key never matches, and its published
    /// results are with decay.
    pub decay_norms: bool,
    /// Maximum L2 norm of all gradients, above 0; without it gradients are not clipped, as published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

impl Default for OptimizerConfig {
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

/// Parameters without weight decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecayExemption {
    /// None, as in the published results.
    Nothing,
    /// Norms.
    Norms,
    /// Norms, biases, embeddings and the temperature, as in CLIP (Radford et al. 2021, section 2.5).
    AllButMatrices,
}

impl OptimizerConfig {
    /// The exemption of ZegCLIP's parameters.
    pub fn exemption(&self) -> DecayExemption {
        if self.decay_norms {
            DecayExemption::Nothing
        } else {
            DecayExemption::Norms
        }
    }

    /// An optimizer for `module`, without state. A parameter without a gradient is not updated, nor decayed.
    pub fn build<M: Module>(&self, module: &M, exemption: DecayExemption) -> ModuleOptimizer {
        let mut groups = Groups::default();
        module.visit(&mut Assign {
            names: names_by_id(module),
            config: self,
            exemption,
            groups: &mut groups,
        });
        let mut optimizer = ModuleOptimizer::from(self.adamw(self.weight_decay)).with_group(
            ParamGroup::from_ids(groups.exempt),
            self.adamw(0.0),
            None,
        );
        // The fused projection of queries, keys and values is three matrices side by side.
        for (ids, matrices) in [(groups.matrices, 1), (groups.fused, 3)] {
            let muon = Muon {
                matrices,
                weight_decay: self.weight_decay,
            };
            optimizer = optimizer.with_group(ParamGroup::from_ids(ids), muon, None);
        }
        optimizer
    }

    /// The optimizer without the state of one undecayed parameter, whose shape has changed for example.
    pub(crate) fn reset_state(&self, optimizer: &ModuleOptimizer, parameter: ParamId) -> ModuleOptimizer {
        // Only a new group makes burn drop state.
        let group = ParamGroup::from_ids(vec![parameter]);
        optimizer.clone().with_group(group, self.adamw(0.0), None)
    }

    /// Whether Muon updates a parameter of rank 2, by its checkpoint name.
    fn uses_muon(&self, name: &str) -> bool {
        self.method == Method::Muon && is_matrix(name)
    }

    fn adamw(&self, weight_decay: f64) -> AdamW {
        AdamW {
            betas: self.betas,
            epsilon: self.epsilon,
            weight_decay,
        }
    }
}

/// Parameters outside of the default group, which is AdamW with decay.
#[derive(Debug, Default)]
struct Groups {
    exempt: Vec<ParamId>,
    matrices: Vec<ParamId>,
    fused: Vec<ParamId>,
}

struct Assign<'a> {
    names: std::collections::HashMap<ParamId, String>,
    config: &'a OptimizerConfig,
    exemption: DecayExemption,
    groups: &'a mut Groups,
}

impl ModuleVisitor for Assign<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(name) = self.names.get(&param.id) else { return };
        let exempt = match self.exemption {
            DecayExemption::Nothing => false,
            DecayExemption::Norms => is_norm(name),
            DecayExemption::AllButMatrices => !is_matrix(name),
        };
        if D == 2 && self.config.uses_muon(name) {
            if name.ends_with("in_proj_weight") {
                self.groups.fused.push(param.id);
            } else {
                self.groups.matrices.push(param.id);
            }
        } else if exempt {
            self.groups.exempt.push(param.id);
        }
    }
}

/// Whether a parameter belongs to a norm, by its checkpoint name.
fn is_norm(name: &str) -> bool {
    name.split('.')
        .any(|part| part.starts_with("norm") || part.ends_with("_norm") || part.starts_with("ln_"))
}

/// Whether a parameter is a weight matrix, by its checkpoint name.
fn is_matrix(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    !(is_norm(name) || last.ends_with("bias") || name.contains("embedding") || last == "logit_scale")
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
