//! An allocator for programs: freed blocks of tensors are kept for the next ones.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes from which a block is kept. The system's allocator gives such blocks back to the operating system when they are
/// freed, and their pages have to be mapped, zeroed and faulted in again for the next tensor.
const SMALLEST: usize = 1 << 16;
/// Sizes between a power of two and the next.
const STEPS: usize = 8;
/// Largest alignment that is kept: that of a page.
const LARGEST_ALIGNMENT: usize = 4096;
/// Kept blocks, at most.
const BLOCKS: usize = 512;
/// Bytes that may be held beyond the most that were ever in use at once.
const SLACK: usize = 64 << 20;

/// The system's allocator, except that freed blocks from 64 KiB on are kept for the next ones of like size.
///
/// Blocks in use and kept ones together are never more than what was once in use, plus 64 MiB: programs get faster, not
/// larger. Install it with `#[global_allocator]`.
#[derive(Debug, Default)]
pub struct KeepingAllocator;

/// Freed blocks, the oldest first, and how much there is.
struct Kept {
    blocks: [Block; BLOCKS],
    count: usize,
    /// Bytes of the kept blocks.
    kept: usize,
    /// Bytes of the blocks in use.
    used: usize,
    /// The most that `used` ever was.
    most: usize,
}

#[derive(Clone, Copy)]
struct Block {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: a kept block belongs to nobody, so any thread may take it.
unsafe impl Send for Block {}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    blocks: [Block {
        start: null_mut(),
        layout: Layout::new::<()>(),
    }; BLOCKS],
    count: 0,
    kept: 0,
    used: 0,
    most: 0,
});

/// The size that a large block really has: the next of [`STEPS`] an octave, so that tensors of almost the same size share
/// blocks. What lies beyond the wanted size is not touched and costs no memory. `None` for blocks that are not kept.
fn block_layout(layout: Layout) -> Option<Layout> {
    if layout.size() < SMALLEST || layout.align() > LARGEST_ALIGNMENT {
        return None;
    }
    let step = 1 << (layout.size().ilog2() - STEPS.ilog2());
    let size = layout.size().checked_next_multiple_of(step)?;
    Layout::from_size_align(size, LARGEST_ALIGNMENT).ok()
}

impl Kept {
    fn lock() -> MutexGuard<'static, Self> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kept block of this size, the one freed last.
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
        self.kept -= block.layout.size();
        block
    }

    /// Counts a block as in use and gives older ones back until no more is held than allowed.
    fn use_block(&mut self, layout: Layout) {
        self.used += layout.size();
        self.most = self.most.max(self.used);
        self.shrink();
    }

    fn keep(&mut self, block: Block) {
        self.used = self.used.saturating_sub(block.layout.size());
        if self.count == BLOCKS {
            release(self.remove(0));
        }
        self.blocks[self.count] = block;
        self.count += 1;
        self.kept += block.layout.size();
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.count > 0 && self.used + self.kept > self.most + SLACK {
            release(self.remove(0));
        }
    }
}

fn release(block: Block) {
    // SAFETY: `System` gave the block with this layout, and nobody uses it: it was kept.
    unsafe { System.dealloc(block.start, block.layout) };
}

/// A block that was kept, if there is one, else a new one by `allocate`; null if there is no memory.
fn obtain(layout: Layout, allocate: impl FnOnce(Layout) -> *mut u8) -> (*mut u8, bool) {
    let kept = Kept::lock().take(layout);
    let start = kept.unwrap_or_else(|| allocate(layout));
    if !start.is_null() {
        Kept::lock().use_block(layout);
    }
    (start, kept.is_some())
}

// SAFETY: every block comes from `System` with the layout that `block_layout` makes of the wanted one, at least as large and
// as aligned, and goes back to it with the same layout; a kept block is handed out once, since taking it removes it.
unsafe impl GlobalAlloc for KeepingAllocator {
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
        let (start, used_before) = obtain(block, |block| unsafe { System.alloc_zeroed(block) });
        if used_before {
            // SAFETY: the block has at least the wanted size, and nobody else has it.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match block_layout(layout) {
            Some(layout) => Kept::lock().keep(Block { start, layout }),
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
                // SAFETY: `System` gave the block with the layout `old`; both have the same alignment.
                let moved = unsafe { System.realloc(start, old, new.size()) };
                if !moved.is_null() {
                    let mut kept = Kept::lock();
                    kept.used = kept.used.saturating_sub(old.size());
                    kept.use_block(new);
                }
                moved
            }
            _ => {
                // SAFETY: the wanted size is not 0, says the caller.
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    // SAFETY: both blocks have at least the smaller of the sizes, and the new one is nobody else's.
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

    /// Other tests of this process do not use the allocator, so that this one sees its own blocks.
    #[test]
    fn large_blocks_come_back() {
        assert!(block_layout(layout(SMALLEST - 1)).is_none());
        for size in [SMALLEST, SMALLEST + 1, 100_000, 1 << 20, 12_345_678] {
            let block = block_layout(layout(size)).expect("a large block");
            assert!(
                block.size() >= size && block.size() - size <= size / STEPS,
                "{size}: {block:?}"
            );
            assert_eq!(block_layout(block), Some(block));
        }
        let allocator = KeepingAllocator;
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
        let many: Vec<Layout> = (0..2000).map(|index| layout(SMALLEST + 40_000 * index)).collect();
        for layout in &many {
            // SAFETY: as above.
            unsafe { allocator.dealloc(allocator.alloc(*layout), *layout) };
        }
        let kept = Kept::lock();
        assert!(kept.count <= BLOCKS && kept.used + kept.kept <= kept.most + SLACK);
        assert_eq!(kept.used, 0);
        let sum: usize = kept.blocks[..kept.count].iter().map(|block| block.layout.size()).sum();
        assert_eq!(kept.kept, sum);
    }
}
