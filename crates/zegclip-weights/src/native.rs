//! The native file: safetensors with canonical names.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use crate::WeightError;
use crate::format::NATIVE;
use zegclip_foundation::IfExists;

use crate::output::{OutputTensor, check_names, io_error, write_atomically};

/// Version of the native file, stated in its header.
const VERSION: &str = "1";
/// Alignment of the first tensor in bytes.
const ALIGNMENT: usize = 8;

/// Writes a native file: safetensors with `metadata` in its header, to which `format` = `zegclip` and `format_version` are
/// added. The same input gives the same bytes. The class list is under `classes`, as a JSON array of names.
///
/// # Errors
/// [`WeightError::Exists`] if the output exists and is not to be replaced, [`WeightError::Write`] if it cannot be written,
/// [`WeightError::Duplicate`] for two tensors of one name, [`WeightError::Tensor`] for data that does not fit its shape, and
/// errors of reading the tensors. A failed write leaves nothing behind.
pub fn write_native(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    mut tensors: Vec<OutputTensor<'_>>,
    if_exists: IfExists,
) -> Result<(), WeightError> {
    check_names(path, &tensors)?;
    // Wide elements first, so that all are aligned; then by name.
    tensors.sort_by(|a, b| (Reverse(a.dtype().size()), a.name()).cmp(&(Reverse(b.dtype().size()), b.name())));
    let mut metadata = metadata.clone();
    metadata.insert("format".into(), NATIVE.into());
    metadata.insert("format_version".into(), VERSION.into());
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!(metadata));
    let mut offset = 0;
    for tensor in &tensors {
        let end = offset + tensor.len();
        let entry = json!({
            "dtype": tensor.dtype().safetensors_name(),
            "shape": tensor.shape(),
            "data_offsets": [offset, end],
        });
        header.insert(tensor.name().to_owned(), entry);
        offset = end;
    }
    let mut header = Json::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    write_atomically(path, if_exists, |writer| {
        writer
            .write_all(&(header.len() as u64).to_le_bytes())
            .map_err(io_error(path))?;
        writer.write_all(&header).map_err(io_error(path))?;
        for tensor in &tensors {
            writer.write_all(&tensor.bytes(path)?).map_err(io_error(path))?;
        }
        Ok(())
    })
}
