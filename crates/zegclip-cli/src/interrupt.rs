//! Ctrl-C and SIGTERM: the first one asks to stop, the second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::train::Interrupter;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;
use crate::training_display;

/// What schedulers send is heard too.
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// A flag that the first signal sets.
pub(crate) fn interruptible() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in SIGNALS {
        // In this order: the first signal finds the flag not set yet.
        signal_hook::flag::register_conditional_shutdown(signal, 1, stop.clone())
            .and_then(|_| signal_hook::flag::register(signal, stop.clone()))
            .map_err(cannot_listen)?;
    }
    Ok(stop)
}

/// The first signal asks a training run to stop.
pub(crate) fn stop_on_signals(interrupter: &Interrupter) -> Result<(), Failure> {
    let mut signals = Signals::new().map_err(cannot_listen)?;
    let interrupter = interrupter.clone();
    let listen = move || {
        let Some(signal) = signals.next() else { return };
        interrupter.stop(Some(name(signal)));
        training_display::stopping(name(signal));
        if signals.next().is_some() {
            training_display::end_at_once(1);
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)
        .map(drop)
        .map_err(cannot_listen)
}

fn name(signal: i32) -> &'static str {
    if signal == SIGTERM { "SIGTERM" } else { "Ctrl-C" }
}

fn cannot_listen(error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot listen for signals: {error}"))
}

#[cfg(unix)]
struct Signals(signal_hook::iterator::Signals);

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        signal_hook::iterator::Signals::new(SIGNALS).map(Self)
    }

    fn next(&mut self) -> Option<i32> {
        self.0.forever().next()
    }
}

/// signal-hook has no iterator on other systems.
#[cfg(not(unix))]
struct Signals([(i32, Arc<AtomicBool>); 2]);

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        let flags = SIGNALS.map(|signal| (signal, Arc::new(AtomicBool::new(false))));
        for (signal, flag) in &flags {
            signal_hook::flag::register(*signal, flag.clone())?;
        }
        Ok(Self(flags))
    }

    fn next(&mut self) -> Option<i32> {
        use std::sync::atomic::Ordering;
        loop {
            let arrived = |(_, flag): &&(i32, Arc<AtomicBool>)| flag.swap(false, Ordering::Relaxed);
            if let Some((signal, _)) = self.0.iter().find(arrived) {
                return Some(*signal);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}
