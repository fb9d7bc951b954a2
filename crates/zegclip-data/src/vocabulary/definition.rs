//! The vocabulary type, and the ways to get one.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    path::Path,
};

use zegclip_foundation::{quoted, text_of};

use super::{Class, built_in, class_list, list_file, toml_format};
use crate::{
    ClassIndex, DataError, LabelEncoding, SeenClasses,
    palette::{Color, distinct_color},
    suggestion::hint,
    toml_table::read_text,
};

/// The template of PASCAL VOC in the published configurations, and of every list that states none.
pub const SINGLE_TEMPLATE: &str = "a photo of a {}";

/// A class list with its palette, prompt templates, seen and unseen classes, and label encoding.
///
/// ```
/// use zegclip_data::Vocabulary;
///
/// let voc = Vocabulary::built_in("voc20")?;
/// assert_eq!(voc.names().nth(17), Some("sofa"));
/// assert_eq!(voc.seen().unseen_count(), 5);
///
/// let mine = Vocabulary::from_names("cat, dog, sofa|couch")?;
/// assert_eq!(mine.find("couch"), mine.find("sofa"));
/// # Ok::<(), zegclip_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    pub(super) name: String,
    pub(super) source: Option<String>,
    pub(super) classes: Vec<Class>,
    pub(super) seen: SeenClasses,
    pub(super) templates: Vec<String>,
    pub(super) encoding: LabelEncoding,
    pub(super) assumptions: Vec<String>,
}

impl Vocabulary {
    /// One of the vocabularies that are compiled in, see [`Self::built_in_names`].
    ///
    /// # Errors
    /// [`DataError::UnknownVocabulary`], which lists all and names the nearest.
    pub fn built_in(name: &str) -> Result<Self, DataError> {
        match built_in::text(name) {
            Some(text) => {
                let vocabulary = toml_format::parse(text, &format!("built-in vocabulary `{name}`"))?;
                let encoding = vocabulary.encoding.clone().with_assumed_ignored(false);
                Ok(Self { encoding, ..vocabulary })
            }
            None => Err(DataError::UnknownVocabulary {
                name: name.to_owned(),
                hint: hint(name, built_in::NAMES.iter().copied()),
                known: quoted(built_in::NAMES),
            }),
        }
    }

    /// What [`Self::built_in`] knows: the benchmarks `voc20`, `coco171`, `context59`, `context60`, `voc21`,
    /// `coco-object`, `ade20k` and `cityscapes`, and settings of them.
    pub fn built_in_names() -> &'static [&'static str] {
        built_in::NAMES
    }

    /// A built-in vocabulary by its name, else a file: TOML if its name ends so, else a list of names.
    ///
    /// # Errors
    /// [`DataError::UnknownVocabulary`] if `text` is neither, and the errors of the file readers.
    pub fn from_name_or_file(text: impl AsRef<OsStr>) -> Result<Self, DataError> {
        let text = text.as_ref();
        let (path, name) = (Path::new(text), text_of(text));
        let is_name = built_in::text(&name).is_some() || !path.exists();
        if is_name {
            Self::built_in(&name)
        } else {
            Self::from_file(path)
        }
    }

    /// A vocabulary file: TOML if its name ends in `.toml`, else a list of names.
    ///
    /// # Errors
    /// Those of [`Self::from_toml`] and [`Self::from_list_file`].
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        if is_toml {
            Self::from_toml(path)
        } else {
            Self::from_list_file(path)
        }
    }

    /// A vocabulary described by TOML. Only `classes` (or `extends`, a vocabulary whose values hold where the file
    /// states none) is needed:
    ///
    /// ```toml
    /// name = "farm"                                    # else the file's name
    /// classes = ["cow", "sofa|couch", { name = "hen", synonyms = ["chicken"], color = [200, 180, 60] }]
    /// unseen = ["hen"]                                 # or `seen = [...]`; else every class is seen
    /// templates = ["a photo of a {}"]
    /// palette = [[90, 60, 40], "#3377ee", [200, 180, 60]]
    /// labels = { first = 1, ignore = [0, 255] }        # or `values = { 7 = "cow", 9 = "hen" }`
    /// ```
    ///
    /// # Errors
    /// Unreadable files, TOML mistakes, unknown keys (naming the nearest known one), and everything that makes a class
    /// list unusable.
    pub fn from_toml(path: &Path) -> Result<Self, DataError> {
        let mut vocabulary = toml_format::parse(&read_text(path)?, &format!("`{}`", path.display()))?;
        if vocabulary.name.is_empty() {
            vocabulary.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        }
        Ok(vocabulary)
    }

    /// As [`Self::from_toml`] for text that is not in a file; `origin` names it in errors.
    ///
    /// # Errors
    /// As [`Self::from_toml`], but for reading.
    pub fn from_toml_text(text: &str, origin: &str) -> Result<Self, DataError> {
        toml_format::parse(text, origin)
    }

    /// A list file: one class a line, synonyms after `|`; blank lines and what follows a `#` do not count. Commas belong to
    /// the name.
    ///
    /// Other forms are read where every line shows that they are meant: numbered names (the numbers are label values), one
    /// line of names, tables with a header, lists in brackets of JSON and Python, names in quotation marks.
    /// [`Self::assumptions`] says which.
    ///
    /// # Errors
    /// Unreadable files, [`DataError::ListFile`] with the line, and everything that makes a class list unusable.
    pub fn from_list_file(path: &Path) -> Result<Self, DataError> {
        list_file::parse(&read_text(path)?, path)
    }

    /// Names separated by commas, synonyms by `|`: `cat, dog, sofa|couch`.
    ///
    /// # Errors
    /// [`DataError::NoClasses`], [`DataError::EmptyClassName`], [`DataError::DuplicateClass`],
    /// [`DataError::TooManyClasses`].
    pub fn from_names(names: &str) -> Result<Self, DataError> {
        let entries = if names.trim().is_empty() {
            Vec::new()
        } else {
            names.split(',').collect()
        };
        Self::from_classes(
            "custom",
            entries.into_iter().map(Class::parse).collect(),
            "the class list",
        )
    }

    /// A list of names, in each of which `|` separates synonyms; other characters, commas included, belong to the name.
    ///
    /// ```
    /// use zegclip_data::Vocabulary;
    ///
    /// let classes = Vocabulary::from_class_names(["cat", "sofa|couch"])?;
    /// assert_eq!(classes.len(), 2);
    /// assert!(Vocabulary::from_class_names(["cat", "Cat"]).is_err());
    /// # Ok::<(), zegclip_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::from_names`].
    pub fn from_class_names(names: impl IntoIterator<Item: AsRef<str>>) -> Result<Self, DataError> {
        let classes = names.into_iter().map(|name| Class::parse(name.as_ref())).collect();
        Self::from_classes("custom", classes, "the class list")
    }

    /// The same list with more names at its end, those that it lacks. They are seen if all classes of the list are: a list
    /// without unseen classes stays one.
    ///
    /// # Errors
    /// As [`Self::from_names`].
    pub fn with_more_names(&self, names: impl IntoIterator<Item: AsRef<str>>) -> Result<Self, DataError> {
        let mut classes = self.classes.clone();
        let more = names.into_iter().map(|name| Class::parse(name.as_ref()));
        classes.extend(more.filter(|class| self.find(class.name()).is_none()));
        class_list::check(&classes, "the class list")?;
        let seen = self.seen.seen().map(ClassIndex::index);
        let all_seen = self.seen.unseen_count() == 0;
        let more_seen = (self.len()..classes.len()).filter(|_| all_seen);
        Ok(Self {
            seen: SeenClasses::from_seen_indices(classes.len(), seen.chain(more_seen))?,
            encoding: LabelEncoding::identity(classes.len()),
            classes,
            ..self.clone()
        })
    }

    /// The same list in which those classes are seen that are seen in `trained`, the class list of a model.
    ///
    /// # Errors
    /// As [`Self::with_seen`].
    pub fn with_seen_as_in(self, trained: &Self) -> Result<Self, DataError> {
        let is_seen = |class: &Class| {
            trained
                .find(class.name())
                .is_some_and(|class| trained.seen().is_seen(class))
        };
        let seen: Vec<usize> = (0..)
            .zip(&self.classes)
            .filter_map(|(index, class)| is_seen(class).then_some(index))
            .collect();
        let seen = SeenClasses::from_seen_indices(self.len(), seen)?;
        self.with_seen(seen)
    }

    /// A vocabulary of these classes, all seen; `origin` names the list in errors.
    ///
    /// # Errors
    /// Those of [`Self::from_names`].
    pub fn from_classes(name: &str, classes: Vec<Class>, origin: &str) -> Result<Self, DataError> {
        class_list::check(&classes, origin)?;
        Ok(Self {
            name: name.to_owned(),
            source: None,
            seen: SeenClasses::all(classes.len()),
            templates: vec![SINGLE_TEMPLATE.to_owned()],
            encoding: LabelEncoding::identity(classes.len()),
            classes,
            assumptions: Vec::new(),
        })
    }

    /// The same list with other seen classes, named; synonyms will do.
    ///
    /// # Errors
    /// [`DataError::UnknownClass`] for a name that is not in the list, with the nearest that is.
    pub fn with_seen_names<'a>(self, seen: impl IntoIterator<Item = &'a str>) -> Result<Self, DataError> {
        let indices = self.indices(seen, "the seen classes")?;
        Ok(Self {
            seen: SeenClasses::from_seen_indices(self.len(), indices)?,
            ..self
        })
    }

    /// The names in a text that separates them by commas; a class of this list whose name has commas is one of them.
    ///
    /// ```
    /// use zegclip_data::Vocabulary;
    ///
    /// let list = Vocabulary::from_class_names(["floor, flooring", "grass"])?;
    /// assert_eq!(list.split_names("grass, floor, flooring"), ["grass", "floor, flooring"]);
    /// # Ok::<(), zegclip_data::DataError>(())
    /// ```
    pub fn split_names(&self, text: &str) -> Vec<String> {
        let names_with_commas = self
            .classes
            .iter()
            .flat_map(Class::names)
            .filter(|name| name.contains(','));
        let known: BTreeMap<String, &str> = names_with_commas.map(|name| (spaced(name), name)).collect();
        let longest = known
            .values()
            .map(|name| 1 + name.matches(',').count())
            .max()
            .unwrap_or(1);
        let parts: Vec<&str> = text.split(',').collect();
        let (mut names, mut at) = (Vec::new(), 0);
        while at < parts.len() {
            let of_list = (2..=longest).rev().find_map(|length| {
                let joined = parts.get(at..at + length)?.join(",");
                known.get(&spaced(&joined)).map(|name| (length, *name))
            });
            let (length, name) = of_list.unwrap_or((1, parts.get(at).map_or("", |part| part.trim())));
            if !name.is_empty() {
                names.push(name.to_owned());
            }
            at += length;
        }
        names
    }

    /// The same list with other seen classes.
    ///
    /// # Errors
    /// [`DataError::ClassOutOfRange`] if `seen` belongs to a list of another length.
    pub fn with_seen(self, seen: SeenClasses) -> Result<Self, DataError> {
        if seen.classes() != self.len() {
            return Err(DataError::ClassOutOfRange {
                index: seen.classes(),
                classes: self.len(),
            });
        }
        Ok(Self { seen, ..self })
    }

    /// The same list with other names for its classes, which keep their colors and label values; `None` unless there is one for each.
    /// Names may occur twice, see [`published_class_names`](crate::published_class_names).
    pub fn with_published_names(self, names: Vec<Class>) -> Option<Self> {
        if names.len() != self.len() {
            return None;
        }
        let classes = self.classes.into_iter().zip(names);
        let renamed = classes.map(|(class, names)| Class {
            color: class.color,
            ..names
        });
        Some(Self {
            classes: renamed.collect(),
            ..self
        })
    }

    /// The same list with other prompt templates, each with one `{}`.
    ///
    /// # Errors
    /// [`DataError::Template`] for one without.
    pub fn with_templates(self, templates: Vec<String>) -> Result<Self, DataError> {
        toml_format::check_templates(&templates, "the templates")?;
        Ok(Self { templates, ..self })
    }

    /// The list of the seen classes alone, for inductive training: its positions are training indices, and there is
    /// no unseen class in it. Its encoding is that of [`LabelEncoding::identity`].
    #[must_use]
    pub fn seen_only(&self) -> Self {
        let classes = self.seen.seen().filter_map(|class| self.class(class));
        let classes = classes.zip(self.seen.seen()).map(|(class, index)| Class {
            color: Some(self.color(index)),
            ..class.clone()
        });
        let classes = classes.collect::<Vec<_>>();
        Self {
            seen: SeenClasses::all(classes.len()),
            encoding: LabelEncoding::identity(classes.len()),
            classes,
            ..self.clone()
        }
    }

    /// The same vocabulary under another name.
    #[must_use]
    pub fn renamed(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    /// The same vocabulary with label values equal to class indices ([`LabelEncoding::identity`]).
    #[must_use]
    pub fn with_identity_encoding(self) -> Self {
        Self {
            encoding: LabelEncoding::identity(self.len()),
            ..self
        }
    }

    /// What the vocabulary is called: `voc20`, a file's name, `custom`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where names, palette and split come from.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// What a list file does not state and was assumed when it was read, a sentence each: that numbers are label values, that
    /// a line with commas is one name. Empty for a plain list.
    pub fn assumptions(&self) -> &[String] {
        &self.assumptions
    }

    /// Classes in the list.
    #[expect(clippy::len_without_is_empty, reason = "a vocabulary has at least one class")]
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// The classes in order.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// The class at a position.
    pub fn class(&self, class: ClassIndex) -> Option<&Class> {
        self.classes.get(class.index())
    }

    /// The names in order, without synonyms.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.classes.iter().map(Class::name)
    }

    /// The class of a name or synonym, letter case aside.
    pub fn find(&self, name: &str) -> Option<ClassIndex> {
        let key = class_list::key(name);
        let position = self
            .classes
            .iter()
            .position(|class| class.names().any(|name| class_list::key(name) == key))?;
        ClassIndex::from_usize(position)
    }

    /// The color of a class: the palette's, else [`distinct_color`].
    pub fn color(&self, class: ClassIndex) -> Color {
        self.class(class)
            .and_then(|class| class.color)
            .unwrap_or_else(|| distinct_color(class.index()))
    }

    /// The colors of all classes in order.
    pub fn palette(&self) -> Vec<Color> {
        (0..self.len())
            .filter_map(ClassIndex::from_usize)
            .map(|class| self.color(class))
            .collect()
    }

    /// Which classes are seen.
    pub fn seen(&self) -> &SeenClasses {
        &self.seen
    }

    /// The prompt templates; `{}` stands for the class name. Text features are averaged over them.
    pub fn templates(&self) -> &[String] {
        &self.templates
    }

    /// What the values of this vocabulary's label files mean.
    pub fn encoding(&self) -> &LabelEncoding {
        &self.encoding
    }

    /// The vocabulary as TOML that [`Self::from_toml_text`] reads back.
    pub fn to_toml(&self) -> String {
        toml_format::write(self)
    }

    /// The class of a name or synonym, or an error that names the nearest class; `origin` says where the name stands.
    ///
    /// # Errors
    /// [`DataError::UnknownClass`].
    pub fn require(&self, name: &str, origin: &str) -> Result<ClassIndex, DataError> {
        self.find(name).ok_or_else(|| DataError::UnknownClass {
            origin: origin.to_owned(),
            name: name.to_owned(),
            hint: hint(name, self.classes.iter().flat_map(Class::names)),
        })
    }

    pub(super) fn indices<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
        origin: &str,
    ) -> Result<Vec<usize>, DataError> {
        // One table for all: lists of thousands of names would take seconds otherwise.
        let keys = |(position, class)| Class::names(class).map(move |name| (class_list::key(name), position));
        let known = (0..).zip(&self.classes).flat_map(keys).collect::<HashMap<_, usize>>();
        let index = |name: &str| match known.get(&class_list::key(name)) {
            Some(&position) => Ok(position),
            None => self.require(name, origin).map(ClassIndex::index),
        };
        names.into_iter().map(index).collect()
    }
}

/// A name with commas, however its commas are spaced.
fn spaced(name: &str) -> String {
    let parts = name.split(',').map(class_list::key);
    parts.collect::<Vec<_>>().join(",")
}
