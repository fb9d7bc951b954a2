//! The error type of images, labels and class lists: one variant per cause, each naming the file or argument.

use std::path::PathBuf;

/// What can be wrong with images, labels, class lists and the files that hold them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder could not be opened, read or created.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// The operation: `read`, `write`, `create` …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },

    /// Label values that do not fill `width × height` pixels.
    #[error("a label map of {width}×{height} needs {} values, not {values}", u64::from(*width) * u64::from(*height))]
    LabelMapSize {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Values given.
        values: usize,
    },

    /// A class index at or beyond the end of the class list.
    #[error("class {index} is not in a list of {classes} classes (0 to {})", classes.saturating_sub(1))]
    ClassOutOfRange {
        /// The index given.
        index: usize,
        /// Length of the class list.
        classes: usize,
    },

    /// A label value that cannot mean what an encoding says.
    #[error("label value {value} {problem}")]
    LabelValue {
        /// The value in question.
        value: u16,
        /// What is wrong with it.
        problem: String,
    },

    /// A text file that is not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },

    /// TOML that does not parse, or a value of another type than expected.
    #[error("{origin}: {message}")]
    Toml {
        /// File, and line where known.
        origin: String,
        /// What is wrong.
        message: String,
    },

    /// A key that is not read, most likely misspelled.
    #[error("{origin}: unknown key `{key}`{hint}")]
    UnknownKey {
        /// Where the key stands.
        origin: String,
        /// The key.
        key: String,
        /// The nearest known key, or all of them.
        hint: String,
    },

    /// A class list without any class.
    #[error("{origin} names no class")]
    NoClasses {
        /// Where the list comes from.
        origin: String,
    },

    /// An entry of a class list, or a synonym in it, that is empty.
    #[error("{origin}: the name of class {position} is empty")]
    EmptyClassName {
        /// Where the list comes from.
        origin: String,
        /// Position in the list, from 1.
        position: usize,
    },

    /// A name that contains a piece of a notation: brackets, quotation marks, control characters.
    #[error("{origin}: the name of class {position}, `{name}`, contains {problem}")]
    ClassName {
        /// Where the list comes from.
        origin: String,
        /// Position in the list, from 1.
        position: usize,
        /// The name.
        name: String,
        /// What it contains.
        problem: &'static str,
    },

    /// A list file, or a line of one, that is not class names.
    #[error("{origin}: {problem}")]
    ListFile {
        /// The file, and the line where there is one.
        origin: String,
        /// What is wrong.
        problem: crate::ListProblem,
    },

    /// A name that occurs twice in a class list, as a name or a synonym. CLIP ignores letter case.
    #[error("{origin}: `{name}` names both class {first} and class {second}")]
    DuplicateClass {
        /// Where the list comes from.
        origin: String,
        /// The name.
        name: String,
        /// Position of its first class, from 1.
        first: usize,
        /// Position of its second class, from 1.
        second: usize,
    },

    /// A class list longer than [`ClassIndex::MAX_CLASSES`](crate::ClassIndex::MAX_CLASSES).
    #[error("{origin} has {classes} classes; at most {limit} are possible")]
    TooManyClasses {
        /// Where the list comes from.
        origin: String,
        /// Length of the list.
        classes: usize,
        /// Longest possible list.
        limit: usize,
    },

    /// A name, meant as seen or unseen or of a label value, that is not in the class list.
    #[error("{origin}: `{name}` is not a class of the list{hint}")]
    UnknownClass {
        /// Where the name stands.
        origin: String,
        /// The name.
        name: String,
        /// The nearest class.
        hint: String,
    },

    /// A vocabulary that is neither built in nor a file.
    #[error("there is no built-in vocabulary or file `{name}`{hint}; built in are {known}")]
    UnknownVocabulary {
        /// What was asked for.
        name: String,
        /// The nearest built-in vocabulary.
        hint: String,
        /// All built-in vocabularies.
        known: String,
    },

    /// A prompt template without exactly one `{}`, the place of the class name.
    #[error("{origin}: the template `{template}` does not contain exactly one `{{}}`, the place of the class name")]
    Template {
        /// Where the template stands.
        origin: String,
        /// The template.
        template: String,
    },

    /// A palette of another length than the class list.
    #[error("{origin}: the palette has {colors} colors for {classes} classes")]
    PaletteLength {
        /// Where the palette stands.
        origin: String,
        /// Colors given.
        colors: usize,
        /// Classes in the list.
        classes: usize,
    },

    /// A `.npy` file that is damaged, or contains something other than a matrix of floating-point numbers.
    #[error("{origin} is not a usable .npy file: {problem}")]
    Npy {
        /// The file.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },

    /// An image without pixels, or a file without bytes.
    #[error("{origin} is empty ({size})")]
    ImageEmpty {
        /// The image.
        origin: String,
        /// Its size.
        size: String,
    },

    /// An image above the limits for untrusted files; see [`ImageLimits`](crate::ImageLimits).
    #[error("{origin} is too large: {size}, where at most {limit} are allowed")]
    ImageTooLarge {
        /// The image.
        origin: String,
        /// Its size.
        size: String,
        /// What would be allowed.
        limit: String,
    },

    /// Content of no supported image format, independent of the file's name.
    #[error("{origin} is not a PNG, JPEG, WebP, BMP, TIFF or GIF image but {found}")]
    ImageFormat {
        /// The file.
        origin: String,
        /// What the content looks like.
        found: String,
    },

    /// An image that is truncated or invalid.
    #[error("{origin} cannot be decoded: {problem}")]
    ImageDamaged {
        /// The image.
        origin: String,
        /// The decoder's reason.
        problem: String,
    },

    /// A label file without usable class numbers.
    #[error("{origin} is not a usable label file: {problem}")]
    LabelFile {
        /// The file.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A prediction of another size than its labels.
    #[error(
        "the prediction has {}×{} pixels, its labels {}×{}",
        prediction.0, prediction.1, labels.0, labels.1
    )]
    PredictionSize {
        /// Width and height of the labels.
        labels: (u32, u32),
        /// Width and height of the prediction.
        prediction: (u32, u32),
    },

    /// Confusions of different evaluations.
    #[error("these confusions cannot be added: {problem}")]
    Merge {
        /// In what they differ.
        problem: String,
    },

    /// A confusion file that is damaged or of another kind.
    #[error("`{}` is not a confusion file: {problem}", path.display())]
    ConfusionFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// Labels of another size than their image.
    #[error(
        "the image has {}×{} pixels, its labels {}×{}",
        image.0, image.1, labels.0, labels.1
    )]
    OverlaySize {
        /// Width and height of the image.
        image: (u32, u32),
        /// Width and height of the labels.
        labels: (u32, u32),
    },

    /// A setting of the training pipeline out of range.
    #[error("the setting `{name}` of the training pipeline must be {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
}

impl DataError {
    /// [`Self::Io`] from an I/O error, for `map_err`: `DataError::io("read", path)`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// [`Self::Io`] from a folder that cannot be listed, for `map_err`.
    pub fn listing(error: zegclip_foundation::ListError) -> Self {
        Self::io("read", error.folder)(error.source)
    }
}
