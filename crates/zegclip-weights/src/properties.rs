//! What shapes do not determine: heads and activations. In this order: the header of a native file, the configuration beside
//! the file, what the format or the width of a published model makes certain, an assumption.

use serde_json::Value as Json;

use crate::{Activation, ArchitectureDefect, Assumed, Format, WeightError, WeightFile, config};

/// Channels of a head of OpenAI's models, and of most others.
const HEAD_WIDTH: usize = 64;
/// Heads of the published decoder, and the width of the features that it takes.
const DECODER: (usize, usize) = (8, 512);

/// Widths and heads of published image encoders: TinyCLIP, ViT-S, M and B, ViT-B-plus, L, SO400M, H, g, bigG and e.
const VISION_HEADS: [(usize, usize); 14] = [
    (192, 3),
    (256, 4),
    (384, 6),
    (512, 8),
    (640, 10),
    (768, 12),
    (896, 14),
    (1024, 16),
    (1152, 16),
    (1280, 16),
    (1408, 16),
    (1664, 16),
    (1792, 16),
    (2048, 16),
];
/// Widths and heads of published text encoders.
const TEXT_HEADS: [(usize, usize); 9] = [
    (192, 3),
    (256, 4),
    (384, 6),
    (512, 8),
    (640, 10),
    (768, 12),
    (1024, 16),
    (1152, 16),
    (1280, 20),
];

/// One of the two encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EncoderPart {
    Vision,
    Text,
}

/// What is known of an encoder beside its shapes.
pub(crate) struct EncoderProperties {
    pub(crate) heads: usize,
    pub(crate) activation: Activation,
}

impl EncoderPart {
    /// The key in headers, and the beginning of those in configurations.
    fn key(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::Text => "text",
        }
    }

    fn assumed_heads(self) -> Assumed {
        match self {
            Self::Vision => Assumed::VisionHeads,
            Self::Text => Assumed::TextHeads,
        }
    }

    fn assumed_activation(self) -> Assumed {
        match self {
            Self::Vision => Assumed::VisionActivation,
            Self::Text => Assumed::TextActivation,
        }
    }

    fn published_heads(self, width: usize) -> Option<usize> {
        let table: &[(usize, usize)] = match self {
            Self::Vision => &VISION_HEADS,
            Self::Text => &TEXT_HEADS,
        };
        table.iter().find(|row| row.0 == width).map(|row| row.1)
    }
}

impl WeightFile {
    /// Heads and activation of an encoder of this width; what nothing states is added to `assumed`.
    pub(crate) fn encoder_properties(
        &self,
        part: EncoderPart,
        width: usize,
        assumed: &mut Vec<Assumed>,
    ) -> Result<EncoderProperties, WeightError> {
        let header = self.header_entry(part.key());
        let beside = self.meta().get(config::KEY).filter(|_| self.format() != Format::Native);
        let beside = beside.and_then(|config| Beside::of(config, part));
        let defect = |source| self.defect(source);
        if let Some(beside) = &beside {
            beside.check_width(width).map_err(defect)?;
        }
        let stated = match header.as_ref().and_then(|header| header.get("heads")?.as_u64()) {
            Some(heads) => usize::try_from(heads).ok(),
            None => beside
                .as_ref()
                .map_or(Ok(None), |beside| beside.heads(width))
                .map_err(defect)?,
        };
        let certain = || {
            let openai = self.format() == Format::OpenAiTorchScript && self.meta().contains_key("input_resolution");
            let openai = openai && width.is_multiple_of(HEAD_WIDTH);
            part.published_heads(width).or(openai.then_some(width / HEAD_WIDTH))
        };
        let heads = self.or_assumed(stated.or_else(certain), part.assumed_heads(), assumed);
        let stated = match &header {
            Some(header) => header
                .get("activation")
                .map(|value| named(&format!("header's `{}.activation`", part.key()), value))
                .transpose(),
            None if self.format() == Format::Mmseg => self
                .meta()
                .get("activation")
                // The published code has no other.
                .map_or(Ok(Activation::QuickGelu), |value| named("`meta.activation`", value))
                .map(Some),
            None => beside.as_ref().map_or(Ok(self.shown_activation()), Beside::activation),
        };
        let activation = self.or_assumed(stated.map_err(defect)?, part.assumed_activation(), assumed);
        Ok(EncoderProperties {
            heads: heads.unwrap_or((width / HEAD_WIDTH).max(1)),
            activation: activation.unwrap_or(Activation::QuickGelu),
        })
    }

    /// Heads of the decoder.
    pub(crate) fn decoder_heads(&self, width: usize, descriptor_width: usize, assumed: &mut Vec<Assumed>) -> usize {
        let (heads, published_width) = DECODER;
        let decoder = self.header_entry("decoder");
        let stated = decoder.as_ref().and_then(|decoder| decoder.get("heads")?.as_u64());
        let stated = stated.and_then(|heads| usize::try_from(heads).ok());
        let certain = (width == published_width).then_some(heads);
        let found = self.or_assumed(stated.or(certain), Assumed::DecoderHeads, assumed);
        let relation = (decoder.is_some() || descriptor_width > width).then_some(());
        self.or_assumed(relation, Assumed::Relation, assumed);
        found.unwrap_or(heads)
    }

    /// `known`, which is an assumption all the same if the header of the file says so.
    fn or_assumed<T>(&self, known: Option<T>, property: Assumed, assumed: &mut Vec<Assumed>) -> Option<T> {
        let recorded = || {
            let text = self.header_text("assumed")?;
            let list = serde_json::from_str::<Vec<Assumed>>(text).ok()?;
            Some(list.contains(&property))
        };
        if known.is_none() || recorded().unwrap_or(false) {
            assumed.push(property);
        }
        known
    }

    fn header_text(&self, key: &str) -> Option<&str> {
        (self.format() == Format::Native)
            .then(|| self.meta().get(key)?.as_str())
            .flatten()
    }

    /// An entry of a native header: one of its own, or a part of the segmentation model.
    fn header_entry(&self, key: &str) -> Option<Json> {
        let parsed = |key: &str| serde_json::from_str::<Json>(self.header_text(key)?).ok();
        parsed(key).or_else(|| parsed("config")?.get(key).cloned())
    }
}

/// The configuration beside a file, as far as it is about one encoder.
struct Beside<'a> {
    part: EncoderPart,
    form: Form<'a>,
}

enum Form<'a> {
    OpenClip { model: &'a Json, encoder: Option<&'a Json> },
    HuggingFace(&'a Json),
}

impl<'a> Beside<'a> {
    fn of(config: &'a Json, part: EncoderPart) -> Option<Self> {
        let key = part.key();
        let form = if let Some(model) = config.get("model_cfg") {
            Form::OpenClip {
                model,
                encoder: model.get(format!("{key}_cfg")),
            }
        } else if let Some(encoder) = config.get(format!("{key}_config")) {
            Form::HuggingFace(encoder)
        } else if config.get("model_type").and_then(Json::as_str) == Some(&format!("clip_{key}_model")) {
            Form::HuggingFace(config)
        } else {
            return None;
        };
        Some(Self { part, form })
    }

    /// Fails if the configuration is that of another model.
    fn check_width(&self, width: usize) -> Result<(), ArchitectureDefect> {
        let (key, stated) = match self.form {
            Form::OpenClip { encoder, .. } => ("width", encoder.and_then(|encoder| encoder.get("width"))),
            Form::HuggingFace(encoder) => ("hidden_size", encoder.get("hidden_size")),
        };
        match stated {
            Some(stated) if size(stated) != Some(width) => Err(ArchitectureDefect::ConfigurationWidth {
                key: format!("{}.{key}", self.encoder_key()),
                stated: stated.to_string(),
                width,
            }),
            _ => Ok(()),
        }
    }

    /// An absent entry of Hugging Face means nothing, since default values may be left out.
    fn heads(&self, width: usize) -> Result<Option<usize>, ArchitectureDefect> {
        let (key, stated) = match self.form {
            Form::OpenClip { encoder, .. } => ("heads", encoder.and_then(|encoder| encoder.get("heads"))),
            Form::HuggingFace(encoder) => ("num_attention_heads", encoder.get("num_attention_heads")),
        };
        let (key, stated, heads) = match (stated, &self.form) {
            (Some(stated), _) => (key, stated.clone(), size(stated)),
            // OpenCLIP's default for the image encoder; its text encoders always state their heads.
            (
                None,
                Form::OpenClip {
                    encoder: Some(encoder), ..
                },
            ) if self.part == EncoderPart::Vision => {
                let head_width = encoder.get("head_width").cloned().unwrap_or(HEAD_WIDTH.into());
                let heads = size(&head_width).and_then(|channels| {
                    let whole = channels > 0 && width.is_multiple_of(channels);
                    whole.then(|| width / channels)
                });
                ("head_width", head_width, heads)
            }
            (None, _) => return Ok(None),
        };
        match heads.filter(|heads| *heads > 0 && width.is_multiple_of(*heads)) {
            Some(heads) => Ok(Some(heads)),
            None => Err(ArchitectureDefect::ConfigurationHeads {
                key: format!("{}.{key}", self.encoder_key()),
                stated: stated.to_string(),
                width,
            }),
        }
    }

    /// `hidden_act` of Hugging Face, by default QuickGELU; `quick_gelu` of OpenCLIP, by default false.
    fn activation(&self) -> Result<Option<Activation>, ArchitectureDefect> {
        match self.form {
            Form::OpenClip { model, .. } => match model.get("quick_gelu") {
                None | Some(Json::Bool(false)) => Ok(Some(Activation::Gelu)),
                Some(Json::Bool(true)) => Ok(Some(Activation::QuickGelu)),
                Some(other) => Err(ArchitectureDefect::Activation {
                    place: "configuration's `model_cfg.quick_gelu`".to_owned(),
                    stated: other.to_string(),
                }),
            },
            Form::HuggingFace(encoder) => encoder
                .get("hidden_act")
                .map_or(Ok(Activation::QuickGelu), |value| {
                    named(&format!("configuration's `{}.hidden_act`", self.encoder_key()), value)
                })
                .map(Some),
        }
    }

    fn encoder_key(&self) -> String {
        let part = self.part.key();
        match self.form {
            Form::OpenClip { .. } => format!("model_cfg.{part}_cfg"),
            Form::HuggingFace(_) => format!("{part}_config"),
        }
    }
}

fn size(value: &Json) -> Option<usize> {
    value.as_u64().and_then(|value| usize::try_from(value).ok())
}

fn named(place: &str, value: &Json) -> Result<Activation, ArchitectureDefect> {
    match value.as_str() {
        Some("quick_gelu") => Ok(Activation::QuickGelu),
        Some("gelu") => Ok(Activation::Gelu),
        _ => Err(ArchitectureDefect::Activation {
            place: place.to_owned(),
            stated: value.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::{Architecture, Dtype, IfExists, OutputTensor, write_native};

    /// A CLIP of one block an encoder, without the tensors that determine nothing, under OpenCLIP's names.
    fn tensors(vision: usize, text: usize, names: [&str; 2]) -> Vec<OutputTensor<'static>> {
        let [image_prefix, text_prefix] = names;
        let shapes = [
            (image_prefix, "conv1.weight", vec![vision, 3, 1, 1]),
            (image_prefix, "positional_embedding", vec![2, vision]),
            (image_prefix, "transformer.resblocks.0.mlp.c_fc.weight", vec![4, 1]),
            (text_prefix, "token_embedding.weight", vec![1, text]),
            (text_prefix, "positional_embedding", vec![1, text]),
            (text_prefix, "transformer.resblocks.0.mlp.c_fc.weight", vec![4, 1]),
        ];
        let tensor = |(prefix, name, shape): (&str, &str, Vec<usize>)| {
            let bytes = vec![0; shape.iter().product()];
            OutputTensor::new(format!("{prefix}{name}"), &shape, Dtype::U8, bytes.into())
        };
        shapes.map(tensor).into()
    }

    /// The architecture of a file with this text beside it.
    fn open_clip(vision: usize, text: usize, beside: Option<(&str, &Json)>) -> Result<Architecture, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        write_native(
            &path,
            &BTreeMap::new(),
            tensors(vision, text, ["visual.", ""]),
            IfExists::Fail,
        )
        .unwrap();
        // The header names no format then.
        let bytes = std::fs::read(&path).unwrap();
        let bytes: Vec<u8> = String::from_utf8(bytes)
            .unwrap()
            .replace("zegclip", "opnclip")
            .into_bytes();
        std::fs::write(&path, bytes).unwrap();
        if let Some((name, config)) = beside {
            std::fs::write(folder.path().join(name), config.to_string()).unwrap();
        }
        let file = WeightFile::open(&path).unwrap();
        assert_eq!(file.format(), Format::OpenClip);
        file.architecture().map_err(|error| error.to_string())
    }

    fn native(metadata: &[(&str, Json)]) -> Architecture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let metadata = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.to_string()))
            .collect();
        write_native(
            &path,
            &metadata,
            tensors(64, 64, ["backbone.", "text_encoder."]),
            IfExists::Fail,
        )
        .unwrap();
        WeightFile::open(&path).unwrap().architecture().unwrap()
    }

    fn heads(architecture: &Architecture) -> [usize; 2] {
        [
            architecture.vision.as_ref().unwrap().heads,
            architecture.text.as_ref().unwrap().heads,
        ]
    }

    fn activations(architecture: &Architecture) -> [Activation; 2] {
        [
            architecture.vision.as_ref().unwrap().activation,
            architecture.text.as_ref().unwrap().activation,
        ]
    }

    const ACTIVATIONS: [Assumed; 2] = [Assumed::VisionActivation, Assumed::TextActivation];

    #[test]
    fn published_widths_have_published_heads() {
        for (width, expected) in [(1280, [16, 20]), (1024, [16, 16]), (768, [12, 12]), (1152, [16, 16])] {
            let found = open_clip(width, width, None).unwrap();
            assert_eq!(heads(&found), expected, "{width}");
            assert_eq!(found.assumed, ACTIVATIONS, "{width}");
        }
        let found = open_clip(960, 32, None).unwrap();
        assert_eq!(heads(&found), [15, 1]);
        let expected = [
            Assumed::VisionHeads,
            Assumed::VisionActivation,
            Assumed::TextHeads,
            Assumed::TextActivation,
        ];
        assert_eq!(found.assumed, expected);
    }

    #[test]
    fn published_heads_divide_their_widths() {
        for (width, heads) in VISION_HEADS.into_iter().chain(TEXT_HEADS) {
            assert_eq!(width % heads, 0, "{width}");
        }
    }

    #[test]
    fn configurations_beside_the_file_are_not_assumptions() {
        let config = json!({"model_cfg": {"vision_cfg": {"width": 1280, "head_width": 128}, "text_cfg": {"heads": 4}}});
        let found = open_clip(1280, 64, Some(("open_clip_config.json", &config))).unwrap();
        assert_eq!((heads(&found), activations(&found)), ([10, 4], [Activation::Gelu; 2]));
        assert_eq!(found.assumed, []);
        // Each encoder has its own.
        let config = json!({
            "vision_config": {"hidden_act": "gelu", "hidden_size": 64, "num_attention_heads": 2},
            "text_config": {"num_attention_heads": 1},
        });
        let found = open_clip(64, 64, Some(("config.json", &config))).unwrap();
        assert_eq!(heads(&found), [2, 1]);
        assert_eq!(activations(&found), [Activation::Gelu, Activation::QuickGelu]);
        assert_eq!(found.assumed, []);
        // Of the text encoder alone.
        let config = json!({"model_type": "clip_text_model", "hidden_act": "gelu", "num_attention_heads": 4});
        let found = open_clip(768, 64, Some(("config.json", &config))).unwrap();
        assert_eq!(heads(&found), [12, 4]);
        assert_eq!(found.assumed, [Assumed::VisionActivation]);
    }

    #[test]
    fn configurations_that_do_not_fit_are_refused() {
        let open_clip_of = |vision: Json, quick_gelu: Json| {
            let config =
                json!({"model_cfg": {"quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": {"heads": 1}}});
            open_clip(64, 64, Some(("open_clip_config.json", &config)))
        };
        let hugging_face_of = |vision: Json| {
            let config = json!({"vision_config": vision});
            open_clip(64, 64, Some(("config.json", &config)))
        };
        for (result, expected) in [
            (
                open_clip_of(json!({"width": 768}), json!(true)),
                "`model_cfg.vision_cfg.width` is 768",
            ),
            (
                open_clip_of(json!({"head_width": 80}), json!(true)),
                "`model_cfg.vision_cfg.head_width` is 80",
            ),
            (
                open_clip_of(json!({"head_width": 0}), json!(true)),
                "`model_cfg.vision_cfg.head_width` is 0",
            ),
            (
                open_clip_of(json!({"heads": 7}), json!(true)),
                "`model_cfg.vision_cfg.heads` is 7",
            ),
            (
                open_clip_of(json!({}), json!("yes")),
                "`model_cfg.quick_gelu` is \"yes\"",
            ),
            (
                hugging_face_of(json!({"hidden_act": "silu"})),
                "`vision_config.hidden_act` is \"silu\"",
            ),
            (
                hugging_face_of(json!({"hidden_act": null})),
                "`vision_config.hidden_act` is null",
            ),
            (
                hugging_face_of(json!({"num_attention_heads": "12"})),
                "`vision_config.num_attention_heads` is \"12\"",
            ),
            (
                hugging_face_of(json!({"hidden_size": 1e9})),
                "`vision_config.hidden_size` is 1000000000.0",
            ),
        ] {
            let message = result.unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn native_headers_remember_what_was_assumed() {
        let encoder = json!({"heads": 2, "activation": "gelu"});
        let stated = native(&[("vision", encoder.clone()), ("text", encoder.clone())]);
        assert_eq!((heads(&stated), activations(&stated)), ([2, 2], [Activation::Gelu; 2]));
        assert_eq!(stated.assumed, []);
        let assumed = json!(["vision.activation", "text.heads"]);
        let marked = native(&[
            ("vision", encoder.clone()),
            ("text", encoder.clone()),
            ("assumed", assumed),
        ]);
        assert_eq!((heads(&marked), activations(&marked)), ([2, 2], [Activation::Gelu; 2]));
        assert_eq!(marked.assumed, [Assumed::VisionActivation, Assumed::TextHeads]);
        let of_model = native(&[("config", json!({"vision": encoder})), ("text", json!({"heads": 1}))]);
        assert_eq!(heads(&of_model), [2, 1]);
        assert_eq!(of_model.assumed, [Assumed::TextActivation]);
        assert_eq!(native(&[]).assumed.len(), 4);
    }
}
