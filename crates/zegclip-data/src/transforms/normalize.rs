//! Normalization `(x − mean) / std`, planar output, flip and padding: the last steps, in one pass over the crop.

use super::photometric::Table;

/// Value of every 8-bit channel after `table` and normalization: `[3][256]`.
pub(super) fn normalized(table: &Table, mean: [f32; 3], std: [f32; 3]) -> [[f32; 256]; 3] {
    // Rounded to f32 after each step and with the reciprocal in f64, as the release's OpenCV calls do.
    std::array::from_fn(|channel| {
        let (mean, scale) = (f64::from(mean[channel]), 1.0 / f64::from(std[channel]));
        table.map(|value| (f64::from((f64::from(value) - mean) as f32) * scale) as f32)
    })
}

/// Writes RGB rows `[height, width, 3]` into `target`, `[3, size, size]`: left and right exchanged if `flip`, normalized
/// by `tables`, and zero where the crop is smaller than `size`.
pub(super) fn write_planar(
    pixels: &[u8],
    width: usize,
    size: usize,
    flip: bool,
    tables: &[[f32; 256]; 3],
    target: &mut [f32],
) {
    let pixels = pixels.as_chunks::<3>().0;
    for (channel, (plane, table)) in target.chunks_exact_mut((size * size).max(1)).zip(tables).enumerate() {
        let mut rows = pixels.chunks_exact(width.max(1));
        for target in plane.chunks_exact_mut(size.max(1)) {
            let row = rows.next().unwrap_or_default();
            let (inside, padding) = target.split_at_mut(row.len().min(size));
            let values = row.iter().map(|pixel| table[usize::from(pixel[channel])]);
            if flip {
                inside
                    .iter_mut()
                    .rev()
                    .zip(values)
                    .for_each(|(target, value)| *target = value);
            } else {
                inside
                    .iter_mut()
                    .zip(values)
                    .for_each(|(target, value)| *target = value);
            }
            padding.fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::photometric::identity;
    use super::*;
    use crate::{IMAGENET_MEAN, IMAGENET_STD};

    #[test]
    fn every_value_equals_the_release() {
        let tables = normalized(&identity(), IMAGENET_MEAN, IMAGENET_STD);
        let mut crc = flate2::Crc::new();
        crc.update(
            &tables
                .as_flattened()
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<_>>(),
        );
        // Of `[3][256]` f32, from `cv2.subtract` and `cv2.multiply` (4.8.1).
        assert_eq!(crc.sum(), 0xBBF7_212B);
    }

    #[test]
    fn planes_are_flipped_and_padded() {
        let tables = [0.0, 100.0, 200.0].map(|offset| std::array::from_fn(|value| value as f32 + offset));
        let pixels = [1, 2, 3, 4, 5, 6];
        let mut target = [9.0; 12];
        write_planar(&pixels, 2, 2, false, &tables, &mut target);
        assert_eq!(
            target,
            [1.0, 4.0, 0.0, 0.0, 102.0, 105.0, 0.0, 0.0, 203.0, 206.0, 0.0, 0.0]
        );
        write_planar(&pixels, 2, 2, true, &tables, &mut target);
        assert_eq!(
            target,
            [4.0, 1.0, 0.0, 0.0, 105.0, 102.0, 0.0, 0.0, 206.0, 203.0, 0.0, 0.0]
        );
        let mut target = [9.0; 27];
        write_planar(&pixels, 1, 3, true, &tables, &mut target);
        assert_eq!(target[..9], [1.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
