//! What is fuzzed: for each format its valid seeds, its words, and the calls that read it.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::hash::{DefaultHasher, Hash, Hasher};

use zegclip_codecs::{JpegDecoder, read_label_matrix};
use zegclip_data::datasets::{ClassMatching, DatasetSpec, Unmatched};
use zegclip_data::evaluation::EvaluationState;
use zegclip_data::metrics::{Confusion, Scores, evaluation_json, markdown_table};
use zegclip_data::{
    ImageLimits, LabelDepth, LabelEncoding, RawLabels, Vocabulary, decode_image, decode_label_png, decode_rgba_image,
    read_npy,
};
use zegclip_text::tokenizer::Tokenizer;
use zegclip_weights::{WeightError, WeightFile};

use crate::repair;
use crate::scratch::Scratch;
use crate::seeds::{images, pickles, texts, weights};

/// A parser and what is needed to fuzz it.
pub struct Target {
    /// Name on the command line and of its folder in `corpus/`.
    pub name: &'static str,
    /// What is read.
    pub about: &'static str,
    /// Valid files.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of the format.
    pub tokens: &'static [&'static [u8]],
    /// Longest input in bytes.
    pub max_length: usize,
    /// Bytes that any input may make the program allocate, besides 64 times its length.
    pub memory: usize,
    /// Corrects checksums and lengths after a change.
    pub repair: fn(&mut Vec<u8>),
    /// Makes what reads inputs.
    pub reader: fn() -> Reader,
}

/// Reads an input and returns a number for how that ended: equal for equal kinds of results and errors.
pub type Reader = Box<dyn Fn(&[u8]) -> u64>;

/// Limits of images in bytes and pixels that keep an input fast; users' limits are larger.
const LIMITS: ImageLimits = ImageLimits {
    max_side: 1024,
    max_pixels: 1 << 16,
    max_bytes: 1 << 20,
};
/// Tensors that are read of each weight file: several may share one storage, so that all could be many times the file.
const TENSORS: usize = 16;

/// What most parsers may allocate for any input.
const MEMORY: usize = 64 << 20;
fn keep(_: &mut Vec<u8>) {}

/// Every target.
pub const TARGETS: [Target; 18] = [
    Target {
        name: "pickle",
        about: "descriptions of `torch.save` files",
        seeds: pickles::state_dicts,
        tokens: &pickles::TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: keep,
        reader: || Box::new(|bytes| weights_of(pickles::state_dict_archive(bytes))),
    },
    Target {
        name: "torch_script",
        about: "descriptions of TorchScript archives",
        seeds: pickles::modules,
        tokens: &pickles::TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: keep,
        reader: || Box::new(|bytes| weights_of(pickles::torch_script_archive(bytes))),
    },
    Target {
        name: "torch_legacy",
        about: "files of `torch.save` before PyTorch 1.6",
        seeds: pickles::legacy_files,
        tokens: &pickles::TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: keep,
        reader: || Box::new(|bytes| weights_of(bytes.to_vec())),
    },
    Target {
        name: "torch_zip",
        about: "zip archives of PyTorch",
        seeds: weights::archives,
        tokens: &[
            b"PK\x01\x02",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"PK\x06\x07",
            b"data.pkl",
            b"byteorder",
            b"a/",
        ],
        max_length: 8192,
        memory: MEMORY,
        repair: |bytes| repair::zip(bytes),
        reader: || Box::new(|bytes| weights_of(bytes.to_vec())),
    },
    Target {
        name: "safetensors",
        about: "safetensors and native files: headers, names, sizes of the model",
        seeds: weights::safetensors_files,
        tokens: &weights::JSON_TOKENS,
        max_length: 8192,
        memory: MEMORY,
        repair: |bytes| repair::safetensors(bytes),
        reader: || Box::new(|bytes| weights_of(bytes.to_vec())),
    },
    Target {
        name: "weight_config",
        about: "`config.json` and `open_clip_config.json` beside weights",
        seeds: weights::configurations,
        tokens: &weights::JSON_TOKENS,
        max_length: 2048,
        memory: MEMORY,
        repair: keep,
        reader: || {
            let scratch = Scratch::new("config");
            let file = scratch.write("model.safetensors", &weights::hugging_face());
            Box::new(move |bytes| {
                scratch.write("config.json", bytes);
                scratch.write("open_clip_config.json", bytes);
                opened(WeightFile::open(&file))
            })
        },
    },
    Target {
        name: "shard_index",
        about: "indices of sharded models",
        seeds: weights::indices,
        tokens: &weights::JSON_TOKENS,
        max_length: 2048,
        memory: MEMORY,
        repair: keep,
        reader: || {
            let scratch = Scratch::new("index");
            scratch.write("shard.safetensors", &weights::hugging_face());
            Box::new(move |bytes| opened(WeightFile::open(&scratch.write("model.safetensors.index.json", bytes))))
        },
    },
    Target {
        name: "jpeg",
        about: "JPEG files, sequential and progressive",
        seeds: images::jpegs,
        tokens: &images::JPEG_TOKENS,
        max_length: 8192,
        memory: MEMORY,
        repair: keep,
        reader: || {
            Box::new(|bytes| {
                let decoded = JpegDecoder::new(bytes).and_then(|decoder| decoder.decode(LIMITS.max_pixels));
                outcome(decoded.map(|image| {
                    assert_eq!(
                        image.pixels.len() as u64,
                        3 * u64::from(image.width) * u64::from(image.height)
                    )
                }))
            })
        },
    },
    Target {
        name: "mat5",
        about: "label matrices in MATLAB 5 files",
        seeds: images::mat5,
        tokens: &images::MAT5_TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: keep,
        reader: || {
            Box::new(|bytes| {
                let paths: [&[&str]; 2] = [&["GTcls", "Segmentation"], &["LabelMap"]];
                // Every eighth input is read as the content of a compressed variable, too.
                let compressed = (bytes.len() % 8 == 0).then(|| images::deflate(bytes));
                let files = std::iter::once(bytes).chain(compressed.as_deref());
                combine(files.flat_map(|file| {
                    paths.map(|path| match read_label_matrix(file, path) {
                        Ok(matrix) => labels(RawLabels::new(matrix.width, matrix.height, matrix.values)),
                        Err(error) => outcome::<()>(Err(error)),
                    })
                }))
            })
        },
    },
    Target {
        name: "npy",
        about: "text features in NumPy's format",
        seeds: images::npy,
        tokens: &images::NPY_TOKENS,
        max_length: 2048,
        memory: MEMORY,
        repair: keep,
        reader: || {
            let scratch = Scratch::new("npy");
            Box::new(move |bytes| outcome(read_npy(&scratch.write("a.npy", bytes)).map(|_| ())))
        },
    },
    Target {
        name: "label_png",
        about: "label files",
        seeds: images::label_pngs,
        tokens: &images::IMAGE_TOKENS,
        max_length: 2048,
        memory: MEMORY,
        repair: |bytes| repair::png(bytes),
        reader: || {
            Box::new(|bytes| {
                let depths = [LabelDepth::Eight, LabelDepth::Sixteen];
                combine(depths.map(|depth| match decode_label_png(bytes, "a", &LIMITS, depth) {
                    Ok(raw) => labels(Ok::<_, WeightError>(raw)),
                    Err(error) => outcome::<()>(Err(error)),
                }))
            })
        },
    },
    Target {
        name: "image",
        about: "PNG, GIF, BMP, TIFF, WebP and JPEG images",
        seeds: images::others,
        tokens: &images::IMAGE_TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: |bytes| {
            if bytes.starts_with(b"\x89PNG") {
                repair::png(bytes);
            }
        },
        reader: || {
            Box::new(|bytes| {
                combine([
                    outcome(decode_image(bytes, "a", &LIMITS).map(|_| ())),
                    outcome(decode_rgba_image(bytes, "a", &LIMITS).map(|_| ())),
                ])
            })
        },
    },
    Target {
        name: "class_list",
        about: "lists of classes, as words and as files",
        seeds: texts::class_lists,
        tokens: &[
            b",",
            b"|",
            b"\n",
            b"#",
            b"\r",
            b"\xef\xbb\xbf",
            b"\xff",
            b"\0",
            b"\xe2\x80\xae",
            b"  ",
            b"\t",
            b"\"",
            b"'",
            b"[",
            b"]",
            b"{",
            b"}",
            b"(",
            b":",
            b"\\u0041",
            b"names",
            b"\"name\"",
            b"\"id\"",
        ],
        max_length: 2048,
        memory: MEMORY,
        repair: keep,
        reader: || {
            let scratch = Scratch::new("list");
            Box::new(move |bytes| {
                let text = String::from_utf8_lossy(bytes);
                let list = scratch.write("list.txt", bytes);
                combine([Vocabulary::from_names(&text), Vocabulary::from_list_file(&list)].map(vocabulary))
            })
        },
    },
    Target {
        name: "vocabulary_toml",
        about: "vocabularies described by TOML",
        seeds: texts::vocabularies,
        tokens: &texts::TOML_TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: keep,
        reader: || Box::new(|bytes| vocabulary(Vocabulary::from_toml_text(&String::from_utf8_lossy(bytes), "a"))),
    },
    Target {
        name: "dataset_toml",
        about: "data sets described by TOML, and tables of classes",
        seeds: texts::datasets,
        tokens: &texts::TOML_TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: keep,
        reader: || {
            let scratch = Scratch::new("dataset");
            let farm = Vocabulary::from_names("cow, sheep, wall-brick, wall").expect("a correct list");
            Box::new(move |bytes| {
                let path = scratch.write("dataset.toml", bytes);
                let spec = DatasetSpec::from_toml(&path).map(|spec| spec.validation_split().len().min(1));
                let matching = ClassMatching::read_table(&path)
                    .and_then(|table| ClassMatching::new(&farm, &farm, &table, &Unmatched::Ignore));
                combine([outcome(spec), outcome(matching.map(|_| ()))])
            })
        },
    },
    Target {
        name: "evaluation_state",
        about: "confusions and states of evaluations",
        seeds: texts::states,
        tokens: &texts::STATE_TOKENS,
        max_length: 4096,
        memory: MEMORY,
        repair: keep,
        reader: || {
            let scratch = Scratch::new("state");
            let identity = BTreeMap::from([("weights".to_owned(), "a".to_owned())]);
            Box::new(move |bytes| {
                let path = scratch.write("state.json", bytes);
                let confusion = Confusion::load(&path).map(|confusion| scored(&confusion));
                let state = EvaluationState::load(&path, &identity).map(|state| {
                    let Some(state) = state else { return };
                    scored(state.confusion());
                    let (worst, best) = state.examples().worst_and_best();
                    for example in worst.iter().chain(&best).take(4) {
                        let _ = example.prediction(state.confusion().classes());
                    }
                });
                combine([outcome(confusion), outcome(state)])
            })
        },
    },
    Target {
        name: "text",
        about: "clean-up of texts",
        seeds: texts::texts,
        tokens: &texts::TEXT_TOKENS,
        max_length: 1024,
        memory: MEMORY,
        repair: keep,
        reader: || {
            Box::new(|bytes| {
                let text = String::from_utf8_lossy(bytes);
                let fixed = zegclip_text::fix_text(&text);
                let unescaped = zegclip_text::unescape(&text);
                hash(&(fixed == text, unescaped == text, fixed.len().ilog2_or_zero()))
            })
        },
    },
    Target {
        name: "tokenizer",
        about: "CLIP's tokenizer",
        seeds: texts::texts,
        tokens: &texts::TEXT_TOKENS,
        max_length: 1024,
        memory: MEMORY,
        repair: keep,
        reader: || {
            Box::new(|bytes| {
                let text = String::from_utf8_lossy(bytes);
                let context = bytes.first().map_or(0, |byte| usize::from(byte % 80));
                let tokens = Tokenizer::clip().encode(&text, context);
                assert!(tokens.ids.len() <= context, "{} ids", tokens.ids.len());
                hash(&(tokens.fits, tokens.ids.len().ilog2_or_zero()))
            })
        },
    },
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

fn weights_of(bytes: Vec<u8>) -> u64 {
    opened(WeightFile::from_bytes("a", bytes))
}

/// All that is done with an open weight file before a model is made of it.
fn opened(file: Result<WeightFile, WeightError>) -> u64 {
    let file = match file {
        Ok(file) => file,
        Err(error) => return outcome::<()>(Err(error)),
    };
    let mut results = vec![hash(&format!("{:?} {:?}", file.format(), file.parts()))];
    results.push(match file.architecture() {
        Ok(sizes) => hash(&(
            sizes.vision.map(|vision| vision.activation as u8),
            sizes.text.map(|text| text.activation as u8),
            sizes.assumed,
        )),
        Err(error) => outcome::<()>(Err(error)),
    });
    _ = file.describe();
    _ = file.not_finite();
    _ = file.watch().check();
    _ = file.classes();
    for name in file.names().take(TENSORS) {
        results.push(outcome(file.tensor_f32(name).map(|(shape, values)| {
            assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}");
        })));
        _ = file.tensor_f16(name);
        _ = file.mapped_f32(name);
    }
    combine(results)
}

fn labels<E: Display>(raw: Result<RawLabels, E>) -> u64 {
    let raw = match raw {
        Ok(raw) => raw,
        Err(error) => return outcome::<()>(Err(error)),
    };
    let decoded = LabelEncoding::identity(20).decode(&raw);
    assert_eq!(decoded.labels.dimensions(), (raw.width(), raw.height()));
    hash(&(decoded.unknown.len().min(4), raw.values().len().ilog2_or_zero()))
}

fn vocabulary<E: Display>(vocabulary: Result<Vocabulary, E>) -> u64 {
    outcome(vocabulary.map(|vocabulary| {
        let text = vocabulary.to_toml();
        let again =
            Vocabulary::from_toml_text(&text, "b").unwrap_or_else(|error| panic!("{error} in its own text:\n{text}"));
        assert!(again.names().eq(vocabulary.names()), "{text}");
        assert_eq!(vocabulary.palette().len(), vocabulary.len());
    }))
}

fn scored(confusion: &Confusion) {
    let scores = Scores::of(confusion);
    _ = evaluation_json(&scores);
    _ = markdown_table(&scores);
    let mut sum = confusion.clone();
    _ = sum.merge(confusion);
}

/// Success, or an error by the words of its message, without what is quoted from the input: texts in quotes, and hexadecimal
/// bytes, which are too short to be words.
fn outcome<T>(result: Result<T, impl Display>) -> u64 {
    let Err(error) = result else { return 1 };
    let message = error.to_string();
    let plain = message.split(['`', '"']).step_by(2);
    let words = plain.flat_map(|text| text.split(|c: char| !c.is_ascii_alphabetic()));
    hash(&words.filter(|word| word.len() > 2).take(12).collect::<Vec<_>>())
}

fn combine(results: impl IntoIterator<Item = u64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    results.into_iter().for_each(|result| result.hash(&mut hasher));
    hasher.finish()
}

fn hash(value: &impl Hash) -> u64 {
    combine([{
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }])
}

/// A coarse measure of a length.
trait Magnitude {
    fn ilog2_or_zero(self) -> u32;
}

impl Magnitude for usize {
    fn ilog2_or_zero(self) -> u32 {
        self.checked_ilog2().map_or(0, |log| log + 1)
    }
}

impl Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}
