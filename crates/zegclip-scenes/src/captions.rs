//! Sentences that describe a scene.

use crate::english::{is_plural, one, several};
use crate::ground::Ground;
use crate::noise::DrawF32;
use zegclip_data::transforms::RandomStream;
use zegclip_data::{ClassIndex, Vocabulary};

/// Captions of a scene; the first is the plainest.
const COUNT: usize = 5;
/// What a caption begins with.
const LEADS: &[&str] = &[
    "a photo of ",
    "a drawing of ",
    "a picture of ",
    "an image of ",
    "a cartoon of ",
    "a painting of ",
    "a scene with ",
    "",
    "there is ",
    "look at ",
];

/// What can be seen.
pub(crate) struct Content<'a> {
    pub(crate) vocabulary: &'a Vocabulary,
    /// Each class with its number of pictures.
    pub(crate) things: &'a [(ClassIndex, usize)],
    /// The lower ground first.
    pub(crate) grounds: &'a [Ground],
}

/// Different sentences that name all things.
pub(crate) fn write(content: &Content<'_>, stream: &mut RandomStream) -> Vec<String> {
    let mut captions = vec![content.caption("a photo of ", true, false, stream)];
    for _ in 1..COUNT {
        let lead = stream.pick(LEADS).copied().unwrap_or_default();
        let with_grounds = content.things.is_empty() || stream.chance(0.6);
        captions.push(content.caption(lead, with_grounds, true, stream));
    }
    captions
}

/// Every word that a caption may have, in phrases that have them as captions do.
pub(crate) fn phrases(vocabulary: &Vocabulary, most: usize) -> Vec<String> {
    let mut found: Vec<String> = LEADS.iter().map(|lead| (*lead).to_owned()).collect();
    found.extend(
        [
            "there is only ",
            "there are ",
            " and ",
            " with ",
            " under ",
            " next to ",
            ", ",
        ]
        .map(str::to_owned),
    );
    for ground in Ground::ALL {
        for preposition in prepositions(ground, true).iter().chain(prepositions(ground, false)) {
            found.push(format!("{preposition} the"));
        }
    }
    for name in vocabulary.classes().iter().flat_map(|class| class.names()) {
        found.extend((2..=most).map(|count| several(count, name)));
        found.extend([name.to_owned(), one(name)]);
    }
    found
}

impl Content<'_> {
    fn caption(&self, lead: &str, with_grounds: bool, free: bool, stream: &mut RandomStream) -> String {
        if self.things.is_empty() {
            let grounds = self
                .grounds
                .iter()
                .map(|ground| one(choose(ground.names(), free, stream)));
            let grounds = grounds.collect::<Vec<_>>();
            let second = stream.pick(&[" and ", " with ", " under "]).copied().unwrap_or(" and ");
            let lead = if lead == "there is " { "there is only " } else { lead };
            return format!("{lead}{}", grounds.join(if free { second } else { " and " }));
        }
        let mut things = self.things.to_vec();
        stream.shuffle(&mut things);
        let mut plural = false;
        let phrases = things.iter().enumerate().map(|(position, &(class, count))| {
            let name = self.name(class, free, stream);
            if position == 0 {
                plural = count > 1 || is_plural(name);
            }
            match count {
                1 => one(name),
                _ => several(count, name),
            }
        });
        let phrases = phrases.collect::<Vec<_>>();
        let list = join(&phrases, free, stream);
        let place = if with_grounds {
            self.place(free, stream)
        } else {
            String::new()
        };
        let lead = if lead == "there is " && (plural || phrases.len() > 1) {
            "there are "
        } else {
            lead
        };
        // The place may come first where a sentence allows it.
        if lead.starts_with("there ") && !place.is_empty() && stream.chance(0.5) {
            return format!("{} {lead}{list}", place.trim_start());
        }
        format!("{lead}{list}{place}")
    }

    fn name(&self, class: ClassIndex, free: bool, stream: &mut RandomStream) -> &str {
        let class = self.vocabulary.class(class);
        class.map_or("", |class| choose(class.names(), free, stream))
    }

    /// ` on grass under the sky`, with a space before.
    fn place(&self, free: bool, stream: &mut RandomStream) -> String {
        let mut place = String::new();
        for (position, &ground) in self.grounds.iter().enumerate() {
            let choices = prepositions(ground, position == 0);
            let preposition = if free { stream.pick(choices) } else { choices.first() };
            let name = choose(ground.names(), free, stream);
            let name = if free && stream.chance(0.35) {
                format!("the {name}")
            } else {
                one(name)
            };
            place.push_str(&format!(" {} {name}", preposition.copied().unwrap_or("on")));
        }
        place
    }
}

/// The first of the names, the commonest one, or in free captions another one now and then.
fn choose<'a>(names: impl Iterator<Item = &'a str>, free: bool, stream: &mut RandomStream) -> &'a str {
    let names = names.collect::<Vec<_>>();
    let synonym = (free && stream.chance(0.4)).then(|| stream.pick(&names)).flatten();
    synonym.or(names.first()).copied().unwrap_or_default()
}

fn prepositions(ground: Ground, is_lower: bool) -> &'static [&'static str] {
    match ground {
        Ground::Grass => &["on", "in", "standing on"],
        Ground::Sand => &["on", "lying on"],
        Ground::Snow => &["on", "in", "lying on"],
        Ground::Sea => &["on", "in", "swimming in", "above"],
        Ground::Sky if is_lower => &["in", "in front of", "against"],
        Ground::Sky => &["under", "below", "beneath"],
        Ground::BrickWall => &["in front of", "before", "next to"],
        Ground::WoodenFloor | Ground::Road => &["on", "standing on", "lying on"],
    }
}

/// `a cat, two lemons and a bus`
fn join(phrases: &[String], free: bool, stream: &mut RandomStream) -> String {
    let Some((last, others)) = phrases.split_last() else {
        return String::new();
    };
    if others.is_empty() {
        return last.clone();
    }
    // "A cat and a dog with a bus" would say who has the bus.
    let words: &[&str] = match others {
        _ if !free => &[" and "],
        [_] => &[" and ", " and ", " with ", " next to ", " beside "],
        _ => &[" and ", " and ", ", "],
    };
    let between = stream.pick(words).copied().unwrap_or(" and ");
    format!("{}{between}{last}", others.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::english::plural;
    use crate::{Artists, SceneSettings, Scenes};

    /// Takes the words of `name` out of the caption; whether they stood there.
    fn take(caption: &mut String, name: &str) -> bool {
        let found = caption.contains(&format!(" {name} "));
        *caption = caption.replace(&format!(" {name} "), " ");
        found
    }

    #[test]
    fn captions_name_what_can_be_seen_and_nothing_else() {
        let scenes = Scenes::embedded(SceneSettings::test(64, 21, Artists::Known)).unwrap();
        let vocabulary = scenes.vocabulary();
        for index in 0..300 {
            let scene = scenes.compose(index);
            for (position, caption) in scene.captions.iter().enumerate() {
                let mut rest = format!(" {} ", caption.replace(',', " ").replace("  ", " "));
                // Longer names first: a hot dog is not a dog.
                let mut names = vocabulary.classes().iter().zip(0_u16..).collect::<Vec<_>>();
                names.sort_by_key(|(class, _)| std::cmp::Reverse(class.name().len()));
                let words = |class: &zegclip_data::Class| {
                    let mut words = class
                        .names()
                        .flat_map(|name| [name.to_owned(), plural(name)])
                        .collect::<Vec<_>>();
                    words.sort_by_key(|name| std::cmp::Reverse(name.len()));
                    words
                };
                let visible = scene.classes();
                let is_visible = |index: u16| visible.iter().any(|class| class.get() == index);
                for (class, index) in names.iter().filter(|(_, index)| is_visible(*index)) {
                    let found = words(class).iter().any(|name| take(&mut rest, name));
                    let is_ground = usize::from(*index) >= 147;
                    assert!(found || is_ground && position > 0, "{caption:?} lacks {}", class.name());
                }
                for (class, _) in names.iter().filter(|(_, index)| !is_visible(*index)) {
                    let found = words(class).into_iter().find(|name| take(&mut rest, name));
                    assert_eq!(found, None, "{caption:?}");
                }
            }
            assert!(scene.captions.len() == super::COUNT && scene.captions[0].starts_with("a photo of "));
        }
    }
}
