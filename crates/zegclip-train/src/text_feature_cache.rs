//! Text features on disk, so that the text encoder runs once per class list, and a resumed run has the same values.
//!
//! A run has one folder of them with a file for its training classes and one for those that it scores, which do not change.

use std::collections::HashMap;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use zegclip_data::Vocabulary;
use zegclip_foundation::Fingerprint;

use crate::TrainError;
use crate::run::write_file;

const FEATURES: &str = "text_features";
/// Keys of the file's metadata.
const CLASSES: &str = "classes";
const CHECKSUM: &str = "checksum";

/// A folder with one file per class list.
#[derive(Debug, Clone)]
pub(crate) struct TextFeatureCache {
    folder: PathBuf,
}

impl TextFeatureCache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The features `[classes, embed_dim]` of a class list, from its file or else from `compute`.
    pub(crate) fn get_or(
        &self,
        vocabulary: &Vocabulary,
        embed_dim: usize,
        device: &Device,
        compute: impl FnOnce() -> Result<Tensor<2>, TrainError>,
    ) -> Result<Tensor<2>, TrainError> {
        let classes = vocabulary.to_toml();
        let path = self
            .folder
            .join(format!("{:08x}.safetensors", checksum(classes.as_bytes())));
        // A file that is damaged, or of another list with the same checksum, is replaced.
        let cached = std::fs::read(&path).ok().and_then(|file| parse(&file, &classes));
        if let Some((shape, values)) = cached.filter(|(shape, _)| *shape == [vocabulary.len(), embed_dim]) {
            return Ok(Tensor::from_data(TensorData::new(values, shape), device));
        }
        let features = compute()?;
        let shape = features.dims();
        let data = features.clone().try_into_data().map_err(TrainError::device)?;
        let bytes: Vec<u8> = data.iter::<f32>().flat_map(f32::to_le_bytes).collect();
        let wrong = |error: safetensors::SafeTensorError| TrainError::io("write", &path)(std::io::Error::other(error));
        let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).map_err(wrong)?;
        let metadata = HashMap::from([
            (CLASSES.to_owned(), classes),
            (CHECKSUM.to_owned(), checksum(&bytes).to_string()),
        ]);
        let file = safetensors::serialize([(FEATURES, view)], Some(metadata)).map_err(wrong)?;
        std::fs::create_dir_all(&self.folder).map_err(TrainError::io("make", &self.folder))?;
        write_file(&path, &file)?;
        Ok(features)
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    Fingerprint::of_bytes(bytes).crc32
}

/// Shape and values, if the file is intact and of these classes.
fn parse(file: &[u8], classes: &str) -> Option<([usize; 2], Vec<f32>)> {
    let (_, metadata) = SafeTensors::read_metadata(file).ok()?;
    let metadata = metadata.metadata().as_ref()?;
    let tensors = SafeTensors::deserialize(file).ok()?;
    let view = tensors.tensor(FEATURES).ok()?;
    let recorded: u32 = metadata.get(CHECKSUM)?.parse().ok()?;
    if metadata.get(CLASSES)? != classes || checksum(view.data()) != recorded || view.dtype() != Dtype::F32 {
        return None;
    }
    let values = view.data().as_chunks::<4>().0;
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Some((view.shape().try_into().ok()?, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_computed_once_and_after_damage() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextFeatureCache::new(folder.path().join("text-features"));
        let device = Device::flex();
        let (cats, dogs) = ("cat, lawn", "dog, lawn");
        let vocabulary = |names: &str| Vocabulary::from_names(names).unwrap();
        let mut computed = 0;
        let mut get = |names: &str| {
            let features = cache.get_or(&vocabulary(names), 2, &device, || {
                computed += 1;
                Ok(Tensor::from_data([[0.1f32, f32::MIN_POSITIVE], [3.0, -0.0]], &device))
            });
            let bits = features
                .unwrap()
                .into_data()
                .iter::<f32>()
                .map(f32::to_bits)
                .collect::<Vec<_>>();
            (bits, computed)
        };
        let first = get(cats);
        assert_eq!(first.1, 1);
        assert_eq!(get(cats), first);
        assert_eq!(get(dogs).1, 2);
        for entry in std::fs::read_dir(folder.path().join("text-features")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(get(cats), (first.0, 3));
    }
}
