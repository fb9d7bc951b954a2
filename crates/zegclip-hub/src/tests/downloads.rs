use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::HubError;
use crate::download::{Client, Download, Progress};
use test_support::{Answer, Request, Server};

const STALL: Duration = Duration::from_secs(2);

fn content() -> Vec<u8> {
    (0..40_000u32).flat_map(|value| (value * value).to_le_bytes()).collect()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Case {
    folder: tempfile::TempDir,
    sha256: String,
}

impl Case {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            sha256: digest(&content()),
        }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("cache/model.pt")
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("cache/model.pt.part")
    }

    fn download(&self, address: &str) -> Result<(), HubError> {
        self.observed(address, &mut |_| ControlFlow::Continue(()))
    }

    fn observed(&self, address: &str, observer: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<(), HubError> {
        let download = Download {
            address,
            target: &self.target(),
            sha256: Some(&self.sha256),
            length: None,
            token: None,
        };
        Client::new(STALL).download(&download, observer)
    }

    fn is_complete(&self) {
        assert_eq!(std::fs::read(self.target()).unwrap(), content());
        assert!(!self.part().exists());
    }
}

fn address(server: &Server) -> String {
    format!("{}/model.pt", server.address)
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

#[test]
fn a_file_arrives_whole_and_a_second_time_without_a_request() {
    let case = Case::new();
    let server = Server::start(|_, request| Answer::file(&content(), request));
    let mut last = None;
    case.observed(&address(&server), &mut |progress| {
        if let Progress::Receiving { file, received, total } = progress {
            last = Some((file, received, total));
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    case.is_complete();
    assert_eq!(last, Some(("model.pt".to_owned(), 160_000, Some(160_000))));
    case.download(&address(&server)).unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_broken_connection_is_resumed_where_it_broke() {
    let case = Case::new();
    let server = Server::start(|number, request| Answer {
        cut: (number < 2).then_some(50_000),
        ..Answer::file(&content(), request)
    });
    case.download(&address(&server)).unwrap();
    case.is_complete();
    let starts: Vec<_> = server.requests().iter().map(|request| request.start).collect();
    assert_eq!(starts, [None, Some(50_000), Some(100_000)]);
}

#[test]
fn an_interrupted_download_is_continued_by_the_next() {
    let case = Case::new();
    let server = Server::start(|_, request| Answer {
        pause: Duration::from_millis(20),
        ..Answer::file(&content(), request)
    });
    let begun = Instant::now();
    let error = case.observed(&address(&server), &mut |progress| match progress {
        Progress::Receiving { received, .. } if received > 10_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(
        matches!(error, Err(HubError::Interrupted { bytes, .. }) if bytes > 10_000),
        "{error:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let kept = length(&case.part());
    assert!(kept > 10_000 && !case.target().exists());
    let server = Server::start(|_, request| Answer::file(&content(), request));
    case.download(&address(&server)).unwrap();
    case.is_complete();
    assert_eq!(server.requests()[0].start, Some(kept as usize));
}

#[test]
fn a_server_without_ranges_sends_the_file_again() {
    let case = Case::new();
    let server = Server::start(|number, request| {
        let whole = Request {
            start: None,
            ..request.clone()
        };
        Answer {
            cut: (number == 0).then_some(50_000),
            ..Answer::file(&content(), &whole)
        }
    });
    case.download(&address(&server)).unwrap();
    case.is_complete();
}

#[test]
fn wrong_bytes_are_refused_and_removed() {
    let case = Case::new();
    let server = Server::start(|_, request| Answer::file(&vec![7; 160_000], request));
    let error = case.download(&address(&server)).unwrap_err();
    assert!(
        matches!(&error, HubError::Checksum { expected, .. } if *expected == case.sha256),
        "{error}"
    );
    assert!(!case.target().exists() && !case.part().exists());
}

#[test]
fn a_part_of_another_file_is_given_up_for_a_whole_download() {
    for length in [1000, 160_000, 170_000] {
        let case = Case::new();
        std::fs::create_dir_all(case.part().parent().unwrap()).unwrap();
        std::fs::write(case.part(), vec![1; length]).unwrap();
        let server = Server::start(|_, request| Answer::file(&content(), request));
        case.download(&address(&server)).unwrap();
        case.is_complete();
    }
}

#[test]
fn redirects_are_followed() {
    let case = Case::new();
    let server = Server::start(|_, request| match request.path.as_str() {
        "/model.pt" => Answer::status(302).header("Location", "/elsewhere"),
        _ => Answer {
            cut: request.start.is_none().then_some(50_000),
            ..Answer::file(&content(), request)
        },
    });
    case.download(&address(&server)).unwrap();
    case.is_complete();
}

#[test]
fn statuses_end_a_download_or_are_retried() {
    let case = Case::new();
    let server = Server::start(|_, _| Answer::status(404));
    let error = case.download(&address(&server)).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 404, .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
    let server = Server::start(|number, request| match number {
        0 => Answer {
            cut: Some(50_000),
            ..Answer::file(&content(), request)
        },
        1 => Answer::status(503),
        _ => Answer::file(&content(), request),
    });
    case.download(&address(&server)).unwrap();
    case.is_complete();
}

#[test]
fn a_silent_server_is_left() {
    let case = Case::new();
    let server = Server::start(|_, _| Answer {
        silent: true,
        ..Answer::status(200)
    });
    let begun = Instant::now();
    let error = case.download(&address(&server)).unwrap_err();
    assert!(
        matches!(error, HubError::Stalled { .. } | HubError::Connection { .. }),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn an_unreachable_server_is_named_with_the_place_of_the_file() {
    let case = Case::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/model.pt", listener.local_addr().unwrap());
    drop(listener);
    let begun = Instant::now();
    let error = case.download(&address).unwrap_err();
    assert!(
        matches!(&error, HubError::Connection { address: named, path, .. } if *named == address && *path == case.target()),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn more_bytes_than_stated_are_refused() {
    let case = Case::new();
    let server = Server::start(|_, request| Answer::file(&content(), request));
    let download = Download {
        address: &address(&server),
        target: &case.target(),
        sha256: None,
        length: Some(1000),
        token: None,
    };
    let error = Client::new(STALL).download(&download, &mut |_| ControlFlow::Continue(()));
    assert!(
        matches!(error, Err(HubError::Length { expected: 1000, .. })),
        "{error:?}"
    );
    assert!(!case.target().exists() && !case.part().exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_of_the_file() {
    let case = Case::new();
    std::fs::create_dir_all(case.part().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", case.part()).unwrap();
    let server = Server::start(|_, request| Answer::file(&content(), request));
    let error = case.download(&address(&server)).unwrap_err();
    assert!(
        matches!(&error, HubError::Io { path, .. } if *path == case.part()),
        "{error:?}"
    );
    assert!(!case.target().exists());
}

#[test]
fn processes_that_want_the_same_file_download_it_once() {
    let case = Case::new();
    let server = Server::start(|_, request| Answer {
        pause: Duration::from_millis(5),
        ..Answer::file(&content(), request)
    });
    let waited = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    case.observed(&address(&server), &mut |progress| {
                        if matches!(progress, Progress::Waiting { .. }) {
                            waited.store(true, Ordering::Relaxed);
                        }
                        ControlFlow::Continue(())
                    })
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap().unwrap();
        }
    });
    case.is_complete();
    assert_eq!(server.requests().len(), 1);
    assert!(waited.load(Ordering::Relaxed));
}
