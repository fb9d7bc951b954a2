//! Runs that cannot start, go on or be saved: one message each, and the last good state is kept.

use burn::tensor::Device;
use zegclip_train::{Checkpoint, RunDirectory, Step, TrainData, TrainError, Trainer};

use crate::farm::Farm;

#[test]
fn resume_refuses_another_configuration() {
    let farm = Farm::new();
    farm.train("a", &["iterations=2"]);
    let error = farm
        .trainer("a", &farm.config(&["iterations=2", "optimiser.lr=1e-3"]))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "`{}` was made with another configuration: `optimiser.lr` is 0.00002 there and 0.001 now; start a new run, or resume \
             with the recorded one",
            farm.path("a/config.toml").display()
        )
    );
    // What changes nothing about the result may change.
    farm.trainer("a", &farm.config(&["iterations=2", "run.keep=7", "data.threads=1"]))
        .unwrap();
}

#[test]
fn a_damaged_checkpoint_offers_the_one_before() {
    let farm = Farm::new();
    farm.train("a", &[]);
    let config = farm.config(&[]);
    let run = RunDirectory::open(&farm.path("a")).unwrap();
    let path = run.checkpoint_path(6);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = farm.trainer("a", &config).unwrap_err().to_string();
    let checkpoints = farm.path("a/checkpoints");
    let named = |iteration: u32| {
        checkpoints
            .join(format!("iteration-0000000{iteration}.safetensors"))
            .display()
            .to_string()
    };
    let (start, end) = (
        format!("checkpoint `{}` is damaged (", named(6)),
        format!("); remove it and resume again to go on from `{}`", named(4)),
    );
    assert!(error.starts_with(&start) && error.ends_with(&end), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(farm.trainer("a", &config).unwrap().iteration(), 4);
}

#[test]
fn a_loss_that_is_no_number_stops_and_keeps_a_good_state() {
    let farm = Farm::new();
    // A decay beyond one, which multiplies the parameters by about -10^4 in each update.
    let overrides = [
        "iterations=40",
        "optimiser.lr=1e-3",
        "optimiser.weight_decay=1e6",
        "schedule.warmup=0",
    ];
    let overrides = [&overrides[..], &["run.checkpoint_interval=1"]].concat();
    let mut trainer = farm.trainer("a", &farm.config(&overrides)).unwrap();
    let error = trainer.run(&mut |_: &Step| ()).unwrap_err();
    let TrainError::NotFinite {
        iteration,
        ref samples,
        ref checkpoint,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert!(
        samples.matches('`').count() == 8 && error.to_string().contains("optimiser.lr"),
        "{error}"
    );
    let expected = format!(
        "; the last good state is `{}`, which `model.initial` takes. Look at these samples, or start a new run with a lower \
         `optimiser.lr`",
        checkpoint.as_ref().expect("a checkpoint before").display()
    );
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("iteration {iteration}: the loss is ")) && text.ends_with(&expected),
        "{text}"
    );
    assert!(farm.path("a/report.html").is_file(), "the curves show what happened");
    let kept = Checkpoint::read(checkpoint.as_ref().expect("a checkpoint before")).unwrap();
    assert_eq!(kept.iteration, iteration - 1);
    assert!(
        kept.parameters
            .values()
            .flat_map(|values| &values.values)
            .all(|value| value.is_finite())
    );

    let mut trainer = farm
        .trainer("b", &farm.config(&["optimiser.lr=1e30", "schedule.warmup=0"]))
        .unwrap();
    let error = trainer.run(&mut |_: &Step| ()).unwrap_err().to_string();
    assert!(
        error.contains("iteration 1: ") && error.contains("no checkpoint was written"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_that_cannot_be_written_stops_with_the_last_one_whole() {
    let farm = Farm::new();
    let config = farm.config(&[]);
    let mut trainer = farm.trainer("a", &config).unwrap();
    let (checkpoints, moved) = (farm.path("a/checkpoints"), farm.path("a/moved"));
    let error = trainer.run(&mut |step: &Step| {
        if step.iteration == 3 {
            std::fs::rename(&checkpoints, &moved).unwrap();
        }
    });
    let error = error.unwrap_err().to_string();
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
            .iteration,
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
    assert_eq!(
        error,
        "data set `farm` has no seen class, so that there is nothing to train on; mark classes as seen, or use `setting = \
         \"full\"`"
    );
    assert_eq!(
        TrainData::open(&farm.config(&["setting=full"]))
            .unwrap()
            .vocabulary()
            .len(),
        4
    );
}

#[test]
fn sizes_that_do_not_fit_are_told_by_their_key() {
    let farm = Farm::new();
    for (set, expected) in [
        (
            "model.prompts.blocks=5",
            "`model.prompts.blocks` = 5: the image encoder has 2 blocks",
        ),
        (
            "model.decoder.heads=3",
            "`model.decoder.heads` = 3: it must divide the width 16",
        ),
        (
            "model.untrained_clip.vision.heads=5",
            "`model.untrained_clip.vision.heads` = 5",
        ),
        (
            "model.untrained_clip.text.heads=5",
            "`model.untrained_clip.text.heads` = 5: it must divide the width 16",
        ),
        (
            "model.published_text_features=true",
            "there are no text features for cow, sheep, grass",
        ),
    ] {
        let config = farm.config(&[set]);
        let run = RunDirectory::create(&farm.path(&set.replace(['.', '='], "-")), &config).unwrap();
        let error = Trainer::new(config.clone(), TrainData::open(&config).unwrap(), run, &Device::flex())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}
