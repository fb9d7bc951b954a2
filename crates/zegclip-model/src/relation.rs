//! Relation descriptor (paper, section 3.3): the relation of the text of a class to the image.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use zegclip_kernels::Activation;

use crate::config::RelationForm;
use crate::linear::apply_linear;

/// Class queries from the image's class feature and the text features.
#[derive(Module, Debug)]
pub struct RelationDescriptor {
    /// `[parts · embed_dim, embed_dim]`, `parts` as in [`RelationForm::parts`].
    pub q_proj: Linear,
    #[module(skip)]
    form: RelationForm,
}

impl RelationDescriptor {
    /// A descriptor with PyTorch's default initial values.
    pub fn new(form: RelationForm, embed_dim: usize, device: &Device) -> Self {
        Self {
            q_proj: LinearConfig::new(form.parts() * embed_dim, embed_dim).init(device),
            form,
        }
    }

    /// The descriptor with an initial projection that returns the text feature. No effect for a form without text.
    #[must_use]
    pub fn with_identity_text_init(mut self) -> Self {
        let [parts, width] = self.q_proj.weight.dims();
        if self.form.ends_in_text() {
            let device = self.q_proj.weight.device();
            let others = Tensor::zeros([parts - width, width], &device);
            let text = Tensor::eye(width, &device);
            self.q_proj.weight = Param::from_tensor(Tensor::cat(vec![others, text], 0));
            self.q_proj.bias = Some(Param::from_tensor(Tensor::zeros([width], &device)));
        }
        self
    }

    /// The descriptor before its projection; published: `concat(cls ⊙ text, text)`.
    ///
    /// # Shapes
    /// - `class_feature`: `[batch, embed_dim]`
    /// - `text_features`: `[classes, embed_dim]`
    /// - output: `[batch, classes, parts · embed_dim]`
    pub fn descriptor(&self, class_feature: Tensor<2>, text_features: Tensor<2>) -> Tensor<3> {
        let [batch, embed_dim] = class_feature.dims();
        let classes = text_features.dims()[0];
        let cls = class_feature.reshape([batch, 1, embed_dim]); // [batch, 1, embed_dim]
        let text = text_features.unsqueeze::<3>(); // [1, classes, embed_dim]
        let product = || cls.clone() * text.clone();
        let difference = || (cls.clone() - text.clone()).abs();
        let alone = || text.clone().expand([batch, classes, embed_dim]);
        let parts = match self.form {
            RelationForm::Text => vec![alone()],
            RelationForm::Product => vec![product()],
            RelationForm::Difference => vec![difference()],
            RelationForm::ProductText => vec![product(), alone()],
            RelationForm::DifferenceText => vec![difference(), alone()],
            RelationForm::ProductDifference => vec![product(), difference()],
            RelationForm::ProductDifferenceText => vec![product(), difference(), alone()],
        };
        Tensor::cat(parts, 2)
    }

    /// Class queries of the decoder.
    ///
    /// # Shapes
    /// - `class_feature`: `[batch, embed_dim]`
    /// - `text_features`: `[classes, embed_dim]`
    /// - output: `[batch, classes, embed_dim]`
    pub fn forward(&self, class_feature: Tensor<2>, text_features: Tensor<2>) -> Tensor<3> {
        let descriptor = self.descriptor(class_feature, text_features);
        apply_linear(&self.q_proj, descriptor, Activation::None)
    }
}
