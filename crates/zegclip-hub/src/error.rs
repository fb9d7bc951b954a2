//! What can go wrong.

use std::io;
use std::path::PathBuf;

/// Why weights could not be found or downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text is not the name of weights.
    #[error("`{name}` does not name weights: {problem}")]
    Name {
        /// The text.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The environment states no home folder and no cache folder.
    #[error("there is no folder to cache weights in: neither ZEGCLIP_CACHE nor a home folder is set")]
    NoCacheFolder,
    /// The weights are not in the cache, and the network must not be used.
    #[error("`{name}` is not in the cache, and ZEGCLIP_OFFLINE or HF_HUB_OFFLINE forbids downloads ({address})")]
    Offline {
        /// The name of the weights.
        name: String,
        /// Where they would be downloaded from.
        address: String,
        /// Where the file belongs.
        path: PathBuf,
    },
    /// The server could not be reached, or the connection broke more often than it was useful to retry.
    #[error("cannot download {address}: {reason}")]
    Connection {
        /// The address.
        address: String,
        /// What failed.
        reason: String,
        /// Where the file belongs.
        path: PathBuf,
    },
    /// No bytes arrived for a time.
    #[error("cannot download {address}: no data for {seconds} s")]
    Stalled {
        /// The address.
        address: String,
        /// How long nothing arrived.
        seconds: u64,
        /// Where the file belongs.
        path: PathBuf,
    },
    /// The server refused.
    #[error("cannot download {address}: the server answers with status {status}")]
    Status {
        /// The address.
        address: String,
        /// HTTP status.
        status: u16,
        /// Where the file belongs.
        path: PathBuf,
    },
    /// The file is not the one that was published.
    #[error("{origin} has the SHA-256 {found}, expected {expected}")]
    Checksum {
        /// Address or path.
        origin: String,
        /// Expected digest.
        expected: String,
        /// Digest of the bytes.
        found: String,
    },
    /// The file is longer or shorter than the server stated.
    #[error("{address} has {found} bytes, the server stated {expected}")]
    Length {
        /// The address.
        address: String,
        /// Stated length.
        expected: u64,
        /// Length of what arrived.
        found: u64,
    },
    /// The repository has none of the files that are known to contain a CLIP model.
    #[error("the repository `{repository}` at `{revision}` has none of the files {}", expected.join(", "))]
    NoFile {
        /// `ORG/REPO`.
        repository: String,
        /// Branch, tag or commit.
        revision: String,
        /// The files that were looked for.
        expected: Vec<String>,
    },
    /// The answer of a Hugging Face server cannot be used.
    #[error("{address}: unusable answer of the server: {reason}")]
    Answer {
        /// The address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// `read`, `write` …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The observer ended the download. What has arrived is kept for the next one.
    #[error("the download of {address} was interrupted after {bytes} bytes")]
    Interrupted {
        /// The address.
        address: String,
        /// Bytes that have arrived.
        bytes: u64,
    },
}

impl HubError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
