//! Why a list file, or a line of one, is not class names.

/// What prevents a list file from being read as class names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListProblem {
    /// XML or HTML.
    #[error("the file is XML or HTML, not a list of class names")]
    Markup,
    /// Characters that belong to a notation, not to a name.
    #[error("`{text}` is not a class name: it contains {problem}")]
    Notation {
        /// The line.
        text: String,
        /// What was found.
        problem: &'static str,
    },
    /// A list in brackets that cannot be understood.
    #[error("the list in brackets cannot be read: {problem}")]
    Literal {
        /// What is wrong with it.
        problem: String,
    },
    /// An item of a list in brackets that does not contain one name.
    #[error("the list in brackets has an item without one name: `{item}`")]
    Item {
        /// The item, shortened.
        item: String,
    },
    /// A table of values by key, none of which is a list of names.
    #[error("none of the keys {keys} has a list of names")]
    NoListOfNames {
        /// The keys.
        keys: String,
    },
    /// Several columns of text without a header.
    #[error("`{text}` has several columns, and it is unknown which of them has the names")]
    Columns {
        /// The line.
        text: String,
    },
    /// A line with another number of columns than the first.
    #[error("`{text}` has {found} columns, the first line {expected}")]
    ColumnCount {
        /// The line.
        text: String,
        /// Its columns.
        found: usize,
        /// Those of the first line.
        expected: usize,
    },
    /// A line without a number among lines that begin with one.
    #[error("`{text}` has no number, unlike other lines")]
    NoNumber {
        /// The line.
        text: String,
    },
    /// A number that two lines have.
    #[error("the number {number} is also that of line {first}")]
    NumberTwice {
        /// The number.
        number: u16,
        /// The line that has it first.
        first: usize,
    },
    /// A number that is not a label value.
    #[error("the number {number} is not a label value, 0 to 65535")]
    Number {
        /// The number.
        number: String,
    },
    /// A name that two lines have. CLIP ignores letter case.
    #[error("`{name}` is also named in line {first}")]
    NameTwice {
        /// The name.
        name: String,
        /// The line that has it first.
        first: usize,
    },
    /// An empty name, or an empty synonym.
    #[error("the name is empty")]
    EmptyName,
}
