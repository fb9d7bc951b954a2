use std::path::{Path, PathBuf};

use serde_json::Value;

/// The root of the repository.
pub fn repository() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates
        .and_then(Path::parent)
        .expect("this crate lies two folders below the root")
        .to_owned()
}

/// The recordings of the repository: the smallest case of every kind.
pub fn recordings() -> PathBuf {
    repository().join("tests/recordings")
}

/// Every root of recordings: those of the repository, then each folder of the path list `ZEGCLIP_FIXTURES`.
pub fn roots() -> Vec<PathBuf> {
    let further = std::env::var_os("ZEGCLIP_FIXTURES").unwrap_or_default();
    let further = std::env::split_paths(&further).filter(|path| !path.as_os_str().is_empty());
    // Tests run in the folder of their crate, so a relative path has to start at the repository.
    let further = further.map(|path| repository().join(path));
    let roots: Vec<PathBuf> = std::iter::once(recordings()).chain(further).collect();
    for root in &roots {
        assert!(root.is_dir(), "`{}` is not a folder of recordings", root.display());
    }
    roots
}

/// All roots in one line, for messages.
pub fn join_roots() -> String {
    let roots: Vec<String> = roots().iter().map(|root| root.display().to_string()).collect();
    roots.join(", ")
}

/// A small data set of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    let folder = repository().join("tests/data").join(name);
    assert!(folder.is_dir(), "there is no `{}`", folder.display());
    folder
}

/// A photo of the `photos` beside a root of recordings, or else the example photo of the repository.
pub fn photo(root: &Path, name: &str) -> PathBuf {
    let beside = root.join("../photos").join(name);
    if beside.is_file() {
        beside
    } else {
        repository().join("assets/photos").join(name)
    }
}

/// A JSON file.
pub fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
