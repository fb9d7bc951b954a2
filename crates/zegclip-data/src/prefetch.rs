//! Work done ahead by threads and handed over strictly in order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// A thread panicked.
#[derive(Debug, thiserror::Error)]
#[error("internal error: a prefetch thread panicked")]
pub struct ThreadFailed;

/// Results of numbered pieces of work, in order of their numbers, made by threads ahead of their use.
///
/// At most `ahead` pieces are finished or in work beyond those taken, which bounds memory. After an error nothing
/// follows. Dropping it stops the threads and waits for the pieces in work.
///
/// ```
/// use zegclip_data::{Prefetch, ThreadFailed};
///
/// let squares = Prefetch::start(3, 8, 0..5, |number| Ok::<_, ThreadFailed>(number * number))?;
/// assert_eq!(squares.collect::<Result<Vec<_>, _>>().unwrap(), [0, 1, 4, 9, 16]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Prefetch<T, E> {
    shared: Arc<Shared<Result<T, E>>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<R> {
    state: Mutex<State<R>>,
    /// Room for more work, or an end.
    room: Condvar,
    /// A result, or an end.
    results: Condvar,
}

#[derive(Debug)]
struct State<R> {
    /// The next piece that a thread takes up.
    to_make: u64,
    /// The next piece that is handed over.
    to_take: u64,
    end: u64,
    ahead: u64,
    made: BTreeMap<u64, R>,
    stopped: bool,
    /// A thread panicked.
    failed: bool,
}

impl<T, E> Prefetch<T, E>
where
    T: Send + 'static,
    E: From<ThreadFailed> + Send + 'static,
{
    /// Starts `threads` threads (at least one) that do the pieces of work `range`, `ahead` (at least one) at most in
    /// advance. What `make` gives must depend on the number alone. Where the system starts fewer threads, they do all work.
    ///
    /// # Errors
    /// If the system starts no thread.
    pub fn start(
        threads: usize,
        ahead: usize,
        range: Range<u64>,
        make: impl Fn(u64) -> Result<T, E> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let state = State {
            to_make: range.start,
            to_take: range.start,
            end: range.end,
            ahead: ahead.max(1) as u64,
            made: BTreeMap::new(),
            stopped: false,
            failed: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            room: Condvar::new(),
            results: Condvar::new(),
        };
        let mut prefetch = Self {
            shared: Arc::new(shared),
            threads: Vec::new(),
        };
        let make = Arc::new(make);
        for number in 0..threads.max(1) {
            let (shared, make) = (prefetch.shared.clone(), make.clone());
            let thread = std::thread::Builder::new().name(format!("prefetch {number}"));
            match thread.spawn(move || shared.work(&*make)) {
                Ok(thread) => prefetch.threads.push(thread),
                // Fewer threads make the same results.
                Err(_) if !prefetch.threads.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(prefetch)
    }
}

impl<T, E: From<ThreadFailed>> Iterator for Prefetch<T, E> {
    type Item = Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.shared.lock();
        loop {
            if state.stopped || state.to_take >= state.end {
                return None;
            }
            let number = state.to_take;
            let result = state
                .made
                .remove(&number)
                .or_else(|| state.failed.then(|| Err(E::from(ThreadFailed))));
            if let Some(result) = result {
                state.to_take += 1;
                state.stopped = result.is_err();
                drop(state);
                self.shared.room.notify_all();
                return Some(result);
            }
            state = self.shared.results.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T, E> Drop for Prefetch<T, E> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A panic has been reported as an error already.
            let _ = thread.join();
        }
    }
}

impl<R> Shared<R> {
    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, make: &(impl Fn(u64) -> R + ?Sized)) {
        while let Some(number) = self.take_up() {
            let guard = FailureGuard(self);
            let result = make(number);
            std::mem::forget(guard);
            self.lock().made.insert(number, result);
            self.results.notify_all();
        }
    }

    /// The next piece of work once there is room for it; `None` at the end.
    fn take_up(&self) -> Option<u64> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.failed || state.to_make >= state.end {
                return None;
            }
            if state.to_make < state.to_take.saturating_add(state.ahead) {
                state.to_make += 1;
                return Some(state.to_make - 1);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Is dropped only if the work panics: the consumer must not wait for ever.
struct FailureGuard<'a, R>(&'a Shared<R>);

impl<R> Drop for FailureGuard<'_, R> {
    fn drop(&mut self) {
        self.0.lock().failed = true;
        self.0.results.notify_all();
        self.0.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_for_any_number_of_threads() {
        for threads in [0, 1, 2, 7] {
            let slow_even = |number: u64| {
                std::thread::sleep(Duration::from_micros(300 * (number % 3)));
                Ok::<_, ThreadFailed>(number)
            };
            let prefetch = Prefetch::start(threads, 5, 10..60, slow_even).unwrap();
            assert!(prefetch.map(Result::unwrap).eq(10..60), "{threads} threads");
        }
    }

    #[test]
    fn work_stays_within_its_bound() {
        let highest = Arc::new(AtomicU64::new(0));
        let seen = highest.clone();
        let make = move |number| {
            seen.fetch_max(number, Ordering::SeqCst);
            Ok::<_, ThreadFailed>(number)
        };
        let mut prefetch = Prefetch::start(4, 3, 0..1000, make).unwrap();
        for taken in 0..50 {
            assert_eq!(prefetch.next().unwrap().unwrap(), taken);
            std::thread::sleep(Duration::from_micros(200));
            assert!(highest.load(Ordering::SeqCst) <= taken + 3);
        }
    }

    #[test]
    fn nothing_follows_an_error() {
        let make = |number| {
            if number == 3 {
                Err("three is broken".to_owned())
            } else {
                Ok(number)
            }
        };
        let make = move |number| make(number).map_err(Broken);
        let mut prefetch = Prefetch::start(2, 8, 0..u64::MAX, make).unwrap();
        let firsts: Vec<_> = prefetch.by_ref().take(3).map(Result::unwrap).collect();
        assert_eq!(firsts, [0, 1, 2]);
        assert_eq!(prefetch.next().unwrap().unwrap_err().0, "three is broken");
        assert!(prefetch.next().is_none());
    }

    #[test]
    fn a_panic_is_an_error_and_no_endless_wait() {
        let make = |number: u64| {
            assert!(number < 2, "a test's panic");
            Ok::<_, Broken>(number)
        };
        let results: Vec<_> = Prefetch::start(3, 4, 0..100, make).unwrap().collect();
        let error = results.last().unwrap().as_ref().unwrap_err();
        assert!(
            results.len() <= 3 && error.0.contains("prefetch thread panicked"),
            "{error:?}"
        );
    }

    #[test]
    fn dropping_stops_the_threads() {
        let alive = Arc::new(());
        let held = alive.clone();
        let make = move |number| {
            let _held = &held;
            Ok::<_, ThreadFailed>(number)
        };
        let mut prefetch = Prefetch::start(3, 4, 0..u64::MAX, make).unwrap();
        assert_eq!(prefetch.next().unwrap().unwrap(), 0);
        drop(prefetch);
        // The threads have ended, and with them the work.
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[derive(Debug)]
    struct Broken(String);

    impl From<ThreadFailed> for Broken {
        fn from(failed: ThreadFailed) -> Self {
            Self(failed.to_string())
        }
    }
}
