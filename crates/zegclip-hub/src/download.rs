//! Downloads that resume, and appear under their name only when they are complete and correct.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::config::RedirectAuthHeaders;

use crate::error::HubError;

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Bytes of a file have arrived.
    Receiving {
        /// Name of the file.
        file: String,
        /// Bytes that are on disk.
        received: u64,
        /// Length of the file, if the server states it.
        total: Option<u64>,
    },
    /// The connection broke; the download resumes after a pause.
    Retrying {
        /// Name of the file.
        file: String,
        /// What failed.
        reason: String,
    },
    /// Another process downloads the same file.
    Waiting {
        /// Name of the file.
        file: String,
    },
    /// The checksum is computed.
    Checking {
        /// Name of the file.
        file: String,
    },
}

/// Called several times a second; a `Break` interrupts the download, which a later one resumes.
pub type Observer<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Attempts in a row that may bring nothing.
const MAX_FAILURES: u32 = 5;
/// Bytes an attempt has to bring to count as progress.
const PROGRESS: u64 = 1 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 10;
const CHUNK: usize = 1 << 18;
/// Chunks that may wait for the disk.
const QUEUE: usize = 4;
/// Time between two calls of the observer.
const TICK: Duration = Duration::from_millis(200);

/// Connections to servers, with the proxies that the environment states.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    stall: Duration,
}

/// Status and headers of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
}

impl Head {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A file to download.
pub(crate) struct Download<'a> {
    pub(crate) address: &'a str,
    /// Where it belongs.
    pub(crate) target: &'a Path,
    /// SHA-256 in lower-case hexadecimal digits.
    pub(crate) sha256: Option<&'a str>,
    /// Length in bytes.
    pub(crate) length: Option<u64>,
    /// Sent to the first server only, not to those it redirects to.
    pub(crate) token: Option<&'a str>,
}

/// Why an attempt ended early.
enum Attempt {
    /// Worth another one.
    Broken(String),
    /// What an earlier download left was of another file, and is gone.
    Restarted,
    /// Not worth another one.
    Fatal(HubError),
}

/// What the thread of a connection reports.
enum Message {
    Head {
        status: u16,
        content_range: Option<String>,
        content_length: Option<u64>,
    },
    Data(Vec<u8>),
    End,
    Failed(String),
}

impl Client {
    /// Gives up a connection that brings nothing for `stall`.
    pub(crate) fn new(stall: Duration) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(CONNECT_TIMEOUT.min(stall)))
            .timeout_per_read(Some(stall))
            .user_agent(concat!("zegclip/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: agent.into(),
            stall,
        }
    }

    /// Runs `work` on a thread of its own while `observer` is asked every 200 ms. `None` if it is interrupted or takes longer than
    /// the client waits.
    pub(crate) fn watched<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        observer: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> std::io::Result<Option<T>> {
        let (sender, receiver) = sync_channel(1);
        std::thread::Builder::new().spawn(move || {
            // The receiver is gone if it waited too long.
            let _ = sender.send(work());
        })?;
        let begun = Instant::now();
        while begun.elapsed() < self.stall {
            match receiver.recv_timeout(TICK) {
                Ok(result) => return Ok(Some(result)),
                Err(RecvTimeoutError::Timeout) if observer().is_continue() => {}
                Err(_) => break,
            }
        }
        Ok(None)
    }

    /// Asks for one byte, without following redirects to other hosts.
    pub(crate) fn head(&self, address: &str, token: Option<&str>) -> Result<Head, String> {
        let mut address = address.to_owned();
        for _ in 0..MAX_REDIRECTS {
            let request = self
                .agent
                .get(&address)
                .config()
                .max_redirects(0)
                .max_redirects_will_error(false);
            let mut request = request.build().header("Range", "bytes=0-0");
            if let Some(token) = token {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request.call().map_err(|error| error.to_string())?;
            let head = Head {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
            };
            // A renamed repository is at another path of the same host.
            let path = head
                .header("location")
                .filter(|location| location.starts_with('/') && !location.starts_with("//"));
            match (path, origin(&address)) {
                (Some(path), Some(origin)) if (300..400).contains(&head.status) => address = format!("{origin}{path}"),
                _ => return Ok(head),
            }
        }
        Err("too many redirects".to_owned())
    }

    /// Requests `address` from byte `start` on a thread of its own, so that a silent server can be left.
    fn request(&self, address: &str, start: u64, token: Option<&str>) -> std::io::Result<Receiver<Message>> {
        let mut request = self.agent.get(address);
        if start > 0 {
            request = request.header("Range", format!("bytes={start}-"));
        }
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let (sender, receiver) = sync_channel(QUEUE);
        std::thread::Builder::new().spawn(move || {
            let response = match request.call() {
                Ok(response) => response,
                Err(error) => {
                    let _ = sender.send(Message::Failed(error.to_string()));
                    return;
                }
            };
            let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
            let head = Message::Head {
                status: response.status().as_u16(),
                content_range: header("content-range"),
                content_length: header("content-length").and_then(|length| length.parse().ok()),
            };
            if sender.send(head).is_err() {
                return;
            }
            let mut body = response.into_body().into_reader();
            loop {
                let mut chunk = vec![0; CHUNK];
                let message = match body.read(&mut chunk) {
                    Ok(0) => Message::End,
                    Ok(length) => {
                        chunk.truncate(length);
                        Message::Data(chunk)
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => Message::Failed(error.to_string()),
                };
                let last = !matches!(message, Message::Data(_));
                if sender.send(message).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(receiver)
    }

    /// Downloads a file. Another process that downloads the same one is awaited; what an earlier, interrupted download left is
    /// continued.
    ///
    /// # Errors
    /// All of [`HubError`] that concern servers and files; the target is then as it was.
    pub(crate) fn download(&self, download: &Download<'_>, observer: &mut Observer<'_>) -> Result<(), HubError> {
        let target = download.target;
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(HubError::io("create", folder))?;
        }
        let _lock = download.lock(observer)?;
        if target.exists() {
            return Ok(());
        }
        let part = with_suffix(target, ".part");
        let mut resumed = length_of(&part) > 0;
        loop {
            let result = self.receive(download, &part, observer);
            if result.is_err() && length_of(&part) == 0 {
                // Nothing to resume from; the error of the download is the one to report.
                let _ = std::fs::remove_file(&part);
            }
            result?;
            let Some(expected) = download.sha256 else { break };
            if observer(Progress::Checking { file: download.file() }).is_break() {
                return Err(download.interrupted(&part));
            }
            let found = sha256_of(&part)?;
            if found == expected {
                break;
            }
            std::fs::remove_file(&part).map_err(HubError::io("remove", &part))?;
            // The wrong bytes may be those of an earlier download.
            if !std::mem::take(&mut resumed) {
                return Err(HubError::Checksum {
                    origin: download.address.to_owned(),
                    expected: expected.to_owned(),
                    found,
                });
            }
        }
        zegclip_foundation::persist(&part, target).map_err(HubError::io("write", target))
    }

    /// Receives all bytes of the file into `part`.
    fn receive(&self, download: &Download<'_>, part: &Path, observer: &mut Observer<'_>) -> Result<(), HubError> {
        let mut failures = 0;
        let mut arrived = false;
        loop {
            let before = length_of(part);
            let reason = match self.attempt(download, part, observer) {
                Ok(()) => return Ok(()),
                Err(Attempt::Fatal(error)) => return Err(error),
                Err(Attempt::Restarted) => continue,
                Err(Attempt::Broken(reason)) => reason,
            };
            let received = length_of(part).saturating_sub(before);
            arrived |= received > 0;
            failures = if received >= PROGRESS { 0 } else { failures + 1 };
            // Without a network the first attempt says all there is to say.
            if failures >= MAX_FAILURES || !arrived {
                return Err(HubError::Connection {
                    address: download.address.to_owned(),
                    reason,
                    path: download.target.to_owned(),
                });
            }
            let resume_at = Instant::now() + FIRST_PAUSE * 2u32.pow(failures.saturating_sub(1));
            while Instant::now() < resume_at {
                let progress = Progress::Retrying {
                    file: download.file(),
                    reason: reason.clone(),
                };
                if observer(progress).is_break() {
                    return Err(download.interrupted(part));
                }
                std::thread::sleep(TICK.min(resume_at.saturating_duration_since(Instant::now())));
            }
        }
    }

    /// One connection, from the end of what is in `part`.
    fn attempt(&self, download: &Download<'_>, part: &Path, observer: &mut Observer<'_>) -> Result<(), Attempt> {
        let fatal = Attempt::Fatal;
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(part)
            .map_err(|source| fatal(HubError::io("write", part)(source)))?;
        let mut received = length_of(part);
        if download.length.is_some_and(|length| received > length) {
            file.set_len(0)
                .map_err(|source| fatal(HubError::io("write", part)(source)))?;
            received = 0;
        }
        if received > 0 && download.length == Some(received) {
            return Ok(());
        }
        let messages = self
            .request(download.address, received, download.token)
            .map_err(|source| fatal(HubError::io("start a thread for", part)(source)))?;
        let mut total = download.length;
        let mut last_data = Instant::now();
        let mut last_report: Option<Instant> = None;
        loop {
            if last_report.is_none_or(|at| at.elapsed() >= TICK) {
                last_report = Some(Instant::now());
                let progress = Progress::Receiving {
                    file: download.file(),
                    received,
                    total,
                };
                if observer(progress).is_break() {
                    return Err(fatal(download.interrupted(part)));
                }
            }
            let message = match messages.recv_timeout(TICK) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) if last_data.elapsed() < self.stall => continue,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(fatal(HubError::Stalled {
                        address: download.address.to_owned(),
                        seconds: self.stall.as_secs(),
                        path: download.target.to_owned(),
                    }));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Attempt::Broken("the connection ended".to_owned())),
            };
            last_data = Instant::now();
            match message {
                Message::Head {
                    status: 206,
                    content_range,
                    ..
                } => {
                    let range = content_range.as_deref().and_then(parse_range);
                    let Some((start, length)) = range.filter(|(start, _)| *start == received) else {
                        return Err(fatal(HubError::Answer {
                            address: download.address.to_owned(),
                            reason: format!(
                                "bytes from {received} were requested, the answer has `{}`",
                                content_range.unwrap_or_default()
                            ),
                        }));
                    };
                    debug_assert_eq!(start, received);
                    total = total.or(length);
                }
                Message::Head {
                    status: 200,
                    content_length,
                    ..
                } => {
                    // A server without ranges sends the file from its beginning.
                    file.set_len(0)
                        .map_err(|source| fatal(HubError::io("write", part)(source)))?;
                    received = 0;
                    total = total.or(content_length);
                }
                // Nothing is left to send: either all has arrived or the file is another one now.
                Message::Head {
                    status: 416,
                    content_range,
                    ..
                } => {
                    let length = content_range
                        .as_deref()
                        .and_then(|range| range.strip_prefix("bytes */")?.parse().ok());
                    if length == Some(received) {
                        return Ok(());
                    }
                    file.set_len(0)
                        .map_err(|source| fatal(HubError::io("write", part)(source)))?;
                    return Err(if received > 0 {
                        Attempt::Restarted
                    } else {
                        Attempt::Broken("the server answers with status 416".to_owned())
                    });
                }
                Message::Head { status, .. } if status >= 500 || status == 408 || status == 429 => {
                    return Err(Attempt::Broken(format!("the server answers with status {status}")));
                }
                Message::Head { status, .. } => {
                    return Err(fatal(HubError::Status {
                        address: download.address.to_owned(),
                        status,
                        path: download.target.to_owned(),
                    }));
                }
                Message::Data(bytes) => {
                    file.write_all(&bytes)
                        .map_err(|source| fatal(HubError::io("write", part)(source)))?;
                    received += bytes.len() as u64;
                    if total.is_some_and(|total| received > total) {
                        return Err(fatal(download.wrong_length(part, total, received)));
                    }
                }
                Message::End if total.is_some_and(|total| received < total) => {
                    return Err(Attempt::Broken("the connection ended early".to_owned()));
                }
                Message::End => {
                    let progress = Progress::Receiving {
                        file: download.file(),
                        received,
                        total,
                    };
                    // The next step asks again.
                    let _ = observer(progress);
                    return Ok(());
                }
                Message::Failed(reason) => return Err(Attempt::Broken(reason)),
            }
        }
    }
}

impl Download<'_> {
    fn file(&self) -> String {
        let name = self.address.rsplit('/').next();
        name.unwrap_or(self.address).to_owned()
    }

    fn interrupted(&self, part: &Path) -> HubError {
        HubError::Interrupted {
            address: self.address.to_owned(),
            bytes: length_of(part),
        }
    }

    /// The bytes are of no use, so they are removed.
    fn wrong_length(&self, part: &Path, expected: Option<u64>, found: u64) -> HubError {
        let _ = std::fs::remove_file(part);
        HubError::Length {
            address: self.address.to_owned(),
            expected: expected.unwrap_or_default(),
            found,
        }
    }

    /// Keeps other processes from downloading the same file until the lock is dropped.
    fn lock(&self, observer: &mut Observer<'_>) -> Result<File, HubError> {
        let path = with_suffix(self.target, ".lock");
        let open = OpenOptions::new().create(true).append(true).open(&path);
        let file = open.map_err(HubError::io("write", &path))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(std::fs::TryLockError::WouldBlock) => {
                    if observer(Progress::Waiting { file: self.file() }).is_break() {
                        return Err(self.interrupted(&with_suffix(self.target, ".part")));
                    }
                    std::thread::sleep(TICK);
                }
                Err(std::fs::TryLockError::Error(source)) => return Err(HubError::io("lock", &path)(source)),
            }
        }
    }
}

/// Scheme and host of an address.
fn origin(address: &str) -> Option<&str> {
    let host = address.find("://")? + 3;
    let end = address
        .get(host..)?
        .find('/')
        .map_or(address.len(), |length| host + length);
    address.get(..end)
}

/// First byte and length of the file in `bytes 5-9/10`; the length may be unknown.
fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.parse().ok()?, length.parse().ok()))
}

/// SHA-256 of a file in lower-case hexadecimal digits.
pub(crate) fn sha256_of(path: &Path) -> Result<String, HubError> {
    let mut file = File::open(path).map_err(HubError::io("read", path))?;
    let mut digest = Sha256::new();
    std::io::copy(&mut file, &mut digest).map_err(HubError::io("read", path))?;
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn length_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
