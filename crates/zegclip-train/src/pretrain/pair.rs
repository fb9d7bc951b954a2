//! Images with captions, and the facts that both state.

use zegclip_data::RgbImage;

/// An image and one of its captions.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The image at the size of the stage.
    pub(crate) image: RgbImage,
    pub(crate) caption: String,
    /// Facts that the caption states, sorted. It is true of every image that has all of them.
    pub(crate) caption_facts: Vec<u64>,
    /// Facts of the image, sorted.
    pub(crate) image_facts: Vec<u64>,
    /// Names of the visible classes.
    pub(crate) names: Vec<Name>,
}

/// A class name in an image's captions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Identity of the class, which its synonyms share.
    pub(crate) id: u64,
    /// The name in this image's captions.
    pub(crate) text: String,
}

/// An image of one object.
#[derive(Debug, Clone)]
pub(crate) struct ClassifiedImage {
    pub(crate) image: RgbImage,
    /// Index of the object's class.
    pub(crate) class: usize,
    /// Other classes of the image, such as its ground; they do not count as wrong answers.
    pub(crate) also_true: Vec<usize>,
}

/// A held-out split for the evaluation of a model.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// Name of the split.
    pub(crate) name: String,
    /// One or more names per class; empty without classification.
    pub(crate) classes: Vec<Vec<String>>,
    /// Images for zero-shot classification.
    pub(crate) classified: Vec<ClassifiedImage>,
    /// Pairs for retrieval.
    pub(crate) pairs: Vec<Pair>,
}

/// Whether a caption is true of an image: the image has all of its facts. Both lists are sorted.
pub(crate) fn is_true_of(caption_facts: &[u64], image_facts: &[u64]) -> bool {
    caption_facts.iter().all(|fact| image_facts.binary_search(fact).is_ok())
}
