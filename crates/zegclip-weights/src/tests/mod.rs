//! Tests of complete files: recorded, generated, malicious and damaged ones.

mod containers;
mod damage;
mod export;
mod fixtures;
mod hostile;
mod properties;
mod support;
mod values;
