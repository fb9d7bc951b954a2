//! Python pickles read as data. No object is constructed and no function is called: the globals that PyTorch's files need are
//! known by name and stand for what they would build; every other one is refused.

mod cursor;
mod error;
mod global;
mod machine;
mod pickled;
mod reduce;
mod state;
mod value;
mod writer;

pub use error::PickleError;
pub(crate) use global::Globals;
pub(crate) use machine::read;
pub(crate) use pickled::Pickle;
pub(crate) use value::{Node, StorageNode, TensorNode, Value};
pub(crate) use writer::Writer;
