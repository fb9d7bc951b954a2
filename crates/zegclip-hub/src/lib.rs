//! Weights by name: `clip:ViT-B-16` is a file that OpenAI published, `hf:ORG/REPO[@REVISION][:FILE]` one of a Hugging Face
//! repository.
//!
//! A [`WeightStore`] finds them in its cache folders or downloads them: over broken connections with resume, checked by their
//! SHA-256, once for any number of processes. Nothing is executed, and nothing appears under its final name before it is
//! complete and correct.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use zegclip_hub::{WeightName, WeightStore};
//!
//! let store = WeightStore::from_environment()?;
//! let name: WeightName = "clip:ViT-B-16".parse()?;
//! let path = store.fetch(&name, &mut |_progress| ControlFlow::Continue(()))?;
//! # Ok::<(), zegclip_hub::HubError>(())
//! ```

#![forbid(unsafe_code)]

mod download;
mod error;
mod hugging_face;
mod name;
mod published;
mod store;

#[cfg(test)]
mod tests;

pub use download::{Observer, Progress};
pub use error::HubError;
pub use name::{WeightName, is_weight_name};
pub use published::{PUBLISHED, PublishedFile};
pub use store::{StoredFile, Verification, WeightStore};
