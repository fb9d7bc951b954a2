//! What the tests of the operators share.

#![allow(dead_code)] // each test file uses a part

use burn::tensor::{Device, Tensor, TensorData};
use test_support::numbers;

/// A tensor of numbers in `[−1, 1)` that are a function of the seed.
pub(crate) fn random<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let count = shape.iter().product();
    Tensor::from_data(TensorData::new(numbers(count, seed), shape), device)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("an f32 tensor")
}

/// Compares with a tolerance relative to the largest expected magnitude. NaN never agrees.
pub(crate) fn assert_close<const D: usize>(name: &str, actual: Tensor<D>, expected: Tensor<D>, tolerance: f64) {
    assert_eq!(actual.dims(), expected.dims(), "{name}: shape");
    test_support::assert_close(name, &values(actual), &values(expected), tolerance);
}

/// Runs `work` on a pool of its own.
pub(crate) fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool of threads")
        .install(work)
}

/// Asserts that `run` has the same bits on any number of threads.
pub(crate) fn assert_same_on_threads(run: impl Fn() -> Vec<f32> + Send + Sync) {
    let one = on_threads(1, &run);
    for threads in [2, 3, 7] {
        assert_eq!(on_threads(threads, &run), one, "{threads} threads");
    }
}
