//! The model against recordings of the published code, on the processor and on a GPU interface.
#![allow(clippy::print_stdout, reason = "a test prints how much of the tolerance it uses")]

#[allow(unreachable_pub, missing_docs)]
mod cases;
mod clip;
mod gradients;
mod loss;
mod model;

use cases::root;
use serde_json::Value;
use zegclip_model::device;

/// Kinds of recordings that other crates' tests read.
const READ_ELSEWHERE: [&str; 7] = [
    "tokenizer",
    "image_resize",
    "sliding_window",
    "metrics",
    "pseudo_labels",
    "trajectory",
    "schedule",
];

/// The devices that recordings are compared on: the processor always, a Vulkan adapter where there is one (Mesa's software
/// driver counts). `ZEGCLIP_REQUIRE_GPU=1` makes its absence a failure.
fn devices() -> Vec<device::OpenDevice> {
    let cpu = device::open(device::DeviceName::Cpu).expect("the processor");
    let vulkan = "vulkan".parse().expect("a device name");
    match device::open(vulkan) {
        Ok(gpu) => vec![cpu, gpu],
        Err(error) => {
            assert!(std::env::var_os("ZEGCLIP_REQUIRE_GPU").is_none(), "{error}");
            println!("only on cpu: {error}");
            vec![cpu]
        }
    }
}

#[test]
fn parity_every_kind_is_read() {
    let known = |kind: &str| ["model", "clip", "loss"].contains(&kind) || READ_ELSEWHERE.contains(&kind);
    let mut seen = 0;
    for entry in std::fs::read_dir(root()).expect("the root of the recordings").flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("case.json")) else {
            continue;
        };
        let case: Value = serde_json::from_str(&text).expect("case.json is JSON");
        let kind = case["kind"].as_str().unwrap_or_default();
        assert!(
            known(kind),
            "no test reads cases of kind `{kind}` ({})",
            entry.path().display()
        );
        seen += 1;
    }
    assert!(seen > 0, "no recordings under {}", root().display());
}
