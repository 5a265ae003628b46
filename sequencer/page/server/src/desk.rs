//! The operator's desk beside a page that is for everybody: its figures are for whoever is let in.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /desk` | JSON: what an operator watches; 401 or 403 to whoever is not let in |
//! | `POST /desk/session` | lets in whoever gives the token, by a cookie; 204 |
//! | `DELETE /desk/session` | takes that cookie away; 204 |

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::reply::{Failed, JSON, failed, held, read_question, take_place, with_type};

/// Answers in memory at once, each of up to a megabyte: the points of some hours.
const ANSWERS_MAX: usize = 4;

/// Longest question with a token.
const QUESTION_BYTES_MAX: usize = 1024;

/// Who knows the figures, and who may see them.
pub trait Desk: Send + Sync {
    /// Whether a request is let in, and what it asks for.
    ///
    /// # Errors
    /// [`Closed`] if it is not, or asks for something else.
    fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<Admitted, Closed>;

    /// The figures as JSON, for whoever is let in. Takes some milliseconds.
    fn tell(&self, admitted: Admitted) -> String;

    /// The cookie that lets a browser in from now on, for whoever gives the token; its value has
    /// to be kept from logs.
    ///
    /// # Errors
    /// [`Closed`] for another token, and where there is none.
    fn begin(&self, token: &str, headers: &HeaderMap) -> Result<HeaderValue, Closed>;

    /// Ends the session that such a cookie stands for; what has the browser forget it.
    fn end(&self, headers: &HeaderMap) -> HeaderValue;
}

/// A request that is let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admitted {
    /// It asks for points later than this, milliseconds since 1970.
    pub since_unix_ms: u64,
    /// Whether it is a browser's with a cookie, which can be given back.
    pub is_session: bool,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Status of HTTP.
    pub status: u16,
    /// The word that says why.
    pub code: &'static str,
}

impl From<Closed> for Failed {
    fn from(Closed { status, code }: Closed) -> Failed {
        // Of a desk that gives no status, nobody is let in.
        failed(StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN), code)
    }
}

/// The desk's part of a page's server.
pub(crate) struct DeskAnswers {
    desk: Arc<dyn Desk>,
    places: Arc<Semaphore>,
}

impl DeskAnswers {
    pub(crate) fn new(desk: Arc<dyn Desk>) -> DeskAnswers {
        DeskAnswers { desk, places: Arc::new(Semaphore::new(ANSWERS_MAX)) }
    }

    /// The answer to one of the desk's own paths ([`is_of_desk`]).
    pub(crate) async fn find(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Failed> {
        let mut response = match request.uri().path() {
            "/desk" => self.tell(&request).await?,
            _ => self.change_session(request).await?,
        };
        // It is for whoever was let in, and of now: no cache keeps it.
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    async fn tell(&self, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Failed> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(failed(StatusCode::METHOD_NOT_ALLOWED, "method-not-served"));
        }
        // Before a place is taken: whoever is not let in keeps nobody waiting who is.
        let admitted = self.desk.admit(request.uri(), request.headers())?;
        let place = take_place(&self.places).await?;
        let desk = Arc::clone(&self.desk);
        // Off the runtime's threads: up to a megabyte is written.
        let told = tokio::task::spawn_blocking(move || desk.tell(admitted)).await;
        let told = told.map_err(|_| failed(StatusCode::INTERNAL_SERVER_ERROR, "internal"))?;
        Ok(with_type(StatusCode::OK, JSON, held(told.into_bytes(), place)))
    }

    async fn change_session(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Failed> {
        let (head, body) = request.into_parts();
        let cookie = match head.method {
            Method::POST => {
                let question = read_question(&head.headers, body, QUESTION_BYTES_MAX).await?;
                self.desk.begin(&token_of(&question)?, &head.headers)?
            }
            // A method that no page of another site may use without asking here first.
            Method::DELETE => self.desk.end(&head.headers),
            _ => return Err(failed(StatusCode::METHOD_NOT_ALLOWED, "method-not-served")),
        };
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(header::SET_COOKIE, cookie);
        Ok(response)
    }
}

/// Paths that are the desk's own.
pub(crate) fn is_of_desk(path: &str) -> bool {
    matches!(path, "/desk" | "/desk/session")
}

/// The one field of the question.
fn token_of(question: &[u8]) -> Result<String, Failed> {
    let malformed = || failed(StatusCode::BAD_REQUEST, "question-malformed");
    let question: Value = serde_json::from_slice(question).map_err(|_| malformed())?;
    question["token"].as_str().map(str::to_owned).ok_or_else(malformed)
}
