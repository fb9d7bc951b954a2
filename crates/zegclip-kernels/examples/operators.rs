//! Times each operator beside its composition from burn's operators on the CPU, at the sizes of ViT-B/16 with a 512²
//! crop: `cargo build --release --workspace --example operators` and `target/release/examples/operators [NAME]`. With
//! `CPU_TIME=1` in the environment it shows CPU time of all threads instead, which other programs disturb less.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::nn::LayerNormConfig;
use burn::tensor::activation::sigmoid;
use burn::tensor::module::{attention as burn_attention, linear as burn_linear};
use burn::tensor::{Device, Distribution, Tensor};
use zegclip_kernels::{Activation, attention, layer_norm, linear, quick_gelu, self_attention};

/// Patches of a 512² crop and the class token.
const TOKENS: usize = 1025;
const PROMPTS: usize = 10;
const WIDTH: usize = 768;
const HEADS: usize = 12;
const RUNS: usize = 15;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let plain = Device::flex();
    let train = Device::flex().autodiff();
    println!(
        "{:44} {:>9} {:>9} {:>7} {:>8}",
        "operator", "burn ms", "here ms", "times", "GFLOP/s"
    );
    let show = |name: &str, operations: f64, composed: &mut dyn FnMut(), here: &mut dyn FnMut()| {
        if name.contains(&only) {
            compare(name, operations, composed, here);
        }
    };
    linears(&plain, &show);
    attentions(&plain, &train, &show);
    elementwise(&plain, &train, &show);
}

type Show<'a> = dyn Fn(&str, f64, &mut dyn FnMut(), &mut dyn FnMut()) + 'a;

fn linears(device: &Device, show: &Show<'_>) {
    for (rows, input, output) in [
        (TOKENS, WIDTH, WIDTH),
        (TOKENS, WIDTH, 3 * WIDTH),
        (TOKENS, WIDTH, 4 * WIDTH),
        (TOKENS, 4 * WIDTH, WIDTH),
        (171, 512, 2048),
        (64 * 64, 192, 768),
        (64 * 64, 768, 192),
        (20, 512, 512),
    ] {
        let x: Tensor<3> = random([1, rows, input], device);
        let weight: Tensor<2> = random([input, output], device);
        let bias: Tensor<1> = random([output], device);
        let operations = 2.0 * (rows * input * output) as f64;
        let mut composed = || drop(black_box(burn_linear(x.clone(), weight.clone(), Some(bias.clone()))));
        show(
            &format!("linear {rows}×{input}×{output}"),
            operations,
            &mut composed,
            &mut || {
                drop(black_box(linear(
                    x.clone(),
                    weight.clone(),
                    Some(bias.clone()),
                    Activation::None,
                )))
            },
        );
        if output > input {
            let mut composed = || {
                drop(black_box(gelu(burn_linear(
                    x.clone(),
                    weight.clone(),
                    Some(bias.clone()),
                ))))
            };
            show(
                &format!("linear + QuickGELU {rows}×{input}×{output}"),
                operations,
                &mut composed,
                &mut || {
                    drop(black_box(linear(
                        x.clone(),
                        weight.clone(),
                        Some(bias.clone()),
                        Activation::QuickGelu,
                    )))
                },
            );
        }
    }
}

fn attentions(plain: &Device, train: &Device, show: &Show<'_>) {
    let operations = 4.0 * (TOKENS * (TOKENS + PROMPTS) * WIDTH) as f64;
    let dim = WIDTH / HEADS;
    for (device, name, factor) in [(plain, "forward", 1.0), (train, "forward and backward", 3.5)] {
        let qkv: Tensor<3> = random([1, TOKENS, 3 * WIDTH], device);
        let qkv = if device.is_autodiff() { qkv.require_grad() } else { qkv };
        let extra = || {
            (
                random([1, HEADS, PROMPTS, dim], device),
                random([1, HEADS, PROMPTS, dim], device),
            )
        };
        let (key, value): (Tensor<4>, Tensor<4>) = extra();
        let finish = |output: Tensor<3>| {
            if device.is_autodiff() {
                drop(black_box(output.sum().backward()));
            } else {
                drop(black_box(output));
            }
        };
        let mut composed = || {
            let parts = qkv.clone().reshape([1, TOKENS, 3, HEADS, dim]).permute([2, 0, 3, 1, 4]);
            let part = |index| parts.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
            let key = Tensor::cat(vec![part(1), key.clone()], 2);
            let value = Tensor::cat(vec![part(2), value.clone()], 2);
            let output = burn_attention(part(0), key, value, None, None, Default::default());
            finish(output.swap_dims(1, 2).reshape([1, TOKENS, WIDTH]));
        };
        show(
            &format!("self-attention {name}"),
            factor * operations,
            &mut composed,
            &mut || {
                finish(self_attention(
                    qkv.clone(),
                    HEADS,
                    Some((key.clone(), value.clone())),
                    false,
                ))
            },
        );
    }
    for classes in [20, 171] {
        let part = |tokens: usize| random([1, tokens, 8, 64], plain).swap_dims(1, 2);
        let (query, key, value): (Tensor<4>, Tensor<4>, Tensor<4>) = (part(classes), part(1024), part(1024));
        let mut composed = || {
            let (query, key, value) = (query.clone(), key.clone(), value.clone());
            drop(black_box(burn_attention(
                query,
                key,
                value,
                None,
                None,
                Default::default(),
            )))
        };
        let operations = 4.0 * (classes * 1024 * 512) as f64;
        show(
            &format!("cross-attention of {classes} classes"),
            operations,
            &mut composed,
            &mut || {
                drop(black_box(attention(
                    query.clone(),
                    key.clone(),
                    value.clone(),
                    None,
                    false,
                )))
            },
        );
    }
}

fn elementwise(plain: &Device, train: &Device, show: &Show<'_>) {
    let x: Tensor<3> = random([1, TOKENS, 4 * WIDTH], plain);
    show(
        "QuickGELU forward",
        0.0,
        &mut || drop(black_box(gelu(x.clone()))),
        &mut || drop(black_box(quick_gelu(x.clone()))),
    );
    let x: Tensor<3> = random([1, TOKENS, 4 * WIDTH], train).require_grad();
    show(
        "QuickGELU forward and backward",
        0.0,
        &mut || drop(black_box(gelu(x.clone()).sum().backward())),
        &mut || drop(black_box(quick_gelu(x.clone()).sum().backward())),
    );
    for (device, name) in [(plain, "forward"), (train, "forward and backward")] {
        for (rows, width) in [(TOKENS, WIDTH), (64 * 64, 192)] {
            let norm = LayerNormConfig::new(width).init(device);
            let (gamma, beta) = (norm.gamma.val(), norm.beta.as_ref().map(|beta| beta.val()));
            let x: Tensor<3> = random([1, rows, width], device);
            let x = if device.is_autodiff() { x.require_grad() } else { x };
            let finish = |output: Tensor<3>| {
                if device.is_autodiff() {
                    drop(black_box(output.sum().backward()));
                } else {
                    drop(black_box(output));
                }
            };
            show(
                &format!("layer norm {rows}×{width} {name}"),
                0.0,
                &mut || finish(norm.forward(x.clone())),
                &mut || finish(layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5)),
            );
        }
    }
}

fn gelu(x: Tensor<3>) -> Tensor<3> {
    x.clone() * sigmoid(x * 1.702)
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Alternates the two, so that a busy machine is unfair to neither, and prints the shortest times.
fn compare<'a>(name: &str, operations: f64, composed: &'a mut dyn FnMut(), here: &'a mut dyn FnMut()) {
    let mut times = [Vec::new(), Vec::new()];
    for run in 0..RUNS + 2 {
        for (times, work) in times.iter_mut().zip([&mut *composed as &mut dyn FnMut(), &mut *here]) {
            let start = Moment::now();
            work();
            if run >= 2 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    let [composed, here] = times.map(|times| times.into_iter().fold(f64::INFINITY, f64::min));
    let rate = operations / here / 1e6;
    println!("{name:44} {composed:9.2} {here:9.2} {:7.2} {rate:8.0}", composed / here);
}

/// When something starts, on the clock that is used.
enum Moment {
    /// Wall clock.
    Wall(Instant),
    /// CPU time of all threads so far.
    Cpu(Duration),
}

impl Moment {
    fn now() -> Self {
        if std::env::var_os("CPU_TIME").is_some() {
            Self::Cpu(cpu_time())
        } else {
            Self::Wall(Instant::now())
        }
    }

    fn elapsed(&self) -> Duration {
        match self {
            Self::Wall(start) => start.elapsed(),
            Self::Cpu(start) => cpu_time().saturating_sub(*start),
        }
    }
}

/// CPU time of all threads of this process; zero where Linux does not report it.
fn cpu_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}
