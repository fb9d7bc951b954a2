//! Linear layers with an optional residual or activation.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::ops::{ActivationOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::cpu::{InstructionSet, Matrix};
use crate::flex;
use crate::optional::OptionalTensor;
use crate::quick_gelu::{QuickGeluKernel, QuickGeluOperator};

mod activation;
mod column_sums;
mod cpu;
#[cfg(feature = "cube")]
mod cube;

pub use activation::Activation;
use column_sums::column_sums;
use cpu::{Epilogue, multiply};

/// `activation(x · weight + bias)`, differentiable in all three.
///
/// # Shapes
/// - `x`: `[…, input]`
/// - `weight`: `[input, output]`, with any strides
/// - `bias`: `[output]`
/// - output: `[…, output]`
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    apply(x, weight, bias, None, activation)
}

/// `residual + x · weight + bias`, the last layer of a residual branch, in one pass; differentiable in all four.
///
/// # Shapes
/// - `residual`: `[…, output]`
/// - others as for [`linear()`]
///
/// # Panics
/// If the residual has another shape than the output.
pub fn linear_add<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Tensor<D>,
) -> Tensor<D> {
    let mut shape = x.dims();
    shape[D - 1] = weight.dims()[1];
    assert_eq!(residual.dims(), shape, "a residual for each output");
    apply(x, weight, bias, Some(residual), Activation::None)
}

fn apply<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<D>>,
    activation: Activation,
) -> Tensor<D> {
    let bias = OptionalTensor::new(bias.map(Tensor::into_dispatch));
    let residual = OptionalTensor::new(residual.map(Tensor::into_dispatch));
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(<Dispatch as LinearOperator>::linear_activation(
        x, weight, bias, residual, activation,
    ))
}

/// [`linear()`] by backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait LinearOperator: Backend {
    /// `activation(x · weight + bias)`, or `residual + x · weight + bias` with a residual.
    fn linear_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: OptionalTensor<Self>,
        #[extension_type] residual: OptionalTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;
}

/// Linear layers and their gradients on a backend without autodiff. The defaults compose burn's operators.
pub trait LinearKernel: QuickGeluKernel {
    /// `activation(x · weight + bias)`, or `residual + x · weight + bias` with a residual.
    fn linear_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        residual: Option<FloatTensor<Self>>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        compose::<Self>(x, weight, bias, residual, activation)
    }

    /// Gradient of `x`.
    fn x_gradient(weight: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_x_backward(weight, gradient)
    }

    /// Gradient of the weight.
    fn weight_gradient(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_weight_backward(x, gradient)
    }

    /// Gradient of the bias.
    fn bias_gradient(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_bias_backward(gradient)
    }
}

fn compose<B: QuickGeluKernel>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    residual: Option<FloatTensor<B>>,
    activation: Activation,
) -> FloatTensor<B> {
    let output = <B as ModuleOps<B>>::linear(x, weight, bias);
    if let Some(residual) = residual {
        return B::float_add(residual, output);
    }
    match activation {
        Activation::None => output,
        Activation::QuickGelu => <B as QuickGeluKernel>::forward(output),
        Activation::Relu => <B as ActivationOps<B>>::relu(output),
    }
}

impl LinearKernel for Flex {
    fn linear_forward(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Option<FlexTensor>,
        residual: Option<FlexTensor>,
        activation: Activation,
    ) -> FlexTensor {
        if !flex::is_f32(&x) || !flex::is_f32(&weight) {
            return compose::<Self>(x, weight, bias, residual, activation);
        }
        let weight = flex::forward_strides(weight);
        let (bias, residual) = (bias.map(flex::contiguous), residual.map(flex::contiguous));
        let epilogue = Epilogue {
            bias: bias.as_ref().map(flex::floats),
            residual: residual.as_ref().map(flex::floats),
            activation,
        };
        flex_product(x, flex::matrix(&weight), epilogue)
    }

    fn x_gradient(weight: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        if !flex::is_f32(&gradient) {
            return Self::linear_x_backward(weight, gradient);
        }
        let weight = flex::forward_strides(weight);
        flex_product(gradient, flex::matrix(&weight).transposed(), Epilogue::default())
    }

    fn weight_gradient(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        if !flex::is_f32(&gradient) {
            return Self::linear_weight_backward(x, gradient);
        }
        let (x, gradient) = (flex::contiguous(x), flex::contiguous(gradient));
        let (left, right) = (flex::rows(&x).transposed(), flex::rows(&gradient));
        let product = multiply(InstructionSet::best(), left, right, Epilogue::default());
        flex::tensor(product, [left.rows, right.columns])
    }

    fn bias_gradient(gradient: FlexTensor) -> FlexTensor {
        if !flex::is_f32(&gradient) {
            return Self::linear_bias_backward(gradient);
        }
        let gradient = flex::contiguous(gradient);
        let columns = flex::rows(&gradient).columns;
        flex::tensor(column_sums(flex::floats(&gradient), columns), [columns])
    }
}

fn flex_product(x: FlexTensor, weight: Matrix<'_>, epilogue: Epilogue<'_>) -> FlexTensor {
    let x = flex::contiguous(x);
    let mut shape = x.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = weight.columns;
    }
    let product = multiply(InstructionSet::best(), flex::rows(&x), weight, epilogue);
    flex::tensor(product, shape)
}

/// Without autodiff.
impl<B: LinearKernel> LinearOperator for B {
    fn linear_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: OptionalTensor<Self>,
        residual: OptionalTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (bias.into_option(), residual.into_option());
        Self::linear_forward(x, weight, bias, residual, activation)
    }
}

impl<B: LinearKernel, C: CheckpointStrategy> LinearOperator for Autodiff<B, C> {
    fn linear_activation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: OptionalTensor<Self>,
        residual: OptionalTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        let (bias, residual) = (bias.into_option(), residual.into_option());
        let tracked = x.is_tracked() || weight.is_tracked() || bias.as_ref().is_some_and(|bias| bias.is_tracked());
        // The activation is fused only without gradients, since its gradient needs its input.
        let fused = if tracked { Activation::None } else { activation };
        let output = match (bias, residual) {
            (None, None) => recorded::<B, C, 2>(fused, [x.node(), weight.node()], [x, weight], [None, None]),
            (Some(bias), None) => {
                let nodes = [x.node(), weight.node(), bias.node()];
                recorded::<B, C, 3>(fused, nodes, [x, weight], [Some(bias), None])
            }
            (None, Some(residual)) => {
                let nodes = [x.node(), weight.node(), residual.node()];
                recorded::<B, C, 3>(fused, nodes, [x, weight], [None, Some(residual)])
            }
            (Some(bias), Some(residual)) => {
                let nodes = [x.node(), weight.node(), bias.node(), residual.node()];
                recorded::<B, C, 4>(fused, nodes, [x, weight], [Some(bias), Some(residual)])
            }
        };
        match activation {
            Activation::QuickGelu if tracked => <Self as QuickGeluOperator>::quick_gelu(output),
            Activation::Relu if tracked => <Self as ActivationOps<Self>>::relu(output),
            _ => output,
        }
    }
}

/// [`LinearKernel::linear_forward`] as a node of the autodiff graph. `nodes` are those of `x`, the weight, and the bias and residual
/// if present.
fn recorded<B: LinearKernel, C: CheckpointStrategy, const N: usize>(
    fused: Activation,
    nodes: [NodeGuard; N],
    [x, weight]: [FloatTensor<Autodiff<B, C>>; 2],
    offsets: [Option<FloatTensor<Autodiff<B, C>>>; 2],
) -> FloatTensor<Autodiff<B, C>> {
    let backward = LinearBackward {
        has_bias: offsets[0].is_some(),
    };
    let [bias, residual] = offsets.map(|offset| offset.map(|offset| offset.into_primitive()));
    let forward = |x, weight| B::linear_forward(x, weight, bias, residual, fused);
    match Backward::<B, N>::prepare::<C>(backward, nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(mut prep) => {
            // `x` is needed only for the gradient of the weight, and the weight only for that of `x`.
            let x_state = weight.is_tracked().then(|| prep.checkpoint(&x));
            let weight_state = x.is_tracked().then(|| prep.checkpoint(&weight));
            let output = forward(x.into_primitive(), weight.into_primitive());
            prep.finish((x_state, weight_state), output)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(x.into_primitive(), weight.into_primitive())),
    }
}

/// With `N` parents: `x`, the weight, and the bias and residual if present.
#[derive(Debug)]
struct LinearBackward {
    has_bias: bool,
}

impl<B: LinearKernel, const N: usize> Backward<B, N> for LinearBackward {
    type State = (Option<NodeId>, Option<NodeId>);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, weight) = ops.state;
        let x = x.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let mut weight = weight.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        for (index, parent) in ops.parents.into_iter().enumerate() {
            let Some(parent) = parent else { continue };
            let gradient = gradient.clone();
            let result = match (index, &x, weight.take()) {
                (0, _, Some(weight)) => B::x_gradient(weight, gradient),
                (1, Some(x), _) => B::weight_gradient(x.clone(), gradient),
                (2, ..) if self.has_bias => B::bias_gradient(gradient),
                (2 | 3, ..) => gradient,
                _ => continue, // a tracked parent has all inputs of its gradient
            };
            grads.register::<B>(parent.id, result);
        }
    }
}
