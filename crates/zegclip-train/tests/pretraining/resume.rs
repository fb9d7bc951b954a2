//! A resumed run ends in the bytes of an undisturbed one, across stages too.

use zegclip_train::Outcome;

use crate::runs::{Runs, followed, model_bytes};

#[test]
fn interrupted_and_resumed_equals_undisturbed() {
    for method in ["adamw", "muon"] {
        resumes(&[&format!("optimizer.method={method}")]);
    }
}

fn resumes(overrides: &[&str]) {
    let runs = Runs::new();
    let losses = runs.finish("a", overrides);
    let config = runs.config(overrides);
    let mut seen = Vec::new();
    // In the first stage, at its end, and in the second one.
    for end in [3, 4, 5, 6] {
        let (outcome, losses) = followed(runs.training("b", &config).unwrap(), end);
        seen.extend(losses);
        let expected = if end == 6 {
            Outcome::Finished
        } else {
            Outcome::Interrupted { iteration: end }
        };
        assert_eq!(outcome.unwrap(), expected);
    }
    assert_eq!(seen, losses);
    assert!(model_bytes(&runs.path("a")) == model_bytes(&runs.path("b")));
    assert_eq!(
        runs.training("b", &config)
            .unwrap()
            .run_directory()
            .metrics()
            .unwrap()
            .len(),
        6
    );
}

#[test]
fn threads_change_nothing_and_the_seed_changes_all_values() {
    let runs = Runs::new();
    let one = runs.finish("a", &["data.threads=1"]);
    let three = runs.finish("b", &["data.threads=3", "data.batches_ahead=4"]);
    let other = runs.finish("c", &["seed=6"]);
    assert_eq!(one, three);
    assert!(one[0] != other[0]);
}

#[test]
fn another_configuration_is_not_resumed() {
    let runs = Runs::new();
    runs.finish("a", &[]);
    let other = runs.config(&["stages.1.image_size=64"]);
    let error = runs.training("a", &other).unwrap_err().to_string();
    assert!(
        error.contains("`stages`") && error.contains("another configuration"),
        "{error}"
    );
    let more_logs = runs.config(&["run.log_interval=3", "evaluation.images=7"]);
    assert!(runs.training("a", &more_logs).is_ok());
}

#[test]
fn scores_are_logged_during_the_run() {
    let runs = Runs::new();
    runs.finish("a", &["run.evaluation_interval=3", "evaluation.images=8"]);
    let run = runs
        .training("a", &runs.config(&["run.evaluation_interval=3"]))
        .unwrap();
    let lines = run.run_directory().metrics().unwrap();
    let scored: Vec<_> = lines.iter().filter(|line| !line.clip_scores.is_empty()).collect();
    assert_eq!(scored.iter().map(|line| line.iteration).collect::<Vec<_>>(), [3, 6]);
    for split in ["known_artists", "unknown_artist"] {
        let scores = scored[1].clip_scores[split];
        let top1 = scores.top1.unwrap();
        assert!((0.0..=100.0).contains(&top1) && top1 <= scores.top5.unwrap());
        assert!(scores.image_to_text_r1 <= scores.image_to_text_r5);
    }
}
