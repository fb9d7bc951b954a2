/// Numbers in `[−1, 1)` that are a function of the seed.
pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
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

/// Compares with a tolerance relative to the largest expected magnitude, or to 1e-3 where that is larger. NaN never agrees.
pub fn assert_close<A, E>(name: &str, actual: &[A], expected: &[E], tolerance: f64)
where
    A: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    assert_eq!(actual.len(), expected.len(), "{name}: number of values");
    let magnitudes = expected.iter().map(|value| (*value).into().abs());
    let largest = magnitudes.fold(1e-3, f64::max);
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let (actual, expected): (f64, f64) = ((*actual).into(), (*expected).into());
        // Written such that a NaN difference fails.
        assert!(
            (actual - expected).abs() <= tolerance * largest,
            "{name}: element {index} is {actual}, expected {expected} (largest {largest})"
        );
    }
}

/// Whether a test without a GPU has to fail: `ZEGCLIP_REQUIRE_GPU` is set, and not to 0.
pub fn gpu_required() -> bool {
    std::env::var_os("ZEGCLIP_REQUIRE_GPU").is_some_and(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinity_agree_with_no_number() {
        assert_close("equal", &[1.0f32, -2.0], &[1.0f64, -2.0], 0.0);
        for (actual, expected) in [
            ([1.0, f32::NAN], [1.0, 2.0]),
            ([1.0, 2.0], [1.0, f32::NAN]),
            ([f32::NAN; 2], [f32::NAN; 2]),
            ([f32::INFINITY; 2], [f32::INFINITY; 2]),
            ([1.0, 2.1], [1.0, 2.0]),
        ] {
            let compared = std::panic::catch_unwind(|| assert_close("compared", &actual, &expected, 1e-3));
            assert!(compared.is_err(), "{actual:?} {expected:?}");
        }
    }
}
