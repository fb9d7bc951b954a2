//! Segmentation by plain CLIP without training, one file a method.

mod maskclip;
