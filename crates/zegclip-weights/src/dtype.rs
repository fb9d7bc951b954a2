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
