//! TLS for the one GET of [`batches`](crate::batches): over a plain socket, trusting whom this
//! machine trusts.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::ServerName;

/// Speaks TLS on a connection to `host`, which may have a port behind it. Trusted are the
/// authorities of the system's store, or those in the file that the variable `SSL_CERT_FILE` names.
pub(crate) fn begin(
    stream: TcpStream,
    host: &str,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    begin_trusting(authorities()?, stream, host)
}

/// The same, trusting these authorities only.
pub(crate) fn begin_trusting(
    authorities: RootCertStore,
    stream: TcpStream,
    host: &str,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    // An IPv6 address stands in brackets where a port may follow it.
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(invalid)?;
    let settings = settings(authorities).map_err(invalid)?;
    let connection = ClientConnection::new(Arc::new(settings), name).map_err(invalid)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Whether a peer was spoken to by TLS and answered with something else.
pub(crate) fn is_none(error: &io::Error) -> bool {
    let within = error.get_ref().and_then(|within| within.downcast_ref());
    matches!(within, Some(rustls::Error::InvalidMessage(_)))
}

fn settings(authorities: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(authorities).with_no_client_auth())
}

fn authorities() -> io::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    // One that does not parse is nobody's: the others may do.
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() {
        let none = "expected certificates of authorities in the system's store (Debian: \
                    ca-certificates), or in the file that the variable SSL_CERT_FILE names, found \
                    none";
        return Err(io::Error::new(io::ErrorKind::NotFound, none));
    }
    Ok(store)
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::{ServerConfig, ServerConnection};
    use rustls_pki_types::PrivateKeyDer;

    use super::*;

    /// Who vouches for the loopback address, and the settings of a server there.
    fn authority() -> (RootCertStore, ServerConfig) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut store = RootCertStore::empty();
        store.add(params.self_signed(&key).unwrap().der().clone()).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let server = server.signed_by(&key, &issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], private)
            .unwrap();
        (store, settings)
    }

    /// What is read from a server with these settings, by a client that trusts these authorities.
    fn read(authorities: RootCertStore, settings: ServerConfig) -> io::Result<[u8; 5]> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(Arc::new(settings)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // A client that trusts nobody hangs up.
            let _ = stream.write_all(b"bytes").and_then(|()| stream.flush());
        });
        let mut stream =
            begin_trusting(authorities, TcpStream::connect(&host).unwrap(), &host).unwrap();
        let mut bytes = [0; 5];
        let outcome = stream.read_exact(&mut bytes).map(|()| bytes);
        drop(stream);
        server.join().unwrap();
        outcome
    }

    #[test]
    fn a_host_is_spoken_to_if_a_trusted_authority_vouches_for_its_name() {
        let (authorities, settings) = authority();
        assert_eq!(&read(authorities, settings.clone()).unwrap(), b"bytes");
        let (others, _) = authority();
        let refused = read(others, settings).unwrap_err();
        assert!(refused.to_string().contains("certificate"), "{refused}");
    }
}
