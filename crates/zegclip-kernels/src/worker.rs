//! Work on one of rayon's threads.

/// Runs `work` on a thread of rayon's pool and waits for it. Operators run tasks in that pool, and from any other thread each of
/// them waits for a wake-up: a tenth of the time of a training step of a small model.
///
/// In a pool of one thread, `work` must not wait for other work in the pool.
pub fn on_worker<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_in_the_pool() {
        assert_eq!(rayon::current_thread_index(), None);
        assert!(on_worker(rayon::current_thread_index).is_some());
        // From a thread of the pool it is a plain call.
        let (outer, inner) = on_worker(|| (rayon::current_thread_index(), on_worker(rayon::current_thread_index)));
        assert_eq!(outer, inner);
    }
}
