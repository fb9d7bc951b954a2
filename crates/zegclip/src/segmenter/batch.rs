//! Images that share forward passes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use zegclip_data::RgbImage;
use zegclip_kernels::on_worker;

use super::Segmenter;
use super::steps::{EncodedClasses, Prepared};
use crate::Error;
use crate::segmentation::{Segmentation, Timings};
use crate::windows::Window;

/// Windows of a batch of images that go through the model one after the other.
#[derive(Debug, Clone, Copy)]
struct Job {
    image: usize,
    window: Window,
}

/// An image of a batch some of whose windows are computed.
struct Unfinished {
    prepared: Prepared,
    masks: Vec<Tensor<4>>,
    windows: usize,
    time: Duration,
}

impl Segmenter {
    /// Segments images `together` windows at a time. An image is prepared when its first window is computed and forgotten
    /// after its last one.
    pub(super) fn segment_all(
        &self,
        images: &[RgbImage],
        encoded: &EncodedClasses,
        together: usize,
    ) -> Result<Vec<Segmentation>, Error> {
        let mut jobs = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let windows = self.layout(image)?.windows;
            jobs.extend(windows.into_iter().map(|window| Job { image: index, window }));
        }
        // Stable, and all windows of an image have one size: they stay side by side.
        jobs.sort_by_key(|job| (job.window.height, job.window.width));
        let mut results: Vec<Option<Segmentation>> = images.iter().map(|_| None).collect();
        let mut open: HashMap<usize, Unfinished> = HashMap::new();
        let groups = jobs.chunk_by(|a, b| (a.window.height, a.window.width) == (b.window.height, b.window.width));
        for batch in groups.flat_map(|group| group.chunks(together.max(1))) {
            for job in batch {
                if let (Entry::Vacant(entry), Some(image)) = (open.entry(job.image), images.get(job.image)) {
                    entry.insert(Unfinished::new(self.prepare(image)?));
                }
            }
            let started = Instant::now();
            let cuts: Vec<_> = batch
                .iter()
                .filter_map(|job| open.get(&job.image).map(|image| (image, job.window)))
                .map(|(image, window)| (&*image.prepared.pixels, image.prepared.layout.resized, window))
                .collect();
            let masks = on_worker(|| self.masks(self.model.encode(self.cut(&cuts))?, &encoded.text_features))?;
            let time = started.elapsed();
            let mut first = 0;
            for of_image in batch.chunk_by(|a, b| a.image == b.image) {
                let (count, index) = (of_image.len(), of_image.first().map_or(0, |job| job.image));
                let own = match count == batch.len() {
                    true => masks.clone(),
                    false => masks.clone().narrow(0, first, count),
                };
                first += count;
                let Some(image) = open.get_mut(&index) else { continue };
                image.masks.push(own);
                image.windows += count;
                image.time += time.mul_f64(count as f64 / batch.len() as f64);
                if image.windows == image.prepared.layout.windows.len()
                    && let (Some(image), Some(result)) = (open.remove(&index), results.get_mut(index))
                {
                    let timings = Timings {
                        preparation: image.prepared.time,
                        model: image.time,
                        ..Timings::default()
                    };
                    *result = Some(self.labels(image.masks, &image.prepared.layout, encoded, timings)?);
                }
            }
        }
        Ok(results.into_iter().flatten().collect())
    }
}

impl Unfinished {
    fn new(prepared: Prepared) -> Self {
        Self {
            prepared,
            masks: Vec::new(),
            windows: 0,
            time: Duration::ZERO,
        }
    }
}
