//! Weights by name, from a server on the loopback interface.

mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use program::{Outcome, asset, command};
use test_support::{Answer, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A machine with empty caches and one server for everything.
struct Machine {
    folder: tempfile::TempDir,
    server: Server,
}

impl Machine {
    /// The server has one repository, `org/repo`, with the example model.
    fn new(pause: Duration) -> Self {
        let model = std::fs::read(asset("example/random-weights.safetensors")).expect("the example model");
        let server = Server::start(move |_, request| match request.path.as_str() {
            "/org/repo/resolve/main/model.safetensors" => Answer {
                pause,
                ..Answer::file(&model, request)
            }
            .header("x-repo-commit", COMMIT)
            .header("ETag", "\"0a1b2c\""),
            path if path.ends_with("/ViT-B-16.pt") => Answer::file(&[7; 5000], request),
            _ => Answer::status(404),
        });
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            server,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command
            .args(arguments)
            .env("ZEGCLIP_CACHE", self.path("cache"))
            .env("HF_HUB_CACHE", self.path("hub"))
            .env("ZEGCLIP_CLIP_SERVER", &self.server.address)
            .env("HF_ENDPOINT", &self.server.address)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env_remove("HF_TOKEN")
            .env_remove("ZEGCLIP_OFFLINE")
            .env_remove("HF_HUB_OFFLINE");
        command
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).output().expect("zegclip starts").into()
    }

    fn offline(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command(arguments);
        command.env("ZEGCLIP_OFFLINE", "1");
        command.output().expect("zegclip starts").into()
    }
}

#[test]
fn a_model_is_downloaded_once_and_used_by_its_name() {
    let machine = Machine::new(Duration::ZERO);
    let (image, output) = (asset("photos/chelsea.jpg"), machine.path("out").display().to_string());
    let name = "hf:org/repo";
    let arguments = [
        "segment",
        &image,
        "--classes",
        "cat, grass",
        "--weights",
        name,
        "--device",
        "cpu",
        "--output",
        &output,
    ];
    machine.run(&arguments).check(0, &[name]);
    assert!(Path::new(&output).join("chelsea.labels.png").is_file());
    let requests = machine.server.requests().len();
    machine
        .offline(&[&arguments[..], &["--overwrite"]].concat())
        .check(0, &[]);
    machine.run(&["inspect", name]).check(0, &[]);
    let path = machine.run(&["weights", "path", name]);
    path.check(0, &[]);
    assert!(Path::new(path.stdout.trim()).is_file(), "{}", path.stdout);
    assert_eq!(machine.run(&["weights", "fetch", name]).stdout, path.stdout);
    let list = machine.run(&["weights", "list"]);
    assert!(
        list.stdout.contains(name) && list.stdout.contains("clip:ViT-L-14-336px"),
        "{}",
        list.stdout
    );
    assert_eq!(machine.server.requests().len(), requests);
}

#[test]
fn a_file_with_another_checksum_is_refused() {
    let machine = Machine::new(Duration::ZERO);
    let outcome = machine.run(&["weights", "fetch", "clip:ViT-B/16"]);
    outcome.check(1, &["SHA-256", "5806e77cd80f", "hint: "]);
    machine
        .run(&["weights", "path", "clip:ViT-B-16"])
        .check(1, &["hint: download it"]);
    std::fs::create_dir_all(machine.path("cache/clip")).expect("a folder");
    std::fs::write(machine.path("cache/clip/ViT-B-16.pt"), "not it").expect("a file");
    machine
        .run(&["weights", "verify"])
        .check(1, &["ViT-B-16.pt", "5806e77cd80f"]);
}

#[test]
fn without_network_the_address_and_the_place_of_the_file_are_named() {
    let machine = Machine::new(Duration::ZERO);
    let place = machine.path("cache/clip/ViT-B-16.pt").display().to_string();
    let address = format!("{}/5806e77cd80f", machine.server.address);
    let outcome = machine.offline(&["weights", "fetch", "clip:ViT-B-16"]);
    outcome.check(1, &["ZEGCLIP_OFFLINE", &address, &place]);
    assert!(machine.server.requests().is_empty());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let unreachable = format!("http://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let mut command = machine.command(&["weights", "fetch", "clip:ViT-B-16"]);
    let outcome: Outcome = command
        .env("ZEGCLIP_CLIP_SERVER", &unreachable)
        .output()
        .expect("zegclip starts")
        .into();
    outcome.check(1, &[&unreachable, &place, "hint: "]);
}

#[test]
fn names_that_cannot_be_meant_are_usage_errors() {
    let machine = Machine::new(Duration::ZERO);
    let fetch = |name: &str| machine.run(&["weights", "fetch", name]);
    fetch("clip:ViT-B-61").check(2, &["clip:ViT-B-61", "did you mean `ViT-B-16`?"]);
    fetch("hf:org/repo:../../x").check(2, &["../../x"]);
    fetch("ViT-B-16").check(2, &["`ViT-B-16`", "clip:"]);
    fetch("hf:org/other").check(1, &["org/other", "open_clip_model.safetensors"]);
    fetch("hf:org/repo:other.bin").check(1, &["other.bin", "404"]);
    assert!(!machine.path("hub").exists());
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_is_continued() {
    let machine = Machine::new(Duration::from_millis(30));
    let arguments = ["weights", "fetch", "hf:org/repo"];
    let part = machine.path("hub/models--org--repo/blobs/0a1b2c.part");
    let child = machine
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zegclip starts");
    let begun = Instant::now();
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    while length(&part) < 5000 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no bytes arrived");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill").success());
    let outcome: Outcome = child.wait_with_output().expect("the end").into();
    outcome.check(1, &["interrupted after", "hint: "]);
    let kept = length(&part);
    assert!(kept >= 5000);
    machine.run(&arguments).check(0, &[]);
    let resumed = machine
        .server
        .requests()
        .iter()
        .any(|request| request.start == Some(kept as usize));
    assert!(resumed, "{:?}", machine.server.requests());
}
