//! Ctrl-C: the first one asks to stop, the second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
