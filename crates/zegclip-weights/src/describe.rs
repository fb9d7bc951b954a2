//! A weight file described as JSON.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::names::{DECODE_HEAD, IMAGE_ENCODER, TEXT_ENCODER};
use crate::{Dtype, WeightFile};

impl WeightFile {
    /// Format and content of the file as one JSON object: `path`, `format`, `parts`, `architecture` (or `architecture_error`),
    /// `classes`, `tensors`, `parameters`, `bytes`, `dtypes` (tensors of each element type), `unknown` (names that are not part of
    /// the model), `meta`.
    pub fn describe(&self) -> Json {
        let mut dtypes: BTreeMap<Dtype, usize> = BTreeMap::new();
        let (mut tensors, mut parameters, mut bytes) = (0usize, 0usize, 0usize);
        for info in self.names().filter_map(|name| self.info(name)) {
            *dtypes.entry(info.dtype).or_default() += 1;
            tensors += 1;
            parameters = parameters.saturating_add(info.elements());
            bytes = bytes.saturating_add(info.bytes());
        }
        let known = |name: &&str| {
            *name == "logit_scale"
                || [IMAGE_ENCODER, TEXT_ENCODER, DECODE_HEAD]
                    .iter()
                    .any(|part| name.starts_with(part))
        };
        let unknown: Vec<&str> = self.names().filter(|name| !known(name)).collect();
        let dtypes: BTreeMap<String, usize> = dtypes
            .into_iter()
            .map(|(dtype, count)| (dtype.to_string(), count))
            .collect();
        let mut description = json!({
            "path": self.path().display().to_string(),
            "format": self.format(),
            "parts": self.parts(),
            "classes": self.classes(),
            "tensors": tensors,
            "parameters": parameters,
            "bytes": bytes,
            "dtypes": dtypes,
            "unknown": unknown,
            "meta": self.meta(),
        });
        if let Json::Object(object) = &mut description {
            match self.architecture() {
                Ok(architecture) => object.insert("architecture".into(), json!(architecture)),
                Err(error) => object.insert("architecture_error".into(), error.to_string().into()),
            };
        }
        description
    }
}
