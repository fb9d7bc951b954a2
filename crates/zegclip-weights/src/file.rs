//! An open weight file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use serde_json::{Map, Value as Json};
use zegclip_foundation::{Fingerprint, nearest_name};

use crate::contents::Contents;
use crate::format::Format;
use crate::safetensors::read_safetensors;
use crate::sharded::read_sharded;
use crate::sniff::{Container, sniff};
use crate::source::Source;
use crate::torch::{read_legacy, read_zip};
use crate::view::{Entry, TensorInfo};
use crate::{Activation, Dtype, ForeignFile, FoundValues, OutputTensor, WeightError, config, naming, native_header};

/// Names that models are published under, in the order in which a folder is searched.
const IN_FOLDERS: [&str; 7] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.pth",
];

/// An open weight file: its tensors under canonical names, those of the authors' checkpoints (`backbone.*`,
/// `text_encoder.*`, `decode_head.*`, `logit_scale`). Tensors that are not part of the model keep the file's names.
///
/// The file stays open. A tensor is mapped into memory, and converted if needed, when it is read. A `WeightFile` is `Send` and
/// `Sync`: threads may read tensors at once.
///
/// ```no_run
/// # use zegclip_weights::{WeightError, WeightFile};
/// # fn main() -> Result<(), WeightError> {
/// let weights = WeightFile::open("ViT-B-16.pt".as_ref())?;
/// let (shape, values) = weights.tensor_f32("backbone.proj")?;
/// assert_eq!(shape, [768, 512]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WeightFile {
    path: PathBuf,
    format: Format,
    entries: BTreeMap<String, Entry>,
    meta: Map<String, Json>,
    classes: Option<Vec<String>>,
    /// The activation that the classes of a TorchScript archive show.
    activation: Option<Activation>,
    stays_mapped: bool,
}

impl WeightFile {
    /// Opens a weight file, the `*.index.json` of a sharded model, or a folder that contains either under its usual name. The
    /// content decides the format. Hugging Face's `config.json` or OpenCLIP's `open_clip_config.json` beside it becomes the
    /// value `config` of [`Self::meta`].
    ///
    /// # Errors
    /// Most variants of [`WeightError`]. The descriptions of all tensors are checked here, so that reading a tensor can fail
    /// only for a wrong checksum, a missing name or an error of the operating system.
    pub fn open(path: &Path) -> Result<Self, WeightError> {
        let path = if path.is_dir() {
            find_in_folder(path)?
        } else {
            path.to_owned()
        };
        let source = Arc::new(Source::open(&path)?);
        let contents = match sniff(&source)? {
            Container::ShardIndex => read_sharded(&source, read_container)?,
            container => read_as(container, &source)?,
        };
        let mut file = Self::new(path, contents)?;
        if matches!(file.format, Format::HuggingFace | Format::OpenClip)
            && let Some(config) = config::beside(&file.path)
        {
            file.meta.insert(config::KEY.to_owned(), config);
        }
        Ok(file)
    }

    /// Reads weights in memory, such as compiled-in ones; `name` stands for the path in errors.
    ///
    /// # Errors
    /// As [`Self::open`]; an index of shards is refused, since there is no folder to find them in.
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, WeightError> {
        let source = Arc::new(Source::from_memory(Path::new(name), bytes.into())?);
        let contents = read_container(&source)?;
        Self::new(name.into(), contents)
    }

    fn new(path: PathBuf, mut contents: Contents) -> Result<Self, WeightError> {
        let (format, entries) = naming::canonical(&path, &mut contents)?;
        if format == Format::Native {
            native_header::check(&contents.meta).map_err(|source| WeightError::Architecture {
                path: path.clone(),
                source,
            })?;
        }
        let classes = classes_of(format, &contents.meta);
        Ok(Self {
            path,
            format,
            entries,
            meta: contents.meta,
            classes,
            activation: contents.activation,
            stays_mapped: false,
        })
    }

    /// Lets models use the file's own pages instead of copies, where element type and order fit. The file must then not be
    /// modified for as long as the model lives; to replace it by renaming another one is allowed.
    #[must_use]
    pub fn stays_mapped(mut self) -> Self {
        self.stays_mapped = true;
        self
    }

    /// The published format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The opened file; of a folder, the file in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Canonical names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this canonical name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Shape and element type of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.entries.get(name).map(Entry::info)
    }

    /// Shape and row-major elements of a tensor of any type, as `f32`.
    ///
    /// # Errors
    /// [`WeightError::Missing`] for an unknown name, [`WeightError::Checksum`] for damaged data, [`WeightError::NotFinite`] for
    /// values that are NaN or infinite, [`WeightError::OutOfRange`] for those that the type cannot hold,
    /// [`WeightError::Changed`] if a mapped file was modified after it was opened.
    pub fn tensor_f32(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), WeightError> {
        let entry = self.entry(name)?;
        Ok((entry.info().shape.clone(), entry.to_f32()?))
    }

    /// The elements of an f32 tensor in the file's own pages, if [`Self::stays_mapped`] allows it and they are in row-major
    /// order, aligned, and in the byte order of the CPU.
    ///
    /// # Errors
    /// As [`Self::tensor_f32`].
    pub fn mapped_f32(&self, name: &str) -> Result<Option<bytes::Bytes>, WeightError> {
        if !self.stays_mapped {
            return Ok(None);
        }
        self.entry(name)?.mapped_f32()
    }

    /// As [`Self::tensor_f32`], for a tensor of a required shape.
    ///
    /// # Errors
    /// Also [`WeightError::Shape`] for another shape.
    pub fn tensor_f32_of(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightError> {
        let entry = self.entry(name)?;
        let found = &entry.info().shape;
        if found != shape {
            return Err(WeightError::Shape {
                path: self.path.clone(),
                key: name.to_owned(),
                found: found.clone(),
                expected: shape.to_owned(),
            });
        }
        entry.to_f32()
    }

    /// Shape and row-major elements in half precision, without conversion if the file has them so.
    ///
    /// # Errors
    /// As [`Self::tensor_f32`].
    pub fn tensor_f16(&self, name: &str) -> Result<(Vec<usize>, Vec<f16>), WeightError> {
        let entry = self.entry(name)?;
        Ok((entry.info().shape.clone(), entry.to_f16()?))
    }

    /// Checks that all elements of a tensor are finite numbers that `dtype`, a float type, can hold.
    ///
    /// # Errors
    /// As [`Self::tensor_f32`].
    pub fn require_range(&self, name: &str, dtype: Dtype) -> Result<(), WeightError> {
        self.entry(name)?.require_range(dtype)
    }

    /// Reads all tensors and returns the values that are NaN or infinite, one item for each tensor that has any.
    ///
    /// # Errors
    /// [`WeightError::Checksum`] for damaged data, [`WeightError::Changed`].
    pub fn not_finite(&self) -> Result<Vec<FoundValues>, WeightError> {
        let mut found = Vec::new();
        for entry in self.entries.values() {
            found.extend(entry.not_finite()?);
        }
        Ok(found)
    }

    /// The tensors whose names begin with `prefix`: their names, shapes, types and bytes, which are read once. The length is that of
    /// the bytes.
    ///
    /// # Errors
    /// As [`Self::tensor_f32`].
    pub fn fingerprint(&self, prefix: &str) -> Result<Fingerprint, WeightError> {
        let (mut length, mut entries) = (0, Vec::new());
        for (name, entry) in self
            .entries
            .range(prefix.to_owned()..)
            .take_while(|(name, _)| name.starts_with(prefix))
        {
            let TensorInfo { shape, dtype, .. } = entry.info();
            let bytes = Fingerprint::of_bytes(&entry.to_bytes(*dtype)?);
            length += bytes.length;
            entries.push(format!("{name} {shape:?} {dtype} {}", bytes.crc32));
        }
        Ok(Fingerprint {
            length,
            ..Fingerprint::of_entries(entries)
        })
    }

    /// A handle that tells whether the mapped files of these weights are still as they were when they were opened.
    pub fn watch(&self) -> Watch {
        let mut sources: Vec<Arc<Source>> = Vec::new();
        for source in self.entries.values().flat_map(Entry::sources) {
            if !sources.iter().any(|known| Arc::ptr_eq(known, source)) {
                sources.push(source.clone());
            }
        }
        Watch(sources)
    }

    /// A tensor for another file, converted to `dtype` if both types are floats. It is read when it is written.
    ///
    /// # Errors
    /// [`WeightError::Missing`] for an unknown name.
    pub fn output(&self, name: &str, dtype: Option<Dtype>) -> Result<OutputTensor<'_>, WeightError> {
        let entry = self.entry(name)?;
        let own = entry.info().dtype;
        let dtype = dtype.filter(|dtype| own.is_float() && dtype.is_float()).unwrap_or(own);
        Ok(OutputTensor::stored(name, dtype, entry))
    }

    /// The class names in the file: `CLASSES` in the `meta` of the authors' checkpoints, `classes` in the header of native
    /// files.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// Plain values beside the tensors: `meta` and the outermost numbers of checkpoints, the header's metadata of safetensors,
    /// the integer scalars of TorchScript archives, `config` of a configuration beside the file.
    pub fn meta(&self) -> &Map<String, Json> {
        &self.meta
    }

    pub(crate) fn shown_activation(&self) -> Option<Activation> {
        self.activation
    }

    fn entry(&self, name: &str) -> Result<&Entry, WeightError> {
        self.entries.get(name).ok_or_else(|| WeightError::Missing {
            path: self.path.clone(),
            key: name.to_owned(),
            nearest: nearest_name(name, self.names()).map(str::to_owned),
        })
    }
}

/// The files of weights that a model may use in place, see [`WeightFile::stays_mapped`].
#[derive(Debug, Clone)]
pub struct Watch(Vec<Arc<Source>>);

impl Watch {
    /// Checks the length and the time of modification of each mapped file.
    ///
    /// # Errors
    /// [`WeightError::Changed`] for a file that was modified, [`WeightError::Read`] if the operating system does not tell.
    pub fn check(&self) -> Result<(), WeightError> {
        self.0.iter().try_for_each(|source| source.require_unchanged())
    }
}

fn read_container(source: &Arc<Source>) -> Result<Contents, WeightError> {
    read_as(sniff(source)?, source)
}

fn read_as(container: Container, source: &Arc<Source>) -> Result<Contents, WeightError> {
    match container {
        Container::TorchZip => read_zip(source),
        Container::TorchLegacy => read_legacy(source),
        Container::Safetensors => read_safetensors(source),
        Container::ShardIndex => Err(source.not_weights(ForeignFile::Json)),
    }
}

fn find_in_folder(folder: &Path) -> Result<PathBuf, WeightError> {
    let found = IN_FOLDERS
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| WeightError::NoModelInFolder {
        path: folder.to_owned(),
        expected: IN_FOLDERS.to_vec(),
    })
}

fn classes_of(format: Format, meta: &Map<String, Json>) -> Option<Vec<String>> {
    let parsed;
    let list = match format {
        Format::Mmseg => meta.get("CLASSES")?,
        Format::Native => {
            parsed = serde_json::from_str::<Json>(meta.get("classes")?.as_str()?).ok()?;
            &parsed
        }
        _ => return None,
    };
    list.as_array()?
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_shared_between_threads() {
        fn assert_send_sync<T: Send + Sync>() {}
        assert_send_sync::<WeightFile>();
        assert_send_sync::<WeightError>();
    }
}
