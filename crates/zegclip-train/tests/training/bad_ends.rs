//! Runs that cannot start, continue or be saved: typed errors, and the last checkpoint is intact.

use zegclip_train::{Checkpoint, RunDirectory, TrainData, TrainError};

use crate::farm::{Farm, followed};

#[test]
fn resume_refuses_another_configuration() {
    let farm = Farm::new();
    farm.train("a", &["iterations=2"]);
    let error = farm
        .training("a", &farm.config(&["iterations=2", "optimizer.lr=1e-3"]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "`{}` has another configuration: `optimizer.lr` is 0.00002 there and 0.001 now",
            farm.path("a/config.toml").display()
        )
    );
    // Values that the result does not depend on may change.
    farm.training("a", &farm.config(&["iterations=2", "run.keep=7", "data.threads=1"]))
        .unwrap();
}

#[test]
fn a_damaged_checkpoint_names_the_intact_one() {
    let farm = Farm::new();
    farm.train("a", &[]);
    let config = farm.config(&[]);
    let run = RunDirectory::open(&farm.path("a")).unwrap();
    let folder = run.checkpoint_path(6);
    let path = folder.join("model.bpk");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = farm.training("a", &config).unwrap_err().to_string();
    let checkpoints = farm.path("a/checkpoints");
    let named = |iteration: u32| {
        checkpoints
            .join(format!("iteration-0000000{iteration}"))
            .display()
            .to_string()
    };
    let (start, end) = (
        format!("checkpoint `{}` is damaged: ", named(6)),
        format!("; newest intact checkpoint: `{}`", named(4)),
    );
    assert!(error.starts_with(&start) && error.ends_with(&end), "{error}");
    // Every byte counts, in every file.
    for file in ["model.bpk", "optim.bpk", "scheduler.bpk", "state.json"] {
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(Checkpoint::open(&folder).unwrap().iteration(), 6);
        let damaged = folder.join(file);
        let intact = std::fs::read(&damaged).unwrap();
        for place in [intact.len() / 2, intact.len() - 2] {
            let mut bytes = intact.clone();
            bytes[place] ^= 1;
            std::fs::write(&damaged, bytes).unwrap();
            let error = Checkpoint::open(&folder).unwrap_err().to_string();
            assert!(error.contains("damaged"), "{file}: {error}");
        }
        std::fs::write(&damaged, intact).unwrap();
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(farm.training("a", &config).unwrap().iteration(), 4);
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let farm = Farm::new();
    // A decay beyond one, which multiplies the parameters by about -100 in each update.
    let overrides = [
        "iterations=40",
        "optimizer.lr=1e-3",
        "optimizer.weight_decay=1e4",
        "schedule.warmup=0",
    ];
    let overrides = [&overrides[..], &["run.checkpoint_interval=1"]].concat();
    let training = farm.training("a", &farm.config(&overrides)).unwrap();
    let error = training.run().unwrap_err();
    let TrainError::NotFinite {
        iteration,
        quantity,
        ref samples,
        ref checkpoint,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(samples.len(), 4, "{error}");
    let expected = format!(
        " at iteration {iteration}; last good checkpoint: `{}`",
        checkpoint.as_ref().expect("a checkpoint before").display()
    );
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("{quantity} is ")) && text.ends_with(&expected),
        "{text}"
    );
    assert!(farm.path("a/report.html").is_file(), "the curves show what happened");
    let checkpoint = checkpoint.as_ref().expect("a checkpoint before");
    assert_eq!(Checkpoint::open(checkpoint).unwrap().iteration(), iteration - 1);
    let reader = burn_pack::Reader::from_file(checkpoint.join("model.bpk")).unwrap();
    for name in reader.tensor_names() {
        let bytes = reader.tensor_data(name).unwrap();
        let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        assert!(values.into_iter().all(f32::is_finite), "{name}");
    }

    let training = farm
        .training("b", &farm.config(&["optimizer.lr=1e30", "schedule.warmup=0"]))
        .unwrap();
    let error = training.run().unwrap_err().to_string();
    assert!(
        error.ends_with(" at iteration 1; no checkpoint was written before it"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_the_run() {
    let farm = Farm::new();
    let config = farm.config(&[]);
    let training = farm.training("a", &config).unwrap();
    let (checkpoints, moved) = (farm.path("a/checkpoints"), farm.path("a/moved"));
    let (from, to) = (checkpoints.clone(), moved.clone());
    let training = training.on_iteration(move |item| {
        if item.iteration == 3 {
            std::fs::rename(&from, &to).unwrap();
        }
    });
    let error = training.run().unwrap_err().to_string();
    assert!(
        error.starts_with("cannot write `") && error.contains("checkpoints") && error.contains("No such file"),
        "{error}"
    );
    std::fs::rename(&moved, &checkpoints).unwrap();
    assert_eq!(
        RunDirectory::open(&farm.path("a"))
            .unwrap()
            .latest()
            .unwrap()
            .unwrap()
            .iteration(),
        2
    );
}

#[test]
fn a_data_set_without_seen_classes_is_refused() {
    let farm = Farm::new();
    let text = std::fs::read_to_string(farm.path("farm.toml")).unwrap();
    std::fs::write(
        farm.path("farm.toml"),
        text.replace("[\"sofa\"]", "[\"cow\", \"sheep\", \"sofa\", \"grass\"]"),
    )
    .unwrap();
    let error = TrainData::open(&farm.config(&[])).unwrap_err().to_string();
    assert_eq!(error, "data set `farm` has no seen class");
    assert_eq!(
        TrainData::open(&farm.config(&["setting=full"]))
            .unwrap()
            .vocabulary()
            .len(),
        4
    );
}

#[test]
fn sizes_that_do_not_fit_the_weights_create_nothing() {
    let farm = Farm::new();
    let shipped = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../assets/example/random-clip.safetensors"
    );
    let clip = format!("model.clip={shipped}");
    let sizes = ["model.image_size=64", "model.stride=53", "data.pipeline.crop_size=64"];
    for (set, key, expected) in [
        (
            "model.prompts.blocks=99",
            "model.prompts.blocks",
            "the image encoder has",
        ),
        ("model.decoder.heads=7", "model.decoder.heads", "must divide the width"),
        ("model.decoder.heads=0", "model.decoder.heads", "must divide the width"),
    ] {
        let config = farm.clip_config(&[&sizes[..], &[&clip, set]].concat());
        let path = farm.path("refused");
        let error = RunDirectory::create(&path, &config).unwrap_err();
        assert!(error.is_configuration_error() && !path.exists(), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("`{key}` = ")) && text.contains(expected),
            "{text}"
        );
    }
    let missing = farm.clip_config(&["model.clip=no-such.safetensors"]);
    let error = RunDirectory::create(&farm.path("refused"), &missing).unwrap_err();
    assert!(
        matches!(error, TrainError::Weights(_)) && !farm.path("refused").exists(),
        "{error}"
    );
}

#[test]
fn published_text_features_of_another_width_are_refused() {
    let farm = Farm::new();
    let config = farm.config(&["model.published_text_features=true"]);
    let error = farm.training("a", &config).unwrap_err();
    let expected = "the published text features of `coco171` have width 512, the model has `embed_dim` = 16";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_run_belongs_to_one_process_at_a_time() {
    let farm = Farm::new();
    let config = farm.config(&[]);
    let first = farm.training("a", &config).unwrap();
    let error = farm.training("a", &config).unwrap_err().to_string();
    let expected = format!("`{}` is in use by another process", farm.path("a").display());
    assert!(error.starts_with(&expected), "{error}");
    drop(first);
    farm.training("a", &config).unwrap();
}

#[test]
fn a_changed_data_set_is_noticed_by_a_resumed_run() {
    let farm = Farm::new();
    let config = farm.config(&[]);
    let (outcome, _) = followed(farm.training("a", &config).unwrap(), 3);
    outcome.unwrap();
    std::fs::remove_file(farm.path("photos/4.png")).unwrap();
    std::fs::remove_file(farm.path("masks/4.png")).unwrap();
    let error = farm.training("a", &config).unwrap_err().to_string();
    assert!(
        error.contains("was started with another `data.dataset`: 5 entries") && error.contains(", 4 entries"),
        "{error}"
    );
}

#[test]
fn a_changed_clip_is_noticed_by_a_resumed_run() {
    let farm = Farm::new();
    let clip = farm.path("clip.safetensors");
    let shipped = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../assets/example/random-clip.safetensors"
    );
    std::fs::copy(shipped, &clip).unwrap();
    let set = format!("model.clip={}", clip.display());
    let sizes = [
        "model.image_size=64",
        "model.stride=53",
        "data.pipeline.crop_size=64",
        "data.pipeline.scale=[160, 80]",
    ];
    let config = farm.clip_config(&[&sizes[..], &[&set]].concat());
    let (outcome, _) = followed(farm.training("a", &config).unwrap(), 1);
    outcome.unwrap();
    let mut bytes = std::fs::read(&clip).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&clip, bytes).unwrap();
    let error = farm.training("a", &config).unwrap_err().to_string();
    assert!(error.contains("was started with another `model.clip`"), "{error}");
}

#[test]
fn a_run_of_the_previous_format_is_refused() {
    let farm = Farm::new();
    farm.train("a", &["iterations=2"]);
    let old = farm.path("a/checkpoints/iteration-00000002.safetensors");
    let header = r#"{"__metadata__":{"state":"{\"format\":\"zegclip-checkpoint-1\"}"}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    std::fs::write(&old, bytes).unwrap();
    let error = farm.training("a", &farm.config(&["iterations=2"])).unwrap_err();
    assert!(
        matches!(&error, TrainError::OldCheckpoint { path } if *path == old),
        "{error}"
    );
    let initial = format!("model.initial={}", old.display());
    let error = farm.training("b", &farm.config(&[&initial])).unwrap_err();
    assert!(matches!(error, TrainError::OldCheckpoint { .. }), "{error}");
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let farm = Farm::new();
    farm.train("a", &["iterations=2"]);
    let initial = format!("model.initial={}", farm.path("a/checkpoints/half-way").display());
    let error = farm
        .training("b", &farm.config(&["model.decoder.layers=3", &initial]))
        .unwrap_err();
    assert!(matches!(error, TrainError::CheckpointMismatch { .. }), "{error}");
}

#[test]
fn initial_weights_of_other_heads_are_refused() {
    let farm = Farm::new();
    farm.train("a", &["iterations=2"]);
    let initial = format!("model.initial={}", farm.path("a/model.safetensors").display());
    for (run, set, found) in [
        ("b", "model.decoder.heads=1", "decoder heads"),
        ("c", "model.relation=difference_text", "relation"),
    ] {
        let error = farm.training(run, &farm.config(&[set, &initial])).unwrap_err();
        assert!(error.is_configuration_error(), "{error}");
        let error = error.to_string();
        assert!(error.contains("model.initial") && error.contains(found), "{error}");
    }
}

#[test]
fn a_panic_in_an_iteration_is_passed_on() {
    let farm = Farm::new();
    let training = farm.training("a", &farm.config(&[])).unwrap();
    let training = training.on_iteration(|item| assert!(item.iteration < 2, "a test's panic"));
    let panic = std::thread::spawn(|| training.run()).join().unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>().copied(), Some("a test's panic"));
    // The lock is released.
    farm.training("a", &farm.config(&[])).unwrap();
}

#[test]
fn changed_initial_weights_are_noticed_before_the_first_checkpoint() {
    let farm = Farm::new();
    let initial = farm.path("initial.safetensors");
    for run in ["one", "two"] {
        farm.train(run, &["iterations=1", if run == "one" { "seed=1" } else { "seed=2" }]);
    }
    let put = |run: &str| std::fs::copy(farm.path(&format!("{run}/model.safetensors")), &initial).unwrap();
    put("one");
    let config = farm.config(&[&format!("model.initial={}", initial.display())]);
    drop(farm.training("a", &config).unwrap());
    put("two");
    let error = farm.training("a", &config).unwrap_err().to_string();
    assert!(error.contains("was started with another `model.initial`"), "{error}");
    put("one");
    let (outcome, _) = followed(farm.training("a", &config).unwrap(), 2);
    outcome.unwrap();
    std::fs::remove_file(&initial).unwrap();
    farm.training("a", &config).unwrap().run().unwrap();
}

#[test]
fn existing_files_are_neither_replaced_nor_removed() {
    let farm = Farm::new();
    for name in ["metrics.jsonl", "model.safetensors", "report.html", "inputs.json"] {
        let folder = farm.path(&name.replace('.', "-"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(name), "mine").unwrap();
        let error = RunDirectory::create(&folder, &farm.config(&[])).unwrap_err();
        assert!(matches!(error, TrainError::RunExists { .. }), "{error}");
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
