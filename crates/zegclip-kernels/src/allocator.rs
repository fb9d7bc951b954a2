//! An allocator that keeps large blocks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;

/// Blocks of this many bytes and more are kept.
const LARGE: usize = 1 << 16;
/// Classes of block sizes: eight for each doubling.
const CLASSES: usize = 8 * (usize::BITS as usize);
/// Alignment of large blocks: a cache line, so that vectors do not straddle two.
const ALIGNMENT: usize = 64;
/// Bytes that are kept even if hardly any are in use.
const ALWAYS_KEPT: usize = 64 << 20;

/// Keeps freed large blocks for the next allocation of about the same size, instead of giving them back to the operating
/// system, which hands out fresh ones a 4 KiB page at a time: for the activations of a transformer that takes a quarter of
/// the time of its matrix products.
///
/// It keeps no more bytes than are in use (or 64 MiB). To be installed by a program:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: zegclip_kernels::BlockCache = zegclip_kernels::BlockCache::new();
/// ```
#[derive(Debug)]
pub struct BlockCache {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// First free block of each class; a free block begins with the address of the next one.
    free: [*mut u8; CLASSES],
    kept: usize,
    used: usize,
}

// SAFETY: the blocks that the pointers lead to belong to the cache alone.
unsafe impl Send for State {}

impl BlockCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                free: [std::ptr::null_mut(); CLASSES],
                kept: 0,
                used: 0,
            }),
        }
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// A kept block for `class`, if there is one; counted as in use either way.
    fn take(&self, class: Class) -> Option<*mut u8> {
        self.with_state(|state| {
            state.used += class.bytes;
            let block = state.free[class.index];
            if block.is_null() {
                return None;
            }
            // SAFETY: a free block begins with the address of the next one, and blocks are aligned to cache lines.
            state.free[class.index] = unsafe { block.cast::<*mut u8>().read() };
            state.kept -= class.bytes;
            Some(block)
        })
    }

    /// Keeps a block unless enough are kept; whether it did.
    fn keep(&self, class: Class, block: *mut u8) -> bool {
        self.with_state(|state| {
            state.used = state.used.saturating_sub(class.bytes);
            if state.kept + class.bytes > ALWAYS_KEPT.max(state.used) {
                return false;
            }
            // SAFETY: nobody else uses the block any more; it is longer than an address and aligned to cache lines.
            unsafe { block.cast::<*mut u8>().write(state.free[class.index]) };
            state.free[class.index] = block;
            state.kept += class.bytes;
            true
        })
    }
}

impl Default for BlockCache {
    fn default() -> Self {
        Self::new()
    }
}

/// Blocks that can stand for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class {
    index: usize,
    bytes: usize,
}

impl Class {
    /// The class of a large block; none for small or oddly aligned ones, which are not kept.
    fn of(layout: Layout) -> Option<Self> {
        let size = layout.size();
        // Rounding up to a step of the class must not overflow.
        if size < LARGE || layout.align() > ALIGNMENT || size > 1 << (usize::BITS - 4) {
            return None;
        }
        let step = 1 << (size.ilog2() - 3);
        let bytes = size.next_multiple_of(step);
        let doubling = bytes.ilog2() as usize;
        Some(Self {
            index: 8 * doubling + (bytes >> (doubling - 3)) - 8,
            bytes,
        })
    }

    fn layout(self) -> Option<Layout> {
        Layout::from_size_align(self.bytes, ALIGNMENT).ok()
    }
}

// SAFETY: every block comes from the system's allocator, with at least the size and alignment that were asked for, and is
// handed out once until it is freed. Its class follows from the layout, which callers repeat when they free it.
unsafe impl GlobalAlloc for BlockCache {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Class::of(layout).and_then(|class| Some((class, class.layout()?))) {
            // SAFETY: passed on from the caller.
            None => unsafe { System.alloc(layout) },
            Some((class, rounded)) => match self.take(class) {
                Some(block) => block,
                // SAFETY: the rounded layout is not empty.
                None => unsafe { System.alloc(rounded) },
            },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Class::of(layout).and_then(|class| Some((class, class.layout()?))) {
            // SAFETY: passed on from the caller.
            None => unsafe { System.alloc_zeroed(layout) },
            Some((class, rounded)) => match self.take(class) {
                Some(block) => {
                    // SAFETY: the block has at least this many bytes.
                    unsafe { block.write_bytes(0, layout.size()) };
                    block
                }
                // SAFETY: the rounded layout is not empty.
                None => unsafe { System.alloc_zeroed(rounded) },
            },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match Class::of(layout).and_then(|class| Some((class, class.layout()?))) {
            // SAFETY: passed on from the caller; it was allocated with this layout.
            None => unsafe { System.dealloc(block, layout) },
            Some((class, rounded)) => {
                if !self.keep(class, block) {
                    // SAFETY: it was allocated with the rounded layout.
                    unsafe { System.dealloc(block, rounded) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 4).expect("a layout")
    }

    #[test]
    fn classes_waste_at_most_an_eighth_and_do_not_collide() {
        let mut classes = std::collections::BTreeMap::new();
        for size in (LARGE..LARGE * 40).step_by(97) {
            let class = Class::of(layout(size)).expect("a large block");
            assert!(
                class.bytes >= size && class.bytes <= size + size / 8 + 1,
                "{size}: {class:?}"
            );
            assert_eq!(
                *classes.entry(class.index).or_insert(class.bytes),
                class.bytes,
                "{size}"
            );
            assert!(class.index < CLASSES);
        }
        assert_eq!(Class::of(layout(LARGE - 1)), None);
        assert_eq!(Class::of(Layout::from_size_align(LARGE, 4096).expect("a layout")), None);
    }

    #[test]
    fn freed_blocks_come_back_zeroed_if_asked() {
        let cache = BlockCache::new();
        let layout = layout(100_000);
        // SAFETY: the layout is not empty, the blocks are used within their sizes and freed once with their layout.
        unsafe {
            let first = cache.alloc(layout);
            assert_eq!(first.addr() % ALIGNMENT, 0);
            first.write_bytes(7, layout.size());
            cache.dealloc(first, layout);
            let second = cache.alloc_zeroed(layout);
            assert_eq!(second, first, "the block was kept");
            assert!(
                std::slice::from_raw_parts(second, layout.size())
                    .iter()
                    .all(|byte| *byte == 0)
            );
            let third = cache.alloc(layout);
            assert_ne!(third, second);
            cache.dealloc(second, layout);
            cache.dealloc(third, layout);
        }
        assert_eq!(cache.with_state(|state| state.used), 0);
    }

    #[test]
    fn not_more_is_kept_than_is_used() {
        let cache = BlockCache::new();
        let layout = layout(ALWAYS_KEPT / 2);
        // SAFETY: the layout is not empty, and the blocks are freed once with it.
        unsafe {
            let blocks: Vec<_> = (0..6).map(|_| cache.alloc(layout)).collect();
            for block in blocks {
                cache.dealloc(block, layout);
                let (kept, used) = cache.with_state(|state| (state.kept, state.used));
                assert!(
                    kept <= ALWAYS_KEPT.max(used + layout.size()),
                    "{kept} kept, {used} used"
                );
            }
        }
    }
}
