//! Weights: values that are not finite, unstated activations and heads, prefixes of wrappers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::{Map, Value, json};
use test_support::recordings;
use zegclip_weights::{Dtype, IfExists, OutputTensor, WeightFile, write_mmseg, write_native, write_open_clip};

use crate::program::data::Farm;
use crate::program::{Outcome, asset, zegclip};

/// A tensor: name, shape and values.
pub(crate) type Tensor = (String, Vec<usize>, Vec<f32>);

/// The heads of the recorded CLIP, which no width determines.
const HEADS: &str = "vision_heads = 1\ntext_heads = 2\n";
/// What no tensor of the example model determines.
const SIZES: &str = "vision_heads = 4\ntext_heads = 2\ndecoder_heads = 8\nimage_size = 64\nstride = 53\n";

/// Compared bit-exactly, and not printed.
#[derive(PartialEq)]
struct Scores(Vec<u8>);

impl std::fmt::Debug for Scores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of scores", self.0.len())
    }
}

/// A folder of inputs and results.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().expect("a folder"));
        let image = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(4 * x) as u8, (3 * y) as u8, (x * y) as u8]));
        image.save(bench.path("photo.png")).expect("an image");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::create_dir_all(self.path(name).parent().expect("a folder")).expect("a folder");
        std::fs::write(self.path(name), contents).expect("a file");
        self.text(name)
    }

    /// `segment` of the image with scores, into the folder `output`.
    fn segment(&self, weights: &str, output: &str, arguments: &[&str]) -> Outcome {
        let (photo, output) = (self.text("photo.png"), self.text(output));
        let shared = [
            "segment",
            &photo,
            "--weights",
            weights,
            "--classes",
            "cat, dog",
            "--scores",
            "--device",
            "cpu",
            "--output",
            &output,
        ];
        zegclip(&[&shared[..], arguments].concat())
    }

    /// The scores in the folder of a run.
    fn scores(&self, output: &str) -> Scores {
        let path = self.path(output).join("photo.scores.safetensors");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        Scores(file.tensor("scores").expect("scores").data().to_vec())
    }

    /// The description in the folder of a run.
    fn report(&self, output: &str) -> Value {
        let text = std::fs::read_to_string(self.path(output).join("photo.json")).expect("a description");
        serde_json::from_str(&text).expect("JSON")
    }

    fn convert(&self, input: &str, output: &str, arguments: &[&str]) -> Outcome {
        zegclip(&[&["convert", input, &self.text(output)], arguments].concat())
    }
}

fn inspect(file: &str) -> Outcome {
    let outcome = zegclip(&["inspect", file]);
    outcome.check(0, &[]);
    outcome
}

fn inspect_json(file: &str) -> Value {
    let outcome = zegclip(&["inspect", file, "--json"]);
    outcome.check(0, &[]);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

fn recorded(name: &str) -> String {
    recordings().join("clip-formats").join(name).display().to_string()
}

/// The tensors of a file under canonical names.
fn tensors(path: &str) -> Vec<Tensor> {
    let file = WeightFile::open(Path::new(path)).expect("weights");
    let read = |name: &str| {
        let (shape, values) = file.tensor_f32(name).expect("a tensor");
        (name.to_owned(), shape, values)
    };
    file.names().map(read).collect()
}

/// The tensors of the example model, one value of one of them replaced.
fn changed(path: &str, tensor: &str, value: f32) -> Vec<Tensor> {
    let mut tensors = tensors(path);
    let (_, _, values) = tensors
        .iter_mut()
        .find(|(name, ..)| name == tensor)
        .expect("the tensor");
    values[3] = value;
    tensors
}

/// As bytes, which are written unchecked.
pub(crate) fn outputs(tensors: &[Tensor], dtype: Dtype, rename: impl Fn(&str) -> String) -> Vec<OutputTensor<'static>> {
    let output = |(name, shape, values): &Tensor| {
        let bytes = dtype.encode_f32(values).expect("a float type");
        OutputTensor::new(rename(name), shape, dtype, bytes.into())
    };
    tensors.iter().map(output).collect()
}

fn mmseg(path: &Path, tensors: &[Tensor], rename: impl Fn(&str) -> String) {
    let tensors = outputs(tensors, Dtype::F32, rename);
    write_mmseg(path, &Map::new(), &["cat".to_owned()], &tensors, IfExists::Replace).expect("a checkpoint");
}

/// The header of the example model, or of the changed one.
fn native(path: &Path, tensors: &[Tensor], change: impl FnOnce(&mut BTreeMap<String, String>)) {
    let file = WeightFile::open(Path::new(&asset("example/random-weights.safetensors"))).expect("the example");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut header = file
        .meta()
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
        .collect();
    change(&mut header);
    write_native(
        path,
        &header,
        outputs(tensors, Dtype::F32, str::to_owned),
        IfExists::Replace,
    )
    .expect("a native file");
}

fn example() -> String {
    asset("example/random-weights.safetensors")
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let bench = Bench::new();
    let sizes = bench.file("sizes.toml", SIZES);
    for (tensor, value, shown) in [
        ("decode_head.q_proj.weight", f32::NAN, "NaN"),
        ("backbone.transformer.resblocks.2.mlp.c_fc.weight", f32::INFINITY, "inf"),
        (
            "text_encoder.transformer.resblocks.1.attn.in_proj_bias",
            f32::NEG_INFINITY,
            "-inf",
        ),
        ("text_encoder.token_embedding.weight", f32::NAN, "NaN"),
        ("backbone.prompt_embeddings", f32::NAN, "NaN"),
    ] {
        let tensors = changed(&example(), tensor, value);
        let (checkpoint, file) = (bench.text("nan.pth"), bench.text("nan.safetensors"));
        mmseg(Path::new(&checkpoint), &tensors, str::to_owned);
        native(Path::new(&file), &tensors, |_| {});
        let words = [tensor, shown, "1 of", "not finite"];
        let config = ["--model-config", sizes.as_str()];
        bench
            .segment(&checkpoint, "out", &config)
            .check(1, &[&words[..], &["nan.pth"]].concat());
        for more in [&[][..], &["--no-mmap"]] {
            bench
                .segment(&file, "out", more)
                .check(1, &[&words[..], &["nan.safetensors"]].concat());
        }
        assert!(!bench.path("out/photo.json").exists());
        bench.convert(&checkpoint, "kept.safetensors", &config).check(1, &words);
        bench
            .convert(&file, "kept.pth", &["--precision", "f16"])
            .check(1, &words);
        assert!(!bench.path("kept.safetensors").exists() && !bench.path("kept.pth").exists());
        for file in [&checkpoint, &file] {
            let stdout = inspect(file).stdout;
            let line = stdout
                .lines()
                .find(|line| line.starts_with("not finite"))
                .expect("a line");
            assert!(line.contains(tensor) && line.contains(shown), "{line}");
            assert!(stdout.contains("tensors"), "{stdout}");
            let found = &inspect_json(file)["not_finite"][0];
            assert_eq!(
                (&found["tensor"], &found["first"], &found["count"]),
                (&json!(tensor), &json!(shown), &json!(1))
            );
        }
    }
    assert_eq!(inspect_json(&example())["not_finite"], json!([]));
}

#[test]
fn evaluation_and_training_refuse_weights_that_are_not_finite() {
    let (bench, farm) = (Bench::new(), Farm::new());
    let tensor = "decode_head.decoder_1.layers.0.linear1.weight";
    let file = bench.text("nan.safetensors");
    native(Path::new(&file), &changed(&example(), tensor, f32::NAN), |_| {});
    let (data, output) = (farm.toml(), bench.text("eval"));
    zegclip(&[
        "eval",
        "--dataset",
        &data,
        "--weights",
        &file,
        "--device",
        "cpu",
        "--output",
        &output,
    ])
    .check(1, &[tensor, "NaN", "not finite"]);
    assert!(!bench.path("eval/evaluation.json").exists());

    let clip = bench.text("clip.safetensors");
    let tensor = "text_encoder.ln_final.weight";
    write_native(
        Path::new(&clip),
        &BTreeMap::new(),
        outputs(
            &changed(&recorded("open_clip_model.safetensors"), tensor, f32::NAN),
            Dtype::F32,
            str::to_owned,
        ),
        IfExists::Fail,
    )
    .expect("a native file");
    // Decoder and relation of the example.
    let config = "iterations = 1\nbatch_size = 2\n[model]\nimage_size = 64\nstride = 53\n[model.prompts]\nblocks = 1\n\
        [model.decoder]\nlayers = 3\nheads = 8\nffn_ratio = 4\n[data.pipeline]\ncrop_size = 64\n[schedule]\nwarmup = 1\n";
    let config = bench.file("run.toml", config);
    let train = |set: &str, run: &str| {
        let (dataset, run) = (format!("data.dataset={data}"), bench.text(run));
        zegclip(&[
            "train", &config, "--set", &dataset, "--set", set, "--output", &run, "--device", "cpu",
        ])
    };
    train(&format!("model.clip={clip}"), "of-clip").check(1, &[tensor, "NaN", "clip.safetensors"]);
    assert!(!bench.path("of-clip").exists());
}

#[test]
fn conversion_refuses_values_that_the_type_cannot_hold() {
    let bench = Bench::new();
    let sizes = bench.file("sizes.toml", SIZES);
    let tensor = "decode_head.q_proj.weight";
    let config = ["--model-config", sizes.as_str()];
    let half = ["--precision", "f16", "--model-config", sizes.as_str()];
    for (value, shown) in [
        (1e6, Some("1000000")),
        (-65_520.0, Some("-65520")),
        (65_504.0, None),
        (1e-30, None),
    ] {
        let checkpoint = bench.text("large.pth");
        mmseg(
            Path::new(&checkpoint),
            &changed(&example(), tensor, value),
            str::to_owned,
        );
        for output in ["large.safetensors", "large_again.pth"] {
            let outcome = bench.convert(&checkpoint, output, &half);
            match shown {
                Some(shown) => {
                    outcome.check(1, &[tensor, shown, "f16", "1 of"]);
                    assert!(!bench.path(output).exists());
                }
                None => {
                    outcome.check(0, &[]);
                    assert_eq!(inspect_json(&bench.text(output))["not_finite"], json!([]));
                    std::fs::remove_file(bench.path(output)).expect("the output");
                }
            }
        }
        bench.convert(&checkpoint, "single.safetensors", &config).check(0, &[]);
        std::fs::remove_file(bench.path("single.safetensors")).expect("the output");
        bench
            .segment(&checkpoint, "out", &[&config[..], &["--overwrite"]].concat())
            .check(0, &[]);
    }
}

/// The recorded CLIP as OpenCLIP's state dict, alone in a folder.
fn open_clip_alone(bench: &Bench, folder: &str) -> String {
    let path = bench.file(&format!("{folder}/open_clip_pytorch_model.bin"), "");
    let tensors = tensors(&recorded("open_clip_model.safetensors"));
    write_open_clip(
        Path::new(&path),
        outputs(&tensors, Dtype::F16, str::to_owned),
        IfExists::Replace,
    )
    .expect("weights");
    bench.text(folder)
}

fn open_clip_config(quick_gelu: bool) -> String {
    let mut config = json!({"model_cfg": {"embed_dim": 24, "vision_cfg": {"image_size": 64, "layers": 3, "width": 64,
        "patch_size": 16}, "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}}});
    if quick_gelu {
        config["model_cfg"]["quick_gelu"] = json!(true);
    }
    config.to_string()
}

const MASKCLIP: [&str; 2] = ["--method", "maskclip"];

#[test]
fn an_assumed_activation_is_said_and_can_be_stated() {
    let bench = Bench::new();
    let (alone, configured) = (open_clip_alone(&bench, "alone"), open_clip_alone(&bench, "configured"));
    bench.file("configured/open_clip_config.json", open_clip_config(false));
    let heads = bench.file("heads.toml", HEADS);
    let gelu = bench.file("gelu.toml", format!("{HEADS}activation = \"gelu\"\n"));
    let quick = bench.file("quick.toml", format!("{HEADS}activation = \"quick_gelu\"\n"));
    let run = |weights: &str, output: &str, more: &[&str]| {
        let outcome = bench.segment(weights, output, &[&MASKCLIP[..], more].concat());
        outcome.check(0, &[]);
        outcome
    };
    let assumed = run(&alone, "assumed", &["--model-config", &heads]);
    for word in [
        "alone",
        "activation",
        "quick_gelu",
        "assumed",
        "--model-config",
        "\"gelu\"",
    ] {
        assert!(assumed.stderr.contains(word), "`{word}` is not in: {}", assumed.stderr);
    }
    assert_eq!(assumed.stderr.matches("assumed").count(), 1, "{}", assumed.stderr);
    assert!(!assumed.stderr.contains("heads"), "{}", assumed.stderr);
    let assumptions = bench.report("assumed")["assumptions"].clone();
    assert_eq!(assumptions[0]["property"], "vision.activation");
    assert_eq!(assumptions[0]["value"], "quick_gelu");

    for (output, weights, more) in [
        ("configured_out", &configured, &[][..]),
        ("stated", &alone, &["--model-config", &gelu]),
        ("quick_stated", &alone, &["--model-config", &quick]),
    ] {
        let outcome = run(weights, output, more);
        assert!(!outcome.stderr.contains("assumed"), "{}", outcome.stderr);
        assert!(bench.report(output).get("assumptions").is_none());
    }
    assert_eq!(bench.scores("stated"), bench.scores("configured_out"));
    assert_eq!(bench.scores("quick_stated"), bench.scores("assumed"));
    assert_ne!(bench.scores("stated"), bench.scores("assumed"));
    // The option takes precedence over the configuration.
    run(&configured, "overruled", &["--model-config", &quick]);
    assert_eq!(bench.scores("overruled"), bench.scores("assumed"));

    assert!(inspect(&alone).stdout.contains("activation quick_gelu (assumed)"));
    let stdout = inspect(&configured).stdout;
    assert!(
        stdout.contains("activation gelu") && !stdout.contains("assumed"),
        "{stdout}"
    );
    let architecture = &inspect_json(&alone)["architecture"];
    assert_eq!(architecture["vision"]["activation"], "quick_gelu");
    let listed = architecture["assumed"].as_array().expect("a list");
    assert!(listed.contains(&json!("vision.activation")) && listed.contains(&json!("text.activation")));
    assert_eq!(inspect_json(&configured)["architecture"]["assumed"], json!([]));
}

#[test]
fn an_evaluation_records_what_is_assumed() {
    let (bench, farm) = (Bench::new(), Farm::new());
    let (alone, configured) = (open_clip_alone(&bench, "alone"), open_clip_alone(&bench, "configured"));
    bench.file("configured/open_clip_config.json", open_clip_config(true));
    let data = farm.toml();
    let run = |weights: &str, output: &str| {
        let output = bench.text(output);
        let outcome = zegclip(&[
            "eval",
            "--dataset",
            &data,
            "--weights",
            weights,
            "--method",
            "maskclip",
            "--device",
            "cpu",
            "--output",
            &output,
            "--json",
        ]);
        outcome.check(0, &[]);
        let written = std::fs::read_to_string(Path::new(&output).join("evaluation.json")).expect("a result");
        let written: Value = serde_json::from_str(&written).expect("JSON");
        let printed: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!(written, printed);
        (outcome, written)
    };
    let (outcome, json) = run(&alone, "alone_out");
    let facts = json["assumptions"].to_string();
    for text in [&outcome.stderr, &facts] {
        assert!(
            text.contains("quick_gelu is assumed") && text.contains("64 channels a head"),
            "{text}"
        );
    }
    let (outcome, json) = run(&configured, "configured_out");
    assert!(
        !outcome.stderr.contains("assumed") && json.get("assumptions").is_none(),
        "{}",
        outcome.stderr
    );
}

#[test]
fn conversion_keeps_what_was_stated_and_what_was_assumed() {
    let bench = Bench::new();
    let (alone, configured) = (open_clip_alone(&bench, "alone"), open_clip_alone(&bench, "configured"));
    bench.file("configured/open_clip_config.json", open_clip_config(false));
    bench
        .convert(&alone, "assumed.safetensors", &[])
        .check(0, &["quick_gelu is assumed", "--model-config"]);
    bench.convert(&configured, "stated.safetensors", &[]).check(0, &[]);
    let gelu = bench.file("gelu.toml", "vision_heads = 1\ntext_heads = 2\nactivation = \"gelu\"\n");
    bench
        .convert(&alone, "by_option.safetensors", &["--model-config", &gelu])
        .check(0, &[]);
    let header = |name: &str| inspect_json(&bench.text(name))["meta"].clone();
    assert!(
        header("assumed.safetensors")["assumed"]
            .as_str()
            .expect("a list")
            .contains("vision.activation")
    );
    for name in ["stated.safetensors", "by_option.safetensors"] {
        assert!(header(name).get("assumed").is_none());
        assert!(header(name)["vision"].as_str().expect("sizes").contains("\"gelu\""));
        assert!(header(name)["text"].as_str().expect("sizes").contains("\"gelu\""));
    }
    // The converted files are used as the originals are.
    let run = |weights: &str, output: &str| {
        let outcome = bench.segment(weights, output, &MASKCLIP);
        outcome.check(0, &[]);
        outcome.stderr.contains("assumed")
    };
    assert!(run(&alone, "1") && run(&bench.text("assumed.safetensors"), "2"));
    assert!(!run(&configured, "3") && !run(&bench.text("stated.safetensors"), "4"));
    assert_eq!(bench.scores("1"), bench.scores("2"));
    assert_eq!(bench.scores("3"), bench.scores("4"));
    assert!(
        inspect(&bench.text("assumed.safetensors"))
            .stdout
            .contains("activation quick_gelu (assumed)")
    );
    // From native to native, and made a fact by an option.
    bench
        .convert(&bench.text("assumed.safetensors"), "again.safetensors", &[])
        .check(0, &["is assumed"]);
    assert_eq!(
        header("again.safetensors")["assumed"],
        header("assumed.safetensors")["assumed"]
    );
    bench
        .convert(
            &bench.text("assumed.safetensors"),
            "fixed.safetensors",
            &["--model-config", &gelu],
        )
        .check(0, &[]);
    assert!(header("fixed.safetensors").get("assumed").is_none());
    run(&bench.text("fixed.safetensors"), "5");
    assert_eq!(bench.scores("5"), bench.scores("3"));
}

#[test]
fn published_formats_leave_no_activation_open() {
    let archive = inspect_json(&recorded("ViT-tiny.pt"));
    let assumed = archive["architecture"]["assumed"].to_string();
    assert!(!assumed.contains("activation"), "{assumed}");
    let bench = Bench::new();
    let checkpoint = bench.text("checkpoint.pth");
    mmseg(Path::new(&checkpoint), &tensors(&example()), str::to_owned);
    let sizes = bench.file("sizes.toml", SIZES);
    let outcome = bench.segment(&checkpoint, "out", &["--model-config", &sizes]);
    outcome.check(0, &[]);
    assert!(!outcome.stderr.contains("assumed"), "{}", outcome.stderr);
    // A model of ours states everything; so does the demo model.
    for file in [example(), asset("example/random-weights-no-text.safetensors")] {
        assert_eq!(inspect_json(&file)["architecture"]["assumed"], json!([]));
    }
}

#[test]
fn configurations_beside_weights_that_do_not_fit_are_refused() {
    let bench = Bench::new();
    for (config, words) in [
        (
            json!({"model_cfg": {"vision_cfg": {"width": 768}}}),
            &["vision_cfg.width", "768", "64"][..],
        ),
        (
            json!({"model_cfg": {"vision_cfg": {"head_width": 80}}}),
            &["head_width", "80"],
        ),
        (json!({"model_cfg": {"quick_gelu": 1}}), &["quick_gelu"]),
    ] {
        let weights = open_clip_alone(&bench, "model");
        bench.file("model/open_clip_config.json", config.to_string());
        bench
            .segment(&weights, "out", &MASKCLIP)
            .check(1, &[words, &["configuration"]].concat());
        bench.convert(&weights, "out.safetensors", &[]).check(1, words);
    }
    std::fs::remove_file(bench.path("model/open_clip_config.json")).expect("the file");
    let weights = open_clip_alone(&bench, "model");
    bench.file(
        "model/config.json",
        json!({"vision_config": {"hidden_act": "silu"}, "text_config": {}}).to_string(),
    );
    bench
        .segment(&weights, "out", &MASKCLIP)
        .check(1, &["hidden_act", "silu"]);
}

/// CLIP with two blocks of the image encoder, one of the text encoder, and small random values. The last block of MaskCLIP's image
/// encoder does not depend on heads.
pub(crate) fn small_clip(vision: usize, text: usize) -> Vec<Tensor> {
    let mut state = 1u32;
    let mut tensor = |name: String, shape: Vec<usize>| {
        let norm = name.contains("ln_") && name.ends_with("weight");
        let random = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 16_777_216.0 - 0.5) * 0.07
        };
        let values = if norm {
            vec![1.0; shape.iter().product()]
        } else {
            (0..shape.iter().product()).map(random).collect()
        };
        (name, shape, values)
    };
    let mut tensors = vec![
        tensor("backbone.class_embedding".into(), vec![vision]),
        tensor("backbone.positional_embedding".into(), vec![17, vision]),
        tensor("backbone.proj".into(), vec![vision, 32]),
        tensor("backbone.conv1.weight".into(), vec![vision, 3, 14, 14]),
        tensor("text_encoder.positional_embedding".into(), vec![77, text]),
        tensor("text_encoder.text_projection".into(), vec![text, 32]),
        tensor("text_encoder.token_embedding.weight".into(), vec![49408, text]),
    ];
    for (norm, width) in [
        ("backbone.ln_pre", vision),
        ("backbone.ln_post", vision),
        ("text_encoder.ln_final", text),
    ] {
        for part in ["weight", "bias"] {
            tensors.push(tensor(format!("{norm}.{part}"), vec![width]));
        }
    }
    for (encoder, block, width) in [
        ("backbone", 0, vision),
        ("backbone", 1, vision),
        ("text_encoder", 0, text),
    ] {
        for (name, shape) in [
            ("attn.in_proj_weight", vec![3 * width, width]),
            ("attn.in_proj_bias", vec![3 * width]),
            ("attn.out_proj.weight", vec![width, width]),
            ("attn.out_proj.bias", vec![width]),
            ("ln_1.weight", vec![width]),
            ("ln_1.bias", vec![width]),
            ("ln_2.weight", vec![width]),
            ("ln_2.bias", vec![width]),
            ("mlp.c_fc.weight", vec![4 * width, width]),
            ("mlp.c_fc.bias", vec![4 * width]),
            ("mlp.c_proj.weight", vec![width, 4 * width]),
            ("mlp.c_proj.bias", vec![width]),
        ] {
            tensors.push(tensor(format!("{encoder}.transformer.resblocks.{block}.{name}"), shape));
        }
    }
    tensors
}

#[test]
fn published_widths_have_their_published_heads() {
    let bench = Bench::new();
    let weights = bench.text("ViT-H-14.bin");
    let tensors = outputs(&small_clip(1280, 64), Dtype::F16, str::to_owned);
    write_open_clip(Path::new(&weights), tensors, IfExists::Fail).expect("weights");
    let stated = bench.file("heads.toml", "vision_heads = 16\n");
    let other = bench.file("other.toml", "vision_heads = 20\n");
    let first = bench.segment(&weights, "assumed", &MASKCLIP);
    first.check(0, &[]);
    assert!(!first.stderr.contains("heads of its image encoder"), "{}", first.stderr);
    for (output, config) in [("stated", &stated), ("other", &other)] {
        let arguments = [&MASKCLIP[..], &["--model-config", config]].concat();
        bench.segment(&weights, output, &arguments).check(0, &[]);
    }
    assert_eq!(bench.scores("assumed"), bench.scores("stated"));
    assert_ne!(bench.scores("assumed"), bench.scores("other"));
    assert!(
        inspect(&weights).stdout.contains("heads 16,"),
        "{}",
        inspect(&weights).stdout
    );
    assert_eq!(inspect_json(&weights)["architecture"]["vision"]["heads"], 16);
}

#[test]
fn assumed_heads_are_said() {
    let bench = Bench::new();
    let weights = bench.text("model.bin");
    let tensors = outputs(&small_clip(320, 96), Dtype::F16, str::to_owned);
    write_open_clip(Path::new(&weights), tensors, IfExists::Fail).expect("weights");
    let outcome = bench.segment(&weights, "out", &MASKCLIP);
    outcome.check(
        0,
        &[
            "5 are assumed",
            "1 are assumed",
            "64 channels a head",
            "`vision_heads`",
            "`text_heads`",
        ],
    );
    let report = bench.report("out")["assumptions"].to_string();
    assert!(
        report.contains("vision.heads") && report.contains("text.heads"),
        "{report}"
    );
    let stdout = inspect(&weights).stdout;
    assert!(
        stdout.contains("heads 5 (assumed)") && stdout.contains("heads 1 (assumed)"),
        "{stdout}"
    );
    let config = bench.file(
        "heads.toml",
        "vision_heads = 10\ntext_heads = 3\nactivation = \"gelu\"\n",
    );
    let stated = bench.segment(
        &weights,
        "stated",
        &[&MASKCLIP[..], &["--model-config", &config]].concat(),
    );
    stated.check(0, &[]);
    assert!(!stated.stderr.contains("assumed"), "{}", stated.stderr);
    bench
        .convert(&weights, "native.safetensors", &["--model-config", &config])
        .check(0, &[]);
    let converted = bench.segment(&bench.text("native.safetensors"), "converted", &MASKCLIP);
    converted.check(0, &[]);
    assert!(!converted.stderr.contains("assumed"), "{}", converted.stderr);
    assert_eq!(bench.scores("stated"), bench.scores("converted"));
}

#[test]
fn prefixes_of_wrappers_say_nothing_about_a_model() {
    let bench = Bench::new();
    let sizes = bench.file("sizes.toml", SIZES);
    let config = ["--model-config", sizes.as_str()];
    let plain = bench.text("plain.pth");
    let tensors = tensors(&example());
    mmseg(Path::new(&plain), &tensors, str::to_owned);
    bench.segment(&plain, "plain", &config).check(0, &[]);
    let expected = inspect_json(&plain);
    for (index, prefix) in [
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "ema.",
        "model.ema._orig_mod.",
    ]
    .into_iter()
    .enumerate()
    {
        let wrapped = bench.text("wrapped.pth");
        mmseg(Path::new(&wrapped), &tensors, |name| format!("{prefix}{name}"));
        let found = inspect_json(&wrapped);
        for key in ["format", "parts", "architecture", "unknown", "tensors"] {
            assert_eq!(found[key], expected[key], "{prefix}: {key}");
        }
        let output = format!("out{index}");
        bench.segment(&wrapped, &output, &config).check(0, &[]);
        assert_eq!(bench.scores(&output), bench.scores("plain"), "{prefix}");
    }
    // A part alone may be compiled.
    let compiled = bench.text("compiled.pth");
    mmseg(Path::new(&compiled), &tensors, |name| {
        name.replace("backbone.", "backbone._orig_mod.")
    });
    bench.convert(&compiled, "converted.safetensors", &config).check(0, &[]);
    bench
        .segment(&bench.text("converted.safetensors"), "converted", &[])
        .check(0, &[]);
    assert_eq!(bench.scores("converted"), bench.scores("plain"));
    // Two copies are not one model.
    let both = bench.text("both.pth");
    let copies: Vec<Tensor> = ["model.", "ema."]
        .iter()
        .flat_map(|prefix| {
            tensors
                .iter()
                .map(move |(name, shape, values)| (format!("{prefix}{name}"), shape.clone(), values.clone()))
        })
        .collect();
    mmseg(Path::new(&both), &copies, str::to_owned);
    bench
        .segment(&both, "out", &config)
        .check(1, &["twice", "`model.", "`ema.", "hint: "]);
}

#[test]
fn wrapped_names_of_clip_are_read() {
    let bench = Bench::new();
    let clip = tensors(&recorded("open_clip_model.safetensors"));
    let named = |name: &str| {
        let rest = name.strip_prefix("text_encoder.").unwrap_or(name);
        rest.strip_prefix("backbone.")
            .map_or_else(|| rest.to_owned(), |rest| format!("visual.{rest}"))
    };
    let config = bench.file("gelu.toml", format!("{HEADS}activation = \"gelu\"\n"));
    let arguments = [&MASKCLIP[..], &["--model-config", &config]].concat();
    for (index, prefix) in ["", "_orig_mod.", "module._orig_mod.", "clip_model."]
        .into_iter()
        .enumerate()
    {
        let path = bench.text("clip.pt");
        mmseg(Path::new(&path), &clip, |name| format!("{prefix}{}", named(name)));
        assert_eq!(inspect_json(&path)["format"], "open_clip", "{prefix}");
        let output = format!("out{index}");
        bench.segment(&path, &output, &arguments).check(0, &[]);
        assert_eq!(bench.scores(&output), bench.scores("out0"), "{prefix}");
    }
}

#[test]
fn model_configurations_that_cannot_be_meant_are_refused() {
    let (bench, farm) = (Bench::new(), Farm::new());
    let (clip, data) = (recorded("open_clip_model.safetensors"), farm.toml());
    for (text, code, words) in [
        ("image_size = 0", 2, &["image_size"][..]),
        ("stride = 0", 2, &["stride"]),
        ("vision_heads = 0", 2, &["vision_heads"]),
        ("text_heads = 0", 2, &["text_heads"]),
        ("decoder_heads = 0", 2, &["decoder_heads"]),
        ("image_size = nan", 2, &["NaN"]),
        ("image_size = 64.0", 2, &["64"]),
        ("image_size = -64", 2, &["-64"]),
        ("vision_heads = \"4\"", 2, &["string"]),
        ("visoin_heads = 4", 2, &["visoin_heads", "vision_heads"]),
        ("activation = \"relu\"", 2, &["relu", "gelu"]),
        ("activation = true", 2, &["activation"]),
        ("[vision]\nheads = 4", 2, &["vision"]),
        ("image_size =", 2, &["config.toml"]),
        ("image_size = 4", 1, &["image_size", "4"]),
        ("image_size = 64\nstride = 65", 1, &["stride", "65"]),
        ("image_size = 1000000", 1, &["image_size", "1000000", "limit"]),
        ("image_size = 9223372036854775807", 1, &["limit"]),
        ("vision_heads = 7", 1, &["heads", "7", "64", "vision_heads"]),
        ("text_heads = 3", 1, &["heads", "3", "text_heads"]),
    ] {
        let config = bench.file("config.toml", text);
        let clip_with = [&MASKCLIP[..], &["--model-config", &config]].concat();
        bench.segment(&clip, "out", &clip_with).check(code, words);
        bench
            .segment(&example(), "out", &["--model-config", &config])
            .check(code, words);
        let output = bench.text("eval");
        zegclip(&[
            "eval",
            "--dataset",
            &data,
            "--weights",
            &clip,
            "--method",
            "maskclip",
            "--model-config",
            &config,
            "--device",
            "cpu",
            "--output",
            &output,
        ])
        .check(code, words);
        assert!(!bench.path("out/photo.json").exists(), "{text}");
    }
    for (text, code) in [
        ("decoder_heads = 7", 1),
        ("stride = 0", 2),
        ("vision_heads = 5", 1),
        ("text_heads = 3", 1),
    ] {
        let config = bench.file("config.toml", text);
        bench
            .convert(&example(), "out.safetensors", &["--model-config", &config])
            .check(code, &[]);
        assert!(!bench.path("out.safetensors").exists(), "{text}");
    }
}

#[test]
fn model_configurations_apply_to_native_files() {
    let bench = Bench::new();
    let config = bench.file(
        "heads.toml",
        "vision_heads = 2\ntext_heads = 4\ndecoder_heads = 4\nactivation = \"gelu\"\n",
    );
    let restated = bench.text("restated.safetensors");
    native(Path::new(&restated), &tensors(&example()), |header| {
        let text = header["text"]
            .replace("\"heads\":2", "\"heads\":4")
            .replace("quick_gelu", "gelu");
        header.insert("text".into(), text);
        let config = header["config"]
            .replace("\"heads\":4", "\"heads\":2")
            .replace("\"heads\":8", "\"heads\":4");
        header.insert("config".into(), config.replace("quick_gelu", "gelu"));
    });
    bench.segment(&example(), "plain", &[]).check(0, &[]);
    bench
        .segment(&example(), "option", &["--model-config", &config])
        .check(0, &[]);
    bench.segment(&restated, "header", &[]).check(0, &[]);
    assert_eq!(bench.scores("option"), bench.scores("header"));
    assert_ne!(bench.scores("option"), bench.scores("plain"));
    bench
        .convert(&example(), "converted.safetensors", &["--model-config", &config])
        .check(0, &[]);
    bench
        .segment(&bench.text("converted.safetensors"), "converted", &[])
        .check(0, &[]);
    assert_eq!(bench.scores("converted"), bench.scores("option"));
}

#[test]
fn headers_that_cannot_be_meant_are_refused() {
    let bench = Bench::new();
    let file = bench.text("header.safetensors");
    let tensors = tensors(&example());
    for (entry, from, to, words) in [
        ("config", "\"heads\":4", "\"heads\":0", &["config.vision.heads"][..]),
        ("config", "\"heads\":4", "\"heads\":7", &["config.vision.heads", "7"]),
        (
            "config",
            "\"layers\":4",
            "\"layers\":4000000000",
            &["config.vision.layers", "4000000000"],
        ),
        (
            "config",
            "\"position_grid\":5",
            "\"position_grid\":100000",
            &["config.vision.position_grid"],
        ),
        (
            "config",
            "\"image_size\":64",
            "\"image_size\":1000000",
            &["image_size", "1000000"],
        ),
        ("config", "\"stride\":53", "\"stride\":0", &["stride"]),
        ("config", "\"patch_size\":8", "\"patch_size\":0", &["patch"]),
        ("config", "\"patch_size\":8", "\"patch_size\":16", &["conv1", "16"]),
        ("config", "\"dropout\":0.1", "\"dropout\":1e400", &["config"]),
        ("config", "\"dropout\":0.1", "\"dropout\":-3.0", &["dropout", "-3"]),
        ("config", "\"quick_gelu\"", "\"relu\"", &["relu"]),
        ("text", "\"heads\":2", "\"heads\":3", &["text.heads", "3"]),
        ("text", "\"vocabulary_size\":49408", "\"vocabulary_size\":49", &["49"]),
        (
            "text",
            "\"vocabulary_size\":49408",
            "\"vocabulary_size\":999999999",
            &["text.vocabulary_size"],
        ),
        ("assumed", "", "[\"vision.hue\"]", &["assumed"]),
    ] {
        native(Path::new(&file), &tensors, |header| {
            let before = header.get(entry).cloned().unwrap_or_default();
            assert!(before.contains(from), "{before}");
            header.insert(entry.into(), before.replace(from, to));
        });
        bench.segment(&file, "out", &[]).check(1, words);
        assert!(!bench.path("out/photo.json").exists());
    }
}

#[test]
fn weights_can_be_read_without_mapping_them() {
    let bench = Bench::new();
    bench.segment(&example(), "mapped", &[]).check(0, &[]);
    bench.segment(&example(), "read", &["--no-mmap"]).check(0, &[]);
    assert_eq!(bench.scores("mapped"), bench.scores("read"));
    let single = bench.text("single.safetensors");
    bench
        .convert(&example(), "single.safetensors", &["--precision", "f32", "--no-mmap"])
        .check(0, &[]);
    for (output, more) in [("single_mapped", &[][..]), ("single_read", &["--no-mmap"])] {
        bench.segment(&single, output, more).check(0, &[]);
    }
    assert_eq!(bench.scores("single_mapped"), bench.scores("single_read"));
    zegclip(&["inspect", &single, "--no-mmap"]).check(0, &[]);
    let farm = Farm::new();
    let options = farm.text("eval.toml");
    farm.write(
        "eval.toml",
        format!("dataset = \"farm.toml\"\nweights = \"{single}\"\nno_mmap = true\ndevice = \"cpu\"\n"),
    );
    zegclip(&["eval", &options, "--output", &bench.text("eval")]).check(0, &[]);
}
