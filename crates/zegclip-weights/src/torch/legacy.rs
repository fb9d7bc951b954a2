//! The container of `torch.save` before PyTorch 1.6: five pickles in sequence, then the storages one after another.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::flatten::{Resolve, flatten_state_dict};
use crate::contents::{Content, Contents};
use crate::pickle::{self, Globals, Node, Pickle, StorageNode, Value};
use crate::source::{Source, Storage};
use crate::{Damage, ForeignFile, PickleError, Unsupported, WeightError};

/// `0x1950a86a20f9469cfc6c`, the pickled integer at the start of such a file.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;
/// Bytes of the element count before each storage.
const COUNT: usize = 8;

/// Reads a file that starts with a pickle.
pub(crate) fn read_legacy(source: &Arc<Source>) -> Result<Contents, WeightError> {
    let mut reader = Reader { source, position: 0 };
    let magic = reader.pickle()?.root();
    if magic != Value::Long(&MAGIC) {
        return Err(source.not_weights(ForeignFile::Pickle));
    }
    if reader.pickle()?.root() != Value::Int(PROTOCOL) {
        return Err(source.unsupported(Unsupported::LegacyVersion));
    }
    let system = reader.pickle()?;
    if system.get(system.root(), "little_endian") == Some(Value::Bool(false)) {
        return Err(source.unsupported(Unsupported::BigEndian));
    }
    let description = reader.pickle()?;
    let keys = reader.pickle()?;
    let places = reader.places(&description, &keys)?;
    let mut resolve = Resolve::new(source, |node: StorageNode<'_>| match places.get(node.key) {
        Some(range) => Storage::new(source.clone(), range.clone(), format!("storage {}", node.key), None),
        None => Err(source.damaged(Damage::MissingStorage(node.key.to_owned()))),
    });
    let (tensors, meta) = flatten_state_dict(&description, &mut resolve)?;
    Ok(Contents {
        kind: Content::StateDict,
        tensors,
        meta,
        activation: None,
    })
}

struct Reader<'s> {
    source: &'s Arc<Source>,
    position: usize,
}

impl<'s> Reader<'s> {
    fn pickle(&mut self) -> Result<Pickle<'s>, WeightError> {
        let bytes = self.source.bytes().get(self.position..).unwrap_or_default();
        let failed = |error: PickleError| WeightError::Pickle {
            path: self.source.path().to_owned(),
            source: error,
        };
        let pickle = pickle::read(bytes, Globals::StateDict).map_err(failed)?;
        self.position += pickle.end();
        Ok(pickle)
    }

    /// Ranges of the storages. Element types are stated only in the description.
    fn places(
        &mut self,
        description: &Pickle<'s>,
        keys: &Pickle<'s>,
    ) -> Result<HashMap<&'s str, Range<usize>>, WeightError> {
        let mut sizes = HashMap::new();
        for node in description.nodes() {
            if let Node::Storage(storage) = node {
                sizes.insert(storage.key, storage.dtype.size());
            }
        }
        let damaged = |damage: Damage| self.source.damaged(damage);
        let mut places = HashMap::new();
        for key in keys.items(keys.root()).ok_or_else(|| damaged(Damage::StorageList))? {
            let Value::Text(key) = *key else {
                return Err(damaged(Damage::StorageList));
            };
            let size = sizes
                .get(key)
                .copied()
                .ok_or_else(|| damaged(Damage::UnknownStorage(key.to_owned())))?;
            let bytes = self.source.bytes();
            let count = bytes.get(self.position..).and_then(|rest| rest.first_chunk::<COUNT>());
            let count = count.ok_or_else(|| damaged(Damage::Truncated(key.to_owned())))?;
            let start = self.position + COUNT;
            let length = usize::try_from(u64::from_le_bytes(*count))
                .ok()
                .and_then(|count| count.checked_mul(size));
            let end = length
                .and_then(|length| start.checked_add(length))
                .filter(|end| *end <= bytes.len());
            let end = end.ok_or_else(|| damaged(Damage::Truncated(key.to_owned())))?;
            places.insert(key, start..end);
            self.position = end;
        }
        Ok(places)
    }
}
