//! Recordings and small data sets of `tests/`, as the tests of every crate find and read them.

#![forbid(unsafe_code)]

mod case;
mod folders;
mod http_server;
mod values;

pub use case::{Case, Recorded, all_cases, cases};
pub use folders::{data, join_roots, photo, read_json, recordings, repository, roots};
pub use http_server::{Answer, Request, Server};
pub use values::{assert_close, gpu_required, numbers};
