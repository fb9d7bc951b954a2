//! Vectorized exponential and logistic function.

use pulp::Simd;

/// 2ˣ for x ≤ 127 to within one unit in the last place; exactly 0 below −127.
///
/// x = n + f with |f| ≤ 1/2; 2ⁿ is written into the exponent and 2ᶠ is a polynomial (minimax in the relative error).
#[inline(always)]
pub(crate) fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    /// 1.5 · 2²³ + 127: adding it rounds to an integer, and the low bits of the sum are the biased exponent.
    const ROUND: f32 = 12_583_039.0;
    let splat = |value| simd.splat_f32s(value);
    let x = simd.max_f32s(x, splat(-127.0));
    let rounded = simd.add_f32s(x, splat(ROUND));
    let power =
        simd.transmute_f32s_u32s(simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23)));
    let f = simd.sub_f32s(x, simd.sub_f32s(rounded, splat(ROUND)));
    let mut sum = splat(1.535_336_2e-4);
    for coefficient in [
        1.339_887_4e-3,
        9.618_437e-3,
        5.550_332_5e-2,
        2.402_264_8e-1,
        6.931_472e-1,
        1.0,
    ] {
        sum = simd.mul_add_e_f32s(sum, f, splat(coefficient));
    }
    simd.mul_f32s(sum, power)
}

/// The logistic function of `factor · x`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::f32s, factor: f32) -> S::f32s {
    let exponent = simd.mul_f32s(x, simd.splat_f32s(-factor * std::f32::consts::LOG2_E));
    let one = simd.splat_f32s(1.0);
    // Beyond 125 the quotient would be subnormal, which takes a hundred times as long.
    let power = exp2(simd, simd.min_f32s(exponent, simd.splat_f32s(125.0)));
    simd.div_f32s(one, simd.add_f32s(one, power))
}
