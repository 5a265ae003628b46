use crate::{
    devchain::DevChain,
    error::RpcError,
    limits::{BATCH_MAX, REQUEST_BYTES_MAX, REQUESTS_AT_ONCE_MAX},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    routing::post,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    task::{JoinError, JoinHandle},
};

/// A running JSON-RPC server. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl HttpServer {
    /// Where it listens: loopback and the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for a client.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Waits until the server ends without having been asked to; cancel-safe.
    ///
    /// # Errors
    /// The listener's error, or the panic of the task.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.task).await.map_err(io::Error::other)?
    }

    /// Takes no more connections, answers what was asked, and returns.
    ///
    /// # Errors
    /// The listener's error, if it had one.
    pub async fn shut_down(self) -> io::Result<()> {
        // The receiver is gone only if the server has ended; then there is nothing to stop.
        let _ = self.stop.send(());
        self.task.await.map_err(io::Error::other)?
    }
}

/// Serves `chain` as JSON-RPC over HTTP (`POST /`, single requests and batches) on 127.0.0.1.
/// `port` 0 takes a free one. Anyone on this machine may use it; it holds no keys.
///
/// # Errors
/// The port cannot be bound.
pub async fn serve_http(chain: DevChain, port: u16) -> io::Result<HttpServer> {
    // Loopback and nothing else: the server asks nobody who they are.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let limit = DefaultBodyLimit::max(REQUEST_BYTES_MAX);
    // Each request holds a blocking thread, and those are the whole program's.
    let slots = Arc::new(Semaphore::new(REQUESTS_AT_ONCE_MAX));
    let served = Served { chain, slots };
    let router = Router::new().route("/", post(receive)).layer(limit).with_state(served);
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = axum::serve(listener, router).with_graceful_shutdown(async move {
        // An error means that the handle was dropped, which stops the server as well.
        let _ = stopped.await;
    });
    let task = tokio::spawn(async move { serve.await });
    Ok(HttpServer { address, stop, task })
}

#[derive(Clone)]
struct Served {
    chain: DevChain,
    slots: Arc<Semaphore>,
}

async fn receive(State(served): State<Served>, body: Bytes) -> Json<Value> {
    // Refused and not queued: a queue would only hide how far behind the chain is.
    let Ok(slot) = served.slots.try_acquire_owned() else {
        let (max, found) = (REQUESTS_AT_ONCE_MAX as u64, REQUESTS_AT_ONCE_MAX as u64 + 1);
        let busy = RpcError::Limit { what: "requests at once", max, found };
        return Json(failure(&Value::Null, &busy));
    };
    // On a blocking thread: the EVM and the disk would hold up every other connection.
    let work = move || {
        let _slot = slot;
        answer(&served.chain, &body)
    };
    let answered = tokio::task::spawn_blocking(work).await;
    let internal = |panic: JoinError| RpcError::Internal(panic.to_string());
    Json(answered.unwrap_or_else(|panic| failure(&Value::Null, &internal(panic))))
}

/// Answers the text of a JSON-RPC 2.0 request or batch.
fn answer(chain: &DevChain, body: &[u8]) -> Value {
    match serde_json::from_slice(body) {
        Ok(Value::Array(requests)) if requests.is_empty() => {
            failure(&Value::Null, &RpcError::Request("expected requests, found an empty batch"))
        }
        Ok(Value::Array(requests)) if requests.len() > BATCH_MAX => {
            let (max, found) = (BATCH_MAX as u64, requests.len() as u64);
            failure(&Value::Null, &RpcError::Limit { what: "requests in one batch", max, found })
        }
        Ok(Value::Array(requests)) => {
            // One after the other: a batch takes one place of those that run at once, and its
            // transactions keep their order.
            requests.into_iter().map(|request| answer_one(chain, request)).collect()
        }
        Ok(request) => answer_one(chain, request),
        Err(error) => failure(&Value::Null, &RpcError::Parse(error.to_string())),
    }
}

#[derive(Deserialize)]
struct Request {
    jsonrpc: String,
    id: Value,
    method: String,
    #[serde(default)]
    params: Vec<Value>,
}

/// Every request needs an id: this server takes no notifications.
fn answer_one(chain: &DevChain, request: Value) -> Value {
    // Taken first, so that a refused request is answered under its own id.
    let id = request.get("id").cloned().unwrap_or_default();
    let request = match serde_json::from_value::<Request>(request) {
        Ok(request) if request.jsonrpc == "2.0" => request,
        _ => {
            let expected = "expected jsonrpc \"2.0\", id, method and params by position";
            return failure(&id, &RpcError::Request(expected));
        }
    };
    match chain.handle(&request.method, &request.params) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": request.id, "result": result }),
        Err(error) => failure(&request.id, &error),
    }
}

fn failure(id: &Value, error: &RpcError) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": error.to_json() })
}
