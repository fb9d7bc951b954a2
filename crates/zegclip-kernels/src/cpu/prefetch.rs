//! Fetching what is needed soon.

/// Asks for `data` to be brought into the second cache. A hint: it changes no result.
#[inline(always)]
pub(crate) fn prefetch<T>(data: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

        /// Bytes of a cache line.
        const LINE: usize = 64;
        let start = data.as_ptr().cast::<i8>();
        for offset in (0..size_of_val(data)).step_by(LINE) {
            // SAFETY: a prefetch reads nothing as far as the program can tell; the address lies in `data` anyway.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}
