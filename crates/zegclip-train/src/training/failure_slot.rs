//! Typed errors of steps, whose burn-train traits return none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::TrainError;

/// Keeps the first error for a loop that watches; under other loops an error is a panic with its text.
#[derive(Debug, Default)]
pub(crate) struct FailureSlot {
    watched: AtomicBool,
    error: Mutex<Option<TrainError>>,
}

impl FailureSlot {
    /// Declares that the loop calls [`take`](Self::take) after every step.
    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// # Panics
    /// If no loop watches.
    pub(crate) fn report(&self, error: TrainError) {
        assert!(self.watched.load(Ordering::Relaxed), "{error}");
        let mut slot = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(error);
    }

    /// Removes the error.
    pub(crate) fn take(&self) -> Option<TrainError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// [`take`](Self::take) as a result.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        self.take().map_or(Ok(()), Err)
    }
}

/// The text of an error whose typed form may be in the slot.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ErrorText(String);

impl FailureSlot {
    /// The error for burn's loop; the typed one is in the slot if a loop watches.
    pub(crate) fn dataset_error(&self, error: TrainError) -> burn::data::dataset::DatasetError {
        let text = ErrorText(error.to_string());
        if self.watched.load(Ordering::Relaxed) {
            self.report(error);
        }
        burn::data::dataset::DatasetError::new(text)
    }
}
