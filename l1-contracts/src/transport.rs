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
use reqwest::Client;
use thiserror::Error;

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
#[error("the HTTP client cannot be made")]
pub struct HttpClientError(#[from] reqwest::Error);

/// An HTTP client that gives up in time: who hangs must show, and hold up nobody for ever.
///
/// # Errors
/// [`HttpClientError`] if there is none to be had.
pub fn http_client() -> Result<Client, HttpClientError> {
    let builder = Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).timeout(WHOLE);
    // What the environment or the node says must not lead to another place.
    Ok(builder.no_proxy().redirect(reqwest::redirect::Policy::none()).build()?)
}

/// A JSON-RPC client for a node at `url` that reads at most [`RPC_ANSWER_BYTES_MAX`] of an answer
/// and never names more of the address than [`HttpUrl`] shows.
///
/// # Errors
/// [`HttpClientError`] as [`http_client`].
pub fn rpc_client(url: HttpUrl) -> Result<RpcClient, HttpClientError> {
    // Not local: nothing may be assumed of how fast the node answers.
    Ok(RpcClient::new(CappedHttp { client: http_client()?, url }, false))
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
    #[error("expected an answer of at most {RPC_ANSWER_BYTES_MAX} bytes, found more")]
    TooLarge,
    #[error("expected status 200, found {0}")]
    Status(u16),
    #[error("expected JSON-RPC, found something else")]
    Format(#[from] serde_json::Error),
    #[error("expected the answer to question {expected}, found that to {found}")]
    Id { expected: String, found: String },
}

#[derive(Clone)]
struct CappedHttp {
    client: Client,
    url: HttpUrl,
}

impl CappedHttp {
    async fn answer(self, packet: RequestPacket) -> Result<ResponsePacket, NoAnswer> {
        let answer = self.ask(&packet).await;
        answer.map_err(|source| NoAnswer { url: self.url.to_string(), source })
    }

    async fn ask(&self, packet: &RequestPacket) -> Result<ResponsePacket, AnswerFault> {
        // The library writes the whole address into its errors.
        let http = |error: reqwest::Error| AnswerFault::Http(error.without_url());
        let post = self.client.post(self.url.expose().clone()).headers(packet.headers());
        let post = post.header("content-type", "application/json");
        let mut response = post.body(serde_json::to_vec(packet)?).send().await.map_err(http)?;
        let status = response.status();
        let mut body = Vec::new();
        // Declared lengths are not believed: bytes are counted as they come.
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > RPC_ANSWER_BYTES_MAX {
                return Err(AnswerFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let parsed = serde_json::from_slice::<ResponsePacket>(&body);
        // Some nodes say what is wrong in JSON-RPC, with a status that is no success.
        let is_error = parsed.as_ref().is_ok_and(ResponsePacket::is_error);
        if !status.is_success() && !is_error {
            return Err(AnswerFault::Status(status.as_u16()));
        }
        let answer = parsed?;
        expect_ids(packet, &answer)?;
        Ok(answer)
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
