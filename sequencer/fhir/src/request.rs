//! Requests of HTTP/1.1 out of bytes: no socket, no clock.
//!
//! Posting systems keep a connection open, send the next request before the answer of the last one,
//! and some send chunks. What two programs could read two ways is refused, and ends the connection:
//! whoever stands in between might have read it the other way.

use std::fmt;

use crate::interaction::Turned;

/// Longest head, bytes; a token has 8 KiB at most.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
/// Most lines of a head.
const LINES_MAX: usize = 64;
/// Longest line before a chunk, bytes: its length, and extensions that nobody needs.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// A head, of which everything else is passed over.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// `GET`, `POST` ...
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `Host`; every head has one.
    pub host: Option<String>,
    /// `Accept`.
    pub accept: Option<String>,
    /// `Authorization`; a secret.
    pub authorization: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `If-None-Exist`.
    pub if_none_exist: Option<String>,
    /// `Prefer`.
    pub prefer: Option<String>,
    /// `Origin`, which a browser's page has.
    pub origin: Option<String>,
    expect: Option<String>,
    connection: Option<String>,
    content_length: Option<String>,
    transfer_encoding: Option<String>,
}

/// Hides the token and what is asked about whom.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Head({} bytes of target)", self.target.len())
    }
}

/// How long the body of a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    Bytes(usize),
    Chunks,
}

impl Head {
    /// Whether the sender wants to hear that the body may come.
    pub fn expects_continue(&self) -> bool {
        self.expect.is_some()
    }

    /// Whether the sender ends the connection after this.
    pub fn closes(&self) -> bool {
        let options = self.connection.as_deref().unwrap_or_default().split(',');
        options.map(str::trim).any(|option| option.eq_ignore_ascii_case("close"))
    }

    fn parse(bytes: &[u8]) -> Result<Head, Turned> {
        let text = str::from_utf8(bytes).map_err(|_| Turned::Malformed)?;
        let is_control = |c: char| c.is_ascii_control() && c != '\r' && c != '\n';
        if text.contains(is_control) {
            return Err(Turned::Malformed);
        }
        let mut lines = text.split("\r\n");
        let mut head = Head::parse_first(lines.next().unwrap_or_default())?;
        for (at, line) in lines.enumerate() {
            // A line that goes on from the one before it is another header to somebody else.
            let (name, value) = line.split_once(':').ok_or(Turned::Malformed)?;
            if at >= LINES_MAX || line.contains(['\r', '\n']) || !is_token(name) {
                return Err(Turned::Malformed);
            }
            head.take(&name.to_ascii_lowercase(), value.trim_matches(' '))?;
        }
        head.check()?;
        Ok(head)
    }

    fn parse_first(line: &str) -> Result<Head, Turned> {
        let mut parts = line.split(' ');
        let (method, target) = (parts.next(), parts.next());
        if parts.next() != Some("HTTP/1.1") || parts.next().is_some() {
            return Err(Turned::Malformed);
        }
        let method = method.filter(|method| is_token(method)).ok_or(Turned::Malformed)?;
        let is_plain = |target: &&str| target.starts_with('/') && target.is_ascii();
        let target = target.filter(is_plain).ok_or(Turned::Malformed)?;
        Ok(Head { method: method.to_owned(), target: target.to_owned(), ..Head::default() })
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Turned> {
        let place = match name {
            "host" => &mut self.host,
            "accept" => &mut self.accept,
            "authorization" => &mut self.authorization,
            "content-type" => &mut self.content_type,
            "if-none-exist" => &mut self.if_none_exist,
            "prefer" => &mut self.prefer,
            "origin" => &mut self.origin,
            "expect" => &mut self.expect,
            "connection" => &mut self.connection,
            "content-length" => &mut self.content_length,
            "transfer-encoding" => &mut self.transfer_encoding,
            // A body that is packed is another one than its type says.
            "content-encoding" if value != "identity" => return Err(Turned::ContentType),
            _ => return Ok(()),
        };
        // Of two, one program takes the first and the next one the last.
        match place.replace(value.to_owned()) {
            Some(_) => Err(Turned::Malformed),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), Turned> {
        if self.host.is_none() || self.content_length.is_some() && self.transfer_encoding.is_some()
        {
            return Err(Turned::Malformed);
        }
        let is_known = |expect: &str| expect.eq_ignore_ascii_case("100-continue");
        if !self.expect.as_deref().is_none_or(is_known) {
            return Err(Turned::Expectation);
        }
        Ok(())
    }

    fn length(&self, body_bytes_max: usize) -> Result<Length, Turned> {
        if let Some(encoding) = &self.transfer_encoding {
            let is_known = encoding.eq_ignore_ascii_case("chunked");
            return if is_known { Ok(Length::Chunks) } else { Err(Turned::Length) };
        }
        let Some(length) = &self.content_length else {
            return if self.method == "POST" { Err(Turned::Length) } else { Ok(Length::Bytes(0)) };
        };
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(Turned::Malformed);
        }
        // More digits than a number has are too many bytes, too.
        let length = length.parse().ok().filter(|length| *length <= body_bytes_max);
        length.map(Length::Bytes).ok_or(Turned::Long { max: body_bytes_max })
    }
}

fn is_token(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain)
}

/// What of a connection was read and not taken yet.
pub struct Reader {
    bytes: Vec<u8>,
    /// Where the end of the head is looked for next.
    looked: usize,
    body_bytes_max: usize,
    body: Option<Body>,
}

/// A body of which a part is there.
enum Body {
    Bytes(usize),
    Chunks(Chunks),
}

#[derive(Default)]
struct Chunks {
    bytes: Vec<u8>,
    /// Of the chunk that is read; none between two.
    left: Option<usize>,
    is_last: bool,
}

impl Reader {
    /// Of a connection on which no body may be longer than this.
    pub fn new(body_bytes_max: usize) -> Reader {
        Reader { bytes: Vec::new(), looked: 0, body_bytes_max, body: None }
    }

    /// More of the connection.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether a part of a request is there.
    pub fn is_within(&self) -> bool {
        !self.bytes.is_empty() || self.body.is_some()
    }

    /// The next head, if all of it is there. Its body is to be taken then.
    ///
    /// # Errors
    /// [`Turned`]: nothing more can be read of this connection.
    pub fn head(&mut self) -> Result<Option<Head>, Turned> {
        // Empty lines before a request are what some senders put behind a body.
        let empty = self.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if empty > 0 && self.looked == 0 {
            self.bytes.drain(..empty);
        }
        let from = self.looked.saturating_sub(3);
        let end = self.bytes[from..].windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.map(|end| from + end) else {
            self.looked = self.bytes.len();
            let is_long = self.bytes.len() > HEAD_BYTES_MAX;
            return if is_long { Err(HEAD_LONG) } else { Ok(None) };
        };
        if end > HEAD_BYTES_MAX {
            return Err(HEAD_LONG);
        }
        let head = Head::parse(&self.bytes[..end])?;
        self.body = Some(match head.length(self.body_bytes_max)? {
            Length::Bytes(bytes) => Body::Bytes(bytes),
            Length::Chunks => Body::Chunks(Chunks::default()),
        });
        self.bytes.drain(..end + 4);
        self.looked = 0;
        Ok(Some(head))
    }

    /// The body of the last head, if all of it is there.
    ///
    /// # Errors
    /// [`Turned`]: nothing more can be read of this connection.
    pub fn body(&mut self) -> Result<Option<Vec<u8>>, Turned> {
        match &mut self.body {
            None => Ok(None),
            Some(Body::Bytes(bytes)) if self.bytes.len() < *bytes => Ok(None),
            Some(Body::Bytes(bytes)) => {
                let body = self.bytes.drain(..*bytes).collect();
                self.body = None;
                Ok(Some(body))
            }
            Some(Body::Chunks(chunks)) => {
                let body = chunks.take(&mut self.bytes, self.body_bytes_max)?;
                if body.is_some() {
                    self.body = None;
                }
                Ok(body)
            }
        }
    }
}

const HEAD_LONG: Turned = Turned::HeadLong { max: HEAD_BYTES_MAX };

impl Chunks {
    /// Takes what is there; all of it when the last chunk and the empty line behind it are.
    fn take(&mut self, from: &mut Vec<u8>, max: usize) -> Result<Option<Vec<u8>>, Turned> {
        let mut at = 0;
        let whole = loop {
            let rest = &from[at..];
            match self.left {
                Some(0) => {
                    let Some(end) = rest.get(..2) else { break false };
                    if end != b"\r\n" {
                        return Err(Turned::Malformed);
                    }
                    (at, self.left) = (at + 2, None);
                    if self.is_last {
                        break true;
                    }
                }
                Some(left) if rest.is_empty() => {
                    self.left = Some(left);
                    break false;
                }
                Some(left) => {
                    let taken = left.min(rest.len());
                    self.bytes.extend_from_slice(&rest[..taken]);
                    (at, self.left) = (at + taken, Some(left - taken));
                }
                None => {
                    let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
                        let is_long = rest.len() > CHUNK_LINE_BYTES_MAX;
                        if is_long {
                            return Err(Turned::Malformed);
                        }
                        break false;
                    };
                    let length = chunk_length(&rest[..end])?;
                    if self.bytes.len().saturating_add(length) > max {
                        return Err(Turned::Long { max });
                    }
                    // Trailers are none that anybody here reads: an empty line has to follow.
                    (at, self.left, self.is_last) = (at + end + 2, Some(length), length == 0);
                }
            }
        };
        from.drain(..at);
        Ok(whole.then(|| std::mem::take(&mut self.bytes)))
    }
}

fn chunk_length(line: &[u8]) -> Result<usize, Turned> {
    let text = str::from_utf8(line).map_err(|_| Turned::Malformed)?;
    let digits = text.split(';').next().unwrap_or_default().trim_end_matches(' ');
    let is_hex = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let length = is_hex.then(|| usize::from_str_radix(digits, 16).ok()).flatten();
    // A line break of half its bytes is the line's end to somebody else.
    let is_line = line.len() <= CHUNK_LINE_BYTES_MAX && !line.iter().any(u8::is_ascii_control);
    length.filter(|_| is_line).ok_or(Turned::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_MAX: usize = 32;

    /// All requests of a text, pushed in pieces, and what ended it.
    fn read_in(text: &str, piece: usize) -> (Vec<(Head, String)>, Option<Turned>) {
        let (mut reader, mut found, mut head) = (Reader::new(BODY_MAX), Vec::new(), None);
        for bytes in text.as_bytes().chunks(piece) {
            reader.push(bytes);
            loop {
                if head.is_none() {
                    match reader.head() {
                        Ok(Some(next)) => head = Some(next),
                        Ok(None) => break,
                        Err(turned) => return (found, Some(turned)),
                    }
                }
                match reader.body() {
                    Ok(Some(body)) => {
                        let body = String::from_utf8(body).unwrap();
                        found.push((head.take().unwrap(), body));
                    }
                    Ok(None) => break,
                    Err(turned) => return (found, Some(turned)),
                }
            }
        }
        assert!(reader.is_within() || head.is_none());
        (found, None)
    }

    fn turned(text: &str) -> Option<Turned> {
        let whole = read_in(text, text.len().max(1));
        assert_eq!(whole.1, read_in(text, 1).1, "{text:?}");
        whole.1
    }

    #[test]
    fn requests_behind_each_other_are_read_in_pieces_of_every_size() {
        let text = "POST /fhir HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst\
                    \r\nGET /fhir/metadata HTTP/1.1\r\nhost: a\r\nConnection: close\r\n\r\n\
                    POST /fhir HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
                    Expect: 100-continue\r\n\r\n3\r\nthi\r\n2 ;x=y\r\nrd\r\n0\r\n\r\n";
        for piece in 1..=text.len() {
            let (found, turned) = read_in(text, piece);
            assert_eq!(turned, None, "{piece}");
            let bodies: Vec<_> = found.iter().map(|(_, body)| body.as_str()).collect();
            assert_eq!(bodies, ["first", "", "third"], "{piece}");
            assert_eq!(found[1].0.target, "/fhir/metadata");
            assert_eq!(
                found.iter().map(|one| one.0.closes()).collect::<Vec<_>>(),
                [false, true, false]
            );
            assert!(found[2].0.expects_continue());
        }
    }

    #[test]
    fn what_two_programs_could_read_two_ways_is_refused() {
        for text in [
            "GET /\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\n\r\na\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\rx\r\na\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
        ] {
            assert_eq!(turned(text), Some(Turned::Malformed), "{text:?}");
        }
        let encoded = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
        assert_eq!(turned(encoded), Some(Turned::Length));
        let packed = "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n\r\n";
        assert_eq!(turned(packed), Some(Turned::ContentType));
        assert_eq!(turned("POST / HTTP/1.1\r\nHost: a\r\n\r\n"), Some(Turned::Length));
        let expect = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n";
        assert_eq!(turned(expect), Some(Turned::Expectation));
    }

    #[test]
    fn lengths_are_held_to_their_limits_before_the_bytes_come() {
        let long = Some(Turned::Long { max: BODY_MAX });
        let length = |length: &str| {
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
        };
        assert_eq!(turned(&length("32")), None);
        assert_eq!(turned(&length("33")), long);
        assert_eq!(turned(&length("99999999999999999999999999")), long);
        let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(turned(&format!("{chunked}20\r\n")), None);
        assert_eq!(turned(&format!("{chunked}21\r\n")), long);
        assert_eq!(turned(&format!("{chunked}10\r\n{}\r\n11\r\n", "a".repeat(16))), long);
        let endless = format!("{chunked}{}", "1".repeat(CHUNK_LINE_BYTES_MAX + 2));
        assert_eq!(turned(&endless), Some(Turned::Malformed));
        let head = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(turned(&head), Some(HEAD_LONG));
        let lines = "\r\na: b".repeat(LINES_MAX);
        let many = format!("GET / HTTP/1.1\r\nHost: a{lines}\r\n\r\n");
        assert_eq!(turned(&many), Some(Turned::Malformed));
    }

    #[test]
    fn whatever_byte_is_another_one_a_request_ends_where_its_length_says() {
        let text = b"POST /fhir HTTP/1.1\r\nHost: a:1\r\nContent-Length: 4\r\n\r\nbody";
        for at in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut other = text.to_vec();
                other[at] = byte;
                let mut reader = Reader::new(BODY_MAX);
                reader.push(&other);
                let Ok(Some(head)) = reader.head() else { continue };
                assert!(head.target.starts_with('/') && head.target.is_ascii(), "{at} {byte}");
                assert!(!format!("{head:?}").contains("fhir"));
                let Ok(Some(body)) = reader.body() else { continue };
                assert!(body.len() <= BODY_MAX);
            }
        }
    }
}
