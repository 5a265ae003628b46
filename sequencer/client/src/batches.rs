//! Where batch files come from: a folder, or a node's read-only HTTP.
//!
//! What comes is checked against headers, so whoever delivers it need not be trusted.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use model::BatchNumber;
use model::limits::BATCH_FILE_BYTES_MAX;
use thiserror::Error;

use crate::http::{Address, Answer, Peer, Sent, Unreadable, hidden};
use crate::patience::{LetPass, StayedBusy, Waits};
use crate::tls;

/// Files of batches by number.
#[derive(Clone, PartialEq, Eq)]
pub enum Batches {
    /// `NNNNNN/public.bin` and `NNNNNN/private.bin` in a folder.
    Folder(PathBuf),
    /// `GET /batches/{n}` and `/batches/{n}/private` of a host with port.
    Http {
        /// Whether it is spoken to by TLS.
        tls: bool,
        /// `host:port`.
        host: String,
        /// What stands before `/batches`, empty or beginning with a slash.
        path: String,
    },
}

/// The two files of a batch, unchecked.
#[derive(Clone, PartialEq, Eq)]
pub struct BatchFiles {
    /// Everything that is audited.
    pub public: Vec<u8>,
    /// Sealed openings.
    pub private: Vec<u8>,
}

/// Files that are not there.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Not a folder and not an HTTP address.
    #[error(
        "expected a folder that there is, http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH], \
         without user and ?, found neither"
    )]
    Address,
    /// There is no such folder.
    #[error(
        "expected a folder or an address that begins with http:// or https://, found neither at {0}"
    )]
    NoFolder(PathBuf),
    /// The address begins with `https://`, and nobody speaks TLS there.
    #[error("expected an address that begins with http://, as {what} speaks no TLS")]
    NoTls {
        /// Address.
        what: String,
    },
    /// A file cannot be read or an answer does not come.
    #[error("expected {what}")]
    Unavailable {
        /// File or address.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The host is busy, and stayed so.
    #[error("expected {what}")]
    Busy {
        /// Address.
        what: String,
        /// How long it was waited for.
        source: StayedBusy,
    },
    /// The host answers with something else.
    #[error("expected {what} with status 200 and its length, found status {found}")]
    Status {
        /// Address.
        what: String,
        /// Status found; 200 if the length is missing.
        found: u16,
    },
}

impl Batches {
    /// From a command line: `http://` or `https://` begins an address, everything else is a folder.
    ///
    /// # Errors
    /// [`FetchError::Address`], [`FetchError::NoFolder`].
    pub fn parse(text: &str) -> Result<Batches, FetchError> {
        match Address::parse(text) {
            None => Batches::folder(text),
            Some(Ok(Address { tls, host, path })) => Ok(Batches::Http { tls, host, path }),
            Some(Err(Unreadable)) => Err(FetchError::Address),
        }
    }

    fn folder(text: &str) -> Result<Batches, FetchError> {
        let folder = PathBuf::from(text);
        if folder.is_dir() {
            return Ok(Batches::Folder(folder));
        }
        // Whoever forgot the scheme may have given a key with the rest, in the path, too: quoted is
        // only what is missing from a folder that there is.
        let is_address = text.contains([':', '@', '?']) || !is_in_a_folder(&folder);
        Err(if is_address { FetchError::Address } else { FetchError::NoFolder(folder) })
    }

    /// Both files of a batch, each of at most 64 MiB. A busy host is waited for, at most
    /// 10 times and a minute each, as the caller lets time pass.
    ///
    /// # Errors
    /// [`FetchError`] that names what is not there.
    pub fn fetch(
        &self,
        batch: BatchNumber,
        let_pass: LetPass<'_>,
    ) -> Result<BatchFiles, FetchError> {
        let public = self.public(batch, let_pass)?;
        Ok(BatchFiles { public, private: self.file(batch, PRIVATE, &mut Waits::begin(let_pass))? })
    }

    /// The public file of a batch, at most 64 MiB.
    pub(crate) fn public(
        &self,
        batch: BatchNumber,
        let_pass: LetPass<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        self.file(batch, PUBLIC, &mut Waits::begin(let_pass))
    }

    fn file(
        &self,
        batch: BatchNumber,
        file: BatchFile,
        waits: &mut Waits<'_>,
    ) -> Result<Vec<u8>, FetchError> {
        match self {
            Batches::Folder(folder) => {
                let path = folder.join(format!("{:06}", batch.0)).join(file.name);
                let wrong =
                    |source| FetchError::Unavailable { what: path.display().to_string(), source };
                files::read(&path, BATCH_FILE_BYTES_MAX as u64, files::Audience::Public)
                    .map_err(wrong)
            }
            Batches::Http { tls, host, path } => {
                let peer = Peer { tls: *tls, host };
                get(peer, path, &format!("/batches/{}{}", batch.0, file.suffix), waits)
            }
        }
    }
}

/// Whether a path names a place in a folder that there is.
fn is_in_a_folder(path: &Path) -> bool {
    path.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir())
}

/// One of a batch's two files.
#[derive(Clone, Copy)]
struct BatchFile {
    /// In a folder.
    name: &'static str,
    /// Behind the batch's number in an address.
    suffix: &'static str,
}

const PUBLIC: BatchFile = BatchFile { name: "public.bin", suffix: "" };
const PRIVATE: BatchFile = BatchFile { name: "private.bin", suffix: "/private" };

fn get(
    peer: Peer<'_>,
    path: &str,
    file: &str,
    waits: &mut Waits<'_>,
) -> Result<Vec<u8>, FetchError> {
    let what = format!("{peer}{}{file}", hidden(path));
    loop {
        let busy = match peer.exchange(&format!("{path}{file}"), &Sent::Get) {
            Ok(Answer::Whole { status: 200, body }) => return Ok(body),
            Ok(Answer::Busy { busy, .. }) => busy,
            Ok(Answer::Whole { status, .. } | Answer::Other { status }) => {
                return Err(FetchError::Status { what, found: status });
            }
            Err(source) if tls::is_none(&source) => return Err(FetchError::NoTls { what }),
            Err(source) => return Err(FetchError::Unavailable { what, source }),
        };
        if let Err(source) = waits.wait(&peer.to_string(), busy) {
            return Err(FetchError::Busy { what, source });
        }
    }
}

/// Hides the path of an address.
impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Batches::Folder(folder) => write!(f, "Folder({folder:?})"),
            Batches::Http { tls, host, path } => {
                let scheme = if *tls { "Https" } else { "Http" };
                write!(f, "{scheme}({host}{})", hidden(path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::http::{read_head, speak};
    use crate::patience::Wait;

    fn served(answer: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
        served_in_turn([answer])
    }

    /// Gives each connection its answer, and then the last request.
    fn served_in_turn<const N: usize>(
        answers: [&'static [u8]; N],
    ) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let requests = answers.map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let (request, _) = read_head(&mut stream).unwrap().unwrap();
                stream.write_all(answer).unwrap();
                request
            });
            requests[N - 1].clone()
        });
        (host, thread)
    }

    #[test]
    fn a_busy_host_is_waited_for_as_long_as_it_asks_and_each_wait_is_told() {
        let (host, thread) = served_in_turn([
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 503 Busy\r\ndate: Sat, 28 Nov 2026 10:00:00 GMT\r\n\
              retry-after: Sat, 28 Nov 2026 10:00:30 GMT\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes",
        ]);
        let told = std::cell::RefCell::new(Vec::new());
        let tell = |wait: &Wait| told.borrow_mut().push(wait.clone());
        let batches = Batches::parse(&format!("http://{host}/hunter2")).unwrap();
        let found = batches.file(BatchNumber(7), PUBLIC, &mut Waits::begin(&tell));
        assert_eq!(found.unwrap(), b"bytes");
        assert!(thread.join().unwrap().starts_with("GET /hunter2/batches/7 HTTP/1.1\r\n"));
        let wait = |status, seconds, number| Wait {
            host: format!("http://{host}"),
            status,
            length: Duration::from_secs(seconds),
            number,
            most: 10,
        };
        assert_eq!(told.take(), [wait(429, 7, 1), wait(503, 30, 2)]);
    }

    #[test]
    fn a_host_that_stays_busy_is_told_with_its_status_and_without_its_key() {
        let busy: &[u8] = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\n\r\n";
        let (host, thread) = served_in_turn([busy; 4]);
        let batches = Batches::parse(&format!("http://{host}/hunter2")).unwrap();
        let error = batches.file(BatchNumber(1), PRIVATE, &mut Waits::begin(&|_| ()));
        thread.join().unwrap();
        let error = model::with_causes(&error.unwrap_err());
        assert!(error.contains("status 504 still after 3 waits"), "{error}");
        assert!(error.contains("/batches/1/private") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_is_fetched_with_its_length() {
        let (host, thread) = served(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes");
        let batches = Batches::parse(&format!("http://{host}/vitals/")).unwrap();
        assert_eq!(fetched(&batches, 7, PRIVATE).unwrap(), b"bytes");
        let request = thread.join().unwrap();
        assert!(request.starts_with("GET /vitals/batches/7/private HTTP/1.1\r\n"));
    }

    #[test]
    fn truncated_missing_and_chunked_answers_are_told_apart() {
        let found = |answer| {
            let (host, thread) = served(answer);
            let outcome = fetched(&Batches::parse(&format!("http://{host}")).unwrap(), 1, PUBLIC);
            thread.join().unwrap();
            outcome
        };
        let short = found(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbytes");
        assert!(matches!(short, Err(FetchError::Unavailable { .. })));
        let missing = found(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        assert!(matches!(missing, Err(FetchError::Status { found: 404, .. })));
        let (host, thread) = served(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let keyed = Batches::parse(&format!("http://{host}/hunter2")).unwrap();
        let error = fetched(&keyed, 1, PUBLIC).unwrap_err();
        assert!(thread.join().unwrap().starts_with("GET /hunter2/batches/1 "));
        assert!(!format!("{error} {error:?} {keyed:?}").contains("hunter2"), "{error}");
        let chunked = found(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        assert!(matches!(chunked, Err(FetchError::Status { found: 200, .. })));
        assert!(matches!(found(b"hello"), Err(FetchError::Unavailable { .. })));
    }

    #[test]
    fn tls_where_nobody_speaks_it_is_a_wrong_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 16];
            stream.read_exact(&mut hello).unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        let stream = TcpStream::connect(&host).unwrap();
        let mut stream =
            tls::begin_trusting(rustls::RootCertStore::empty(), stream, &host).unwrap();
        let error = speak(&mut stream, &host, "/", &Sent::Get).map(drop).unwrap_err();
        assert!(tls::is_none(&error), "{error:?}");
        thread.join().unwrap();
    }

    #[test]
    fn addresses_and_folders_are_told_apart() {
        assert_eq!(Batches::parse(".").map_err(drop_error), Ok(Batches::Folder(".".into())));
        let missing = Batches::parse("no-such-folder").unwrap_err();
        assert!(missing.to_string().ends_with("found neither at no-such-folder"), "{missing}");
        for (text, tls, host) in [
            ("http://node/", false, "node:80"),
            ("https://node", true, "node:443"),
            ("https://node:8443/", true, "node:8443"),
            ("http://[::1]", false, "[::1]:80"),
            ("https://[::1]:1", true, "[::1]:1"),
        ] {
            let http = Batches::Http { tls, host: host.to_owned(), path: String::new() };
            assert_eq!(Batches::parse(text).map_err(drop_error), Ok(http));
        }
        for bad in [
            "http://",
            "http://me@node",
            "https://me:hunter2@node",
            "http://node/a b",
            "http://node/?key=hunter2",
            "http://node#hunter2",
            "127.0.0.1:8080",
            "localhost:8080/hunter2",
            "me:hunter2@node",
            "node/v2/hunter2",
            "//node/hunter2",
            "node.example/hunter2/",
            "ftp://node/hunter2",
        ] {
            let error = Batches::parse(bad).unwrap_err();
            assert!(matches!(error, FetchError::Address), "{bad}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    fn fetched(batches: &Batches, number: u64, file: BatchFile) -> Result<Vec<u8>, FetchError> {
        batches.file(BatchNumber(number), file, &mut Waits::begin(&|_| ()))
    }

    fn drop_error(_: FetchError) {}
}
