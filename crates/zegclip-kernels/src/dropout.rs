//! Dropout whose random numbers are computed where they are used, equal on every device.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Tensor, TensorData};
use zegclip_foundation::split_mix;

use crate::cpu::InstructionSet;
use crate::flex;

mod cpu;
#[cfg(feature = "cube")]
pub(crate) mod cube;
mod mask;

pub use mask::DropoutMask;

thread_local! {
    /// Number of this thread's next mask.
    static COUNTER: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8));
}

/// Runs `work`, within which the masks of [`dropout()`] are a function of `seed`, the same on every device. Outside of such work
/// they differ from thread to thread and from run to run.
pub fn with_dropout_seed<R>(seed: u64, work: impl FnOnce() -> R) -> R {
    /// Restores the counter of enclosing work: a thread that waits for its tasks may run other tasks.
    struct Outer(u64);
    impl Drop for Outer {
        fn drop(&mut self) {
            COUNTER.set(self.0);
        }
    }
    // Mixed, so that counters of consecutive seeds do not overlap.
    let _outer = Outer(COUNTER.replace(split_mix(seed)));
    work()
}

/// Sets each value to 0 with `probability` and divides the others by `1 − probability`. The mask is a function of the call's
/// number and of each value's position, so that it is not stored for the gradient.
///
/// # Shapes
/// Any, also that of the result.
///
/// # Panics
/// If `probability` is not in `[0, 1)`.
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64) -> Tensor<D> {
    let mask = next_mask(probability);
    Tensor::from_dispatch(<Dispatch as DropoutOperator>::apply_mask(x.into_dispatch(), mask))
}

/// [`dropout()`] by backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait DropoutOperator: Backend {
    /// Each value times its factor.
    fn apply_mask(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self>;
}

/// Dropout on a backend without autodiff. It is linear, and its own gradient. The default composes burn's operators.
pub trait DropoutKernel: Backend {
    /// Each value times its factor.
    fn masked(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        compose::<Self>(x, mask)
    }
}

/// The next mask of this thread.
pub(crate) fn next_mask(probability: f64) -> DropoutMask {
    assert!(
        (0.0..1.0).contains(&probability),
        "dropout with probability {probability}"
    );
    let state = COUNTER.get();
    COUNTER.set(state.wrapping_add(1));
    let mixed = split_mix(state);
    DropoutMask::new([mixed as u32, (mixed >> 32) as u32], probability)
}

fn compose<B: Backend>(x: FloatTensor<B>, mask: DropoutMask) -> FloatTensor<B> {
    let shape = x.shape();
    let factors: Vec<f32> = (0..shape.num_elements())
        .map(|position| mask.factor(position as u32))
        .collect();
    let factors = B::float_from_data(TensorData::new(factors, shape), &x.device());
    let factors = B::float_cast(factors, FloatDType::from(x.dtype()));
    B::float_mul(x, factors)
}

impl DropoutKernel for Flex {
    fn masked(x: FlexTensor, mask: DropoutMask) -> FlexTensor {
        if !flex::is_f32(&x) {
            return compose::<Self>(x, mask);
        }
        let instructions = InstructionSet::best();
        flex::map(
            x,
            |x| cpu::dropout(instructions, x, mask),
            |x| cpu::dropout_in_place(instructions, x, mask),
        )
    }
}

/// Without autodiff.
impl<B: DropoutKernel> DropoutOperator for B {
    fn apply_mask(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        Self::masked(x, mask)
    }
}

impl<B: DropoutKernel, C: CheckpointStrategy> DropoutOperator for Autodiff<B, C> {
    fn apply_mask(x: FloatTensor<Self>, mask: DropoutMask) -> FloatTensor<Self> {
        match DropoutBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(mask, B::masked(x.into_primitive(), mask)),
            OpsKind::UnTracked(prep) => prep.finish(B::masked(x.into_primitive(), mask)),
        }
    }
}

#[derive(Debug)]
struct DropoutBackward;

impl<B: DropoutKernel> Backward<B, 1> for DropoutBackward {
    type State = DropoutMask;

    fn backward(self, ops: Ops<DropoutMask, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| B::masked(gradient, ops.state));
    }
}
