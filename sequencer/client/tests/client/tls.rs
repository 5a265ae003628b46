//! Certificates of a ward, and senders that connect by TLS to a bridge that asks for them.

use std::path::Path;
use std::sync::Arc;

use ::files::Audience;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::node::authority;

/// What a bridge is started with, beside [`Ward::write`].
pub(crate) const OPTIONS: &str =
    "--tls-cert DIR/bridge.pem --tls-key DIR/bridge.key --tls-clients DIR/ward-ca.pem";

/// The authority of a ward: of its bridge and of its senders.
pub(crate) struct Ward {
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// Who connects.
pub(crate) enum Sender<'a> {
    /// Shows no certificate.
    Unknown,
    /// Shows one of this authority.
    Of(&'a Ward),
}

impl Ward {
    pub(crate) fn new() -> Ward {
        Ward { authority: authority() }
    }

    /// The bridge's certificate and key, and the authority of its senders.
    pub(crate) fn write(&self, folder: &Path) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        let write = |name: &str, text: &str, audience| {
            ::files::replace(&folder.join(name), &[text.as_bytes()], audience).unwrap();
        };
        write("bridge.pem", &certificate.pem(), Audience::Public);
        write("bridge.key", &key.serialize_pem(), Audience::Owner);
        write("ward-ca.pem", &self.authority.pem(), Audience::Public);
    }

    /// All that the bridge at this address answers to some bytes, until it ends the connection;
    /// none where it does not let the sender in.
    pub(crate) async fn exchange(
        &self,
        address: &str,
        sender: Sender<'_>,
        bytes: &[u8],
    ) -> Option<String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("an authority");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match sender {
            Sender::Unknown => builder.with_no_client_auth(),
            Sender::Of(ward) => {
                let key = KeyPair::generate().expect("a key");
                let params = CertificateParams::new(Vec::new()).expect("no names");
                let certificate = params.signed_by(&key, &ward.authority).expect("signed");
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                let chain = vec![certificate.der().clone()];
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        let stream = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.expect("its own certificate holds");
        // Of TLS 1.3 the sender hears only with the first answer that it was not let in.
        stream.write_all(bytes).await.ok()?;
        stream.flush().await.ok()?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(&piece[..count]),
                Err(_) => return None,
            }
            // A frame of MLLP ends so, and its connection stays open.
            if answer.ends_with(b"\x1c\r") {
                break;
            }
        }
        Some(String::from_utf8(answer).expect("text"))
    }
}
