//! Kinds of files that are passed for weight files by mistake.

/// What a file is that is not a weight file. `Display` gives the name with its article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignFile {
    /// A pointer of Git LFS instead of the file that it stands for.
    GitLfsPointer,
    /// HTML.
    WebPage,
    /// XML, such as a server's error message.
    Xml,
    /// JSON that is not an index of shards, or an index without a folder to find the shards in.
    Json,
    /// Other text.
    Text,
    /// A NumPy array, `.npy`.
    NumpyArray,
    /// An archive of NumPy arrays, `.npz`.
    NumpyArchive,
    /// A PNG image.
    Png,
    /// A JPEG image.
    Jpeg,
    /// A GIF image.
    Gif,
    /// A RIFF file, such as a WebP image.
    Riff,
    /// A PDF document.
    Pdf,
    /// A gzip archive.
    Gzip,
    /// A 7z archive.
    SevenZip,
    /// An xz archive.
    Xz,
    /// A tar archive: packed files, or PyTorch's container before 0.1.10.
    Tar,
    /// A zip archive without `data.pkl`.
    Zip,
    /// A GGUF model.
    Gguf,
    /// An HDF5 file.
    Hdf5,
    /// An ONNX model.
    Onnx,
    /// A Python pickle that `torch.save` did not write.
    Pickle,
    /// Bytes of zero only.
    Zeros,
}

impl std::fmt::Display for ForeignFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::GitLfsPointer => "a pointer of Git LFS",
            Self::WebPage => "a web page",
            Self::Xml => "an XML document",
            Self::Json => "JSON",
            Self::Text => "text",
            Self::NumpyArray => "a NumPy array",
            Self::NumpyArchive => "an archive of NumPy arrays (`.npz`)",
            Self::Png => "a PNG image",
            Self::Jpeg => "a JPEG image",
            Self::Gif => "a GIF image",
            Self::Riff => "a WebP image or another RIFF file",
            Self::Pdf => "a PDF document",
            Self::Gzip => "a gzip archive",
            Self::SevenZip => "a 7z archive",
            Self::Xz => "an xz archive",
            Self::Tar => "a tar archive",
            Self::Zip => "a zip archive without `data.pkl`",
            Self::Gguf => "a GGUF model",
            Self::Hdf5 => "an HDF5 file",
            Self::Onnx => "an ONNX model",
            Self::Pickle => "a Python pickle that `torch.save` did not write",
            Self::Zeros => "bytes of zero only",
        })
    }
}
