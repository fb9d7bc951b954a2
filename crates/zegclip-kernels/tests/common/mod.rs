//! What the tests of the operators share.

#![allow(dead_code)] // each test file uses a part

use burn::tensor::{Device, Tensor, TensorData};

/// Numbers in −1..1 that depend on the seed alone.
pub(crate) fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// A tensor of [`numbers`].
pub(crate) fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    Tensor::from_data(TensorData::new(numbers(count, seed), shape), device)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("an f32 tensor")
}

/// Compares with a tolerance relative to the largest expected number.
pub(crate) fn assert_close<const D: usize>(name: &str, actual: Tensor<D>, expected: Tensor<D>, tolerance: f32) {
    assert_eq!(actual.dims(), expected.dims(), "{name}: shape");
    let (actual, expected) = (values(actual), values(expected));
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (index, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
        let difference = (actual - expected).abs();
        assert!(
            difference <= tolerance * largest.max(1e-3),
            "{name}: element {index} is {actual}, expected {expected} (largest {largest})"
        );
    }
}

/// Runs `work` on a pool of its own.
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool of threads")
        .install(work)
}

/// Asserts that `run` gives the same, bit for bit, on any number of threads.
pub(crate) fn assert_same_on_threads(run: impl Fn() -> Vec<f32> + Send + Sync) {
    let one = on_threads(1, &run);
    for threads in [2, 3, 7] {
        assert_eq!(on_threads(threads, &run), one, "{threads} threads");
    }
}
