//! TLS for whoever connects to a bridge, from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use files::Audience;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::report::Usage;

/// Largest file of certificates or of a key, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The options.
#[derive(Args)]
pub(crate) struct TlsArgs {
    /// The certificate that senders are shown, with those between it and its authority (PEM)
    #[arg(long, value_name = "FILE.pem", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE.key", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authorities of which senders must have a certificate (PEM); without it any sender is taken
    #[arg(long, value_name = "FILE.pem", requires = "tls_cert")]
    tls_clients: Option<PathBuf>,
}

impl TlsArgs {
    /// What accepts connections, if TLS is asked for.
    pub(crate) fn acceptor(&self) -> anyhow::Result<Option<TlsAcceptor>> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let chain = certificates(cert)?;
        let bytes = files::read(key, FILE_BYTES_MAX, Audience::Owner);
        let bytes = bytes.with_context(|| format!("reading {}", key.display()))?;
        let wrong = || Usage(format!("expected a private key in PEM in {}", key.display()));
        let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| wrong())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = match &self.tls_clients {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut store = RootCertStore::empty();
                for authority in certificates(path)? {
                    store.add(authority).context("taking an authority of --tls-clients")?;
                }
                let store = Arc::new(store);
                let verifier = WebPkiClientVerifier::builder_with_provider(store, provider);
                builder.with_client_cert_verifier(verifier.build()?)
            }
        };
        let config = builder.with_single_cert(chain, private);
        let config = config.context("expected --tls-cert and --tls-key to be one pair")?;
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let bytes = files::read(path, FILE_BYTES_MAX, Audience::Public);
    let bytes = bytes.with_context(|| format!("reading {}", path.display()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Usage(format!("expected certificates in PEM in {}", path.display())).into()),
    }
}
