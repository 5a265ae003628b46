//! What is answered to each path: the page's files to anybody who asks by this machine's name, and
//! everything else to the one who opened the page.

use std::borrow::Cow;

use page::{CACHE_CONTROL, HEADERS};
use serde::Deserialize;
use serde_json::{Value, json};

use super::gate::{Gate, Stranger};
use super::patient::Question;
use super::request::{Head, Method, Unread};

const JSON: &str = "application/json";

/// What a patient's answers are: kept by no cache.
const NOT_KEPT: &str = "no-store";

/// An answer on its way.
pub(crate) struct Answer {
    status: u16,
    content_type: &'static str,
    cache: &'static str,
    /// Name and value of one more header.
    more: Option<(&'static str, String)>,
    body: Cow<'static, [u8]>,
}

/// What is to be done with a request.
pub(crate) enum Routed {
    /// Nothing more than to send this.
    Ready(Answer),
    /// Something to ask whoever has the key.
    Ask(Question),
    /// The page is done with.
    Close,
}

/// The token of a link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    token: String,
}

/// Finds what a request is for, and whether its sender may.
pub(crate) fn route(gate: &Gate, head: &Head, body: &[u8]) -> Result<Routed, Answer> {
    gate.check(head)?;
    let is_post = head.method == Some(Method::Post);
    if let Some(asset) = page::find_of_wallet(&head.path) {
        return match is_post {
            true => Err(Answer::failed(405, "method-not-served")),
            false => Ok(Routed::Ready(Answer::file(asset, head))),
        };
    }
    if is_post && head.path == "/session" {
        let Token { token } = read(body)?;
        let opened = gate.open(&token)?;
        let said = json!({ "schema": "vitals-wallet-session-1", "word": opened.word });
        let more = Some(("set-cookie", opened.cookie));
        return Ok(Routed::Ready(Answer { more, ..Answer::of(&said) }));
    }
    // What there is, only the session learns.
    gate.check_session(head)?;
    let question = match (is_post, head.path.as_str()) {
        (false, "/state") => Question::State,
        (false, "/log") => Question::Log,
        (true, "/preview") => Question::Preview(body.to_vec()),
        (true, "/sign") => Question::Sign(read(body)?),
        (true, "/pending") => Question::Finish,
        (true, "/rebuild") => Question::Rebuild,
        (true, "/close") => return Ok(Routed::Close),
        (false, "/preview" | "/sign" | "/pending" | "/rebuild" | "/close" | "/session")
        | (true, "/state" | "/log") => return Err(Answer::failed(405, "method-not-served")),
        _ => return Err(Answer::failed(404, "path-unknown")),
    };
    Ok(Routed::Ask(question))
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|_| Answer::failed(400, "question-malformed"))
}

impl Answer {
    /// An object.
    pub(crate) fn of(object: &Value) -> Answer {
        let body = object.to_string().into_bytes().into();
        Answer { status: 200, content_type: JSON, cache: NOT_KEPT, more: None, body }
    }

    /// Nothing but the word that says why.
    pub(crate) fn failed(status: u16, code: &'static str) -> Answer {
        // Whoever is busy is asked again at once by a page that knows no better.
        let more = (status == 503).then(|| ("retry-after", "2".to_owned()));
        Answer { status, more, ..Answer::of(&json!({ "error": code, "detail": null })) }
    }

    fn file(asset: &'static page::Asset, head: &Head) -> Answer {
        let current = head.if_none_match.as_deref().is_some_and(|tags| asset.is_current(tags));
        Answer {
            status: if current { 304 } else { 200 },
            content_type: asset.content_type,
            cache: CACHE_CONTROL,
            more: Some(("etag", asset.etag())),
            body: if current { Cow::Borrowed(&[]) } else { Cow::Borrowed(asset.bytes) },
        }
    }

    /// As it is sent: one answer a connection.
    pub(crate) fn to_bytes(&self, is_head: bool) -> Vec<u8> {
        let Answer { status, content_type, cache, more, body } = self;
        let mut head = format!(
            "HTTP/1.1 {status} {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
             cache-control: {cache}\r\nconnection: close\r\n",
            reason(*status),
            body.len()
        );
        let more = more.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in HEADERS.into_iter().chain(more) {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(body);
        }
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

impl From<Stranger> for Answer {
    fn from(why: Stranger) -> Answer {
        match why {
            Stranger::Host => Answer::failed(421, "host-unknown"),
            Stranger::Origin => Answer::failed(403, "origin-unknown"),
            Stranger::Type => Answer::failed(415, "question-type"),
            Stranger::Session => Answer::failed(401, "session-unknown"),
            Stranger::Token => Answer::failed(403, "token-unknown"),
            Stranger::Randomness => Answer::failed(500, "no-randomness"),
        }
    }
}

impl From<Unread> for Answer {
    fn from(why: Unread) -> Answer {
        match why {
            Unread::Malformed => Answer::failed(400, "question-malformed"),
            Unread::Method => Answer::failed(405, "method-not-served"),
            Unread::Length => Answer::failed(411, "length-missing"),
            Unread::Long => Answer::failed(413, "question-long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::Secret;
    use super::super::patient::Agreed;
    use super::*;

    fn gate() -> Gate {
        let at = "127.0.0.1:4040".parse().unwrap();
        Gate::new(at, Secret::of([5; 32]), || Some([6; 32]))
    }

    /// Status and code of what is answered, or what is asked.
    fn routed(gate: &Gate, line: &str, more: &str, body: &str) -> Result<Question, (u16, Value)> {
        let head = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:4040{more}");
        let head = Head::parse(head.as_bytes()).unwrap();
        match route(gate, &head, body.as_bytes()) {
            Ok(Routed::Ask(question)) => Ok(question),
            Ok(Routed::Close) => Err((0, "close".into())),
            Ok(Routed::Ready(answer)) | Err(answer) => {
                let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
                Err((answer.status, body["error"].clone()))
            }
        }
    }

    const POST: &str = "\r\nOrigin: http://127.0.0.1:4040\r\nContent-Type: application/json";

    fn opened(gate: &Gate) -> String {
        let token = json!({ "token": hex::encode([5; 32]) }).to_string();
        assert_eq!(routed(gate, "POST /session", POST, &token), Err((200, Value::Null)));
        let secret = hex::encode([6; 32]);
        format!("\r\nCookie: vitals-wallet-4040={secret}\r\nX-Vitals-Page: {secret}")
    }

    #[test]
    fn only_the_session_asks_and_only_a_page_of_this_address_changes() {
        let gate = gate();
        let paths = ["GET /state", "GET /log", "GET /other"];
        for path in paths {
            let found = routed(&gate, path, "", "");
            assert_eq!(found, Err((401, "session-unknown".into())), "{path}");
        }
        let session = opened(&gate);
        let ours = format!("{POST}{session}");
        for (path, asked) in [("GET /state", Question::State), ("GET /log", Question::Log)] {
            assert_eq!(routed(&gate, path, &session, ""), Ok(asked));
        }
        let sign = |more: &str| routed(&gate, "POST /sign", more, r#"{"preview":3}"#);
        let agreed = Agreed { preview: 3, allow_unknown: false };
        assert_eq!(sign(&ours), Ok(Question::Sign(agreed)));
        let body = r#"{"preview":3,"allow_unknown":true}"#;
        let agreed = Agreed { allow_unknown: true, ..agreed };
        assert_eq!(routed(&gate, "POST /sign", &ours, body), Ok(Question::Sign(agreed)));
        assert_eq!(sign(&session), Err((403, "origin-unknown".into())));
        assert_eq!(sign(POST), Err((401, "session-unknown".into())));
        let other = ours.replace("4040\r\nContent", "4041\r\nContent");
        assert_eq!(sign(&other), Err((403, "origin-unknown".into())));
        assert_eq!(routed(&gate, "POST /close", &ours, "{}"), Err((0, "close".into())));
        assert_eq!(
            routed(&gate, "GET /close", &session, ""),
            Err((405, "method-not-served".into()))
        );
        assert_eq!(routed(&gate, "GET /other", &session, ""), Err((404, "path-unknown".into())));
        for bad in ["", "{}", r#"{"preview":-1}"#, r#"{"preview":1,"key":2}"#] {
            let found = routed(&gate, "POST /sign", &ours, bad);
            assert_eq!(found, Err((400, "question-malformed".into())), "{bad}");
        }
    }

    #[test]
    fn a_link_that_was_used_is_told_and_opens_nothing() {
        let gate = gate();
        opened(&gate);
        let token = json!({ "token": hex::encode([5; 32]) }).to_string();
        let found = routed(&gate, "POST /session", POST, &token);
        assert_eq!(found, Err((403, "token-unknown".into())));
        let wrong = routed(&gate, "POST /session", POST, r#"{"token":""}"#);
        assert_eq!(wrong, Err((403, "token-unknown".into())));
    }

    #[test]
    fn the_page_comes_with_every_header_and_is_not_sent_twice() {
        let gate = gate();
        let head = |more: &str| {
            Head::parse(format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:4040{more}").as_bytes()).unwrap()
        };
        let Ok(Routed::Ready(page)) = route(&gate, &head(""), b"") else { panic!("the page") };
        let text = String::from_utf8(page.to_bytes(false)).unwrap();
        for (name, value) in HEADERS {
            assert!(text.contains(&format!("\r\n{name}: {value}\r\n")), "{name}");
        }
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("<!doctype html>"));
        let (_, tag) = page.more.clone().unwrap();
        let again = head(&format!("\r\nIf-None-Match: {tag}"));
        let Ok(Routed::Ready(again)) = route(&gate, &again, b"") else { panic!("the page") };
        assert_eq!((again.status, again.body.len()), (304, 0));
        // The batches page is another server's.
        assert_eq!(routed(&gate, "GET /app.js", "", ""), Err((401, "session-unknown".into())));
        let answers = String::from_utf8(Answer::of(&json!({})).to_bytes(false)).unwrap();
        assert!(answers.contains("cache-control: no-store\r\n"));
    }
}
