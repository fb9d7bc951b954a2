//! The vocabularies that are compiled in, one TOML file each in `assets/vocabularies`.

/// In the order of messages: benchmarks before settings of them.
pub(super) const NAMES: &[&str] = &[
    "voc20",
    "coco171",
    "context59",
    "context60",
    "voc21",
    "coco-object",
    "ade20k",
    "cityscapes",
    "context59-zs10",
    "demo",
    "voc-pictures",
];

pub(super) fn text(name: &str) -> Option<&'static str> {
    Some(match name {
        "voc20" => include_str!("../../assets/vocabularies/voc20.toml"),
        "coco171" => include_str!("../../assets/vocabularies/coco171.toml"),
        "context59" => include_str!("../../assets/vocabularies/context59.toml"),
        "context60" => include_str!("../../assets/vocabularies/context60.toml"),
        "voc21" => include_str!("../../assets/vocabularies/voc21.toml"),
        "coco-object" => include_str!("../../assets/vocabularies/coco-object.toml"),
        "ade20k" => include_str!("../../assets/vocabularies/ade20k.toml"),
        "cityscapes" => include_str!("../../assets/vocabularies/cityscapes.toml"),
        "context59-zs10" => include_str!("../../assets/vocabularies/context59-zs10.toml"),
        "demo" => include_str!("../../assets/vocabularies/demo.toml"),
        "voc-pictures" => include_str!("../../assets/vocabularies/voc-pictures.toml"),
        _ => return None,
    })
}
