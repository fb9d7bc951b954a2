//! Attention on the CPU, of burn-flex's tensors.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Shape;

use super::AttentionMask;
use super::composed;
use super::cpu::{self, Attended, GradientTarget, Head, HeadBackward};
use super::kernel::{AttentionGradients, AttentionKernel};
use crate::cpu::{InstructionSet, OutputCells, filled_by};
use crate::flex::{self, Heads};

type Extra = Option<(FlexTensor, FlexTensor)>;

impl AttentionKernel for Flex {
    /// Views, where burn's reshape would copy.
    fn split_heads(qkv: FlexTensor, heads: usize) -> [FlexTensor; 3] {
        let qkv = flex::contiguous(qkv);
        let [batch, tokens, width] = qkv.shape().dims::<3>();
        let dim = width / 3 / heads;
        let start = qkv.layout().start_offset();
        [0, 1, 2].map(|part| {
            let strides = [tokens * width, dim, width, 1].map(|stride| stride as isize);
            let shape = Shape::new([batch, heads, tokens, dim]);
            let layout = Layout::new(shape, strides.to_vec(), start + part * heads * dim);
            qkv.clone().with_layout(layout)
        })
    }

    fn attention_forward(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        extra: Extra,
        mask: AttentionMask,
    ) -> (FlexTensor, FlexTensor) {
        if !flex::is_f32(&query) {
            return composed::forward::<Self>(query, key, value, extra, mask);
        }
        let inputs = Inputs::new(query, key, value, extra);
        let [batch, heads, queries, head_dim] = Heads::of(&inputs.query).shape;
        let value_dim = Heads::of(&inputs.value).shape[3];
        let Attended { output, log_sum } =
            cpu::attention(InstructionSet::best(), &inputs.heads(), heads, scale(head_dim), mask);
        let output = tokens_first(output, [batch, heads, queries, value_dim]);
        (output, flex::tensor(log_sum, [batch, heads, queries]))
    }

    fn attention_gradients(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        extra: Extra,
        mask: AttentionMask,
        output: FlexTensor,
        log_sum: FlexTensor,
        gradient: FlexTensor,
    ) -> AttentionGradients<Self> {
        if !flex::is_f32(&query) {
            return composed::gradients::<Self>(query, key, value, extra, mask, output, log_sum, gradient);
        }
        let inputs = Inputs::new(query, key, value, extra);
        let shapes = [&inputs.query, &inputs.key, &inputs.value].map(|tensor| Heads::of(tensor).shape);
        let mut results = shapes.map(|shape| vec![0.0; shape.iter().product()]);
        let extra = {
            let [query, key, value] = &mut results;
            let cells = [query, key, value].map(|result| OutputCells::of(result));
            let target = |index: usize, image: usize, head: usize| {
                let [_, heads, tokens, dim] = shapes[index];
                GradientTarget {
                    cells: &cells[index],
                    first: (image * tokens * heads + head) * dim,
                    stride: heads * dim,
                }
            };
            inputs.backward(&output, &gradient, &log_sum, mask, |image, head| {
                [0, 1, 2].map(|index| target(index, image, head))
            })
        };
        let [query, key, value] = results;
        AttentionGradients {
            query: tokens_first(query, shapes[0]),
            key: tokens_first(key, shapes[1]),
            value: tokens_first(value, shapes[2]),
            extra,
        }
    }

    fn self_attention_gradients(
        qkv: FlexTensor,
        heads: usize,
        extra: Extra,
        mask: AttentionMask,
        output: FlexTensor,
        log_sum: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, Extra) {
        let f32 = flex::is_f32(&qkv);
        let [query, key, value] = Self::split_heads(qkv, heads);
        let output = super::kernel::unmerge::<Self>(output, heads);
        let gradient = super::kernel::unmerge::<Self>(gradient, heads);
        if !f32 {
            let gradients = composed::gradients::<Self>(query, key, value, extra, mask, output, log_sum, gradient);
            let parts = [gradients.query, gradients.key, gradients.value].map(super::kernel::merge::<Self>);
            return (Self::float_cat(parts.into(), 2), gradients.extra);
        }
        let inputs = Inputs::new(query, key, value, extra);
        let [batch, heads, tokens, dim] = Heads::of(&inputs.query).shape;
        let width = 3 * heads * dim;
        let mut extra = None;
        let fill = |cells: &OutputCells<'_>| {
            extra = inputs.backward(&output, &gradient, &log_sum, mask, |image, head| {
                [0, 1, 2].map(|part| GradientTarget {
                    cells,
                    first: image * tokens * width + (part * heads + head) * dim,
                    stride: width,
                })
            });
        };
        // SAFETY: the rows of all heads of the three parts are the complete tensor, and the backward pass writes them all.
        let result = unsafe { filled_by(batch * tokens * width, fill) };
        (flex::tensor(result, [batch, tokens, width]), extra)
    }
}

fn scale(head_dim: usize) -> f32 {
    (head_dim as f32).sqrt().recip()
}

/// A tensor `[batch, heads, tokens, dim]` of data `[batch, tokens, heads, dim]`.
fn tokens_first(data: Vec<f32>, [batch, heads, tokens, dim]: [usize; 4]) -> FlexTensor {
    let strides = [tokens * heads * dim, dim, heads * dim, 1].map(|stride| stride as isize);
    let layout = Layout::new(Shape::new([batch, heads, tokens, dim]), strides.to_vec(), 0);
    flex::tensor(data, [batch, tokens, heads, dim]).with_layout(layout)
}

/// Inputs that the kernel can read.
struct Inputs {
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    extra: Extra,
}

impl Inputs {
    fn new(query: FlexTensor, key: FlexTensor, value: FlexTensor, extra: Extra) -> Self {
        Self {
            query: flex::forward_strides(query),
            key: flex::forward_strides(key),
            value: flex::forward_strides(value),
            extra: extra.map(|(key, value)| (flex::forward_strides(key), flex::forward_strides(value))),
        }
    }

    fn heads(&self) -> Vec<Head<'_>> {
        let (query, key, value) = (Heads::of(&self.query), Heads::of(&self.key), Heads::of(&self.value));
        let extra = self
            .extra
            .as_ref()
            .map(|(key, value)| (Heads::of(key), Heads::of(value)));
        let [batch, heads, ..] = query.shape;
        let of_image = |image: usize| {
            (0..heads).map(move |head| Head {
                query: query.head(image, head),
                key: key.head(image, head),
                value: value.head(image, head),
                extra: extra.map(|(key, value)| (key.head(image, head), value.head(image, head))),
            })
        };
        (0..batch).flat_map(of_image).collect()
    }

    /// Writes the gradients of queries, keys and values to the targets of each image and head, which share no cells, and
    /// returns those of the extra ones.
    fn backward<'a>(
        &'a self,
        output: &FlexTensor,
        gradient: &FlexTensor,
        log_sum: &FlexTensor,
        mask: AttentionMask,
        targets: impl Fn(usize, usize) -> [GradientTarget<'a>; 3],
    ) -> Extra {
        let heads = self.heads();
        let [batch, count, queries, head_dim] = Heads::of(&self.query).shape;
        let (output, gradient) = (
            flex::forward_strides(output.clone()),
            flex::forward_strides(gradient.clone()),
        );
        let (output, gradient) = (Heads::of(&output), Heads::of(&gradient));
        let log_sum = flex::contiguous(log_sum.clone());
        let log_sum = flex::floats(&log_sum);
        let extra_shapes = self.extra.as_ref().map(|(key, value)| {
            [key, value].map(|tensor| {
                let [_, heads, tokens, dim] = Heads::of(tensor).shape;
                [batch, heads, tokens, dim]
            })
        });
        let mut extra = extra_shapes.map(|shapes| shapes.map(|shape| vec![0.0; shape.iter().product()]));
        {
            let cells = extra
                .as_mut()
                .map(|extra| extra.each_mut().map(|memory| OutputCells::of(memory)));
            let extra_target = |index: usize| {
                let (cells, shapes) = (cells.as_ref()?, extra_shapes?);
                let target = |part: usize| GradientTarget {
                    cells: &cells[part],
                    first: index * shapes[part][2] * shapes[part][3],
                    stride: shapes[part][3],
                };
                Some((target(0), target(1)))
            };
            let tasks: Vec<HeadBackward<'_>> = heads
                .into_iter()
                .enumerate()
                .map(|(index, head)| {
                    let (image, head_index) = (index / count, index % count);
                    let [query_gradient, key_gradient, value_gradient] = targets(image, head_index);
                    HeadBackward {
                        head,
                        output: output.head(image, head_index),
                        output_gradient: gradient.head(image, head_index),
                        log_sum: &log_sum[index * queries..][..queries],
                        query_gradient,
                        key_gradient,
                        value_gradient,
                        extra_gradient: extra_target(index),
                    }
                })
                .collect();
            // SAFETY: the targets of different heads share no cells, and nothing else uses them.
            unsafe { cpu::attention_backward(InstructionSet::best(), &tasks, scale(head_dim), mask) };
        }
        let [key, value] = extra?;
        let own_batch = self.extra.as_ref().map_or(batch, |(key, _)| Heads::of(key).shape[0]);
        let [key_shape, value_shape] = extra_shapes?;
        let summed = |data: Vec<f32>, shape: [usize; 4]| {
            let tensor = flex::tensor(data, shape);
            if own_batch < batch {
                Flex::float_sum_dim(tensor, 0)
            } else {
                tensor
            }
        };
        Some((summed(key, key_shape), summed(value, value_shape)))
    }
}
