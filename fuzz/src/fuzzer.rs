//! Runs inputs of a target until its budget is used up.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs;
use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use zegclip_foundation::RandomStream;

use crate::allocator::peak_of;
use crate::coverage::Coverage;
use crate::mutate::mutate;
use crate::targets::{Reader, Target};

/// Time of the CPU that an input may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(2);
/// Time after which an input counts as a hang, on machines with other work too.
const HANG: Duration = Duration::from_secs(60);
/// Inputs that are kept to be changed further.
const POOL: usize = 4096;
/// Crashes after which a target is not run further.
const MAX_CRASHES: usize = 20;

/// Inputs of a target that are kept in the repository.
pub fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// Inputs that crashed; not in the repository.
pub fn crashes_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes")
}

/// When a run ends: at the first limit.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Wall time.
    pub time: Duration,
    /// Inputs.
    pub inputs: u64,
}

/// A mistake that an input reveals.
#[derive(Debug, Clone)]
pub struct Crash {
    /// What happened: equal for the same mistake.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    /// Inputs read.
    pub inputs: u64,
    /// Wall time.
    pub time: Duration,
    /// Inputs kept because they ended in a new way or reached new branches.
    pub kept: usize,
    /// Branches reached; 0 in a program without counters.
    pub edges: usize,
    /// One input for each mistake.
    pub crashes: Vec<Crash>,
}

/// A target, its inputs so far and random numbers.
pub struct Fuzzer {
    target: &'static Target,
    reader: Reader,
    random: RandomStream,
    pool: Vec<Vec<u8>>,
    endings: HashSet<u64>,
    coverage: Option<Coverage>,
    journal: Option<fs::File>,
    peak: Cell<usize>,
}

thread_local! {
    /// Whether this thread reads an input.
    static READING: Cell<bool> = const { Cell::new(false) };
    /// Where and why the last panic was while it did.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics of inputs are noted, others are shown as ever.
static HOOK: LazyLock<()> = LazyLock::new(|| {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !READING.get() {
            return before(info);
        }
        let message = info.payload_as_str().unwrap_or("a panic");
        let place = info
            .location()
            .map(|place| format!("{}:{}", place.file(), place.line()));
        PANIC.set(Some(format!("{}: {message}", place.unwrap_or_default())));
    }));
});

impl Fuzzer {
    /// A fuzzer with the target's seeds and corpus.
    pub fn new(target: &'static Target, seed: u64) -> Self {
        LazyLock::force(&HOOK);
        let name = target.name.bytes().map(u64::from);
        Self {
            target,
            reader: (target.reader)(),
            random: RandomStream::from_key(std::iter::once(seed).chain(name)),
            pool: Vec::new(),
            endings: HashSet::new(),
            coverage: Coverage::new(),
            journal: None,
            peak: Cell::new(0),
        }
    }

    /// Writes each input to this file before it is read, for inputs that end the process.
    pub fn with_journal(mut self, path: &Path) -> std::io::Result<Self> {
        self.journal = Some(fs::File::create(path)?);
        Ok(self)
    }

    /// Reads the seeds and the corpus, then changes of them. `on_crash` is called for the first input of each mistake.
    pub fn run(&mut self, budget: Budget, mut on_crash: impl FnMut(&Crash)) -> Report {
        let start = Instant::now();
        let mut report = Report::default();
        let mut crashes: Vec<Crash> = Vec::new();
        let mut known: Vec<Vec<u8>> = (self.target.seeds)();
        known.extend(corpus(self.target.name));
        known.push(Vec::new());
        let seeds: Vec<Vec<u8>> = known.iter().filter(|input| !input.is_empty()).cloned().collect();
        known.reverse();
        while crashes.len() < MAX_CRASHES && report.inputs < budget.inputs {
            let first = known.pop();
            // Seeds are read in any case.
            if first.is_none() && start.elapsed() >= budget.time {
                break;
            }
            let input = first.unwrap_or_else(|| self.next(&seeds));
            report.inputs += 1;
            match self.read(&input) {
                Ok(true) => {
                    report.kept += 1;
                    self.keep(input);
                }
                Ok(false) => {}
                Err(what) if crashes.iter().any(|crash| crash.what == what) => {}
                Err(what) => {
                    let crash = Crash { what, input };
                    on_crash(&crash);
                    crashes.push(crash);
                }
            }
        }
        report.time = start.elapsed();
        report.edges = self.coverage.as_ref().map_or(0, Coverage::edges);
        report.crashes = crashes;
        report
    }

    /// The inputs that were kept.
    pub fn pool(&self) -> &[Vec<u8>] {
        &self.pool
    }

    fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let pool = if self.pool.is_empty() || self.random.chance(0.25) {
            seeds
        } else {
            &self.pool
        };
        // Inputs found lately are nearer to what is not known.
        let length = pool.len() as u64;
        let index = if self.random.chance(0.5) {
            self.random.below(length)
        } else {
            length - 1 - self.random.below(length.min(1 + length / 8))
        };
        let parent = pool.get(index as usize).map(Vec::as_slice).unwrap_or_default();
        let mut input = mutate(
            &mut self.random,
            parent,
            pool,
            self.target.tokens,
            self.target.max_length,
        );
        if self.random.chance(0.9) {
            (self.target.repair)(&mut input);
        }
        input
    }

    fn keep(&mut self, input: Vec<u8>) {
        if input.is_empty() {
            return;
        }
        if self.pool.len() < POOL {
            self.pool.push(input);
        } else {
            let place = self.random.below(POOL as u64) as usize;
            self.pool[place] = input;
        }
    }

    /// Bytes that the last input made this thread allocate at a time.
    pub fn peak(&self) -> usize {
        self.peak.get()
    }

    /// Whether the input did something new; an error says what was wrong.
    pub fn read(&mut self, input: &[u8]) -> Result<bool, String> {
        if let Some(journal) = &mut self.journal {
            let entry = [&(input.len() as u64).to_le_bytes()[..], input].concat();
            let written = journal.rewind().and_then(|()| journal.write_all(&entry));
            written.map_err(|error| format!("the journal cannot be written: {error}"))?;
        }
        if let Some(coverage) = &self.coverage {
            coverage.reset();
        }
        let start = Instant::now();
        let ending = self.call(input)?;
        let mut new = self.endings.insert(ending);
        if let Some(coverage) = &mut self.coverage {
            new |= coverage.is_new();
        }
        if start.elapsed() > TIME_LIMIT {
            // Perhaps the machine had other work.
            let before = cpu_time();
            let start = Instant::now();
            _ = self.call(input);
            let time = cpu_time()
                .zip(before)
                .map_or_else(|| start.elapsed(), |(now, before)| now.saturating_sub(before));
            if time > TIME_LIMIT {
                return Err(format!("more than {} s", TIME_LIMIT.as_secs()));
            }
        }
        Ok(new)
    }

    fn call(&self, input: &[u8]) -> Result<u64, String> {
        BUSY_SINCE.store(now_ms(), Ordering::Relaxed);
        READING.set(true);
        let (result, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(|| (self.reader)(input))));
        READING.set(false);
        self.peak.set(peak);
        BUSY_SINCE.store(0, Ordering::Relaxed);
        let ending = result.map_err(|_| PANIC.take().unwrap_or_else(|| "a panic in another thread".to_owned()))?;
        if peak > self.target.memory + 64 * input.len() {
            return Err(format!(
                "more than {} MiB and 64 times the input in memory",
                self.target.memory >> 20
            ));
        }
        Ok(ending)
    }
}

/// Milliseconds since the start of the process at which the input began that is being read; 0 between inputs.
static BUSY_SINCE: AtomicU64 = AtomicU64::new(0);

fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64 + 1
}

impl Fuzzer {
    /// Ends the process with exit code 124 if an input takes a minute; the journal contains it.
    pub fn end_hangs() {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let since = BUSY_SINCE.load(Ordering::Relaxed);
                if since > 0 && now_ms().saturating_sub(since) > HANG.as_millis() as u64 {
                    std::process::exit(124);
                }
            }
        });
    }
}

/// Time for which this thread had a CPU, where the system says so.
fn cpu_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The files of a target's corpus in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(corpus_folder(target)) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}
