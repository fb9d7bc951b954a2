//! Vocabularies: a class list with its palette, templates, seen and unseen classes, and label encoding.

mod built_in;
mod class_list;
mod definition;
mod list_file;
mod list_literal;
mod list_problem;
mod published_features;
mod published_names;
mod toml_format;

pub use class_list::Class;
pub use definition::{SINGLE_TEMPLATE, Vocabulary};
pub use list_problem::ListProblem;
pub use published_features::published_text_features;
pub use published_names::published_class_names;
pub(crate) use toml_format::KEYS as VOCABULARY_KEYS;
