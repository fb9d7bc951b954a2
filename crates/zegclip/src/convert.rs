//! Weight files from one format to another.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};
use zegclip_data::Vocabulary;
use zegclip_foundation::{AtomicFile, remove_leftovers};
use zegclip_model::config::{Activation, MaskActivation};
use zegclip_model::{
    Assumption, ModelOverrides, ModelPart, NativeMetadata, assumptions, expand_token_embedding, text_config,
    vision_config, zegclip_config,
};
use zegclip_weights::{
    Dtype, Format, IfExists, OutputTensor, WeightError, WeightFile, write_mmseg, write_native, write_open_clip,
};

use crate::builder::warn_without_effect;
use crate::{Error, Precision};

/// Converts weights of any known format to a native file (`.safetensors`), to a checkpoint of the authors' code (`.pth`), or,
/// if they are of plain CLIP, to a state dict of OpenCLIP (`.pth`).
///
/// ```no_run
/// use zegclip::{Conversion, Precision, Vocabulary};
///
/// let converted = Conversion::new("iter_20000.pth", "zegclip-voc.safetensors")
///     .clip("ViT-B-16.pt")
///     .vocabulary(Vocabulary::built_in("voc20")?)
///     .precision(Precision::F16)
///     .run()?;
/// println!("{} tensors", converted.tensors);
/// # Ok::<(), zegclip::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Conversion {
    input: PathBuf,
    output: PathBuf,
    clip: Option<PathBuf>,
    vocabulary: Option<Vocabulary>,
    overrides: ModelOverrides,
    precision: Option<Precision>,
    overwrite: bool,
}

/// What was converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// Tensors of the input that the output has, without those that only other programs need.
    pub tensors: usize,
    /// Format of the input.
    pub format: Format,
    /// What is assumed of the model, because neither the input nor the given configuration states it. A native file remembers
    /// that it was assumed.
    pub assumptions: Vec<Assumption>,
}

impl Conversion {
    /// The weights in `input`, written to `output`, whose extension states the format. An existing file is kept.
    pub fn new(input: impl AsRef<Path>, output: impl AsRef<Path>) -> Self {
        Self {
            input: input.as_ref().to_owned(),
            output: output.as_ref().to_owned(),
            clip: None,
            vocabulary: None,
            overrides: ModelOverrides::default(),
            precision: None,
            overwrite: false,
        }
    }

    /// CLIP's own weights, for the encoders that the input lacks.
    #[must_use]
    pub fn clip(mut self, path: impl AsRef<Path>) -> Self {
        self.clip = Some(path.as_ref().to_owned());
        self
    }

    /// The class list that a native file stores.
    #[must_use]
    pub fn vocabulary(mut self, vocabulary: Vocabulary) -> Self {
        self.vocabulary = Some(vocabulary);
        self
    }

    /// What the weights do not state, or state wrongly.
    #[must_use]
    pub fn model_overrides(mut self, overrides: ModelOverrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Type of the stored numbers; that of the input by default.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Whether an existing output is replaced.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Checks that the extension of the output states a format and that the output can be written, before files are read, and removes
    /// unfinished files of killed processes beside it.
    ///
    /// # Errors
    /// [`Error::OutputFormat`]; [`Error::Model`] for an output that exists or cannot be written.
    pub fn check(&self) -> Result<(), Error> {
        self.is_for_pytorch()?;
        let folder = self.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        remove_leftovers(folder.unwrap_or(Path::new(".")));
        let output = AtomicFile::create(&self.output, self.if_exists()).map(drop);
        output.map_err(|source| {
            let path = self.output.clone();
            Error::from(match source.kind() {
                std::io::ErrorKind::AlreadyExists => WeightError::Exists { path },
                _ => WeightError::Write { path, source },
            })
        })
    }

    fn if_exists(&self) -> IfExists {
        if self.overwrite {
            IfExists::Replace
        } else {
            IfExists::Fail
        }
    }

    /// Converts.
    ///
    /// # Errors
    /// [`Error::OutputFormat`]; [`Error::NotExportable`] for weights that PyTorch code cannot use; [`Error::Model`] for files that
    /// cannot be read or written, an existing output included.
    pub fn run(self) -> Result<Converted, Error> {
        let for_pytorch = self.is_for_pytorch()?;
        let input = WeightFile::open(&self.input)?;
        let clip = self.clip.as_deref().map(WeightFile::open).transpose()?;
        let if_exists = self.if_exists();
        let dtype = self.precision.map(|precision| match precision {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
        });
        let (metadata, assumptions) = metadata(&input, clip.as_ref(), &self.overrides, self.vocabulary)?;
        let mut tensors = tensors(&input, clip.as_ref(), dtype)?;
        let parts = input.parts();
        let plain_clip = !parts.decode_head && parts.image_encoder && parts.text_encoder;
        if for_pytorch && !plain_clip {
            // The published module has no temperature.
            tensors.retain(|tensor| tensor.name() != "logit_scale");
        }
        let converted = Converted {
            tensors: tensors.len(),
            format: input.format(),
            assumptions,
        };
        if for_pytorch {
            // Other programs expect the complete token embedding.
            let text = [Some(&input), clip.as_ref()]
                .into_iter()
                .flatten()
                .find(|file| file.parts().text_encoder);
            if let Some((file, config)) = text.zip(metadata.text.as_ref())
                && let Some(complete) = expand_token_embedding(file, config, dtype)?
            {
                tensors.retain(|tensor| tensor.name() != complete.name());
                tensors.push(complete);
            }
        }
        if for_pytorch && plain_clip {
            write_open_clip(&self.output, tensors, if_exists)?;
            warn_of_lost_properties(&self.output, &metadata)?;
        } else if for_pytorch {
            export(&self.output, &input, &metadata, tensors, if_exists)?;
        } else {
            let mut header = metadata.to_header();
            if let Some(classes) = class_names(&input, &metadata)? {
                header.insert("classes".to_owned(), json!(classes).to_string());
            }
            write_native(&self.output, &header, tensors, if_exists)?;
        }
        Ok(converted)
    }

    fn is_for_pytorch(&self) -> Result<bool, Error> {
        let extension = self.output.extension().unwrap_or_default();
        match extension.to_string_lossy().to_lowercase().as_str() {
            "safetensors" => Ok(false),
            "pth" | "pt" => Ok(true),
            _ => Err(Error::OutputFormat {
                path: self.output.clone(),
            }),
        }
    }
}

fn metadata(
    input: &WeightFile,
    clip: Option<&WeightFile>,
    overrides: &ModelOverrides,
    vocabulary: Option<Vocabulary>,
) -> Result<(NativeMetadata, Vec<Assumption>), Error> {
    let mut metadata = NativeMetadata::read(input)?.unwrap_or_default();
    let parts = input.parts();
    let mut assumed = Vec::new();
    if parts.decode_head {
        metadata.config = Some(zegclip_config(input, clip, overrides)?);
        let encoder = clip.filter(|_| !parts.image_encoder).unwrap_or(input);
        assumed.extend(assumptions(encoder, ModelPart::ImageEncoder, overrides)?);
        assumed.extend(assumptions(input, ModelPart::Decoder, overrides)?);
    } else if parts.image_encoder {
        let unused = [overrides.of_windows(), overrides.of_decoder()].concat();
        warn_without_effect(&unused, "the weights have no decoder");
        metadata.vision = Some(vision_config(input, overrides)?.0);
        assumed.extend(assumptions(input, ModelPart::ImageEncoder, overrides)?);
    }
    let text = [Some(input), clip]
        .into_iter()
        .flatten()
        .find(|file| file.parts().text_encoder);
    if let Some(file) = text {
        metadata.text = Some(text_config(file, overrides)?.0);
        assumed.extend(assumptions(file, ModelPart::TextEncoder, overrides)?);
    }
    metadata.assumed = assumed.iter().map(|assumption| assumption.property).collect();
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
    Ok((metadata, assumed))
}

/// Says what a state dict, which has no header, does not tell its readers.
fn warn_of_lost_properties(output: &Path, metadata: &NativeMetadata) -> Result<(), Error> {
    let written = WeightFile::open(output)?;
    let default = ModelOverrides::default();
    let (vision, text) = (vision_config(&written, &default)?.0, text_config(&written, &default)?.0);
    let mut lost = Vec::new();
    if let Some(stated) = metadata.vision.as_ref() {
        lost.extend((stated.activation != vision.activation).then(|| format!("activation {}", stated.activation)));
        lost.extend((stated.heads != vision.heads).then(|| format!("{} heads of the image encoder", stated.heads)));
    }
    if let Some(stated) = metadata.text.as_ref() {
        lost.extend((stated.heads != text.heads).then(|| format!("{} heads of the text encoder", stated.heads)));
    }
    if !lost.is_empty() {
        tracing::warn!(
            "`{}` cannot state what the model needs: {}",
            output.display(),
            lost.join(", ")
        );
    }
    Ok(())
}

/// The tensors of the input, and those of CLIP's file for encoders that the input lacks.
fn tensors<'a>(
    input: &'a WeightFile,
    clip: Option<&'a WeightFile>,
    dtype: Option<Dtype>,
) -> Result<Vec<OutputTensor<'a>>, Error> {
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
        .map(|(name, file)| file.output(name, dtype).map_err(Error::from))
        .collect()
}

fn is_unread(name: &str) -> bool {
    name.starts_with("decode_head.")
        && (name.contains(".self_attn.") || name.contains(".norm1.") || name.ends_with("empty_weight"))
}

fn class_names(input: &WeightFile, metadata: &NativeMetadata) -> Result<Option<Vec<String>>, Error> {
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
    output: &Path,
    input: &WeightFile,
    metadata: &NativeMetadata,
    mut tensors: Vec<OutputTensor<'_>>,
    if_exists: IfExists,
) -> Result<(), Error> {
    let Some(config) = &metadata.config else {
        return Err(Error::NotExportable {
            path: input.path().to_owned(),
        });
    };
    if config.mask_activation == MaskActivation::Softmax {
        tracing::warn!(
            "`{}` was trained with cross-entropy and needs a softmax over the classes; the published code takes σ of each \
             mask and gives different labels",
            input.path().display()
        );
    }
    if config.vision.activation == Activation::Gelu {
        tracing::warn!(
            "the encoder of `{}` has the activation GELU; the published code computes QuickGELU and gives different labels",
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
    if config.vision.activation == Activation::Gelu {
        meta.insert("activation".to_owned(), json!("gelu"));
    }
    write_mmseg(output, &meta, &classes, &tensors, if_exists)?;
    Ok(())
}
