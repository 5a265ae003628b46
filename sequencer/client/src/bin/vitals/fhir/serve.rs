//! Sockets, time and threads around the desk.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fhir::Turned;
use fhir::request::Reader;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Framing};
use super::desk::Desk;
use super::store::Store;
use crate::node::now;

/// For the next request of a connection.
pub(super) const IDLE_WAIT: Duration = Duration::from_secs(60);
/// Of a whole answer.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// Pause after a failed accept: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For answers under way when the program ends.
const LAST_WAIT: Duration = Duration::from_secs(15);
/// Read at once.
const PIECE_BYTES: usize = 16 << 10;

/// What may be held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) body_bytes_max: usize,
    /// Of a whole request from its first byte on: whoever sends a byte a minute gives the place
    /// back.
    pub(crate) request_wait: Duration,
}

/// Where connections come in.
pub(crate) struct Entrance {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves until `stop` is ready; what is under way then gets its answer.
pub(crate) async fn serve<S: Store>(
    entrance: Entrance,
    desk: Arc<Desk<S>>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let (ending, ends) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&entrance.listener, &places) => accepted,
        };
        // Those that ended leave their place in the set.
        while open.try_join_next().is_some() {}
        let Some((stream, place)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = Connection {
            stream,
            reader: Reader::new(limits.body_bytes_max),
            request_wait: limits.request_wait,
            desk: Arc::clone(&desk),
            ends: ends.clone(),
        };
        desk.tally.connected();
        let tls = entrance.tls.clone();
        open.spawn(async move {
            match tls {
                None => connection.serve().await,
                Some(tls) => connection.serve_encrypted(&tls).await,
            }
            drop(place);
        });
    }
    ending.send_replace(true);
    drop(timeout(LAST_WAIT, async { while open.join_next().await.is_some() {} }).await);
    open.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    // An answer is one write, and nothing follows it that it could wait for.
    drop(stream.set_nodelay(true));
    Some((stream, place))
}

struct Connection<C, S> {
    stream: C,
    reader: Reader,
    request_wait: Duration,
    desk: Arc<Desk<S>>,
    ends: watch::Receiver<bool>,
}

/// Why a request is not answered as it was meant.
enum Broken {
    /// Nobody is there any more.
    Gone,
    /// It is turned away, and nothing more can be read of the connection.
    Turned(Turned),
}

impl From<Turned> for Broken {
    fn from(turned: Turned) -> Broken {
        Broken::Turned(turned)
    }
}

impl<S: Store> Connection<TcpStream, S> {
    /// Has the other side show what it must first, within the time of a request.
    async fn serve_encrypted(self, tls: &TlsAcceptor) {
        let Connection { stream, reader, request_wait, desk, ends } = self;
        let shaken = timeout(request_wait, tls.accept(stream)).await;
        match shaken.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
            Ok(stream) => Connection { stream, reader, request_wait, desk, ends }.serve().await,
            Err(error) => desk.tally.refused_connection(&error),
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin, S: Store> Connection<C, S> {
    async fn serve(mut self) {
        loop {
            let (answer, framing) = match self.answer_next().await {
                Ok(answered) => answered,
                Err(Broken::Gone) => return,
                Err(Broken::Turned(turned)) => {
                    self.desk.tally.turned(turned);
                    (turned.into(), Framing { is_head: false, closes: true })
                }
            };
            let date = UNIX_EPOCH + Duration::from_millis(now().unix_ms());
            let bytes = answer.to_bytes(framing, date);
            let sent = timeout(ANSWER_WAIT, self.send(&bytes)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
            if framing.closes {
                self.close().await;
                return;
            }
        }
    }

    /// What is encrypted may wait in memory until it is pushed out.
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends a connection whose sender may still be sending: what comes is passed over for a while,
    /// since a reset would take the answer away from it.
    async fn close(&mut self) {
        let passing = async {
            self.stream.shutdown().await?;
            let mut piece = [0; PIECE_BYTES];
            while self.stream.read(&mut piece).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // Whatever ends it, there is nobody to tell but the peer.
        drop(timeout(Duration::from_secs(1), passing).await);
    }

    async fn answer_next(&mut self) -> Result<(Answer, Framing), Broken> {
        self.wait_for_request().await?;
        self.desk.tally.asked();
        let until = Instant::now() + self.request_wait;
        let head = loop {
            if let Some(head) = self.reader.head()? {
                break head;
            }
            self.read_more(until).await?;
        };
        let admitted = self.desk.admit(&head, now())?;
        if head.expects_continue() {
            let sent = self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            sent.map_err(|_| Broken::Gone)?;
        }
        let body = loop {
            if let Some(body) = self.reader.body()? {
                break body;
            }
            self.read_more(until).await?;
        };
        let answer = self.desk.answer(admitted, &head, &body).await;
        let closes = head.closes() || *self.ends.borrow();
        Ok((answer, Framing { is_head: head.method == "HEAD", closes }))
    }

    /// Waits for the first byte of a request. Nothing is lost when a connection ends here.
    async fn wait_for_request(&mut self) -> Result<(), Broken> {
        if self.reader.is_within() {
            return Ok(());
        }
        let mut piece = [0; PIECE_BYTES];
        let count = tokio::select! {
            _ = self.ends.wait_for(|ends| *ends) => return Err(Broken::Gone),
            read = timeout(IDLE_WAIT, self.stream.read(&mut piece)) => match read {
                Ok(Ok(count)) if count > 0 => count,
                _ => return Err(Broken::Gone),
            },
        };
        self.reader.push(&piece[..count]);
        Ok(())
    }

    async fn read_more(&mut self, until: Instant) -> Result<(), Broken> {
        let mut piece = [0; PIECE_BYTES];
        match timeout_at(until, self.stream.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => Err(Broken::Gone),
            Ok(Ok(count)) => {
                self.reader.push(&piece[..count]);
                Ok(())
            }
            Err(_) => Err(Turned::Slow { seconds: self.request_wait.as_secs() }.into()),
        }
    }
}

#[cfg(test)]
mod tests;
