//! Dropout whose random numbers are computed where they are used, alike on every device.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Cube, DType, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;

use crate::cpu::{self, InstructionSet, Lots};
use crate::{cube, flex};
use zegclip_foundation::split_mix;

thread_local! {
    /// Number of the next call of [`draw`].
    static STREAM: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8));
}

/// Runs `work`, in which what [`dropout()`] drops depends on `seed` alone, on whatever device. Elsewhere it differs from thread
/// to thread and from run to run.
pub fn with_dropout_seed<R>(seed: u64, work: impl FnOnce() -> R) -> R {
    /// The thread may be in the midst of other such work: one that waits for its tasks takes up others.
    struct Outer(u64);
    impl Drop for Outer {
        fn drop(&mut self) {
            STREAM.set(self.0);
        }
    }
    // Far from the numbers of the next seed.
    let _outer = Outer(STREAM.replace(split_mix(seed)));
    work()
}

/// Sets each value to 0 with `probability` and divides the others by `1 − probability`. Which ones are dropped is a function of
/// two numbers, drawn for each call, and of a value's position, so that no mask is kept for the gradient.
///
/// # Shapes
/// Any, also that of the result.
///
/// # Panics
/// If `probability` is not in 0..1.
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64) -> Tensor<D> {
    let lots = draw(probability);
    Tensor::from_dispatch(<Dispatch as DropoutOperator>::drop_values(x.into_dispatch(), lots))
}

/// [`dropout()`] by the kind of device.
#[backend_extension(Flex, Cube, NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait DropoutOperator: Backend {
    /// [`dropout()`]
    fn drop_values(x: FloatTensor<Self>, lots: Lots) -> FloatTensor<Self>;
}

/// Dropout on a device without autodiff. It is linear, and its own gradient. The default composes burn's operators.
pub trait DropoutKernel: Backend {
    /// [`dropout()`]
    fn masked(x: FloatTensor<Self>, lots: Lots) -> FloatTensor<Self> {
        compose::<Self>(x, lots)
    }
}

/// The next lots of this thread.
pub(crate) fn draw(probability: f64) -> Lots {
    assert!(
        (0.0..1.0).contains(&probability),
        "dropout with probability {probability}"
    );
    let state = STREAM.get();
    STREAM.set(state.wrapping_add(1));
    let mixed = split_mix(state);
    Lots::new([mixed as u32, (mixed >> 32) as u32], probability)
}

fn compose<B: Backend>(x: FloatTensor<B>, lots: Lots) -> FloatTensor<B> {
    let shape = x.shape();
    let factors: Vec<f32> = (0..shape.num_elements())
        .map(|position| lots.factor(position as u32))
        .collect();
    let factors = B::float_from_data(TensorData::new(factors, shape), &x.device());
    let factors = B::float_cast(factors, FloatDType::from(x.dtype()));
    B::float_mul(x, factors)
}

impl DropoutKernel for Cube {
    fn masked(x: CubeTensor, lots: Lots) -> CubeTensor {
        if x.dtype() == DType::F64 || x.shape().num_elements() == 0 {
            return compose::<Self>(x, lots);
        }
        cube::dropout(x, lots)
    }
}

impl DropoutKernel for Flex {
    fn masked(x: FlexTensor, lots: Lots) -> FlexTensor {
        if !flex::is_f32(&x) {
            return compose::<Self>(x, lots);
        }
        let instructions = InstructionSet::best();
        flex::map(
            x,
            |x| cpu::dropout(instructions, x, lots),
            |x| cpu::dropout_in_place(instructions, x, lots),
        )
    }
}

/// On devices without autodiff.
impl<B: DropoutKernel> DropoutOperator for B {
    fn drop_values(x: FloatTensor<Self>, lots: Lots) -> FloatTensor<Self> {
        Self::masked(x, lots)
    }
}

impl<B: DropoutKernel, C: CheckpointStrategy> DropoutOperator for Autodiff<B, C> {
    fn drop_values(x: FloatTensor<Self>, lots: Lots) -> FloatTensor<Self> {
        match DropoutBackward.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(lots, B::masked(x.into_primitive(), lots)),
            OpsKind::UnTracked(prep) => prep.finish(B::masked(x.into_primitive(), lots)),
        }
    }
}

#[derive(Debug)]
struct DropoutBackward;

impl<B: DropoutKernel> Backward<B, 1> for DropoutBackward {
    type State = Lots;

    fn backward(self, ops: Ops<Lots, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| B::masked(gradient, ops.state));
    }
}
