//! burn's data loaders over ordered prefetching iterators.

use std::ops::Range;
use std::sync::Arc;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError as BurnDatasetError;
use burn::tensor::Device;

use super::FailureSlot;
use crate::TrainError;

type Items<T> = Box<dyn Iterator<Item = Result<T, TrainError>> + Send>;
type Start<T> = dyn Fn(Range<usize>) -> Result<Items<T>, TrainError> + Send + Sync;

/// A loader whose `iter` starts at the first item of its range. Items are in host memory.
struct OrderedLoader<T> {
    start: Arc<Start<T>>,
    range: Range<usize>,
    failures: Arc<FailureSlot>,
}

/// A loader of a range of items, whose iterator `start` makes. Typed errors go to `failures`.
pub(crate) fn ordered_loader<T: Send + 'static>(
    range: Range<usize>,
    failures: Arc<FailureSlot>,
    start: impl Fn(Range<usize>) -> Result<Items<T>, TrainError> + Send + Sync + 'static,
) -> Arc<dyn DataLoader<T>> {
    Arc::new(OrderedLoader {
        start: Arc::new(start),
        range,
        failures,
    })
}

impl<T: Send + 'static> OrderedLoader<T> {
    fn with_range(&self, range: Range<usize>) -> Arc<dyn DataLoader<T>> {
        Arc::new(Self {
            start: self.start.clone(),
            range,
            failures: self.failures.clone(),
        })
    }
}

impl<T: Send + 'static> DataLoader<T> for OrderedLoader<T> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<T> + 'a> {
        let items = (self.start)(self.range.clone()).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))));
        Box::new(OrderedItems {
            items,
            done: 0,
            total: self.range.len(),
            failures: &self.failures,
        })
    }

    fn num_items(&self) -> usize {
        self.range.len()
    }

    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<T>> {
        self.with_range(self.range.clone())
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<T>> {
        let at = |offset: usize| self.range.start.saturating_add(offset).min(self.range.end);
        self.with_range(at(start)..at(end.max(start)))
    }
}

struct OrderedItems<'a, T> {
    items: Items<T>,
    done: usize,
    total: usize,
    failures: &'a FailureSlot,
}

impl<T> Iterator for OrderedItems<'_, T> {
    type Item = Result<T, BurnDatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.items.next()?;
        self.done += 1;
        Some(item.map_err(|error| self.failures.dataset_error(error)))
    }
}

impl<T> DataLoaderIterator<T> for OrderedItems<'_, T> {
    fn progress(&self) -> Progress {
        Progress::new(self.done, self.total, None)
    }
}
