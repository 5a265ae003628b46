//! Connections and their limits.

use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::handed_in::Peer;
use super::places::{Place, Places};
use crate::guard::spawn_request;

const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 32;
const HEAD_WAIT: Duration = Duration::from_secs(10);
const CONNECTION_WAIT: Duration = Duration::from_secs(120);
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Pause after a failed accept: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is true or its sender is gone; then waits for what is under way.
pub(super) async fn accept(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Places::new();
    // Nothing is sent: it ends when the last connection has dropped its sender.
    let (open, mut all_ended) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, from)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Taken in always: for one too many the slowest gives way.
        let router = router.clone().layer(Extension(Peer(from.ip())));
        let (place, stop, open) = (places.enter(), stop.clone(), open.clone());
        spawn_request("http", async move {
            serve_connection(stream, place, router, stop).await;
            drop(open);
        });
    }
    // Closed before the wait, so that a proxy turns elsewhere at once.
    drop((listener, open));
    // Too late or not: what is left ends with the runtime.
    drop(timeout(STOP_WAIT, all_ended.recv()).await);
}

async fn serve_connection(
    stream: TcpStream,
    place: Arc<Place>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let (router, known) = (TowerToHyperService::new(router), Arc::clone(&place));
    // Whoever answers with a file takes its place from the connection's.
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&known));
        router.call(request)
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    // Over the whole connection: a peer that reads a byte a minute gives its place back as well.
    let ended = timeout(CONNECTION_WAIT, async {
        tokio::select! {
            ended = serving.as_mut() => return ended,
            () = place.gives_way() => {
                tracing::debug!("an HTTP connection gave way");
                return Ok(());
            }
            _ = stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
        }
        serving.await
    });
    match ended.await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection failed"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
}
