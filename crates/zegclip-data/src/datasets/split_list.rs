//! Lists of the samples of a split: names, file names, paths, or image and label file on one line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::DatasetError;
use super::file_index::{Files, PairProblem};
use super::sample::LabelSource;
use crate::toml_table::read_text;

/// Extensions that a name may have.
const EXTENSIONS: [&str; 10] = ["jpg", "jpeg", "jfif", "png", "webp", "bmp", "tif", "tiff", "gif", "mat"];
/// Lines with more separators are not split.
const MOST_SEPARATORS: usize = 32;

/// A sample that a list names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: String,
    /// The label file, where the line names one of another sample.
    pub(super) label: Option<String>,
    /// List and line.
    pub(super) place: Option<(Arc<Path>, usize)>,
}

impl Listed {
    /// Where it stands, as the end of a sentence: ` (line 3 of …)`.
    pub(super) fn place(&self) -> String {
        let place = self.place.as_ref();
        place.map_or_else(String::new, |(list, line)| {
            format!(" (line {line} of `{}`)", list.display())
        })
    }
}

impl From<String> for Listed {
    fn from(id: String) -> Self {
        Self {
            id,
            label: None,
            place: None,
        }
    }
}

/// A list as a benchmark has them, in order: one name a line, blank lines aside.
///
/// A line may also be a path, or a path of an image and one of its labels as DeepLab's lists have: the name is that of
/// the first file, without folder and extension.
///
/// # Errors
/// [`DatasetError::EmptyList`], and [`DataError`](crate::DataError) for an unreadable file.
pub(super) fn read_list(path: &Path) -> Result<Vec<Listed>, DatasetError> {
    let text = read_text(path)?;
    let list: Arc<Path> = path.into();
    let names = lines(&text).filter_map(|(number, line)| {
        let file = line.split_whitespace().next()?;
        let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let id = without_extension(file).to_owned();
        (!id.is_empty()).then(|| Listed {
            id,
            label: None,
            place: Some((list.clone(), number)),
        })
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        Err(DatasetError::EmptyList { path: path.into() })
    } else {
        Ok(names)
    }
}

/// The files that the names of a list are compared with.
pub(super) struct SplitFiles<'a> {
    /// The folder that paths of a list begin in.
    pub(super) folder: &'a Path,
    pub(super) images: &'a Files<PathBuf>,
    pub(super) labels: &'a Files<LabelSource>,
    /// What the names of label files end in.
    pub(super) label_suffix: &'a str,
}

impl SplitFiles<'_> {
    /// Reads a list whose lines are a name, a file name, a path, or image and label file. Lines that begin with `#` and name
    /// no file are comments. A line that names nothing becomes a name without files; one that contradicts itself is a problem.
    ///
    /// # Errors
    /// [`DatasetError::EmptyList`], and [`DataError`](crate::DataError) for an unreadable file.
    pub(super) fn read(&self, path: &Path) -> Result<(Vec<Listed>, Vec<PairProblem>), DatasetError> {
        let text = read_text(path)?;
        let list: Arc<Path> = path.into();
        let (mut names, mut problems) = (Vec::new(), Vec::new());
        for (line, text) in lines(&text) {
            let place = Some((list.clone(), line));
            match self.line(text) {
                Ok(Some((id, label))) => names.push(Listed { id, label, place }),
                Ok(None) if text.starts_with('#') => {}
                Ok(None) => names.push(Listed {
                    place,
                    ..text.to_owned().into()
                }),
                Err(problem) => problems.push(PairProblem::ListLine {
                    id: text.to_owned(),
                    list: path.to_owned(),
                    line,
                    problem,
                }),
            }
        }
        if names.is_empty() && problems.is_empty() {
            return Err(DatasetError::EmptyList { path: path.into() });
        }
        Ok((names, problems))
    }

    /// The sample of a line, and its label file where it has the name of another sample.
    fn line(&self, line: &str) -> Result<Option<(String, Option<String>)>, String> {
        if let Some(id) = self.any(line) {
            return Ok(Some((id, None)));
        }
        let is_separator = |letter: char| letter.is_whitespace() || matches!(letter, ',' | ';');
        let mut alone = None;
        for (at, separator) in line.match_indices(is_separator).take(MOST_SEPARATORS) {
            let left = line.get(..at).unwrap_or_default();
            let right = line.get(at + separator.len()..).unwrap_or_default();
            let right = right.trim_start_matches(is_separator);
            let pair = match (self.image(left), self.label(right), self.label(left), self.image(right)) {
                (Some(image), Some(label), ..) | (_, _, Some(label), Some(image)) => Some((image, label)),
                _ if self.images.by_id.is_empty() => self.label(right).map(|label| (label.clone(), label)),
                _ => None,
            };
            if let Some((image, label)) = pair {
                return Ok(Some(match image == label {
                    true => (image, None),
                    false => (image, Some(label)),
                }));
            }
            if alone.is_none() && self.any(left).is_some() && !right.is_empty() {
                alone = Some(right);
            }
        }
        match alone {
            Some(other) => Err(format!("`{other}` is not a label file of the split")),
            None => Ok(None),
        }
    }

    /// The sample of an image or a label file.
    fn any(&self, text: &str) -> Option<String> {
        self.image(text).or_else(|| self.label(text))
    }

    fn image(&self, text: &str) -> Option<String> {
        find(text, "", self.folder, &self.images.by_id, PathBuf::as_path)
    }

    fn label(&self, text: &str) -> Option<String> {
        find(
            text,
            self.label_suffix,
            self.folder,
            &self.labels.by_id,
            LabelSource::path,
        )
    }
}

/// The sample whose name or whose file's path a text is.
fn find<T>(
    text: &str,
    suffix: &str,
    folder: &Path,
    files: &BTreeMap<String, T>,
    path: impl Fn(&T) -> &Path,
) -> Option<String> {
    let text = text.trim().trim_matches(['"', '\'']).replace('\\', "/");
    if files.contains_key(&text) {
        return Some(text);
    }
    let text = without_extension(&text);
    let components: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (0..components.len()).find_map(|start| {
        let name = components.get(start..)?.join("/");
        let stem = name.strip_suffix(suffix).filter(|_| !suffix.is_empty());
        [Some(name.as_str()), stem].into_iter().flatten().find_map(|id| {
            let file = path(files.get(id)?);
            let file = file.strip_prefix(folder).unwrap_or(file).with_extension("");
            let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
            let same = |(a, b): (&std::borrow::Cow<'_, str>, &&str)| a == b || a.strip_suffix(suffix) == Some(b);
            // A path of another folder is another file, whatever its name.
            let fits = start == 0 || parts.iter().rev().zip(components.iter().rev()).all(same);
            fits.then(|| id.to_owned())
        })
    })
}

/// Lines that are not blank, from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines());
    lines
        .map(|(number, line)| (number, line.trim()))
        .filter(|(_, line)| !line.is_empty())
}

fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::sample::LabelFile;
    use crate::{LabelDepth, LabelEncoding};

    fn files(names: &[&str]) -> Files<PathBuf> {
        let by_id = names.iter().map(|name| {
            let below = name.split_once('/').map_or(*name, |(_, below)| below);
            (without_extension(below).to_owned(), Path::new("/data").join(name))
        });
        Files::new(by_id.collect(), "it to match".to_owned())
    }

    /// What the lines of a list name: `image`, or `image + label`.
    fn read(list: &str) -> Vec<String> {
        let images = files(&[
            "photos/1.jpg",
            "photos/2.jpg",
            "photos/a/1.jpg",
            "photos/my cat.jpg",
            "photos/v1.2.jpg",
        ]);
        let labels = files(&[
            "masks/1.png",
            "masks/2.png",
            "masks/a/1.png",
            "masks/my cat.png",
            "masks/v1.2.png",
            "masks/other.png",
        ]);
        let encoding = Arc::new(LabelEncoding::identity(1));
        let source = |(id, path)| {
            let depth = LabelDepth::Eight;
            (
                id,
                LabelSource {
                    file: LabelFile::Png { path, depth },
                    encoding: encoding.clone(),
                },
            )
        };
        let labels = Files::new(labels.by_id.into_iter().map(source).collect(), labels.expected);
        let split = SplitFiles {
            folder: Path::new("/data"),
            images: &images,
            labels: &labels,
            label_suffix: "",
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, list).unwrap();
        let (names, problems) = split.read(&path).unwrap();
        let names = names.into_iter().map(|name| match name.label {
            Some(label) => format!("{} + {label}", name.id),
            None => name.id,
        });
        let problems = problems.into_iter().map(|problem| match problem {
            PairProblem::ListLine { line, problem, .. } => format!("line {line}: {problem}"),
            other => panic!("{other:?}"),
        });
        names.chain(problems).collect()
    }

    #[test]
    fn a_line_is_a_name_a_file_or_a_pair() {
        for list in [
            "1\n2\n",
            "\u{feff}1.jpg\r\n\r\n2.JPG\r\n",
            "photos/1.jpg\n./photos/2.jpg",
            "/photos/1.jpg\n/home/me/data/photos/2.jpg",
            "photos\\1.jpg\nmasks\\2.png",
            "photos/1.jpg masks/1.png\nphotos/2.jpg\tmasks/2.png",
            "photos/1.jpg,masks/1.png\nmasks/2.png, photos/2.jpg",
            "1 1\n2 2",
            "1.jpg 1.png\n\"2.jpg\" \"2.png\"",
            "# split\n1\n2",
        ] {
            assert_eq!(read(list), ["1", "2"], "{list:?}");
        }
        assert_eq!(
            read("my cat\nphotos/my cat.jpg masks/my cat.png\nv1.2\nv1.2.jpg\na/1\nphotos/a/1.jpg"),
            ["my cat", "my cat", "v1.2", "v1.2", "a/1", "a/1"]
        );
        assert_eq!(read("photos/1.jpg masks/other.png"), ["1 + other"]);
    }

    #[test]
    fn what_fits_nothing_keeps_its_line() {
        assert_eq!(
            read("1\nnowhere\nphotos/9.jpg masks/9.png"),
            ["1", "nowhere", "photos/9.jpg masks/9.png"]
        );
        assert_eq!(read("train/1.jpg"), ["train/1.jpg"]);
        assert_eq!(read("1\n2 -1"), ["1", "line 2: `-1` is not a label file of the split"]);
    }

    #[test]
    fn lists_of_benchmarks_have_names_or_paths() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        let text = "2007_000032\r\n\n /JPEGImages/2007_000039.jpg /Seg/2007_000039.png\nv1.2_a\n";
        std::fs::write(&path, text).unwrap();
        let names: Vec<_> = read_list(&path).unwrap();
        let shown: Vec<_> = names
            .iter()
            .map(|name| (name.id.as_str(), name.place.as_ref().unwrap().1))
            .collect();
        assert_eq!(shown, [("2007_000032", 1), ("2007_000039", 3), ("v1.2_a", 4)]);
        std::fs::write(&path, "\n \n").unwrap();
        let error = read_list(&path).unwrap_err().to_string();
        assert!(
            error.starts_with("the list `") && error.ends_with("` names no image"),
            "{error}"
        );
    }
}
