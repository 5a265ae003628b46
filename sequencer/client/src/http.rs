//! One request and its answer over HTTP/1.1, without redirects or chunks, over a socket or TLS.
//!
//! Whatever comes is checked by who asks, so the transport need not be trusted, and no HTTP library
//! is compiled into gateways (the smallest kept one would add some ten crates).

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use model::whole_number;

use crate::patience::{Asking, Busy};
use crate::tls;

/// Waits for a connection and for each piece of an answer.
const WAIT: Duration = Duration::from_secs(30);
/// Longest head of an answer, bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// An address that was given.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Whether it is spoken to by TLS.
    pub(crate) tls: bool,
    /// With its port.
    pub(crate) host: String,
    /// What stands before the paths of a node, empty or beginning with a slash.
    pub(crate) path: String,
}

/// Not `http://HOST[:PORT][/PATH]` or `https://HOST[:PORT][/PATH]`, or with user or `?`.
#[derive(Debug)]
pub(crate) struct Unreadable;

impl Address {
    /// Reads a text; `None` if it does not begin as an address does.
    pub(crate) fn parse(text: &str) -> Option<Result<Address, Unreadable>> {
        let plain = text.strip_prefix("http://").map(|rest| (rest, false));
        let (rest, tls) =
            plain.or_else(|| text.strip_prefix("https://").map(|rest| (rest, true)))?;
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
            return Some(Err(Unreadable));
        }
        // Colons of an IPv6 address stand in brackets.
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let host = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let path = if path == "/" { String::new() } else { path };
        Some(Ok(Address { tls, host, path }))
    }

    /// Who is asked there.
    pub(crate) fn peer(&self) -> Peer<'_> {
        Peer { tls: self.tls, host: &self.host }
    }
}

/// Who is asked.
#[derive(Clone, Copy)]
pub(crate) struct Peer<'a> {
    pub(crate) tls: bool,
    /// With its port.
    pub(crate) host: &'a str,
}

/// Without a path, which may hold the key of whoever asks.
impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)
    }
}

/// What is sent.
pub(crate) enum Sent<'a> {
    /// Nothing but the path; the answer is a file.
    Get,
    /// Bytes.
    Octets(&'a [u8]),
}

impl Peer<'_> {
    /// Asks once, on a connection of its own, of which every address of the host is tried.
    pub(crate) fn exchange(self, path: &str, sent: &Sent<'_>) -> io::Result<Answer> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        let mut connected = None;
        for address in self.host.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, WAIT) {
                Ok(stream) => {
                    connected = Some(stream);
                    break;
                }
                Err(error) => failed = error,
            }
        }
        let Some(mut stream) = connected else { return Err(failed) };
        // For each piece: a large file may take long, a host that hangs may not.
        stream.set_read_timeout(Some(WAIT))?;
        stream.set_write_timeout(Some(WAIT))?;
        match self.tls {
            true => speak(&mut tls::begin(stream, self.host)?, self.host, path, sent),
            false => speak(&mut stream, self.host, path, sent),
        }
    }
}

/// A path as it may be shown: it may hold the key of whoever fetches.
pub(crate) fn hidden(path: &str) -> &'static str {
    if path.is_empty() { "" } else { "/<hidden>" }
}

/// What comes back.
pub(crate) enum Answer {
    /// A body with its length.
    Whole { status: u16, body: Vec<u8> },
    /// To be asked again later, and what it says besides.
    Busy { busy: Busy, body: Vec<u8> },
    /// Something else, or a body without a length.
    Other { status: u16 },
}

/// Longest body of an answer that is none of the things asked for.
const EXCUSE_BYTES_MAX: usize = 64 << 10;

/// Asks on an open connection.
pub(crate) fn speak<S: Read + Write>(
    stream: &mut S,
    host: &str,
    path: &str,
    sent: &Sent<'_>,
) -> io::Result<Answer> {
    stream.write_all(&sent.to_bytes(host, path))?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP/1.1");
    let (head, begun) = read_head(stream)?.ok_or_else(malformed)?;
    let Head { status, length, asking } = parse_head(&head).ok_or_else(malformed)?;
    // Held to the limit before that much is read: the host is not trusted.
    let most = if status == 200 { sent.answer_bytes_max() } else { EXCUSE_BYTES_MAX };
    let length = length.filter(|length| *length <= most);
    let mut read = |length: usize| {
        let mut body = begun.clone();
        stream.take((length as u64).saturating_sub(body.len() as u64)).read_to_end(&mut body)?;
        if body.len() == length {
            return Ok(body);
        }
        let why = format!("expected {length} bytes, found {}", body.len());
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
    };
    if let Some(busy) = Busy::of(status, &asking) {
        // What it says besides is worth nothing to wait for.
        let body = length.and_then(|length| read(length).ok()).unwrap_or_default();
        return Ok(Answer::Busy { busy, body });
    }
    match length {
        Some(length) => Ok(Answer::Whole { status, body: read(length)? }),
        None => Ok(Answer::Other { status }),
    }
}

/// Longest receipt in an answer: 512 items, as hexadecimal digits.
const RECEIPT_BYTES_MAX: usize = 256 << 10;

impl Sent<'_> {
    fn answer_bytes_max(&self) -> usize {
        match self {
            Sent::Get => model::limits::BATCH_FILE_BYTES_MAX,
            Sent::Octets(_) => RECEIPT_BYTES_MAX,
        }
    }

    fn to_bytes(&self, host: &str, path: &str) -> Vec<u8> {
        let (method, about, body) = match self {
            Sent::Get => ("GET", String::new(), &[][..]),
            Sent::Octets(bytes) => {
                let kind = "Content-Type: application/octet-stream\r\n";
                ("POST", format!("{kind}Content-Length: {}\r\n", bytes.len()), *bytes)
            }
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{about}\r\n");
        [head.as_bytes(), body].concat()
    }
}

/// The head up to its empty line, and what came of the body with it.
pub(crate) fn read_head<S: Read>(stream: &mut S) -> io::Result<Option<(String, Vec<u8>)>> {
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

/// What a head says.
struct Head<'a> {
    status: u16,
    /// None of a body that comes in chunks.
    length: Option<usize>,
    asking: Asking<'a>,
}

fn parse_head(head: &str) -> Option<Head<'_>> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3).and_then(whole_number)?;
    let (mut length, mut chunked, mut asking) = (None, false, Asking::default());
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(whole_number(value.trim())?);
        }
        // Chunks are not spoken; taken for content, their lengths would stand amid the bytes.
        chunked |= name.eq_ignore_ascii_case("transfer-encoding");
        if name.eq_ignore_ascii_case("retry-after") {
            asking.retry_after = Some(value.trim());
        }
        if name.eq_ignore_ascii_case("date") {
            asking.date = Some(value.trim());
        }
    }
    Some(Head { status, length: length.filter(|_| !chunked), asking })
}
