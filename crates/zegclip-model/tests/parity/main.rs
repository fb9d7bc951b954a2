//! The model against recordings of the published code, on every kind of device.
#![allow(clippy::print_stdout, reason = "a test prints how much of the tolerance it uses")]

#[allow(unreachable_pub, missing_docs)]
mod cases;
mod clip;
mod dense;
mod gradients;
mod loss;
mod model;

use test_support::{all_cases, join_roots};
use zegclip_model::device::{self, DeviceName, OpenDevice};

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

/// Kinds of recordings that no code reads yet.
const WITHOUT_CODE: [&str; 10] = [
    "family_model",
    "maskformer",
    "hungarian_matching_loss",
    "clip_crops",
    "learned_prompts",
    "self_training_labels",
    "shortest_edge_resize",
    "maskformer_trajectory",
    "maskclip",
    "maskclip_plus",
];

/// The devices that recordings are compared on: the CPU, the reference device where it is built, and a Vulkan adapter where
/// there is one (Mesa's software driver counts). `ZEGCLIP_REQUIRE_NDARRAY=1` and `ZEGCLIP_REQUIRE_GPU=1` make the absence of
/// the last two a failure.
fn devices() -> Vec<OpenDevice> {
    let optional = [
        ("ndarray", "ZEGCLIP_REQUIRE_NDARRAY"),
        ("vulkan", "ZEGCLIP_REQUIRE_GPU"),
    ];
    let mut devices = vec![device::open(DeviceName::Cpu).expect("the CPU")];
    for (name, required) in optional {
        match device::open(name.parse().expect("a device name")) {
            Ok(device) => devices.push(device),
            Err(error) => {
                assert!(std::env::var_os(required).is_none(), "{error}");
                println!("not on {name}: {error}");
            }
        }
    }
    devices
}

#[test]
fn parity_every_kind_is_read() {
    let cases = all_cases();
    assert!(!cases.is_empty(), "no recordings under {}", join_roots());
    for case in cases {
        let kind = case.json["kind"].as_str().unwrap_or_default();
        assert!(
            ["model", "clip", "loss", "dense_clip"].contains(&kind)
                || READ_ELSEWHERE.contains(&kind)
                || WITHOUT_CODE.contains(&kind),
            "no test reads cases of kind `{kind}` ({})",
            case.folder.display()
        );
    }
}
