//! Downloads from a server on the loopback interface that behaves as bad servers do.

mod downloads;
mod repositories;
