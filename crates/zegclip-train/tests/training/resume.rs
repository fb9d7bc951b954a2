//! A resumed run writes the bytes of an uninterrupted one, with dropout and accumulation.

use zegclip_train::{Iteration, Outcome};

use crate::farm::{Farm, followed, model_bytes};

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    let farm = Farm::new();
    let (undisturbed, losses) = farm.train("a", &[]);
    let (_, still) = farm.train("still", &["model.prompts.dropout=0.0", "model.decoder.dropout=0.0"]);
    assert!(losses[0] != still[0], "dropout is not at work");
    let config = farm.config(&[]);
    let mut seen = Vec::new();
    // Interrupted in the third iteration, between two regular checkpoints, and again in the fourth.
    for end in [3, 4, 6] {
        let (outcome, iterations) = followed(farm.training("b", &config).unwrap(), end);
        seen.extend(iterations.iter().map(Iteration::loss));
        let expected = if end == 6 {
            Outcome::Finished
        } else {
            Outcome::Interrupted { iteration: end }
        };
        assert_eq!(outcome.unwrap(), expected);
        assert!(farm.path("b/report.html").is_file());
    }
    assert_eq!(seen, losses);
    assert!(
        model_bytes(&farm.path("b")) == undisturbed,
        "other bytes than the undisturbed run"
    );
    let last = |run: &str| farm.path(&format!("{run}/checkpoints/iteration-00000006"));
    for file in ["model.bpk", "scheduler.bpk"] {
        let bytes = |run: &str| std::fs::read(last(run).join(file)).unwrap();
        assert!(bytes("a") == bytes("b"), "other bytes in {file}");
    }
    // burn writes this one in the order of a random hash map.
    let optimizer = |run: &str| {
        let reader = burn_pack::Reader::from_file(last(run).join("optim.bpk")).unwrap();
        let names: Vec<String> = reader.tensor_names().into_iter().map(str::to_owned).collect();
        let tensors = names.into_iter().map(|name| (reader.tensor_data(&name).unwrap(), name));
        let mut tensors: Vec<_> = tensors.map(|(data, name)| (name, data)).collect();
        tensors.sort();
        (tensors, format!("{:?}", reader.scalars()))
    };
    let (a, b) = (optimizer("a"), optimizer("b"));
    assert!(a.0.len() > 10 && a == b, "another state of the optimizer");
}

#[test]
fn a_killed_run_resumes_from_its_last_checkpoint() {
    let farm = Farm::new();
    let (undisturbed, losses) = farm.train("a", &["accumulation=2", "optimizer.clip_norm=0.1"]);
    // The state of a killed process: of everything after the checkpoint of iteration 4 only the metrics remain.
    let config = farm.config(&["accumulation=2", "optimizer.clip_norm=0.1"]);
    farm.train("b", &["accumulation=2", "optimizer.clip_norm=0.1"]);
    let run = farm.training("b", &config).unwrap().run_directory().clone();
    assert_eq!(run.checkpoints().unwrap(), [4, 6]);
    std::fs::remove_dir_all(run.checkpoint_path(6)).unwrap();
    std::fs::remove_file(run.model_path()).unwrap();
    let training = farm.training("b", &config).unwrap();
    assert_eq!((training.iteration(), run.metrics().unwrap().len()), (4, 4));
    let (outcome, iterations) = followed(training, u64::MAX);
    outcome.unwrap();
    let seen: Vec<f64> = iterations.iter().map(Iteration::loss).collect();
    assert_eq!(seen, losses[4..]);
    assert!(
        model_bytes(&farm.path("b")) == undisturbed,
        "other bytes than the undisturbed run"
    );
    assert_eq!(run.metrics().unwrap().len(), 6);
}

#[test]
fn threads_change_nothing_and_the_seed_changes_everything() {
    let farm = Farm::new();
    let (one, _) = farm.train("a", &["iterations=2"]);
    let (three, _) = farm.train("b", &["iterations=2", "data.threads=3", "data.batches_ahead=4"]);
    let (other, _) = farm.train("c", &["iterations=2", "seed=6"]);
    assert!(one == three);
    assert!(one != other);
}

#[test]
fn micro_batches_give_the_loss_of_the_batch() {
    let farm = Farm::new();
    let still = ["model.prompts.dropout=0.0", "model.decoder.dropout=0.0"];
    let (_, whole) = farm.train("a", &still);
    let (_, parts) = farm.train("b", &[&still[..], &["accumulation=4"]].concat());
    for (whole, parts) in whole.iter().zip(&parts) {
        assert!((whole - parts).abs() <= 1e-4 * whole, "{whole} {parts}");
    }
}

#[test]
fn a_run_begun_with_old_keys_resumes() {
    let farm = Farm::new();
    let (undisturbed, losses) = farm.train("a", &["optimizer.lr=1e-3"]);
    let config = farm.config(&["optimizer.lr=1e-3"]);
    let (outcome, mut seen) = followed(farm.training("b", &config).unwrap(), 3);
    assert_eq!(outcome.unwrap(), Outcome::Interrupted { iteration: 3 });
    // As versions with British spellings wrote it.
    let path = farm.path("b/config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("[optimizer]"));
    std::fs::write(&path, text.replace("[optimizer]", "[optimiser]")).unwrap();
    let run = zegclip_train::RunDirectory::open(&farm.path("b")).unwrap();
    let recorded: zegclip_train::TrainConfig = run.config().unwrap();
    assert_eq!(recorded, config);
    let (outcome, iterations) = followed(farm.training("b", &recorded).unwrap(), u64::MAX);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    seen.extend(iterations);
    assert_eq!(seen.iter().map(Iteration::loss).collect::<Vec<_>>(), losses);
    assert!(model_bytes(&farm.path("b")) == undisturbed);
    run.record_config(&config).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("[optimizer]"));
}
