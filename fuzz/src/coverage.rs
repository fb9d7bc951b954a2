//! Which branches an input reaches, if the program was built with LLVM's edge counters.
//!
//! `cargo xtask fuzz` passes `-Cpasses=sancov-module` and the options of inline counters to the stable compiler; LLVM
//! then adds a byte per edge to the section `__sancov_cntrs` and calls [`__sanitizer_cov_8bit_counters_init`] before `main`.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

static COUNTERS: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Called by instrumented objects with the bounds of the section.
///
/// # Safety
/// `start` to `stop` is the section of counters, which exists as long as the process.
#[cfg(zegclip_coverage)]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    COUNTERS.store(start, Ordering::Relaxed);
    LENGTH.store((stop as usize).saturating_sub(start as usize), Ordering::Relaxed);
}

/// Counters that are looked at together.
const BLOCK: usize = 64;

/// Edges seen so far, with a bit for each magnitude of a count.
#[derive(Debug)]
pub(crate) struct Coverage {
    seen: Vec<u8>,
}

impl Coverage {
    /// `None` in a program without counters.
    pub(crate) fn new() -> Option<Self> {
        let length = LENGTH.load(Ordering::Relaxed);
        (length > 0).then(|| Self { seen: vec![0; length] })
    }

    fn counters() -> &'static mut [u8] {
        let (start, length) = (COUNTERS.load(Ordering::Relaxed), LENGTH.load(Ordering::Relaxed));
        if start.is_null() {
            return &mut [];
        }
        // SAFETY: the bounds are those of a section of bytes, which instrumented code increments without
        // synchronization; a lost increment is harmless here.
        unsafe { std::slice::from_raw_parts_mut(start, length) }
    }

    /// Forgets the counts of the input before.
    pub(crate) fn reset(&self) {
        Self::counters().fill(0);
    }

    /// Whether the input since [`Self::reset`] reached an edge, or an edge more often, than all before.
    pub(crate) fn is_new(&mut self) -> bool {
        let mut new = false;
        let (counters, seen) = (Self::counters(), self.seen.as_mut_slice());
        for (counters, seen) in counters.chunks(BLOCK).zip(seen.chunks_mut(BLOCK)) {
            // Most blocks are of code that does not run; this is a few vector instructions.
            if counters.iter().fold(0, |any, count| any | count) == 0 {
                continue;
            }
            for (count, seen) in counters.iter().zip(seen) {
                let magnitude = magnitude(*count);
                new |= magnitude & !*seen != 0;
                *seen |= magnitude;
            }
        }
        new
    }

    /// Edges reached.
    pub(crate) fn edges(&self) -> usize {
        self.seen.iter().filter(|seen| **seen != 0).count()
    }
}

/// A bit for 1, 2, 3, 4–7, 8–15, 16–31, 32–127 and more.
fn magnitude(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128..=255 => 128,
    }
}
