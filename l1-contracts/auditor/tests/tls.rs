//! HTTPS to the chain's node and to batch files, with an authority of one's own.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::chain::{Live, live, serve_files};

/// An authority, and the settings of a server on the loopback address that it vouches for.
fn authority() -> (String, rustls::ServerConfig) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    let issuer = Issuer::new(params, key);
    let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let server_key = KeyPair::generate().expect("a key");
    let server = names.signed_by(&server_key, &issuer).expect("a certificate");
    let private = PrivateKeyDer::Pkcs8(server_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], private)
        .expect("a key for its certificate");
    (certificate.pem(), settings)
}

/// Speaks TLS in front of what listens at `upstream`; gives the address without scheme.
async fn serve_tls(settings: rustls::ServerConfig, upstream: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let host = upstream.trim_start_matches("http://").split('/').next().expect("a host").to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, host) = (acceptor.clone(), host.clone());
            tokio::spawn(async move {
                // A client that does not trust the certificate hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut upstream = TcpStream::connect(host).await.expect("listens");
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
            });
        }
    });
    address
}

async fn verify(live: &Live, rpc: &str, data: &str, trusted: &Path) -> Output {
    let mut program = live.command("verify", rpc, data);
    program.env("SSL_CERT_FILE", trusted).env_remove("SSL_CERT_DIR");
    program.output().await.expect("runs")
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_to_whoever_the_given_authority_vouches_for() {
    let live = live().await;
    let files: Vec<_> = live.built.iter().map(|built| built.file.to_bytes()).collect();
    let files = serve_files(files).await;
    let (authority_pem, settings) = authority();
    let rpc = format!("https://{}", serve_tls(settings.clone(), &live.rpc()).await);
    let data = format!("https://{}/node", serve_tls(settings, &files).await);
    let folder = tempfile::tempdir().expect("a folder");
    let [ours, other, empty] =
        ["ours.pem", "other.pem", "empty.pem"].map(|f| folder.path().join(f));
    std::fs::write(&ours, authority_pem).expect("written");
    std::fs::write(&other, authority().0).expect("written");
    std::fs::write(&empty, "").expect("written");

    let done = verify(&live, &rpc, &data, &ours).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));

    let done = verify(&live, &rpc, &data, &other).await;
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    assert!(said(&done).contains("certificate"), "{}", said(&done));

    // Nobody is trusted: plain HTTP needs nobody, and HTTPS says whom it lacks.
    let done = verify(&live, &live.rpc(), &files, &empty).await;
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let done = verify(&live, &rpc, &files, &empty).await;
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    assert!(said(&done).contains("SSL_CERT_FILE"), "{}", said(&done));
    let done = verify(&live, &live.rpc(), &data, &empty).await;
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_says_tls_where_nobody_speaks_it_is_a_wrong_argument() {
    let live = live().await;
    let files: Vec<_> = live.built.iter().map(|built| built.file.to_bytes()).collect();
    let files = serve_files(files).await;
    let folder = tempfile::tempdir().expect("a folder");
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(&authorities, authority().0).expect("written");
    let [rpc, data] = [live.rpc(), files].map(|plain| (plain.replace("http:", "https:"), plain));
    for (rpc, data, what) in [(&rpc.0, &data.1, "chain's node"), (&rpc.1, &data.0, "batch files")] {
        let done = verify(&live, rpc, data, &authorities).await;
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        let expected = format!("address of {what}: expected one that begins with http://");
        let text = said(&done).replace("of the chain's", "of chain's");
        assert!(text.contains(&expected), "{text}");
    }
}
