//! A batch in equal parts, over one device or several, one part after the other on each.

use burn::tensor::{Device, Tensor, TensorData};
use zegclip_data::Batch;
use zegclip_kernels::{on_worker, with_dropout_seed};
use zegclip_model::ZegClip;

use crate::TrainError;
use crate::seed::{Drawn, seed_of};
use crate::step::{Objective, Sums, backward};

/// A device with what it computes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share<'a> {
    pub(crate) device: &'a Device,
    pub(crate) model: &'a ZegClip,
    pub(crate) text_features: &'a Tensor<2>,
}

/// Images and labels of a part, and its number in the batch.
struct Part<'a> {
    number: u64,
    images: &'a [f32],
    labels: &'a [u16],
}

/// Sums over the batch, on the first device. `parts` are those of a device, `(seed, iteration)` what random numbers derive
/// from; those of a part do not depend on which device computes it or what ran before.
pub(crate) fn compute(
    shares: &[Share<'_>],
    batch: &Batch,
    parts: usize,
    place: (u64, u64),
    objective: &Objective,
) -> Result<Sums, TrainError> {
    let side = batch.size as usize;
    let images = batch.labels.len() / (side * side).max(1) / (parts * shares.len()).max(1);
    let all: Vec<Part<'_>> = batch
        .images
        .chunks(images * 3 * side * side)
        .zip(batch.labels.chunks(images * side * side))
        .zip(0..)
        .map(|((images, labels), number)| Part { number, images, labels })
        .collect();
    let work = |share: &Share<'_>, parts: &[Part<'_>]| on_worker(|| share.compute(parts, side, place, objective));
    let mut groups = all.chunks(parts).zip(shares);
    let Some((first_parts, first)) = groups.next() else {
        return Ok(Sums::default());
    };
    let (first_sums, further) = std::thread::scope(|scope| {
        let further: Vec<_> = groups
            .map(|(parts, share)| scope.spawn(move || work(share, parts)))
            .collect();
        let first_sums = work(first, first_parts);
        let further: Vec<_> = further.into_iter().map(|thread| thread.join()).collect();
        (first_sums, further)
    });
    let mut sums = first_sums?;
    for result in further {
        let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // In the order of the devices, whoever was done first: sums round the same way each time.
        sums.add(result?.moved_to(first.device)?);
    }
    Ok(sums)
}

impl Share<'_> {
    fn compute(
        &self,
        parts: &[Part<'_>],
        side: usize,
        (seed, iteration): (u64, u64),
        objective: &Objective,
    ) -> Result<Sums, TrainError> {
        let mut sums: Option<Sums> = None;
        for Part { number, images, labels } in parts {
            let shape = [labels.len() / (side * side).max(1), 3, side, side];
            let images = Tensor::<4>::from_data(TensorData::new(images.to_vec(), shape), self.device);
            let masks = with_dropout_seed(seed_of(seed, Drawn::Part(iteration, *number)), || {
                self.model.forward(images, self.text_features.clone())
            });
            let more = backward(self.model, masks, labels, [side, side], objective)?;
            match &mut sums {
                Some(sums) => sums.add(more),
                None => sums = Some(more),
            }
        }
        Ok(sums.unwrap_or_default())
    }
}
