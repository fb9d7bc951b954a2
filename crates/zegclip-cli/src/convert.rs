//! `zegclip convert`

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, json};
use zegclip::Vocabulary;
use zegclip_model::config::MaskActivation;
use zegclip_model::{ModelOverrides, NativeMetadata, expand_token_embedding, text_config, zegclip_config};
use zegclip_weights::{Dtype, Format, IfExists, OutputTensor, WeightFile, write_mmseg, write_native, write_open_clip};

use crate::arguments::{ConvertArguments, PrecisionName};
use crate::failure::Failure;
use crate::segment::model_overrides;
use crate::{hints, output};

pub(crate) fn run(options: &ConvertArguments) -> Result<(), Failure> {
    let extension = options
        .output
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let to_mmseg = match extension.as_str() {
        "safetensors" => false,
        "pth" | "pt" => true,
        _ => {
            return Err(Failure::usage(format!(
                "`{}` ends neither in `.safetensors` nor in `.pth`",
                options.output.display()
            ))
            .hint(hints::NAME_EXTENSION));
        }
    };
    let vocabulary = options
        .vocabulary
        .as_deref()
        .map(Vocabulary::from_name_or_file)
        .transpose()
        .map_err(Failure::usage)?;
    let overrides = options
        .model_config
        .as_deref()
        .map(model_overrides)
        .transpose()?
        .unwrap_or_default();
    let input = WeightFile::open(&options.input)?;
    let clip = options.clip.as_deref().map(WeightFile::open).transpose()?;
    let if_exists = if options.overwrite {
        IfExists::Replace
    } else {
        IfExists::Fail
    };
    let dtype = options.precision.map(|precision| match precision {
        PrecisionName::F32 => Dtype::F32,
        PrecisionName::F16 => Dtype::F16,
    });
    let metadata = metadata(&input, clip.as_ref(), &overrides, vocabulary)?;
    let mut tensors = tensors(&input, clip.as_ref(), dtype)?;
    let parts = input.parts();
    let plain_clip = !parts.decode_head && parts.image_encoder && parts.text_encoder;
    if to_mmseg && !plain_clip {
        // The published module has no temperature.
        tensors.retain(|tensor| tensor.name() != "logit_scale");
    }
    let count = tensors.len();
    if to_mmseg {
        // Other programs expect the complete token embedding.
        let text = [Some(&input), clip.as_ref()]
            .into_iter()
            .flatten()
            .find(|file| file.parts().text_encoder);
        if let Some((file, config)) = text.zip(metadata.text.as_ref())
            && let Some(embedding) = expand_token_embedding(file, config, dtype)?
        {
            tensors.retain(|tensor| tensor.name() != embedding.name());
            tensors.push(embedding);
        }
    }
    if to_mmseg && plain_clip {
        write_open_clip(&options.output, tensors, if_exists)?;
    } else if to_mmseg {
        export(options, &input, &metadata, tensors, if_exists)?;
    } else {
        let mut header = metadata.to_header();
        if let Some(classes) = class_names(&input, &metadata)? {
            header.insert("classes".to_owned(), json!(classes).to_string());
        }
        write_native(&options.output, &header, tensors, if_exists)?;
    }
    output::line(format!(
        "{}: {count} tensors from {}",
        options.output.display(),
        input.format()
    ))
}

fn metadata(
    input: &WeightFile,
    clip: Option<&WeightFile>,
    overrides: &ModelOverrides,
    vocabulary: Option<Vocabulary>,
) -> Result<NativeMetadata, Failure> {
    let mut metadata = NativeMetadata::read(input)?.unwrap_or_default();
    if input.parts().decode_head {
        metadata.config = Some(zegclip_config(input, clip, overrides)?);
    }
    let text = [Some(input), clip]
        .into_iter()
        .flatten()
        .find(|file| file.parts().text_encoder);
    if let Some(file) = text {
        metadata.text = Some(text_config(file, overrides)?.0);
    }
    if let Some(vocabulary) = vocabulary {
        metadata.vocabulary = Some(vocabulary.to_toml());
    }
    if metadata.provenance.is_none() {
        let name = |file: &WeightFile| {
            let name = file
                .path()
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            format!("{name} ({})", file.format())
        };
        let sources: Vec<String> = [Some(input), clip].into_iter().flatten().map(name).collect();
        metadata.provenance = Some(format!("converted from {}", sources.join(" and ")));
    }
    Ok(metadata)
}

/// The tensors of the input, and those of CLIP's file for encoders that the input lacks.
fn tensors<'a>(
    input: &'a WeightFile,
    clip: Option<&'a WeightFile>,
    dtype: Option<Dtype>,
) -> Result<Vec<OutputTensor<'a>>, Failure> {
    let mut names: BTreeMap<&str, &WeightFile> = BTreeMap::new();
    if let Some(clip) = clip {
        let parts = input.parts();
        let wanted = |name: &&str| {
            (name.starts_with("backbone.") && !parts.image_encoder)
                || (name.starts_with("text_encoder.") && !parts.text_encoder)
                || *name == "logit_scale"
        };
        names.extend(clip.names().filter(wanted).map(|name| (name, clip)));
    }
    // Tensors that the published forward pass does not read are dropped, and recreated on export.
    let read = |name: &&str| !is_unread(name);
    names.extend(input.names().filter(read).map(|name| (name, input)));
    names
        .into_iter()
        .map(|(name, file)| file.output(name, dtype).map_err(Failure::from))
        .collect()
}

fn is_unread(name: &str) -> bool {
    name.starts_with("decode_head.")
        && (name.contains(".self_attn.") || name.contains(".norm1.") || name.ends_with("empty_weight"))
}

fn class_names(input: &WeightFile, metadata: &NativeMetadata) -> Result<Option<Vec<String>>, Failure> {
    Ok(match &metadata.vocabulary {
        Some(text) => Some(
            Vocabulary::from_toml_text(text, "the vocabulary")?
                .names()
                .map(str::to_owned)
                .collect(),
        ),
        None => input.classes().map(<[String]>::to_vec),
    })
}

/// Writes a checkpoint of the published code, with the unread tensors of its modules, so that it loads strictly.
fn export(
    options: &ConvertArguments,
    input: &WeightFile,
    metadata: &NativeMetadata,
    mut tensors: Vec<OutputTensor<'_>>,
    if_exists: IfExists,
) -> Result<(), Failure> {
    let Some(config) = &metadata.config else {
        return Err(Failure::failed(format!(
            "`{}` contains neither a trained decoder nor both encoders of CLIP; PyTorch code cannot use it",
            input.path().display()
        ))
        .hint(hints::TO_SAFETENSORS));
    };
    if config.mask_activation == MaskActivation::Softmax {
        tracing::warn!(
            "`{}` was trained with cross-entropy and needs a softmax over the classes; the published code takes σ of each \
             mask and gives different labels",
            input.path().display()
        );
    }
    let width = config.embed_dim;
    let mut constant = |name: String, shape: &[usize], value: f32| {
        let values = vec![value; shape.iter().product()];
        tensors.push(OutputTensor::from_f32(name, shape, Cow::Owned(values), Dtype::F32));
    };
    for layer in 0..config.decoder.layers {
        let prefix = format!("decode_head.decoder_1.layers.{layer}");
        constant(format!("{prefix}.self_attn.in_proj_weight"), &[3 * width, width], 0.0);
        constant(format!("{prefix}.self_attn.in_proj_bias"), &[3 * width], 0.0);
        constant(format!("{prefix}.self_attn.out_proj.weight"), &[width, width], 0.0);
        constant(format!("{prefix}.self_attn.out_proj.bias"), &[width], 0.0);
        constant(format!("{prefix}.norm1.weight"), &[width], 1.0);
        constant(format!("{prefix}.norm1.bias"), &[width], 0.0);
    }
    let classes = class_names(input, metadata)?.unwrap_or_default();
    let seen = match &metadata.vocabulary {
        Some(text) => Vocabulary::from_toml_text(text, "the vocabulary")?.seen().seen_count(),
        None => classes.len(),
    };
    constant(
        "decode_head.loss_decode.criterion.empty_weight".to_owned(),
        &[seen + 1],
        1.0,
    );
    let mut meta = Map::new();
    if let Some(provenance) = &metadata.provenance {
        meta.insert("provenance".to_owned(), json!(provenance));
    }
    if input.format() == Format::Mmseg {
        meta.extend(input.meta().clone());
    }
    write_mmseg(&options.output, &meta, &classes, &tensors, if_exists)?;
    Ok(())
}
