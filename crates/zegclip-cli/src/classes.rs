//! Class options to a vocabulary.

use zegclip::{SeenClasses, Vocabulary};

use crate::arguments::{ClassOptions, SettingName};
use crate::failure::Failure;

/// The class list with its seen classes. `trained` is the list that the model's file holds: words that it saw are seen.
pub(crate) fn vocabulary(options: &ClassOptions, trained: Option<&Vocabulary>) -> Result<Vocabulary, Failure> {
    let list = match (&options.classes, &options.vocabulary) {
        (Some(names), _) => Vocabulary::from_names(names),
        (None, Some(vocabulary)) => Vocabulary::from_name_or_file(vocabulary),
        (None, None) => return Err(Failure::usage("name the classes with `--classes` or `--vocabulary`")),
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
        Some(trained) if options.classes.is_some() => {
            let seen: Vec<&str> = list
                .names()
                .filter(|name| trained.find(name).is_some_and(|class| trained.seen().is_seen(class)))
                .collect();
            list.clone().with_seen_names(seen).map_err(Failure::usage)
        }
        _ => Ok(list),
    }
}
