//! What updates parameters: AdamW, or Muon for matrices, in groups chosen by the names of checkpoints.

use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::ModuleOptimizer;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::adamw::AdamW;
use crate::gradients::names_by_id;
use crate::muon::Muon;

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

/// Coefficients of the optimizer; the defaults are those published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
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

/// What weight decay leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecayExemption {
    /// Nothing, as the published numbers have it.
    Nothing,
    /// Norms.
    Norms,
    /// Norms, biases, embeddings and the temperature, as in CLIP.
    AllButMatrices,
}

impl OptimizerConfig {
    /// What this configuration exempts in ZegCLIP.
    pub fn exemption(&self) -> DecayExemption {
        if self.decay_norms {
            DecayExemption::Nothing
        } else {
            DecayExemption::Norms
        }
    }

    /// An optimizer of burn for `module`, without state. A parameter that gets no gradient is left alone, decay included.
    pub fn build<M: Module>(&self, module: &M, exemption: DecayExemption) -> ModuleOptimizer {
        let mut groups = Groups::default();
        module.visit(&mut Sort {
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
        // Queries, keys and values are projected by three matrices side by side in one parameter.
        for (ids, matrices) in [(groups.matrices, 1), (groups.fused, 3)] {
            let muon = Muon {
                matrices,
                weight_decay: self.weight_decay,
            };
            optimizer = optimizer.with_group(ParamGroup::from_ids(ids), muon, None);
        }
        optimizer
    }

    /// The same optimizer without the state of a parameter that is not decayed, whose shape changes for example.
    pub(crate) fn reset_state(&self, optimizer: &ModuleOptimizer, parameter: ParamId) -> ModuleOptimizer {
        // A new group is the only way to make burn drop state.
        let group = ParamGroup::from_ids(vec![parameter]);
        optimizer.clone().with_group(group, self.adamw(0.0), None)
    }

    fn adamw(&self, weight_decay: f64) -> AdamW {
        AdamW {
            betas: self.betas,
            epsilon: self.epsilon,
            weight_decay,
        }
    }
}

/// Parameters that the default AdamW does not update.
#[derive(Debug, Default)]
struct Groups {
    exempt: Vec<ParamId>,
    matrices: Vec<ParamId>,
    fused: Vec<ParamId>,
}

struct Sort<'a> {
    names: std::collections::HashMap<ParamId, String>,
    config: &'a OptimizerConfig,
    exemption: DecayExemption,
    groups: &'a mut Groups,
}

impl ModuleVisitor for Sort<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(name) = self.names.get(&param.id) else { return };
        let exempt = match self.exemption {
            DecayExemption::Nothing => false,
            DecayExemption::Norms => is_norm(name),
            DecayExemption::AllButMatrices => !is_matrix(name),
        };
        if self.config.method == Method::Muon && D == 2 && is_matrix(name) {
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

/// Whether a parameter is a matrix of weights, by its checkpoint name.
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
