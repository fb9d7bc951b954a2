//! Configurations of runs and lists of captions, changed at random: each is read or refused with a message, and never panics.
//!
//! Their parsers are in a crate with burn, so that they are not targets of `cargo xtask fuzz`; `ZEGCLIP_TEST_INPUTS` is how many
//! inputs of each kind are tried.
#![allow(clippy::print_stdout, reason = "a test prints how many inputs were accepted")]

use std::path::Path;
use std::time::{Duration, Instant};

use zegclip_foundation::RandomStream;
use zegclip_train::pretrain::{PairSource, PretrainConfig};
use zegclip_train::{Configuration, TrainConfig, TrainError};

const INPUTS: &str = "ZEGCLIP_TEST_INPUTS";
/// Inputs and seconds of each kind by default.
const FEW: (u64, Duration) = (20_000, Duration::from_secs(4));
/// What one input may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Words and numbers that parsers distinguish.
const TOKENS: [&str; 40] = [
    "nan",
    "inf",
    "-inf",
    "-1",
    "0",
    "1e999",
    "-0.0",
    "1e-320",
    "18446744073709551616",
    "9223372036854775807",
    "4000000000",
    "true",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "]]",
    "=",
    "\n",
    "\"",
    "'''",
    "\u{feff}",
    "\u{202e}",
    "\0",
    "\\u0000",
    ".",
    ",",
    "[model]",
    "[run]",
    "[[stages]]",
    "iterations",
    "batch_size",
    "optimizer.lr",
    "optimiser",
    "image",
    "captions",
    "names",
    "null",
    "[\"a\"]",
    "{\"image\": \"a.jpg\", \"captions\": [\"b\"]}",
];

/// A text of the assets or a test.
fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(folder);
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let tomls = entries.filter(|path| path.extension().is_some_and(|found| found == "toml"));
    let mut seeds: Vec<_> = tomls.map(|path| std::fs::read(path).unwrap()).collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    seeds
}

/// A seed with some changes: bytes, ranges that are removed or repeated, words, parts of other seeds.
fn changed(random: &mut RandomStream, seeds: &[Vec<u8>]) -> Vec<u8> {
    let pick = |random: &mut RandomStream| seeds[random.below(seeds.len() as u64) as usize].clone();
    let mut bytes = pick(random);
    for _ in 0..1 << random.below(4) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        let end = (at + random.below(24) as usize).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] = random.next_u64() as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let other = pick(random);
                let from = random.below(other.len() as u64 + 1) as usize;
                let part = other[from..(from + 40).min(other.len())].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                // A value of its line.
                let start = bytes[..at]
                    .iter()
                    .rposition(|byte| b"= ".contains(byte))
                    .map_or(0, |space| space + 1);
                let stop = bytes[at..]
                    .iter()
                    .position(|byte| b"\n,]".contains(byte))
                    .map_or(bytes.len(), |stop| at + stop);
                let token = TOKENS[random.below(TOKENS.len() as u64) as usize].bytes();
                bytes.splice(start..stop, token);
            }
            _ => {
                let token = TOKENS[random.below(TOKENS.len() as u64) as usize].bytes();
                bytes.splice(at..at, token);
            }
        }
    }
    bytes
}

fn check(seeds: &[Vec<u8>], read: impl Fn(&[u8]) -> Result<(), TrainError>) {
    let wanted = std::env::var(INPUTS)
        .ok()
        .map(|text| text.parse().expect("a number of inputs"));
    let (inputs, limit) = wanted.map_or(FEW, |inputs| (inputs, Duration::MAX));
    let mut random = RandomStream::from_key([23, seeds.len() as u64]);
    let begun = Instant::now();
    let (mut done, mut accepted) = (0, 0);
    while done < inputs && begun.elapsed() < limit {
        let input = changed(&mut random, seeds);
        let started = Instant::now();
        match read(&input) {
            Ok(()) => accepted += 1,
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        let text = String::from_utf8_lossy(&input);
        assert!(started.elapsed() < LIMIT, "{:?} for:\n{text}", started.elapsed());
        done += 1;
    }
    println!("{done} inputs, {accepted} of them accepted");
    assert!(accepted > 0 && accepted < done, "{accepted} of {done}");
}

/// What is read without an error can be run, and is the same after it was recorded.
fn round_trip<C: Configuration + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Result<(), TrainError> {
    let config = C::from_toml(&String::from_utf8_lossy(bytes), "a test", &[])?;
    let again = C::from_toml(&config.to_toml()?, "its own text", &[]);
    assert_eq!(again.unwrap_or_else(|error| panic!("{error}")), config);
    Ok(())
}

#[test]
fn training_configurations() {
    check(&seeds("training"), round_trip::<TrainConfig>);
}

#[test]
fn pre_training_configurations() {
    check(&seeds("pretraining"), round_trip::<PretrainConfig>);
}

#[test]
fn lists_of_captions() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.jsonl");
    let tiny =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pretraining/tiny.toml"))
            .unwrap();
    let source = format!("data.source={}", list.display());
    let configs = ["loss.patches=0.0", "loss.patches=0.5"]
        .map(|loss| PretrainConfig::from_toml(&tiny, "a test", &[source.clone(), loss.to_owned()]).unwrap());
    let seeds = [
        "{\"image\": \"a.jpg\", \"captions\": [\"a cat\", \"a cat on grass\"], \"names\": [\"cat\", \"grass\"]}\n{\"image\": \"b.png\", \"captions\": [\"\"]}\n",
        "{\"image\":\"../x\\u00e9.jpg\",\"captions\":[\"\\ud83d\\ude00\"],\"other\":[1,{\"a\":null}]}\r\n\n",
    ];
    check(&seeds.map(|seed| seed.as_bytes().to_vec()), |bytes| {
        std::fs::write(&list, bytes).unwrap();
        for config in &configs {
            let config = config.clone().with_tokens(&PairSource::open(config)?)?;
            config.validate()?;
        }
        Ok(())
    });
}
