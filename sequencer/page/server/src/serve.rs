//! Connections and their limits.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::answer::Answers;
use crate::shown::{PageError, Shown};

/// Connections at once; a browser opens six.
const CONNECTIONS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// Of a connection as a whole: whoever reads a byte a minute gives its place back as well.
const CONNECTION_WAIT: Duration = Duration::from_secs(300);
/// Pause after a failed accept: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A page whose address is bound and that nobody is answered on yet.
pub struct PageServer {
    address: SocketAddr,
    listener: TcpListener,
    answers: Arc<Answers>,
}

/// Prints where it is.
impl std::fmt::Debug for PageServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PageServer({})", self.address)
    }
}

impl PageServer {
    /// Binds a loopback address; port 0 takes a free one.
    ///
    /// Limits: 64 connections, the next one waits; 16 KiB of head, 64 KiB of a question, 5 minutes
    /// for a connection. Memory: 4 files of up to 64 MiB and 4 answers of the chain, until
    /// they are sent; the next one waits 10 s.
    ///
    /// # Errors
    /// [`PageError`].
    pub async fn bind(address: SocketAddr, shown: Shown) -> Result<PageServer, PageError> {
        if !address.ip().is_loopback() {
            return Err(PageError::Open(address));
        }
        let answers = Arc::new(Answers::new(shown)?);
        let bind = |source| PageError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(PageServer { address, listener, answers })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready. Connections under way are cut then: a page asks again.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let PageServer { listener, answers, .. } = self;
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut open = tokio::task::JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &places) => accepted,
            };
            // Those that ended leave their place in the set.
            while open.try_join_next().is_some() {}
            let Some((stream, place)) = accepted else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let answers = Arc::clone(&answers);
            open.spawn(async move {
                serve_connection(stream, answers).await;
                drop(place);
            });
        }
        open.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    Some((stream, place))
}

async fn serve_connection(stream: TcpStream, answers: Arc<Answers>) {
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { Ok::<_, Infallible>(answers.answer(request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever ends it, there is nobody to tell but the peer.
    drop(timeout(CONNECTION_WAIT, serving).await);
}
