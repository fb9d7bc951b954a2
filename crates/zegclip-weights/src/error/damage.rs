//! How a file contradicts itself.

/// What is damaged in a file of `torch.save`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The directory at the end of a zip archive is missing or broken.
    #[error("its zip directory cannot be read ({0})")]
    Directory(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An entry or storage reaches beyond the end of the file.
    #[error("`{0}` is outside the file")]
    OutsideFile(String),
    /// Two entries of an archive have one name.
    #[error("it contains `{0}` twice")]
    DuplicateEntry(String),
    /// Two entries of an archive share bytes.
    #[error("`{0}` and `{1}` overlap")]
    Overlap(String, String),
    /// The description names a storage that the file does not contain.
    #[error("the storage `{0}` that its description names is missing")]
    MissingStorage(String),
    /// The list of storages of a legacy file is missing or is not a list of names.
    #[error("its list of storages is not a list of names")]
    StorageList,
    /// The list of storages of a legacy file names one that the description does not.
    #[error("its list of storages names `{0}`, which its description does not")]
    UnknownStorage(String),
    /// The file ends before or within a storage.
    #[error("it ends in the storage `{0}`")]
    Truncated(String),
}
