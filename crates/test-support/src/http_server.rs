//! A small HTTP server on the loopback interface, whose answers a test chooses.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request: its path and the first byte of its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Path with query.
    pub path: String,
    /// First byte of the requested range.
    pub start: Option<usize>,
    /// Value of the header `Authorization`.
    pub authorization: Option<String>,
}

/// What is sent for a request.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names and values, beside `Content-Length` and `Connection`.
    pub headers: Vec<(String, String)>,
    /// Bytes that are announced.
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    pub cut: Option<usize>,
    /// Pause after every 1000 bytes.
    pub pause: Duration,
    /// Nothing is answered at all.
    pub silent: bool,
}

impl Answer {
    /// An answer without body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// `content`, or its end where a range is requested.
    pub fn file(content: &[u8], request: &Request) -> Self {
        match request.start {
            None => Self {
                status: 200,
                body: content.to_vec(),
                ..Self::default()
            },
            Some(start) if start < content.len() => Self {
                status: 206,
                headers: vec![(
                    "Content-Range".to_owned(),
                    format!("bytes {start}-{}/{}", content.len() - 1, content.len()),
                )],
                body: content[start..].to_vec(),
                ..Self::default()
            },
            Some(_) => Self {
                status: 416,
                headers: vec![("Content-Range".to_owned(), format!("bytes */{}", content.len()))],
                ..Self::default()
            },
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// `answer` gets the number of the request, from 0.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped, answer) = (requests.clone(), stop.clone(), Arc::new(answer));
        let count = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, answer, count) = (seen.clone(), answer.clone(), count.clone());
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    seen.lock().unwrap().push(request.clone());
                    let answer = answer(count.fetch_add(1, Ordering::Relaxed), &request);
                    send(stream, &answer);
                });
            }
        });
        Self {
            address,
            requests,
            stop,
        }
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test thread panicked").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut request = Request {
        path: first.split(' ').nth(1)?.to_owned(),
        start: None,
        authorization: None,
    };
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            return Some(request);
        }
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let range = value.trim().strip_prefix("bytes=")?;
                request.start = range.split('-').next()?.parse().ok();
            }
            "authorization" => request.authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    None
}

/// Errors are those of clients that left.
fn send(mut stream: TcpStream, answer: &Answer) {
    if answer.silent {
        std::thread::sleep(Duration::from_secs(20));
        return;
    }
    let mut head = format!(
        "HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let body = &answer.body[..answer.cut.unwrap_or(answer.body.len())];
    let mut result = stream.write_all(head.as_bytes());
    for part in body.chunks(1000) {
        result = result.and_then(|()| stream.write_all(part));
        if !answer.pause.is_zero() {
            std::thread::sleep(answer.pause);
        }
    }
    let _ = result.and_then(|()| stream.flush());
}
