//! The names under which training-free methods were scored, one text file each in `assets/class_names`.

use super::Class;

/// The names of a benchmark's classes in a release: of the lists of `sclip`, `clearclip` or `maskclip`, for `voc20`, `voc21`, `context59`,
/// `context60`, `coco-object`, `coco-stuff`, `ade20k` or `cityscapes`. Releases without a list of their own use SCLIP's. Empty for
/// other names.
///
/// A name may occur in two classes, as `bed` does in SCLIP's list of COCO-Object; then the first class wins.
pub fn published_class_names(release: &str, benchmark: &str) -> Vec<Class> {
    let own = text(release, benchmark).or_else(|| text("sclip", benchmark));
    own.unwrap_or_default().lines().map(Class::parse).collect()
}

fn text(release: &str, benchmark: &str) -> Option<&'static str> {
    Some(match (release, benchmark) {
        ("sclip", "voc20") => include_str!("../../assets/class_names/sclip-voc20.txt"),
        ("sclip", "voc21") => include_str!("../../assets/class_names/sclip-voc21.txt"),
        ("sclip", "context59") => include_str!("../../assets/class_names/sclip-context59.txt"),
        ("sclip", "context60") => include_str!("../../assets/class_names/sclip-context60.txt"),
        ("sclip", "coco-object") => include_str!("../../assets/class_names/sclip-coco-object.txt"),
        ("sclip", "coco-stuff") => include_str!("../../assets/class_names/sclip-coco-stuff.txt"),
        ("sclip", "ade20k") => include_str!("../../assets/class_names/sclip-ade20k.txt"),
        ("sclip", "cityscapes") => include_str!("../../assets/class_names/sclip-cityscapes.txt"),
        ("clearclip", "voc20") => include_str!("../../assets/class_names/clearclip-voc20.txt"),
        ("clearclip", "voc21") => include_str!("../../assets/class_names/clearclip-voc21.txt"),
        ("clearclip", "coco-object") => include_str!("../../assets/class_names/clearclip-coco-object.txt"),
        ("maskclip", "voc20") => include_str!("../../assets/class_names/maskclip-voc20.txt"),
        ("maskclip", "context59") => include_str!("../../assets/class_names/maskclip-context59.txt"),
        ("maskclip", "coco-stuff") => include_str!("../../assets/class_names/maskclip-coco-stuff.txt"),
        ("maskclip", "ade20k") => include_str!("../../assets/class_names/maskclip-ade20k.txt"),
        ("maskclip", "cityscapes") => include_str!("../../assets/class_names/maskclip-cityscapes.txt"),
        _ => return None,
    })
}
