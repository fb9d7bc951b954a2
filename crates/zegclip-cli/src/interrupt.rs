//! Ctrl-C: the first one asks to stop, the second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::Failure;

/// A flag that Ctrl-C sets.
pub(crate) fn interruptible() -> Result<Arc<AtomicBool>, Failure> {
    use signal_hook::consts::SIGINT;
    let stop = Arc::new(AtomicBool::new(false));
    // In this order: the first signal finds the flag not set yet.
    signal_hook::flag::register_conditional_shutdown(SIGINT, 1, stop.clone())
        .and_then(|_| signal_hook::flag::register(SIGINT, stop.clone()))
        .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(stop)
}

/// Does `work`, which looks at a flag of its own: ours, which the signal sets, is handed on to it.
pub(crate) fn while_watching<T>(stop: &AtomicBool, watched: &AtomicBool, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                watched.fetch_or(stop.load(Ordering::Relaxed), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}
