//! Layer normalization.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, DType, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Tensor};

use crate::cpu::InstructionSet;
use crate::flex;
use crate::optional::OptionalTensor;

mod composed;
mod cpu;
#[cfg(feature = "cube")]
mod cube;

/// `(x − mean) / sqrt(variance + epsilon) · gamma + beta` along the last axis, with the population variance;
/// differentiable in all three. Half-precision tensors are normalized in f32.
///
/// # Shapes
/// - `x`: `[…, width]`
/// - `gamma`, `beta`: `[width]`
/// - output: `[…, width]`
///
/// # Panics
/// If the widths differ.
pub fn layer_norm<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Option<Tensor<1>>, epsilon: f64) -> Tensor<D> {
    let width = x.dims()[D - 1];
    assert!(width > 0, "layer norm of no values");
    assert_eq!(gamma.dims(), [width], "a factor for each of {width} values");
    if let Some(beta) = &beta {
        assert_eq!(beta.dims(), [width], "an offset for each of {width} values");
    }
    let dtype = x.dtype();
    if matches!(dtype, DType::F16 | DType::BF16) {
        let beta = beta.map(|beta| beta.cast(FloatDType::F32));
        return apply(x.cast(FloatDType::F32), gamma.cast(FloatDType::F32), beta, epsilon)
            .cast(FloatDType::from(dtype));
    }
    apply(x, gamma, beta, epsilon)
}

fn apply<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Option<Tensor<1>>, epsilon: f64) -> Tensor<D> {
    let beta = OptionalTensor::new(beta.map(Tensor::into_dispatch));
    let (x, gamma) = (x.into_dispatch(), gamma.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LayerNormOperator>::normalize(x, gamma, beta, epsilon))
}

/// [`layer_norm()`] by backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait LayerNormOperator: Backend {
    /// [`layer_norm()`]
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        #[extension_type] beta: OptionalTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

/// Gradients of a layer norm.
#[derive(Debug)]
pub struct LayerNormGradients<B: Backend> {
    /// `[…, width]`
    pub x: FloatTensor<B>,
    /// Gradients of gamma and beta, each `[width]`, if they were requested.
    pub parameters: Option<[FloatTensor<B>; 2]>,
}

/// Layer norm and its gradients on a backend without autodiff. The defaults compose burn's operators.
pub trait LayerNormKernel: Backend {
    /// Result of the norm.
    fn norm_forward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: Option<FloatTensor<Self>>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        <Self as ModuleOps<Self>>::layer_norm(x, gamma, beta, epsilon)
    }

    /// Gradients from the gradient of the result; those of gamma and beta if `parameters`.
    fn norm_gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        epsilon: f64,
        gradient: FloatTensor<Self>,
        parameters: bool,
    ) -> LayerNormGradients<Self> {
        composed::gradients::<Self>(x, gamma, epsilon, gradient, parameters)
    }
}

impl LayerNormKernel for Flex {
    fn norm_forward(x: FlexTensor, gamma: FlexTensor, beta: Option<FlexTensor>, epsilon: f64) -> FlexTensor {
        if !flex::is_f32(&x) {
            return <Self as ModuleOps<Self>>::layer_norm(x, gamma, beta, epsilon);
        }
        let shape = x.shape().to_vec();
        let (x, gamma, beta) = (flex::contiguous(x), flex::contiguous(gamma), beta.map(flex::contiguous));
        let output = cpu::layer_norm(
            InstructionSet::best(),
            flex::floats(&x),
            flex::floats(&gamma),
            beta.as_ref().map(flex::floats),
            epsilon as f32,
        );
        flex::tensor(output, shape)
    }

    fn norm_gradients(
        x: FlexTensor,
        gamma: FlexTensor,
        epsilon: f64,
        gradient: FlexTensor,
        parameters: bool,
    ) -> LayerNormGradients<Self> {
        if !flex::is_f32(&x) {
            return composed::gradients::<Self>(x, gamma, epsilon, gradient, parameters);
        }
        let (x, gamma) = (flex::contiguous(x), flex::contiguous(gamma));
        let mut gradient = flex::owned(gradient);
        let (instructions, epsilon) = (InstructionSet::best(), epsilon as f32);
        let (x, gamma) = (flex::floats(&x), flex::floats(&gamma));
        let out = gradient.storage_mut::<f32>();
        let parameters = if parameters {
            let cpu::ParameterGradients { gamma, beta } =
                cpu::layer_norm_gradients(instructions, x, gamma, epsilon, out);
            let width = gamma.len();
            Some([gamma, beta].map(|sums| flex::tensor(sums, [width])))
        } else {
            cpu::layer_norm_x_gradient(instructions, x, gamma, epsilon, out);
            None
        };
        LayerNormGradients {
            x: gradient,
            parameters,
        }
    }
}

/// Without autodiff.
impl<B: LayerNormKernel> LayerNormOperator for B {
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: OptionalTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::norm_forward(x, gamma, beta.into_option(), epsilon)
    }
}

impl<B: LayerNormKernel, C: CheckpointStrategy> LayerNormOperator for Autodiff<B, C> {
    fn normalize(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: OptionalTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        match beta.into_option() {
            Some(beta) => {
                let nodes = [x.node(), gamma.node(), beta.node()];
                tracked::<B, C, 3>(nodes, x, gamma, Some(beta.into_primitive()), epsilon)
            }
            None => tracked::<B, C, 2>([x.node(), gamma.node()], x, gamma, None, epsilon),
        }
    }
}

fn tracked<B: LayerNormKernel, C: CheckpointStrategy, const N: usize>(
    nodes: [NodeGuard; N],
    x: FloatTensor<Autodiff<B, C>>,
    gamma: FloatTensor<Autodiff<B, C>>,
    beta: Option<FloatTensor<B>>,
    epsilon: f64,
) -> FloatTensor<Autodiff<B, C>> {
    match Backward::<B, N>::prepare::<C>(LayerNormBackward, nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(mut prep) => {
            let state = (prep.checkpoint(&x), prep.checkpoint(&gamma), epsilon);
            let (x, gamma) = (x.into_primitive(), gamma.into_primitive());
            prep.finish(state, B::norm_forward(x, gamma, beta, epsilon))
        }
        OpsKind::UnTracked(prep) => {
            let (x, gamma) = (x.into_primitive(), gamma.into_primitive());
            prep.finish(B::norm_forward(x, gamma, beta, epsilon))
        }
    }
}

/// With `N` parents: `x`, gamma, and beta if present.
#[derive(Debug)]
struct LayerNormBackward;

impl<B: LayerNormKernel, const N: usize> Backward<B, N> for LayerNormBackward {
    /// `x`, gamma and epsilon.
    type State = (NodeId, NodeId, f64);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, epsilon) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let gamma = checkpointer.retrieve_node_output::<FloatTensor<B>>(gamma);
        let parameters = ops.parents.iter().skip(1).any(Option::is_some);
        let LayerNormGradients { x, parameters } = B::norm_gradients(x, gamma, epsilon, gradient, parameters);
        let (gamma, beta) = parameters.map(|[gamma, beta]| (gamma, beta)).unzip();
        for (parent, gradient) in ops.parents.into_iter().zip([Some(x), gamma, beta]) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}
