//! Tensors to be written, and the atomic write.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use zegclip_foundation::{AtomicFile, IfExists};

use crate::source::Bytes;
use crate::view::{Entry, place};
use crate::{Dtype, FoundValues, TensorDefect, WeightError};

enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    Floats(Cow<'a, [f32]>),
    Stored(&'a Entry),
    Lazy(Box<dyn Fn() -> Result<Cow<'a, [u8]>, WeightError> + 'a>),
}

/// A tensor to be written: little-endian elements in row-major order, read or computed when they are written.
pub struct OutputTensor<'a> {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    data: Data<'a>,
}

impl<'a> OutputTensor<'a> {
    /// From existing bytes.
    pub fn new(name: impl Into<String>, shape: &[usize], dtype: Dtype, bytes: Cow<'a, [u8]>) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            dtype,
            data: Data::Bytes(bytes),
        }
    }

    /// From `f32` values, written as `dtype`, which is a float type (`f32` is taken for any other).
    pub fn from_f32(name: impl Into<String>, shape: &[usize], values: Cow<'a, [f32]>, dtype: Dtype) -> Self {
        let dtype = if dtype.is_float() { dtype } else { Dtype::F32 };
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            dtype,
            data: Data::Floats(values),
        }
    }

    /// From a function that is called when the tensor is written.
    pub fn lazy(
        name: impl Into<String>,
        shape: &[usize],
        dtype: Dtype,
        read: impl Fn() -> Result<Cow<'a, [u8]>, WeightError> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            dtype,
            data: Data::Lazy(Box::new(read)),
        }
    }

    /// A tensor of another file.
    pub(crate) fn stored(name: &str, dtype: Dtype, entry: &'a Entry) -> Self {
        let shape = entry.info().shape.clone();
        Self {
            name: name.to_owned(),
            shape,
            dtype,
            data: Data::Stored(entry),
        }
    }

    /// The tensor under another name.
    pub(crate) fn renamed(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The same elements in another shape of as many elements.
    pub(crate) fn reshaped(self, shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            ..self
        }
    }

    /// The tensor's name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }

    /// Fails if a value is finite but becomes infinite in the tensor's type.
    fn require_range(&self, path: &Path, values: &[f32]) -> Result<(), WeightError> {
        let limit = self.dtype.limit();
        let wrong = |value: &f32| value.is_finite() && value.abs() >= limit;
        let Some(index) = values.iter().position(wrong) else {
            return Ok(());
        };
        Err(WeightError::OutOfRange {
            path: path.to_owned(),
            dtype: self.dtype,
            values: Box::new(FoundValues {
                key: self.name.clone(),
                raw: self.name.clone(),
                first: values.get(index).copied().unwrap_or_default().into(),
                place: place(index, &self.shape),
                count: values.iter().filter(|value| wrong(value)).count(),
                elements: values.len(),
            }),
        })
    }

    /// The elements, as many as the shape has.
    pub(crate) fn bytes(&self, path: &Path) -> Result<Bytes<'_>, WeightError> {
        let bytes = match &self.data {
            Data::Bytes(bytes) => Bytes::Borrowed(bytes),
            Data::Floats(values) => {
                self.require_range(path, values)?;
                Bytes::Owned(self.dtype.encode_f32(values).unwrap_or_default())
            }
            Data::Stored(entry) => entry.to_bytes(self.dtype)?,
            Data::Lazy(read) => match read()? {
                Cow::Borrowed(bytes) => Bytes::Borrowed(bytes),
                Cow::Owned(bytes) => Bytes::Owned(bytes),
            },
        };
        if bytes.len() != self.len() {
            return Err(WeightError::Tensor {
                path: path.to_owned(),
                key: self.name.clone(),
                source: TensorDefect::Length {
                    shape: self.shape.clone(),
                    found: bytes.len(),
                    expected: self.len(),
                },
            });
        }
        Ok(bytes)
    }
}

impl std::fmt::Debug for OutputTensor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutputTensor({} {} {:?})", self.name, self.dtype, self.shape)
    }
}

/// Fails for two tensors of one name.
pub(crate) fn check_names(path: &Path, tensors: &[OutputTensor<'_>]) -> Result<(), WeightError> {
    let mut names: Vec<&str> = tensors.iter().map(OutputTensor::name).collect();
    names.sort_unstable();
    let same = names
        .iter()
        .zip(names.iter().skip(1))
        .find(|(first, second)| first == second);
    same.map_or(Ok(()), |(name, _)| {
        Err(WeightError::Duplicate {
            path: path.to_owned(),
            key: (*name).to_owned(),
            first: (*name).to_owned(),
            second: (*name).to_owned(),
        })
    })
}

/// Writes `path` completely or not at all.
pub(crate) fn write_atomically(
    path: &Path,
    if_exists: IfExists,
    write: impl FnOnce(&mut AtomicFile) -> Result<(), WeightError>,
) -> Result<(), WeightError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::AlreadyExists => WeightError::Exists { path: path.to_owned() },
        _ => io_error(path)(source),
    };
    let mut file = AtomicFile::create(path, if_exists).map_err(failed)?;
    write(&mut file)?;
    file.commit().map_err(failed)
}

/// How a failure of the operating system becomes an error that names the output.
pub(crate) fn io_error(path: &Path) -> impl Fn(std::io::Error) -> WeightError + '_ {
    move |source| WeightError::Write {
        path: path.to_owned(),
        source,
    }
}
