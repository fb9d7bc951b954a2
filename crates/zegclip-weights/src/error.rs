use std::path::PathBuf;

use crate::pickle::PickleError;

/// Why a weight file could not be read or written. The text names the file, the cause and, where there is one, the fix.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// The operating system refused to open, map or read the file.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The operating system refused to write the file; nothing was left behind.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// The file to be made.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The output is there already and overwriting was not asked for.
    #[error("`{}` exists already: choose another name or allow overwriting", .path.display())]
    Exists {
        /// The file to be made.
        path: PathBuf,
    },
    /// The path is a device, a pipe or the like.
    #[error("`{}` is not a file: give a weight file, an index of shards, or a folder that holds one", .path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
    /// A folder without any of the file names that models are published under.
    #[error("the folder `{}` holds none of {}: name the weight file itself", .path.display(), .expected.join(", "))]
    NoModelInFolder {
        /// The folder asked for.
        path: PathBuf,
        /// The names looked for.
        expected: Vec<&'static str>,
    },
    /// A file of zero bytes.
    #[error("`{}` is empty: download or copy it again", .path.display())]
    Empty {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file is of a known kind, but of none that holds weights this program reads.
    #[error("`{}` holds no weights but {found}: {fix}", .path.display())]
    NotWeights {
        /// The file asked for.
        path: PathBuf,
        /// What the file is, with its article.
        found: &'static str,
        /// What to do about it.
        fix: &'static str,
    },
    /// The content starts like no format known here.
    #[error(
        "`{}` is in no known weight format (it starts with the bytes {start}): expected are OpenAI's TorchScript `.pt`, \
         PyTorch checkpoints, and safetensors of OpenCLIP, Hugging Face or this project",
        .path.display()
    )]
    UnknownFormat {
        /// The file asked for.
        path: PathBuf,
        /// Its first bytes in hexadecimal.
        start: String,
    },
    /// The file ends too early or contradicts itself.
    #[error("`{}` is damaged: {reason}; download or copy it again", .path.display())]
    Damaged {
        /// The file asked for.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// The bytes of an entry do not have the checksum that the archive states.
    #[error("`{}` is damaged: the checksum of `{entry}` does not match its content; download or copy it again", .path.display())]
    Checksum {
        /// The archive.
        path: PathBuf,
        /// The entry with the wrong content.
        entry: String,
    },
    /// A form of the format that is deliberately not read.
    #[error("`{}` cannot be read: {reason}", .path.display())]
    Unsupported {
        /// The file asked for.
        path: PathBuf,
        /// What is not supported, and what to do instead.
        reason: String,
    },
    /// The pickled description of the tensors is broken, too large, or asks for code to be run.
    #[error("`{}`: {source}", .path.display())]
    Pickle {
        /// The file that holds the pickle.
        path: PathBuf,
        /// What is wrong with it.
        source: PickleError,
    },
    /// A safetensors header that contradicts itself or the size of the file.
    #[error("`{}` is damaged: {reason} ({source}); download or copy it again", .path.display())]
    Safetensors {
        /// The file asked for.
        path: PathBuf,
        /// What that means.
        reason: String,
        /// What the `safetensors` crate said.
        source: safetensors::SafeTensorError,
    },
    /// An `*.index.json` that is no index of shards.
    #[error("`{}` is no index of a sharded model: {reason}", .path.display())]
    Index {
        /// The index.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A shard that the index names is not beside it.
    #[error("`{}` names the shard `{shard}`, which is not beside it: download all parts of the model", .index.display())]
    MissingShard {
        /// The index.
        index: PathBuf,
        /// The file that is missing.
        shard: String,
    },
    /// A tensor that the index places in a shard is not in there.
    #[error("`{}` places `{key}` in the shard `{shard}`, which does not hold it: index and shards are of different models", .index.display())]
    MissingInShard {
        /// The index.
        index: PathBuf,
        /// The shard.
        shard: String,
        /// The tensor.
        key: String,
    },
    /// The file holds no tensors at all.
    #[error("`{}` holds no tensors (found: {found})", .path.display())]
    NoTensors {
        /// The file asked for.
        path: PathBuf,
        /// What the outermost level holds.
        found: String,
    },
    /// The tensors belong to no model known here.
    #[error(
        "`{}` holds tensors of a model that is neither CLIP nor ZegCLIP (for example `{example}`)",
        .path.display()
    )]
    UnknownModel {
        /// The file asked for.
        path: PathBuf,
        /// One of its tensors.
        example: String,
    },
    /// Two tensors of the file mean the same parameter.
    #[error("`{}` holds `{key}` twice (the second time as `{raw}`)", .path.display())]
    Duplicate {
        /// The file asked for.
        path: PathBuf,
        /// The canonical name.
        key: String,
        /// The name in the file.
        raw: String,
    },
    /// A tensor's description does not fit its data.
    #[error("`{}`: tensor `{key}` {reason}", .path.display())]
    Tensor {
        /// The file asked for.
        path: PathBuf,
        /// The tensor's name in the file.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that was asked for is not in the file.
    #[error("`{}` has no tensor `{key}`{}", .path.display(), nearest_text(.nearest))]
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
    #[error("`{}`: {reason}", .path.display())]
    Architecture {
        /// The file asked for.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

fn nearest_text(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map_or_else(String::new, |name| format!("; the nearest it has is `{name}`"))
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
            "`head.pth` has no tensor `backbone.proj`; the nearest it has is `backbone.prompt_proj.bias`"
        );
    }
}
