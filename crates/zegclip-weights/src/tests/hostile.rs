//! Malicious pickles: refused, at little cost.

use std::time::{Duration, Instant};

use super::support::*;
use crate::Dtype;

fn refused(pickle: &[u8]) -> String {
    let start = Instant::now();
    let message = message(open_pickle(pickle, &[0; 4]));
    assert!(start.elapsed() < Duration::from_secs(5), "{message}");
    message
}

#[test]
fn calls_are_refused_by_name() {
    let attack = [&b"cos\nsystem\n"[..], &text("touch /tmp/owned"), b"\x85R"].concat();
    assert_eq!(
        refused(&pickle(&attack)),
        "`w.pth`: its pickle names `os.system`, which weights do not need; nothing was run"
    );
    // Protocol 4 names globals by strings on the stack.
    let modern = [
        &b"\x80\x04\x95\0\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93"[..],
        &text("id"),
        b"\x85R.",
    ]
    .concat();
    assert!(refused(&modern).contains("names `posix.system`"));
    // Hidden beside good weights, in the state of the optimizer.
    let good = dict("backbone.x", &tensor(Dtype::F32, "0", 1, 0, &[1], &[1], b""));
    let hidden = [
        &b"}("[..],
        &text("state_dict"),
        &good,
        &text("optimizer"),
        &attack,
        b"u",
    ]
    .concat();
    assert!(refused(&pickle(&hidden)).contains("names `os.system`"));
    for (module, name) in [
        ("builtins", "exec"),
        ("torch.hub", "load"),
        ("torch.jit._pickle", "restore_type_tag"),
        ("__torch__.clip.model", "CLIP"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("mmcv.utils.config", "ConfigDict"),
    ] {
        let global = format!("c{module}\n{name}\n");
        assert!(refused(&pickle(global.as_bytes())).contains(&format!("names `{module}.{name}`")));
    }
    let long = format!("c{}\nx\n", "\u{1b}[2J".repeat(1000));
    let message = refused(&pickle(long.as_bytes()));
    assert!(message.len() < 600 && !message.contains('\u{1b}'), "{message}");
}

#[test]
fn instructions_that_weights_do_not_need_are_refused_by_name() {
    for (code, name) in [
        (&b"(i__main__\nX\n."[..], "INST"),
        (b"(cx\ny\no.", "x.y"),
        (b"\x80\x02(o.", "OBJ"),
        (b"\x82\x01.", "EXT1"),
        (b"P1\n.", "PERSID"),
        (b"\x80\x04)}\x92.", "NEWOBJ_EX"),
        (b"\x97.", "NEXT_BUFFER"),
        (b"\xff.", "0xff"),
    ] {
        let message = refused(code);
        assert!(message.contains(name), "{message}");
    }
    assert!(refused(b"\x80\x07.").contains("protocol 7"));
}

#[test]
fn broken_pickles_are_refused() {
    for (code, expected) in [
        (&b""[..], "truncated at byte 0"),
        (b"\x80", "truncated"),
        (b"\x80\x02}", "truncated"),          // no STOP
        (b"\x80\x02.", "a value is missing"), // STOP on nothing
        (b"\x80\x02t.", "a mark is missing"),
        (b"\x80\x02u.", "a mark is missing"),
        (b"\x80\x02]NNu.", "a mark is missing"),
        (b"\x80\x02}(Nu.", "a key without a value"),
        (b"\x80\x02N(Na.", "a value is missing"), // the mark hides what is below
        (b"\x80\x02NNa.", "not a list"),
        (b"\x80\x02NNNs.", "not a dict"),
        (b"\x80\x02h\x05.", "a reference to nothing"),
        (b"\x80\x02q\x05.", "a value is missing"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f.", "truncated"), // LONG4 of 2 GB
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "truncated"),
        (b"\x80\x02X\xff\xff\xff\xff.", "truncated"),
        (b"\x80\x02X\x01\0\0\0\xff.", "not UTF-8"),
        (b"\x80\x02N)R.", "not a function"),
        (b"\x80\x02ccollections\nOrderedDict\nNR.", "not a tuple"),
        (
            b"\x80\x02ccollections\nOrderedDict\nN\x85R.",
            "an OrderedDict of something other than pairs",
        ),
        (b"\x80\x02NQ.", "not a tuple"),
        (b"\x80\x02)Q.", "not a storage"),
        (
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
            "a tensor without storage",
        ),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "names `torch.Storage`"),
        (b"\x80\x02N}b.", "state for something"),
        (b"\x80\x02N.", "contains no tensors (found: a single value"),
        (b"\x80\x02}.", "contains no tensors (found: an empty dict)"),
        (
            b"\x80\x02}(X\x05\0\0\0epochK\x01u.",
            "contains no tensors (found: `epoch`)",
        ),
    ] {
        let message = refused(code);
        assert!(message.contains(expected), "{code:?}: {message}");
    }
}

#[test]
fn nesting_costs_nothing() {
    // A million lists inside each other would overflow a recursive reader's stack.
    let deep = [&b"\x80\x02"[..], &b"]".repeat(400_000), &b"a".repeat(399_999), b"."].concat();
    assert!(refused(&deep).contains("contains no tensors"));
    let one = tensor(Dtype::F32, "0", 1, 0, &[1], &[1], b"");
    let nested = [b"]".repeat(100_000), b"a".repeat(99_999)].concat();
    let checkpoint = [
        &b"}("[..],
        &text("state_dict"),
        &dict("backbone.x", &one),
        &text("meta"),
        &dict("deep", &nested),
        b"u",
    ]
    .concat();
    let file = open_pickle(&pickle(&checkpoint), &[0; 4]).unwrap();
    assert_eq!(file.names().count(), 1);
}

#[test]
fn cycles_and_bombs_of_references_end() {
    let one = tensor(Dtype::F32, "0", 1, 0, &[1], &[1], b"");
    let with_meta = |meta: &[u8]| {
        let parts = [
            &b"}("[..],
            &text("state_dict"),
            &dict("backbone.x", &one),
            &text("meta"),
            &dict("m", meta),
            b"u",
        ]
        .concat();
        pickle(&parts)
    };
    // A list that contains itself.
    let file = open_pickle(&with_meta(b"]q\x01h\x01a"), &[0; 4]).unwrap();
    assert_eq!(file.names().count(), 1);
    // "Billion laughs": 40 levels of lists that contain the level below ten times.
    let mut laughs = text("lol");
    laughs.extend(b"q\x01");
    for level in 2..42u8 {
        laughs.extend(b"0](");
        laughs.extend([b'h', level - 1].repeat(10));
        laughs.extend([b'e', b'q', level]);
    }
    assert!(refused(&with_meta(&laughs)).contains("the limit of 16777216 bytes in `meta`"));
    // One long text a hundred thousand times.
    let long = [
        &b"]"[..],
        &text(&"x".repeat(100_000)),
        b"q\x010(",
        &b"h\x01".repeat(100_000),
        b"e",
    ]
    .concat();
    assert!(refused(&with_meta(&long)).contains("bytes in `meta`"));
    // The same as names of tensors.
    let names = [&b"}("[..], &text(&"x".repeat(1000)), &one, b"u"].concat();
    assert!(refused(&pickle(&names)).contains("the limit of 512 bytes in a tensor's name"));
    // Copies of a large container by calls on it.
    let copies = [
        &b"\x80\x02](ccollections\nOrderedDict\nq\x01"[..],
        b"](",
        &b"NN\x86".repeat(50_000),
        b"e\x85q\x02R0",
        &b"h\x01h\x02R0".repeat(100_000),
        b"N.",
    ];
    assert!(refused(&copies.concat()).contains("the limit of 2000000 values"));
    // Too many values, and too many containers.
    assert!(refused(&[&b"\x80\x02"[..], &b"N".repeat(3_000_000)].concat()).contains("the limit of 2000000 values"));
    assert!(refused(&[&b"\x80\x02"[..], &b"]0".repeat(600_000)].concat()).contains("the limit of 500000 containers"));
    let wide = [b"(".as_slice(), &b"K\x01".repeat(100), b"t"].concat();
    let axes = [&b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0\x30X\x03\0\0\0cpuK\x01tQK\0"[..], &wide, &wide, b"tR"];
    assert!(refused(&pickle(&axes.concat())).contains("a tensor without storage"));
}

#[test]
fn torch_script_modules_may_not_contain_themselves() {
    let module = b"c__torch__.m\nM\n)\x81q\x01}X\x01\0\0\0mh\x01sb";
    let archive = zip_archive(&[("a/data.pkl", &pickle(module)), ("a/constants.pkl", b"\x80\x02).")]);
    assert!(message(open(archive)).contains("the limit of 64 modules inside each other"));
    // Two references to each next level: exponentially many paths.
    let mut chain = b"c__torch__.m\nM\n)\x81q\x01}b".to_vec();
    for level in 2..50u8 {
        chain.extend(b"0c__torch__.m\nM\n)\x81q");
        chain.push(level);
        chain.extend(b"}(X\x01\0\0\0ah");
        chain.push(level - 1);
        chain.extend(b"X\x01\0\0\0bh");
        chain.push(level - 1);
        chain.extend(b"ub");
    }
    let archive = zip_archive(&[("a/data.pkl", &pickle(&chain)), ("a/constants.pkl", b"\x80\x02).")]);
    assert!(message(open(archive)).contains("the limit of 100000 attributes"));
}

#[test]
fn names_of_nested_modules_stay_short() {
    // Names of 500 bytes in 40 modules inside each other, the innermost with 50,000 attributes.
    let name = "x".repeat(500);
    let mut module = [&b"c__torch__.m\nM\n)\x81q\x02}("[..]].concat();
    module.extend((0..50_000).flat_map(|_| [&text("a")[..], b"h\x01"].concat()));
    module.extend(b"ub");
    for _ in 0..40 {
        module = [&b"c__torch__.m\nM\n)\x81}"[..], &text(&name), &module, b"sb"].concat();
    }
    let one = tensor(Dtype::F32, "0", 1, 0, &[1], &[1], b"");
    let all = [&one[..], b"q\x010", &module].concat();
    let archive = zip_archive(&[
        ("a/data.pkl", &pickle(&all)),
        ("a/data/0", &[0; 4]),
        ("a/constants.pkl", b"\x80\x02)."),
    ]);
    assert!(message(open(archive)).contains("the limit of 512 bytes in a tensor's name"));
}
