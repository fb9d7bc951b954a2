//! Attention under autodiff: the backward pass keeps the inputs, the output and the log-sum-exp, not the matrix of weights.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::AttentionMask;
use super::AttentionOperator;
use super::kernel::{self, AttentionKernel};
use crate::optional::OptionalPair;

impl<B: AttentionKernel, C: CheckpointStrategy> AttentionOperator for Autodiff<B, C> {
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        extra: OptionalPair<Self>,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        match extra {
            OptionalPair::Absent => tracked::<B, C, 3>(QkvLayout::Separate, [query, key, value], mask),
            OptionalPair::Present(extra_key, extra_value) => {
                tracked::<B, C, 5>(QkvLayout::Separate, [query, key, value, extra_key, extra_value], mask)
            }
        }
    }

    fn attend_to_self(
        qkv: FloatTensor<Self>,
        extra: OptionalPair<Self>,
        heads: usize,
        mask: AttentionMask,
    ) -> FloatTensor<Self> {
        match extra {
            OptionalPair::Absent => tracked::<B, C, 1>(QkvLayout::Packed { heads }, [qkv], mask),
            OptionalPair::Present(extra_key, extra_value) => {
                tracked::<B, C, 3>(QkvLayout::Packed { heads }, [qkv, extra_key, extra_value], mask)
            }
        }
    }
}

/// How queries, keys and values are passed.
#[derive(Debug, Clone, Copy)]
enum QkvLayout {
    /// Three tensors.
    Separate,
    /// One tensor with merged heads.
    Packed { heads: usize },
}

/// State of the backward pass.
#[derive(Debug, Clone)]
struct State<T> {
    inputs: Vec<NodeId>,
    output: T,
    log_sum: T,
    mask: AttentionMask,
}

/// Output and log-sum-exp of the inputs in their order; `None` if one is missing.
fn forward<B: AttentionKernel>(
    layout: QkvLayout,
    inputs: Vec<FloatTensor<B>>,
    mask: AttentionMask,
) -> Option<(FloatTensor<B>, FloatTensor<B>)> {
    let mut inputs = inputs.into_iter();
    let mut next = || inputs.next();
    match layout {
        QkvLayout::Separate => {
            let (query, key, value) = (next()?, next()?, next()?);
            Some(B::attention_forward(query, key, value, next().zip(next()), mask))
        }
        QkvLayout::Packed { heads } => {
            let [query, key, value] = B::split_heads(next()?, heads);
            let (output, log_sum) = B::attention_forward(query, key, value, next().zip(next()), mask);
            Some((kernel::merge::<B>(output), log_sum))
        }
    }
}

fn tracked<B: AttentionKernel, C: CheckpointStrategy, const N: usize>(
    layout: QkvLayout,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    mask: AttentionMask,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes: [NodeGuard; N] = inputs.each_ref().map(|input| input.node());
    let primitives = inputs.iter().map(|input| input.primitive().clone()).collect();
    let Some((output, log_sum)) = forward::<B>(layout, primitives, mask) else {
        unreachable!("every layout has its inputs");
    };
    match Backward::<B, N>::prepare::<C>(AttentionBackward(layout), nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(mut prep) => {
            let state = State {
                inputs: inputs.iter().map(|input| prep.checkpoint(input)).collect(),
                output: output.clone(),
                log_sum,
                mask,
            };
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

#[derive(Debug)]
struct AttentionBackward(QkvLayout);

impl<B: AttentionKernel, const N: usize> Backward<B, N> for AttentionBackward {
    type State = State<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let State {
            inputs,
            output,
            log_sum,
            mask,
        } = ops.state;
        let mut inputs = inputs
            .into_iter()
            .map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id));
        let mut next = || inputs.next();
        let gradients = match self.0 {
            QkvLayout::Separate => {
                let (Some(query), Some(key), Some(value)) = (next(), next(), next()) else {
                    return;
                };
                let extra = next().zip(next());
                let all = B::attention_gradients(query, key, value, extra, mask, output, log_sum, gradient);
                let (key_extra, value_extra) = all.extra.unzip();
                vec![Some(all.query), Some(all.key), Some(all.value), key_extra, value_extra]
            }
            QkvLayout::Packed { heads } => {
                let Some(qkv) = next() else { return };
                let extra = next().zip(next());
                let (qkv, extra) = B::self_attention_gradients(qkv, heads, extra, mask, output, log_sum, gradient);
                let (key_extra, value_extra) = extra.unzip();
                vec![Some(qkv), key_extra, value_extra]
            }
        };
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}
