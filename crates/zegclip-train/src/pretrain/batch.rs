//! Batches of pairs, made ahead by threads.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use zegclip_data::{Prefetch, SINGLE_TEMPLATE, ThreadFailed, normalise};
use zegclip_model::clip::Tokenizer;

use super::config::{PretrainConfig, StageConfig};
use super::naming::BatchNames;
use super::source::{Name, PairSource, is_true_of};
use super::step::ClipBatch;
use super::task::StagedBatch;
use crate::TrainError;

/// A pair as the model takes it.
#[derive(Debug)]
struct Prepared {
    image: Vec<f32>,
    tokens: Vec<u32>,
    mentions: Vec<u64>,
    contents: Vec<u64>,
    names: Vec<Name>,
}

/// Batches of a stage in order. The same ones whatever the number of threads, from any iteration on.
#[derive(Debug)]
struct Batches {
    pairs: Prefetch<Prepared, TrainError>,
    batch_size: usize,
    size: usize,
    chunk: usize,
    context_length: usize,
}

impl From<ThreadFailed> for TrainError {
    fn from(failed: ThreadFailed) -> Self {
        Self::Device(failed.to_string())
    }
}

impl Batches {
    /// Starts the threads for the iterations `from..to` of the run, which all belong to `stage`.
    fn start(
        source: &PairSource,
        config: &PretrainConfig,
        stage: &StageConfig,
        [from, to]: [u64; 2],
    ) -> Result<Self, TrainError> {
        let pairs = source.stage(stage)?;
        let (context, stage) = (config.model.text.context_length, stage.clone());
        let (batch_size, size) = (stage.batch_size, stage.image_size);
        let (per_batch, chunk_size) = (batch_size as u64, stage.chunk_size());
        let make = move |position: u64| {
            let pair = pairs.pair([position / per_batch, position % per_batch], &stage)?;
            Ok(Prepared {
                image: normalise(&pair.image),
                tokens: Tokenizer::clip().encode(&pair.caption, context).ids,
                mentions: pair.mentions,
                contents: pair.contents,
                names: pair.names,
            })
        };
        let ahead = config.data.batches_ahead.max(1).saturating_mul(batch_size);
        let positions = from.saturating_mul(per_batch)..to.saturating_mul(per_batch);
        let pairs = Prefetch::start(config.data.threads, ahead, positions, make)
            .map_err(|error| TrainError::Device(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            pairs,
            batch_size,
            size,
            chunk: chunk_size,
            context_length: context,
        })
    }

    /// The next batch; `None` at the end of the stage.
    fn next_batch(&mut self) -> Result<Option<ClipBatch>, TrainError> {
        let mut found = Vec::with_capacity(self.batch_size);
        for pair in self.pairs.by_ref().take(self.batch_size) {
            found.push(pair?);
        }
        if found.len() < self.batch_size {
            return Ok(None);
        }
        let left_out = found
            .iter()
            .flat_map(|image| found.iter().map(|text| is_true_of(&text.mentions, &image.contents)))
            .collect();
        let names = batch_names(&found, self.context_length);
        let images = found.iter().flat_map(|pair| pair.image.iter().copied()).collect();
        Ok(Some(ClipBatch {
            images,
            size: self.size,
            tokens: found.into_iter().map(|pair| pair.tokens).collect(),
            left_out,
            names,
        }))
    }
}

/// Batches of a whole run: the stages one after the other, each opened when it is reached.
pub(crate) struct StagedBatches {
    source: Arc<PairSource>,
    config: PretrainConfig,
    iterations: Range<u64>,
    stage: Option<(Batches, u64)>,
}

impl StagedBatches {
    pub(crate) fn new(source: Arc<PairSource>, config: PretrainConfig, iterations: Range<u64>) -> Self {
        Self {
            source,
            config,
            iterations,
            stage: None,
        }
    }
}

impl Iterator for StagedBatches {
    type Item = Result<StagedBatch, TrainError>;

    fn next(&mut self) -> Option<Self::Item> {
        let iteration = self.iterations.next()?;
        if self.stage.as_ref().is_none_or(|(_, end)| iteration >= *end) {
            let (stage, first) = self.config.stage_of(iteration)?;
            let end = (first + stage.iterations).min(self.iterations.end);
            // The threads of the stage before end first.
            self.stage = None;
            match Batches::start(&self.source, &self.config, stage, [iteration, end]) {
                Ok(batches) => self.stage = Some((batches, end)),
                Err(error) => return Some(Err(error)),
            }
        }
        let (batches, _) = self.stage.as_mut()?;
        let chunk = batches.chunk;
        let batch = batches.next_batch().transpose()?;
        Some(batch.map(|batch| StagedBatch { batch, chunk }))
    }
}

/// The names of all images, each once, called as the first image that has it calls it.
fn batch_names(pairs: &[Prepared], context_length: usize) -> BatchNames {
    let mut known: BTreeMap<u64, usize> = BTreeMap::new();
    let mut tokens = Vec::new();
    for name in pairs.iter().flat_map(|pair| &pair.names) {
        known.entry(name.id).or_insert_with(|| {
            let prompt = SINGLE_TEMPLATE.replace("{}", &name.text);
            tokens.push(Tokenizer::clip().encode(&prompt, context_length).ids);
            tokens.len() - 1
        });
    }
    let mut present = vec![false; pairs.len() * tokens.len()];
    for (pair, row) in pairs.iter().zip(present.chunks_mut(tokens.len().max(1))) {
        for place in pair.names.iter().filter_map(|name| known.get(&name.id)) {
            if let Some(present) = row.get_mut(*place) {
                *present = true;
            }
        }
    }
    BatchNames { tokens, present }
}
