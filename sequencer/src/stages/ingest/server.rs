//! The QUIC server: accepts connections within its limits and gives each a task.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use model::RejectCode;
use quinn::{Connection, Endpoint, Incoming};
use quinn_proto::crypto::HandshakeTokenKey;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::close::{close, code};
use super::config::{IngestConfig, RateConfig};
use super::error::IngestError;
use super::observe::Observed;
use super::places::{HandshakePlace, Places};
use super::quic_key::QuicKey;
use super::shared::{Services, Shared};
use super::sources::Sources;
use super::told::{Listener, Teller};
use super::{connection, tls};
use crate::folder::authority::ServerTls;
use crate::guard::{GuardedTask, Stage};

/// Where and as whom the server listens.
#[derive(Debug)]
pub struct Listen {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Certificate, key and authority.
    pub tls: ServerTls,
    /// What outlives a run: resets, connection ids and proofs of an address.
    pub quic: QuicKey,
}

/// The running server. Dropping it stops it without waiting.
pub struct IngestServer {
    local_addr: SocketAddr,
    stop: Teller,
    acceptor: GuardedTask,
    endpoint: Endpoint,
    /// Seals proofs of an address, whichever certificate is shown.
    tokens: Arc<dyn HandshakeTokenKey>,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for IngestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IngestServer({})", self.local_addr)
    }
}

impl IngestServer {
    /// Opens the socket and accepts connections, on the current tokio runtime.
    ///
    /// # Errors
    /// [`IngestError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        listen: Listen,
        config: IngestConfig,
        rates: RateConfig,
        services: Services,
    ) -> Result<IngestServer, IngestError> {
        // Checked again for those who configure in code.
        config.check()?;
        rates.check()?;
        let Listen { address: listen, tls, quic } = listen;
        let socket = |source| IngestError::Socket { listen, source };
        let tokens = quic.tokens();
        let settings = tls::settings(&config, tls, Arc::clone(&tokens))?;
        let asked = config.udp_buffer_bytes as usize;
        let (bound, buffers) = udp::bind(listen, asked).map_err(socket)?;
        services.observe.observe(Observed::SocketOpened(buffers));
        if let Some(short) = buffers.short() {
            tracing::warn!(%short, "the socket has smaller buffers than it should have");
        }
        let mut transport = quic.endpoint(config.datagram_bytes_max());
        transport.rng_seed(services.machine.random());
        let endpoint = Endpoint::new(transport, Some(settings), bound, services.machine.quic());
        let endpoint = endpoint.map_err(socket)?;
        let local_addr = endpoint.local_addr().map_err(socket)?;
        let stop = Teller::default();
        let places = Arc::new(Places::new(&config, Arc::clone(&services.observe)));
        let shared = Arc::new(Shared {
            config,
            places,
            services: Arc::new(services),
            sources: Sources::new(&rates),
            sessions: AtomicUsize::new(0),
        });
        let guard = shared.services.guard.clone();
        let accepting = accept(endpoint.clone(), Arc::clone(&shared), stop.listen());
        let acceptor = guard.task(Stage::Ingest, async move {
            accepting.await;
            Ok::<_, Infallible>(())
        });
        Ok(IngestServer { local_addr, stop, acceptor, endpoint, tokens, shared })
    }

    /// Shows this certificate, and asks for those of its authority, from the next handshake on. One
    /// whose peer is about to prove its address goes on.
    ///
    /// # Errors
    /// [`IngestError`] if TLS cannot use it; then the one before goes on to be shown.
    pub fn replace_certificate(&self, tls: ServerTls) -> Result<(), IngestError> {
        let settings = tls::settings(&self.shared.config, tls, Arc::clone(&self.tokens))?;
        self.endpoint.set_server_config(Some(settings));
        Ok(())
    }

    /// Where other rates are taken over, by whoever does not own the server.
    pub fn rates(&self) -> Rates {
        Rates(Arc::clone(&self.shared))
    }

    /// The address that was bound: with the port that was chosen for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no new connection and reads no more; closes each connection as unavailable when what
    /// it had admitted is acknowledged, at the latest after `farewell_ms`. Stop the writer after.
    pub async fn stop(self) {
        self.acceptor.stop(|| self.stop.tell()).await;
    }
}

/// The rates of a server.
#[derive(Clone)]
pub struct Rates(Arc<Shared>);

impl Rates {
    /// Takes other rates over, for open connections too. What every source may ask for begins anew.
    pub fn set(&self, rates: &RateConfig) {
        self.0.sources.set_rates(rates);
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>, mut stop: Listener) {
    let (mut sessions, each) = (JoinSet::new(), stop.clone());
    let farewell = shared.config.farewell();
    loop {
        tokio::select! {
            // In this order, and not in one of chance, so that a run can be made again.
            biased;
            () = stop.next() => break,
            // Taken away as they end, so that they take no memory.
            Some(_) = sessions.join_next() => {}
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => admit_connection(incoming, &shared, &mut sessions, &each),
                None => break,
            },
        }
    }
    // New handshakes are refused from here on, while the open sessions say farewell.
    endpoint.set_server_config(None);
    // What does not end by itself within the farewells of a session and of its peer is cut off.
    let ended = async { while sessions.join_next().await.is_some() {} };
    drop(timeout(3 * farewell, ended).await);
    endpoint.close(code(RejectCode::Unavailable), b"");
    endpoint.wait_idle().await;
}

fn admit_connection(
    incoming: Incoming,
    shared: &Arc<Shared>,
    sessions: &mut JoinSet<()>,
    stop: &Listener,
) {
    let (places, config) = (&shared.places, &shared.config);
    let many = places.handshakes() >= config.retry_from_handshakes.min(config.handshakes_max);
    if many && !incoming.remote_address_validated() {
        // A forged source address never sees the token, so it costs no handshake (RFC 9000, 8.1.2).
        shared.services.observe.observe(Observed::RetrySent);
        // It can fail only for a peer that was asked before, and its address is proven.
        return drop(incoming.retry());
    }
    // Here and not in the task, so that the next one finds it counted.
    let place = places.begin_handshake(incoming.remote_address().ip());
    sessions.spawn(serve(incoming, place, Arc::clone(shared), stop.clone()));
}

/// A connection from its handshake on. What panics in it ends it alone.
async fn serve(incoming: Incoming, place: HandshakePlace, shared: Arc<Shared>, stop: Listener) {
    let Some(connection) = shake_hands(incoming, place, &shared.config).await else { return };
    let observe = Arc::clone(&shared.services.observe);
    // A task of its own, so that a panic is caught here and ends this connection only.
    let task = tokio::spawn(connection::run(connection.clone(), shared, stop));
    if task.await.is_err_and(|error| error.is_panic()) {
        observe.observe(Observed::SessionPanicked);
        tracing::error!("the task of a connection panicked; the connection is closed");
        close(&connection, RejectCode::Unavailable);
    }
}

/// The handshake, until it takes too long or gives way to another one.
async fn shake_hands(
    incoming: Incoming,
    mut place: HandshakePlace,
    config: &IngestConfig,
) -> Option<Connection> {
    let handshake = async { incoming.accept()?.await };
    let ended = tokio::select! {
        biased;
        ended = timeout(config.handshake_timeout(), handshake) => ended,
        () = place.gives_way() => {
            tracing::debug!("a handshake gave way to another one");
            return None;
        }
    };
    match ended {
        Ok(Ok(connection)) => return Some(connection),
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
    None
}
