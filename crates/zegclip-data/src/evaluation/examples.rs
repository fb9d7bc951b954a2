//! The worst and the best images of an evaluation: a bounded number of each, with their predictions.

use serde::{Deserialize, Serialize};

use crate::metrics::{Confusion, Scores};
use crate::{DataError, ImageLimits, LabelMap, Vocabulary, decode_label_png, encode_label_png, output_encoding};

/// One of the worst or best images, with its prediction as a label PNG.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Position of the image among those evaluated.
    pub index: usize,
    /// Mean IoU over the classes of its labels and prediction, 0 to 1.
    #[serde(with = "exact")]
    pub miou: f64,
    #[serde(with = "base64_text")]
    prediction: Vec<u8>,
}

impl Example {
    /// The prediction, `[height, width]`, for a list of `classes` classes.
    ///
    /// # Errors
    /// [`DataError`] if the saved PNG is damaged.
    pub fn prediction(&self, classes: usize) -> Result<LabelMap, DataError> {
        let (encoding, depth) = output_encoding(classes);
        let raw = decode_label_png(&self.prediction, "a saved prediction", &ImageLimits::default(), depth)?;
        Ok(encoding.decode(&raw).labels)
    }
}

impl std::fmt::Debug for Example {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Example({}, mIoU {})", self.index, self.miou)
    }
}

/// For serde: a number as text, which is restored exactly; numbers in JSON are not always.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// For serde: bytes as Base64 text with padding (RFC 4648, §4).
mod base64_text {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = |error| D::Error::custom(format_args!("a prediction is not Base64: {error}"));
        BASE64_STANDARD.decode(text).map_err(invalid)
    }
}

/// The worst and the best images, at most `capacity` of each. Which ones does not depend on where an evaluation was
/// interrupted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Examples {
    #[serde(rename = "most")]
    capacity: usize,
    /// The lowest score first.
    worst: Vec<Example>,
    /// The highest score first.
    best: Vec<Example>,
}

impl Examples {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            worst: Vec::new(),
            best: Vec::new(),
        }
    }

    /// Keeps an image if it is among the worst or best so far. `image` counts this image only.
    pub(super) fn offer(
        &mut self,
        index: usize,
        image: &Confusion,
        prediction: &LabelMap,
        vocabulary: &Vocabulary,
    ) -> Result<(), DataError> {
        // An image without labels has no score.
        let Some(miou) = Scores::of(image).miou else {
            return Ok(());
        };
        let rank = |kept: &[Example], precedes: fn(f64, f64) -> bool| {
            let rank = kept.iter().take_while(|other| !precedes(miou, other.miou)).count();
            (rank < self.capacity).then_some(rank)
        };
        // Of equal scores the earlier image is the worse one, so that few images are all in one of the lists.
        let worst = rank(&self.worst, |a, b| a < b);
        let best = rank(&self.best, |a, b| a >= b);
        if worst.is_none() && best.is_none() {
            return Ok(());
        }
        let example = Example {
            index,
            miou,
            prediction: encode_label_png(prediction, &vocabulary.palette())?,
        };
        for (kept, rank) in [(&mut self.worst, worst), (&mut self.best, best)] {
            if let Some(rank) = rank {
                kept.insert(rank, example.clone());
                kept.truncate(self.capacity);
            }
        }
        Ok(())
    }

    /// The worst images in ascending order of mean IoU and the best ones in descending order; no image is in both lists.
    pub fn worst_and_best(&self) -> (Vec<&Example>, Vec<&Example>) {
        let mut all: Vec<&Example> = self.worst.iter().chain(&self.best).collect();
        all.sort_by(|a, b| a.miou.total_cmp(&b.miou).then(a.index.cmp(&b.index)));
        all.dedup_by_key(|example| example.index);
        // With few images both lists have the same ones: the lower half is the worst.
        let best = all.split_off(all.len().div_ceil(2));
        (all, best.into_iter().rev().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples_of(scores: &[u16]) -> Examples {
        let vocabulary = Vocabulary::from_names("cat, dog").unwrap();
        let mut examples = Examples::new(3);
        for (index, &right) in scores.iter().enumerate() {
            let labels = LabelMap::filled(100, 1, crate::ClassIndex::new(0));
            let prediction = LabelMap::from_fn(100, 1, |x, _| crate::ClassIndex::new(u16::from(x >= right.into())));
            let mut image = Confusion::new(&vocabulary);
            image.add(&labels, &prediction).unwrap();
            examples.offer(index, &image, &prediction, &vocabulary).unwrap();
        }
        examples
    }

    fn indices(examples: &[&Example]) -> Vec<usize> {
        examples.iter().map(|example| example.index).collect()
    }

    #[test]
    fn extremes_are_kept_in_order() {
        let examples = examples_of(&[50, 10, 90, 30, 70, 20, 95, 60]);
        let (worst, best) = examples.worst_and_best();
        assert_eq!((indices(&worst), indices(&best)), (vec![1, 5, 3], vec![6, 2, 4]));
        let prediction = worst.first().unwrap().prediction(2).unwrap();
        assert_eq!(prediction.histogram(2), [10, 90]);
        let text = serde_json::to_string(&examples).unwrap();
        assert_eq!(serde_json::from_str::<Examples>(&text).unwrap(), examples);
    }

    #[test]
    fn equal_scores_omit_no_image() {
        let examples = examples_of(&[50, 50, 50, 50, 50, 60]);
        let (worst, best) = examples.worst_and_best();
        assert_eq!((indices(&worst), indices(&best)), (vec![0, 1, 2], vec![5, 4, 3]));
    }

    #[test]
    fn few_images_are_in_one_list_each() {
        let (examples, none) = (examples_of(&[50, 10, 90]), examples_of(&[]));
        let (worst, best) = examples.worst_and_best();
        assert_eq!((indices(&worst), indices(&best)), (vec![1, 0], vec![2]));
        assert!(none.worst_and_best().0.is_empty());
    }
}
