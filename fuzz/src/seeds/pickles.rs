//! Pickles as PyTorch writes them, and containers around them.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Bytes of the only storage.
pub(crate) const STORAGE: [u8; 64] = [0x3c; 64];

/// A zip archive of stored entries.
pub(crate) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, options).expect("memory can be written");
        zip.write_all(bytes).expect("memory can be written");
    }
    zip.finish().expect("memory can be written").into_inner()
}

/// A file of `torch.save` with this description.
pub(crate) fn state_dict_archive(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/data/0", &STORAGE)])
}

/// A TorchScript archive with this description.
pub(crate) fn torch_script_archive(pickle: &[u8]) -> Vec<u8> {
    archive(&[
        ("a/data.pkl", pickle),
        ("a/data/0", &STORAGE),
        ("a/constants.pkl", b"\x80\x02)."),
    ])
}

fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

fn int(value: i32) -> Vec<u8> {
    [&b"J"[..], &value.to_le_bytes()].concat()
}

fn ints(values: &[i32]) -> Vec<u8> {
    let items: Vec<u8> = values.iter().flat_map(|value| int(*value)).collect();
    [b"(", items.as_slice(), b"t"].concat()
}

fn tensor(class: &str, length: i32, shape: &[i32], strides: &[i32], view: &[u8]) -> Vec<u8> {
    let class = format!("ctorch\n{class}\n");
    let id = [
        b"(",
        &text("storage")[..],
        class.as_bytes(),
        &text("0"),
        &text("cpu"),
        &int(length),
        view,
        b"tQ",
    ];
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n("[..],
        &id.concat(),
        &int(0),
        &ints(shape),
        &ints(strides),
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

fn entries(view: &[u8]) -> Vec<u8> {
    [
        text("backbone.conv1.weight"),
        tensor("FloatStorage", 16, &[1, 3, 2, 2], &[12, 4, 2, 1], view),
        text("backbone.positional_embedding"),
        tensor("HalfStorage", 32, &[5, 4], &[4, 1], view),
        text("backbone.transposed"),
        tensor("FloatStorage", 16, &[4, 4], &[1, 4], view),
    ]
    .concat()
}

/// Descriptions of checkpoints.
pub(crate) fn state_dicts() -> Vec<Vec<u8>> {
    let bare = pickle(&[&b"}("[..], &entries(b""), b"u"].concat());
    let ordered = [&b"ccollections\nOrderedDict\n)R("[..], &entries(b""), b"u}bq\x01"].concat();
    let scalar =
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\0\0\0f8K\0K\x01\x87RC\x08\0\0\0\0\0\0\xf0?\x86R";
    let full = [
        &b"}("[..],
        &text("state_dict"),
        &ordered,
        &text("meta"),
        b"}(",
        &text("CLASSES"),
        b"(",
        &text("cat"),
        &text("dog"),
        b"t",
        &text("epoch"),
        b"K\x05",
        &text("loss"),
        scalar,
        &text("nested"),
        b"]q\x02(h\x02NG?\xf0\0\0\0\0\0\0\x88\x89e",
        b"u",
        &text("optimizer"),
        b"}",
        b"u",
    ]
    .concat();
    // Protocol 4.
    let modern = [
        &b"\x80\x04\x95\x40\0\0\0\0\0\0\0}\x94(\x8c\x07meta_ok\x94K\x01\x8c\x04list\x94]\x94(K\x01M\x02\x03\x8a\x02\xff\x7feu"[..],
        b"\x8c\x0acollection\x94",
        b"0.",
    ]
    .concat();
    let parameter = [
        &b"}"[..],
        &text("logit_scale"),
        b"ctorch._utils\n_rebuild_parameter\n(",
        &tensor("FloatStorage", 16, &[], &[], b""),
        b"\x88ccollections\nOrderedDict\n)RtRs",
    ]
    .concat();
    vec![bare, pickle(&full), modern, pickle(&parameter)]
}

/// Descriptions of TorchScript modules.
pub(crate) fn modules() -> Vec<Vec<u8>> {
    let inner = [
        &b"c__torch__.m\nB\n)\x81}("[..],
        &text("weight"),
        &tensor("HalfStorage", 32, &[4, 3, 1, 1], &[3, 1, 1, 1], b""),
        &text("training"),
        b"\x89ub",
    ]
    .concat();
    let outer = [
        &b"c__torch__.m\nA\n)\x81}("[..],
        &text("visual"),
        b"c__torch__.m\nV\n)\x81}",
        &text("conv1"),
        &inner,
        b"sb",
        &text("positional_embedding"),
        &tensor("FloatStorage", 16, &[2, 4], &[4, 1], b""),
        &text("context_length"),
        &tensor("LongStorage", 8, &[], &[], b""),
        b"ub",
    ]
    .concat();
    vec![pickle(&inner), pickle(&outer)]
}

/// Files of `torch.save` before PyTorch 1.6.
pub(crate) fn legacy_files() -> Vec<Vec<u8>> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
    let system = pickle(&[&b"}"[..], &text("little_endian"), b"\x88s"].concat());
    let file = |view: &[u8], keys: &[u8], storages: &[u8]| {
        let one = [text("backbone.a"), tensor("FloatStorage", 4, &[2, 2], &[2, 1], view)].concat();
        let description = pickle(&[&b"}("[..], &one, b"u"].concat());
        [&magic[..], &system, &description, &pickle(keys), storages].concat()
    };
    let keys = [&b"]"[..], &text("0"), b"a"].concat();
    let storage = [&4_u64.to_le_bytes()[..], &STORAGE[..16]].concat();
    let view = [&b"("[..], &text("0"), &int(0), &int(4), b"t"].concat();
    vec![
        file(b"N", &keys, &storage),
        file(&view, &keys, &storage),
        file(b"", b"]", b""),
    ]
}

/// Instructions and names.
pub(crate) const TOKENS: [&[u8]; 40] = [
    b"(",
    b"t",
    b"]",
    b"}",
    b")",
    b"a",
    b"e",
    b"s",
    b"u",
    b"d",
    b"l",
    b"0",
    b"1",
    b"2",
    b"N",
    b"R",
    b"\x81",
    b"b",
    b"Q",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x93",
    b"\x94",
    b"h\x01",
    b"q\x01",
    b"h\x02",
    b"q\x02",
    b"ccollections\nOrderedDict\n",
    b"ctorch\nFloatStorage\n",
    b"ctorch\nLongStorage\n",
    b"ctorch\nSize\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"c_codecs\nencode\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"c__torch__.m\nM\n)\x81",
    b"J\xff\xff\xff\x7f",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
];
