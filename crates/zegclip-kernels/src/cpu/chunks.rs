//! Tasks of a fixed number of elements.

use rayon::prelude::*;

/// Floats a task.
pub(crate) const CHUNK: usize = 1 << 14;

/// Runs `task` on every chunk; a single one stays on this thread.
pub(crate) fn in_chunks<I: IndexedParallelIterator>(len: usize, chunks: I, task: impl Fn(I::Item) + Sync + Send) {
    // A part may not be shorter than all chunks together when other threads do not pay.
    let shortest = if len <= CHUNK { usize::MAX } else { 1 };
    chunks.with_min_len(shortest).for_each(task);
}
