//! Work on one of rayon's threads.

/// Runs `work` on a thread of rayon's pool and waits for it. Operators cut their work into tasks of that pool, so that from
/// any other thread each of them wakes a thread of the pool and is woken by it in turn: a tenth of a step of a small model.
///
/// With a pool of one thread nothing else can use the pool meanwhile: `work` must not wait for anything that does.
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
        // From there it is a plain call.
        let (outer, inner) = on_worker(|| (rayon::current_thread_index(), on_worker(rayon::current_thread_index)));
        assert_eq!(outer, inner);
    }
}
