//! What is trained and what is frozen.
//!
//! Frozen parts stay on the plain device. burn takes plain tensors as constants, so that whatever depends on them alone (the
//! patch embedding, the blocks before the first prompt, the whole image encoder without prompts) runs there with its fused
//! kernels and keeps nothing for a backward pass.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, GradientCheckpointingStrategy, Tensor};
use zegclip_model::ZegClip;
use zegclip_model::clip::ImageEncoder;

/// Puts prompts, relation descriptor and decoder on the autodiff device, and the image encoder if it is trained too; the rest
/// stays plain. With `checkpointing`, cheap activations are computed again in the backward pass instead of being kept.
pub fn trainable(model: ZegClip, train_image_encoder: bool, checkpointing: bool, device: &Device) -> ZegClip {
    let mut track = Track {
        strategy: strategy(checkpointing, device),
    };
    ZegClip {
        image_encoder: if train_image_encoder {
            model.image_encoder.map(&mut track)
        } else {
            model.image_encoder.map(&mut Plain)
        },
        prompts: model.prompts.map(|prompts| prompts.map(&mut track)),
        relation_descriptor: model.relation_descriptor.map(&mut track),
        decoder: model.decoder.map(&mut track),
    }
}

/// Puts all of a module on the autodiff device; `checkpointing` as in [`trainable`].
pub(crate) fn tracked_module<M: Module>(module: M, checkpointing: bool) -> M {
    let strategy = module
        .devices()
        .first()
        .and_then(|device| strategy(checkpointing, device));
    module.map(&mut Track { strategy })
}

fn strategy(checkpointing: bool, device: &Device) -> Option<GradientCheckpointingStrategy> {
    let device = checkpointing.then(|| device.clone().without_autodiff().autodiff().gradient_checkpointing());
    device.and_then(|device| device.gradient_checkpointing_strategy())
}

/// Puts all of a module on the autodiff device.
pub fn all_trainable<M: Module>(module: M) -> M {
    module.map(&mut Track { strategy: None })
}

/// The same values on the plain device, for inference.
pub fn plain<M: Module>(model: &M) -> M {
    model.clone().map(&mut Plain)
}

/// Brings the matrices of the blocks to a smaller type. Tokens, norms and sums stay as they are: the values and gradients
/// that go from block to block are not rounded, only what a block adds to them.
#[must_use]
pub fn with_matrices_in(mut encoder: ImageEncoder, dtype: FloatDType) -> ImageEncoder {
    let mut to = ToType(dtype);
    for block in &mut encoder.blocks {
        block.attention = block.attention.clone().map(&mut to);
        block.mlp_fc = block.mlp_fc.clone().map(&mut to);
        block.mlp_proj = block.mlp_proj.clone().map(&mut to);
    }
    encoder
}

/// A leaf whose gradient is kept.
pub(crate) fn tracked<const D: usize>(value: Tensor<D>, strategy: Option<GradientCheckpointingStrategy>) -> Tensor<D> {
    let value = value.inner().autodiff();
    let value = match strategy {
        Some(strategy) => value.with_gradient_checkpointing_strategy(strategy),
        None => value,
    };
    value.require_grad()
}

struct Track {
    strategy: Option<GradientCheckpointingStrategy>,
}

struct Plain;

struct ToType(FloatDType);

impl ModuleMapper for ToType {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, param.val().cast(self.0))
    }
}

impl ModuleMapper for Track {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, tracked(param.val(), self.strategy))
    }
}

impl ModuleMapper for Plain {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, param.val().inner().set_require_grad(false))
    }
}
