//! A batch as equal micro-batches on one device or several.

use burn::tensor::{Device, Tensor, TensorData};
use zegclip_data::Batch;
use zegclip_kernels::{on_worker, with_dropout_seed};
use zegclip_model::ZegClip;

use crate::TrainError;
use crate::seed::{RngKey, RngStream, seed_of};
use crate::step::{Objective, Sums, backward};

/// A device with its copy of the model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeviceShard<'a> {
    pub(crate) device: &'a Device,
    pub(crate) model: &'a ZegClip,
    pub(crate) text_features: &'a Tensor<2>,
}

/// Images and labels of one forward pass, and their number in the batch.
struct MicroBatch<'a> {
    number: u64,
    images: &'a [f32],
    labels: &'a [u16],
}

/// Sums over the batch, on the first device. Each device computes `accumulation` micro-batches; the random numbers of a
/// micro-batch depend on its number only.
pub(crate) fn compute(
    shards: &[DeviceShard<'_>],
    batch: &Batch,
    accumulation: usize,
    key: RngKey,
    objective: &Objective,
) -> Result<Sums, TrainError> {
    let side = batch.size as usize;
    let images = batch.labels.len() / (side * side).max(1) / (accumulation * shards.len()).max(1);
    let all: Vec<MicroBatch<'_>> = batch
        .images
        .chunks(images * 3 * side * side)
        .zip(batch.labels.chunks(images * side * side))
        .zip(0..)
        .map(|((images, labels), number)| MicroBatch { number, images, labels })
        .collect();
    let work = |shard: &DeviceShard<'_>, micro_batches: &[MicroBatch<'_>]| {
        on_worker(|| shard.compute(micro_batches, side, key, objective))
    };
    let mut groups = all.chunks(accumulation).zip(shards);
    let Some((first_group, first)) = groups.next() else {
        return Ok(Sums::default());
    };
    let (first_sums, further) = std::thread::scope(|scope| {
        let work = &work;
        let further: Vec<_> = groups
            .map(|(group, shard)| {
                let thread = std::thread::Builder::new().name("shard".to_owned());
                // Without a thread of its own, a shard is computed after the first.
                thread
                    .spawn_scoped(scope, move || work(shard, group))
                    .map_err(|_| (group, shard))
            })
            .collect();
        let first_sums = work(first, first_group);
        let further: Vec<_> = further
            .into_iter()
            .map(|thread| match thread {
                Ok(thread) => thread.join(),
                Err((group, shard)) => Ok(work(shard, group)),
            })
            .collect();
        (first_sums, further)
    });
    let mut sums = first_sums?;
    for result in further {
        let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A fixed order makes the rounding reproducible.
        sums.add(first.model, result?.moved_to(first.device, first.model));
    }
    Ok(sums)
}

impl DeviceShard<'_> {
    fn compute(
        &self,
        micro_batches: &[MicroBatch<'_>],
        side: usize,
        RngKey { seed, iteration }: RngKey,
        objective: &Objective,
    ) -> Result<Sums, TrainError> {
        let mut sums: Option<Sums> = None;
        for MicroBatch { number, images, labels } in micro_batches {
            let shape = [labels.len() / (side * side).max(1), 3, side, side];
            let images = Tensor::<4>::from_data(TensorData::new(images.to_vec(), shape), self.device);
            let stream = RngStream::MicroBatch {
                iteration,
                number: *number,
            };
            let masks = with_dropout_seed(seed_of(seed, stream), || {
                self.model.forward(images, self.text_features.clone())
            });
            let more = backward(self.model, masks, labels, [side, side], objective)?;
            match &mut sums {
                Some(sums) => sums.add(self.model, more),
                None => sums = Some(more),
            }
        }
        Ok(sums.unwrap_or_default())
    }
}
