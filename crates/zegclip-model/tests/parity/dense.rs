//! Training-free dense methods on plain CLIP, tensor by tensor.

use std::cell::RefCell;
use std::collections::BTreeSet;

use burn::tensor::{Device, FloatDType, Tensor};
use zegclip_kernels::{NameDecoding, NamePlanes, NameSoftmax, WindowCosines, WindowMasks, decode_names};
use zegclip_model::clip::{ImageEncoder, PositionResize, l2_normalize, text_features};
use zegclip_model::config::Activation;
use zegclip_model::dense_clip::{
    DENSE_POSITIONS, DenseMethod, FeedbackSettings, LastAttention, LastBlock, LastLayer, MASKCLIP_POSITIONS, Pamr,
    PatchFeatures, ResClip, ResidualAttention, ScClip, WindowPadding, forward_before_last, key_smoothing, neighborhood,
    pad_window, prompt_denoising,
};
use zegclip_model::interpolate::resize_bilinear;
use zegclip_model::{ModelOverrides, load_image_encoder, load_text_encoder};
use zegclip_text::templates::IMAGENET_80;
use zegclip_weights::WeightFile;

use crate::cases::{Case, OnDevice, cases, values};
use crate::devices;

/// Attention of the last block under the names of recordings.
fn last_attention(case: &Case, name: &str) -> LastAttention {
    match name {
        "vanilla" | "query_key" => LastAttention::QueryKey,
        "maskclip" | "identity" => LastAttention::Identity,
        "sclip" | "csa" | "query_query_plus_key_key" => LastAttention::QueryQueryPlusKeyKey,
        "clearclip" | "query_query" => LastAttention::QueryQuery,
        "kk" | "key_key" => LastAttention::KeyKey,
        "naclip" | "key_key_plus_gaussian" => LastAttention::KeyKeyPlusNeighborhood {
            std: case.float("/config/gaussian_std"),
        },
        other => panic!("{}: no attention is called `{other}`", case.name()),
    }
}

/// Labels and probabilities from scores at the size of the image.
struct Decoding {
    scores: Vec<f32>,
    probabilities: Vec<f32>,
    labels: Vec<u16>,
}

/// A case on a device.
struct Run<'a> {
    case: &'a Case,
    encoder: ImageEncoder,
    device: Device,
    method: String,
    patch: usize,
    padding: WindowPadding,
    positions: PositionResize,
    text: Tensor<2>,
    class_of_name: Vec<u16>,
    size: [usize; 2],
    original: [usize; 2],
    checked: RefCell<BTreeSet<String>>,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, device: &Device) -> Self {
        let weights = WeightFile::open(&case.file("clip")).unwrap_or_else(|error| panic!("{error}"));
        let overrides = ModelOverrides {
            vision_heads: Some(case.number("/config/vision/heads")),
            text_heads: Some(case.number("/config/text/heads")),
            ..ModelOverrides::default()
        };
        let (encoder, _) =
            load_image_encoder(&weights, &overrides, device, FloatDType::F32).unwrap_or_else(|error| panic!("{error}"));
        let activation = match case.json["config"]["vision"]["quick_gelu"]
            .as_bool()
            .expect("quick_gelu")
        {
            true => Activation::QuickGelu,
            false => Activation::Gelu,
        };
        let encoder = encoder
            .with_activation(activation)
            .with_layer_norm_epsilon(case.float("/config/vision/layer_norm_eps"));
        assert_eq!(encoder.blocks.len(), case.number("/config/vision/layers"));
        let method = case.json["config"]["method"].as_str().expect("method").to_owned();
        let image = case.tensor("image").shape;
        let run = Self {
            case,
            patch: encoder.patch_size(),
            encoder,
            device: device.clone(),
            padding: match method.as_str() {
                "maskclip" => WindowPadding::RightBottom,
                "clearclip" => WindowPadding::Around,
                _ => WindowPadding::CutOff,
            },
            positions: if method == "maskclip" {
                MASKCLIP_POSITIONS
            } else {
                DENSE_POSITIONS
            },
            method,
            text: case.tensor("query_features").tensor(device),
            class_of_name: case
                .tensor("query_class")
                .values
                .iter()
                .map(|class| *class as u16)
                .collect(),
            size: [image[2], image[3]],
            original: [
                case.number("/config/original_size/0"),
                case.number("/config/original_size/1"),
            ],
            checked: RefCell::default(),
        };
        for input in ["image", "query_class", "query_features"] {
            run.checked.borrow_mut().insert(input.to_owned());
        }
        let names: Vec<Vec<String>> = case.json["config"]["classes"]
            .as_array()
            .expect("classes")
            .iter()
            .flat_map(|names| names.as_array().expect("names"))
            .map(|name| vec![name.as_str().expect("a name").to_owned()])
            .collect();
        assert_eq!(names.len(), run.class_of_name.len());
        // MaskCLIP's are given, not encoded.
        if case.number("/config/templates") == IMAGENET_80.len() {
            let encoder = load_text_encoder(&weights, &overrides, device, FloatDType::F32)
                .unwrap_or_else(|error| panic!("{error}"));
            let templates = IMAGENET_80.map(str::to_owned);
            let features = text_features(&encoder, &names, &templates).unwrap_or_else(|error| panic!("{error}"));
            case.check("query_features", &values(features));
        }
        run
    }

    fn image(&self) -> Tensor<4> {
        self.case.tensor("image").tensor(&self.device)
    }

    fn recorded(&self, name: &str) -> bool {
        self.case.json["tensors"].get(name).is_some()
    }

    /// Compares a tensor if it is recorded.
    fn check<const D: usize>(&self, name: &str, tensor: &Tensor<D>) {
        self.check_values(name, &values(tensor.clone()));
    }

    fn check_values(&self, name: &str, actual: &[f32]) {
        if self.recorded(name) {
            self.case.check(name, actual);
            self.checked.borrow_mut().insert(name.to_owned());
        }
    }

    fn check_equal(&self, name: &str, actual: &[usize]) {
        if self.recorded(name) {
            let expected: Vec<usize> = self
                .case
                .tensor(name)
                .values
                .iter()
                .map(|value| *value as usize)
                .collect();
            assert_eq!(actual, expected, "{}: {name}", self.case.name());
            self.checked.borrow_mut().insert(name.to_owned());
        }
    }

    fn check_decoding(&self, prefix: &str, decoding: &Decoding, threshold: f32) {
        self.check_values(&format!("{prefix}scores"), &decoding.scores);
        self.check_values(&format!("{prefix}probabilities"), &decoding.probabilities);
        let name = format!("{prefix}labels");
        if !self.recorded(&name) {
            return;
        }
        let expected = self.case.tensor(&name).values;
        assert_eq!(expected.len(), decoding.labels.len(), "{name}");
        let pixels = expected.len();
        for (pixel, (label, wanted)) in decoding.labels.iter().zip(&expected).enumerate() {
            let of = |class: usize| decoding.probabilities[class * pixels + pixel];
            let (label, wanted) = (usize::from(*label), *wanted as usize);
            if label != wanted {
                let best = (0..decoding.probabilities.len() / pixels).map(of).fold(0f32, f32::max);
                assert!(
                    (of(label) - of(wanted)).abs() < 1e-4 || (best - threshold).abs() < 1e-4,
                    "{}: {name}: pixel {pixel}: {label} instead of {wanted}",
                    self.case.name()
                );
            }
        }
        self.checked.borrow_mut().insert(name);
    }

    /// Compares positions and outputs of blocks under a prefix; what enters the last block.
    fn before_last(&self, image: Tensor<4>, prefix: Option<&str>) -> zegclip_model::clip::Tokens {
        let check_block = |block: usize, output: &Tensor<3>| {
            if let Some(prefix) = prefix {
                self.check(&format!("{prefix}block_{block}"), output);
            }
        };
        let tokens = forward_before_last(&self.encoder, image, self.positions, |block, input| {
            if block > 0 {
                check_block(block - 1, input);
            }
        });
        check_block(self.encoder.blocks.len() - 2, &tokens.tokens);
        if let Some(prefix) = prefix {
            self.check(
                &format!("{prefix}positions"),
                &self.encoder.positions(tokens.grid, self.positions),
            );
        }
        tokens
    }

    fn check_features(&self, prefix: Option<&str>, features: &Tensor<3>) {
        if let Some(prefix) = prefix {
            self.check(&format!("{prefix}dense_features"), &features.clone().swap_dims(1, 2));
        }
    }

    fn cosines(&self, features: Tensor<3>, grid: [usize; 2]) -> Tensor<4> {
        let patches = l2_normalize(features);
        PatchFeatures { patches, grid }.logits(self.text.clone())
    }

    fn layer(&self, layer: LastLayer, window: Tensor<4>, prefix: Option<&str>) -> Tensor<4> {
        let tokens = self.before_last(window.clone(), prefix);
        let grid = tokens.grid;
        if let Some(prefix) = prefix
            && let Some(last) = LastBlock::new(&self.encoder, tokens.tokens.clone())
        {
            let attended = last.attend(layer.attention, grid);
            self.check(&format!("{prefix}last_attention_output"), &attended);
            self.check(&format!("{prefix}keys"), &last.projected_patch_keys());
        }
        let features = layer.features(&self.encoder, tokens);
        self.check_features(prefix, &features);
        let cosines = self.cosines(features, grid);
        if prefix.is_some() {
            // The method as users call it takes the same path.
            let method = DenseMethod::LastLayer {
                layer,
                positions: self.positions,
            };
            let encoding = method
                .encode(&self.encoder, window)
                .unwrap_or_else(|error| panic!("{error}"));
            let again = encoding
                .cosines(&self.encoder, self.text.clone())
                .unwrap_or_else(|error| panic!("{error}"));
            assert!((cosines.clone() - again).abs().max().into_scalar::<f32>() < 1e-6);
        }
        cosines
    }

    fn sc_clip(&self, window: Tensor<4>, prefix: Option<&str>) -> Tensor<4> {
        let settings = "/config/calibration";
        let at = |key: &str| format!("{settings}/{key}");
        let fused = self.case.json["config"]["calibration"]["fused"]
            .as_array()
            .expect("fused");
        let method = ScClip {
            similarity_block: self.case.number(&at("before")),
            aggregation_block: self.case.number(&at("after")),
            fused_blocks: fused
                .iter()
                .filter_map(|block| block.as_u64())
                .map(|block| block as usize)
                .collect(),
            min_similarity: self.case.float(&at("beta")),
            class_share: self.case.float(&at("class_share")),
            neighbors: self.case.number(&at("neighbours")),
            outlier_share: self.case.float(&at("outlier_share")),
            sharpness: self.case.float(&at("temperature")),
        };
        if let Some(prefix) = prefix {
            self.before_last(window.clone(), Some(prefix));
            let found = method
                .calibration(&self.encoder, window.clone())
                .unwrap_or_else(|error| panic!("{error}"));
            self.check_equal(&format!("{prefix}outliers"), &found.outliers.concat());
            self.check(&format!("{prefix}similarity"), &found.similarity);
            self.check(&format!("{prefix}aggregated"), &found.aggregated);
        }
        let (features, grid) = method
            .features(&self.encoder, window)
            .unwrap_or_else(|error| panic!("{error}"));
        self.check_features(prefix, &features);
        self.cosines(features, grid)
    }

    fn resclip(&self, window: Tensor<4>, parts: [bool; 2], prefix: Option<&str>) -> Tensor<4> {
        let list = |pointer: &str| -> Vec<usize> {
            let list = self
                .case
                .json
                .pointer(pointer)
                .and_then(|list| list.as_array())
                .expect("a list");
            list.iter()
                .filter_map(|number| number.as_u64())
                .map(|number| number as usize)
                .collect()
        };
        let [residual, feedback] = parts;
        let method = ResClip {
            neighborhood_std: self.case.float("/config/gaussian_std"),
            residual: residual.then(|| ResidualAttention {
                blocks: list("/config/rcs/layers"),
                factor: self.case.float("/config/rcs/tau"),
                share: self.case.float("/config/rcs/lambda"),
            }),
            feedback: feedback.then(|| FeedbackSettings {
                factor: self.case.float("/config/sfr/tau"),
                share: self.case.float("/config/sfr/lambda"),
                min_probability: self.case.float("/config/sfr/threshold"),
                logit_scale: self.case.float("/config/logit_scale"),
                blur_std: 5.0,
                pamr: Pamr {
                    steps: self.case.number("/config/sfr/pamr_steps"),
                    dilations: list("/config/sfr/pamr_dilations"),
                },
            }),
        };
        let encoding = method
            .encode(&self.encoder, window.clone())
            .unwrap_or_else(|error| panic!("{error}"));
        let found = encoding
            .feedback(&self.encoder, self.text.clone())
            .unwrap_or_else(|error| panic!("{error}"));
        if let Some(prefix) = prefix {
            self.before_last(window, Some(prefix));
            if let Some(mean) = encoding.mean_attention() {
                self.check(&format!("{prefix}rcs"), mean);
            }
            if let Some(found) = &found {
                self.check(&format!("{prefix}sfr_probabilities"), &found.probabilities);
                self.check_equal(&format!("{prefix}sfr_patch_labels"), &found.patch_labels.concat());
                self.check(&format!("{prefix}sfr"), &found.regions);
            }
        }
        let features = encoding
            .features(&self.encoder, found.map(|found| found.regions))
            .unwrap_or_else(|error| panic!("{error}"));
        self.check_features(prefix, &features);
        let cosines = self.cosines(features, encoding.grid());
        let again = encoding
            .cosines(&self.encoder, self.text.clone())
            .unwrap_or_else(|error| panic!("{error}"));
        assert!((cosines.clone() - again).abs().max().into_scalar::<f32>() < 1e-6);
        cosines
    }

    /// Cosines of all windows, or of the whole image where the crop is 0.
    fn windows(&self, crop: usize, mut cosines: impl FnMut(Tensor<4>, bool) -> Tensor<4>) -> Vec<WindowCosines> {
        let stride = self.case.number("/config/window/stride");
        let starts = |length: usize| -> Vec<usize> {
            match crop {
                0 => vec![0],
                _ => {
                    let last = length.saturating_sub(crop);
                    (0..=last.div_ceil(stride))
                        .map(|step| (step * stride).min(last))
                        .collect()
                }
            }
        };
        let side = |length: usize| if crop == 0 { length } else { crop.min(length) };
        let size = self.size.map(side);
        let image = self.image();
        let mut found = Vec::new();
        for top in starts(self.size[0]) {
            for left in starts(self.size[1]) {
                let padded = self.padding.padded(size, self.patch);
                let window = image.clone().narrow(2, top, size[0]).narrow(3, left, size[1]);
                let cosines = cosines(pad_window(window, padded), found.is_empty());
                found.push(WindowCosines {
                    masks: in_window(cosines, [top, left], size),
                    spanned: padded.spanned,
                    offset: padded.offset,
                });
            }
        }
        // Without windows, some releases resize at once to the size of the image.
        if crop == 0 && !["naclip", "resclip", "maskclip"].contains(&self.method.as_str()) {
            for window in &mut found {
                window.masks.size = self.original;
                window.spanned = self.original;
            }
        }
        found
    }

    fn decode(&self, windows: &[WindowCosines], area: Option<f64>, threshold: f64) -> Decoding {
        let whole = windows
            .first()
            .is_some_and(|window| windows.len() == 1 && window.masks.size == self.original);
        let decoding = NameDecoding {
            resized: if whole { self.original } else { self.size },
            output: self.original,
            class_of_name: &self.class_of_name,
            logit_scale: self.case.float("/config/logit_scale") as f32,
            softmax: match self.method.as_str() {
                "naclip" | "resclip" => NameSoftmax::OverClasses,
                _ => NameSoftmax::OverNames,
            },
            min_probability: Some(threshold as f32),
            min_area: area.map(|area| area as f32),
            below: 0,
            planes: NamePlanes::Cosines,
        };
        let cosines = decode_names(windows, &decoding);
        let probabilities = NameDecoding {
            planes: NamePlanes::Probabilities,
            ..decoding
        };
        let probabilities = decode_names(windows, &probabilities);
        assert_eq!(cosines.labels, probabilities.labels);
        Decoding {
            scores: cosines.scores.expect("cosines"),
            probabilities: probabilities.scores.expect("probabilities"),
            labels: probabilities.labels,
        }
    }

    fn check_windows(&self, prefix: &str, windows: &[WindowCosines]) -> Decoding {
        let area = self.case.json["config"]["area_threshold"].as_f64();
        let threshold = self.case.float("/config/probability_threshold");
        let decoding = self.decode(windows, area, threshold);
        self.check_decoding(prefix, &decoding, threshold as f32);
        if self.recorded(&format!("no_area.{prefix}labels")) {
            let decoding = self.decode(windows, None, threshold);
            self.check_decoding(&format!("no_area.{prefix}"), &decoding, threshold as f32);
        }
        decoding
    }

    /// The image and everything that is recorded of it.
    fn check_all(&self) {
        assert_eq!(self.case.json["config"]["scores_at"], "original_size");
        let crop = self.case.number("/config/window/crop");
        match self.method.as_str() {
            "sc-clip" => {
                let windows = self.windows(crop, |window, first| self.sc_clip(window, first.then_some("window_0.")));
                self.check_windows("", &windows);
            }
            "resclip" => {
                let variants = [
                    ("", [true, true]),
                    ("rcs_only.", [true, false]),
                    ("sfr_only.", [false, true]),
                    ("neither.", [false, false]),
                ];
                for (prefix, parts) in variants {
                    if self.recorded(&format!("{prefix}labels")) {
                        let name = format!("{prefix}window_0.");
                        let windows = self.windows(crop, |window, first| {
                            self.resclip(window, parts, first.then_some(&name))
                        });
                        self.check_windows(prefix, &windows);
                    }
                }
            }
            _ => self.check_last_layer(crop),
        }
        let checked = self.checked.borrow();
        let missing: Vec<String> = self
            .case
            .tensor_names()
            .into_iter()
            .filter(|name| !checked.contains(name))
            .collect();
        assert!(missing.is_empty(), "{}: not compared: {missing:?}", self.case.name());
    }

    fn check_last_layer(&self, crop: usize) {
        let stated = &self.case.json["config"]["last_layer"];
        let layer = LastLayer {
            attention: last_attention(self.case, stated["attention"].as_str().expect("attention")),
            residual: stated["residual"].as_bool().expect("residual"),
            feed_forward: stated["feed_forward"].as_bool().expect("feed_forward"),
        };
        if let Some(published) = match self.method.as_str() {
            "maskclip" => Some(LastLayer::maskclip()),
            "sclip" => Some(LastLayer::sclip()),
            "clearclip" => Some(LastLayer::clearclip()),
            "naclip" => Some(LastLayer::naclip()),
            _ => None,
        } {
            assert_eq!(layer, published, "{}", self.case.name());
        }
        let windows = self.windows(crop, |window, first| {
            let cosines = self.layer(layer, window.clone(), first.then_some("window_0."));
            if first {
                self.check("window_0.scores", &cosines);
                self.check_refinements(layer, window, &cosines);
            }
            cosines
        });
        let decoding = self.check_windows("", &windows);
        if self.recorded("pamr.labels") {
            self.check_pamr(&decoding);
        }
        if self.recorded("whole.labels") {
            let windows = self.windows(0, |window, _| self.layer(layer, window, Some("whole.window_0.")));
            self.check_windows("whole.", &windows);
            if let (true, LastAttention::KeyKeyPlusNeighborhood { std }) =
                (self.recorded("whole.gaussian"), layer.attention)
            {
                let grid = self.size.map(|length| length / self.patch);
                self.check("whole.gaussian", &neighborhood(grid, std, &self.device));
            }
        }
        let names = self.case.tensor_names();
        let variants: BTreeSet<&str> = names
            .iter()
            .filter_map(|name| name.split_once('.'))
            .map(|(first, _)| first)
            .collect();
        for variant in variants {
            let Some((attention, with)) = variant.strip_suffix("_residual").and_then(|name| name.rsplit_once('_'))
            else {
                continue;
            };
            let kept = match with {
                "with" => true,
                "without" => false,
                other => panic!("{other}_residual"),
            };
            let layer = LastLayer {
                attention: last_attention(self.case, attention),
                residual: kept,
                feed_forward: kept,
            };
            // NACLIP's are of the whole image.
            let crop = if self.method == "naclip" { 0 } else { crop };
            let prefix = format!("{variant}.window_0.");
            let windows = self.windows(crop, |window, first| {
                self.layer(layer, window, first.then_some(&prefix))
            });
            self.check_windows(&format!("{variant}."), &windows);
        }
    }

    /// MaskCLIP's refinements, whose scores are resized as cosines are.
    fn check_refinements(&self, layer: LastLayer, window: Tensor<4>, cosines: &Tensor<4>) {
        let Some(refinement) = self.case.json["config"].get("refinement") else {
            return;
        };
        let tokens = self.before_last(window, None);
        let last = LastBlock::new(&self.encoder, tokens.tokens).expect("a last block");
        assert_eq!(layer.attention, LastAttention::Identity);
        let threshold = |key: &str| refinement[key].as_f64().expect("a threshold");
        let smoothed = key_smoothing(cosines.clone(), last.projected_patch_keys(), threshold("key_smoothing"));
        let denoised = prompt_denoising(cosines.clone(), threshold("prompt_denoising"));
        for (prefix, scores) in [("key_smoothing.", smoothed), ("prompt_denoising.", denoised)] {
            self.check(&format!("{prefix}window_0.scores"), &scores);
            let windows = [WindowCosines {
                masks: in_window(scores, [0, 0], self.size),
                spanned: self.size,
                offset: [0, 0],
            }];
            self.check_windows(prefix, &windows);
        }
    }

    fn check_pamr(&self, decoding: &Decoding) {
        let [height, width] = self.original;
        let names = self.class_of_name.len();
        let scores = burn::tensor::TensorData::new(decoding.scores.clone(), [1, names, height, width]);
        let scores = Tensor::<4>::from_data(scores, &self.device);
        let image = resize_bilinear(self.image(), self.original);
        let refined = Pamr::default().refine(image, scores);
        let windows = [WindowCosines::unpadded(in_window(refined, [0, 0], self.original))];
        self.check_windows("pamr.", &windows);
    }
}

/// Scores `[1, names, height, width]` of one window.
fn in_window(scores: Tensor<4>, origin: [usize; 2], size: [usize; 2]) -> WindowMasks {
    let [_, _, rows, columns] = scores.dims();
    WindowMasks {
        origin,
        size,
        grid: [rows, columns],
        values: values(scores.permute([0, 2, 3, 1])),
    }
}

#[test]
fn parity_dense_clip() {
    for device in devices() {
        for case in cases("dense_clip") {
            println!("{} on {}", case.name(), device.description);
            Run::new(&case, &device.device).check_all();
        }
    }
}
