//! A global allocator that counts what a thread allocates, so that an input that takes too much memory is noticed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What one input may take in any case; a request that exceeds it fails, which ends the process or is handled.
const HARD_LIMIT: isize = 2 << 30;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator with a count of live bytes for each thread.
pub(crate) struct CountingAllocator;

/// Whether `bytes` more are within the limit, which are then counted.
fn count(bytes: usize) -> bool {
    let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
    LIVE.try_with(|live| {
        let total = live.get().saturating_add(bytes);
        if total > HARD_LIMIT {
            return false;
        }
        live.set(total);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(total)));
        true
    })
    .unwrap_or(true)
}

fn discount(bytes: usize) {
    let _ = LIVE.try_with(|live| live.set(live.get().saturating_sub_unsigned(bytes)));
}

// SAFETY: every call is passed on unchanged to the system's allocator, or answered with null, which means failure.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size()) {
            return std::ptr::null_mut();
        }
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new block may exist at the same time.
        if !count(size) {
            return std::ptr::null_mut();
        }
        let moved = unsafe { System.realloc(pointer, layout, size) };
        discount(if moved.is_null() { size } else { layout.size() });
        moved
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        discount(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The result of `work` and the most bytes that this thread had allocated during it.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    LIVE.set(0);
    PEAK.set(0);
    let result = work();
    (result, usize::try_from(PEAK.get()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_sum_of_live_bytes_is_counted() {
        let (_, peak) = peak_of(|| {
            let first = vec![0_u8; 1 << 20];
            drop(first);
            let second: Vec<u8> = Vec::with_capacity(1 << 19);
            drop(second);
        });
        assert!((1 << 20..(1 << 20) + 4096).contains(&peak), "{peak}");
    }

    #[test]
    fn a_request_beyond_the_limit_fails() {
        let (reserved, peak) = peak_of(|| Vec::<u8>::new().try_reserve_exact(3 << 30));
        assert!(reserved.is_err() && peak < 4096, "{peak}");
    }
}
