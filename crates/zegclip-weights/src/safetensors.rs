//! The safetensors container: a JSON header, then the tensors one after another. The header is read and checked by the
//! `safetensors` crate.

use std::collections::BTreeMap;
use std::sync::Arc;

use safetensors::{SafeTensorError, SafeTensors};
use serde_json::Map;

use crate::contents::{Content, Contents};
use crate::source::{Source, Storage};
use crate::view::View;
use crate::{Dtype, TensorDefect, WeightError};

/// Bytes of the header's length, which is before it.
pub(crate) const LENGTH: usize = 8;

/// Reads the header; tensors stay in the mapped file.
pub(crate) fn read_safetensors(source: &Arc<Source>) -> Result<Contents, WeightError> {
    let failed = |error: SafeTensorError| WeightError::Safetensors {
        path: source.path().to_owned(),
        source: error,
    };
    let (header, metadata) = SafeTensors::read_metadata(source.bytes()).map_err(failed)?;
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        let defect = |defect| WeightError::Tensor {
            path: source.path().to_owned(),
            key: name.clone(),
            source: defect,
        };
        let dtype = Dtype::from_safetensors(info.dtype)
            .ok_or_else(|| defect(TensorDefect::ElementType(format!("{:?}", info.dtype))))?;
        let absolute = |offset: usize| offset.checked_add(LENGTH)?.checked_add(header);
        let (Some(start), Some(end)) = (absolute(info.data_offsets.0), absolute(info.data_offsets.1)) else {
            return Err(defect(TensorDefect::OutsideFile));
        };
        let storage = Arc::new(Storage::new(source.clone(), start..end, name.as_str(), None)?);
        tensors.push((
            name.clone(),
            View::of_storage(storage, dtype, info.shape.clone()).map_err(defect)?,
        ));
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    if tensors.is_empty() {
        return Err(WeightError::NoTensors {
            path: source.path().to_owned(),
            found: "an empty header".into(),
        });
    }
    // The crate keeps it in a hash map, whose order differs from run to run.
    let sorted: BTreeMap<_, _> = metadata.metadata().iter().flatten().collect();
    let meta: Map<_, _> = sorted
        .into_iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    Ok(Contents {
        kind: Content::Safetensors,
        tensors,
        meta,
        activation: None,
    })
}
