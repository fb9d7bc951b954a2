//! Where a task leaves an error: burn-train's steps return none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::TrainError;

/// Keeps the first error for a loop that looks at it; under a loop that does not, an error is a panic with its text.
#[derive(Debug, Default)]
pub(crate) struct FailureSlot {
    watched: AtomicBool,
    error: Mutex<Option<TrainError>>,
}

impl FailureSlot {
    /// The loop promises to call [`take`](Self::take) after every step.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// # Panics
    /// If no loop looks at the slot.
    pub(crate) fn report(&self, error: TrainError) {
        assert!(self.watched.load(Ordering::Relaxed), "{error}");
        let mut slot = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(error);
    }

    /// The error, which is then gone.
    pub(crate) fn take(&self) -> Option<TrainError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// [`take`](Self::take) as a result.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        self.take().map_or(Ok(()), Err)
    }
}

/// An error whose typed form lies in a slot, or that is all there is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Told(String);

impl FailureSlot {
    /// The error for burn's loop. A loop that watches finds the typed one in the slot.
    pub(crate) fn dataset_error(&self, error: TrainError) -> burn::data::dataset::DatasetError {
        let told = Told(error.to_string());
        if self.watched.load(Ordering::Relaxed) {
            self.report(error);
        }
        burn::data::dataset::DatasetError::new(told)
    }
}
