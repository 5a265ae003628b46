//! JSON-RPC over HTTP to a node that nobody trusts.
//!
//! alloy's own transport reads an answer whole before it looks at it, names the address in its
//! errors, and does not compare the id of an answer with that of the question. This one counts the
//! bytes as they come, hides the address, and takes the answer to its question only.

use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{Id, RequestPacket, Response, ResponsePacket};
use alloy::transports::{RpcError, TransportError, TransportErrorKind, TransportFut};
use model::{escape, with_causes};
use reqwest::{Client, StatusCode};
use thiserror::Error;

use crate::patience::{Busy, Patience, StayedBusy};
use crate::url::HttpUrl;

/// Most bytes of one answer of a chain's node: a page of logs has less than one million, a block
/// without its transactions some hundred thousand.
pub const RPC_ANSWER_BYTES_MAX: usize = 16 << 20;

/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time without a byte.
const SILENCE: Duration = Duration::from_secs(15);
/// Longest time for one answer.
const WHOLE: Duration = Duration::from_secs(120);

/// The operating system or the HTTP library refuses a client.
#[derive(Debug, Error)]
pub enum HttpClientError {
    /// Of plain HTTP.
    #[error("the HTTP client cannot be made")]
    Plain(#[source] reqwest::Error),
    /// Of TLS: nothing says whom to trust.
    #[error(
        "the HTTPS client cannot be made: expected certificates of authorities in the system's \
         store (Debian: ca-certificates), or in the file that the variable SSL_CERT_FILE names"
    )]
    Tls(#[source] reqwest::Error),
}

/// An HTTP client for `url` that gives up in time: who hangs must show, and hold up nobody for
/// ever. Certificates are checked against the system's store, or the file that the variable
/// `SSL_CERT_FILE` names.
///
/// # Errors
/// [`HttpClientError`] if there is none to be had.
pub fn http_client(url: &HttpUrl) -> Result<Client, HttpClientError> {
    let builder = Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).timeout(WHOLE);
    // What the environment or the node says must not lead to another place.
    let builder = builder.no_proxy().redirect(reqwest::redirect::Policy::none());
    if url.is_tls() {
        return builder.https_only(true).build().map_err(HttpClientError::Tls);
    }
    // Without authorities: a machine that has none can still speak plain HTTP.
    builder.tls_certs_only([]).build().map_err(HttpClientError::Plain)
}

/// A JSON-RPC client for a node at `url` that reads at most [`RPC_ANSWER_BYTES_MAX`] of an answer,
/// never names more of the address than [`HttpUrl`] shows, and waits for a busy node as
/// [`Patience::short`] says.
///
/// # Errors
/// [`HttpClientError`] as [`http_client`].
pub fn rpc_client(url: HttpUrl) -> Result<RpcClient, HttpClientError> {
    patient_rpc_client(url, Patience::short())
}

/// The same with another patience.
///
/// # Errors
/// [`HttpClientError`] as [`http_client`].
pub fn patient_rpc_client(url: HttpUrl, patience: Patience) -> Result<RpcClient, HttpClientError> {
    let client = http_client(&url)?;
    // Not local: nothing may be assumed of how fast the node answers.
    Ok(RpcClient::new(CappedHttp { client, url, patience }, false))
}

/// An answer that is none.
#[derive(Debug, Error)]
#[error("the chain's node at {url}")]
struct NoAnswer {
    /// As it may be shown.
    url: String,
    source: AnswerFault,
}

#[derive(Debug, Error)]
enum AnswerFault {
    #[error("it does not answer")]
    Http(#[source] reqwest::Error),
    #[error("expected TLS, as the address begins with https://, found something else")]
    NoTls,
    #[error("expected an answer of at most {RPC_ANSWER_BYTES_MAX} bytes, found more")]
    TooLarge,
    #[error("expected status 200, found {status}{}", hint(*.status))]
    Status { status: u16 },
    #[error(
        "expected JSON-RPC, found an HTML page with status {status}{}: give the address at which \
         the node answers questions",
        hint(*.status)
    )]
    Page { status: u16 },
    #[error("expected JSON-RPC, found something else")]
    Format(#[from] serde_json::Error),
    #[error("expected the answer to question {expected}, found that to {found}")]
    Id { expected: String, found: String },
    #[error(transparent)]
    Busy(#[from] StayedBusy),
}

/// What a status of no success mostly comes from.
fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (it points to another address, which is not followed)",
        401 | 403 => " (access is refused: check the key or password in the address)",
        404 => " (nothing is served there: check the path in the address)",
        405 => " (it takes no questions there: check the path in the address)",
        _ => "",
    }
}

impl AnswerFault {
    /// Whether less could be answered where this much was not. Nodes and what stands before them
    /// have no common way to say it.
    fn may_be_too_much(&self) -> bool {
        match self {
            // A connection that was made and dropped, half an answer, or words of its own are what
            // a gateway with a limit leaves of an answer.
            AnswerFault::Http(error) => !error.is_connect() && !error.is_builder(),
            AnswerFault::TooLarge | AnswerFault::Format(_) => true,
            AnswerFault::Status { status } | AnswerFault::Page { status } => {
                matches!(status, 200..=299 | 400 | 408 | 413 | 414 | 422 | 500..)
            }
            AnswerFault::Busy(stayed) => stayed.is_silent_gateway(),
            AnswerFault::NoTls | AnswerFault::Id { .. } => false,
        }
    }
}

#[derive(Clone)]
struct CappedHttp {
    client: Client,
    url: HttpUrl,
    patience: Patience,
}

/// What one try came to.
enum Heard {
    Answer(ResponsePacket),
    Busy(Busy),
}

impl CappedHttp {
    async fn answer(self, packet: RequestPacket) -> Result<ResponsePacket, NoAnswer> {
        let answer = self.ask(&packet).await;
        answer.map_err(|source| NoAnswer { url: self.url.to_string(), source })
    }

    /// Asks until the node is not busy. A question can be asked twice: a transaction that is sent
    /// again is the same one.
    async fn ask(&self, packet: &RequestPacket) -> Result<ResponsePacket, AnswerFault> {
        let mut waits = self.patience.begin(&self.url);
        loop {
            match self.ask_once(packet).await? {
                Heard::Answer(answer) => return Ok(answer),
                Heard::Busy(busy) => waits.wait(busy).await?,
            }
        }
    }

    async fn ask_once(&self, packet: &RequestPacket) -> Result<Heard, AnswerFault> {
        // The library writes the whole address into its errors.
        let http = |error: reqwest::Error| match speaks_no_tls(&error) {
            true => AnswerFault::NoTls,
            false => AnswerFault::Http(error.without_url()),
        };
        let post = self.client.post(self.url.expose().clone()).headers(packet.headers());
        let post = post.header("content-type", "application/json");
        let mut response = post.body(serde_json::to_vec(packet)?).send().await.map_err(http)?;
        let status = response.status();
        let busy = Busy::of(status.as_u16(), response.headers());
        let mut body = Vec::new();
        // Declared lengths are not believed: bytes are counted as they come.
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > RPC_ANSWER_BYTES_MAX {
                return Err(AnswerFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let parsed = serde_json::from_slice::<ResponsePacket>(&body);
        let refusal = parsed.as_ref().ok().and_then(ResponsePacket::first_error_message);
        if let Some(busy) = busy {
            let words = refusal.map(str::to_owned);
            return Ok(Heard::Busy(Busy { words, ..busy }));
        }
        if let Some(words) = refusal.filter(|words| is_rate_limit(words)) {
            let words = Some(words.to_owned());
            return Ok(Heard::Busy(Busy { status: status.as_u16(), asks: None, words }));
        }
        // Some nodes say what is wrong in JSON-RPC, with a status that is no success.
        let is_error = parsed.as_ref().is_ok_and(ResponsePacket::is_error);
        if !is_error {
            expect_no_page(status, &body)?;
        }
        let answer = parsed?;
        expect_ids(packet, &answer)?;
        Ok(Heard::Answer(answer))
    }
}

fn expect_no_page(status: StatusCode, body: &[u8]) -> Result<(), AnswerFault> {
    let code = status.as_u16();
    if body.trim_ascii_start().first() == Some(&b'<') {
        return Err(AnswerFault::Page { status: code });
    }
    if status.is_success() { Ok(()) } else { Err(AnswerFault::Status { status: code }) }
}

/// Whether a node says in words that it was asked too often, as some do with status 200. Those that
/// say that too much was asked for use the same codes, and to ask for less is another remedy.
fn is_rate_limit(words: &str) -> bool {
    const SAID: [&str; 9] = [
        "rate limit",
        "rate-limit",
        "ratelimit",
        "rate exceeded",
        "too many requests",
        "request limit",
        "request count",
        "requests per second",
        "compute units per second",
    ];
    let words = words.to_ascii_lowercase();
    SAID.iter().any(|said| words.contains(said))
}

/// Whether a question might be answered if it asked for less.
pub(crate) fn may_be_too_much(error: &RpcError<TransportErrorKind>) -> bool {
    let of_fault = || fault_in(error).is_some_and(AnswerFault::may_be_too_much);
    match error {
        // An answer that is nothing, or no list, refuses too.
        RpcError::ErrorResp(_) | RpcError::NullResp | RpcError::DeserError { .. } => true,
        _ => of_fault(),
    }
}

/// Whether a question had no answer in time.
pub(crate) fn is_late(error: &RpcError<TransportErrorKind>) -> bool {
    matches!(fault_in(error), Some(AnswerFault::Http(error)) if error.is_timeout())
}

/// Whether a question had no answer because its address says `https://` and nothing there speaks
/// TLS: whoever gave the address is to change it.
pub fn is_no_tls(error: &RpcError<TransportErrorKind>) -> bool {
    matches!(fault_in(error), Some(AnswerFault::NoTls))
}

/// Whether the node answered with more than [`RPC_ANSWER_BYTES_MAX`]: it is there, and may answer
/// a question that asks for less.
pub fn is_answer_too_large(error: &RpcError<TransportErrorKind>) -> bool {
    matches!(fault_in(error), Some(AnswerFault::TooLarge))
}

/// Whether a peer was asked by TLS and answered with something else.
pub fn speaks_no_tls(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(rustls::Error::InvalidMessage(_)) = found.downcast_ref() {
            return true;
        }
        // The source of one of the system's errors is that of the error within it.
        let within = found.downcast_ref().and_then(std::io::Error::get_ref);
        cause = within.map(|error| error as _).or_else(|| found.source());
    }
    false
}

fn fault_in(error: &RpcError<TransportErrorKind>) -> Option<&AnswerFault> {
    match error {
        RpcError::Transport(TransportErrorKind::Custom(error)) => {
            error.downcast_ref::<NoAnswer>().map(|none| &none.source)
        }
        _ => None,
    }
}

/// An answer to another question would be taken for this one's.
fn expect_ids(packet: &RequestPacket, answer: &ResponsePacket) -> Result<(), AnswerFault> {
    let asked: Vec<&Id> = match packet {
        RequestPacket::Single(request) => vec![request.id()],
        RequestPacket::Batch(requests) => requests.iter().map(|one| one.id()).collect(),
    };
    let answers: &[Response] = match answer {
        ResponsePacket::Single(response) => std::slice::from_ref(response),
        ResponsePacket::Batch(responses) => responses,
    };
    match answers.iter().find(|response| !asked.contains(&&response.id)) {
        None => Ok(()),
        Some(response) => Err(AnswerFault::Id {
            expected: show_id(asked.first().copied()),
            found: show_id(Some(&response.id)),
        }),
    }
}

fn show_id(id: Option<&Id>) -> String {
    id.map_or_else(|| "none".into(), |id| escape(&id.to_string()))
}

impl tower::Service<RequestPacket> for CappedHttp {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move { transport.answer(packet).await.map_err(TransportErrorKind::custom) })
    }
}

/// Why a question to a chain's node has no answer, on one line, with the node's own words escaped
/// and cut.
pub fn answer_in_words(error: &RpcError<TransportErrorKind>) -> String {
    match error {
        RpcError::ErrorResp(payload) => {
            format!("the node answers with error {}: {}", payload.code, escape(&payload.message))
        }
        RpcError::Transport(TransportErrorKind::Custom(error)) => with_causes(error.as_ref()),
        other => escape(&other.to_string()),
    }
}
