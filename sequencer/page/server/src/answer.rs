//! What is answered to each path.

use std::sync::Arc;
use std::time::Duration;

use alloy::rpc::client::RpcClient;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use l1_contracts::RPC_ANSWER_BYTES_MAX;
use model::{BatchNumber, escape};
use page::{Asset, CACHE_CONTROL, HEADERS, Served, Trust};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::chain::{QUESTION_BYTES_MAX, Question, Unasked};
use crate::shown::{ANSWERS_MAX, CHAINS_MAX, Files, PageError, Shown};

/// How long a request for a file or the chain waits for a place.
const PLACE_WAIT: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const OCTETS: &str = "application/octet-stream";

/// All that answers are made of.
pub(crate) struct Answers {
    served: Served,
    deployment: Bytes,
    chains: Vec<RpcClient>,
    /// Their addresses as they may be shown, as JSON.
    nodes: Bytes,
    files: Box<dyn Files>,
    /// Lower case or mixed, as the deployment file has it.
    contract: String,
    file_places: Arc<Semaphore>,
    chain_places: Arc<Semaphore>,
}

/// Bytes with their place: both are given up when the last byte is with the system.
struct Held {
    bytes: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer without a body of its own: status, and the word that says why.
#[derive(Debug)]
struct Failed(StatusCode, &'static str, Option<String>);

const fn failed(status: StatusCode, code: &'static str) -> Failed {
    Failed(status, code, None)
}

impl Answers {
    pub(crate) fn new(shown: Shown) -> Result<Answers, PageError> {
        let Shown { trust, deployment, chains, files } = shown;
        if chains.is_empty() || chains.len() > CHAINS_MAX {
            return Err(PageError::Chains(chains.len()));
        }
        let served = Served { trust, chains: chains.len() as u8 };
        let nodes = json!({ "schema": 1, "nodes": chains }).to_string().into();
        let chains = chains.into_iter().map(l1_contracts::rpc_client).collect::<Result<_, _>>()?;
        let file: serde_json::Value =
            serde_json::from_slice(&deployment).map_err(PageError::Deployment)?;
        let contract = file["settlement"].as_str().ok_or(PageError::Contract)?.to_owned();
        let places = || Arc::new(Semaphore::new(ANSWERS_MAX));
        let (file_places, chain_places) = (places(), places());
        Ok(Answers {
            served,
            deployment: deployment.into(),
            chains,
            nodes,
            files,
            contract,
            file_places,
            chain_places,
        })
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.find(request).await {
            Ok(response) => response,
            Err(Failed(status, code, detail)) => {
                let body = json!({ "error": code, "detail": detail });
                with_type(status, JSON, body.to_string().into())
            }
        };
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
        if is_head {
            *response.body_mut() = Full::default();
        }
        response
    }

    async fn find(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failed> {
        self.check_host(request.headers())?;
        let path = request.uri().path().to_owned();
        if let Some(chain) = path.strip_prefix("/chain/") {
            return self.ask_chain(chain, request).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(failed(StatusCode::METHOD_NOT_ALLOWED, "method-not-served"));
        }
        if let Some(asset) = page::find(&path) {
            return Ok(file_of_page(asset, request.headers()));
        }
        let ok = |kind, bytes| Ok(with_type(StatusCode::OK, kind, bytes));
        match path.as_str() {
            "/page.json" => ok(JSON, self.served.to_json().into()),
            "/deployment.json" => ok(JSON, self.deployment.clone()),
            // For whoever saves what was read from them. An operator's are nobody's business.
            "/nodes.json" if self.served.trust != Trust::Operator => ok(JSON, self.nodes.clone()),
            "/batches" => ok(JSON, self.reach().await?),
            _ => match path.strip_prefix("/batches/") {
                Some(number) => ok(OCTETS, self.public_file(number).await?),
                None => Err(failed(StatusCode::NOT_FOUND, "path-unknown")),
            },
        }
    }

    /// A name that somebody else chose may point here: what their page reads then is sent with that
    /// name. The operator's page is public and may stand behind a proxy.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Failed> {
        if self.served.trust == Trust::Operator {
            return Ok(());
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let name = match host.rsplit_once(':') {
            // Of an address in brackets the last colon may be its own.
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        if ["127.0.0.1", "localhost", "[::1]"].contains(&name) {
            return Ok(());
        }
        Err(failed(StatusCode::MISDIRECTED_REQUEST, "host-unknown"))
    }

    async fn reach(&self) -> Result<Bytes, Failed> {
        let reach = self.files.reach().await.map_err(unavailable)?;
        let body = json!({
            "schema": "vitals-batches-1",
            "assembled": reach.assembled.0,
            "settled": reach.settled.0,
        });
        Ok(body.to_string().into())
    }

    async fn public_file(&self, number: &str) -> Result<Bytes, Failed> {
        let number = number.parse().map(BatchNumber);
        let number = number.map_err(|_| failed(StatusCode::BAD_REQUEST, "number-malformed"))?;
        let place = take_place(&self.file_places).await?;
        let found = self.files.public_file(number).await.map_err(unavailable)?;
        let bytes = found.ok_or(failed(StatusCode::NOT_FOUND, "batch-unknown"))?;
        Ok(Bytes::from_owner(Held { bytes, _place: place }))
    }

    async fn ask_chain(
        &self,
        chain: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Failed> {
        if request.method() != Method::POST {
            return Err(failed(StatusCode::METHOD_NOT_ALLOWED, "method-not-served"));
        }
        // No page of another site may send this without asking here first, which is not answered.
        if request.headers().get(header::CONTENT_TYPE).is_none_or(|found| found != JSON) {
            return Err(failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, "question-type"));
        }
        let unknown = || failed(StatusCode::NOT_FOUND, "chain-unknown");
        let index = chain.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let node = index.and_then(|index| self.chains.get(index)).ok_or_else(unknown)?;
        let body = Limited::new(request.into_body(), QUESTION_BYTES_MAX).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => failed(StatusCode::PAYLOAD_TOO_LARGE, "question-long"),
            false => failed(StatusCode::BAD_REQUEST, "question-malformed"),
        })?;
        let question = Question::read(&body.to_bytes(), &self.contract)?;
        let place = take_place(&self.chain_places).await?;
        let bytes = question.ask(node).await?.into_bytes();
        let bytes = Bytes::from_owner(Held { bytes, _place: place });
        Ok(with_type(StatusCode::OK, JSON, bytes))
    }
}

/// Before anything large is in memory.
async fn take_place(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failed> {
    let busy = || failed(StatusCode::SERVICE_UNAVAILABLE, "page-busy");
    let place = timeout(PLACE_WAIT, Arc::clone(places).acquire_owned()).await;
    place.ok().and_then(Result::ok).ok_or_else(busy)
}

impl From<Unasked> for Failed {
    fn from(why: Unasked) -> Failed {
        match why {
            Unasked::Malformed => failed(StatusCode::BAD_REQUEST, "question-malformed"),
            Unasked::Method => failed(StatusCode::FORBIDDEN, "question-not-served"),
            Unasked::Unreachable => failed(StatusCode::BAD_GATEWAY, "chain-unreachable"),
            // A page that asked for many blocks asks for fewer, as it does of a node itself.
            Unasked::TooLarge => {
                let why = format!("the node answers with more than {RPC_ANSWER_BYTES_MAX} bytes");
                Failed(StatusCode::BAD_GATEWAY, "chain-answer-large", Some(why))
            }
        }
    }
}

fn unavailable(why: String) -> Failed {
    Failed(StatusCode::SERVICE_UNAVAILABLE, "files-unavailable", Some(escape(&why).to_string()))
}

fn with_type(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn file_of_page(asset: &'static Asset, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut response = match asked.is_some_and(|tags| asset.is_current(tags)) {
        true => with_type(StatusCode::NOT_MODIFIED, asset.content_type, Bytes::new()),
        false => with_type(StatusCode::OK, asset.content_type, Bytes::from_static(asset.bytes)),
    };
    // Quotes around hexadecimal digits are a header's value always.
    if let Ok(etag) = HeaderValue::from_str(&asset.etag()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}
