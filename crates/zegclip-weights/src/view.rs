//! Tensors as strided views of storages, transposed and concatenated without reading their elements.

use std::ops::Range;
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use crate::source::{Bytes, Storage};
use crate::{Dtype, TensorDefect, Unsupported, WeightError};

/// Shape and element type of a stored tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Element type in the file.
    pub dtype: Dtype,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size in bytes with the file's element type.
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.size()
    }
}

/// Elements above which a conversion is spread over threads.
const PARALLEL: usize = 1 << 16;

/// A strided view of a storage, checked to be inside it.
#[derive(Debug, Clone)]
pub(crate) struct View {
    storage: Arc<Storage>,
    dtype: Dtype,
    /// In elements, like the strides.
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl View {
    pub(crate) fn new(
        storage: Arc<Storage>,
        dtype: Dtype,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    ) -> Result<Self, TensorDefect> {
        if shape.len() != strides.len() {
            return Err(TensorDefect::Strides {
                extents: shape.len(),
                strides: strides.len(),
            });
        }
        let available = storage.len() / dtype.size();
        let elements = shape
            .iter()
            .try_fold(1usize, |product, &extent| product.checked_mul(extent));
        let last = shape.iter().zip(&strides).try_fold(offset, |last, (&extent, &stride)| {
            last.checked_add(extent.saturating_sub(1).checked_mul(stride)?)
        });
        let offset = match (elements, last) {
            (Some(0), _) => 0,
            (Some(elements), Some(last)) if elements <= available && last < available => offset,
            _ => {
                return Err(TensorDefect::OutsideStorage {
                    shape,
                    elements: available,
                });
            }
        };
        Ok(Self {
            storage,
            dtype,
            offset,
            shape,
            strides,
        })
    }

    /// All of a storage as one row-major tensor.
    pub(crate) fn of_storage(storage: Arc<Storage>, dtype: Dtype, shape: Vec<usize>) -> Result<Self, TensorDefect> {
        let strides = contiguous_strides(&shape).ok_or(TensorDefect::TooLarge)?;
        Self::new(storage, dtype, 0, shape, strides)
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The same elements with the axes reversed.
    pub(crate) fn transposed(mut self) -> Self {
        self.shape.reverse();
        self.strides.reverse();
        self
    }

    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The first element as an integer; zero if there is none.
    pub(crate) fn scalar_i64(&self) -> Result<i64, WeightError> {
        let size = self.dtype.size();
        let storage = self.storage.bytes()?;
        let bytes = storage.get(self.offset * size..).unwrap_or_default();
        Ok(match self.dtype {
            Dtype::I64 => bytes.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes)),
            dtype => dtype.read_f32(bytes) as i64,
        })
    }

    /// The bytes of the storage with the elements, if these are contiguous in row-major order.
    fn contiguous(&self) -> Option<Range<usize>> {
        let packed = contiguous_strides(&self.shape).unwrap_or_default();
        let differs = |((&extent, stride), packed)| extent > 1 && stride != packed;
        let size = self.dtype.size();
        let gaps = self.shape.iter().zip(&self.strides).zip(&packed).any(differs);
        (!gaps).then(|| self.offset * size..(self.offset + self.elements()) * size)
    }

    /// Writes the elements as `f32` into `out`, which has as many.
    fn read_f32(&self, out: &mut [f32]) -> Result<(), WeightError> {
        if self.elements() == 0 {
            return Ok(());
        }
        let size = self.dtype.size();
        let bytes = self.storage.bytes()?;
        if let Some(range) = self.contiguous() {
            let bytes = bytes.get(range).unwrap_or_default();
            if out.len() < PARALLEL {
                self.dtype.convert_f32(bytes, out);
            } else {
                let pieces = out.par_chunks_mut(PARALLEL).zip(bytes.par_chunks(PARALLEL * size));
                pieces.for_each(|(out, bytes)| self.dtype.convert_f32(bytes, out));
            }
            return Ok(());
        }
        let element = |index: usize| bytes.get(index * size..(index + 1) * size).unwrap_or_default();
        self.for_each_row(|row, start, stride| {
            for (i, value) in out.iter_mut().skip(row).take(self.row_length()).enumerate() {
                *value = self.dtype.read_f32(element(start + i * stride));
            }
        });
        Ok(())
    }

    /// The elements' own bytes in row-major order.
    fn read_bytes(&self, out: &mut Vec<u8>) -> Result<(), WeightError> {
        if self.elements() == 0 {
            return Ok(());
        }
        let bytes = self.storage.bytes()?;
        if let Some(range) = self.contiguous() {
            out.extend_from_slice(bytes.get(range).unwrap_or_default());
            return Ok(());
        }
        let size = self.dtype.size();
        self.for_each_row(|_, start, stride| {
            for i in 0..self.row_length() {
                let index = (start + i * stride) * size;
                out.extend_from_slice(bytes.get(index..index + size).unwrap_or_default());
            }
        });
        Ok(())
    }

    fn row_length(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Calls `row(index of the row's first element, its offset in the storage, stride inside the row)`.
    fn for_each_row(&self, mut row: impl FnMut(usize, usize, usize)) {
        let (Some((&length, outer)), Some((&stride, outer_strides))) =
            (self.shape.split_last(), self.strides.split_last())
        else {
            return row(0, self.offset, 1);
        };
        for index in 0..outer.iter().product::<usize>() {
            let mut rest = index;
            let mut start = self.offset;
            for (&extent, &stride) in outer.iter().zip(outer_strides).rev() {
                start += rest % extent * stride;
                rest /= extent;
            }
            row(index * length, start, stride);
        }
    }
}

/// One canonical tensor: one view, or several concatenated along the first axis.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    info: TensorInfo,
    parts: Vec<View>,
}

impl Entry {
    /// Fails if the shapes of the parts differ in more than the first axis.
    pub(crate) fn concatenated(parts: [View; 3]) -> Result<Self, TensorDefect> {
        let [first, ..] = &parts;
        let mut shape = first.shape.clone();
        let mut dtype = first.dtype;
        for part in parts.iter().skip(1) {
            match (shape.split_first_mut(), part.shape.split_first()) {
                (Some((rows, rest)), Some((more, other))) if rest == other => {
                    *rows = rows.checked_add(*more).ok_or(TensorDefect::TooLarge)?;
                }
                _ => {
                    return Err(TensorDefect::Parts {
                        first: shape,
                        other: part.shape.clone(),
                    });
                }
            }
            if part.dtype != dtype {
                dtype = Dtype::F32;
            }
        }
        Ok(Self {
            info: TensorInfo { shape, dtype },
            parts: parts.into(),
        })
    }

    pub(crate) fn info(&self) -> &TensorInfo {
        &self.info
    }

    pub(crate) fn to_f32(&self) -> Result<Vec<f32>, WeightError> {
        let mut values = vec![0.0; self.info.elements()];
        let mut rest = values.as_mut_slice();
        for part in &self.parts {
            let Some((head, tail)) = rest.split_at_mut_checked(part.elements()) else {
                break;
            };
            part.read_f32(head)?;
            rest = tail;
        }
        Ok(values)
    }

    pub(crate) fn to_f16(&self) -> Result<Vec<f16>, WeightError> {
        let mut halves = vec![f16::ZERO; self.info.elements()];
        if self.info.dtype == Dtype::F16 {
            let bytes = self.to_bytes(Dtype::F16)?;
            for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
                *half = f16::from_le_bytes(*bytes);
            }
        } else {
            halves.convert_from_f32_slice(&self.to_f32()?);
        }
        Ok(halves)
    }

    /// Little-endian row-major elements as `dtype`, a float type or the file's own. Unchanged elements of a complete storage
    /// are not copied.
    pub(crate) fn to_bytes(&self, dtype: Dtype) -> Result<Bytes<'_>, WeightError> {
        let own = self.parts.iter().all(|part| part.dtype == dtype);
        if !own {
            let encoded = dtype.encode_f32(&self.to_f32()?);
            return encoded.map(Bytes::Owned).ok_or_else(|| self.conversion_error(dtype));
        }
        if let Some(part) = self.complete_storage() {
            return part.storage.bytes();
        }
        let mut bytes = Vec::with_capacity(self.info.bytes());
        for part in &self.parts {
            part.read_bytes(&mut bytes)?;
        }
        Ok(Bytes::Owned(bytes))
    }

    /// The only part, if it is a complete storage in row-major order.
    fn complete_storage(&self) -> Option<&View> {
        match self.parts.as_slice() {
            [part] if part.contiguous() == Some(0..part.storage.len()) => Some(part),
            _ => None,
        }
    }

    /// The elements in the file's own pages, if the CPU can compute with them unchanged.
    pub(crate) fn mapped_f32(&self) -> Result<Option<bytes::Bytes>, WeightError> {
        let part = self.complete_storage().filter(|part| part.dtype == Dtype::F32);
        let Some(part) = part.filter(|_| cfg!(target_endian = "little")) else {
            return Ok(None);
        };
        Ok(match part.storage.bytes()? {
            Bytes::Mapped(mapped) if mapped.as_ptr().cast::<f32>().is_aligned() => {
                Some(bytes::Bytes::from_owner(mapped))
            }
            _ => None,
        })
    }

    fn conversion_error(&self, dtype: Dtype) -> WeightError {
        let path = self
            .parts
            .first()
            .map(|part| part.storage().source().path().to_owned())
            .unwrap_or_default();
        WeightError::Unsupported {
            path,
            source: Unsupported::Conversion {
                from: self.info.dtype,
                to: dtype,
            },
        }
    }
}

impl From<View> for Entry {
    fn from(view: View) -> Self {
        Self {
            info: TensorInfo {
                shape: view.shape.clone(),
                dtype: view.dtype,
            },
            parts: vec![view],
        }
    }
}

/// Row-major strides in elements; `None` when the product overflows.
fn contiguous_strides(shape: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1; shape.len()];
    let mut step = 1usize;
    for (stride, &extent) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.checked_mul(extent.max(1))?;
    }
    Some(strides)
}
