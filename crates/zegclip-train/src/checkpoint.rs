//! The state of a run after some iterations: trained parameters, moments, and the configuration they belong to.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use zegclip_data::write_atomically;

use crate::TrainError;

/// Version of the file.
const FORMAT: &str = "zegclip-checkpoint-1";
const PARAMETER: &str = "parameter/";
const FIRST: &str = "first_moment/";
const SECOND: &str = "second_moment/";

/// Values of a tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// Extents, outermost first; those of the model, in which linear weights are `[input, output]`.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Vec<f32>,
}

/// The best evaluation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Iterations done at that time.
    pub iteration: u64,
    /// Its hIoU in percent.
    pub hiou: f64,
}

/// A whole state.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Iterations that were done: the next one to do.
    pub iteration: u64,
    /// Trained parameters by their checkpoint names.
    pub parameters: BTreeMap<String, Values>,
    /// Number of updates and moments of the parameters that were updated; Muon has no second one.
    pub moments: BTreeMap<String, (u64, Values, Option<Values>)>,
    /// The configuration as TOML.
    pub config: String,
    /// The best evaluation so far.
    pub best: Option<Best>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    iteration: u64,
    steps: BTreeMap<String, u64>,
    config: String,
    best: Option<Best>,
    /// CRC-32 of all tensors in the order of their names.
    checksum: u32,
}

impl Checkpoint {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`TrainError::Data`] if it cannot be written; a file of that name stays as it was.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        let mut tensors = BTreeMap::new();
        for (name, values) in &self.parameters {
            tensors.insert(format!("{PARAMETER}{name}"), values);
        }
        for (name, (_, first, second)) in &self.moments {
            tensors.insert(format!("{FIRST}{name}"), first);
            if let Some(second) = second {
                tensors.insert(format!("{SECOND}{name}"), second);
            }
        }
        let tensors: BTreeMap<String, (&[usize], Vec<u8>)> = tensors
            .into_iter()
            .map(|(name, values)| (name, (&values.shape[..], bytes(&values.values))))
            .collect();
        let header = Header {
            format: FORMAT.to_owned(),
            iteration: self.iteration,
            steps: self
                .moments
                .iter()
                .map(|(name, (step, ..))| (name.clone(), *step))
                .collect(),
            config: self.config.clone(),
            best: self.best,
            checksum: checksum(tensors.values().map(|(_, bytes)| &bytes[..])),
        };
        let wrong = |error: String| TrainError::Io {
            action: "write",
            path: path.to_owned(),
            source: std::io::Error::other(error),
        };
        let header = serde_json::to_string(&header).map_err(|error| wrong(error.to_string()))?;
        let mut views = Vec::with_capacity(tensors.len());
        for (name, (shape, bytes)) in &tensors {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).map_err(|error| wrong(error.to_string()))?;
            views.push((name, view));
        }
        let metadata = HashMap::from([("state".to_owned(), header)]);
        let file = safetensors::serialize(views, Some(metadata)).map_err(|error| wrong(error.to_string()))?;
        Ok(write_atomically(path, |output| output.write_all(&file))?)
    }

    /// Reads a file and checks every byte of it.
    ///
    /// # Errors
    /// [`TrainError::DamagedCheckpoint`], [`TrainError::Io`].
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let file = std::fs::read(path).map_err(TrainError::io("read", path))?;
        Self::parse(&file).map_err(|reason| TrainError::DamagedCheckpoint {
            path: path.to_owned(),
            reason,
            fix: "use another one".to_owned(),
        })
    }

    /// Whether a file says that it is a checkpoint of a run.
    pub fn is_checkpoint(path: &Path) -> bool {
        let head = std::fs::File::open(path).and_then(|mut file| {
            let mut head = vec![0; 256];
            let read = std::io::Read::read(&mut file, &mut head)?;
            head.truncate(read);
            Ok(head)
        });
        head.is_ok_and(|head| String::from_utf8_lossy(&head).contains(FORMAT))
    }

    fn parse(file: &[u8]) -> Result<Self, String> {
        let (_, metadata) = SafeTensors::read_metadata(file).map_err(|error| error.to_string())?;
        let header = metadata.metadata().as_ref().and_then(|metadata| metadata.get("state"));
        let header: Header =
            serde_json::from_str(header.ok_or("it has no state")?).map_err(|error| error.to_string())?;
        if header.format != FORMAT {
            return Err(format!(
                "it is of the form `{}`, this version reads `{FORMAT}`",
                header.format
            ));
        }
        let tensors = SafeTensors::deserialize(file).map_err(|error| error.to_string())?;
        let mut views: Vec<_> = tensors.iter().collect();
        views.sort_by(|a, b| a.0.cmp(b.0));
        if checksum(views.iter().map(|(_, view)| view.data())) != header.checksum {
            return Err("its checksum is wrong".to_owned());
        }
        let mut kinds: [BTreeMap<String, Values>; 3] = Default::default();
        for (name, view) in views {
            let kind = [PARAMETER, FIRST, SECOND]
                .iter()
                .zip(&mut kinds)
                .find_map(|(kind, found)| Some((name.strip_prefix(kind)?, found)));
            let (name, found) = kind.ok_or_else(|| format!("`{name}` is no part of a state"))?;
            if view.dtype() != Dtype::F32 {
                return Err(format!("`{name}` is no f32"));
            }
            let values = view
                .data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
            found.insert(
                name.to_owned(),
                Values {
                    shape: view.shape().to_vec(),
                    values,
                },
            );
        }
        let [parameters, mut first, mut second] = kinds;
        let mut moments = BTreeMap::new();
        for (name, step) in header.steps {
            let first = first
                .remove(&name)
                .ok_or_else(|| format!("`{name}` lacks its first moment"))?;
            let second = second.remove(&name);
            moments.insert(name, (step, first, second));
        }
        let Header {
            iteration,
            config,
            best,
            ..
        } = header;
        Ok(Self {
            iteration,
            parameters,
            moments,
            config,
            best,
        })
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn checksum<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let values = |first: f32| Values {
            shape: vec![2, 3],
            values: (0..6).map(|i| first + i as f32).collect(),
        };
        Checkpoint {
            iteration: 17,
            parameters: BTreeMap::from([
                ("a.weight".to_owned(), values(1.0)),
                ("b".to_owned(), values(f32::MIN_POSITIVE)),
            ]),
            moments: BTreeMap::from([
                ("a.weight".to_owned(), (17, values(0.1), Some(values(0.2)))),
                ("b".to_owned(), (17, values(0.3), None)),
            ]),
            config: "seed = 3\n".to_owned(),
            best: Some(Best {
                iteration: 10,
                hiou: 0.1 + 0.2,
            }),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        checkpoint().write(&path).unwrap();
        assert_eq!(Checkpoint::read(&path).unwrap(), checkpoint());
        assert!(Checkpoint::is_checkpoint(&path));
    }

    #[test]
    fn every_damage_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        checkpoint().write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 7, 100, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = Checkpoint::read(&path).unwrap_err().to_string();
            assert!(error.contains("a.safetensors") && error.contains("damaged"), "{error}");
        }
        for place in [whole.len() - 1, whole.len() - 40] {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert!(Checkpoint::read(&path).unwrap_err().to_string().contains("checksum"));
        }
    }
}
