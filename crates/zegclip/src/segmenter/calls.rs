//! Calls that segment: one image, a batch, an encoded image, a normalized image.

use std::time::Instant;

use burn::tensor::Tensor;
use zegclip_data::{RgbImage, Vocabulary};
use zegclip_kernels::{WindowMasks, on_worker};

use super::steps::{Prepared, read_masks};
use super::{Segmenter, check_text_features};
use crate::Error;
use crate::encoded_image::EncodedImage;
use crate::options::SegmentOptions;
use crate::segmentation::{Segmentation, Timings};
use crate::windows::Window;

/// Windows of several images that a GPU computes together unless
/// [`crate::SegmenterBuilder::window_batch`] states a number: a few hundred MB of activations of a published model.
const WINDOWS_ON_GPU: usize = 8;

impl Segmenter {
    /// Segments an image with the published settings.
    ///
    /// # Errors
    /// As [`segment_with`](Self::segment_with).
    pub fn segment(&self, image: &RgbImage, classes: &Vocabulary) -> Result<Segmentation, Error> {
        self.segment_with(image, classes, &SegmentOptions::default())
    }

    /// Segments an image: short side to the side of the model's window, sliding windows, labels at the image's own size.
    ///
    /// # Errors
    /// [`Error::Data`] for an image without pixels, [`Error::Proportions`] for a strip that is too long at the model's size;
    /// [`Error::OptionRange`]; [`Error::NoTextEncoder`], [`Error::TextFeatureShape`] and [`Error::Model`] for class lists that
    /// the model cannot encode; [`Error::Execution`] if the device fails.
    pub fn segment_with(
        &self,
        image: &RgbImage,
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<Segmentation, Error> {
        let encoded = self.encode_classes(classes, options)?;
        let images = std::slice::from_ref(image);
        let mut results = self.guarded(|| self.segment_all(images, &encoded, self.window_batch.unwrap_or(1)))?;
        results.pop().ok_or(Error::NoImages)
    }

    /// Segments several images with the published settings.
    ///
    /// ```
    /// use zegclip::{RgbImage, Segmenter, Vocabulary};
    ///
    /// # #[cfg(feature = "demo")] {
    /// let segmenter = Segmenter::demo("cpu")?;
    /// let images = [[30, 90, 200], [60, 160, 40]].map(|color| RgbImage::from_pixel(48, 48, color.into()));
    /// let results = segmenter.segment_batch(&images, &Vocabulary::from_names("sea, grass")?)?;
    /// assert_eq!(results.len(), 2);
    /// # }
    /// # Ok::<(), zegclip::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`segment_batch_with`](Self::segment_batch_with).
    pub fn segment_batch(&self, images: &[RgbImage], classes: &Vocabulary) -> Result<Vec<Segmentation>, Error> {
        self.segment_batch_with(images, classes, &SegmentOptions::default())
    }

    /// Segments several images, which may differ in size. The results, in the order of the images, are those of single calls.
    ///
    /// Windows of one size share a forward pass, whichever image they are of: as many as
    /// [`crate::SegmenterBuilder::window_batch`] states; otherwise 8 on a GPU, and 1 on the CPU, which a single window uses fully.
    /// Memory grows with that number, not with the number of images. On the CPU results are equal to those of single calls in
    /// every bit; on a GPU the kernels of a larger batch may round differently.
    ///
    /// # Errors
    /// [`Error::NoImages`] for an empty list, else as [`segment_with`](Self::segment_with). One image that fails is the failure
    /// of the batch.
    pub fn segment_batch_with(
        &self,
        images: &[RgbImage],
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>, Error> {
        if images.is_empty() {
            return Err(Error::NoImages);
        }
        let encoded = self.encode_classes(classes, options)?;
        let together = self
            .window_batch
            .unwrap_or(if self.device.gpu { WINDOWS_ON_GPU } else { 1 });
        self.guarded(|| self.segment_all(images, &encoded, together))
    }

    /// Encodes an image, to segment it with many class lists by [`segment_encoded`](Self::segment_encoded): most of the time
    /// of [`segment`](Self::segment) is that of the encoder.
    ///
    /// ```
    /// use zegclip::{RgbImage, Segmenter, Vocabulary};
    ///
    /// # #[cfg(feature = "demo")] {
    /// let segmenter = Segmenter::demo("cpu")?;
    /// let encoded = segmenter.encode(&RgbImage::from_pixel(64, 64, [200, 180, 90].into()))?;
    /// for names in ["sand, sea", "sand, grass, cat"] {
    ///     let result = segmenter.segment_encoded(&encoded, &Vocabulary::from_names(names)?)?;
    ///     assert_eq!(result.labels().dimensions(), (64, 64));
    /// }
    /// # }
    /// # Ok::<(), zegclip::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Data`] for an image without pixels, [`Error::Proportions`] for a strip that is too long at the model's size;
    /// [`Error::Execution`] if the device fails.
    pub fn encode(&self, image: &RgbImage) -> Result<EncodedImage, Error> {
        let Prepared { pixels, layout, time } = self.prepare(image)?;
        let started = Instant::now();
        let encode = |batch: &[Window]| {
            let cuts: Vec<_> = batch.iter().map(|window| (&*pixels, layout.resized, *window)).collect();
            self.model.encode(self.cut(&cuts))
        };
        let features = self.guarded(|| {
            let batches = layout.windows.chunks(self.window_batch.unwrap_or(1));
            let features = on_worker(|| batches.map(encode).collect::<Result<Vec<_>, _>>())?;
            if self.device.gpu {
                self.device.device.sync().map_err(Error::execution)?;
            }
            Ok(features)
        })?;
        Ok(EncodedImage {
            segmenter: self.id,
            layout,
            features,
            preparation: time,
            encoding: started.elapsed(),
        })
    }

    /// Segments an encoded image with the published settings.
    ///
    /// # Errors
    /// As [`segment_encoded_with`](Self::segment_encoded_with).
    pub fn segment_encoded(&self, image: &EncodedImage, classes: &Vocabulary) -> Result<Segmentation, Error> {
        self.segment_encoded_with(image, classes, &SegmentOptions::default())
    }

    /// Segments an encoded image. The result is that of [`segment_with`](Self::segment_with) bit-exactly; its timings have no
    /// preparation and only the decoder's part of the model.
    ///
    /// # Errors
    /// [`Error::ForeignEncoding`] for an image that another segmenter encoded, else as [`segment_with`](Self::segment_with).
    pub fn segment_encoded_with(
        &self,
        image: &EncodedImage,
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<Segmentation, Error> {
        if image.segmenter != self.id {
            return Err(Error::ForeignEncoding);
        }
        let encoded = self.encode_classes(classes, options)?;
        let started = Instant::now();
        self.guarded(|| {
            let masks = on_worker(|| {
                let features = image.features.iter().cloned();
                features
                    .map(|features| self.masks(features, &encoded.text_features))
                    .collect::<Result<Vec<_>, _>>()
            })?;
            let timings = Timings {
                model: started.elapsed(),
                ..Timings::default()
            };
            self.labels(masks, &image.layout, &encoded, timings)
        })
    }

    /// Masks of all windows over a normalized image `[3, height, width]`, before their activation. `size` is
    /// `[height, width]`, `text_features` `[classes, embed_dim]`.
    ///
    /// # Errors
    /// [`Error::PixelCount`], [`Error::TextFeatureShape`]; [`Error::Execution`] if the device fails.
    pub fn window_masks(
        &self,
        pixels: &[f32],
        size: [usize; 2],
        text_features: &Tensor<2>,
    ) -> Result<Vec<WindowMasks>, Error> {
        if pixels.len() != 3 * size[0] * size[1] || pixels.is_empty() {
            let values = pixels.len();
            return Err(Error::PixelCount { size, values });
        }
        let classes = text_features.dims()[0];
        check_text_features("the argument", text_features, classes, self.sizes)?;
        let windows = self.windows(size);
        let predict = |batch: &[Window]| {
            let cuts: Vec<_> = batch.iter().map(|window| (pixels, size, *window)).collect();
            self.masks(self.model.encode(self.cut(&cuts))?, text_features)
        };
        self.guarded(|| {
            let batches = windows.chunks(self.window_batch.unwrap_or(1));
            let masks = on_worker(|| batches.map(predict).collect::<Result<Vec<_>, _>>())?;
            read_masks(masks, &windows)
        })
    }
}
