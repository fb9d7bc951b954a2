//! The English that captions need: articles, plurals, counts.

/// Names that are plural already.
const PLURAL: &[&str] = &[
    "grapes",
    "cherries",
    "scissors",
    "glasses",
    "spectacles",
    "drawers",
    "planks",
    "bricks",
];
/// Names of stuff, which has no article and no plural.
const STUFF: &[&str] = &[
    "grass", "sand", "snow", "water", "asphalt", "bread", "broccoli", "corn", "maize", "cheese", "fire", "coffee",
    "luggage",
];
/// Names of which there is only one.
const UNIQUE: &[&str] = &["sky", "sea", "sun", "moon"];
/// What counts things that have no singular.
const MEASURES: &[(&str, &str)] = &[
    ("grapes", "bunches of"),
    ("cherries", "pairs of"),
    ("scissors", "pairs of"),
    ("glasses", "pairs of"),
    ("spectacles", "pairs of"),
    ("drawers", "chests of"),
];
const IRREGULAR: &[(&str, &str)] = &[
    ("sheep", "sheep"),
    ("fish", "fish"),
    ("person", "people"),
    ("cup of coffee", "cups of coffee"),
    ("loaf", "loaves"),
    ("cactus", "cacti"),
];

fn is_one_of(name: &str, list: &[&str]) -> bool {
    list.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Whether "are" follows the name.
pub(crate) fn is_plural(name: &str) -> bool {
    is_one_of(name, PLURAL)
}

/// `a cat`, `an apple`, `grapes`, `bread`, `the sky`.
pub(crate) fn one(name: &str) -> String {
    if is_one_of(name, PLURAL) || is_one_of(name, STUFF) {
        name.to_owned()
    } else if is_one_of(name, UNIQUE) {
        format!("the {name}")
    } else {
        // `u` and `eu` of "unicorn" and "ewe" sound like "you".
        let lower = name.to_lowercase();
        let vowel =
            lower.starts_with(['a', 'e', 'i', 'o', 'u']) && !lower.starts_with("uni") && !lower.starts_with("ew");
        format!("{} {name}", if vowel { "an" } else { "a" })
    }
}

/// `two cats`, `three potted plants`; stuff is `some bread`.
pub(crate) fn several(count: usize, name: &str) -> String {
    const WORDS: [&str; 7] = ["no", "one", "two", "three", "four", "five", "six"];
    if is_one_of(name, STUFF) {
        return format!("some {name}");
    }
    let count = WORDS.get(count).copied().unwrap_or("many");
    match MEASURES.iter().find(|(thing, _)| thing.eq_ignore_ascii_case(name)) {
        Some((_, measure)) => format!("{count} {measure} {name}"),
        None => format!("{count} {}", plural(name)),
    }
}

pub(crate) fn plural(name: &str) -> String {
    if is_one_of(name, PLURAL) {
        return name.to_owned();
    }
    if let Some((_, plural)) = IRREGULAR.iter().find(|(one, _)| one.eq_ignore_ascii_case(name)) {
        return (*plural).to_owned();
    }
    if let Some(stem) = name
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']))
    {
        return format!("{stem}ies");
    }
    let hissing = ["s", "x", "ch", "sh"].iter().any(|end| name.ends_with(end));
    let tomato = ["tomato"].contains(&name);
    format!("{name}{}", if hissing || tomato { "es" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles() {
        let names = ["cat", "apple", "grapes", "bread", "sky", "ewe", "umbrella", "egg"];
        assert_eq!(
            names.map(one),
            [
                "a cat",
                "an apple",
                "grapes",
                "bread",
                "the sky",
                "a ewe",
                "an umbrella",
                "an egg"
            ]
        );
    }

    #[test]
    fn plurals() {
        let names = [
            "cat",
            "fox",
            "strawberry",
            "monkey",
            "sheep",
            "torch",
            "person",
            "tomato",
            "glasses",
            "bus",
        ];
        assert_eq!(
            names.map(plural),
            [
                "cats",
                "foxes",
                "strawberries",
                "monkeys",
                "sheep",
                "torches",
                "people",
                "tomatoes",
                "glasses",
                "buses"
            ]
        );
        assert_eq!(several(2, "lemon"), "two lemons");
        assert_eq!(several(9, "lemon"), "many lemons");
        assert_eq!(several(2, "cheese"), "some cheese");
        assert_eq!(several(3, "scissors"), "three pairs of scissors");
    }
}
