//! Fetching what is needed soon.

/// Asks for `count` values to be brought into the first cache. A hint: it changes no result, and they need not be there.
#[inline(always)]
pub(crate) fn prefetch<T>(start: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        /// Bytes of a cache line.
        const LINE: usize = 64;
        // Not with an iterator: in an innermost loop it must be a number of instructions known to the compiler.
        let mut offset = 0;
        while offset < count * size_of::<T>() {
            // SAFETY: a prefetch of any address is allowed, and reads nothing as far as the program can tell.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.cast::<i8>().wrapping_add(offset)) };
            offset += LINE;
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, count);
}
