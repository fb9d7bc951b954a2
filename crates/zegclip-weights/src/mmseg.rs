//! Checkpoints of `torch.save`, as the authors and OpenCLIP write them.

use std::io::{Seek, Write};
use std::path::Path;

use serde_json::{Map, Value as Json};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::WeightError;
use crate::naming::open_clip_name;
use zegclip_foundation::IfExists;

use crate::output::{OutputTensor, check_names, io_error, write_atomically};
use crate::pickle::Writer;

/// The folder inside the archive; PyTorch accepts any name.
const ROOT: &str = "archive";
/// Alignment of tensors in PyTorch's archives, in bytes.
const ALIGNMENT: u16 = 64;
/// Size in bytes from which an entry needs the 64-bit fields of zip.
const LARGE: usize = u32::MAX as usize;

/// Writes a checkpoint as the authors' code does, for `torch.load` and mmsegmentation's `load_checkpoint`: a pickled dict of
/// `meta` (the given values, and `CLASSES`) and `state_dict`, the tensors in the given order under the given names.
///
/// The authors' modules also own tensors that they never read (`self_attn` and `norm1` of the decoder's layers, the loss's
/// `empty_weight`); a strict load needs them in `tensors`.
///
/// # Errors
/// As [`write_native`](super::write_native).
pub fn write_mmseg(
    path: &Path,
    meta: &Map<String, Json>,
    classes: &[String],
    tensors: &[OutputTensor<'_>],
    if_exists: IfExists,
) -> Result<(), WeightError> {
    write_archive(path, &describe(meta, classes, tensors), tensors, if_exists)
}

/// Writes CLIP as OpenCLIP's state dict, for `torch.load` and `load_state_dict`: `visual.*` for the image encoder, bare names
/// for the text encoder. Tensors have their canonical names; those that are not part of CLIP are left out.
///
/// # Errors
/// As [`write_native`](super::write_native).
pub fn write_open_clip(path: &Path, tensors: Vec<OutputTensor<'_>>, if_exists: IfExists) -> Result<(), WeightError> {
    let mut named = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let Some(name) = open_clip_name(tensor.name()) else {
            continue;
        };
        // OpenCLIP stores a scalar.
        let tensor = if name == "logit_scale" {
            tensor.reshaped(&[])
        } else {
            tensor
        };
        named.push(tensor.renamed(name));
    }
    let tensors = named;
    let mut pickle = Writer::new();
    pickle.open_ordered_dict();
    state(&mut pickle, &tensors);
    pickle.close_dict();
    write_archive(path, &pickle.finish(), &tensors, if_exists)
}

fn write_archive(
    path: &Path,
    description: &[u8],
    tensors: &[OutputTensor<'_>],
    if_exists: IfExists,
) -> Result<(), WeightError> {
    check_names(path, tensors)?;
    write_atomically(path, if_exists, |writer| {
        let mut zip = ZipWriter::new(writer);
        entry(&mut zip, path, "data.pkl", description)?;
        entry(&mut zip, path, "byteorder", b"little")?;
        for (key, tensor) in tensors.iter().enumerate() {
            entry(&mut zip, path, &format!("data/{key}"), &tensor.bytes(path)?)?;
        }
        entry(&mut zip, path, "version", b"3\n")?;
        zip.finish().map_err(zip_error(path))?;
        Ok(())
    })
}

fn describe(meta: &Map<String, Json>, classes: &[String], tensors: &[OutputTensor<'_>]) -> Vec<u8> {
    let mut pickle = Writer::new();
    pickle.open_dict();
    pickle.text("meta");
    pickle.open_dict();
    for (key, value) in meta.iter().filter(|(key, _)| *key != "CLASSES") {
        pickle.text(key);
        pickle.json(value);
    }
    pickle.text("CLASSES");
    pickle.texts(classes);
    pickle.close_dict();
    pickle.text("state_dict");
    pickle.open_ordered_dict();
    state(&mut pickle, tensors);
    pickle.close_dict();
    pickle.close_dict();
    pickle.finish()
}

fn state(pickle: &mut Writer, tensors: &[OutputTensor<'_>]) {
    for (key, tensor) in tensors.iter().enumerate() {
        pickle.text(tensor.name());
        pickle.tensor(&key.to_string(), tensor.dtype(), tensor.shape());
    }
}

fn entry<W: Write + Seek>(zip: &mut ZipWriter<W>, path: &Path, name: &str, bytes: &[u8]) -> Result<(), WeightError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .with_alignment(ALIGNMENT)
        .large_file(bytes.len() >= LARGE);
    zip.start_file(format!("{ROOT}/{name}"), options)
        .map_err(zip_error(path))?;
    zip.write_all(bytes).map_err(io_error(path))
}

fn zip_error(path: &Path) -> impl Fn(ZipError) -> WeightError + '_ {
    move |error| WeightError::Write {
        path: path.to_owned(),
        source: error.into(),
    }
}
