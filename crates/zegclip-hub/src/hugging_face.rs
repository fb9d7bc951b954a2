//! Files of Hugging Face repositories, in the cache that all programs of Hugging Face share.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};

use crate::download::{Client, Download, Observer, Progress};
use crate::error::HubError;
use crate::name::is_plain;

/// The usual names of files with a CLIP model, in order of preference.
pub(crate) const MODEL_FILES: [&str; 4] = [
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
];
/// Files beside a model that state what its tensors do not: activation, heads, image size.
const CONFIGURATIONS: [&str; 2] = ["open_clip_config.json", "config.json"];
/// Digits of a SHA-256, which is the entity tag of large files.
const SHA256_DIGITS: usize = 64;

/// A server with the interface of `huggingface.co`, and its cache folder.
#[derive(Debug, Clone)]
pub(crate) struct HuggingFace {
    pub(crate) cache: PathBuf,
    pub(crate) endpoint: String,
    pub(crate) token: Option<String>,
}

/// What a server says of a file.
struct Metadata {
    tag: String,
    commit: String,
    length: Option<u64>,
}

/// A repository at a revision.
pub(crate) struct Location<'a> {
    pub(crate) repository: &'a str,
    pub(crate) revision: &'a str,
}

impl HuggingFace {
    /// The cached file: `file`, or the first of the usual names.
    pub(crate) fn cached(&self, location: &Location<'_>, file: Option<&str>) -> Option<PathBuf> {
        let repository = Cache::new(self.cache.clone()).repo(location.repo());
        match file {
            Some(file) => repository.get(file),
            None => MODEL_FILES.iter().find_map(|file| repository.get(file)),
        }
    }

    /// Where `file` would be downloaded from.
    pub(crate) fn address(&self, location: &Location<'_>, file: Option<&str>) -> String {
        let repo = location.repo();
        format!(
            "{}/{}/resolve/{}/{}",
            self.endpoint.trim_end_matches('/'),
            repo.url(),
            repo.url_revision(),
            file.unwrap_or("")
        )
    }

    /// Downloads `file`, or the first of the usual names that the repository has, and the configurations beside it.
    pub(crate) fn fetch(
        &self,
        client: &Client,
        location: &Location<'_>,
        file: Option<&str>,
        observer: &mut Observer<'_>,
    ) -> Result<PathBuf, HubError> {
        if let Some(path) = self.cached(location, file) {
            return Ok(path);
        }
        let candidates = file.map_or_else(|| MODEL_FILES.to_vec(), |file| vec![file]);
        for candidate in &candidates {
            match self.fetch_file(client, location, candidate, observer) {
                Err(HubError::Status { status: 404, .. }) if file.is_none() => {}
                Err(error) => return Err(error),
                Ok(path) => {
                    let folder = Path::new(candidate).parent().unwrap_or(Path::new(""));
                    for configuration in CONFIGURATIONS {
                        let configuration = folder.join(configuration);
                        let configuration = configuration.to_string_lossy();
                        match self.fetch_file(client, location, &configuration, observer) {
                            Ok(_) | Err(HubError::Status { status: 404, .. }) => {}
                            Err(error) => return Err(error),
                        }
                    }
                    return Ok(path);
                }
            }
        }
        Err(HubError::NoFile {
            repository: location.repository.to_owned(),
            revision: location.revision.to_owned(),
            expected: candidates.iter().map(|&file| format!("`{file}`")).collect(),
        })
    }

    fn fetch_file(
        &self,
        client: &Client,
        location: &Location<'_>,
        file: &str,
        observer: &mut Observer<'_>,
    ) -> Result<PathBuf, HubError> {
        let repository = Cache::new(self.cache.clone()).repo(location.repo());
        if let Some(path) = repository.get(file) {
            return Ok(path);
        }
        let address = self.address(location, Some(file));
        let metadata = self.metadata(client, &address, file, observer)?;
        // Both become names of files.
        for (what, name) in [("entity tag", &metadata.tag), ("commit", &metadata.commit)] {
            if !is_plain(name) {
                return Err(HubError::Answer {
                    address,
                    reason: format!("its {what} is `{}`", name.escape_debug()),
                });
            }
        }
        let blob = repository.blob_path(&metadata.tag);
        let is_digest = metadata.tag.len() == SHA256_DIGITS && metadata.tag.bytes().all(|b| b.is_ascii_hexdigit());
        let download = Download {
            address: &address,
            target: &blob,
            sha256: is_digest.then_some(metadata.tag.as_str()),
            length: metadata.length,
            token: self.token.as_deref(),
        };
        client.download(&download, observer)?;
        let path = repository.pointer_path(&metadata.commit).join(file);
        link(&blob, &path)?;
        let reference =
            |source| HubError::io("write", self.cache.join(location.repo().folder_name()).join("refs"))(source);
        repository.create_ref(&metadata.commit).map_err(reference)?;
        Ok(path)
    }

    /// Entity tag, commit and length of a file, from the first server: the token is for no other.
    fn metadata(
        &self,
        client: &Client,
        address: &str,
        file: &str,
        observer: &mut Observer<'_>,
    ) -> Result<Metadata, HubError> {
        let (requested, token) = (address.to_owned(), self.token.clone());
        let head = client.clone();
        let work = move || head.head(&requested, token.as_deref());
        let progress = Progress::Receiving {
            file: file.to_owned(),
            received: 0,
            total: None,
        };
        let result = client
            .watched(work, &mut || observer(progress.clone()))
            .map_err(HubError::io("start a thread for", &self.cache))?;
        let Some(result) = result else {
            return Err(match observer(progress) {
                ControlFlow::Break(()) => HubError::Interrupted {
                    address: address.to_owned(),
                    bytes: 0,
                },
                ControlFlow::Continue(()) => self.unreachable(address, "the server does not answer"),
            });
        };
        let head = result.map_err(|reason| self.unreachable(address, &reason))?;
        if head.status >= 400 {
            return Err(HubError::Status {
                address: address.to_owned(),
                status: head.status,
                path: self.cache.clone(),
            });
        }
        let missing = |name: &str| HubError::Answer {
            address: address.to_owned(),
            reason: format!("it has no header `{name}`"),
        };
        let tag = head.header("x-linked-etag").or_else(|| head.header("etag"));
        let tag = tag.ok_or_else(|| missing("etag"))?;
        let length = head
            .header("x-linked-size")
            .or_else(|| head.header("content-range")?.rsplit('/').next());
        Ok(Metadata {
            tag: tag.trim_start_matches("W/").trim_matches('"').to_owned(),
            commit: head
                .header("x-repo-commit")
                .ok_or_else(|| missing("x-repo-commit"))?
                .to_owned(),
            length: length.and_then(|length| length.parse().ok()),
        })
    }

    fn unreachable(&self, address: &str, reason: &str) -> HubError {
        HubError::Connection {
            address: address.to_owned(),
            reason: reason.to_owned(),
            path: self.cache.clone(),
        }
    }
}

impl Location<'_> {
    fn repo(&self) -> Repo {
        Repo::with_revision(self.repository.to_owned(), RepoType::Model, self.revision.to_owned())
    }
}

/// Gives the blob the name of the file in its snapshot, as Hugging Face's programs do: by a relative link, or by a second name where
/// links are not allowed.
fn link(blob: &Path, path: &Path) -> Result<(), HubError> {
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(HubError::io("create", folder))?;
    #[cfg(unix)]
    let result = {
        // REPOSITORY/snapshots/COMMIT/FOLDERS… to REPOSITORY/blobs.
        let repository = blob.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        let depth = folder
            .strip_prefix(repository)
            .map_or(0, |path| path.components().count());
        let target: PathBuf = std::iter::repeat_n("..", depth).collect();
        let target = target.join("blobs").join(blob.file_name().unwrap_or_default());
        std::os::unix::fs::symlink(target, path)
    };
    #[cfg(not(unix))]
    let result = std::fs::hard_link(blob, path);
    match result {
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(HubError::io("link", path)),
    }
}

impl HuggingFace {
    /// Names and paths of all models in the cache, by the usual names of their files.
    pub(crate) fn list(&self) -> Vec<(String, PathBuf)> {
        let mut found = Vec::new();
        for folder in folders(&self.cache) {
            let name = folder.file_name().and_then(|name| name.to_str());
            let Some(repository) = name.and_then(|name| name.strip_prefix("models--")) else {
                continue;
            };
            let repository = repository.replacen("--", "/", 1);
            let references = std::fs::read_dir(folder.join("refs")).into_iter().flatten().flatten();
            let mut revisions: Vec<String> = references
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect();
            revisions.sort();
            for revision in revisions {
                let location = Location {
                    repository: &repository,
                    revision: &revision,
                };
                if let Some(path) = self.cached(&location, None) {
                    let at = if revision == "main" {
                        String::new()
                    } else {
                        format!("@{revision}")
                    };
                    found.push((format!("hf:{repository}{at}"), path));
                }
            }
        }
        found
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
