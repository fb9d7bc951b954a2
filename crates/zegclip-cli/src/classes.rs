//! The class list of the command line.

use zegclip::{SeenClasses, Vocabulary};

use crate::arguments::{ClassArguments, SettingName};
use crate::failure::Failure;
use crate::hints;

/// The class list with its seen classes; `trained` is the list of the model file, whose seen names are seen here.
pub(crate) fn vocabulary(options: &ClassArguments, trained: Option<&Vocabulary>) -> Result<Vocabulary, Failure> {
    let list = match (&options.classes, &options.vocabulary) {
        (Some(names), _) => Vocabulary::from_names(names),
        (None, Some(vocabulary)) => Vocabulary::from_name_or_file(vocabulary),
        (None, None) => return Err(Failure::usage("no classes are named").hint(hints::LIST_CLASSES)),
    };
    let list = list.map_err(Failure::usage)?;
    if options.setting == Some(SettingName::Full) {
        let classes = list.len();
        return list.with_seen(SeenClasses::all(classes)).map_err(Failure::usage);
    }
    if let Some(seen) = &options.seen {
        let seen = seen.split(',').map(str::trim).filter(|name| !name.is_empty());
        return list.with_seen_names(seen).map_err(Failure::usage);
    }
    match trained {
        Some(trained) if options.classes.is_some() => list.with_seen_as_in(trained).map_err(Failure::usage),
        _ => Ok(list),
    }
}
