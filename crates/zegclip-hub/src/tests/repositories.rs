use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::download::Client;
use crate::hugging_face::{HuggingFace, Location};
use crate::{HubError, Progress};
use test_support::{Answer, Request, Server};

const MODEL: &[u8] = &[3; 30_000];
const CONFIGURATION: &[u8] = b"{}";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LOCATION: Location<'static> = Location {
    repository: "org/repo",
    revision: "main",
};

fn digest() -> String {
    Sha256::digest(MODEL).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As `huggingface.co` answers: the large file by a redirect to another host, the small one itself.
fn hub(request: &Request, large_files: &str) -> Answer {
    match request.path.as_str() {
        "/org/repo/resolve/main/model.safetensors" => Answer::status(302)
            .header("Location", &format!("{large_files}/blob?signature=x"))
            .header("x-repo-commit", COMMIT)
            .header("x-linked-etag", &format!("\"{}\"", digest())),
        "/org/repo/resolve/main/config.json" => Answer::status(307).header("Location", "/org/renamed/config.json"),
        "/org/renamed/config.json" => Answer::file(CONFIGURATION, request)
            .header("x-repo-commit", COMMIT)
            .header("ETag", "\"5c2e2f3b1a\""),
        _ => Answer::status(404),
    }
}

/// A repository whose large file has these bytes, and the server that has them.
fn servers(model: &'static [u8]) -> (Server, Server) {
    let large_files = Server::start(move |_, request| Answer::file(model, request));
    let address = large_files.address.replace("127.0.0.1", "localhost");
    (Server::start(move |_, request| hub(request, &address)), large_files)
}

fn hugging_face(server: &Server, cache: &Path) -> HuggingFace {
    HuggingFace {
        cache: cache.to_owned(),
        endpoint: server.address.clone(),
        token: Some("secret".to_owned()),
    }
}

fn fetch(hub: &HuggingFace, file: Option<&str>) -> Result<std::path::PathBuf, HubError> {
    let client = Client::new(Duration::from_secs(2));
    hub.fetch(&client, &LOCATION, file, &mut |_: Progress| ControlFlow::Continue(()))
}

#[test]
fn the_usual_model_file_arrives_with_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (server, large_files) = servers(MODEL);
    let repository = hugging_face(&server, folder.path());
    assert_eq!(repository.cached(&LOCATION, None), None);
    let path = fetch(&repository, None).unwrap();
    let snapshot = folder.path().join("models--org--repo/snapshots").join(COMMIT);
    assert_eq!(path, snapshot.join("model.safetensors"));
    assert_eq!(std::fs::read(&path).unwrap(), MODEL);
    assert_eq!(std::fs::read(snapshot.join("config.json")).unwrap(), CONFIGURATION);
    let requests = server.requests().len();
    assert_eq!(fetch(&repository, None).unwrap(), path);
    assert_eq!(repository.cached(&LOCATION, None), Some(path.clone()));
    assert_eq!(repository.list(), [("hf:org/repo".to_owned(), path)]);
    // What is cached needs no server.
    assert_eq!(server.requests().len(), requests);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Bearer secret"))
    );
    // The token is for no other host.
    assert!(
        large_files
            .requests()
            .iter()
            .all(|request| request.authorization.is_none())
    );
}

#[test]
fn wrong_bytes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _large_files) = servers(&[4; 30_000]);
    let error = fetch(&hugging_face(&server, folder.path()), None).unwrap_err();
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
}

#[test]
fn a_repository_without_model_names_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Answer::status(404));
    let error = fetch(&hugging_face(&server, folder.path()), None).unwrap_err();
    assert!(error.to_string().contains("`open_clip_model.safetensors`"), "{error}");
    let error = fetch(&hugging_face(&server, folder.path()), Some("x.bin")).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 404, .. }), "{error}");
}

#[test]
fn names_from_the_server_do_not_leave_the_cache() {
    for (commit, tag) in [
        ("../../../../outside", "abc"),
        (COMMIT, "../../outside"),
        ("", "abc"),
        (COMMIT, ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, request| {
            Answer::file(MODEL, request)
                .header("x-repo-commit", commit)
                .header("ETag", tag)
        });
        let error = fetch(&hugging_face(&server, &folder.path().join("cache")), Some("x.bin")).unwrap_err();
        assert!(matches!(error, HubError::Answer { .. }), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_server_that_does_not_answer_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Answer {
        silent: true,
        ..Answer::status(200)
    });
    let error = fetch(&hugging_face(&server, folder.path()), None).unwrap_err();
    assert!(matches!(error, HubError::Connection { .. }), "{error}");
}
