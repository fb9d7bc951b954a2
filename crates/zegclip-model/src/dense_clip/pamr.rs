//! Pixel-adaptive mask refinement (Araslanov and Roth, "Single-Stage Semantic Segmentation from Image Labels", CVPR 2020).

use burn::tensor::activation::softmax;
use burn::tensor::{FloatDType, Tensor};

/// Score planes that are refined together; they do not depend on each other, and few of them stay in the caches.
const PLANES: usize = 4;

/// Every step replaces the scores of a pixel by a mean of those of its neighbors, those of like color more.
///
/// It needs the scores at the resolution of the image: `4 · names · height · width` bytes, twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pamr {
    /// Number of steps; published: 10.
    pub steps: usize,
    /// Distances of the eight neighbors in pixels; published: 8 and 16.
    pub dilations: Vec<usize>,
}

impl Default for Pamr {
    fn default() -> Self {
        Self {
            steps: 10,
            dilations: vec![8, 16],
        }
    }
}

impl Pamr {
    /// Refined scores.
    ///
    /// # Shapes
    /// - `image`: normalized, `[batch, 3, height, width]`
    /// - `scores`: `[batch, names, height, width]`; output the same, in f32
    pub fn refine(&self, image: Tensor<4>, scores: Tensor<4>) -> Tensor<4> {
        if self.dilations.is_empty() || self.steps == 0 {
            return scores;
        }
        let weights = self.weights(image.cast(FloatDType::F32));
        let [batch, names, height, width] = scores.dims();
        let mut refined = Vec::new();
        for first in (0..names).step_by(PLANES) {
            let count = PLANES.min(names - first);
            let mut planes = scores.clone().narrow(1, first, count).cast(FloatDType::F32);
            for _ in 0..self.steps {
                let mut sum = Tensor::zeros([batch, count, height, width], &planes.device());
                self.for_each_neighbor(planes, |index, neighbor| {
                    sum = sum.clone() + neighbor * weights[index].clone();
                });
                planes = sum;
            }
            refined.push(planes);
        }
        Tensor::cat(refined, 1)
    }

    /// The weight of every neighbor, each `[batch, 1, height, width]`; they add up to 1.
    fn weights(&self, image: Tensor<4>) -> Vec<Tensor<4>> {
        let count = 9 * self.dilations.len();
        let mut neighbors = Vec::with_capacity(count);
        self.for_each_neighbor(image.clone(), |_, neighbor| neighbors.push(neighbor));
        // Over the neighbors of all distances, where the pixel itself counts once a distance.
        let centers = self.dilations.len() as f64;
        let sum = |values: &[Tensor<4>], center: Tensor<4>| {
            values.iter().fold(center * centers, |sum, value| sum + value.clone())
        };
        let mean = sum(&neighbors, image.clone()) / count as f64;
        let squares: Vec<Tensor<4>> = neighbors
            .iter()
            .map(|neighbor| (neighbor.clone() - mean.clone()).powi_scalar(2))
            .collect();
        let variance = sum(&squares, (image.clone() - mean).powi_scalar(2)) / (count - 1) as f64;
        let scale = variance.sqrt() * 0.1 + 1e-8;
        let closeness = neighbors
            .into_iter()
            .map(|neighbor| ((image.clone() - neighbor).abs() / scale.clone()).mean_dim(1).neg())
            .collect();
        let weights = softmax(Tensor::cat(closeness, 1), 1); // [batch, 8 · dilations, height, width]
        (0..8 * self.dilations.len())
            .map(|index| weights.clone().narrow(1, index, 1))
            .collect()
    }

    /// Calls `visit` with the values of each of the 8 neighbors of all pixels, distance by distance; border values are repeated outwards.
    fn for_each_neighbor(&self, values: Tensor<4>, mut visit: impl FnMut(usize, Tensor<4>)) {
        let [_, _, height, width] = values.dims();
        let margin = self.dilations.iter().copied().max().unwrap_or(0);
        let padded = repeat_border(repeat_border(values, 2, margin), 3, margin);
        let mut index = 0;
        for &dilation in &self.dilations {
            for (row, column) in (0..9).filter(|place| *place != 4).map(|place| (place / 3, place % 3)) {
                let [top, left] = [row, column].map(|step| margin - dilation + step * dilation);
                let neighbor = padded.clone().narrow(2, top, height).narrow(3, left, width);
                visit(index, neighbor);
                index += 1;
            }
        }
    }
}

/// The first and the last slice along `axis`, `margin` times each around the values.
fn repeat_border(values: Tensor<4>, axis: usize, margin: usize) -> Tensor<4> {
    let length = values.dims()[axis];
    let mut shape = values.dims();
    shape[axis] = margin;
    let first = values.clone().narrow(axis, 0, 1).expand(shape);
    let last = values.clone().narrow(axis, length - 1, 1).expand(shape);
    Tensor::cat(vec![first, values, last], axis)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn refinement_keeps_constants_and_blurs_within_one_color_only() {
        let device = Device::flex();
        let pamr = Pamr {
            steps: 3,
            dilations: vec![1, 2],
        };
        let image = Tensor::<4>::random([1, 3, 9, 12], Distribution::Default, &device);
        let constant = pamr.refine(image, Tensor::full([1, 6, 9, 12], 0.25, &device));
        assert!(
            constant
                .into_data()
                .iter::<f32>()
                .all(|value| (value - 0.25).abs() < 1e-5)
        );
        // Left half black, right half white: scores of one half hardly reach the other.
        let half = Tensor::<4>::zeros([1, 1, 8, 6], &device);
        let image = Tensor::cat(vec![half.clone(), half.ones_like()], 3);
        let refined = pamr.refine(image.clone().expand([1, 3, 8, 12]), image);
        let row: Vec<f32> = refined.narrow(2, 4, 1).into_data().iter().collect();
        assert!(row[0] < 1e-3 && row[11] > 1.0 - 1e-3, "{row:?}");
    }
}
