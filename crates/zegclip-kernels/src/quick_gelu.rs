//! QuickGELU, CLIP's activation.

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use crate::cpu::InstructionSet;
use crate::flex;

mod cpu;
#[cfg(feature = "cube")]
pub(crate) mod cube;

pub(crate) use cpu::quick_gelu_simd;

/// Slope inside the logistic function.
pub(crate) const SLOPE: f64 = 1.702;

/// `x · σ(1.702 x)`, the approximation of GELU that CLIP was trained with.
pub fn quick_gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as QuickGeluOperator>::quick_gelu(x.into_dispatch()))
}

/// [`quick_gelu()`] by backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait QuickGeluOperator: Backend {
    /// `x · σ(1.702 x)`
    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// QuickGELU and its gradient on a backend without autodiff. The defaults compose burn's operators.
pub trait QuickGeluKernel: Backend {
    /// `x · σ(1.702 x)`
    fn forward(x: FloatTensor<Self>) -> FloatTensor<Self> {
        compose::<Self>(x)
    }

    /// `gradient` times the derivative `σ + 1.702 x σ (1 − σ)`.
    fn backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        compose_backward::<Self>(x, gradient)
    }
}

fn compose<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let sigmoid = B::sigmoid(B::float_mul_scalar(x.clone(), SLOPE.into()));
    B::float_mul(x, sigmoid)
}

fn compose_backward<B: Backend>(x: FloatTensor<B>, gradient: FloatTensor<B>) -> FloatTensor<B> {
    let scaled = B::float_mul_scalar(x, SLOPE.into());
    let sigmoid = B::sigmoid(scaled.clone());
    let rest = B::float_add_scalar(B::float_neg(sigmoid.clone()), 1.0.into());
    let slope = B::float_add_scalar(B::float_mul(scaled, rest), 1.0.into());
    B::float_mul(gradient, B::float_mul(sigmoid, slope))
}

impl QuickGeluKernel for Flex {
    fn forward(x: FlexTensor) -> FlexTensor {
        if !flex::is_f32(&x) {
            return compose::<Self>(x);
        }
        let instructions = InstructionSet::best();
        flex::map(
            x,
            |x| cpu::quick_gelu(instructions, x),
            |x| cpu::quick_gelu_in_place(instructions, x),
        )
    }

    fn backward(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        if !flex::is_f32(&x) {
            return compose_backward::<Self>(x, gradient);
        }
        let x = flex::contiguous(x);
        let mut gradient = flex::owned(gradient);
        cpu::quick_gelu_backward_in_place(InstructionSet::best(), flex::floats(&x), gradient.storage_mut::<f32>());
        gradient
    }
}

/// Without autodiff.
impl<B: QuickGeluKernel> QuickGeluOperator for B {
    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::forward(x)
    }
}

impl<B: QuickGeluKernel, C: CheckpointStrategy> QuickGeluOperator for Autodiff<B, C> {
    fn quick_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        match QuickGeluBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let state = prep.checkpoint(&x);
                prep.finish(state, B::forward(x.into_primitive()))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::forward(x.into_primitive())),
        }
    }
}

#[derive(Debug)]
struct QuickGeluBackward;

impl<B: QuickGeluKernel> Backward<B, 1> for QuickGeluBackward {
    type State = NodeId;

    fn backward(self, ops: Ops<NodeId, 1>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let x = checkpointer.retrieve_node_output(ops.state);
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| B::backward(x, gradient));
    }
}
