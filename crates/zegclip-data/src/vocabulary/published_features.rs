//! The text features of CLIP ViT-B/16 that the published configurations read, compiled in.

use crate::npy;
use crate::text_features::TextFeatures;

/// The published features of `voc20` (its one template) and `coco171` (the average over its 15), 512 wide; `None` for
/// other vocabularies.
///
/// They are stored as f16 and used as they are, as the release does: rows have length 1 ± 5e-4.
pub fn published_text_features(vocabulary: &str) -> Option<TextFeatures> {
    let file: &[u8] = match vocabulary {
        "voc20" => include_bytes!("../../assets/text_features/voc12_single.npy"),
        "coco171" => include_bytes!("../../assets/text_features/coco_multi.npy"),
        _ => return None,
    };
    npy::parse(file, vocabulary).ok()
}
