//! Peers on real connections: byte by byte, and as a client is.

use super::*;

pub(crate) fn client_tls(issued: &Issued) -> quinn::ClientConfig {
    let Pem { ca, certificate, key } = issued.pem();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    tls_of(ca, certificate, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

/// A certificate with its key, for a node of this authority.
pub(crate) fn tls_of(
    ca: &str,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> quinn::ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let chain = vec![certificate];
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = vec![wire::ALPN.to_vec()];
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(udp::DATAGRAM_BYTES_MAX);
    let mut transport = TransportConfig::default();
    transport.mtu_discovery_config(Some(discovery));
    config.transport_config(Arc::new(transport));
    config
}

/// A socket that takes as long datagrams as a client's.
fn endpoint() -> Endpoint {
    let (socket, _) = udp::bind((Ipv4Addr::LOCALHOST, 0).into(), udp::BUFFER_BYTES).unwrap();
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(udp::DATAGRAM_BYTES_MAX).unwrap();
    Endpoint::new(config, None, socket, Arc::new(TokioRuntime)).unwrap()
}

/// A connection, whatever the server does with it next.
pub(crate) async fn dial(
    address: SocketAddr,
    issued: &Issued,
) -> Result<(Endpoint, Connection), ConnectionError> {
    dial_with(address, client_tls(issued)).await
}

async fn dial_with(
    address: SocketAddr,
    tls: quinn::ClientConfig,
) -> Result<(Endpoint, Connection), ConnectionError> {
    let endpoint = endpoint();
    let connecting = endpoint.connect_with(tls, address, SERVER_NAME).unwrap();
    Ok((endpoint, connecting.await?))
}

/// What the server closed the connection with.
pub(crate) async fn close_code(connection: &Connection) -> Option<RejectCode> {
    match connection.closed().await {
        ConnectionError::ApplicationClosed(close) => {
            RejectCode::from_number(u16::try_from(close.error_code.into_inner()).unwrap())
        }
        other => panic!("expected a typed close, found {other}"),
    }
}

/// Three lanes with bytes as they are.
pub(crate) struct Raw {
    _endpoint: Endpoint,
    pub(crate) connection: Connection,
    lanes: Vec<(SendStream, RecvStream)>,
    received: Deframer,
}

impl Raw {
    pub(crate) async fn connect(node: &Node, issued: &Issued) -> Raw {
        let (endpoint, connection) = dial(node.address, issued).await.unwrap();
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let (mut send, receive) = connection.open_bi().await.unwrap();
            send.write_all(&lane.preamble()).await.unwrap();
            lanes.push((send, receive));
        }
        Raw { _endpoint: endpoint, connection, lanes, received: Deframer::default() }
    }

    pub(crate) async fn send(&mut self, lane: Lane, bytes: &[u8]) {
        self.lanes[lane as usize].0.write_all(bytes).await.unwrap();
    }

    /// Ends a lane in the middle of whatever was sent.
    pub(crate) fn cut(&mut self, lane: Lane) {
        self.lanes[lane as usize].0.finish().unwrap();
    }

    /// The next message on the control lane.
    pub(crate) async fn next(&mut self) -> ServerMessage {
        loop {
            if let Some(bytes) = self.received.next_message().unwrap() {
                return ServerMessage::decode(bytes).unwrap();
            }
            let chunk = self.lanes[0].1.read_chunk(65_536, true).await.unwrap();
            self.received.feed(&chunk.expect("the lane goes on").bytes);
        }
    }
}

/// A real client session on a real connection.
pub(crate) struct Client {
    _endpoint: Endpoint,
    pub(crate) connection: Connection,
    send: Vec<SendStream>,
    received: mpsc::Receiver<(Lane, Bytes)>,
    pub(crate) session: ClientSession,
    kept: VecDeque<ClientEvent>,
    /// Bytes of every receipt, by group.
    pub(crate) receipts: BTreeMap<u64, Vec<u8>>,
}

impl Client {
    pub(crate) async fn connect(node: &Node, issued: &Issued, role: Role, name: &str) -> Client {
        Client::connect_with(node, client_tls(issued), Holder::new(role, name)).await
    }

    /// The same with whatever certificate.
    pub(crate) async fn connect_with(
        node: &Node,
        tls: quinn::ClientConfig,
        holder: Holder,
    ) -> Client {
        let (endpoint, connection) = dial_with(node.address, tls).await.unwrap();
        let (sender, received) = mpsc::channel(16);
        let mut send = Vec::new();
        for lane in Lane::ALL {
            let (lane_send, lane_receive) = connection.open_bi().await.unwrap();
            send.push(lane_send);
            tokio::spawn(forward(lane, lane_receive, sender.clone()));
        }
        let config = ClientConfig {
            scope: chain_scope(),
            signer: node.hub.signer(),
            holder,
            name: ClientName::new("test").unwrap(),
            codec: Some(wire::Codec::RAW),
            limits: ClientLimits::default(),
        };
        let mut session = ClientSession::new(config);
        session.connected();
        let (kept, receipts) = (VecDeque::new(), BTreeMap::new());
        Client { _endpoint: endpoint, connection, send, received, session, kept, receipts }
    }

    /// Runs the session until `wanted` takes an event; others are passed over.
    pub(crate) async fn until<T>(
        &mut self,
        mut wanted: impl FnMut(&ClientEvent) -> Option<T>,
    ) -> T {
        loop {
            while let Some(event) = self.kept.pop_front() {
                if let Some(found) = wanted(&event) {
                    return found;
                }
                if let ClientEvent::Closed { .. } | ClientEvent::Violation { .. } = event {
                    panic!("the session ended: {event:?}");
                }
            }
            self.step().await;
        }
    }

    /// Sends everything.
    pub(crate) async fn transmit(&mut self) {
        for lane in Lane::ALL {
            while let Some(bytes) = self.session.poll_transmit(lane) {
                // If the server closed meanwhile, its reason is still to be read.
                drop(self.send[lane as usize].write_all(&bytes).await);
            }
        }
    }

    /// Sends everything, and takes in what comes next.
    async fn step(&mut self) {
        self.transmit().await;
        self.keep();
        if self.kept.is_empty() {
            let (lane, bytes) = self.received.recv().await.expect("the connection goes on");
            self.session.handle_bytes(lane, &bytes, now());
            self.keep();
        }
    }

    fn keep(&mut self) {
        while let Some(event) = self.session.poll_event() {
            if let ClientEvent::Receipt(receipt) = &event {
                self.receipts.insert(receipt.receipt.group.group, receipt.to_bytes());
            }
            self.kept.push_back(event);
        }
    }

    pub(crate) async fn welcomed(mut self) -> Client {
        let welcomed =
            |event: &ClientEvent| matches!(event, ClientEvent::Welcomed { .. }).then_some(());
        self.until(welcomed).await;
        self
    }

    /// Opens the one stream.
    pub(crate) async fn open(&mut self) -> StreamHandle {
        let handle = self.session.open_stream(Lane::Live, descriptor(), Sequence(0)).unwrap();
        self.until(|event| matches!(event, ClientEvent::StreamReady { .. }).then_some(())).await;
        handle
    }

    /// Waits until a sequence is durable, by a verified receipt.
    pub(crate) async fn durable(&mut self, sequence: u64) {
        self.until(|event| match event {
            ClientEvent::Durable { last, .. } => (last.0 >= sequence).then_some(()),
            _ => None,
        })
        .await;
    }

    /// What the server closed the session with.
    pub(crate) async fn closed(&mut self) -> Option<RejectCode> {
        self.until(|event| match event {
            ClientEvent::Closed { code } => Some(*code),
            _ => None,
        })
        .await
    }
}

async fn forward(lane: Lane, mut receive: RecvStream, to: mpsc::Sender<(Lane, Bytes)>) {
    while let Ok(Some(chunk)) = receive.read_chunk(65_536, true).await {
        if to.send((lane, chunk.bytes)).await.is_err() {
            return;
        }
    }
}
