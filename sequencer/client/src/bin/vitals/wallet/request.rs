//! What a browser asks, read from bytes: no socket, no clock. One request a connection, with a
//! length and without chunks, since the page that asks needs no more.

use model::whole_number;

/// Longest head, bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;
/// Longest body, bytes: a rule in words.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 10;
/// Most lines of a head.
const LINES_MAX: usize = 64;

/// The header by which a page shows the word that only its own address keeps.
pub(crate) const WORD: &str = "x-vitals-page";

/// How something is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
}

/// A head, of which everything else is passed over.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    pub(crate) method: Option<Method>,
    pub(crate) path: String,
    pub(crate) host: Option<String>,
    pub(crate) origin: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) word: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) service_worker: Option<String>,
    length: Option<String>,
}

/// Hides what opens the page.
impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Head({:?}, {} bytes of path)", self.method, self.path.len())
    }
}

/// A request that is read no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unread {
    /// It is no HTTP/1.1 as it is spoken here.
    Malformed,
    /// Neither GET, HEAD nor POST.
    Method,
    /// Its body has no length, or comes in chunks.
    Length,
    /// Its body is too long.
    Long,
}

impl Head {
    /// Reads a head without its empty line.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Head, Unread> {
        // Cookies of other servers of this machine may hold anything; what is read here is ASCII.
        let text = String::from_utf8_lossy(bytes);
        let is_control = |c: char| c.is_ascii_control() && c != '\r' && c != '\n';
        if text.contains(is_control) {
            return Err(Unread::Malformed);
        }
        let mut lines = text.split("\r\n");
        let mut head = Head::parse_first(lines.next().unwrap_or_default())?;
        for (at, line) in lines.enumerate() {
            // A line that goes on from the one before it is another header to somebody else.
            let (name, value) = line.split_once(':').ok_or(Unread::Malformed)?;
            if at >= LINES_MAX || line.contains(['\r', '\n']) || !is_token(name) {
                return Err(Unread::Malformed);
            }
            head.take(&name.to_ascii_lowercase(), value.trim_matches(' '))?;
        }
        Ok(head)
    }

    fn parse_first(line: &str) -> Result<Head, Unread> {
        let mut parts = line.split(' ');
        let (method, path) = (parts.next(), parts.next());
        if parts.next() != Some("HTTP/1.1") || parts.next().is_some() {
            return Err(Unread::Malformed);
        }
        let method = match method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            _ => return Err(Unread::Method),
        };
        let is_plain = |path: &&str| path.starts_with('/') && path.is_ascii();
        let path = path.filter(is_plain).ok_or(Unread::Malformed)?;
        Ok(Head { method: Some(method), path: path.to_owned(), ..Head::default() })
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Unread> {
        let place = match name {
            "host" => &mut self.host,
            "origin" => &mut self.origin,
            "content-type" => &mut self.content_type,
            "content-length" => &mut self.length,
            "cookie" => &mut self.cookie,
            "if-none-match" => &mut self.if_none_match,
            "service-worker" => &mut self.service_worker,
            WORD => &mut self.word,
            "transfer-encoding" => return Err(Unread::Length),
            _ => return Ok(()),
        };
        // Of two, one program takes the first and the next one the last.
        match place.replace(value.to_owned()) {
            Some(_) => Err(Unread::Malformed),
            None => Ok(()),
        }
    }

    /// How long its body is: of a POST it has to say, of anything else there is none.
    pub(crate) fn body_bytes(&self) -> Result<usize, Unread> {
        let is_post = self.method == Some(Method::Post);
        let Some(length) = self.length.as_deref().filter(|_| is_post) else {
            return if is_post { Err(Unread::Length) } else { Ok(0) };
        };
        // More digits than any length has are none.
        let length = whole_number(length).ok_or(Unread::Malformed)?;
        if length > BODY_BYTES_MAX { Err(Unread::Long) } else { Ok(length) }
    }

    /// The values of all cookies of this name.
    pub(crate) fn cookies<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.cookie.iter().flat_map(|all| all.split(';')).map(str::trim);
        all.filter_map(|one| one.split_once('='))
            .filter_map(move |(of, value)| (of == name).then_some(value))
    }
}

fn is_token(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Head, Unread> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_and_what_it_hides_is_not_printed() {
        let head = "POST /sign HTTP/1.1\r\nHost: 127.0.0.1:1\r\nCookie: a=1; b=2\r\n\
                    Content-Length: 12\r\nX-Vitals-Page: secret\r\nAccept: */*";
        let head = parse(head).unwrap();
        assert_eq!((head.method, head.path.as_str()), (Some(Method::Post), "/sign"));
        let cookies = |name: &str| head.cookies(name).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((cookies("a"), cookies("b")), (vec!["1".to_owned()], vec!["2".to_owned()]));
        assert_eq!((head.body_bytes(), head.word.as_deref()), (Ok(12), Some("secret")));
        assert!(!format!("{head:?}").contains("secret"));
        let two = parse("GET / HTTP/1.1\r\nCookie: a=1;a=2;b=\u{e9}").unwrap();
        assert_eq!(two.cookies("a").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn what_two_programs_could_read_two_ways_is_refused() {
        for bad in [
            "",
            "GET /",
            "GET / HTTP/1.0",
            "GET  / HTTP/1.1",
            "GET http://else/ HTTP/1.1",
            "GET / HTTP/1.1\r\nHost",
            "GET / HTTP/1.1\r\nHost : a",
            "GET / HTTP/1.1\r\nHost: a\r\nhost: b",
            "GET / HTTP/1.1\r\nHost: a\n b: c",
            "GET / HTTP/1.1\r\n folded: a",
            "GET / HTTP/1.1\r\nHost: \u{7f}",
            "GET /\u{e9} HTTP/1.1",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        ] {
            assert_eq!(parse(bad).err(), Some(Unread::Malformed), "{bad:?}");
        }
        assert_eq!(parse("PUT / HTTP/1.1").err(), Some(Unread::Method));
        let chunks = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked";
        assert_eq!(parse(chunks).err(), Some(Unread::Length));
        let lines = "\r\na: b".repeat(LINES_MAX);
        assert!(parse(&format!("GET / HTTP/1.1{lines}")).is_ok());
        assert!(parse(&format!("GET / HTTP/1.1{lines}\r\na: b")).is_err());
    }

    #[test]
    fn whatever_byte_is_another_one_nothing_but_a_path_and_a_length_come_of_it() {
        let head = b"POST /sign HTTP/1.1\r\nHost: a:1\r\nCookie: a=1\r\nContent-Length: 12";
        for at in 0..head.len() {
            for byte in 0..=u8::MAX {
                let mut other = head.to_vec();
                other[at] = byte;
                let Ok(head) = Head::parse(&other) else { continue };
                assert!(head.path.starts_with('/') && head.path.is_ascii(), "{at} {byte}");
                assert!(!head.body_bytes().is_ok_and(|length| length > BODY_BYTES_MAX));
            }
            assert!(Head::parse(&head[..at]).is_err() || at > 18, "{at}");
        }
    }

    #[test]
    fn a_body_says_its_length_and_is_no_longer_than_the_limit() {
        let length = |line: &str| parse(&format!("POST / HTTP/1.1{line}")).unwrap().body_bytes();
        assert_eq!(length(""), Err(Unread::Length));
        assert_eq!(length("\r\nContent-Length: 16384"), Ok(BODY_BYTES_MAX));
        assert_eq!(length("\r\nContent-Length: 16385"), Err(Unread::Long));
        for bad in ["-1", "+1", "1 1", "0x10", "", "9999999999999999999999"] {
            assert_eq!(length(&format!("\r\nContent-Length: {bad}")), Err(Unread::Malformed));
        }
        let get = parse("GET / HTTP/1.1\r\nContent-Length: 5").unwrap();
        assert_eq!(get.body_bytes(), Ok(0));
    }
}
