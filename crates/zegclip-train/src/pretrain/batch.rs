//! Batches of pairs, prepared in advance by threads.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use zegclip_data::{Prefetch, SINGLE_TEMPLATE, normalize};
use zegclip_model::clip::Tokenizer;

use super::config::{PretrainConfig, StageConfig};
use super::pair::{Name, is_true_of};
use super::patch_text_loss::BatchNames;
use super::source::PairSource;
use super::step::ClipBatch;
use super::task::StagedBatch;
use crate::TrainError;

/// A pair as model input.
#[derive(Debug)]
struct Prepared {
    image: Vec<f32>,
    tokens: Vec<u32>,
    caption_facts: Vec<u64>,
    image_facts: Vec<u64>,
    names: Vec<Name>,
}

/// Batches of a stage in order, whatever the number of threads and the first iteration.
#[derive(Debug)]
struct Batches {
    pairs: Prefetch<Prepared, TrainError>,
    batch_size: usize,
    size: usize,
    chunk: usize,
    context_length: usize,
}

impl Batches {
    /// Starts the threads for the iterations `from..to` of the run, all of `stage`.
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
                image: normalize(&pair.image),
                tokens: Tokenizer::clip().encode(&pair.caption, context).ids,
                caption_facts: pair.caption_facts,
                image_facts: pair.image_facts,
                names: pair.names,
            })
        };
        let ahead = config.data.batches_ahead.max(1).saturating_mul(batch_size);
        let positions = from.saturating_mul(per_batch)..to.saturating_mul(per_batch);
        let pairs = Prefetch::start(config.data.threads, ahead, positions, make).map_err(TrainError::thread)?;
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
        let false_negative_mask = found
            .iter()
            .flat_map(|image| {
                found
                    .iter()
                    .map(|text| is_true_of(&text.caption_facts, &image.image_facts))
            })
            .collect();
        let names = batch_names(&found, self.context_length);
        let images = found.iter().flat_map(|pair| pair.image.iter().copied()).collect();
        Ok(Some(ClipBatch {
            images,
            size: self.size,
            tokens: found.into_iter().map(|pair| pair.tokens).collect(),
            false_negative_mask,
            names,
        }))
    }
}

/// Batches of all stages in order; each stage is opened when it is reached.
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
            // Ends the threads of the previous stage.
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

/// The distinct names of all images; of synonyms, that of the first image.
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
