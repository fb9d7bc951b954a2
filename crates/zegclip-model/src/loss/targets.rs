//! Label maps as one mask a class.

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

/// Targets of a batch: every class has a mask of its own.
///
/// A pixel without a class is in no mask. As published it is *not* left out of the losses but counts as a negative of every
/// class.
#[derive(Debug, Clone)]
pub struct MaskTargets {
    masks: Tensor<4>,
    present: Tensor<2>,
    pairs: usize,
    labelled: usize,
}

impl MaskTargets {
    /// Masks of label maps. Labels from `classes` on, the ignore value among them, mean *no class*.
    ///
    /// `shape` is `[batch, rows, columns]`; labels beyond it are dropped and missing ones have no class.
    ///
    /// # Shapes
    /// - `labels`: `[batch, rows, columns]` in row-major order
    pub fn from_labels(labels: &[u16], shape: [usize; 3], classes: usize, device: &Device) -> Self {
        let [batch, rows, columns] = shape;
        let pixels = rows * columns;
        let device = device.clone().without_autodiff();
        let class_of = |label: u16| Some(usize::from(label)).filter(|class| *class < classes);
        let mut present = vec![0f32; batch * classes];
        let mut labelled = 0;
        let mut indices = vec![-1i32; batch * pixels];
        for (position, (label, index)) in labels.iter().zip(&mut indices).enumerate() {
            if let Some(class) = class_of(*label) {
                *index = i32::from(*label);
                present[position / pixels * classes + class] = 1.0;
                labelled += 1;
            }
        }
        let pairs = present.iter().filter(|present| **present > 0.0).count();
        let indices = Tensor::<4, Int>::from_data(TensorData::new(indices, [batch, 1, rows, columns]), &device);
        let list = Tensor::<1, Int>::arange(0..classes as i64, &device).reshape([1, classes, 1, 1]);
        let masks = indices
            .expand([batch, classes, rows, columns])
            .equal(list.expand([batch, classes, rows, columns]));
        Self {
            masks: masks.float().cast(FloatDType::F32),
            present: Tensor::from_data(TensorData::new(present, [batch, classes]), &device),
            pairs,
            labelled,
        }
    }

    /// One where the pixel has the class, else zero: `[batch, classes, rows, columns]`.
    pub fn masks(&self) -> Tensor<4> {
        self.masks.clone()
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
    pub fn labelled(&self) -> usize {
        self.labelled
    }

    /// Pixels `[rows, columns]` of an image.
    pub fn size(&self) -> [usize; 2] {
        let [_, _, rows, columns] = self.masks.dims();
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
        assert_eq!((targets.pairs(), targets.labelled()), (3, 3));
    }
}
