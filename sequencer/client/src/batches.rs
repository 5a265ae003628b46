//! Where batch files come from: a folder, or a node's read-only HTTP.
//!
//! The HTTP is one GET without redirects or chunks, over a socket or TLS: whatever comes is checked
//! against headers, so the transport need not be trusted, and no HTTP library is compiled into
//! gateways (the smallest kept one would add some ten crates).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use model::BatchNumber;
use model::limits::BATCH_FILE_BYTES_MAX;
use thiserror::Error;

use crate::tls;

/// Waits for a connection and for each piece of an answer.
const WAIT: Duration = Duration::from_secs(30);
/// Longest head of an answer, bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

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
        "expected a folder, http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH], without user \
         and ?, found neither"
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
        let plain = text.strip_prefix("http://").map(|rest| (rest, false));
        let found = plain.or_else(|| text.strip_prefix("https://").map(|rest| (rest, true)));
        let Some((rest, tls)) = found else { return Batches::folder(text) };
        let port = if tls { 443 } else { 80 };
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, format!("/{}", path.trim_end_matches('/'))),
            None => (rest, String::new()),
        };
        // A user name would hide the real host from whoever reads the address; a space or a line
        // break would end the request line and begin another header; a query would end up amid
        // the path.
        let plain = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
        };
        if host.is_empty() || host.contains('@') || !plain(host) || !plain(&path) {
            return Err(FetchError::Address);
        }
        // Colons of an IPv6 address stand in brackets.
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let path = if path == "/" { String::new() } else { path };
        Ok(Batches::Http { tls, host, path })
    }

    fn folder(text: &str) -> Result<Batches, FetchError> {
        let folder = PathBuf::from(text);
        if folder.is_dir() {
            return Ok(Batches::Folder(folder));
        }
        // Whoever forgot the scheme may have given a key with the rest: it is not quoted.
        let is_address = text.contains("://") || text.contains([':', '@', '?']);
        Err(if is_address { FetchError::Address } else { FetchError::NoFolder(folder) })
    }

    /// Both files of a batch, each of at most 64 MiB.
    ///
    /// # Errors
    /// [`FetchError`] that names what is not there.
    pub fn fetch(&self, batch: BatchNumber) -> Result<BatchFiles, FetchError> {
        Ok(BatchFiles { public: self.public(batch)?, private: self.private(batch)? })
    }

    /// The public file of a batch, at most 64 MiB.
    pub(crate) fn public(&self, batch: BatchNumber) -> Result<Vec<u8>, FetchError> {
        self.file(batch, "public.bin", "")
    }

    fn private(&self, batch: BatchNumber) -> Result<Vec<u8>, FetchError> {
        self.file(batch, "private.bin", "/private")
    }

    fn file(&self, batch: BatchNumber, name: &str, suffix: &str) -> Result<Vec<u8>, FetchError> {
        match self {
            Batches::Folder(folder) => {
                let path = folder.join(format!("{:06}", batch.0)).join(name);
                let wrong =
                    |source| FetchError::Unavailable { what: path.display().to_string(), source };
                files::read(&path, BATCH_FILE_BYTES_MAX as u64, files::Audience::Public)
                    .map_err(wrong)
            }
            Batches::Http { tls, host, path } => {
                let peer = Peer { tls: *tls, host };
                peer.get(path, &format!("/batches/{}{suffix}", batch.0))
            }
        }
    }
}

/// Who is asked.
struct Peer<'a> {
    tls: bool,
    /// With its port.
    host: &'a str,
}

impl Peer<'_> {
    fn get(&self, path: &str, file: &str) -> Result<Vec<u8>, FetchError> {
        let Peer { tls, host } = self;
        let scheme = if *tls { "https" } else { "http" };
        let what = format!("{scheme}://{host}{}{file}", hidden(path));
        let answer = self.fetch(&format!("{path}{file}"));
        match answer {
            Ok(Answer { status: 200, body: Some(body) }) => Ok(body),
            Ok(Answer { status, .. }) => Err(FetchError::Status { what, found: status }),
            Err(source) if tls::is_none(&source) => Err(FetchError::NoTls { what }),
            Err(source) => Err(FetchError::Unavailable { what, source }),
        }
    }

    fn fetch(&self, path: &str) -> io::Result<Answer> {
        let none = || io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        let address = self.host.to_socket_addrs()?.next().ok_or_else(none)?;
        let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
        // For each piece: a large file may take long, a host that hangs may not.
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(WAIT))?;
        match self.tls {
            true => speak(&mut tls::begin(stream, self.host)?, self.host, path),
            false => speak(&mut stream, self.host, path),
        }
    }
}

/// A path as it may be shown: it may hold the key of whoever fetches.
fn hidden(path: &str) -> &'static str {
    if path.is_empty() { "" } else { "/<hidden>" }
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

struct Answer {
    status: u16,
    /// Of a status 200 with a length: as many bytes.
    body: Option<Vec<u8>>,
}

/// Asks on an open connection.
fn speak<S: Read + Write>(stream: &mut S, host: &str, path: &str) -> io::Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP/1.1");
    let (head, begun) = read_head(stream)?.ok_or_else(malformed)?;
    let (status, length) = parse_head(&head).ok_or_else(malformed)?;
    // Held to the limit before that much is read: the host is not trusted.
    let length = length.filter(|length| status == 200 && *length <= BATCH_FILE_BYTES_MAX);
    let Some(length) = length else {
        return Ok(Answer { status, body: None });
    };
    let mut body = begun;
    stream.take((length as u64).saturating_sub(body.len() as u64)).read_to_end(&mut body)?;
    if body.len() != length {
        let why = format!("expected {length} bytes, found {}", body.len());
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    Ok(Answer { status, body: Some(body) })
}

/// The head up to its empty line, and what came of the body with it.
fn read_head<S: Read>(stream: &mut S) -> io::Result<Option<(String, Vec<u8>)>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    while bytes.len() < HEAD_BYTES_MAX {
        // In pieces of any size: where the head ends is not known before it is there.
        let count = stream.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok(String::from_utf8(bytes).ok().map(|head| (head, body)));
        }
        if count == 0 {
            break;
        }
    }
    Ok(None)
}

/// Status and, unless the body comes in chunks, its length.
fn parse_head(head: &str) -> Option<(u16, Option<usize>)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut length = None;
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse().ok()?);
        }
        // Chunks are not spoken; taken for content, their lengths would stand amid the bytes.
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Some((status, None));
        }
    }
    Some((status, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn served(answer: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (request, _) = read_head(&mut stream).unwrap().unwrap();
            stream.write_all(answer).unwrap();
            request
        });
        (host, thread)
    }

    #[test]
    fn a_file_is_fetched_with_its_length() {
        let (host, thread) = served(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nbytes");
        let batches = Batches::parse(&format!("http://{host}/vitals/")).unwrap();
        assert_eq!(batches.private(BatchNumber(7)).unwrap(), b"bytes");
        let request = thread.join().unwrap();
        assert!(request.starts_with("GET /vitals/batches/7/private HTTP/1.1\r\n"));
    }

    #[test]
    fn truncated_missing_and_chunked_answers_are_told_apart() {
        let found = |answer| {
            let (host, thread) = served(answer);
            let outcome = Peer { tls: false, host: &host }.get("", "/batches/1");
            thread.join().unwrap();
            outcome
        };
        let short = found(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbytes");
        assert!(matches!(short, Err(FetchError::Unavailable { .. })));
        let missing = found(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        assert!(matches!(missing, Err(FetchError::Status { found: 404, .. })));
        let (host, thread) = served(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let keyed = Batches::parse(&format!("http://{host}/hunter2")).unwrap();
        let error = keyed.public(BatchNumber(1)).unwrap_err();
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
        let error = speak(&mut stream, &host, "/").map(drop).unwrap_err();
        assert!(tls::is_none(&error), "{error:?}");
        thread.join().unwrap();
    }

    #[test]
    fn addresses_and_folders_are_told_apart() {
        assert_eq!(Batches::parse(".").map_err(drop_error), Ok(Batches::Folder(".".into())));
        let missing = Batches::parse("no/such/folder").unwrap_err();
        assert!(missing.to_string().ends_with("found neither at no/such/folder"), "{missing}");
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
            "ftp://node/hunter2",
        ] {
            let error = Batches::parse(bad).unwrap_err();
            assert!(matches!(error, FetchError::Address), "{bad}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    fn drop_error(_: FetchError) {}
}
