//! Trained and frozen parts of a model.
//!
//! Frozen parts are on the inference device, without autodiff. burn treats their tensors as constants: computations that
//! depend on them alone (the patch embedding, the blocks before the first prompt, the image encoder without prompts) use fused
//! kernels and keep nothing for a backward pass.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, GradientCheckpointingStrategy, Tensor};
use zegclip_model::ZegClip;
use zegclip_model::clip::ImageEncoder;

/// Which parts of ZegCLIP are trained. Prompts, relation descriptor and decoder always are (paper, section 3.1).
///
/// ```no_run
/// use zegclip_train::freeze::Trainable;
/// # fn example(model: zegclip_model::ZegClip, device: burn::tensor::Device) {
/// let model = Trainable::default().with_image_encoder(true).apply(model, &device);
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trainable {
    image_encoder: bool,
    activation_checkpointing: bool,
}

impl Trainable {
    /// Trains the image encoder too (`FT` in the paper); it is frozen by default.
    #[must_use]
    pub fn with_image_encoder(mut self, trained: bool) -> Self {
        self.image_encoder = trained;
        self
    }

    /// Recomputes cheap activations in the backward pass instead of keeping them; they are kept by default.
    #[must_use]
    pub fn with_activation_checkpointing(mut self, enabled: bool) -> Self {
        self.activation_checkpointing = enabled;
        self
    }

    /// Moves trained parts to the autodiff form of `device`, and frozen ones to its inference form.
    #[must_use]
    pub fn apply(self, model: ZegClip, device: &Device) -> ZegClip {
        let mut track = Track {
            strategy: strategy(self.activation_checkpointing, device),
        };
        ZegClip {
            image_encoder: if self.image_encoder {
                model.image_encoder.map(&mut track)
            } else {
                model.image_encoder.map(&mut ForInference)
            },
            prompts: model.prompts.map(|prompts| prompts.map(&mut track)),
            relation_descriptor: model.relation_descriptor.map(&mut track),
            decoder: model.decoder.map(&mut track),
        }
    }

    /// Moves a complete module to the autodiff form of its device.
    pub(crate) fn apply_to_all<M: Module>(self, module: M) -> M {
        let strategy = module
            .devices()
            .first()
            .and_then(|device| strategy(self.activation_checkpointing, device));
        module.map(&mut Track { strategy })
    }
}

fn strategy(activation_checkpointing: bool, device: &Device) -> Option<GradientCheckpointingStrategy> {
    let device =
        activation_checkpointing.then(|| device.clone().without_autodiff().autodiff().gradient_checkpointing());
    device.and_then(|device| device.gradient_checkpointing_strategy())
}

/// A module with all parameters on the autodiff device.
pub fn all_trainable<M: Module>(module: M) -> M {
    module.map(&mut Track { strategy: None })
}

/// A copy of a module without autodiff.
pub fn for_inference<M: Module>(model: &M) -> M {
    model.clone().map(&mut ForInference)
}

/// Casts the weight matrices of the blocks. Norms and the residual stream keep their type: only what a block adds to the
/// stream is rounded.
#[must_use]
pub fn cast_block_weights(mut encoder: ImageEncoder, dtype: FloatDType) -> ImageEncoder {
    let mut cast = Cast(dtype);
    for block in &mut encoder.blocks {
        block.attention = block.attention.clone().map(&mut cast);
        block.mlp_fc = block.mlp_fc.clone().map(&mut cast);
        block.mlp_proj = block.mlp_proj.clone().map(&mut cast);
    }
    encoder
}

/// A leaf of the autodiff graph that requires a gradient.
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

struct ForInference;

struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, param.val().cast(self.0))
    }
}

impl ModuleMapper for Track {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, tracked(param.val(), self.strategy))
    }
}

impl ModuleMapper for ForInference {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, param.val().inner().set_require_grad(false))
    }
}
