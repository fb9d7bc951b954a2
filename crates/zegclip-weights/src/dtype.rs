//! Element types, and their conversion to and from `f32`.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use serde::Serialize;

/// Element type of a stored tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// Brain float: the upper half of an `f32`.
    Bf16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// One byte, zero or not.
    Bool,
}

impl Dtype {
    /// Every element type.
    pub(crate) const ALL: [Self; 10] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U8,
        Self::Bool,
    ];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether the elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The name that safetensors headers use.
    pub(crate) const fn safetensors_name(self) -> &'static str {
        match self {
            Self::F64 => "F64",
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::I64 => "I64",
            Self::I32 => "I32",
            Self::I16 => "I16",
            Self::I8 => "I8",
            Self::U8 => "U8",
            Self::Bool => "BOOL",
        }
    }

    /// `None` for element types that no CLIP uses.
    pub(crate) const fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype as Other;
        Some(match dtype {
            Other::F64 => Self::F64,
            Other::F32 => Self::F32,
            Other::F16 => Self::F16,
            Other::BF16 => Self::Bf16,
            Other::I64 => Self::I64,
            Other::I32 => Self::I32,
            Other::I16 => Self::I16,
            Other::I8 => Self::I8,
            Other::U8 => Self::U8,
            Other::BOOL => Self::Bool,
            _ => return None,
        })
    }

    /// The storage class in pickles of PyTorch, such as `FloatStorage`.
    pub(crate) const fn storage_class(self) -> &'static str {
        match self {
            Self::F64 => "DoubleStorage",
            Self::F32 => "FloatStorage",
            Self::F16 => "HalfStorage",
            Self::Bf16 => "BFloat16Storage",
            Self::I64 => "LongStorage",
            Self::I32 => "IntStorage",
            Self::I16 => "ShortStorage",
            Self::I8 => "CharStorage",
            Self::U8 => "ByteStorage",
            Self::Bool => "BoolStorage",
        }
    }

    /// The reverse of [`Self::storage_class`].
    pub(crate) fn from_storage_class(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.storage_class() == name)
    }

    /// One little-endian element as `f32`; `bytes` has [`Self::size`] bytes; fewer read as zero.
    pub(crate) fn read_f32(self, bytes: &[u8]) -> f32 {
        fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.first_chunk().copied().unwrap_or([0; N])
        }
        match self {
            Self::F64 => f64::from_le_bytes(array(bytes)) as f32,
            Self::F32 => f32::from_le_bytes(array(bytes)),
            Self::F16 => f16::from_le_bytes(array(bytes)).to_f32(),
            Self::Bf16 => bf16::from_le_bytes(array(bytes)).to_f32(),
            Self::I64 => i64::from_le_bytes(array(bytes)) as f32,
            Self::I32 => i32::from_le_bytes(array(bytes)) as f32,
            Self::I16 => i16::from_le_bytes(array(bytes)).into(),
            Self::I8 => i8::from_le_bytes(array(bytes)).into(),
            Self::U8 => u8::from_le_bytes(array(bytes)).into(),
            Self::Bool => f32::from(u8::from(array::<1>(bytes) != [0])),
        }
    }

    /// One little-endian element as `f64`, for messages.
    pub(crate) fn read_f64(self, bytes: &[u8]) -> f64 {
        match self {
            Self::F64 => f64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_default()),
            _ => self.read_f32(bytes).into(),
        }
    }

    /// Whether contiguous little-endian elements are all finite numbers, as integers are.
    pub(crate) fn all_finite(self, bytes: &[u8]) -> bool {
        // One more in an exponent of ones carries into the sign, which is cleared before; vector units need no comparison.
        match self {
            Self::F64 => {
                let carry = |bytes: &[u8; 8]| (u64::from_le_bytes(*bytes) & (u64::MAX >> 1)) + (1 << 52);
                bytes.as_chunks().0.iter().fold(0, |seen, bytes| seen | carry(bytes)) >> 63 == 0
            }
            Self::F32 => {
                let carry = |bytes: &[u8; 4]| (u32::from_le_bytes(*bytes) & (u32::MAX >> 1)) + (1 << 23);
                bytes.as_chunks().0.iter().fold(0, |seen, bytes| seen | carry(bytes)) >> 31 == 0
            }
            Self::F16 | Self::Bf16 => {
                let one = if self == Self::F16 { 1 << 10 } else { 1 << 7 };
                let carry = |bytes: &[u8; 2]| (u16::from_le_bytes(*bytes) & (u16::MAX >> 1)) + one;
                bytes.as_chunks().0.iter().fold(0, |seen, bytes| seen | carry(bytes)) >> 15 == 0
            }
            _ => true,
        }
    }

    /// The smallest magnitude that a conversion of `f32` to this type makes infinite.
    pub(crate) fn limit(self) -> f32 {
        match self {
            // Half a step above the largest number, 65504.
            Self::F16 => 65_520.0,
            Self::Bf16 => f32::from_bits(0x7f7f_8000),
            _ => f32::INFINITY,
        }
    }

    /// Converts contiguous little-endian elements; stops at the shorter of the two.
    pub(crate) fn convert_f32(self, bytes: &[u8], out: &mut [f32]) {
        /// Elements of a block, since `half` converts slices with vector instructions.
        const BLOCK: usize = 512;
        match self {
            Self::F16 => {
                let mut block = [f16::ZERO; BLOCK];
                for (bytes, out) in bytes.chunks(2 * BLOCK).zip(out.chunks_mut(BLOCK)) {
                    for (half, bytes) in block.iter_mut().zip(bytes.as_chunks::<2>().0) {
                        *half = f16::from_le_bytes(*bytes);
                    }
                    if let Some(block) = block.get(..out.len()) {
                        block.convert_to_f32_slice(out);
                    }
                }
            }
            Self::F32 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            _ => {
                for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(self.size())) {
                    *out = self.read_f32(bytes);
                }
            }
        }
    }

    /// `values` as little-endian elements of this type; `None` for types that lose more than precision, integers.
    pub fn encode_f32(self, values: &[f32]) -> Option<Vec<u8>> {
        Some(match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => {
                let mut halves = vec![f16::ZERO; values.len()];
                halves.convert_from_f32_slice(values);
                halves.iter().flat_map(|value| value.to_le_bytes()).collect()
            }
            Self::Bf16 => values
                .iter()
                .flat_map(|value| bf16::from_f32(*value).to_le_bytes())
                .collect(),
            Self::F64 => values
                .iter()
                .flat_map(|value| f64::from(*value).to_le_bytes())
                .collect(),
            _ => return None,
        })
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::I32 => "i32",
            Self::I16 => "i16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::Bool => "bool",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_its_own_encoding() {
        let values = [0.0, 1.0, -2.5, 65504.0];
        for dtype in [Dtype::F64, Dtype::F32, Dtype::F16] {
            let bytes = dtype.encode_f32(&values).unwrap();
            assert_eq!(bytes.len(), values.len() * dtype.size());
            let mut out = [9.0; 4];
            dtype.convert_f32(&bytes, &mut out);
            assert_eq!(out, values, "{dtype}");
        }
        let mut out = [9.0; 2];
        Dtype::Bf16.convert_f32(&Dtype::Bf16.encode_f32(&[-2.5, 3.0]).unwrap(), &mut out);
        assert_eq!(out, [-2.5, 3.0]);
        Dtype::I16.convert_f32(&[0xff, 0xff, 2, 1], &mut out);
        assert_eq!(out, [-1.0, 258.0]);
        Dtype::Bool.convert_f32(&[0, 7], &mut out);
        assert_eq!(out, [0.0, 1.0]);
        assert_eq!(Dtype::I64.encode_f32(&[1.0]), None);
    }

    #[test]
    fn every_half_that_is_not_finite_is_found() {
        for bits in 0..=u16::MAX {
            let bytes = [[0, 0], bits.to_le_bytes()].concat();
            assert_eq!(
                Dtype::F16.all_finite(&bytes),
                f16::from_bits(bits).is_finite(),
                "{bits:04x}"
            );
            assert_eq!(
                Dtype::Bf16.all_finite(&bytes),
                bf16::from_bits(bits).is_finite(),
                "{bits:04x}"
            );
        }
    }

    #[test]
    fn values_that_are_not_finite_are_found_at_any_place() {
        let singles = [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::from_bits(0x7f80_0001),
        ];
        let finite = [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, f32::from_bits(1)];
        for length in [1, 7, 8, 33, 4099] {
            let values: Vec<f32> = finite.into_iter().cycle().take(length).collect();
            let doubles = |values: &[f32]| Dtype::F64.encode_f32(values).unwrap();
            assert!(Dtype::F32.all_finite(&Dtype::F32.encode_f32(&values).unwrap()));
            assert!(Dtype::F64.all_finite(&doubles(&values)));
            for (place, bad) in [0, length / 2, length - 1].into_iter().zip(singles.into_iter().cycle()) {
                let mut values = values.clone();
                values[place] = bad;
                assert!(
                    !Dtype::F32.all_finite(&Dtype::F32.encode_f32(&values).unwrap()),
                    "{length} {place}"
                );
                assert!(!Dtype::F64.all_finite(&doubles(&values)), "{length} {place}");
            }
        }
        assert!(Dtype::I32.all_finite(&[0xff; 8]));
    }

    #[test]
    fn the_limit_is_where_a_conversion_becomes_infinite() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let below = f32::from_bits(dtype.limit().to_bits() - 1);
            assert!(
                dtype.all_finite(&dtype.encode_f32(&[below, -below]).unwrap()),
                "{dtype}"
            );
            assert!(
                !dtype.all_finite(&dtype.encode_f32(&[dtype.limit()]).unwrap()),
                "{dtype}"
            );
        }
    }

    #[test]
    fn every_half_converts_as_one_by_one() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        let mut out = vec![0.0; 65536];
        Dtype::F16.convert_f32(&bytes, &mut out);
        for (bits, value) in (0..=u16::MAX).zip(out) {
            let expected = f16::from_bits(bits).to_f32();
            assert!(value == expected || value.is_nan() && expected.is_nan(), "{bits:04x}");
        }
    }
}
