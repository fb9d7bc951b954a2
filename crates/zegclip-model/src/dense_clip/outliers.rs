//! Patches whose features are unlike all others, on the host.

/// Indices of anomalous patches, ascending: those whose local outlier factor is above the quantile `1 − share` of all.
///
/// The factor of a patch is the mean over its nearest `neighbors` of κ / κ(neighbor), where κ is the squared distance to the last of
/// the nearest neighbors. Equal distances count in the order of the patches.
///
/// # Shapes
/// - `features`: `[patches, width]`, more patches than `neighbors`
pub fn local_outliers(features: &[f32], patches: usize, neighbors: usize, share: f64) -> Vec<usize> {
    let neighbors = neighbors.min(patches.saturating_sub(1));
    if neighbors == 0 {
        return Vec::new();
    }
    let distances = squared_distances(features, patches);
    let mut nearest: Vec<u32> = Vec::with_capacity(patches * neighbors);
    let mut farthest = Vec::with_capacity(patches);
    let mut order: Vec<u32> = Vec::with_capacity(patches);
    for (patch, row) in distances.chunks_exact(patches).enumerate() {
        let closer = |a: &u32, b: &u32| row[*a as usize].total_cmp(&row[*b as usize]).then(a.cmp(b));
        order.clear();
        order.extend((0..patches as u32).filter(|other| *other as usize != patch));
        let (_, last, _) = order.select_nth_unstable_by(neighbors - 1, closer);
        farthest.push(f64::from(row[*last as usize]));
        nearest.extend_from_slice(&order[..neighbors]);
    }
    let factors: Vec<f64> = nearest
        .chunks_exact(neighbors)
        .zip(&farthest)
        .map(|(nearest, own)| {
            let ratios = nearest.iter().map(|other| own / farthest[*other as usize]);
            ratios.sum::<f64>() / neighbors as f64
        })
        .collect();
    let limit = quantile(&factors, 1.0 - share);
    (0..patches).filter(|patch| factors[*patch] > limit).collect()
}

/// `[patches, patches]`. Differences are taken before squares, so that large features lose nothing.
fn squared_distances(features: &[f32], patches: usize) -> Vec<f32> {
    const LANES: usize = 16;
    let width = features.len() / patches;
    let row = |patch: usize| &features[patch * width..][..width];
    let mut distances = vec![0f32; patches * patches];
    for first in 0..patches {
        for second in 0..first {
            let ((a, a_rest), (b, b_rest)) = (row(first).as_chunks::<LANES>(), row(second).as_chunks::<LANES>());
            let mut lanes = [0f32; LANES];
            for (a, b) in a.iter().zip(b) {
                for lane in 0..LANES {
                    let difference = a[lane] - b[lane];
                    lanes[lane] += difference * difference;
                }
            }
            let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
            let distance = lanes.iter().sum::<f32>() + rest;
            distances[first * patches + second] = distance;
            distances[second * patches + first] = distance;
        }
    }
    distances
}

/// The value below which a share of all values lies, linearly between two of them.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (place - place.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_that_is_far_from_all_others_is_found() {
        // Points on a line, one of them far away.
        let mut features: Vec<f32> = (0..40).map(|place| place as f32).collect();
        features[17] = 400.0;
        assert_eq!(local_outliers(&features, 40, 5, 0.02), [17]);
        assert!(local_outliers(&[1.0], 1, 5, 0.05).is_empty());
        assert!(local_outliers(&[0.5; 24], 12, 3, 0.05).is_empty());
    }

    #[test]
    fn quantiles_are_interpolated() {
        let values = [4.0, 1.0, 3.0, 2.0, 0.0];
        assert_eq!(quantile(&values, 0.5), 2.0);
        assert!((quantile(&values, 0.95) - 3.8).abs() < 1e-12);
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
    }
}
