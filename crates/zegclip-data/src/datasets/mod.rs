//! Data sets as their publishers ship them, and the folders that mmsegmentation's scripts make of them.
//!
//! [`DatasetSpec`] says which data set and where, [`Dataset`] is a split of it, [`TrainingSet`] what training may see of
//! one. Which layout a folder has is found by looking; how labels are encoded is known here only.

mod coco_stuff;
mod computed;
mod context;
mod cross_vocabulary;
mod dataset;
mod detail;
mod drawing;
mod error;
mod file_index;
mod folder;
mod label_folder;
mod layout;
mod sample;
mod spec;
mod split_list;
mod training_set;
mod voc;

pub use computed::{ComputedDataset, ComputedSplit};
pub use cross_vocabulary::{ClassMatching, Unmatched};
pub use dataset::Dataset;
pub use detail::DetailError;
pub use error::DatasetError;
pub use file_index::PairProblem;
pub use label_folder::LabelFolder;
pub use sample::Sample;
pub use spec::DatasetSpec;
pub use training_set::TrainingSet;
