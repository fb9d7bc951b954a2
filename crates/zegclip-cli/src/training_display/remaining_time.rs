//! Time until the end of a run.

use std::time::{Duration, Instant};

/// Counts the iterations of this process, and the first one only until there is a second, because it compiles kernels.
#[derive(Debug)]
pub(super) struct RemainingTime {
    from: u64,
    started: Option<Instant>,
    first_done: Option<Instant>,
}

impl RemainingTime {
    /// The run starts at iteration `from`.
    pub(super) fn new(from: u64) -> Self {
        Self {
            from,
            started: None,
            first_done: None,
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    /// Time of the iterations from `done` to `total`.
    pub(super) fn after(&mut self, done: u64, total: u64, now: Instant) -> Option<Duration> {
        let here = done.saturating_sub(self.from);
        let (since, counted) = match here {
            0 => return None,
            1 => (self.started?, 1),
            _ => (self.first_done.or(self.started)?, here - 1),
        };
        self.first_done.get_or_insert(now);
        let seconds = now.saturating_duration_since(since).as_secs_f64() / counted as f64;
        Duration::try_from_secs_f64(seconds * total.saturating_sub(done) as f64).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_iterations_of_this_process_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut time = RemainingTime::new(100);
        time.start(start);
        assert_eq!(time.after(100, 200, start), None);
        // Forty seconds for the first one, two for each of the others.
        assert_eq!(time.after(101, 200, at(40)), Some(Duration::from_secs(40 * 99)));
        assert_eq!(time.after(102, 200, at(42)), Some(Duration::from_secs(2 * 98)));
        assert_eq!(time.after(111, 200, at(60)), Some(Duration::from_secs(2 * 89)));
        assert_eq!(time.after(200, 200, at(300)), Some(Duration::ZERO));
    }
}
