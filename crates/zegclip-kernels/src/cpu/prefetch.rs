//! Fetching what is needed soon. Hints: they change no result.

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for `data` to be brought into the second cache.
#[inline(always)]
pub(crate) fn prefetch<T>(data: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

        let start = data.as_ptr().cast::<i8>();
        for offset in (0..size_of_val(data)).step_by(LINE) {
            // SAFETY: a prefetch reads nothing as far as the program can tell; the address lies in `data` anyway.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(offset)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}

/// Asks for a value to be brought into the first cache. There need not be one.
#[inline(always)]
pub(crate) fn prefetch_nearest<T>(value: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // Not with an iterator: in an innermost loop it must be a number of instructions known to the compiler.
        let mut offset = 0;
        while offset < size_of::<T>() {
            // SAFETY: a prefetch of any address is allowed, and reads nothing as far as the program can tell.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(value.cast::<i8>().wrapping_add(offset)) };
            offset += LINE;
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
