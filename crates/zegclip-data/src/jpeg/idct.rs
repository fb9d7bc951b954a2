//! The inverse cosine transform, as libjpeg's accurate integer method rounds it (Loeffler, Ligtenberg and Moschytz
//! 1989, with 11 multiplications).

/// Coefficients of a block, dequantised, in rows.
pub(super) type Block = [i32; 64];

/// Fractional bits of the constants.
const CONST_BITS: u32 = 13;
/// Bits kept after the first pass.
const PASS1_BITS: u32 = 2;

const fn fix(value: f64) -> i32 {
    (value * (1 << CONST_BITS) as f64 + 0.5) as i32
}

/// Eight values, one of each column: a pass treats all columns at once.
type Lanes = [i32; 8];

#[inline(always)]
fn each(a: Lanes, b: Lanes, operation: impl Fn(i32, i32) -> i32) -> Lanes {
    std::array::from_fn(|lane| operation(a[lane], b[lane]))
}

#[inline(always)]
fn add(a: Lanes, b: Lanes) -> Lanes {
    each(a, b, i32::wrapping_add)
}

#[inline(always)]
fn sub(a: Lanes, b: Lanes) -> Lanes {
    each(a, b, i32::wrapping_sub)
}

#[inline(always)]
fn scale(a: Lanes, factor: f64) -> Lanes {
    let factor = if factor < 0.0 { -fix(-factor) } else { fix(factor) };
    a.map(|value| value.wrapping_mul(factor))
}

/// One-dimensional transform along the first index, scaled by √8 and rounded to `shift` fewer bits.
#[inline(always)]
fn pass(rows: [Lanes; 8], shift: u32) -> [Lanes; 8] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;

    let rotated = scale(add(r2, r6), 0.541196100);
    let even2 = add(rotated, scale(r6, -1.847759065));
    let even3 = add(rotated, scale(r2, 0.765366865));
    let even0 = add(r0, r4).map(|value| value << CONST_BITS);
    let even1 = sub(r0, r4).map(|value| value << CONST_BITS);
    let even = [add(even0, even3), add(even1, even2), sub(even1, even2), sub(even0, even3)];

    let z5 = scale(add(add(r7, r3), add(r5, r1)), 1.175875602);
    let z1 = scale(add(r7, r1), -0.899976223);
    let z2 = scale(add(r5, r3), -2.562915447);
    let z3 = add(scale(add(r7, r3), -1.961570560), z5);
    let z4 = add(scale(add(r5, r1), -0.390180644), z5);
    let odd = [
        add(scale(r1, 1.501321110), add(z1, z4)),
        add(scale(r3, 3.072711026), add(z2, z3)),
        add(scale(r5, 2.053119869), add(z2, z4)),
        add(scale(r7, 0.298631336), add(z1, z3)),
    ];

    let round = |value: i32| value.wrapping_add(1 << (shift - 1)) >> shift;
    std::array::from_fn(|row| {
        let sum = if row < 4 { add(even[row], odd[row]) } else { sub(even[7 - row], odd[7 - row]) };
        sum.map(round)
    })
}

#[inline(always)]
fn transpose(rows: [Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|row| std::array::from_fn(|column| rows[column][row]))
}

/// The block's samples 0 to 255, in rows.
pub(super) fn inverse(block: &Block) -> [[u8; 8]; 8] {
    let [dc, ac @ ..] = block;
    if ac.iter().all(|&coefficient| coefficient == 0) {
        return [[level((dc + 4) >> 3); 8]; 8];
    }
    let rows = std::array::from_fn(|row| std::array::from_fn(|column| block[row * 8 + column]));
    let columns = pass(rows, CONST_BITS - PASS1_BITS);
    let samples = transpose(pass(transpose(columns), CONST_BITS + PASS1_BITS + 3));
    samples.map(|row| row.map(level))
}

fn level(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}
