//! Settings, evaluations, exports, and the contents of an iteration.

use zegclip_train::{Checkpoint, CheckpointExport, Configuration, Outcome, TrainConfig};
use zegclip_weights::WeightFile;

use crate::farm::{Farm, followed, model_bytes};

fn parameter(farm: &Farm, run: &str, name: &str) -> Vec<f32> {
    let file = WeightFile::open(&farm.path(&format!("{run}/model.safetensors"))).unwrap();
    file.tensor_f32(name).unwrap().1
}

const DECODER: &str = "decode_head.decoder_1.layers.0.multihead_attn.q.weight";

#[test]
fn the_loss_falls() {
    let farm = Farm::new();
    let (_, losses) = farm.train(
        "a",
        &[
            "iterations=60",
            "optimizer.lr=2e-4",
            "model.prompts.dropout=0.0",
            "model.decoder.dropout=0.0",
        ],
    );
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..10]), mean(&losses[50..]));
    assert!(last < 0.7 * first, "{first} to {last}");
}

#[test]
fn transductive_starts_from_the_half_way_checkpoint() {
    let farm = Farm::new();
    farm.train("inductive", &[]);
    let initial = format!(
        "model.initial={}",
        farm.path("inductive/checkpoints/half-way").display()
    );
    let (_, losses) = farm.train("transductive", &["setting=transductive", "iterations=3", &initial]);
    assert!(losses.iter().all(|loss| loss.is_finite()));
    assert!(parameter(&farm, "transductive", DECODER) != parameter(&farm, "inductive", DECODER));
    // From a model file only the trained parts are loaded.
    let initial = format!("model.initial={}", farm.path("inductive/model.safetensors").display());
    farm.train(
        "from-model",
        &[
            "setting=transductive",
            "iterations=1",
            "optimizer.lr=1e-12",
            "schedule.min_lr=0.0",
            &initial,
        ],
    );
    let difference = parameter(&farm, "from-model", DECODER)
        .into_iter()
        .zip(parameter(&farm, "inductive", DECODER))
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, |worst, next| if next <= worst { worst } else { next });
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn initial_masks_equal_the_similarity() {
    let farm = Farm::new();
    let similar = ["model.similarity.scale=20.0", "model.similarity.threshold=0.3"];
    let resting = ["iterations=1", "optimizer.lr=1e-12", "schedule.min_lr=0.0"];
    let text_only = [&resting[..], &similar].concat();
    farm.train("similar", &text_only);
    let passed = parameter(&farm, "similar", "decode_head.q_proj.weight");
    let width = passed.len().div_euclid(2).isqrt();
    for (place, value) in passed.iter().enumerate() {
        // A row for each output; the text comes second.
        let (output, input) = (place / (2 * width), place % (2 * width));
        let expected = if input == width + output { 1.0 } else { 0.0 };
        assert!((value - expected).abs() < 1e-6, "{output} {input}: {value}");
    }
    // Initial weights take precedence.
    farm.train("other", &resting);
    let initial = format!("model.initial={}", farm.path("other/model.safetensors").display());
    farm.train("both", &[&text_only[..], &[&initial]].concat());
    let other = parameter(&farm, "other", "decode_head.q_proj.weight");
    let both = parameter(&farm, "both", "decode_head.q_proj.weight");
    assert!(both.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn errors_of_the_similarity_name_the_key() {
    for (set, expected) in [
        (
            "model.similarity.scale=0.0",
            "`model.similarity.scale` = 0: must be positive",
        ),
        (
            "model.similarity.threshold=1.5",
            "`model.similarity.threshold` = 1.5: must be in (0, 1)",
        ),
        ("model.relation=difference", "needs a descriptor that contains the text"),
        (
            "model.similarity.treshold=0.3",
            "did you mean `model.similarity.threshold`?",
        ),
    ] {
        let mut overrides = vec![
            "data.dataset=scenes".to_owned(),
            "model.clip=clip.pt".to_owned(),
            "model.similarity.scale=20.0".to_owned(),
            "model.similarity.threshold=0.3".to_owned(),
        ];
        overrides.push(set.to_owned());
        let error = TrainConfig::from_toml("", "`a`", &overrides).unwrap_err().to_string();
        assert!(error.contains(expected), "{set}: {error}");
    }
}

/// Every second iteration on the training images.
const EVALUATED: [&str; 3] = [
    "run.evaluation_interval=2",
    "run.evaluation_split=train",
    "optimizer.lr=1e-3",
];

#[test]
fn the_best_is_kept_and_reported() {
    let farm = Farm::new();
    let training = farm.training("a", &farm.config(&EVALUATED)).unwrap();
    let run = training.run_directory().clone();
    training.run().unwrap();
    let lines = run.metrics().unwrap();
    let scored: Vec<(u64, f64)> = lines
        .iter()
        .filter_map(|line| Some((line.iteration, line.scores?.hiou?)))
        .collect();
    let iterations: Vec<u64> = scored.iter().map(|(iteration, _)| *iteration).collect();
    assert_eq!(iterations, [2, 4, 6]);
    assert_eq!(lines.len(), 6 + 3);
    let highest = scored
        .iter()
        .fold(scored[0], |best, next| if next.1 > best.1 { *next } else { best });
    let best = Checkpoint::open(&run.best_path()).unwrap();
    let recorded = best.best().map(|best| (best.iteration, best.hiou));
    assert_eq!((best.iteration(), recorded), (highest.0, Some(highest)));
    let report = std::fs::read_to_string(run.report_path()).unwrap();
    assert!(report.contains(">hIoU<") && report.contains("6 of 6 iterations (finished)"));
}

#[test]
fn an_interrupted_evaluation_is_done_when_the_run_resumes() {
    let farm = Farm::new();
    let config = farm.config(&EVALUATED);
    let (outcome, _) = followed(farm.training("undisturbed", &config).unwrap(), u64::MAX);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    // The interruption comes in the iteration before the evaluation, which is then due, also at the very end.
    for end in [4, 6] {
        let (outcome, _) = followed(farm.training("resumed", &config).unwrap(), end);
        assert_eq!(outcome.unwrap(), Outcome::Interrupted { iteration: end });
    }
    let (outcome, iterations) = followed(farm.training("resumed", &config).unwrap(), u64::MAX);
    assert_eq!((outcome.unwrap(), iterations.len()), (Outcome::Finished, 0));
    let state = |run: &str| {
        let run = farm.path(run);
        let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        // Times differ between runs.
        let scores: Vec<String> = lines
            .lines()
            .filter(|line| line.contains("scores"))
            .map(str::to_owned)
            .collect();
        let best = Checkpoint::open(&run.join("checkpoints/best")).unwrap().best();
        let last = Checkpoint::open(&run.join("checkpoints/iteration-00000006"))
            .unwrap()
            .best();
        (scores, best, last, model_bytes(&run))
    };
    let (undisturbed, resumed) = (state("undisturbed"), state("resumed"));
    assert_eq!(undisturbed.0.len(), 3);
    assert!(undisturbed == resumed, "{:?} {:?}", &undisturbed.0, &resumed.0);
}

#[test]
fn any_checkpoint_is_exported() {
    let farm = Farm::new();
    let config = farm.config(&[]);
    farm.train("a", &[]);
    let run = zegclip_train::RunDirectory::open(&farm.path("a")).unwrap();
    let export = |checkpoint: &std::path::Path| {
        let output = farm.path("exported.safetensors");
        let device = burn::tensor::Device::flex();
        let export = CheckpointExport {
            config: &config,
            run: &run,
            device: &device,
        };
        export.write(checkpoint, &output).unwrap();
        std::fs::read(output).unwrap()
    };
    assert!(export(&run.checkpoint_path(6)) == model_bytes(&farm.path("a")));
    assert!(export(&run.half_way_path()) != model_bytes(&farm.path("a")));
    // A run of an earlier version has no class list, and its data set is read.
    std::fs::remove_file(run.classes_path()).unwrap();
    assert!(export(&run.checkpoint_path(6)) == model_bytes(&farm.path("a")));
}

#[test]
fn an_iteration_has_the_values_of_a_display() {
    let farm = Farm::new();
    let (outcome, iterations) = followed(farm.training("a", &farm.config(&["iterations=2"])).unwrap(), u64::MAX);
    outcome.unwrap();
    assert_eq!(iterations.len(), 2);
    assert!(iterations.iter().all(|item| item.samples.len() == 4
        && item.images == 4
        && item.seconds > item.waited
        && item.iterations == 2
        && item.part("loss_dice").is_some()));
    assert!(iterations[0].rate < iterations[1].rate);
}
