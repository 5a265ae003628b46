//! What is answered to each path.

use std::sync::Arc;

use alloy::rpc::client::RpcClient;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use l1_contracts::RPC_ANSWER_BYTES_MAX;
use model::{BatchNumber, escape, whole_number};
use page::{Asset, CACHE_CONTROL, HEADERS, Served, Trust};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::chain::{QUESTION_BYTES_MAX, Question, Unasked};
use crate::desk::{DeskAnswers, is_of_desk};
use crate::reply::{Failed, JSON, failed, held, read_question, take_place, with_type};
use crate::shown::{ANSWERS_MAX, CHAINS_MAX, Files, PageError, Shown};

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
    desk: Option<DeskAnswers>,
}

impl Answers {
    pub(crate) fn new(shown: Shown) -> Result<Answers, PageError> {
        let Shown { trust, deployment, chains, files, desk } = shown;
        if chains.is_empty() || chains.len() > CHAINS_MAX {
            return Err(PageError::Chains(chains.len()));
        }
        let served = Served { trust, chains: chains.len() as u8, desk: desk.is_some() };
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
            desk: desk.map(DeskAnswers::new),
        })
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.find(request).await {
            Ok(response) => response,
            Err(Failed { status, code, detail }) => {
                let body = json!({ "error": code, "detail": detail });
                with_type(status, JSON, body.to_string().into())
            }
        };
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        // What is not for everybody has said so.
        let cache = HeaderValue::from_static(CACHE_CONTROL);
        headers.entry(header::CACHE_CONTROL).or_insert(cache);
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
        if let Some(desk) = self.desk.as_ref().filter(|_| is_of_desk(&path)) {
            return desk.find(request).await;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(failed(StatusCode::METHOD_NOT_ALLOWED, "method-not-served"));
        }
        // Without figures the page that shows them is none.
        let is_served = self.desk.is_some() || !path.starts_with("/desk");
        if let Some(asset) = page::find(&path).filter(|_| is_served) {
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
        Ok(reach.to_json().to_string().into())
    }

    async fn public_file(&self, number: &str) -> Result<Bytes, Failed> {
        let malformed = failed(StatusCode::BAD_REQUEST, "number-malformed");
        let number = whole_number(number).map(BatchNumber).ok_or(malformed)?;
        let place = take_place(&self.file_places).await?;
        let found = self.files.public_file(number).await.map_err(unavailable)?;
        let bytes = found.ok_or(failed(StatusCode::NOT_FOUND, "batch-unknown"))?;
        Ok(held(bytes, place))
    }

    async fn ask_chain(
        &self,
        chain: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Failed> {
        if request.method() != Method::POST {
            return Err(failed(StatusCode::METHOD_NOT_ALLOWED, "method-not-served"));
        }
        let unknown = || failed(StatusCode::NOT_FOUND, "chain-unknown");
        let index = whole_number::<usize>(chain).and_then(|number| number.checked_sub(1));
        let node = index.and_then(|index| self.chains.get(index)).ok_or_else(unknown)?;
        let (head, body) = request.into_parts();
        let body = read_question(&head.headers, body, QUESTION_BYTES_MAX).await?;
        let question = Question::read(&body, &self.contract)?;
        let place = take_place(&self.chain_places).await?;
        let bytes = question.ask(node).await?.into_bytes();
        Ok(with_type(StatusCode::OK, JSON, held(bytes, place)))
    }
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
                let large = failed(StatusCode::BAD_GATEWAY, "chain-answer-large");
                Failed { detail: Some(why), ..large }
            }
        }
    }
}

fn unavailable(why: String) -> Failed {
    let detail = Some(escape(&why).to_string());
    Failed { detail, ..failed(StatusCode::SERVICE_UNAVAILABLE, "files-unavailable") }
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
