//! Tasks of a fixed number of elements.

use rayon::prelude::*;

/// Floats per task.
pub(crate) const CHUNK: usize = 1 << 14;

/// Runs `task` on every chunk; a single chunk stays on this thread.
pub(crate) fn in_chunks<I: IndexedParallelIterator>(len: usize, chunks: I, task: impl Fn(I::Item) + Sync + Send) {
    // One part with all chunks, where other threads cost more than they save.
    let shortest = if len <= CHUNK { usize::MAX } else { 1 };
    chunks.with_min_len(shortest).for_each(task);
}
