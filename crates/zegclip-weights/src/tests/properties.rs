//! Properties of writing and reading for any tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use super::support::{open, open_pickle};
use crate::{
    Dtype, Format, IfExists, OutputTensor, WeightError, WeightFile, write_mmseg, write_native, write_open_clip,
};

/// Names of the canonical parts that every format can contain.
const PREFIXES: [&str; 3] = ["backbone.", "text_encoder.transformer.", "text_encoder.ln_final."];

/// Shape, element type and bytes of a tensor.
type Content = (Vec<usize>, Dtype, Vec<u8>);

/// Any bytes whose floats are finite.
fn content() -> impl Strategy<Value = Content> {
    let shape = prop::collection::vec(0..5usize, 0..4);
    (shape, prop::sample::select(&Dtype::ALL[..])).prop_flat_map(|(shape, dtype)| {
        let length = shape.iter().product::<usize>() * dtype.size();
        let bytes = prop::collection::vec(any::<u8>(), length);
        let bytes = bytes.prop_map(move |mut bytes| {
            if dtype.is_float() {
                // The highest bit of each exponent.
                bytes
                    .iter_mut()
                    .skip(dtype.size() - 1)
                    .step_by(dtype.size())
                    .for_each(|byte| *byte &= !0x40);
            }
            bytes
        });
        (Just(shape), Just(dtype), bytes)
    })
}

fn tensors() -> impl Strategy<Value = BTreeMap<String, Content>> {
    let name = (
        prop::sample::select(&PREFIXES[..]),
        "[a-z_0-9é\"\\\\]{1,12}(\\.[a-z]{1,6})?",
    );
    let name = name.prop_map(|(prefix, rest)| format!("{prefix}{rest}"));
    // Prompts are not part of CLIP, so OpenCLIP's form leaves them out.
    let name = name.prop_filter("a name of CLIP", |name| !name.contains("prompt"));
    prop::collection::btree_map(name, content(), 1..6)
}

fn output(tensors: &BTreeMap<String, Content>) -> Vec<OutputTensor<'_>> {
    tensors
        .iter()
        .map(|(name, (shape, dtype, bytes))| OutputTensor::new(name, shape, *dtype, Cow::Borrowed(bytes)))
        .collect()
}

fn contents(file: &WeightFile) -> BTreeMap<String, Content> {
    file.names()
        .map(|name| {
            let info = file.info(name).unwrap();
            let tensor = file.output(name, None).unwrap();
            let bytes = tensor.bytes(Path::new("unused")).unwrap().to_vec();
            (name.to_owned(), (info.shape.clone(), info.dtype, bytes))
        })
        .collect()
}

/// Writes to a file of its own and returns its bytes.
fn written(write: impl FnOnce(&Path) -> Result<(), WeightError>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    write(&path).unwrap();
    std::fs::read(path).unwrap()
}

fn native(tensors: &BTreeMap<String, Content>, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    written(|path| write_native(path, metadata, output(tensors), IfExists::Fail))
}

fn mmseg(tensors: &BTreeMap<String, Content>, classes: &[String]) -> Vec<u8> {
    written(|path| write_mmseg(path, &Map::new(), classes, &output(tensors), IfExists::Fail))
}

fn open_clip(tensors: &BTreeMap<String, Content>) -> Vec<u8> {
    written(|path| write_open_clip(path, output(tensors), IfExists::Fail))
}

/// Opens and reads all of it; an error is right for a damaged file, a panic is not.
fn read_everything(bytes: Vec<u8>) {
    if let Ok(file) = open(bytes) {
        file.describe();
        for name in file.names() {
            _ = file.tensor_f32(name);
            _ = file.tensor_f16(name);
        }
    }
}

/// A flip, a cut, an insertion or a removal of bytes.
#[derive(Debug, Clone)]
enum Edit {
    Set(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Set(place, value) => {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            Self::Truncate(place) => bytes.truncate(place.index(bytes.len())),
            Self::Insert(place, more) => {
                let place = place.index(bytes.len());
                bytes.splice(place..place, more.iter().copied());
            }
            Self::Remove(place, count) => {
                let place = place.index(bytes.len());
                let end = bytes.len().min(place + count);
                bytes.drain(place..end);
            }
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let place = any::<prop::sample::Index>;
    let edit = prop_oneof![
        8 => (place(), any::<u8>()).prop_map(|(place, value)| Edit::Set(place, value)),
        1 => place().prop_map(Edit::Truncate),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(place, more)| Edit::Insert(place, more)),
        1 => (place(), 1..17usize).prop_map(|(place, count)| Edit::Remove(place, count)),
    ];
    prop::collection::vec(edit, 1..5)
}

proptest! {
    #[test]
    fn native_files_read_back(
        tensors in tensors(),
        classes in prop::collection::vec(".{0,8}", 0..4),
        note in ".{0,20}",
    ) {
        let metadata = BTreeMap::from([
            ("classes".to_owned(), Json::from(classes.clone()).to_string()),
            ("note".to_owned(), note.clone()),
        ]);
        let file = open(native(&tensors, &metadata)).unwrap();
        prop_assert_eq!(file.format(), Format::Native);
        prop_assert_eq!(file.classes(), Some(&classes[..]));
        prop_assert_eq!(file.meta()["note"].as_str(), Some(note.as_str()));
        prop_assert_eq!(contents(&file), tensors);
    }

    #[test]
    fn mmseg_files_read_back(tensors in tensors(), classes in prop::collection::vec(".{0,8}", 0..4)) {
        let file = open(mmseg(&tensors, &classes)).unwrap();
        prop_assert_eq!(file.format(), Format::Mmseg);
        prop_assert_eq!(file.classes(), Some(&classes[..]));
        prop_assert_eq!(contents(&file), tensors);
    }

    #[test]
    fn open_clip_files_read_back(tensors in tensors()) {
        // The format is detected by a tensor of the image encoder.
        let mut tensors = tensors;
        tensors.insert("backbone.class_embedding".to_owned(), (vec![1], Dtype::F32, vec![0; 4]));
        let file = open(open_clip(&tensors)).unwrap();
        prop_assert_eq!(file.format(), Format::OpenClip);
        prop_assert_eq!(contents(&file), tensors);
    }

    #[test]
    fn floats_keep_their_values_in_wider_types(values in prop::collection::vec(any::<f32>().prop_filter("finite", |value| value.is_finite()), 0..40)) {
        for dtype in [Dtype::F32, Dtype::F64] {
            let tensor = OutputTensor::from_f32("backbone.x", &[values.len()], (&values[..]).into(), dtype);
            let bytes = written(|path| write_native(path, &BTreeMap::new(), vec![tensor], IfExists::Fail));
            let read = open(bytes).unwrap().tensor_f32("backbone.x").unwrap().1;
            prop_assert_eq!(read.len(), values.len());
            for (read, value) in read.iter().zip(&values) {
                prop_assert_eq!(read, value);
            }
        }
    }

    #[test]
    fn damaged_files_never_panic(tensors in tensors(), edits in edits(), form in 0..3) {
        let mut bytes = match form {
            0 => native(&tensors, &BTreeMap::new()),
            1 => mmseg(&tensors, &["cat".to_owned()]),
            _ => open_clip(&tensors),
        };
        for edit in &edits {
            edit.apply(&mut bytes);
        }
        read_everything(bytes);
    }

    #[test]
    fn damage_of_a_checkpoint_s_tensor_is_noticed(
        tensors in tensors(),
        place in any::<prop::sample::Index>(),
        mask in 1..=u8::MAX,
    ) {
        let mut bytes = mmseg(&tensors, &[]);
        let place = place.index(bytes.len());
        bytes[place] ^= mask;
        let Ok(file) = open(bytes) else {
            return Ok(());
        };
        for name in file.names() {
            let Ok((shape, values)) = file.tensor_f32(name) else { continue };
            // Damage that the archive has no checksum for, such as a name in its directory, changes no values.
            if let Some((expected, dtype, bytes)) = tensors.get(name) {
                let expected_values: Vec<u32> = bytes
                    .chunks(dtype.size())
                    .map(|bytes| dtype.read_f32(bytes).to_bits())
                    .collect();
                prop_assert_eq!(&shape, expected);
                prop_assert_eq!(values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), expected_values);
            }
        }
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), pickle in any::<bool>()) {
        if pickle {
            let pickle = [&b"\x80\x02"[..], &bytes].concat();
            if let Ok(file) = open_pickle(&pickle, &[0; 16]) {
                file.describe();
            }
        } else {
            read_everything(bytes);
        }
    }
}
