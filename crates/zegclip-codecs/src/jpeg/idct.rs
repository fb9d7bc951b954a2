//! The inverse cosine transform, as libjpeg's accurate integer method rounds it (Loeffler, Ligtenberg and Moschytz
//! 1989, with 11 multiplications).

/// Fractional bits of the constants.
const CONST_BITS: u32 = 13;
/// Bits kept after the first pass.
const PASS1_BITS: u32 = 2;

const fn fix(value: f64) -> i32 {
    (value * (1 << CONST_BITS) as f64 + 0.5) as i32
}

/// Values of neighboring columns: a pass treats them all at once.
type Lanes<const N: usize> = [i32; N];

#[inline(always)]
fn each<const N: usize>(a: Lanes<N>, b: Lanes<N>, operation: impl Fn(i32, i32) -> i32) -> Lanes<N> {
    // A plain loop: `array::from_fn` and `map` are not reliably inlined, which costs half of the time.
    let mut result = [0; N];
    for lane in 0..N {
        result[lane] = operation(a[lane], b[lane]);
    }
    result
}

#[inline(always)]
fn add<const N: usize>(a: Lanes<N>, b: Lanes<N>) -> Lanes<N> {
    each(a, b, i32::wrapping_add)
}

#[inline(always)]
fn sub<const N: usize>(a: Lanes<N>, b: Lanes<N>) -> Lanes<N> {
    each(a, b, i32::wrapping_sub)
}

#[inline(always)]
fn scale<const N: usize>(a: Lanes<N>, factor: f64) -> Lanes<N> {
    let factor = if factor < 0.0 { -fix(-factor) } else { fix(factor) };
    each(a, a, |value, _| value.wrapping_mul(factor))
}

/// One-dimensional transform along the first index, scaled by √8 and rounded to `shift` fewer bits.
#[inline(always)]
fn pass<const N: usize>(rows: [Lanes<N>; 8], shift: u32) -> [Lanes<N>; 8] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;

    let rotated = scale(add(r2, r6), 0.541196100);
    let even2 = add(rotated, scale(r6, -1.847759065));
    let even3 = add(rotated, scale(r2, 0.765366865));
    let shifted = |lanes: Lanes<N>| each(lanes, lanes, |value, _| value << CONST_BITS);
    let (even0, even1) = (shifted(add(r0, r4)), shifted(sub(r0, r4)));
    let even = [
        add(even0, even3),
        add(even1, even2),
        sub(even1, even2),
        sub(even0, even3),
    ];

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

    let round = |lanes: Lanes<N>| each(lanes, lanes, |value, _| value.wrapping_add(1 << (shift - 1)) >> shift);
    let mut result = [[0; N]; 8];
    for row in 0..4 {
        result[row] = round(add(even[row], odd[row]));
        result[7 - row] = round(sub(even[row], odd[row]));
    }
    result
}

/// The samples 0 to 255, in rows, of a block whose coefficients outside the first `N` rows and columns are zero.
#[inline(always)]
fn transform<const N: usize>(coefficients: [Lanes<N>; N]) -> Samples {
    let mut rows = [[0; N]; 8];
    rows[..N].copy_from_slice(&coefficients);
    let columns = pass(rows, CONST_BITS - PASS1_BITS);
    let mut transposed = [[0; 8]; 8];
    for row in 0..8 {
        for column in 0..N {
            transposed[column][row] = columns[row][column];
        }
    }
    let transposed = pass(transposed, CONST_BITS + PASS1_BITS + 3);
    let mut samples = [[0; 8]; 8];
    for row in 0..8 {
        for column in 0..8 {
            samples[row][column] = level(transposed[column][row]);
        }
    }
    samples
}

/// Samples of a block, in rows.
pub(super) type Samples = [[u8; 8]; 8];

/// The position within a block, in rows, of the i-th coefficient of the file.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];
/// How many coefficients of the file come before the first outside the upper left 4×4.
const LOW: usize = 10;

/// The samples of a block from its coefficients and quantization steps, both in the order of the file.
pub(super) fn inverse(coefficients: &[i16; 64], steps: &[u16; 64]) -> Samples {
    let value = |position: usize| i32::from(coefficients[position]) * i32::from(steps[position]);
    let any = |from: usize, to: usize| coefficients[from..to].iter().fold(0, |bits, &value| bits | value) != 0;
    if any(LOW, 64) {
        let mut block = [[0; 8]; 8];
        for (position, &place) in ZIGZAG.iter().enumerate() {
            block[usize::from(place >> 3)][usize::from(place & 7)] = value(position);
        }
        transform(block)
    } else if any(1, LOW) {
        let mut block = [[0; 4]; 4];
        for (position, &place) in ZIGZAG.iter().take(LOW).enumerate() {
            block[usize::from(place >> 3 & 3)][usize::from(place & 3)] = value(position);
        }
        transform(block)
    } else {
        [[level((value(0) + 4) >> 3); 8]; 8]
    }
}

fn level(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}
