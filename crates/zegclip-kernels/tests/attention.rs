//! Attention against its composition from burn's operators.

mod common;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use common::{assert_close, assert_same_on_threads, random, values};
use zegclip_kernels::{attention, attention_with_dropout, dropout, self_attention, with_dropout_seed};

const FORWARD: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;

struct Case {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    extra: Option<(usize, usize)>, // batch and tokens
    dims: [usize; 2],
    causal: bool,
}

const CASES: [Case; 10] = [
    case(1, 1, [1, 1], None, [1, 1], false),
    case(2, 3, [5, 7], Some((1, 2)), [8, 8], false),
    case(2, 3, [5, 7], Some((2, 3)), [8, 5], false),
    case(1, 2, [47, 129], Some((1, 10)), [64, 64], false),
    case(2, 2, [49, 300], None, [64, 64], false),
    case(1, 4, [77, 77], None, [64, 64], true),
    case(1, 2, [9, 140], Some((1, 4)), [17, 33], true),
    case(3, 1, [1, 130], Some((3, 1)), [13, 21], false),
    case(1, 12, [197, 197], Some((1, 100)), [64, 64], false),
    case(1, 2, [33, 33], Some((1, 0)), [16, 16], true),
];

const fn case(
    batch: usize,
    heads: usize,
    [queries, keys]: [usize; 2],
    extra: Option<(usize, usize)>,
    dims: [usize; 2],
    causal: bool,
) -> Case {
    Case {
        batch,
        heads,
        queries,
        keys,
        extra,
        dims,
        causal,
    }
}

/// As written in a textbook.
fn composed(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    extra: Option<(Tensor<4>, Tensor<4>)>,
    causal: bool,
) -> Tensor<4> {
    let [batch, heads, queries, head_dim] = query.dims();
    let own = key.dims()[2];
    let (key, value) = match extra {
        Some((extra_key, extra_value)) if extra_key.dims()[2] > 0 => {
            let [_, _, tokens, value_dim] = extra_value.dims();
            (
                Tensor::cat(vec![key, extra_key.expand([batch, heads, tokens, head_dim])], 2),
                Tensor::cat(vec![value, extra_value.expand([batch, heads, tokens, value_dim])], 2),
            )
        }
        _ => (key, value),
    };
    let keys = key.dims()[2];
    let mut scores = query.clone().matmul(key.swap_dims(2, 3)) / (head_dim as f64).sqrt();
    if causal {
        let mut bias = vec![0.0f32; queries * keys];
        for query in 0..queries {
            for key in query + 1 + own - queries..own {
                bias[query * keys + key] = f32::NEG_INFINITY;
            }
        }
        scores = scores + Tensor::from_data(TensorData::new(bias, [1, 1, queries, keys]), &query.device());
    }
    softmax(scores, 3).matmul(value)
}

/// Inputs in the order query, key, value, extra key, extra value; strided as the model has them.
fn inputs(case: &Case, device: &Device) -> Vec<Tensor<4>> {
    let [head_dim, value_dim] = case.dims;
    let tokens_first =
        |batch, tokens, dim, seed| random([batch, tokens, case.heads, dim], seed, device).swap_dims(1, 2);
    let mut inputs = vec![
        tokens_first(case.batch, case.queries, head_dim, 1) * 2.0,
        tokens_first(case.batch, case.keys, head_dim, 2) * 2.0,
        tokens_first(case.batch, case.keys, value_dim, 3),
    ];
    if let Some((batch, tokens)) = case.extra {
        inputs.push(random([batch, case.heads, tokens, head_dim], 4, device));
        inputs.push(random([batch, case.heads, tokens, value_dim], 5, device));
    }
    inputs
}

type Attention = fn(Tensor<4>, Tensor<4>, Tensor<4>, Option<(Tensor<4>, Tensor<4>)>, bool) -> Tensor<4>;

fn run(case: &Case, inputs: &[Tensor<4>], operator: Attention) -> Tensor<4> {
    let extra = (inputs.len() > 3).then(|| (inputs[3].clone(), inputs[4].clone()));
    operator(
        inputs[0].clone(),
        inputs[1].clone(),
        inputs[2].clone(),
        extra,
        case.causal,
    )
}

/// Weights dropped by the mask of a seed, in the kernel and one operator after the other.
const DROPPED: [Attention; 2] = [
    |query, key, value, _, _| with_dropout_seed(9, || attention_with_dropout(query, key, value, 0.3)),
    |query, key, value, _, _| {
        let scale = (query.dims()[3] as f64).sqrt();
        let weights = softmax(query.matmul(key.swap_dims(2, 3)) / scale, 3);
        with_dropout_seed(9, || dropout(weights, 0.3)).matmul(value)
    },
];

/// Output and the gradient of each input.
fn with_gradients(case: &Case, operator: Attention) -> (Tensor<4>, Vec<Option<Tensor<4>>>) {
    let device = Device::flex().autodiff();
    let inputs: Vec<_> = inputs(case, &device).into_iter().map(Tensor::require_grad).collect();
    let output = run(case, &inputs, operator);
    let weights = random(output.dims(), 6, &device);
    let gradients = (output.clone() * weights).sum().backward();
    let of_inputs = inputs.iter().map(|input| input.grad(&gradients)).collect();
    (output.inner(), of_inputs)
}

#[test]
fn equals_its_composition() {
    let device = Device::flex();
    for (index, case) in CASES.iter().enumerate() {
        let inputs = inputs(case, &device);
        let actual = run(case, &inputs, attention);
        assert_close(&format!("case {index}"), actual, run(case, &inputs, composed), FORWARD);
    }
}

#[test]
fn gradients_equal_those_of_its_composition() {
    for (index, case) in CASES.iter().enumerate() {
        let (output, gradients) = with_gradients(case, attention);
        let (expected_output, expected) = with_gradients(case, composed);
        assert_close(&format!("case {index}"), output, expected_output, FORWARD);
        for (input, (actual, expected)) in gradients.into_iter().zip(expected).enumerate() {
            match (actual, expected) {
                (Some(actual), Some(expected)) => {
                    assert_close(&format!("case {index}, input {input}"), actual, expected, GRADIENT)
                }
                (actual, _) => assert!(
                    actual.is_none() && case.extra.is_some_and(|(_, tokens)| tokens == 0),
                    "case {index}: input {input} has no gradient"
                ),
            }
        }
    }
}

#[test]
fn only_some_inputs_are_tracked() {
    let device = Device::flex().autodiff();
    let inputs = inputs(&CASES[1], &device);
    let tracked = inputs[3].clone().require_grad();
    let output = attention(
        inputs[0].clone(),
        inputs[1].clone(),
        inputs[2].clone(),
        Some((tracked.clone(), inputs[4].clone())),
        false,
    );
    let gradients = (output * random([2, 3, 5, 8], 6, &device)).sum().backward();
    let (_, expected) = with_gradients(&CASES[1], composed);
    let gradient = tracked.grad(&gradients).expect("a gradient of the extra keys");
    assert_close(
        "extra keys",
        gradient,
        expected[3].clone().expect("a gradient"),
        GRADIENT,
    );
    assert!(inputs[0].grad(&gradients).is_none());
}

#[test]
fn self_attention_equals_attention_of_its_parts() {
    for (batch, tokens, heads, dim, extra, causal) in [
        (2, 50, 3, 16, Some(7), false),
        (1, 130, 2, 64, None, true),
        (1, 1, 1, 4, Some(1), false),
    ] {
        let device = Device::flex().autodiff();
        let qkv = random([batch, tokens, 3 * heads * dim], 1, &device).require_grad();
        let extra = extra.map(|extra| {
            let pair = [2, 3].map(|seed| random([1, heads, extra, dim], seed, &device).require_grad());
            (pair[0].clone(), pair[1].clone())
        });
        let weights = random([batch, tokens, heads * dim], 4, &device);
        let parts = qkv
            .clone()
            .reshape([batch, tokens, 3, heads, dim])
            .permute([2, 0, 3, 1, 4]);
        let part = |index| parts.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
        let expected = composed(part(0), part(1), part(2), extra.clone(), causal)
            .swap_dims(1, 2)
            .reshape([batch, tokens, heads * dim]);
        let actual = self_attention(qkv.clone(), heads, extra.clone(), causal);
        assert_close("output", actual.clone().inner(), expected.clone().inner(), FORWARD);
        let expected = (expected * weights.clone()).sum().backward();
        let actual = (actual * weights).sum().backward();
        let gradient = |gradients| qkv.grad(gradients).expect("a gradient");
        assert_close("gradient", gradient(&actual), gradient(&expected), GRADIENT);
        if let Some((key, value)) = extra {
            for input in [key, value] {
                let gradient = |gradients| input.grad(gradients).expect("a gradient");
                assert_close("gradient of extra", gradient(&actual), gradient(&expected), GRADIENT);
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let (output, gradients) = with_gradients(&CASES[8], attention);
        let mut all = values(output);
        gradients
            .into_iter()
            .flatten()
            .for_each(|gradient| all.extend(values(gradient)));
        all
    };
    assert_same_on_threads(run);
}

#[test]
fn large_scores_neither_overflow_nor_vanish() {
    let device = Device::flex();
    let query = random([1, 1, 20, 8], 1, &device) * 300.0;
    let key = random([1, 1, 30, 8], 2, &device) * 300.0;
    let value = random([1, 1, 30, 8], 3, &device);
    let expected = composed(query.clone(), key.clone(), value.clone(), None, false);
    // Scores of 10⁵ are known to 10⁻² only; the softmax of both is one key, save for ties.
    assert_close("output", attention(query, key, value, None, false), expected, 1e-2);
}

#[test]
fn dropped_weights_are_those_of_the_composition() {
    let fitting = || CASES.iter().filter(|case| case.extra.is_none() && !case.causal);
    assert!(fitting().count() > 1);
    for case in fitting().chain([&case(2, 3, [35, 77], None, [16, 24], false)]) {
        let [(actual, gradients), (expected, expected_gradients)] =
            DROPPED.map(|operator| with_gradients(case, operator));
        let name = format!("{} queries to {} keys", case.queries, case.keys);
        assert_close(&name, actual, expected, FORWARD);
        for (index, (actual, expected)) in gradients.into_iter().zip(expected_gradients).enumerate() {
            let name = format!("{name}, gradient {index}");
            assert_close(&name, actual.expect("one"), expected.expect("one"), GRADIENT);
        }
    }
}
