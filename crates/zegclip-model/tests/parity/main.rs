//! The model against recordings of the published code, on every kind of device.
#![allow(clippy::print_stdout, reason = "a test prints how much of the tolerance it uses")]

#[allow(unreachable_pub, missing_docs)]
mod cases;
mod clip;
mod gradients;
mod loss;
mod model;

use cases::{largest_difference, root};
use serde_json::Value;
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
fn a_nan_is_no_agreement() {
    assert_eq!(largest_difference(&[1.0, 2.0, 5.0], &[1.0, 4.0, 6.0]), 2.0);
    for place in 0..3 {
        let mut values = [1.0, 2.0, 5.0];
        values[place] = f32::NAN;
        assert!(largest_difference(&values, &[1.0, 4.0, 6.0]).is_nan());
        assert!(largest_difference(&[1.0, 4.0, 6.0], &values).is_nan());
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
