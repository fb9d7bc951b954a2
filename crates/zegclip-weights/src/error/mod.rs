//! Errors of reading and writing weight files: facts, one variant per cause.

mod architecture_defect;
mod damage;
mod foreign_file;
mod found_values;
mod tensor_defect;
mod unsupported;

use std::path::PathBuf;

use zegclip_foundation::did_you_mean;

pub use architecture_defect::ArchitectureDefect;
pub use damage::Damage;
pub use foreign_file::ForeignFile;
pub use found_values::FoundValues;
pub use tensor_defect::TensorDefect;
pub use unsupported::Unsupported;

use crate::dtype::Dtype;
use crate::pickle::PickleError;

/// Why a weight file could not be read or written. The text names the file and the cause, including that of the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightError {
    /// The operating system refused to open, map or read the file.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The operating system refused to write the file; nothing was left behind.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// The output.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The output already exists and is not to be replaced.
    #[error("`{}` already exists", .path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// The path is a device, a pipe or the like.
    #[error("`{}` is not a file", .path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// A folder without any of the file names that models are published under.
    #[error("the folder `{}` contains none of {}", .path.display(), .expected.join(", "))]
    NoModelInFolder {
        /// The folder asked for.
        path: PathBuf,
        /// The names looked for.
        expected: Vec<&'static str>,
    },
    /// A file of zero bytes.
    #[error("`{}` is empty", .path.display())]
    Empty {
        /// The file asked for.
        path: PathBuf,
    },
    /// A file of a known kind that is not a weight file.
    #[error("`{}` is not a weight file but {found}", .path.display())]
    NotWeights {
        /// The file asked for.
        path: PathBuf,
        /// What the file is.
        found: ForeignFile,
    },
    /// The content starts like no format known here.
    #[error(
        "`{}` is not in a known weight format (it starts with the bytes {start}); known are OpenAI's TorchScript `.pt`, \
         PyTorch checkpoints, and safetensors of OpenCLIP, Hugging Face or this project",
        .path.display()
    )]
    UnknownFormat {
        /// The file asked for.
        path: PathBuf,
        /// Its first bytes in hexadecimal.
        start: String,
    },
    /// A file of `torch.save` that ends too early or contradicts itself.
    #[error("`{}` is damaged: {source}", .path.display())]
    Damaged {
        /// The file asked for.
        path: PathBuf,
        /// What is damaged.
        source: Damage,
    },
    /// The bytes of an entry do not have the checksum that the archive states.
    #[error("`{}` is damaged: the checksum of `{entry}` does not match its content", .path.display())]
    Checksum {
        /// The archive.
        path: PathBuf,
        /// The entry with the wrong content.
        entry: String,
    },
    /// A safetensors header that contradicts itself or the size of the file.
    #[error("`{}` is damaged: its safetensors header does not fit ({source})", .path.display())]
    Safetensors {
        /// The file asked for.
        path: PathBuf,
        /// The error of the `safetensors` crate.
        source: safetensors::SafeTensorError,
    },
    /// A form of a known format that is deliberately not read.
    #[error("`{}` is not supported: {source}", .path.display())]
    Unsupported {
        /// The file asked for.
        path: PathBuf,
        /// What is not supported.
        source: Unsupported,
    },
    /// The pickled description of the tensors is broken, too large, or calls code.
    #[error("`{}`: {source}", .path.display())]
    Pickle {
        /// The file with the pickle.
        path: PathBuf,
        /// What is wrong with it.
        source: PickleError,
    },
    /// JSON that is not an index of shards.
    #[error("`{}` is not an index of a sharded model: {source}", .path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What the JSON lacks.
        source: serde_json::Error,
    },
    /// An index without shards.
    #[error("`{}` is not an index of a sharded model: it names no shards", .path.display())]
    EmptyIndex {
        /// The index.
        path: PathBuf,
    },
    /// An index that is larger than that of any model.
    #[error("`{}` is not an index of a sharded model: it has more than {limit} bytes", .path.display())]
    LargeIndex {
        /// The index.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// An index that names a shard in another folder.
    #[error("`{}` is not an index of a sharded model: the shard `{shard}` is not a file beside it", .index.display())]
    ShardPath {
        /// The index.
        index: PathBuf,
        /// The path of the shard.
        shard: String,
    },
    /// A shard that the index names is not beside it.
    #[error("`{}` names the shard `{shard}`, which is not beside it", .index.display())]
    MissingShard {
        /// The index.
        index: PathBuf,
        /// The file that is missing.
        shard: String,
    },
    /// A tensor that the index maps to a shard is not in it.
    #[error("`{}` maps `{key}` to the shard `{shard}`, which does not contain it", .index.display())]
    MissingInShard {
        /// The index.
        index: PathBuf,
        /// The shard.
        shard: String,
        /// The tensor.
        key: String,
    },
    /// The file contains no tensors.
    #[error("`{}` contains no tensors (found: {found})", .path.display())]
    NoTensors {
        /// The file asked for.
        path: PathBuf,
        /// The content of the outermost level.
        found: String,
    },
    /// The tensors belong to no model known here.
    #[error(
        "`{}` contains tensors of a model that is neither CLIP nor ZegCLIP (for example `{example}`)",
        .path.display()
    )]
    UnknownModel {
        /// The file asked for.
        path: PathBuf,
        /// One of its tensors.
        example: String,
    },
    /// Two tensors of the file mean the same parameter.
    #[error("`{}` contains `{key}` twice: as `{first}` and as `{second}`", .path.display())]
    Duplicate {
        /// The file asked for.
        path: PathBuf,
        /// The canonical name.
        key: String,
        /// The first name in the file.
        first: String,
        /// The second name in the file.
        second: String,
    },
    /// A tensor has values that are NaN or infinite, as after an overflow in training.
    #[error("`{}`: tensor {} has values that are not finite numbers: {values}", .path.display(), .values.name())]
    NotFinite {
        /// The file with the tensor.
        path: PathBuf,
        /// The values.
        values: Box<FoundValues>,
    },
    /// A tensor has values that the wanted element type cannot hold.
    #[error("`{}`: tensor {} has values that {dtype} cannot hold: {values}", .path.display(), .values.name())]
    OutOfRange {
        /// The file with the tensor.
        path: PathBuf,
        /// The wanted element type.
        dtype: Dtype,
        /// The values.
        values: Box<FoundValues>,
    },
    /// A mapped file was modified after it was opened.
    #[error("`{}` was changed while it was in use", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A tensor's description does not fit its data.
    #[error("`{}`: tensor `{key}` {source}", .path.display())]
    Tensor {
        /// The file asked for.
        path: PathBuf,
        /// The tensor's name in the file.
        key: String,
        /// What is wrong.
        source: TensorDefect,
    },
    /// A tensor that was asked for is not in the file.
    #[error("`{}` has no tensor `{key}`{}", .path.display(), did_you_mean(.nearest.as_deref()))]
    Missing {
        /// The file asked for.
        path: PathBuf,
        /// The canonical name.
        key: String,
        /// The name in the file that resembles it most.
        nearest: Option<String>,
    },
    /// A tensor has another shape than the model needs.
    #[error("`{}`: tensor `{key}` has shape {found:?}, but the model needs {expected:?}", .path.display())]
    Shape {
        /// The file asked for.
        path: PathBuf,
        /// The canonical name.
        key: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape asked for.
        expected: Vec<usize>,
    },
    /// The tensors' shapes describe no model that is implemented.
    #[error("`{}`: {source}", .path.display())]
    Architecture {
        /// The file asked for.
        path: PathBuf,
        /// What does not fit.
        source: ArchitectureDefect,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tensor_names_file_key_and_nearest() {
        let error = WeightError::Missing {
            path: "head.pth".into(),
            key: "backbone.proj".into(),
            nearest: Some("backbone.prompt_proj.bias".into()),
        };
        assert_eq!(
            error.to_string(),
            "`head.pth` has no tensor `backbone.proj` (did you mean `backbone.prompt_proj.bias`?)"
        );
    }
}
