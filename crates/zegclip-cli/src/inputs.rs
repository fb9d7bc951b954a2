//! The input images: files, folders, patterns and stdin.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};

use zegclip::{ImageOutputs, OutputFile, RgbImage};
use zegclip_data::{DataError, ImageLimits, decode_image, is_result, read_image};
use zegclip_foundation::{FilePattern, FoundFile, files_in, text_of};

use crate::failure::Failure;
use crate::{hints, output};

/// File name extensions that count as images in folders.
const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "jfif"];

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    File(PathBuf),
    Stdin,
}

impl Input {
    /// Name of the results.
    pub(crate) fn name(&self) -> OsString {
        match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_owned(),
            Self::Stdin => "stdin".into(),
        }
    }

    /// Name in messages.
    pub(crate) fn origin(&self) -> String {
        match self {
            Self::File(path) => text_of(path),
            Self::Stdin => "stdin".to_owned(),
        }
    }

    pub(crate) fn read(&self) -> Result<RgbImage, Failure> {
        let limits = ImageLimits::default();
        match self {
            Self::File(path) => Ok(read_image(path, &limits)?),
            Self::Stdin => {
                let mut bytes = Vec::new();
                let limit = limits.max_bytes.saturating_add(1);
                let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
                read.map_err(|error| Failure::failed(format!("cannot read stdin: {error}")))?;
                Ok(decode_image(&bytes, "stdin", &limits)?)
            }
        }
    }
}

/// The images of the arguments, each once, in a stable order. Results of earlier runs are not images, nor are files to which
/// `outputs` writes results of the others.
pub(crate) fn expand(arguments: &[OsString], outputs: &ImageOutputs) -> Result<Vec<Input>, Failure> {
    let mut images = Images::default();
    for argument in arguments {
        let path = Path::new(argument);
        if argument == "-" {
            images.add_stdin();
        } else if path.is_dir() {
            let found = files_in(path, false).map_err(DataError::listing)?;
            let found = found.into_iter().filter(|file| has_image_extension(&file.path));
            if !images.add_found(found) {
                return Err(
                    Failure::usage(format!("the folder `{}` contains no image", text_of(path)))
                        .hint(hints::IMAGE_EXTENSIONS),
                );
            }
        } else if path.symlink_metadata().is_ok() {
            images.add_named(path);
        } else if !FilePattern::has_wildcards(path) {
            if has_braces(path) {
                return Err(no_match(path));
            }
            images.add_named(path);
        } else {
            let pattern = FilePattern::new(path)
                .map_err(|error| Failure::usage(format!("`{}` is not a valid pattern: {error}", text_of(path))))?;
            let found = pattern.files(Path::new("")).map_err(DataError::listing)?;
            if !images.add_found(found) {
                return Err(no_match(path));
            }
        }
    }
    images.without_results(outputs)
}

/// The failure of a pattern without an image.
fn no_match(pattern: &Path) -> Failure {
    let hint = match has_braces(pattern) {
        true => hints::PATTERN,
        false => hints::NO_MATCH,
    };
    Failure::usage(format!("nothing matches `{}`", text_of(pattern))).hint(hint)
}

fn has_braces(path: &Path) -> bool {
    let text = text_of(path);
    text.contains('{') && text.contains('}')
}

/// Images and what is not one.
#[derive(Default)]
struct Images {
    inputs: Vec<Input>,
    known: HashSet<PathBuf>,
    results: Vec<PathBuf>,
    has_stdin: bool,
}

impl Images {
    fn add_stdin(&mut self) {
        if !self.has_stdin {
            self.has_stdin = true;
            self.inputs.push(Input::Stdin);
        }
    }

    /// A file that the command line names, even if it is hidden or a link to another one.
    fn add_named(&mut self, path: &Path) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        let real = folder
            .ok()
            .zip(path.file_name())
            .map(|(folder, name)| folder.join(name));
        if self.known.insert(real.unwrap_or_else(|| path.to_owned())) {
            self.inputs.push(Input::File(path.to_owned()));
        }
    }

    /// Files of a walk; `false` if there is no image among them.
    fn add_found(&mut self, files: impl IntoIterator<Item = FoundFile>) -> bool {
        let (links, own): (Vec<FoundFile>, Vec<FoundFile>) = files.into_iter().partition(|file| file.is_link);
        let first = self.inputs.len();
        let mut any = false;
        for file in own.into_iter().chain(links) {
            if is_result(&file.path) {
                self.results.push(file.path);
                continue;
            }
            any = true;
            if self.known.insert(file.real) {
                self.inputs.push(Input::File(file.path));
            }
        }
        if let Some(added) = self.inputs.get_mut(first..) {
            added.sort_by_key(Input::path);
        }
        any
    }

    fn without_results(mut self, outputs: &ImageOutputs) -> Result<Vec<Input>, Failure> {
        let written: HashSet<PathBuf> = match outputs.folder().canonicalize() {
            Ok(folder) => {
                let of_image = |input: &Input| OutputFile::ALL.map(|file| outputs.path(input.name(), file));
                let paths = self.inputs.iter().flat_map(of_image);
                paths.filter_map(|path| Some(folder.join(path.file_name()?))).collect()
            }
            Err(_) => HashSet::new(),
        };
        let is_written = |input: &Input| match input {
            Input::File(path) if path.file_name().is_some_and(looks_like_a_result) => {
                path.canonicalize().is_ok_and(|path| written.contains(&path))
            }
            _ => false,
        };
        let (results, inputs): (Vec<Input>, Vec<Input>) = self.inputs.into_iter().partition(is_written);
        self.results.extend(results.iter().filter_map(Input::path));
        if let [first, others @ ..] = self.results.as_slice() {
            let others = match others.len() {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            let first = text_of(first);
            output::message(format_args!(
                "note: not taken as images, as results of an earlier run: `{first}`{others}"
            ));
        }
        let mut names: BTreeMap<OsString, String> = BTreeMap::new();
        for input in &inputs {
            if let Some(other) = names.insert(input.name(), input.origin()) {
                return Err(Failure::usage(format!(
                    "`{other}` and `{}` have the same name, and so would their results",
                    input.origin()
                ))
                .hint(hints::ONE_BY_ONE));
            }
        }
        Ok(inputs)
    }
}

impl Input {
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(path) => Some(path.clone()),
            Self::Stdin => None,
        }
    }
}

fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    EXTENSIONS.contains(&extension.as_str())
}

/// Whether a name ends as those of results do, before more is asked.
fn looks_like_a_result(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    OutputFile::ALL
        .iter()
        .any(|file| name.ends_with(file.suffix().as_bytes()))
}
