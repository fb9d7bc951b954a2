//! Segmentation by plain CLIP without training, one file a method.

mod maskclip;

pub use maskclip::PatchFeatures;
