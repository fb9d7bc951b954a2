//! Every target with its seeds, its corpus and about a second of changes from a fixed seed.

use std::time::Duration;

use zegclip_fuzz::{Budget, Fuzzer, TARGETS, corpus_folder};

/// Inputs of each target; fewer on slow machines.
const BUDGET: Budget = Budget {
    time: Duration::from_secs(1),
    inputs: 20_000,
};

#[test]
fn no_input_crashes() {
    let threads: Vec<_> = TARGETS
        .iter()
        .map(|target| {
            (
                target,
                std::thread::spawn(|| Fuzzer::new(target, 1).run(BUDGET, |_| {})),
            )
        })
        .collect();
    let mut crashes = Vec::new();
    for (target, thread) in threads {
        let report = thread.join().unwrap();
        assert!(report.inputs > 2, "{}: {} inputs", target.name, report.inputs);
        for crash in report.crashes {
            crashes.push(format!("{}: {}: {:?}", target.name, crash.what, crash.input));
        }
    }
    assert!(crashes.is_empty(), "{}", crashes.join("\n"));
}

#[test]
fn seeds_are_valid() {
    for target in &TARGETS {
        let mut fuzzer = Fuzzer::new(target, 1);
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for seed in &seeds {
            assert!(
                !seed.is_empty() && seed.len() <= target.max_length,
                "{}: {}",
                target.name,
                seed.len()
            );
            assert_eq!(fuzzer.read(seed).map(|_| ()), Ok(()), "{}", target.name);
        }
        // They get further than what is of no format.
        let reader = (target.reader)();
        let garbage = reader(b"\0\x01\xff");
        assert!(seeds.iter().any(|seed| reader(seed) != garbage), "{}", target.name);
    }
}

#[test]
fn a_seed_determines_the_inputs() {
    let budget = Budget {
        time: Duration::from_secs(60),
        inputs: 500,
    };
    for target in ["npy", "class_list"] {
        let pools = [1, 1, 2].map(|seed| {
            let mut fuzzer = Fuzzer::new(zegclip_fuzz::find(target).unwrap(), seed);
            fuzzer.run(budget, |_| {});
            fuzzer.pool().to_vec()
        });
        assert_eq!(pools[0], pools[1], "{target}");
        assert_ne!(pools[0], pools[2], "{target}");
    }
}

#[test]
fn the_corpus_is_small() {
    let size = |target: &zegclip_fuzz::Target| -> u64 {
        let Ok(entries) = std::fs::read_dir(corpus_folder(target.name)) else {
            return 0;
        };
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    let total: u64 = TARGETS.iter().map(size).sum();
    assert!(total < 1 << 20, "{total} bytes");
}
