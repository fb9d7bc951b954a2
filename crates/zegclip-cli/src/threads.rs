//! The threads that compute: the one place where rayon's pool is made, and what happens where the system starts too few.

use std::io;
use std::panic::PanicHookInfo;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use rayon::ThreadBuilder;

use crate::failure::Failure;
use crate::{hints, output};

const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Threads that loaders, checkpoints, displays and devices need where threads are few.
const FOR_OTHERS: usize = 8;

/// Whether a thread could not be started where only a panic says so.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// A started thread that waits for its place in the pool.
struct Waiting {
    place: Sender<ThreadBuilder>,
    thread: JoinHandle<()>,
}

/// Starts the pool with as many threads as `RAYON_NUM_THREADS` or the machine says, or with those that the system starts.
///
/// A pool that fails to start cannot be started again, so the threads are started first.
pub(crate) fn start() -> Result<(), Failure> {
    let wanted = wanted()?;
    let mut waiting = Vec::new();
    for _ in 0..wanted {
        match wait() {
            Ok(thread) => waiting.push(thread),
            Err(error) if waiting.is_empty() => return Err(none(&error)),
            Err(_) => break,
        }
    }
    if waiting.len() < wanted {
        let kept = (waiting.len() / 2).min(waiting.len().saturating_sub(FOR_OTHERS)).max(1);
        for Waiting { place, thread } in waiting.drain(kept..) {
            drop(place);
            // It had nothing to do.
            let _ = thread.join();
        }
        output::message(format_args!(
            "note: the system does not start {wanted} threads; {kept} compute. `{VARIABLE}={kept}` asks for no more"
        ));
    }
    let threads = waiting.len();
    let waiting = Mutex::new(waiting);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .spawn_handler(|builder| {
            let thread = waiting.lock().ok().and_then(|mut waiting| waiting.pop());
            let sent = thread.and_then(|thread| thread.place.send(builder).ok());
            sent.ok_or_else(|| io::Error::other("a thread ended"))
        })
        .build_global()
        .map_err(|error| Failure::failed(format!("cannot start the threads that compute: {error}")))
}

/// Where the system starts no thread at all.
pub(crate) fn none(error: &io::Error) -> Failure {
    Failure::failed(format!("the system starts no thread: {error}")).hint(hints::FEWER_THREADS)
}

fn wait() -> io::Result<Waiting> {
    let (place, given) = channel::<ThreadBuilder>();
    let work = move || {
        if let Ok(builder) = given.recv() {
            builder.run();
        }
    };
    let thread = std::thread::Builder::new().name("compute".to_owned()).spawn(work)?;
    Ok(Waiting { place, thread })
}

fn wanted() -> Result<usize, Failure> {
    let machine = || std::thread::available_parallelism().map_or(1, usize::from);
    let Some(value) = std::env::var_os(VARIABLE) else {
        return Ok(machine());
    };
    let number = value.to_str().and_then(|value| value.trim().parse::<usize>().ok());
    match number {
        Some(0) => Ok(machine()),
        Some(threads) => Ok(threads.min(rayon::max_num_threads())),
        None if value.is_empty() => Ok(machine()),
        None => Err(Failure::usage(format!(
            "`{VARIABLE}` is `{}`, not a number of threads",
            value.display()
        ))),
    }
}

/// Keeps panics about threads that do not start, which libraries raise, from stderr: [`refused`] tells of them.
pub(crate) fn hide_refusals() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if is_refusal(panic) {
            REFUSED.store(true, Ordering::Relaxed);
        } else {
            show(panic);
        }
    }));
}

/// The failure of a panic, if its cause was a thread that did not start.
pub(crate) fn refused() -> Option<Failure> {
    REFUSED
        .load(Ordering::Relaxed)
        .then(|| Failure::failed("the system does not start as many threads as needed").hint(hints::FEWER_THREADS))
}

fn is_refusal(panic: &PanicHookInfo<'_>) -> bool {
    let text = panic.payload_as_str().unwrap_or_default();
    text.contains("failed to spawn thread") || (text.contains("WouldBlock") && text.contains("Resource temporarily"))
}
