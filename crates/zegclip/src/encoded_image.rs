//! An image after its encoder: what every class list is compared with.

use std::sync::Arc;
use std::time::Duration;

use crate::model::Features;
use crate::windows::Window;

/// Patch and class features of an image's windows, by [`Segmenter::encode`](crate::Segmenter::encode). ZegCLIP's image encoder
/// does not read the words (paper, figure 2), so one encoding serves any number of class lists.
///
/// It stays on the device: `4 · (patches + 1) · embed_dim` bytes a window, 2 MiB for a published model. `Send + Sync`; clones
/// share their memory.
#[derive(Debug, Clone)]
pub struct EncodedImage {
    /// The segmenter that made it.
    pub(crate) segmenter: u64,
    pub(crate) layout: Layout,
    /// Of one batch of windows after the other.
    pub(crate) features: Vec<Features>,
    pub(crate) preparation: Duration,
    pub(crate) encoding: Duration,
}

/// Where the windows of an image are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Size of the resized image: `[height, width]`.
    pub(crate) resized: [usize; 2],
    /// Size of the image: `[height, width]`.
    pub(crate) output: [usize; 2],
    /// All of one size.
    pub(crate) windows: Vec<Window>,
    /// The resized image, normalized, `[3, height, width]`, where scores are refined by its colors.
    pub(crate) colors: Option<Arc<[f32]>>,
}

impl EncodedImage {
    /// `(width, height)` of the image, hence of its labels.
    pub fn dimensions(&self) -> (u32, u32) {
        let [height, width] = self.layout.output.map(|length| length as u32);
        (width, height)
    }

    /// Number of windows that cover the image.
    pub fn windows(&self) -> usize {
        self.layout.windows.len()
    }

    /// How long preparation and encoder took.
    pub fn encoding_time(&self) -> Duration {
        self.preparation + self.encoding
    }
}
