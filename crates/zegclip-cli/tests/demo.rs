//! The built-in demo model: on its own benchmark, and wherever no weights are named.

mod program;

use program::{asset, zegclip};
use serde_json::Value;

const LIMITS: &str = "knows only drawings of the 155 things";

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

#[test]
fn the_demo_writes_scores_pictures_and_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("demo");
    let output = out.display().to_string();
    let run = |more: &[&str]| {
        let mut arguments = vec!["demo", "--count", "3", "--output", &output];
        arguments.extend_from_slice(more);
        zegclip(&arguments)
    };
    let outcome = run(&["--json"]);
    outcome.check(0, &[LIMITS, "index.html"]);
    let splits = outcome.stdout.lines().map(json).collect::<Vec<_>>();
    assert_eq!(splits.len(), 2);
    for (split, name) in splits.iter().zip(["known_artists", "unknown_artist"]) {
        assert_eq!(
            (split["split"].as_str(), split["images"].as_u64()),
            (Some(name), Some(3))
        );
        assert_eq!(split["classes"].as_array().map(Vec::len), Some(155));
        assert!(split["model"].as_str().is_some_and(|model| model.contains(LIMITS)));
        assert!(split["pixel_accuracy"].as_f64().is_some() && split.get("hiou").is_some());
        let saved = std::fs::read_to_string(out.join(name).join("evaluation.json")).expect("scores");
        assert_eq!(&json(&saved), split);
        for index in 0..3 {
            let picture = image::open(out.join(name).join(format!("scene-{index:02}.png"))).expect("a picture");
            assert!(picture.width() > 3 * 380 && picture.height() > 400, "{picture:?}");
        }
    }
    assert_eq!(splits[1]["artists"], serde_json::json!(["twemoji"]));
    let page = std::fs::read_to_string(out.join("index.html")).expect("a page");
    assert!(page.contains(LIMITS) && page.contains("Scenes by unknown artist"));
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 2 * 3 * 4);
    assert!(!page.contains("src=\"http"), "nothing is fetched");

    // The same numbers as a table; never over what exists.
    run(&[]).check(2, &["index.html` already exists", "--overwrite"]);
    let table = run(&["--overwrite"]);
    table.check(0, &[]);
    for words in ["known artists", "unknown artist", "mIoU(U)", "hIoU"] {
        assert!(table.stdout.contains(words), "{}", table.stdout);
    }
    run(&["--size", "8", "--overwrite"]).check(2, &["32..=1024"]);
}

#[test]
fn the_demo_scores_what_scenes_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let demo = zegclip(&[
        "demo",
        "--count",
        "4",
        "--seed",
        "9",
        "--output",
        &path("demo"),
        "--json",
    ]);
    demo.check(0, &[]);
    let unknown = json(demo.stdout.lines().nth(1).expect("the second split"));
    let (scenes, seed) = (path("scenes"), ["--count", "4", "--seed", "9"]);
    let mut arguments = vec!["scenes", scenes.as_str(), "--split", "test"];
    arguments.extend(seed);
    zegclip(&arguments).check(0, &[]);
    let toml = path("scenes/dataset.toml");
    let eval = zegclip(&[
        "eval",
        "--dataset",
        &toml,
        "--device",
        "cpu",
        "--output",
        &path("eval"),
        "--json",
    ]);
    eval.check(0, &[LIMITS]);
    let eval = json(&eval.stdout);
    for key in ["pixel_accuracy", "miou", "miou_seen", "miou_unseen", "hiou"] {
        assert_eq!(eval[key], unknown[key], "{key}");
    }
    let page = std::fs::read_to_string(path("eval/evaluation.html")).expect("a page");
    assert!(page.contains(LIMITS));
}

#[test]
fn without_weights_the_demo_model_is_used_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().display().to_string();
    let image = asset("photos/chelsea.jpg");
    let arguments = [
        "segment",
        &image,
        "--classes",
        "cat, train|locomotive, grass",
        "--device",
        "cpu",
    ];
    let mut all = arguments.to_vec();
    all.extend(["--output", &output, "--json"]);
    let outcome = zegclip(&all);
    outcome.check(0, &["built-in demo model", LIMITS, "--weights FILE"]);
    let result = json(&outcome.stdout);
    assert!(result["model"].as_str().is_some_and(|model| model.contains(LIMITS)));
    // The file says which names had pixel labels.
    let seen = result["classes"]
        .as_array()
        .expect("classes")
        .iter()
        .map(|class| class["seen"].as_bool());
    assert_eq!(seen.collect::<Vec<_>>(), [Some(true), Some(false), Some(true)]);

    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    let unknown = [
        "segment",
        &image,
        "--classes",
        "cat, spaceship",
        "--device",
        "cpu",
        "--output",
    ];
    let unknown = zegclip(&[&unknown[..], &[&format!("{output}/unknown")]].concat());
    unknown.check(
        0,
        &[
            "warning: the model was not trained on all words of `spaceship`",
            "meaningless",
        ],
    );

    let inspect = zegclip(&["inspect", "--json"]);
    inspect.check(0, &[LIMITS]);
    let file = zegclip(&[
        "inspect",
        &test_support::repository()
            .join("crates/zegclip/assets/demo-model/demo-model.safetensors")
            .display()
            .to_string(),
        "--json",
    ]);
    let (built_in, file) = (json(&inspect.stdout), json(&file.stdout));
    for key in ["format", "tensors", "parameters", "architecture"] {
        assert_eq!(built_in[key], file[key], "{key}");
    }
}
