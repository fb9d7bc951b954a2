//! Tensors on their way into a file, and files that are either whole or not there.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::source::Bytes;
use super::view::Entry;
use super::{Dtype, WeightError};

/// What to do when the output exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfExists {
    /// Leave it alone and fail.
    #[default]
    Fail,
    /// Put the new file in its place, once it is complete.
    Replace,
}

enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    Floats(Cow<'a, [f32]>),
    Stored(&'a Entry),
    Lazy(Box<dyn Fn() -> Result<Cow<'a, [u8]>, WeightError> + 'a>),
}

/// A tensor to be written: little-endian elements in row-major order, read when their turn comes.
pub struct OutputTensor<'a> {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    data: Data<'a>,
}

impl<'a> OutputTensor<'a> {
    /// From bytes that are there already.
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
    pub(super) fn stored(name: &str, dtype: Dtype, entry: &'a Entry) -> Self {
        let shape = entry.info().shape.clone();
        Self {
            name: name.to_owned(),
            shape,
            dtype,
            data: Data::Stored(entry),
        }
    }

    /// The same under another name.
    pub(super) fn renamed(self, name: String) -> Self {
        Self { name, ..self }
    }

    /// The same elements with other extents, of as many.
    pub(super) fn reshaped(self, shape: &[usize]) -> Self {
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
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }

    /// The elements, as many as the shape says.
    pub(super) fn bytes(&self, path: &Path) -> Result<Bytes<'_>, WeightError> {
        let bytes = match &self.data {
            Data::Bytes(bytes) => Bytes::Borrowed(bytes),
            Data::Floats(values) => Bytes::Owned(self.dtype.encode_f32(values).unwrap_or_default()),
            Data::Stored(entry) => entry.to_bytes(self.dtype)?,
            Data::Lazy(read) => match read()? {
                Cow::Borrowed(bytes) => Bytes::Borrowed(bytes),
                Cow::Owned(bytes) => Bytes::Owned(bytes),
            },
        };
        if bytes.len() != self.len() {
            let reason = format!(
                "of shape {:?} has {} bytes of data instead of {}",
                self.shape,
                bytes.len(),
                self.len()
            );
            return Err(WeightError::Tensor {
                path: path.to_owned(),
                key: self.name.clone(),
                reason,
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
pub(super) fn check_names(path: &Path, tensors: &[OutputTensor<'_>]) -> Result<(), WeightError> {
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
            raw: (*name).to_owned(),
        })
    })
}

/// Writes under a temporary name in the same folder and renames at the end, so that no reader sees half a file and a failure
/// leaves nothing behind.
pub(super) fn write_atomically(
    path: &Path,
    if_exists: IfExists,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), WeightError>,
) -> Result<(), WeightError> {
    let failed = |source| WeightError::Write {
        path: path.to_owned(),
        source,
    };
    let exists = || WeightError::Exists { path: path.to_owned() };
    if if_exists == IfExists::Fail && path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".zegclip-").suffix(".partial");
    #[cfg(unix)]
    {
        // As any new file: what the user's mask leaves of read and write for all.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut temporary = builder.tempfile_in(folder).map_err(failed)?;
    let mut writer = BufWriter::new(temporary.as_file_mut());
    write(&mut writer)?;
    writer.flush().map_err(failed)?;
    drop(writer);
    temporary.as_file().sync_all().map_err(failed)?;
    let renamed = match if_exists {
        IfExists::Fail => temporary.persist_noclobber(path),
        IfExists::Replace => temporary.persist(path),
    };
    match renamed {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists()),
        Err(error) => Err(failed(error.error)),
    }
}

/// How a failure of the operating system becomes an error that names the output.
pub(super) fn io_error(path: &Path) -> impl Fn(std::io::Error) -> WeightError + '_ {
    move |source| WeightError::Write {
        path: path.to_owned(),
        source,
    }
}
