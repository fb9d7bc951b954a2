//! A shard of an evaluation: every N-th image, so that N machines share the work.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Shard `number` of `of`, counted from 1 and written `number/of`.
///
/// ```
/// use zegclip_data::evaluation::Shard;
///
/// let shard: Shard = "3/16".parse()?;
/// assert_eq!((shard.index(), shard.of()), (2, 16));
/// assert!("0/16".parse::<Shard>().is_err());
/// # Ok::<(), zegclip_data::evaluation::EvaluationError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// All images: `1/1`.
    pub const ALL: Self = Self { number: 1, of: 1 };

    /// Position among the shards, in `0..of`.
    pub const fn index(self) -> usize {
        self.number - 1
    }

    /// Number of shards, at least 1.
    pub const fn of(self) -> usize {
        self.of
    }

    /// The shard whose [`stem`](Self::stem) begins the name of a file.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("evaluation.shard-")?;
        let (number, of) = name.split('.').next()?.split_once("-of-")?;
        format!("{number}/{of}").parse().ok()
    }

    /// What the names of the shard's files begin with: `evaluation.shard-3-of-16`.
    pub fn stem(self) -> String {
        format!("evaluation.shard-{}-of-{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = super::EvaluationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('/').and_then(|(number, of)| {
            Some(Self {
                number: number.trim().parse().ok()?,
                of: of.trim().parse().ok()?,
            })
        });
        parts
            .filter(|shard| (1..=shard.of).contains(&shard.number))
            .ok_or_else(|| super::EvaluationError::Shard { text: text.to_owned() })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

impl<'de> serde::Deserialize<'de> for Shard {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_one() {
        let shard: Shard = " 2 / 3".parse().unwrap();
        assert_eq!((shard.to_string().as_str(), shard.index()), ("2/3", 1));
        assert_eq!(shard.stem(), "evaluation.shard-2-of-3");
        let file = format!("scores/{}.confusion.json", shard.stem());
        assert_eq!(Shard::of_file(Path::new(&file)), Some(shard));
        for other in [
            "evaluation.confusion.json",
            "evaluation.shard-4-of-3.confusion.json",
            "a",
        ] {
            assert_eq!(Shard::of_file(Path::new(other)), None, "{other}");
        }
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/b", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
