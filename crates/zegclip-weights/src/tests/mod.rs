//! Tests over whole files: recorded ones, ones made here, hostile ones and damaged ones.

mod containers;
mod damage;
mod export;
mod fixtures;
mod hostile;
mod properties;
mod support;
