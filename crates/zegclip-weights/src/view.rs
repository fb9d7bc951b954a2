//! Tensors as strided views of storages, transposed and concatenated without reading their elements.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use half::f16;
use rayon::prelude::*;

use crate::source::{Bytes, Source, Storage};
use crate::{Dtype, FoundValues, TensorDefect, Unsupported, WeightError};

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
/// Bytes that one task checks; a multiple of all sizes of elements.
const BLOCK: usize = 1 << 19;
/// The smallest magnitude of an `f64` that is infinite as `f32`: half a step above the largest number.
const LARGEST_F32: f64 = 3.402_823_567_797_336_6e38;

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

    /// Writes the elements as `f32` into `out`, which has as many, and returns whether all are finite.
    fn read_f32(&self, out: &mut [f32]) -> Result<bool, WeightError> {
        if self.elements() == 0 {
            return Ok(true);
        }
        let size = self.dtype.size();
        let bytes = self.storage.bytes()?;
        let all_finite =
            |values: &[f32]| !self.dtype.is_float() || values.iter().fold(true, |all, value| all & value.is_finite());
        if let Some(range) = self.contiguous() {
            let bytes = bytes.get(range).unwrap_or_default();
            if out.len() < PARALLEL {
                self.dtype.convert_f32(bytes, out);
                return Ok(all_finite(out));
            }
            let finite = AtomicBool::new(true);
            let pieces = out.par_chunks_mut(PARALLEL).zip(bytes.par_chunks(PARALLEL * size));
            pieces.for_each(|(out, bytes)| {
                self.dtype.convert_f32(bytes, out);
                // While the values are in the cache.
                if !all_finite(out) {
                    finite.store(false, Ordering::Relaxed);
                }
            });
            return Ok(finite.into_inner());
        }
        let element = |index: usize| bytes.get(index * size..(index + 1) * size).unwrap_or_default();
        self.for_each_row(|row, start, stride| {
            for (i, value) in out.iter_mut().skip(row).take(self.row_length()).enumerate() {
                *value = self.dtype.read_f32(element(start + i * stride));
            }
        });
        Ok(all_finite(out))
    }

    /// Calls `element(index in row-major order, value)` for each element.
    fn for_each_f64(&self, mut element: impl FnMut(usize, f64)) -> Result<(), WeightError> {
        if self.elements() == 0 {
            return Ok(());
        }
        let size = self.dtype.size();
        let bytes = self.storage.bytes()?;
        self.for_each_row(|row, start, stride| {
            for i in 0..self.row_length() {
                let at = (start + i * stride) * size;
                element(
                    row + i,
                    self.dtype.read_f64(bytes.get(at..at + size).unwrap_or_default()),
                );
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

/// A view and its name in the file.
#[derive(Debug, Clone)]
struct Part {
    raw: String,
    view: View,
}

/// One canonical tensor: one view, or several concatenated along the first axis. Its elements are returned only if all of
/// them are finite numbers.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    key: String,
    info: TensorInfo,
    parts: Vec<Part>,
    /// Whether all elements are finite, once that is known.
    finite: OnceLock<bool>,
}

impl Entry {
    /// `key` is the canonical name, `raw` that in the file.
    pub(crate) fn new(key: impl Into<String>, raw: impl Into<String>, view: View) -> Self {
        Self {
            key: key.into(),
            info: TensorInfo {
                shape: view.shape.clone(),
                dtype: view.dtype,
            },
            parts: vec![Part { raw: raw.into(), view }],
            finite: OnceLock::new(),
        }
    }

    /// Fails if the shapes of the parts differ in more than the first axis.
    pub(crate) fn concatenated(key: &str, parts: [(String, View); 3]) -> Result<Self, TensorDefect> {
        let [(_, first), ..] = &parts;
        let mut shape = first.shape.clone();
        let mut dtype = first.dtype;
        for (_, part) in parts.iter().skip(1) {
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
            key: key.to_owned(),
            info: TensorInfo { shape, dtype },
            parts: parts.into_iter().map(|(raw, view)| Part { raw, view }).collect(),
            finite: OnceLock::new(),
        })
    }

    pub(crate) fn info(&self) -> &TensorInfo {
        &self.info
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The name of its first part in the file.
    pub(crate) fn raw(&self) -> &str {
        self.parts.first().map_or(&self.key, |part| &part.raw)
    }

    /// The files that its elements are in.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.parts.iter().map(|part| part.view.storage.source())
    }

    pub(crate) fn to_f32(&self) -> Result<Vec<f32>, WeightError> {
        let mut values = vec![0.0; self.info.elements()];
        let mut rest = values.as_mut_slice();
        let mut finite = true;
        for Part { view, .. } in &self.parts {
            let Some((head, tail)) = rest.split_at_mut_checked(view.elements()) else {
                break;
            };
            finite &= view.read_f32(head)?;
            rest = tail;
        }
        self.require(finite, Dtype::F32)?;
        Ok(values)
    }

    pub(crate) fn to_f16(&self) -> Result<Vec<f16>, WeightError> {
        let mut halves = vec![f16::ZERO; self.info.elements()];
        let bytes = self.to_bytes(Dtype::F16)?;
        for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *half = f16::from_le_bytes(*bytes);
        }
        Ok(halves)
    }

    /// Little-endian row-major elements as `dtype`, a float type or the file's own. Unchanged elements of a complete storage
    /// are not copied.
    pub(crate) fn to_bytes(&self, dtype: Dtype) -> Result<Bytes<'_>, WeightError> {
        let own = self.parts.iter().all(|part| part.view.dtype == dtype);
        if !own {
            let encoded = dtype.encode_f32(&self.to_f32()?);
            let encoded = encoded.ok_or_else(|| self.conversion_error(dtype))?;
            self.require(dtype.all_finite(&encoded), dtype)?;
            return Ok(Bytes::Owned(encoded));
        }
        if let Some(view) = self.complete_storage() {
            let bytes = view.storage.bytes()?;
            self.require_finite(view, &bytes)?;
            return Ok(bytes);
        }
        let mut bytes = Vec::with_capacity(self.info.bytes());
        for part in &self.parts {
            part.view.read_bytes(&mut bytes)?;
        }
        self.require(dtype.all_finite(&bytes), dtype)?;
        Ok(Bytes::Owned(bytes))
    }

    /// The only part, if it is a complete storage in row-major order.
    fn complete_storage(&self) -> Option<&View> {
        match self.parts.as_slice() {
            [Part { view, .. }] if view.contiguous() == Some(0..view.storage.len()) => Some(view),
            _ => None,
        }
    }

    /// The elements in the file's own pages, if the CPU can compute with them unchanged.
    pub(crate) fn mapped_f32(&self) -> Result<Option<bytes::Bytes>, WeightError> {
        let view = self.complete_storage().filter(|view| view.dtype == Dtype::F32);
        let Some(view) = view.filter(|_| cfg!(target_endian = "little")) else {
            return Ok(None);
        };
        let shared = view.storage.bytes()?.into_shared();
        let shared = shared.filter(|bytes| bytes.as_ptr().cast::<f32>().is_aligned());
        if let Some(bytes) = &shared {
            self.require_finite(view, bytes)?;
        }
        Ok(shared)
    }

    /// Fails unless every element is a finite number that `dtype` can hold.
    pub(crate) fn require_range(&self, dtype: Dtype) -> Result<(), WeightError> {
        let limit = dtype.limit();
        if limit == f32::INFINITY || self.parts.iter().all(|part| part.view.dtype == dtype) {
            return self.to_f32().map(drop);
        }
        let values = self.to_f32()?;
        let within = values
            .par_chunks(PARALLEL)
            .all(|values| values.iter().all(|value| value.abs() < limit));
        self.require(within, dtype)
    }

    /// The values that are not finite, if there are any.
    pub(crate) fn not_finite(&self) -> Result<Option<FoundValues>, WeightError> {
        // Without a copy where the file has the elements in order.
        match self.to_bytes(self.info.dtype) {
            Ok(_) => Ok(None),
            Err(WeightError::NotFinite { values, .. }) => Ok(Some(*values)),
            Err(error) => Err(error),
        }
    }

    /// The bytes are those of the complete storage of `view`.
    fn require_finite(&self, view: &View, bytes: &[u8]) -> Result<(), WeightError> {
        let all_finite = || bytes.par_chunks(BLOCK).all(|bytes| view.dtype.all_finite(bytes));
        let finite = *self.finite.get_or_init(all_finite);
        self.require(finite, view.dtype)
    }

    /// A mask of attention, whose infinities are meant. It is a constant that models do not load.
    fn is_constant(&self) -> bool {
        self.key.ends_with("attn_mask")
    }

    /// `fits`: whether all elements are finite numbers of the type `dtype`. If not, the error says which are not.
    fn require(&self, fits: bool, dtype: Dtype) -> Result<(), WeightError> {
        if fits || self.is_constant() {
            return Ok(());
        }
        let path = || {
            let source = self.sources().next();
            source.map(|source| source.path().to_owned()).unwrap_or_default()
        };
        if let Some(values) = self.find(|value| !value.is_finite())? {
            return Err(WeightError::NotFinite {
                path: path(),
                values: Box::new(values),
            });
        }
        let limit = f64::from(dtype.limit()).min(LARGEST_F32);
        Err(match self.find(|value| value.abs() >= limit)? {
            Some(values) => WeightError::OutOfRange {
                path: path(),
                dtype,
                values: Box::new(values),
            },
            // The file has changed since its elements were read.
            None => WeightError::Changed { path: path() },
        })
    }

    /// The elements that are wrong.
    fn find(&self, wrong: impl Fn(f64) -> bool) -> Result<Option<FoundValues>, WeightError> {
        let mut found: Option<FoundValues> = None;
        let mut before = 0;
        for Part { raw, view } in &self.parts {
            view.for_each_f64(|index, value| {
                if wrong(value) {
                    let found = found.get_or_insert_with(|| FoundValues {
                        key: self.key.clone(),
                        raw: raw.clone(),
                        first: value,
                        place: place(before + index, &self.info.shape),
                        count: 0,
                        elements: self.info.elements(),
                    });
                    found.count += 1;
                }
            })?;
            before += view.elements();
        }
        Ok(found)
    }

    fn conversion_error(&self, dtype: Dtype) -> WeightError {
        let path = self
            .sources()
            .next()
            .map(|source| source.path().to_owned())
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

/// The indices along the axes of the element `index` in row-major order.
pub(crate) fn place(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (place, &extent) in place.iter_mut().zip(shape).rev() {
        *place = index % extent.max(1);
        index /= extent.max(1);
    }
    place
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
