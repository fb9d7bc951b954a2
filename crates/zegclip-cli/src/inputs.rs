//! The input images: files, folders, patterns and stdin.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use zegclip::RgbImage;
use zegclip_data::{ImageLimits, decode_image, read_image};

use crate::failure::Failure;
use crate::hints;

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
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Stdin => "stdin".to_owned(),
        }
    }

    /// Name in messages.
    pub(crate) fn origin(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
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

/// The images of the arguments, each once, in a stable order.
pub(crate) fn expand(arguments: &[String]) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for argument in arguments {
        let path = Path::new(argument);
        let found = if argument == "-" {
            vec![Input::Stdin]
        } else if path.is_dir() {
            let found = images_in(path)?;
            if found.is_empty() {
                return Err(
                    Failure::usage(format!("the folder `{argument}` contains no image")).hint(hints::IMAGE_EXTENSIONS)
                );
            }
            found
        } else if path.exists() || !argument.contains(['*', '?', '[']) {
            vec![Input::File(path.to_owned())]
        } else {
            let matches = glob::glob(argument)
                .map_err(|error| Failure::usage(format!("`{argument}` is not a valid pattern: {error}")))?;
            let found: Vec<Input> = matches
                .flatten()
                .filter(|path| path.is_file())
                .map(Input::File)
                .collect();
            if found.is_empty() {
                return Err(Failure::usage(format!("no file matches `{argument}`")));
            }
            found
        };
        for input in found {
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
    }
    let mut names: BTreeMap<String, String> = BTreeMap::new();
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

fn images_in(folder: &Path) -> Result<Vec<Input>, Failure> {
    let unreadable = |error| Failure::failed(format!("cannot read the folder `{}`: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_file() && EXTENSIONS.contains(&extension.as_str()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found.into_iter().map(Input::File).collect())
}
