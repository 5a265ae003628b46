//! Somebody who is told: HTTPS on loopback, one thread a connection.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::WAIT;

/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// What came.
pub(super) struct Got {
    /// Its first line, in small letters, as all of the head but the signature.
    pub(super) line: String,
    headers: BTreeMap<String, String>,
    /// As it was sent.
    pub(super) signature: String,
    /// Bytes behind the head.
    pub(super) body_bytes: usize,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

pub(super) struct Receiver {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    answers: Arc<Mutex<Answers>>,
    got: UnboundedReceiver<Got>,
}

#[derive(Default)]
struct Answers {
    /// Statuses of the next answers; 200 behind them.
    statuses: VecDeque<u16>,
    /// Whoever connects is hung up on.
    is_away: bool,
    /// A host in whose name nothing is answered.
    silent: Option<&'static str>,
    /// Connections of it.
    kept: Vec<StreamOwned<ServerConnection, TcpStream>>,
}

impl Receiver {
    /// One of these names, with a certificate of its own.
    pub(super) fn start(names: &[&str]) -> Receiver {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let certificate = certificate.der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = config.with_single_cert(vec![certificate.clone()], key).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(Answers::default()));
        let (told, got) = unbounded_channel();
        let (config, shared) = (Arc::new(config), answers.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, shared, told) = (config.clone(), shared.clone(), told.clone());
                // One that shakes no hands is somebody who does not trust the certificate.
                thread::spawn(move || drop(serve(stream.unwrap(), config, &shared, &told)));
            }
        });
        Receiver { address, certificate, answers, got }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Whom to trust to reach it.
    pub(super) fn authority(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_der(&self.certificate).unwrap()
    }

    /// Its next answers.
    pub(super) fn answers(&self, statuses: impl IntoIterator<Item = u16>) {
        self.answers.lock().unwrap().statuses.extend(statuses);
    }

    /// From now on nobody reaches it.
    pub(super) fn goes_away(&self) {
        self.answers.lock().unwrap().is_away = true;
    }

    /// From now on it is reached again.
    pub(super) fn comes_back(&self) {
        self.answers.lock().unwrap().is_away = false;
    }

    /// From now on it says nothing in the name of this host.
    pub(super) fn hang_for(&self, host: &'static str) {
        self.answers.lock().unwrap().silent = Some(host);
    }

    /// What comes next.
    pub(super) async fn next(&mut self) -> Got {
        timeout(WAIT, self.got.recv()).await.expect("it comes").unwrap()
    }

    /// Whether nothing came that was not looked at.
    pub(super) fn has_no_more(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answers: &Mutex<Answers>,
    told: &UnboundedSender<Got>,
) -> std::io::Result<()> {
    if answers.lock().unwrap().is_away {
        return Ok(());
    }
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    let end = loop {
        let mut part = [0; 1024];
        let length = stream.read(&mut part)?;
        request.extend(&part[..length]);
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        assert!(length > 0 && request.len() < REQUEST_BYTES_MAX, "expected a whole head");
    };
    let got = read_head(&request[..end], request.len() - end - 4);
    let mut answers = answers.lock().unwrap();
    let is_silent = answers.silent.is_some_and(|host| got.header("host").starts_with(host));
    let status = answers.statuses.pop_front().unwrap_or(200);
    told.send(got).map_err(std::io::Error::other)?;
    if is_silent {
        answers.kept.push(stream);
        return Ok(());
    }
    drop(answers);
    // Where a redirect leads is here as well: whoever followed it would be seen.
    let headers = "location: /elsewhere\r\ncontent-length: 0";
    write!(stream, "HTTP/1.1 {status} Said\r\n{headers}\r\n\r\n")?;
    stream.flush()
}

fn read_head(head: &[u8], body_bytes: usize) -> Got {
    let head = String::from_utf8(head.to_vec()).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_ascii_lowercase();
    let mut headers = BTreeMap::new();
    let mut signature = String::new();
    for header in lines {
        let (name, value) = header.split_once(": ").unwrap();
        let name = name.to_ascii_lowercase();
        if name == "webhook-signature" {
            signature = value.to_owned();
        }
        headers.insert(name, value.to_owned());
    }
    Got { line, headers, signature, body_bytes }
}
