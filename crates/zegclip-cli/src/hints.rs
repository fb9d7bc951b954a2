//! What to do about an error: every `hint:` line of the program.

use std::error::Error;
use std::path::Path;

use zegclip_codecs::Mat5Error;
use zegclip_data::datasets::DatasetError;
use zegclip_data::evaluation::EvaluationError;
use zegclip_data::{DataError, ListProblem, ThreadFailed};
use zegclip_model::device::DeviceError;
use zegclip_model::{ModelError, ModelPart};
use zegclip_scenes::SceneError;
use zegclip_train::TrainError;
use zegclip_weights::{ArchitectureDefect, Dtype, ForeignFile, PickleError, Unsupported, WeightError};

use crate::shell::quoted;

pub(crate) const CHOOSE_OUTPUT: &str =
    "choose another folder with `--output`, or replace the results with `--overwrite`";
pub(crate) const CHOOSE_FILE: &str = "choose another name, or replace the file with `--overwrite`";
pub(crate) const CHOOSE_CHART: &str = "choose another file with `--chart`";
pub(crate) const CHOOSE_EXPORT: &str = "choose another file with `--output`";
pub(crate) const CHOOSE_EXPORTED_FILE: &str = "choose another file name";
pub(crate) const FEWER_THREADS: &str =
    "allow more threads (`ulimit -u`, or the limit of the container), or ask for fewer with `RAYON_NUM_THREADS=1`";
pub(crate) const BACKGROUND_CLASSES: &str = "repeat `--background-class` for each class";
pub(crate) const NAMES_NOT_FILE: &str =
    "list the names themselves; a TOML of a vocabulary states them as `seen`, and `--vocabulary` reads it";
pub(crate) const SINGLE_CLASS: &str =
    "name a second class, or leave pixels of low scores without a label: `--min-score 0.5`";
pub(crate) const LIST_CLASSES: &str = "list the classes with `--classes`, or name a class list with `--vocabulary`";
pub(crate) const NAME_CHECKPOINT: &str = "a checkpoint is `best`, `half-way`, `latest`, an iteration, or a folder";
pub(crate) const NAME_DATASET: &str = "name one with `--dataset NAME=DIR`, or as `dataset` in the TOML";
pub(crate) const EXPORT_FORMAT: &str =
    "exports are native files, `NAME.safetensors`; `zegclip convert` makes a `.pth` of one";
pub(crate) const OTHER_CLASSES: &str = "name the classes of those results, or another folder with `--output`";
pub(crate) const NAME_EXTENSION: &str = "`.safetensors` is a native file, `.pth` a checkpoint of the published code";
pub(crate) const NAME_LABELS: &str = "name them with `--labels DIR --vocabulary NAME`, or with `--dataset NAME=DIR`";
pub(crate) const NAME_PREDICTIONS: &str =
    "name label maps with `--predictions DIR`, or the shards of an evaluation with `--merge FILE…`";
pub(crate) const NAME_RUN: &str = "start a run with `CONFIG`, or resume one with `--resume RUN`";
pub(crate) const NAME_WEIGHTS: &str = "name a trained model with `--weights FILE`";
pub(crate) const DEVICE_TWICE: &str = "name each device once in `--device`";
pub(crate) const OUTPUT_OF_RESUMED: &str = "leave out `--output`, which is for new runs and exports";
pub(crate) const ONE_BY_ONE: &str = "segment them separately, with different `--output` folders";
pub(crate) const REPORT_BUG: &str = "this is a bug in zegclip; please report it with the lines above";
pub(crate) const RESTORE_CONFIG: &str = "restore the file from a copy, or start a new run";
pub(crate) const TO_SAFETENSORS: &str = "convert to `.safetensors`, which stores any part of a model";
pub(crate) const PATTERN: &str =
    "a pattern has `*`, `?`, `[abc]` and `**`, but no braces: write `photos/*` for several endings";
pub(crate) const NO_MATCH: &str =
    "check the folder and the ending; hidden files match only where the pattern writes the dot";
pub(crate) const IMAGE_EXTENSIONS: &str = "images in a folder are recognized by their extension: \
     jpg, jpeg, jfif, png, webp, bmp, tif, tiff or gif";

const CONFIGURATION_BESIDE: &str =
    "put the model's configuration (`config.json` or `open_clip_config.json`) beside the weights";

/// How to state what is assumed of a model that is used. `keys` are those of `--model-config`.
pub(crate) fn state(keys: &[&str]) -> String {
    format!(
        "state {} in the file of `--model-config`, or {CONFIGURATION_BESIDE}",
        in_words(keys)
    )
}

/// How to state what is assumed of the CLIP that a model is trained on.
pub(crate) fn state_before_training(keys: &[&str]) -> String {
    format!(
        "{CONFIGURATION_BESIDE}, or train on a native file that `zegclip convert --model-config` writes, with {} stated",
        in_words(keys)
    )
}

fn in_words(keys: &[&str]) -> String {
    let keys = keys.iter().map(|key| match *key {
        "activation" => "`activation = \"gelu\"` or `\"quick_gelu\"`".to_owned(),
        key => format!("`{key}`"),
    });
    keys.collect::<Vec<_>>().join(", ")
}

/// The command that resumes an interrupted run.
pub(crate) fn resume(command: &str) -> String {
    format!("resume with `{command}`")
}

/// The command that a run belongs to.
pub(crate) fn other_command(command: &str, run: &Path) -> String {
    format!(
        "name it to that command: `zegclip {command} --resume {}`",
        quoted(run.as_os_str())
    )
}

/// What is done of a list of images, and the command that does the others.
pub(crate) fn remaining_images(command: &str) -> String {
    format!("images with a `.json` are done; `{command}` does the others")
}

/// The command that resumes a run from a checkpoint, once the reason of its end is gone.
pub(crate) fn resume_from(iteration: u64, command: &str) -> String {
    format!("the checkpoint of iteration {iteration} is complete; once the cause is removed, resume with `{command}`")
}

/// An error with a fix.
pub(crate) trait Explain: Error {
    /// What the user can do, as an imperative.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Whether the command line is at fault.
    fn is_usage(&self) -> bool {
        false
    }
}

#[cfg(feature = "hub")]
impl Explain for zegclip_hub::HubError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Name { .. } => some(
                "OpenAI's files are `clip:ViT-B-16` and so on, others `hf:ORG/REPO[@REVISION][:FILE]`; a path may begin with `./`",
            ),
            Self::NoCacheFolder => some("set ZEGCLIP_CACHE to a folder"),
            Self::Offline { path, .. } => Some(format!(
                "allow the download, or put the file from that address to `{}`",
                path.display()
            )),
            Self::Status { status: 401 | 403, .. } => {
                some("set HF_TOKEN to a token of an account that may read this repository")
            }
            Self::Status { status: 404, .. } => some("check the name, the revision and the file"),
            Self::Connection { path, .. } | Self::Stalled { path, .. } | Self::Status { path, .. } => Some(format!(
                "check the network (proxies: HTTPS_PROXY), run the command again to continue, or put the file from that address to `{}`",
                path.display()
            )),
            Self::Checksum { .. } => {
                some("remove the file and fetch it again; if it stays, the server or a proxy alters it")
            }
            Self::NoFile { .. } => some("name the file: `hf:ORG/REPO:FILE`"),
            Self::Interrupted { .. } => some("run the command again to continue the download"),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Name { .. })
    }
}

impl Explain for serde_json::Error {}
impl Explain for ThreadFailed {
    fn hint(&self) -> Option<String> {
        some(REPORT_BUG)
    }
}

impl Explain for DataError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotText { .. } => some("save the file as UTF-8"),
            Self::NoClasses { .. } => some("name at least one class, as in `cat, dog, grass`"),
            Self::EmptyClassName { .. } => some("remove a separator, or add the name"),
            Self::DuplicateClass { .. } => some("remove one of the two names"),
            Self::ClassName { .. } => some(
                "write names without brackets and quotation marks, as in `cat, dog`; `--vocabulary FILE` reads JSON",
            ),
            Self::ListFile { problem, .. } => some(for_list_file(problem)),
            Self::UnknownVocabulary { .. } => some(
                "name a built-in vocabulary, or the path of a file; `zegclip segment` takes the names themselves with \
                 `--classes`",
            ),
            Self::ImageEmpty { .. } => some("replace the file, or leave it out"),
            Self::ImageTooLarge { .. } => some("reduce the size of the image"),
            Self::Io { action: "start", .. } => some(FEWER_THREADS),
            Self::Io {
                action: "read", source, ..
            } if source.to_string().ends_with("a pipe, not a file") => some("`-` reads an image from stdin"),
            Self::ImageFormat { .. } => some("convert the image to PNG, JPEG, WebP, BMP, TIFF or GIF"),
            Self::LabelFile { .. } => {
                some("label files are 8-bit gray or palette PNGs whose pixel values are class numbers")
            }
            Self::Npy { .. } => some(
                "text features are a matrix `[classes, width]`, written by `numpy.save(path, \
                 numpy.ascontiguousarray(features, dtype=\"float32\"))`",
            ),
            Self::ConfusionFile { .. } => some("confusion files are written by `zegclip eval`"),
            _ => None,
        }
    }

    /// A list or TOML that cannot be meant.
    fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Toml { .. }
                | Self::UnknownKey { .. }
                | Self::NoClasses { .. }
                | Self::EmptyClassName { .. }
                | Self::DuplicateClass { .. }
                | Self::TooManyClasses { .. }
                | Self::UnknownClass { .. }
                | Self::UnknownVocabulary { .. }
                | Self::Template { .. }
                | Self::PaletteLength { .. }
                | Self::ClassName { .. }
                | Self::ListFile { .. }
        )
    }
}

/// What to do with a list file.
fn for_list_file(problem: &ListProblem) -> &'static str {
    match problem {
        ListProblem::Literal { .. } | ListProblem::Item { .. } | ListProblem::NoListOfNames { .. } => {
            "write one name a line, or JSON such as `[\"cat\", \"dog\"]`, `{\"0\": \"cat\"}` or `[{\"id\": 0, \"name\": \"cat\"}]`"
        }
        ListProblem::Columns { .. } | ListProblem::ColumnCount { .. } => {
            "write one name a line, or a table whose first line is `id,name`"
        }
        ListProblem::NoNumber { .. } | ListProblem::NumberTwice { .. } | ListProblem::Number { .. } => {
            "give every name a number of its own, as in `0: cat`, or none"
        }
        ListProblem::NameTwice { .. } => "remove one of the two lines",
        ListProblem::EmptyName => "remove a separator, or add the name",
        _ => "write one class name a line",
    }
}

impl Explain for DatasetError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint(),
            Self::Computed(error) => error.downcast_ref().and_then(SceneError::hint),
            Self::Thread(error) => error.hint(),
            Self::Spec { .. } | Self::UnknownDataset { .. } => {
                some("a data set is NAME=DIR with one of the known names, or the path of a TOML that describes one")
            }
            Self::Incomplete { .. } => some("`zegclip dataset check` lists everything that is missing"),
            Self::Mat5 {
                source: Mat5Error::Hdf5,
                ..
            } => some("save the file again in MATLAB with `-v7`"),
            Self::SameName { .. } => some("narrow the pattern"),
            Self::NoMatch { has_braces: true, .. } => some(PATTERN),
            Self::NoMatch { .. } => some("paths and patterns begin in the folder of the TOML"),
            Self::UnknownSplit { .. } => some("choose one of these with `--split`, or as `data.split` of a training"),
            Self::UnknownValues { interpolated: true, .. } => {
                some("scale and turn masks with nearest neighbor, and save them as PNG")
            }
            Self::UnknownValue { .. } | Self::UnknownValues { .. } => some(
                "add the classes to the list, or the values to `labels = { ignore = […] }`; `zegclip dataset check` lists all \
                 such files",
            ),
            Self::Unmatched { .. } => {
                some("map the class with `--table`, or ignore such classes with `--unmatched ignore`")
            }
            Self::NoPrediction { .. } => some("a prediction has the name of its image, as `zegclip segment` writes it"),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        match self {
            Self::Spec { .. }
            | Self::UnknownDataset { .. }
            | Self::UnknownSplit { .. }
            | Self::Unmatched { .. }
            | Self::Glob { .. } => true,
            Self::Data(error) => error.is_usage(),
            _ => false,
        }
    }
}

impl Explain for EvaluationError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Dataset(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Thread(error) => error.hint(),
            Self::StateFile { .. } => some("start again with `--overwrite`"),
            Self::StateMismatch { .. } => some(
                "resume with the options of that evaluation, choose another folder with `--output`, or start again with \
                 `--overwrite`",
            ),
            Self::Finished { .. } => some(CHOOSE_OUTPUT),
            Self::InUse { .. } => some("wait until the other process ends, or choose another folder with `--output`"),
            Self::Merge { source, .. } => source.hint(),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        match self {
            Self::Finished { .. } | Self::NamedTwice { .. } | Self::Shard { .. } => true,
            Self::Dataset(error) => error.is_usage(),
            Self::Data(error) => error.is_usage(),
            _ => false,
        }
    }
}

impl Explain for SceneError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint(),
            Self::NoList { .. } => some("a folder of pictures has `pictures.json`, and PNG files at `STYLE/NAME.png`"),
            Self::GroundName { .. } => some("give the picture another name"),
            Self::NoPicture { .. } => some("`zegclip scenes` without `--vocabulary` draws every picture"),
            Self::FolderExists { .. } => some("name a new folder"),
            Self::NoArtist { .. } => some("name the artists with `--artists`"),
            Self::NoEmbeddedPictures => some("name a folder of pictures"),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::FolderExists { .. }
                | Self::NoArtist { .. }
                | Self::NoList { .. }
                | Self::NoPicture { .. }
                | Self::Setting { .. }
                | Self::UnknownArtist { .. }
        )
    }
}

impl Explain for WeightError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => some(CHOOSE_FILE),
            Self::NotAFile { .. } => {
                some("name a weight file, the index of a sharded model, or a folder that contains either")
            }
            Self::NoModelInFolder { .. } => some("name the weight file itself"),
            Self::Empty { .. } | Self::Damaged { .. } | Self::Checksum { .. } | Self::Safetensors { .. } => {
                some("download or copy the file again")
            }
            Self::MissingShard { .. } => some("download all files of the model into one folder"),
            Self::MissingInShard { .. } => some("download index and shards of the same model"),
            Self::NotWeights { found, .. } => for_foreign_file(found),
            Self::Unsupported { source, .. } => for_unsupported(source),
            Self::NotFinite { .. } => some("use weights of before a number overflowed in training"),
            Self::OutOfRange { dtype, .. } if *dtype != Dtype::F32 => some("use `--precision f32`"),
            Self::Changed { .. } => {
                some("run the command again; `--no-mmap` reads weights completely, so that they may change")
            }
            Self::Duplicate { .. } => some("save one copy of the weights in a file of its own"),
            Self::Architecture {
                source:
                    ArchitectureDefect::Activation { .. }
                    | ArchitectureDefect::ConfigurationHeads { .. }
                    | ArchitectureDefect::ConfigurationWidth { .. },
                ..
            } => some("put the weights beside their own configuration, or into a folder without one"),
            Self::Pickle {
                source: PickleError::Forbidden { .. },
                ..
            } => some("use a file that contains only the state dict, from a source you trust"),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }
}

/// What to do with a file of another kind.
fn for_foreign_file(found: &ForeignFile) -> Option<String> {
    match found {
        ForeignFile::GitLfsPointer => some("fetch the file itself with `git lfs pull`"),
        ForeignFile::WebPage | ForeignFile::Xml => some("download the file again, not the page that links to it"),
        ForeignFile::NumpyArray
        | ForeignFile::Png
        | ForeignFile::Jpeg
        | ForeignFile::Gif
        | ForeignFile::Riff
        | ForeignFile::Pdf
        | ForeignFile::Text => some("name a weight file"),
        ForeignFile::Gzip | ForeignFile::SevenZip | ForeignFile::Xz | ForeignFile::Zip | ForeignFile::NumpyArchive => {
            some("if it contains weights, unpack it first")
        }
        ForeignFile::Gguf | ForeignFile::Hdf5 => some("use the original PyTorch or safetensors file"),
        ForeignFile::Onnx => some("use the PyTorch or safetensors file that it was exported from"),
        ForeignFile::Tar => some("load it and save it again with a newer PyTorch, or unpack it first"),
        ForeignFile::Zeros => some("download or copy the file again; the disk may have been full"),
        ForeignFile::Json => some("name the index of a sharded model by its own path"),
        ForeignFile::Pickle => some("load it in Python and save the state dict with `torch.save` or as safetensors"),
        _ => None,
    }
}

/// What to do with weights in a form that is not read.
fn for_unsupported(form: &Unsupported) -> Option<String> {
    match form {
        Unsupported::BigEndian => some("save the weights again on a little-endian machine"),
        Unsupported::Encrypted => some("unpack the file, and save the weights without a password"),
        Unsupported::Compressed(_) | Unsupported::OldTorchScript | Unsupported::LegacyVersion => {
            some("load the weights and save them again with a newer PyTorch")
        }
        _ => None,
    }
}

impl Explain for DeviceError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotBuilt { feature, available, .. } => Some(format!(
                "build zegclip with `--features {feature}`, or use one of: {available}"
            )),
            Self::NoAdapter { available, .. } | Self::Refused { available, .. } => {
                Some(format!("use one of: {available}"))
            }
            Self::UnknownName(_) => some("`zegclip devices` lists the devices of this machine"),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        matches!(self, Self::UnknownName(_))
    }
}

impl Explain for ModelError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Weights(error) => error.hint(),
            Self::Device(error) => error.hint(),
            Self::Shape { .. } => some("use weights and configuration of the same model"),
            Self::MissingPart { part, .. } => some(match part {
                ModelPart::TextEncoder => NAME_TEXT_SOURCE,
                ModelPart::Decoder => {
                    "name a trained ZegCLIP model with `--weights`, and CLIP's own weights with `--clip`"
                }
                _ => "name CLIP's own weights with `--clip`",
            }),
            Self::NameTooLong { .. } => some("shorten the name"),
            Self::TooFewPatches { .. } => some("choose a larger `--window`, or another `--method`"),
            Self::Header { .. } | Self::UnsortedVocabulary { .. } => {
                some("the file is of another version of zegclip: convert the original weights again")
            }
            Self::ImageSize { .. } | Self::LargeImageSize { .. } | Self::Stride { .. } => {
                some("set `image_size` and `stride` in the file of `--model-config`")
            }
            Self::FeatureWidth { .. } => some("use the CLIP that the decoder was trained on"),
            Self::Heads { part, .. } => Some(format!("set `{}` in the file of `--model-config`", part.heads_key())),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        match self {
            Self::Weights(error) => error.is_usage(),
            Self::Device(error) => error.is_usage(),
            _ => false,
        }
    }
}

const NAME_TEXT_SOURCE: &str = "name CLIP's own weights with `--clip`, text features with `--text-features`, or a \
     vocabulary with published text features: `--vocabulary voc20` or `coco171`";

impl Explain for zegclip::Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Model(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Dataset(error) => error.hint(),
            #[cfg(feature = "demo")]
            Self::Scenes(error) => error.hint(),
            Self::Evaluation(error) => error.hint(),
            Self::ResultExists { .. } => some(CHOOSE_OUTPUT),
            Self::FolderInUse { .. } => {
                some("wait until the other process ends, or choose another folder with `--output`")
            }
            Self::OutputFormat { .. } => some(NAME_EXTENSION),
            Self::NotExportable { .. } => some(TO_SAFETENSORS),
            Self::NoWeights => some(NAME_WEIGHTS),
            Self::NoF16 { .. } => some("use `--precision f32`, or another device"),
            Self::NoTextEncoder { .. } => some(NAME_TEXT_SOURCE),
            Self::OfImage { source, .. } => source.hint(),
            Self::Proportions { short, limit, .. } => Some(format!(
                "cut the image into pieces of at most {}:1",
                limit / (*short).max(1)
            )),
            Self::Execution { .. } => some("reduce `--batch`, or use `--device cpu`"),
            Self::NotPlainClip { .. } => some("choose a method on plain CLIP, such as `--method sc-clip`"),
            Self::DenseSetting { .. } => some("a stride is at most the side of a window, and a whole image has none"),
            Self::NotFinite => some("use weights of before a number overflowed in training, or `--precision f32`"),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        match self {
            Self::NoWeights | Self::ResultExists { .. } | Self::OutputFormat { .. } => true,
            Self::NotPlainClip { .. } | Self::DenseSetting { .. } => true,
            Self::Model(ModelError::TooFewPatches { .. }) => true,
            Self::Model(error) => error.is_usage(),
            Self::Data(error) => error.is_usage(),
            Self::Dataset(error) => error.is_usage(),
            Self::Evaluation(error) => error.is_usage(),
            Self::OfImage { source, .. } => source.is_usage(),
            #[cfg(feature = "demo")]
            Self::Scenes(error) => error.is_usage(),
            _ => false,
        }
    }
}

impl Explain for TrainError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Dataset(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Model(error) => error.hint(),
            Self::Weights(error) => error.hint(),
            Self::Scenes(error) => error.hint(),
            Self::Segmentation(error) => error.hint(),
            Self::NoSeenClass { .. } => some("mark classes as seen, or set `setting = \"full\"`"),
            Self::NoPublishedTextFeatures { .. } | Self::TextFeatureWidth { .. } => {
                some("set `model.published_text_features = false`, so that CLIP's text encoder is used")
            }
            Self::NoTextEncoder { .. } => {
                some("name CLIP's complete weights in `model.clip`, or set `model.published_text_features = true`")
            }
            Self::InvalidPair { .. } | Self::NoCaption { .. } | Self::NoPairs { .. } => {
                some("each line of the list is `{\"image\": PATH, \"captions\": [TEXT, …]}`")
            }
            Self::NoPairNames { .. } => some("add `\"names\": [\"cat\", …]` to the lines, or set `loss.patches = 0`"),
            Self::UnsupportedPrecision { .. } => some("set `model.frozen_precision = \"f32\"`, or use another device"),
            Self::InvalidOverride { .. } => some("an override is `--set key=value`, as `--set schedule.warmup=0`"),
            Self::Value { key, .. } => match key.as_str() {
                "data.dataset" => some("name one with `--set data.dataset=NAME=DIR`, or the path of a TOML"),
                "data.source" => some("`scenes`, or the path of a JSONL file of images and captions"),
                "model.clip" => some("name weights with `--set model.clip=FILE`, or sizes in `[model.untrained_clip]`"),
                "model.prompts.count" => some("`model.prompts.form = \"none\"` trains without prompts"),
                "model.kept_tokens" => some("remove the key, and the tokens of the captions are collected"),
                _ => None,
            },
            Self::LoaderThread(error) => error.hint(),
            Self::Thread { .. } => some(FEWER_THREADS),
            Self::DamagedCheckpoint { intact, .. } => some(match intact {
                Some(_) => {
                    "move the damaged checkpoint out of the run's folder; `--resume` then continues from the intact one"
                }
                None => "name another checkpoint, or move the damaged one out of the run's folder",
            }),
            Self::Device(_) => some("resume from the last checkpoint with more micro-batches, or on another device"),
            Self::NotFinite { samples, .. } => {
                let lower_rate = "start a new run with a lower learning rate: `--set optimizer.lr=…`";
                Some(if samples.is_empty() {
                    lower_rate.to_owned()
                } else {
                    format!("check the samples `{}`, or {lower_rate}", samples.join("`, `"))
                })
            }
            Self::GradientNotFinite { .. } => some("use a lower learning rate"),
            Self::RunInUse { .. } => some("wait until the other process ends, or use another run"),
            Self::OldCheckpoint { .. } => {
                some("finish the run with the version of zegclip that started it, or start a new run")
            }
            Self::ChangedInput { .. } => some("restore the former input, or start a new run"),
            Self::RunExists { path } => Some(format!(
                "resume it with `--resume {}`, or choose another folder with `--output`",
                quoted(path.as_os_str())
            )),
            Self::OtherConfig { .. } => some("resume with the recorded value, or start a new run"),
            Self::NoRun { .. } => some("`--resume` takes the folder of a run"),
            _ => None,
        }
    }

    fn is_usage(&self) -> bool {
        match self {
            Self::Scenes(error) => error.is_usage(),
            Self::Dataset(error) => error.is_usage(),
            Self::Data(error) => error.is_usage(),
            Self::Model(error) => error.is_usage(),
            Self::Weights(error) => error.is_usage(),
            Self::RunExists { .. } => true,
            error => error.is_configuration_error(),
        }
    }
}

fn some(hint: &str) -> Option<String> {
    Some(hint.to_owned())
}
