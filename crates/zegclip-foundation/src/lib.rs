//! Shared by the crates of ZegCLIP, without a dependency on tensors or images.
//!
//! - [`AtomicFile`]: a file that appears whole or not at all;
//! - [`FileLock`]: exclusive use of a folder; [`remove_leftovers`]: what killed processes left in it;
//! - [`cache_folder`]: what is kept between runs;
//! - [`FilePattern`], [`files_in`]: the files of patterns and folders, without hidden ones and circles;
//! - [`Fingerprint`]: length and checksum, by which a changed input is noticed;
//! - [`split_mix`] and [`RandomStream`]: numbers that are functions of their seed;
//! - [`nearest_name`], [`did_you_mean`], [`quoted`], [`counted`]: names in messages, and the one that a misspelled one probably means.

#![forbid(unsafe_code)]

mod atomic_file;
mod cache_folder;
mod file_lock;
mod files;
mod fingerprint;
mod names;
mod random;
mod unfinished;

pub use atomic_file::{
    AtomicFile, IfExists, check_folder, create_folder, persist, require_file, sync_folder, write_atomically,
};
pub use cache_folder::{cache_folder, environment, user_caches};
pub use file_lock::{FileLock, LockError};
pub use files::{FilePattern, FoundFile, ListError, PatternError, files_in, split_at_equals, text_of};
pub use fingerprint::Fingerprint;
pub use names::{counted, did_you_mean, nearest_name, quoted};
pub use random::{GOLDEN_RATIO, RandomStream, mix, split_mix};
pub use unfinished::{remove_leftovers, remove_unfinished};
