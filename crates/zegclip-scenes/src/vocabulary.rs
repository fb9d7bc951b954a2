//! The class list of scenes.

use crate::error::SceneError;
use crate::ground::Ground;
use crate::library::Concept;
use zegclip_data::{Class, Vocabulary};

/// The vocabulary `demo` if it has all these names, so that scores of whatever artist compare; else one of these names
/// and the grounds, the unseen ones of `demo` unseen.
pub(crate) fn vocabulary_of(concepts: &[Concept]) -> Result<Vocabulary, SceneError> {
    const ORIGIN: &str = "`pictures.json`";
    let demo = Vocabulary::built_in("demo")?;
    let is_ground = |name: &str| {
        Ground::ALL
            .iter()
            .any(|ground| ground.names().any(|other| other.eq_ignore_ascii_case(name)))
    };
    let mut names = concepts.iter().flat_map(Concept::names);
    if let Some(name) = names.find(|name| is_ground(name)) {
        return Err(SceneError::GroundName {
            origin: ORIGIN.to_owned(),
            name: name.to_owned(),
        });
    }
    if concepts.iter().all(|concept| demo.find(&concept.name).is_some()) {
        return Ok(demo);
    }
    let things = concepts.iter().map(|concept| concept.names().collect::<Vec<_>>());
    let grounds = Ground::ALL.iter().map(|ground| ground.names().collect());
    let classes = things
        .chain(grounds)
        .map(|names: Vec<&str>| Class::parse(&names.join("|")));
    let vocabulary = Vocabulary::from_classes("pictures", classes.collect(), ORIGIN)?;
    let is_seen = |name: &&str| demo.find(name).is_none_or(|class| demo.seen().is_seen(class));
    let seen = vocabulary
        .names()
        .filter(is_seen)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    Ok(vocabulary.with_seen_names(seen.iter().map(String::as_str))?)
}
