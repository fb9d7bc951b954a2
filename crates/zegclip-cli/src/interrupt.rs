//! Ctrl-C and SIGTERM. One thread waits for them from the start of the program; what a signal does depends on the command.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use burn::train::Interrupter;
use signal_hook::consts::{SIGINT, SIGTERM};

use zegclip_foundation::remove_unfinished;

use crate::failure::Failure;
use crate::{output, threads, training_display};

/// Ctrl-C, and what job schedulers send.
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// The signal that set a flag; 0 before.
static RECEIVED: AtomicI32 = AtomicI32::new(0);

static RESPONSE: Mutex<Response> = Mutex::new(Response::End(None));

/// What the next signal does.
enum Response {
    /// Undoes what was begun and ends the program.
    End(Option<Box<dyn FnOnce() + Send>>),
    /// Sets a flag.
    Stop(Arc<AtomicBool>),
    /// Stops a training run after the current iteration.
    StopRun(Interrupter),
    /// Ends the program at once: the first signal came before.
    EndAtOnce,
    /// The same during a training run.
    EndRunAtOnce,
}

/// Waits for signals on a thread of its own.
pub(crate) fn install() -> Result<(), Failure> {
    let listen = |mut signals: Signals| {
        while let Some(signal) = signals.next() {
            respond(signal);
        }
    };
    Signals::new()
        .and_then(|signals| {
            let thread = std::thread::Builder::new().name("signals".to_owned());
            thread.spawn(move || listen(signals))
        })
        .map(drop)
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => threads::none(&error),
            _ => Failure::failed(format!("cannot listen for signals: {error}")),
        })
}

/// A flag that the first signal sets. The second signal ends the program.
pub(crate) fn interruptible() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    set(Response::Stop(stop.clone()));
    stop
}

/// A signal ends the program, as at its start.
#[cfg(feature = "hub")]
pub(crate) fn end_on_signals() {
    set(Response::End(None));
}

/// The first signal stops a training run after the current iteration. The second one ends the program.
pub(crate) fn stop_on_signals(interrupter: &Interrupter) {
    set(Response::StopRun(interrupter.clone()));
}

/// The first signal undoes what was begun and ends the program.
pub(crate) fn undo_on_signals(undo: impl FnOnce() + Send + 'static) {
    set(Response::End(Some(Box::new(undo))));
}

fn set(response: Response) {
    *RESPONSE.lock().unwrap_or_else(PoisonError::into_inner) = response;
}

fn respond(signal: i32) {
    let mut response = RESPONSE.lock().unwrap_or_else(PoisonError::into_inner);
    match std::mem::replace(&mut *response, Response::EndAtOnce) {
        Response::End(undo) => {
            if let Some(undo) = undo {
                undo();
            }
            end(signal);
        }
        Response::Stop(flag) => {
            flag.store(true, Ordering::Relaxed);
            RECEIVED.store(signal, Ordering::Relaxed);
            drop(response);
            output::message(format_args!(
                "note: {}: stopping after the work in hand; a second signal ends at once",
                name(signal)
            ));
        }
        Response::StopRun(interrupter) => {
            *response = Response::EndRunAtOnce;
            drop(response);
            interrupter.stop(Some(name(signal)));
            training_display::stopping(name(signal));
        }
        Response::EndAtOnce => end(signal),
        Response::EndRunAtOnce => {
            remove_unfinished();
            training_display::end_at_once(1)
        }
    }
}

/// Ends the program as the signal would, so that shells and schedulers see it, but not silently.
fn end(signal: i32) {
    Failure::failed(format!("ended by {}", name(signal))).report();
    end_silently(signal)
}

/// Ends the program as the signal would, once what happened is said.
pub(crate) fn end_silently(signal: i32) -> ! {
    remove_unfinished();
    let _ = signal_hook::low_level::emulate_default_handler(signal);
    signal_hook::low_level::exit(1)
}

/// The signal that set the flag of [`interruptible`], and its name.
pub(crate) fn received() -> Option<(i32, &'static str)> {
    match RECEIVED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some((signal, name(signal))),
    }
}

fn name(signal: i32) -> &'static str {
    if signal == SIGTERM { "SIGTERM" } else { "Ctrl-C" }
}

#[cfg(unix)]
struct Signals(signal_hook::iterator::Signals);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
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
    fn new() -> io::Result<Self> {
        let flags = SIGNALS.map(|signal| (signal, Arc::new(AtomicBool::new(false))));
        for (signal, flag) in &flags {
            signal_hook::flag::register(*signal, flag.clone())?;
        }
        Ok(Self(flags))
    }

    fn next(&mut self) -> Option<i32> {
        loop {
            let arrived = |(_, flag): &&(i32, Arc<AtomicBool>)| flag.swap(false, Ordering::Relaxed);
            if let Some((signal, _)) = self.0.iter().find(arrived) {
                return Some(*signal);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}
