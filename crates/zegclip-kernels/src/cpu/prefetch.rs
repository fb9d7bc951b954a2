//! Software prefetching.

/// Requests `count` values for the L1 cache. A hint: it changes no result, and the address need not be valid.
#[inline(always)]
pub(crate) fn prefetch<T>(start: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        /// Bytes of a cache line.
        const LINE: usize = 64;
        // Not with an iterator: an innermost loop needs a constant number of instructions.
        let mut offset = 0;
        while offset < count * size_of::<T>() {
            // SAFETY: a prefetch is allowed at any address and has no effect that the program can observe.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.cast::<i8>().wrapping_add(offset)) };
            offset += LINE;
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, count);
}
