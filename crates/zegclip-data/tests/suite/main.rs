//! The crate from outside, in one binary: it links once.

mod drawing;
mod image_resize;
mod images;
mod metrics;
mod properties;
mod vocabularies;
