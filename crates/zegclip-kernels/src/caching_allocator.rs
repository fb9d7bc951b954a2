//! An allocator for programs that caches the freed blocks of tensors.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Smallest block in bytes that is cached. The system's allocator returns such blocks to the operating system, which has to map,
/// zero and fault in their pages again for the next tensor.
const MIN_SIZE: usize = 1 << 16;
/// Sizes between a power of two and the next.
const STEPS: usize = 8;
/// Largest alignment of a cached block: that of a page.
const MAX_ALIGNMENT: usize = 4096;
/// Largest number of cached blocks.
const MAX_BLOCKS: usize = 512;
/// Bytes that may be allocated beyond the peak of bytes in use.
const SLACK: usize = 64 << 20;

/// The system's allocator with a cache of freed blocks of at least 64 KiB, which are reused for blocks of similar size.
///
/// Blocks in use and cached blocks together never exceed the peak of blocks in use by more than 64 MiB. Install it with
/// `#[global_allocator]`.
#[derive(Debug, Default)]
pub struct CachingAllocator;

/// Freed blocks, the oldest first, and the statistics of all blocks.
struct Cache {
    blocks: [Block; MAX_BLOCKS],
    count: usize,
    /// Bytes of the cached blocks.
    cached: usize,
    /// Bytes of the blocks in use.
    used: usize,
    /// Peak of `used`.
    peak: usize,
}

#[derive(Clone, Copy)]
struct Block {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: a cached block has no owner, so any thread may take it.
unsafe impl Send for Block {}

static CACHE: Mutex<Cache> = Mutex::new(Cache {
    blocks: [Block {
        start: null_mut(),
        layout: Layout::new::<()>(),
    }; MAX_BLOCKS],
    count: 0,
    cached: 0,
    used: 0,
    peak: 0,
});

/// The layout of a cached block, its size rounded up to one of [`STEPS`] per octave, so that tensors of almost the same size
/// share blocks. Pages beyond the requested size are not touched and use no memory. `None` for blocks that are not cached.
fn block_layout(layout: Layout) -> Option<Layout> {
    if layout.size() < MIN_SIZE || layout.align() > MAX_ALIGNMENT {
        return None;
    }
    let step = 1 << (layout.size().ilog2() - STEPS.ilog2());
    let size = layout.size().checked_next_multiple_of(step)?;
    Layout::from_size_align(size, MAX_ALIGNMENT).ok()
}

impl Cache {
    fn lock() -> MutexGuard<'static, Self> {
        CACHE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cached block of this layout that was freed last.
    fn take(&mut self, layout: Layout) -> Option<*mut u8> {
        let index = self.blocks[..self.count]
            .iter()
            .rposition(|block| block.layout == layout)?;
        Some(self.remove(index).start)
    }

    fn remove(&mut self, index: usize) -> Block {
        let block = self.blocks[index];
        self.blocks.copy_within(index + 1..self.count, index);
        self.count -= 1;
        self.cached -= block.layout.size();
        block
    }

    /// Counts a block as in use, and releases the oldest blocks beyond the limit.
    fn record_use(&mut self, layout: Layout) {
        self.used += layout.size();
        self.peak = self.peak.max(self.used);
        self.shrink();
    }

    fn insert(&mut self, block: Block) {
        self.used = self.used.saturating_sub(block.layout.size());
        if self.count == MAX_BLOCKS {
            release(self.remove(0));
        }
        self.blocks[self.count] = block;
        self.count += 1;
        self.cached += block.layout.size();
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.count > 0 && self.used + self.cached > self.peak + SLACK {
            release(self.remove(0));
        }
    }
}

fn release(block: Block) {
    // SAFETY: the block came from `System` with this layout and is not in use, since it was cached.
    unsafe { System.dealloc(block.start, block.layout) };
}

/// A cached block, or else a new one by `allocate`, null without memory; and whether the block was cached.
fn obtain(layout: Layout, allocate: impl FnOnce(Layout) -> *mut u8) -> (*mut u8, bool) {
    let cached = Cache::lock().take(layout);
    let start = cached.unwrap_or_else(|| allocate(layout));
    if !start.is_null() {
        Cache::lock().record_use(layout);
    }
    (start, cached.is_some())
}

// SAFETY: every block comes from `System` with the layout of `block_layout`, at least as large and as aligned as requested, and
// returns to it with the same layout; taking a cached block removes it, so that it is used once.
unsafe impl GlobalAlloc for CachingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match block_layout(layout) {
            // SAFETY: the block is not empty.
            Some(block) => obtain(block, |block| unsafe { System.alloc(block) }).0,
            // SAFETY: as the caller promises.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(block) = block_layout(layout) else {
            // SAFETY: as the caller promises.
            return unsafe { System.alloc_zeroed(layout) };
        };
        // SAFETY: the block is not empty.
        let (start, was_cached) = obtain(block, |block| unsafe { System.alloc_zeroed(block) });
        if was_cached {
            // SAFETY: the block has at least the requested size and one owner.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match block_layout(layout) {
            Some(layout) => Cache::lock().insert(Block { start, layout }),
            // SAFETY: as the caller promises.
            None => unsafe { System.dealloc(start, layout) },
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else {
            return null_mut();
        };
        match (block_layout(layout), block_layout(wanted)) {
            // SAFETY: as the caller promises.
            (None, None) => unsafe { System.realloc(start, layout, size) },
            (Some(old), Some(new)) if old == new => start,
            (Some(old), Some(new)) => {
                // SAFETY: the block came from `System` with the layout `old`; both have the same alignment.
                let moved = unsafe { System.realloc(start, old, new.size()) };
                if !moved.is_null() {
                    let mut cache = Cache::lock();
                    cache.used = cache.used.saturating_sub(old.size());
                    cache.record_use(new);
                }
                moved
            }
            _ => {
                // SAFETY: the requested size is not 0, as the caller promises.
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    // SAFETY: both blocks have at least the smaller of the sizes, and the new one has one owner.
                    unsafe { moved.copy_from_nonoverlapping(start, layout.size().min(size)) };
                    // SAFETY: as the caller promises.
                    unsafe { self.dealloc(start, layout) };
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("a layout")
    }

    /// No other test of this process uses the allocator.
    #[test]
    fn freed_large_blocks_are_reused() {
        assert!(block_layout(layout(MIN_SIZE - 1)).is_none());
        for size in [MIN_SIZE, MIN_SIZE + 1, 100_000, 1 << 20, 12_345_678] {
            let block = block_layout(layout(size)).expect("a large block");
            assert!(
                block.size() >= size && block.size() - size <= size / STEPS,
                "{size}: {block:?}"
            );
            assert_eq!(block_layout(block), Some(block));
        }
        let allocator = CachingAllocator;
        let (first, second) = (layout(5_000_000), layout(5_000_001));
        // SAFETY: the layouts are not empty, and every block is used within its size and freed once.
        unsafe {
            let start = allocator.alloc(first);
            start.write_bytes(7, first.size());
            allocator.dealloc(start, first);
            let again = allocator.alloc_zeroed(second);
            assert_eq!(again, start, "the block that was freed");
            assert!(
                std::slice::from_raw_parts(again, second.size())
                    .iter()
                    .all(|byte| *byte == 0)
            );
            again.write_bytes(9, 1000);
            let grown = allocator.realloc(again, second, 50_000_000);
            assert!(std::slice::from_raw_parts(grown, 1000).iter().all(|byte| *byte == 9));
            let small = allocator.realloc(grown, layout(50_000_000), 500);
            assert!(std::slice::from_raw_parts(small, 500).iter().all(|byte| *byte == 9));
            let large = allocator.realloc(small, layout(500), 1 << 20);
            assert!(std::slice::from_raw_parts(large, 500).iter().all(|byte| *byte == 9));
            allocator.dealloc(large, layout(1 << 20));
        }
        let many: Vec<Layout> = (0..2000).map(|index| layout(MIN_SIZE + 40_000 * index)).collect();
        for layout in &many {
            // SAFETY: as above.
            unsafe { allocator.dealloc(allocator.alloc(*layout), *layout) };
        }
        let cache = Cache::lock();
        assert!(cache.count <= MAX_BLOCKS && cache.used + cache.cached <= cache.peak + SLACK);
        assert_eq!(cache.used, 0);
        let sum: usize = cache.blocks[..cache.count]
            .iter()
            .map(|block| block.layout.size())
            .sum();
        assert_eq!(cache.cached, sum);
    }
}
