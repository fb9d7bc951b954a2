//! Settings train, evaluations are kept, and a display is told what it needs.

use burn::tensor::Tensor;
use zegclip_data::Vocabulary;
use zegclip_model::weights::WeightFile;
use zegclip_train::{Configuration, EvaluationScores, Snapshot, Step, TrainConfig, TrainObserver};

use crate::farm::Farm;

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
            "optimiser.lr=2e-4",
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
        farm.path("inductive/checkpoints/half-way.safetensors").display()
    );
    let (_, losses) = farm.train("transductive", &["setting=transductive", "iterations=3", &initial]);
    assert!(losses.iter().all(|loss| loss.is_finite()));
    assert!(parameter(&farm, "transductive", DECODER) != parameter(&farm, "inductive", DECODER));
    // A model file serves as well, and nothing but its trained part is taken.
    let initial = format!("model.initial={}", farm.path("inductive/model.safetensors").display());
    farm.train(
        "from-model",
        &[
            "setting=transductive",
            "iterations=1",
            "optimiser.lr=1e-12",
            "schedule.min_lr=0.0",
            &initial,
        ],
    );
    let difference = parameter(&farm, "from-model", DECODER)
        .into_iter()
        .zip(parameter(&farm, "inductive", DECODER))
        .fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(difference < 1e-6, "{difference}");
}

#[test]
fn masks_begin_as_similarity() {
    let farm = Farm::new();
    let similar = ["model.similarity.scale=20.0", "model.similarity.threshold=0.3"];
    let resting = ["iterations=1", "optimiser.lr=1e-12", "schedule.min_lr=0.0"];
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
    // A start from a file goes before it.
    farm.train("other", &resting);
    let initial = format!("model.initial={}", farm.path("other/model.safetensors").display());
    farm.train("both", &[&text_only[..], &[&initial]].concat());
    let other = parameter(&farm, "other", "decode_head.q_proj.weight");
    let both = parameter(&farm, "both", "decode_head.q_proj.weight");
    assert!(both.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn slips_of_the_similarity_are_told() {
    for (set, expected) in [
        (
            "model.similarity.scale=0.0",
            "`model.similarity.scale` = 0: it must be a positive number",
        ),
        (
            "model.similarity.threshold=1.5",
            "`model.similarity.threshold` = 1.5: it must lie in (0, 1)",
        ),
        ("model.relation=difference", "the descriptor must have the text in it"),
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

/// Scores that rise and fall.
struct Evaluator(Vec<u64>);

impl TrainObserver for Evaluator {
    fn evaluate(&mut self, snapshot: &Snapshot<'_>) -> Option<EvaluationScores> {
        let model = snapshot.model();
        assert!(!model.decoder.layers[0].linear1.weight.val().device().is_autodiff());
        let classes = Vocabulary::from_names("cow, sheep, sofa, grass, cat").unwrap();
        let text = snapshot.text_features(&classes).unwrap();
        let image = Tensor::zeros(
            [1, 3, snapshot.config().image_size, snapshot.config().image_size],
            &text.device(),
        );
        assert_eq!(model.forward(image, text).dims(), [1, 5, 4, 4]);
        let iteration = snapshot.iteration();
        self.0.push(iteration);
        Some(EvaluationScores {
            hiou: Some(if iteration == 4 { 9.0 } else { 1.0 }),
            ..EvaluationScores::default()
        })
    }
}

#[test]
fn the_best_is_kept_and_reported() {
    let farm = Farm::new();
    let config = farm.config(&["run.evaluation_interval=2"]);
    let mut trainer = farm.trainer("a", &config).unwrap();
    let mut evaluator = Evaluator(Vec::new());
    trainer.run(&mut evaluator).unwrap();
    assert_eq!(evaluator.0, [2, 4, 6]);
    let best = zegclip_train::Checkpoint::read(&trainer.run_directory().best_path()).unwrap();
    assert_eq!((best.iteration, best.best.map(|best| best.hiou)), (4, Some(9.0)));
    let report = std::fs::read_to_string(trainer.run_directory().report_path()).unwrap();
    assert!(report.contains(">hIoU<") && report.contains("6 of 6 iterations (finished)"));
}

#[test]
fn a_step_tells_what_a_display_needs() {
    let farm = Farm::new();
    let mut trainer = farm.trainer("a", &farm.config(&["iterations=2"])).unwrap();
    let mut steps = Vec::new();
    trainer.run(&mut |step: &Step| steps.push(step.clone())).unwrap();
    assert_eq!(steps.len(), 2);
    assert!(
        steps
            .iter()
            .all(|step| step.samples.len() == 4 && step.seconds > 0.0 && step.iterations == 2)
    );
    assert_eq!(steps[1].remaining, 0.0);
    assert!(steps[0].rate < steps[1].rate);
}
