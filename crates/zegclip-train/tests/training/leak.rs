//! What labels say of unseen classes reaches no inductive run.

use crate::farm::{Farm, class_at};

const SOFA: u16 = 2;
const IGNORED: u16 = u16::MAX;

/// Ignored or of the unseen class, at random.
fn noise(sample: u32, x: u32, y: u32) -> u16 {
    let hash = (sample + 1).wrapping_mul(0x9e37_79b9) ^ x.wrapping_mul(0x85eb_ca6b) ^ y.wrapping_mul(0xc2b2_ae35);
    if (hash ^ (hash >> 15)).is_multiple_of(3) {
        SOFA
    } else {
        IGNORED
    }
}

#[test]
fn noise_in_unseen_labels_gives_the_identical_model() {
    let farm = Farm::new();
    let (clean, _) = farm.train("clean", &[]);
    let mut changed = 0;
    for sample in 0..5 {
        farm.write_labels(sample, |x, y| match class_at(sample, x, y) {
            SOFA => noise(sample, x, y),
            seen => seen,
        });
        changed += (0..40)
            .flat_map(|y| (0..40).map(move |x| (x, y)))
            .filter(|(x, y)| class_at(sample, *x, *y) == SOFA && noise(sample, *x, *y) != SOFA)
            .count();
    }
    assert!(changed > 500, "{changed}");
    let (noisy, _) = farm.train("noisy", &[]);
    assert!(clean == noisy, "an inductive run depends on labels of unseen classes");
    // The same noise does reach a run that may know these labels.
    let (full_noisy, _) = farm.train("full-noisy", &["setting=full"]);
    for sample in 0..5 {
        farm.write_labels(sample, |x, y| class_at(sample, x, y));
    }
    let (full_clean, _) = farm.train("full-clean", &["setting=full"]);
    assert!(full_clean != full_noisy);
}
