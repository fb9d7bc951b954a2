//! Label maps as one target mask per class.

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use zegclip_kernels::LabelMaps;

/// Label of a pixel without a class.
const NO_CLASS: u16 = u16::MAX;

/// Targets of a batch: one mask per class.
///
/// A pixel without a class is in no mask. As published it is *not* excluded from the losses but a negative of every class.
#[derive(Debug, Clone)]
pub struct MaskTargets {
    labels: LabelMaps,
    classes: usize,
    device: Device,
    present: Tensor<2>,
    pairs: usize,
    labeled_pixels: usize,
}

impl MaskTargets {
    /// Masks of label maps. Labels of at least `classes`, such as the ignore value, mean *no class*.
    ///
    /// `shape` is `[batch, rows, columns]`; labels beyond it are dropped and missing ones have no class.
    ///
    /// # Shapes
    /// - `labels`: `[batch, rows, columns]` in row-major order
    pub fn from_labels(labels: &[u16], shape: [usize; 3], classes: usize, device: &Device) -> Self {
        let [batch, rows, columns] = shape;
        let pixels = rows * columns;
        let device = device.clone().without_autodiff();
        let mut maps = labels.to_vec();
        maps.resize(batch * pixels, NO_CLASS);
        let mut present = vec![0f32; batch * classes];
        let mut labeled_pixels = 0;
        for (position, label) in maps.iter_mut().enumerate() {
            if usize::from(*label) < classes {
                present[position / pixels * classes + usize::from(*label)] = 1.0;
                labeled_pixels += 1;
            } else {
                *label = NO_CLASS;
            }
        }
        let pairs = present.iter().filter(|present| **present > 0.0).count();
        Self {
            labels: LabelMaps::new(maps, shape),
            classes,
            present: Tensor::from_data(TensorData::new(present, [batch, classes]), &device),
            device,
            pairs,
            labeled_pixels,
        }
    }

    /// The label maps; pixels without a class have [`u16::MAX`].
    pub fn labels(&self) -> &LabelMaps {
        &self.labels
    }

    /// One where the pixel has the class, else zero: `[batch, classes, rows, columns]`. Computed at each call, since it is as large as the
    /// upsampled masks.
    pub fn masks(&self) -> Tensor<4> {
        let [batch, rows, columns] = self.labels.shape();
        let shape = [batch, self.classes, rows, columns];
        let labels: Vec<i32> = self.labels.labels().iter().map(|label| i32::from(*label)).collect();
        let labels = TensorData::new(labels, [batch, 1, rows, columns]);
        let labels = Tensor::<4, Int>::from_data(labels, &self.device).expand(shape);
        let list = Tensor::<1, Int>::arange(0..self.classes as i64, &self.device);
        let list = list.reshape([1, self.classes, 1, 1]).expand(shape);
        labels.equal(list).float().cast(FloatDType::F32)
    }

    /// One where the image has a pixel of the class, else zero: `[batch, classes]`.
    pub fn present(&self) -> Tensor<2> {
        self.present.clone()
    }

    /// Number M of (image, class) pairs that are present.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Number of pixels with a class.
    pub fn labeled_pixels(&self) -> usize {
        self.labeled_pixels
    }

    /// Pixels `[rows, columns]` of an image.
    pub fn size(&self) -> [usize; 2] {
        let [_, rows, columns] = self.labels.shape();
        [rows, columns]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_without_a_class_are_in_no_mask() {
        let labels = [0, 2, u16::MAX, 2, 3, u16::MAX];
        let targets = MaskTargets::from_labels(&labels, [2, 1, 3], 3, &Device::flex());
        let masks = [
            [[[1.0f32, 0.0, 0.0]], [[0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]],
            [[[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]]],
        ];
        targets.masks().into_data().assert_eq(&TensorData::from(masks), true);
        let present = [[1.0f32, 0.0, 1.0], [0.0, 0.0, 1.0]];
        targets
            .present()
            .into_data()
            .assert_eq(&TensorData::from(present), true);
        assert_eq!((targets.pairs(), targets.labeled_pixels()), (3, 3));
    }
}
