//! The files of folders and patterns: one walk for everything that takes many files.
//!
//! - **Hidden** names, which begin with a dot, are left out unless the pattern writes the dot.
//! - **Links** are followed, and each folder is entered once, by its own path where the walk reaches that too.
//! - **Names** need not be UTF-8; a pattern sees `U+FFFD` in place of what is not.
//! - **Order** is that of the paths.

use std::collections::{HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// A folder that cannot be listed.
#[derive(Debug)]
pub struct ListError {
    /// The folder.
    pub folder: PathBuf,
    /// The operating system's reason.
    pub source: io::Error,
}

impl std::fmt::Display for ListError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "cannot read `{}`: {}", self.folder.display(), self.source)
    }
}

impl std::error::Error for ListError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A text that is not a pattern of file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for PatternError {}

/// A file that a walk found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundFile {
    /// The path by which it was found.
    pub path: PathBuf,
    /// The same file without links.
    pub real: PathBuf,
    /// Whether its own name is a link.
    pub is_link: bool,
}

/// A pattern of file names: `*` any part of a name, `?` one letter, `[a-c]` one of these, `[!a-c]` none of these, `**` any
/// folders.
///
/// ```
/// use zegclip_foundation::FilePattern;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// std::fs::create_dir(folder.join("a"))?;
/// for name in ["1.jpg", "a/2.jpg", "a/.3.jpg"] {
///     std::fs::write(folder.join(name), "")?;
/// }
/// let files = FilePattern::new("**/*.jpg")?.files(folder)?;
/// let paths: Vec<_> = files.into_iter().map(|file| file.path).collect();
/// assert_eq!(paths, [folder.join("1.jpg"), folder.join("a/2.jpg")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FilePattern {
    start: PathBuf,
    parts: Vec<Part>,
}

/// What a component of a path is compared with.
#[derive(Debug, Clone)]
enum Part {
    /// `**`
    Folders,
    Name(OsString),
    Pattern(glob::Pattern),
}

impl FilePattern {
    /// Whether a text has letters that mean something in a pattern.
    pub fn has_wildcards(text: impl AsRef<OsStr>) -> bool {
        text.as_ref()
            .as_encoded_bytes()
            .iter()
            .any(|letter| b"*?[".contains(letter))
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] for `**` inside a name and brackets that do not close.
    pub fn new(pattern: impl AsRef<OsStr>) -> Result<Self, PatternError> {
        let (mut start, mut parts) = (PathBuf::new(), Vec::new());
        let components: Vec<Component<'_>> = Path::new(pattern.as_ref()).components().collect();
        let last = components.len().saturating_sub(1);
        for (position, component) in components.into_iter().enumerate() {
            let name = component.as_os_str();
            if Self::has_wildcards(name) {
                let compiled = glob::Pattern::new(&name.to_string_lossy());
                let compiled = compiled.map_err(|error| PatternError {
                    reason: error.msg.to_owned(),
                })?;
                parts.push(if name == "**" {
                    Part::Folders
                } else {
                    Part::Pattern(compiled)
                });
            } else if parts.is_empty() && position < last {
                start.push(component);
            } else {
                parts.push(Part::Name(name.to_owned()));
            }
        }
        Ok(Self { start, parts })
    }

    /// The folders of the pattern before its first special letter.
    pub fn start(&self) -> &Path {
        &self.start
    }

    /// What matches and is not a folder, in order. The pattern begins at `folder` unless it is absolute.
    ///
    /// # Errors
    /// [`ListError`] for the first folder that cannot be read; a missing start has no files.
    pub fn files(&self, folder: &Path) -> Result<Vec<FoundFile>, ListError> {
        walk(&folder.join(&self.start), &self.parts)
    }
}

/// The files of a folder and, where `below` is true, of those below it, in order.
///
/// # Errors
/// [`ListError`] for the first folder that cannot be read.
pub fn files_in(folder: &Path, below: bool) -> Result<Vec<FoundFile>, ListError> {
    let any = Part::Pattern(glob::Pattern::new("*").unwrap_or_default());
    let parts = if below { vec![Part::Folders, any] } else { vec![any] };
    if !folder.is_dir() {
        // Says why it is not one.
        list(folder)?;
    }
    walk(folder, &parts)
}

/// A name as text: what is not UTF-8 is written `\xE9`, so that names that differ stay different.
pub fn text_of(name: impl AsRef<OsStr>) -> String {
    let mut text = String::new();
    for chunk in name.as_ref().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// The parts of an argument `NAME=PATH` before and after its first `=`, of which neither need be UTF-8.
///
/// ```
/// let parts = zegclip_foundation::split_at_equals("voc=a=b".as_ref());
/// assert_eq!(parts, Some(("voc".into(), "a=b".into())));
/// ```
pub fn split_at_equals(text: &OsStr) -> Option<(OsString, OsString)> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let bytes = text.as_bytes();
        let (name, path) = bytes.split_at(bytes.iter().position(|letter| *letter == b'=')?);
        let path = path.get(1..).unwrap_or_default();
        Some((OsStr::from_bytes(name).to_owned(), OsStr::from_bytes(path).to_owned()))
    }
    #[cfg(windows)]
    {
        use std::os::windows::ffi::{OsStrExt, OsStringExt};
        let letters: Vec<u16> = text.encode_wide().collect();
        let (name, path) = letters.split_at(letters.iter().position(|letter| *letter == u16::from(b'='))?);
        let path = path.get(1..).unwrap_or_default();
        Some((OsString::from_wide(name), OsString::from_wide(path)))
    }
    #[cfg(not(any(unix, windows)))]
    text.to_str()?
        .split_once('=')
        .map(|(name, path)| (name.into(), path.into()))
}

/// A folder to be looked at from part `part` of the pattern on.
struct Task {
    path: PathBuf,
    real: PathBuf,
    part: usize,
}

struct Entry {
    name: OsString,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    LinkedFile,
    LinkedFolder,
}

fn walk(start: &Path, parts: &[Part]) -> Result<Vec<FoundFile>, ListError> {
    let folder = if start.as_os_str().is_empty() {
        Path::new(".")
    } else {
        start
    };
    let mut found = Vec::new();
    let real = match folder.canonicalize() {
        Ok(real) => real,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(found);
        }
        Err(source) => {
            let folder = folder.to_owned();
            return Err(ListError { folder, source });
        }
    };
    // Folders that links lead to come last, so that a folder inside the walk is found by its own path.
    let (mut tasks, mut linked) = (Vec::new(), VecDeque::new());
    let (mut visited, mut listed) = (HashSet::new(), None::<(PathBuf, Rc<Vec<Entry>>)>);
    tasks.push(Task {
        path: start.to_owned(),
        real,
        part: 0,
    });
    while let Some(task) = tasks.pop().or_else(|| linked.pop_front()) {
        let Some(part) = parts.get(task.part) else { continue };
        if !visited.insert((task.real.clone(), task.part)) {
            continue;
        }
        let last = task.part + 1 == parts.len();
        if let Part::Name(name) = part {
            let path = task.path.join(name);
            match (path.metadata(), path.canonicalize()) {
                (Ok(kind), Ok(real)) if kind.is_dir() && !last => tasks.push(Task {
                    path,
                    real,
                    part: task.part + 1,
                }),
                (Ok(kind), _) if kind.is_dir() || !last => {}
                (_, real) => {
                    if last && let Ok(kind) = path.symlink_metadata() {
                        let real = real.unwrap_or_else(|_| task.real.join(name));
                        let is_link = kind.is_symlink();
                        found.push(FoundFile { path, real, is_link });
                    }
                }
            }
            continue;
        }
        let entries = match &listed {
            Some((folder, entries)) if *folder == task.real => entries.clone(),
            _ if !task.real.is_dir() => continue,
            _ => Rc::new(list(if task.path.as_os_str().is_empty() {
                Path::new(".")
            } else {
                &task.path
            })?),
        };
        listed = Some((task.real.clone(), entries.clone()));
        let below = if matches!(part, Part::Folders) {
            task.part
        } else {
            task.part + 1
        };
        // Reversed, as the last task is the next one.
        for Entry { name, kind } in entries.iter().rev() {
            let matches = match part {
                Part::Pattern(pattern) => matches(pattern, name),
                _ => !is_hidden(name),
            };
            if !matches {
                continue;
            }
            let (path, inner) = (task.path.join(name), task.real.join(name));
            match kind {
                Kind::File | Kind::LinkedFile if last => {
                    let is_link = *kind == Kind::LinkedFile;
                    let target = is_link.then(|| path.canonicalize().ok()).flatten();
                    let real = target.unwrap_or(inner);
                    found.push(FoundFile { path, real, is_link });
                }
                Kind::Folder if below < parts.len() => tasks.push(Task {
                    path,
                    real: inner,
                    part: below,
                }),
                Kind::LinkedFolder if below < parts.len() => {
                    if let Ok(real) = path.canonicalize() {
                        let part = below;
                        linked.push_front(Task { path, real, part });
                    }
                }
                _ => {}
            }
        }
        if matches!(part, Part::Folders) {
            tasks.push(Task {
                part: task.part + 1,
                ..task
            });
        }
    }
    found.sort_unstable();
    found.dedup_by(|later, first| later.path == first.path);
    Ok(found)
}

/// What is in a folder, by name.
fn list(folder: &Path) -> Result<Vec<Entry>, ListError> {
    let unreadable = |source| ListError {
        folder: folder.to_owned(),
        source,
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let kind = entry.file_type().map_err(unreadable)?;
        let kind = match kind {
            kind if kind.is_dir() => Kind::Folder,
            kind if !kind.is_symlink() => Kind::File,
            // A link that leads nowhere is a file that cannot be read, which its reader says.
            _ if entry.path().is_dir() => Kind::LinkedFolder,
            _ => Kind::LinkedFile,
        };
        entries.push(Entry {
            name: entry.file_name(),
            kind,
        });
    }
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn matches(pattern: &glob::Pattern, name: &OsStr) -> bool {
    // A leading star may be empty, which must not make the dot after it the first letter.
    (!is_hidden(name) || pattern.as_str().starts_with('.')) && pattern.matches(&name.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(folder: &Path, files: Vec<FoundFile>) -> Vec<String> {
        let below = |file: FoundFile| text_of(file.path.strip_prefix(folder).unwrap());
        files.into_iter().map(below).collect()
    }

    fn matching(folder: &Path, pattern: &str) -> Vec<String> {
        names(folder, FilePattern::new(pattern).unwrap().files(folder).unwrap())
    }

    #[test]
    fn patterns_match_as_shells_do() {
        let folder = folder(&["1.jpg", "a/2.jpg", "a/b/3.jpg", "a/b/4.png", "a/b.jpg/5.jpg", "[x].jpg"]);
        let folder = folder.path();
        assert_eq!(matching(folder, "*.jpg"), ["1.jpg", "[x].jpg"]);
        assert_eq!(
            matching(folder, "**/*.jpg"),
            ["1.jpg", "[x].jpg", "a/2.jpg", "a/b/3.jpg", "a/b.jpg/5.jpg"]
        );
        assert_eq!(
            matching(folder, "a/**/?.[!p]*"),
            ["a/2.jpg", "a/b/3.jpg", "a/b.jpg/5.jpg"]
        );
        assert_eq!(matching(folder, "*/b/*.png"), ["a/b/4.png"]);
        assert_eq!(matching(folder, "*/b/4.png"), ["a/b/4.png"]);
        assert_eq!(matching(folder, "a/2.jpg"), ["a/2.jpg"]);
        assert_eq!(matching(folder, "a/b/../**"), matching(folder, "a/b/../**/*"));
        assert_eq!(matching(folder, "[[]x].jpg"), ["[x].jpg"]);
        assert_eq!(matching(folder, "missing/*.jpg"), [""; 0]);
        assert_eq!(matching(folder, "1.jpg/*"), [""; 0]);
        assert_eq!(FilePattern::new("a/b/*.jpg").unwrap().start(), Path::new("a/b"));
        assert_eq!(FilePattern::new("a/2.jpg").unwrap().start(), Path::new("a"));
        for wrong in ["a/**x/*.jpg", "a/***", "a/[b"] {
            assert!(!FilePattern::new(wrong).unwrap_err().reason.is_empty(), "{wrong}");
        }
    }

    #[test]
    fn hidden_files_are_found_by_their_dot_only() {
        let folder = folder(&["a.jpg", "._a.jpg", ".b/c.jpg", ".b/.d.jpg"]);
        let folder = folder.path();
        for pattern in ["*", "*.jpg", "*.*", "[.]*", "**", "**/*", "?_a.jpg"] {
            assert!(
                matching(folder, pattern).iter().all(|name| name == "a.jpg"),
                "{pattern}"
            );
        }
        assert_eq!(names(folder, files_in(folder, true).unwrap()), ["a.jpg"]);
        assert_eq!(matching(folder, "._*"), ["._a.jpg"]);
        assert_eq!(matching(folder, ".*/*"), [".b/c.jpg"]);
        assert_eq!(matching(folder, "**/.b/*"), [".b/c.jpg"]);
        assert_eq!(
            names(folder, files_in(&folder.join(".b"), false).unwrap()),
            [".b/c.jpg"]
        );
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_named() {
        let folder = folder(&["a"]);
        for path in [folder.path().join("a"), folder.path().join("b")] {
            assert_eq!(files_in(&path, true).unwrap_err().folder, path);
        }
    }

    #[test]
    fn texts_of_names_are_told_apart() {
        assert_eq!(text_of("a b\\é"), "a b\\é");
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt;
            assert_eq!(text_of(OsStr::from_bytes(b"caf\xe9\xff.jpg")), "caf\\xE9\\xFF.jpg");
        }
    }

    #[cfg(unix)]
    mod links {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::symlink;
        use std::time::{Duration, Instant};

        use super::*;

        #[test]
        fn folders_are_entered_once_and_by_their_own_path() {
            let folder = folder(&["1.jpg", "b/2.jpg", "b/c/3.jpg"]);
            let folder = folder.path();
            // Sorted before what they lead to.
            symlink(".", folder.join("a")).unwrap();
            symlink("c", folder.join("b/a")).unwrap();
            symlink("..", folder.join("b/c/a")).unwrap();
            let all = ["1.jpg", "b/2.jpg", "b/c/3.jpg"];
            assert_eq!(matching(folder, "**/*.jpg"), all);
            assert_eq!(matching(folder, "**/**/*.jpg"), all);
            assert_eq!(names(folder, files_in(folder, true).unwrap()), all);
            assert_eq!(matching(folder, "a/*.jpg"), ["a/1.jpg"]);
            assert_eq!(matching(folder, "*/*.jpg"), ["a/1.jpg", "b/2.jpg"]);
        }

        #[test]
        fn a_tree_of_circles_takes_a_moment() {
            let folder = tempfile::tempdir().unwrap();
            for outer in 0..40 {
                let inner = folder.path().join(format!("{outer}"));
                std::fs::create_dir(&inner).unwrap();
                std::fs::write(inner.join("x.jpg"), "").unwrap();
                for link in 0..40 {
                    symlink("..", inner.join(format!("up{link}"))).unwrap();
                }
            }
            let begun = Instant::now();
            assert_eq!(matching(folder.path(), "**/*.jpg").len(), 40);
            assert_eq!(matching(folder.path(), "**/**/**/*.jpg").len(), 40);
            assert!(begun.elapsed() < Duration::from_secs(5));
        }

        #[test]
        fn links_to_files_and_to_nothing_are_told() {
            let folder = folder(&["a.jpg"]);
            let folder = folder.path();
            symlink("a.jpg", folder.join("b.jpg")).unwrap();
            symlink("missing", folder.join("c.jpg")).unwrap();
            symlink("d.jpg", folder.join("d.jpg")).unwrap();
            let files = files_in(folder, false).unwrap();
            let links: Vec<bool> = files.iter().map(|file| file.is_link).collect();
            assert_eq!(links, [false, true, true, true]);
            assert_eq!(files[0].real, files[1].real);
            assert_ne!(files[0].real, files[2].real);
        }

        #[test]
        fn names_of_any_bytes_are_found() {
            let folder = tempfile::tempdir().unwrap();
            let name = OsStr::from_bytes(b"caf\xe9");
            std::fs::create_dir(folder.path().join(name)).unwrap();
            let file = folder.path().join(name).join(OsStr::from_bytes(b"\xe9.jpg"));
            std::fs::write(&file, "").unwrap();
            for pattern in [
                &b"*/*.jpg"[..],
                b"**/?.jpg",
                b"caf\xe9/*.jpg",
                b"caf\xe9*/\xe9.jpg",
                b"caf\xe9/\xe9.jpg",
            ] {
                let files = FilePattern::new(OsStr::from_bytes(pattern))
                    .unwrap()
                    .files(folder.path())
                    .unwrap();
                assert_eq!(files.len(), 1, "{}", text_of(OsStr::from_bytes(pattern)));
                assert_eq!(files[0].path, file);
            }
        }
    }
}
