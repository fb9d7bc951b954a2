//! Files: hidden ones, results of earlier runs, links, names that are not UTF-8, threads, interruptions.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use image::{GrayImage, Luma, Rgb, RgbImage};

use crate::program::{Outcome, asset, command};

/// A folder of inputs and results.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }

    fn image(&self, name: impl AsRef<Path>) {
        let name = name.as_ref();
        let seed = name.as_os_str().len() as u8;
        let image = RgbImage::from_fn(32, 24, |x, y| Rgb([(8 * x) as u8, (10 * y) as u8, seed]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).expect("an image");
        self.write(name, bytes.into_inner());
    }

    fn mask(&self, name: impl AsRef<Path>) {
        let mask = GrayImage::from_fn(32, 24, |x, _| Luma([u8::from(x > 9)]));
        let mut bytes = std::io::Cursor::new(Vec::new());
        mask.write_to(&mut bytes, image::ImageFormat::Png).expect("a mask");
        self.write(name, bytes.into_inner());
    }

    fn dataset(&self, images: &str, labels: &str) {
        let text =
            format!("classes = [\"sky\", \"grass\"]\n[splits.val]\nimages = \"{images}\"\nlabels = \"{labels}\"\n");
        self.write("own.toml", text);
    }

    /// Names in a folder, in order.
    fn names(&self, folder: &str) -> BTreeSet<OsString> {
        let entries = std::fs::read_dir(self.path(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs the program in this folder.
    fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Outcome {
        let mut command = command();
        command.args(arguments);
        self.within(60, command)
    }

    fn segment(&self, arguments: &[&str]) -> Outcome {
        self.run(&[&["segment", "--classes", "sky, grass", "--device", "cpu"], arguments].concat())
    }

    /// Runs a command in this folder, which must end in time.
    fn within(&self, seconds: u64, mut command: Command) -> Outcome {
        let outputs = tempfile::tempdir().expect("a folder");
        let path = |name: &str| outputs.path().join(name);
        let file = |name: &str| File::create(path(name)).expect("a file");
        command.current_dir(self.0.path()).stdin(Stdio::null());
        let mut child = command
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn()
            .expect("it starts");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            if begun.elapsed() > Duration::from_secs(seconds) {
                child.kill().expect("a child");
                panic!("{command:?} did not end within {seconds} s");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let text = |name: &str| String::from_utf8_lossy(&std::fs::read(path(name)).expect("a file")).into_owned();
        Outcome {
            code: status.code(),
            stdout: text("out"),
            stderr: text("err"),
        }
    }
}

fn set(names: &[&str]) -> BTreeSet<OsString> {
    names.iter().map(OsString::from).collect()
}

/// All results of an image but its scores.
fn results(names: &[&str]) -> BTreeSet<OsString> {
    let files = |name: &&str| ["json", "labels.png", "overlay.png"].map(|end| OsString::from(format!("{name}.{end}")));
    names.iter().flat_map(files).collect()
}

#[test]
fn hidden_files_are_input_only_if_they_are_named() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.image(format!("photos/{name}.png"));
        place.mask(format!("masks/{name}.png"));
        place.write(format!("photos/._{name}.png"), [0, 5, 22, 7, 0, 2]);
        place.write(format!("masks/._{name}.png"), [0, 5, 22, 7, 0, 2]);
    }
    place.dataset("photos/*.*", "masks/**/*.png");
    place.segment(&["photos", "--output", "folder"]).check(0, &[]);
    place.segment(&["photos/*.png", "--output", "pattern"]).check(0, &[]);
    place.segment(&["**/photos/*.p?g", "--output", "deep"]).check(0, &[]);
    for folder in ["folder", "pattern", "deep"] {
        assert_eq!(place.names(folder), results(&["a", "b"]), "{folder}");
    }
    place.run(&["dataset", "check", "own.toml"]).check(0, &[]);
    let eval = place.run(&[
        "eval",
        "--dataset",
        "own.toml",
        "--output",
        "eval",
        "--device",
        "cpu",
        "--save-labels",
    ]);
    eval.check(0, &[]);
    place
        .run(&["score", "--dataset", "own.toml", "--predictions", "eval/labels"])
        .check(0, &[]);
    place.write("names.txt", "sky\ngrass\n");
    let folders = ["score", "--labels", "masks", "--predictions", "masks"];
    let score = place.run(&[&folders[..], &["--vocabulary", "names.txt", "--json"]].concat());
    score.check(0, &[]);
    assert!(
        score.stdout.contains("\"images\":2") || score.stdout.contains("\"images\": 2"),
        "{}",
        score.stdout
    );
    // A hidden file that is named is taken: this one is damaged, and the other is an image.
    place
        .segment(&["photos/._a.png", "--output", "named"])
        .check(1, &["photos/._a.png"]);
    place.image(".hidden/.c.png");
    place.segment(&[".hidden/.c.png", "--output", "named"]).check(0, &[]);
    place.segment(&[".hidden/.*.png", "--output", "dotted"]).check(0, &[]);
    assert_eq!(place.names("dotted"), results(&[".c"]));
}

#[test]
fn results_of_an_earlier_run_are_not_input() {
    let place = Place::new();
    place.image("photos/a.png");
    place.image("photos/b.png");
    let first = place.segment(&["photos", "--output", "photos", "--scores"]);
    first.check(0, &[]);
    let expected = place.names("photos");
    assert_eq!(expected.len(), 2 + 2 * 4);
    // As they exist, they are not replaced.
    place
        .segment(&["photos", "--output", "photos"])
        .check(2, &["already exists", "--overwrite"]);
    let again = place.segment(&["photos", "--output", "photos", "--scores", "--overwrite"]);
    again.check(0, &["note: ", "results of an earlier run", "3 more"]);
    assert_eq!(
        (again.stdout.lines().count(), place.names("photos")),
        (2, expected.clone())
    );
    // Elsewhere, by patterns, and named by the pattern of a shell.
    for (arguments, output) in [(&["photos"][..], "x"), (&["photos/*"], "y"), (&["**/*.png"], "z")] {
        place
            .segment(&[arguments, &["--output", output]].concat())
            .check(0, &[]);
        assert_eq!(place.names(output), results(&["a", "b"]), "{output}");
    }
    let named = ["photos/a.labels.png", "photos/a.overlay.png", "photos/a.png"];
    place
        .segment(&[&named[..], &["--output", "photos", "--overwrite"]].concat())
        .check(0, &["results of an earlier run"]);
    assert!(!place.path("photos/a.labels.labels.png").exists());
    // An image that is called so beside nothing is an image.
    place.image("others/c.labels.png");
    place.segment(&["others", "--output", "w"]).check(0, &[]);
    assert_eq!(place.names("w"), results(&["c.labels"]));
    // Of a run that was killed before it wrote the description.
    std::fs::remove_file(place.path("photos/a.json")).expect("a file");
    place
        .segment(&["photos", "--output", "photos", "--overwrite"])
        .check(0, &["results"]);
    assert!(!place.path("photos/a.overlay.overlay.png").exists());
}

#[test]
fn overwriting_leaves_nothing_of_an_earlier_run() {
    let place = Place::new();
    place.image("a.png");
    place.image("b.png");
    place
        .run(&[
            "segment",
            "a.png",
            "b.png",
            "--classes",
            "cat, dog",
            "--scores",
            "--output",
            "out",
            "--device",
            "cpu",
        ])
        .check(0, &[]);
    for name in ["a.txt", "c.json", "a.labels.png.txt"] {
        place.write(format!("out/{name}"), "mine");
    }
    let half = std::fs::read(place.path("b.png")).expect("an image");
    place.write("b.png", &half[..60]);
    // What is wrong before the first image leaves all as it was.
    let before = place.names("out");
    place
        .segment(&["a.png", "--weights", "missing.pth", "--overwrite", "--output", "out"])
        .check(1, &["missing.pth"]);
    assert_eq!(place.names("out"), before);
    place
        .segment(&["a.png", "b.png", "--overwrite", "--output", "out"])
        .check(1, &["b.png", "1 of 2 images failed"]);
    let mut expected = results(&["a"]);
    expected.extend(set(&["a.txt", "c.json", "a.labels.png.txt"]));
    assert_eq!(place.names("out"), expected);
    assert!(place.text("out/a.json").contains("grass"));
    // Alone it fails as well.
    place.write("out/b.json", "stale");
    place
        .segment(&["b.png", "--overwrite", "--output", "out"])
        .check(1, &["b.png"]);
    assert_eq!(place.names("out"), expected);
}

#[test]
fn overwriting_is_the_same_for_every_command() {
    let place = Place::new();
    place.image("photos/a.png");
    place.mask("masks/a.png");
    place.dataset("photos/*.png", "masks/*.png");
    let eval = |more: &[&str]| {
        let arguments = ["eval", "--dataset", "own.toml", "--output", "out", "--device", "cpu"];
        place.run(&[&arguments[..], more].concat())
    };
    eval(&["--save-labels"]).check(0, &[]);
    place.write("out/notes.txt", "mine");
    assert!(place.path("out/labels/a.png").exists());
    let image = std::fs::read(place.path("photos/a.png")).expect("an image");
    place.write("photos/a.png", &image[..70]);
    eval(&["--overwrite"]).check(1, &["a.png"]);
    assert_eq!(place.names("out"), set(&["labels", "notes.txt"]));
    assert!(place.names("out/labels").is_empty());
    place.write("photos/a.png", &image);

    // The sum of shards has no page, and one of before is not its page.
    eval(&["--shard", "1/1"]).check(0, &[]);
    let shards: Vec<_> = place.names("out").into_iter().collect();
    let confusion = shards
        .iter()
        .find(|name| name.to_string_lossy().ends_with(".confusion.json"));
    let confusion = format!("out/{}", confusion.expect("a shard").to_string_lossy());
    for name in ["evaluation.html", "evaluation.json", "evaluation.confusion.json"] {
        place.write(format!("sum/{name}"), "stale");
    }
    place
        .run(&["score", "--merge", &confusion, "--output", "sum", "--overwrite"])
        .check(0, &[]);
    assert_eq!(place.names("sum"), set(&["evaluation.json", "evaluation.md"]));

    place.write("shown.png", "stale");
    place
        .run(&[
            "dataset",
            "show",
            "own.toml",
            "shown.png",
            "--index",
            "7",
            "--overwrite",
        ])
        .check(1, &["7"]);
    assert!(!place.path("shown.png").exists());
    place.write("new.safetensors", "stale");
    place.write("bad.pth", "not weights");
    place
        .run(&["convert", "bad.pth", "new.safetensors", "--overwrite"])
        .check(1, &["bad.pth"]);
    // Weights are a user's own: a conversion that fails leaves them.
    assert_eq!(std::fs::read(place.path("new.safetensors")).unwrap(), b"stale");
    place.write("bad.safetensors", "not weights");
    place
        .run(&["convert", "bad.safetensors", "bad.safetensors", "--overwrite"])
        .check(1, &["bad.safetensors"]);
    assert!(place.path("bad.safetensors").exists());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    fn name(bytes: &[u8]) -> OsString {
        OsString::from_vec(bytes.to_vec())
    }

    fn arguments(texts: &[&[u8]]) -> Vec<OsString> {
        texts.iter().map(|text| name(text)).collect()
    }

    #[test]
    fn paths_of_every_option_may_have_any_bytes() {
        let place = Place::new();
        let names = [
            &b"plain.png"[..],
            "two words, déjà vu.png".as_bytes(),
            "日本 🐈.png".as_bytes(),
            b"caf\xe9.png",
        ];
        for bytes in names {
            place.image(name(bytes));
        }
        let tail = [&b"--classes"[..], b"sky, grass", b"--device", b"cpu", b"--output"];
        let all = arguments(&[&[&b"segment"[..]], &names[..], &tail[..], &[b"o\xfft"]].concat());
        place.run(&all).check(0, &[]);
        for bytes in names {
            let stem = bytes.strip_suffix(b".png").expect("an extension");
            for end in [&b".json"[..], b".labels.png", b".overlay.png"] {
                assert!(place.path(name(b"o\xfft")).join(name(&[stem, end].concat())).exists());
            }
        }
        for (input, output) in [
            (&b"."[..], &b"folder"[..]),
            (b"*.png", b"pattern"),
            (b"ca?\xe9*.png", b"bytes"),
        ] {
            let all = arguments(&[&[&b"segment"[..], input], &tail[..], &[output]].concat());
            place.run(&all).check(0, &[]);
        }
        assert_eq!(place.names("folder").len(), 3 * names.len());
        assert_eq!(place.names("pattern").len(), 3 * names.len());
        assert_eq!(place.names("bytes").len(), 3);

        // Weights, class lists, data sets, pages: all in a folder that is not text.
        let folder = PathBuf::from(name(b"d\xe9"));
        let at = |file: &str| [b"d\xe9/", file.as_bytes()].concat();
        std::fs::create_dir(place.path(&folder)).expect("a folder");
        std::fs::copy(
            asset("example/random-weights.safetensors"),
            place.path(folder.join("w.safetensors")),
        )
        .expect("weights");
        place.write(folder.join("names.txt"), "sky\ngrass\n");
        place.image(folder.join("photos").join(name(b"\xe9.png")));
        place.mask(folder.join("masks").join(name(b"\xe9.png")));
        let toml =
            "classes = [\"sky\", \"grass\"]\n[splits.val]\nimages = \"photos/*.png\"\nlabels = \"masks/*.png\"\n";
        place.write(folder.join("own.toml"), toml);
        place.write(
            folder.join("eval.toml"),
            "dataset = \"own.toml\"\noutput = \"eval\"\ndevice = \"cpu\"\n",
        );
        let run = |texts: &[&[u8]]| place.run(&arguments(texts)).check(0, &[]);
        let weights = at("w.safetensors");
        let [toml, list, converted] = [at("own.toml"), at("names.txt"), at("c.safetensors")];
        run(&[b"inspect", &weights]);
        run(&[b"convert", &weights, &converted, b"--vocabulary", &list]);
        run(&[
            b"segment",
            b"plain.png",
            b"--vocabulary",
            &list,
            b"--weights",
            &converted,
            b"--device",
            b"cpu",
        ]);
        run(&[b"dataset", b"check", &toml, b"--chart", &at("chart.png")]);
        run(&[b"dataset", b"check", &toml, b"--json"]);
        run(&[b"dataset", b"show", &toml, &at("shown.png")]);
        run(&[b"eval", &at("eval.toml"), b"--save-labels", b"--vocabulary", &list]);
        run(&[
            b"score",
            b"--dataset",
            &toml,
            b"--predictions",
            &at("eval/labels"),
            b"--output",
            &at("score"),
        ]);
        let [masks, scored] = [at("masks"), at("folders")];
        run(&[
            b"score",
            b"--labels",
            &masks,
            b"--predictions",
            &masks,
            b"--vocabulary",
            &list,
            b"--output",
            &scored,
        ]);
        run(&[b"scenes", &at("scenes"), b"--count", b"1", b"--size", b"32"]);
        run(&[b"man", b"--output", &at("man")]);
    }

    #[test]
    fn an_argument_that_is_not_text_and_no_path_is_named() {
        let place = Place::new();
        place.image(name(b"caf\xe9.png"));
        for texts in [
            &[
                &b"segment"[..],
                b"caf\xe9.png",
                b"--classes",
                b"p\xe9",
                b"--device",
                b"cpu",
            ][..],
            &[b"tokenize", b"p\xe9"],
            &[b"scenes", b"o\xff", b"--artists", b"p\xe9"],
            &[b"eval", b"--dataset", b"voc2012=\xff", b"--split", b"p\xe9"],
        ] {
            let outcome = place.run(&arguments(texts));
            outcome.check(2, &[r"$'p\xe9'"]);
            assert!(!outcome.stderr.contains("caf"), "{}", outcome.stderr);
        }
    }

    #[test]
    fn the_command_to_resume_with_can_be_pasted() {
        let place = Place::new();
        for number in 0..60 {
            let image = RgbImage::from_fn(1400, 200, |x, y| Rgb([x as u8, y as u8, number]));
            std::fs::create_dir_all(place.path("photos")).expect("a folder");
            image
                .save(place.path(format!("photos/{number}.png")))
                .expect("an image");
            std::fs::create_dir_all(place.path("masks")).expect("a folder");
            GrayImage::new(1400, 200)
                .save(place.path(format!("masks/{number}.png")))
                .expect("a mask");
        }
        place.dataset("photos/*.png", "masks/*.png");
        let output = name(b"r\xe9sultats d'\xff");
        let mut command = command();
        command
            .args(["eval", "--device", "cpu", "--dataset", "own.toml", "--output"])
            .arg(&output)
            .current_dir(place.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("it starts");
        let begun = Instant::now();
        // The state is saved after twenty images.
        while !place.path(&output).join("evaluation.state.json").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no image was done");
            std::thread::sleep(Duration::from_millis(20));
        }
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .expect("kill")
                .success()
        );
        let ended: Outcome = child.wait_with_output().expect("the end").into();
        ended.check(1, &["interrupted after", r"--output $'r\xe9sultats d\'\xff'`"]);
        let (_, hint) = ended.stderr.split_once("resume with `zegclip ").expect("a hint");
        let (pasted, _) = hint.rsplit_once('`').expect("a command");
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("{} {pasted}", env!("CARGO_BIN_EXE_zegclip"))]);
        place.within(120, bash).check(0, &["resuming after"]);
        assert!(place.path(&output).join("evaluation.json").exists());
    }

    #[test]
    fn links_count_once_in_every_command() {
        let place = Place::new();
        for folder in ["photos", "masks"] {
            for file in ["1.png", "a/2.png"] {
                if folder == "photos" {
                    place.image(format!("{folder}/{file}"));
                } else {
                    place.mask(format!("{folder}/{file}"));
                }
            }
            symlink(".", place.path(format!("{folder}/latest"))).expect("a link");
            symlink("..", place.path(format!("{folder}/a/above"))).expect("a link");
            symlink("1.png", place.path(format!("{folder}/0.png"))).expect("a link");
        }
        place.dataset("photos/**/*.png", "masks/**/*.png");
        let check = place.run(&["dataset", "check", "own.toml", "--json"]);
        check.check(0, &[]);
        let report: serde_json::Value = serde_json::from_str(&check.stdout).expect("JSON");
        assert_eq!(report["samples"], 2, "{report}");
        let segment = place.segment(&[
            "photos/**/*.png",
            "photos",
            "photos/latest",
            "./photos/1.png",
            "--output",
            "out",
        ]);
        // The link is named by nothing.
        segment.check(0, &[]);
        assert_eq!(place.names("out"), results(&["1", "2"]));
        place.write("names.txt", "sky\ngrass\n");
        let score = [
            "score",
            "--labels",
            "masks",
            "--predictions",
            "masks",
            "--vocabulary",
            "names.txt",
            "--json",
        ];
        let score = place.run(&score);
        score.check(0, &[]);
        let scores: serde_json::Value = serde_json::from_str(&score.stdout).expect("JSON");
        assert_eq!(scores["images"], 2, "{scores}");
        // A link that is named is an image of its own.
        place
            .segment(&["photos/0.png", "photos/1.png", "--output", "named"])
            .check(0, &[]);
        assert_eq!(place.names("named"), results(&["0", "1"]));
    }

    #[test]
    fn a_large_tree_of_circles_takes_a_moment() {
        let place = Place::new();
        for outer in 0..30 {
            place.image(format!("photos/{outer}/x{outer}/{outer}.png"));
            place.mask(format!("masks/{outer}/x{outer}/{outer}.png"));
            for folder in ["photos", "masks"] {
                for link in 0..20 {
                    symlink("../..", place.path(format!("{folder}/{outer}/x{outer}/up{link}"))).expect("a link");
                }
            }
        }
        place.dataset("photos/**/*.png", "masks/**/**/*.png");
        let mut check = command();
        check.args(["dataset", "check", "own.toml", "--json"]);
        let check = place.within(20, check);
        check.check(0, &[]);
        assert!(check.stdout.contains("\"samples\":30"), "{}", check.stdout);
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_named() {
        let place = Place::new();
        place.image("photos/a/1.png");
        place.image("photos/b/2.png");
        let closed = place.path("photos/b");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("permissions");
        let Some(outcome) = as_another(
            &place,
            &["segment", "photos/**/*.png", "--classes", "sky", "--output", "out"],
            "true",
        ) else {
            std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).expect("permissions");
            return;
        };
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        outcome.check(1, &["cannot read `photos/b`"]);
    }

    #[test]
    fn outputs_that_cannot_be_written_are_noticed_before_the_work() {
        let place = Place::new();
        place.image("a.png");
        place.image("photos/a.png");
        place.mask("masks/a.png");
        place.dataset("photos/*.png", "masks/*.png");
        place.write("file", "");
        place.write("closed/x", "");
        let weights = asset("example/random-weights.safetensors");
        // A damaged input that would be the first error if it were read first.
        place.write("bad.png", "damaged");
        for (arguments, words) in [
            (
                &["segment", "bad.png", "--classes", "sky", "--output", "file"][..],
                &["file"][..],
            ),
            (
                &["segment", "bad.png", "--classes", "sky", "--output", "file/deep"],
                &["file/deep"],
            ),
            (
                &[
                    "eval",
                    "--dataset",
                    "own.toml",
                    "--weights",
                    "bad.png",
                    "--output",
                    "file/x",
                ],
                &["file/x"],
            ),
            (
                &[
                    "score",
                    "--dataset",
                    "own.toml",
                    "--predictions",
                    "masks",
                    "--output",
                    "file/x",
                ],
                &["file/x"],
            ),
            (
                &["convert", &weights, "no/w.safetensors"],
                &["no/w.safetensors", "there is no folder `no`"],
            ),
            (
                &["convert", "bad.png", "no/w.pth"],
                &["no/w.pth", "there is no folder `no`"],
            ),
            (
                &["dataset", "show", "own.toml", "no/s.png"],
                &["no/s.png", "there is no folder `no`"],
            ),
            (
                &["dataset", "check", "own.toml", "--chart", "no/s.png"],
                &["no/s.png", "there is no folder `no`"],
            ),
            (
                &["dataset", "show", "own.toml", "photos", "--overwrite"],
                &["`photos`", "a folder, not a file"],
            ),
        ] {
            let outcome = place.run(arguments);
            outcome.check(1, words);
            for word in [".partial", ".zegclip", "damaged", "bad.png` is"] {
                assert!(!outcome.stderr.contains(word), "{arguments:?}: {}", outcome.stderr);
            }
        }
        let closed = place.path("closed");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).expect("permissions");
        for arguments in [
            &["segment", "bad.png", "--classes", "sky", "--output", "closed"][..],
            &[
                "eval",
                "--dataset",
                "own.toml",
                "--weights",
                "bad.png",
                "--output",
                "closed",
            ],
            &[
                "score",
                "--dataset",
                "own.toml",
                "--predictions",
                "masks",
                "--output",
                "closed",
            ],
            &["convert", "bad.png", "closed/w.pth"],
            &["dataset", "show", "own.toml", "closed/s.png"],
        ] {
            if let Some(outcome) = as_another(&place, arguments, "true") {
                outcome.check(1, &["closed", "ermission denied"]);
                assert!(
                    !outcome.stderr.contains(".partial") && !outcome.stderr.contains("bad.png` is"),
                    "{}",
                    outcome.stderr
                );
            }
        }
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    #[test]
    fn pipes_and_devices_are_not_images() {
        let place = Place::new();
        let made = Command::new("mkfifo")
            .arg(place.path("pipe.png"))
            .status()
            .expect("mkfifo");
        assert!(made.success());
        let kind = std::fs::metadata(place.path("pipe.png")).expect("a pipe").file_type();
        assert!(kind.is_fifo());
        place.image("a.png");
        place
            .segment(&["pipe.png", "--output", "out"])
            .check(1, &["pipe.png", "a pipe, not a file", "stdin"]);
        place
            .segment(&["/dev/zero", "--output", "out"])
            .check(1, &["/dev/zero", "a device, not a file"]);
        place
            .segment(&[".", "--output", "out"])
            .check(1, &["pipe.png", "1 of 2 images failed"]);
        place.mask("masks/pipe.png");
        place.dataset("pipe.png", "masks/pipe.png");
        place.run(&["dataset", "check", "own.toml"]).check(1, &["1 error"]);
    }

    #[test]
    fn segmenting_goes_on_where_its_lines_are_not_read() {
        let place = Place::new();
        let names: Vec<String> = (0..12).map(|number| format!("{number:02}")).collect();
        for name in &names {
            place.image(format!("photos/{name}.png"));
        }
        let script = format!(
            "set -o pipefail; {} segment photos --classes 'sky, grass' --device cpu --output out | head -1",
            env!("CARGO_BIN_EXE_zegclip")
        );
        let mut bash = Command::new("bash");
        bash.args(["-c", &script]);
        place.within(60, bash).check(0, &[]);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(place.names("out"), results(&names));
    }

    /// Runs the program as a user without rights where the test has all rights, after `limits`; `None` where that is not possible.
    fn as_another(place: &Place, arguments: &[&str], limits: &str) -> Option<Outcome> {
        let program = env!("CARGO_BIN_EXE_zegclip");
        let is_root = Command::new("id").arg("-u").output().ok()?.stdout == b"0\n";
        let mut script = Command::new("bash");
        if is_root {
            let able = Command::new("setpriv")
                .args(["--reuid=65534", "--regid=65534", "--clear-groups", program, "--version"])
                .output();
            if !able.is_ok_and(|output| output.status.success()) {
                eprintln!("skipped: root cannot become another user here");
                return None;
            }
            let open = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(place.0.path(), open).expect("permissions");
            script = Command::new("setpriv");
            script.args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash"]);
        }
        script
            .args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), program])
            .args(arguments)
            .env("HOME", place.0.path())
            .env_remove("RUST_BACKTRACE");
        Some(place.within(60, script))
    }

    /// Threads that the user of [`as_another`] has already.
    fn threads_of_user() -> usize {
        let root = Command::new("id")
            .arg("-u")
            .output()
            .is_ok_and(|output| output.stdout == b"0\n");
        let user = if root {
            "65534".to_owned()
        } else {
            std::env::var("USER").unwrap_or_default()
        };
        let list = Command::new("ps").args(["-L", "-u", &user, "-o", "lwp="]).output();
        list.map_or(0, |output| String::from_utf8_lossy(&output.stdout).lines().count())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn few_threads_are_enough() {
        let place = Place::new();
        place.image("a.png");
        place.image("photos/a.png");
        place.mask("masks/a.png");
        place.dataset("photos/*.png", "masks/*.png");
        let limits = |more: usize, threads: &str| {
            let limit = threads_of_user() + more;
            format!("ulimit -u {limit} && export RAYON_NUM_THREADS={threads}")
        };
        let commands: [&[&str]; 5] = [
            &[
                "segment",
                "a.png",
                "--classes",
                "cat, dog",
                "--device",
                "cpu",
                "--overwrite",
                "--output",
                "few",
            ],
            &["dataset", "check", "own.toml"],
            &[
                "eval",
                "--dataset",
                "own.toml",
                "--device",
                "cpu",
                "--overwrite",
                "--output",
                "eval",
            ],
            &["score", "--dataset", "own.toml", "--predictions", "masks"],
            &["tokenize", "a cat"],
        ];
        for arguments in commands {
            for more in [1, 2, 3, 5, 20] {
                let Some(outcome) = as_another(&place, arguments, &limits(more, "64")) else {
                    return;
                };
                let said = outcome.stderr.contains("RAYON_NUM_THREADS");
                let done = outcome.code == Some(0);
                assert!(
                    said || done,
                    "{more} {arguments:?}: {:?} {}",
                    outcome.code,
                    outcome.stderr
                );
                outcome.check(if done { 0 } else { 1 }, &[]);
                if more == 20 {
                    outcome.check(0, &["note: ", "RAYON_NUM_THREADS"]);
                }
            }
        }
        let mut wrong = command();
        wrong.args(["tokenize", "a cat"]).env("RAYON_NUM_THREADS", "many");
        place.within(60, wrong).check(2, &["RAYON_NUM_THREADS", "many"]);
    }
}

#[test]
fn many_images_take_linear_time() {
    let place = Place::new();
    // Empty files fail at once, so that what remains is the time of the list.
    std::fs::create_dir(place.path("photos")).expect("a folder");
    for number in 0..40_000 {
        File::create(place.path(format!("photos/{number}.png"))).expect("a file");
    }
    let mut segment = command();
    segment.args([
        "segment",
        "photos",
        "photos/*.png",
        "--classes",
        "sky, grass",
        "--device",
        "cpu",
        "--output",
        "out",
    ]);
    let outcome = place.within(60, segment);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("40000 of 40000 images failed"));
}
