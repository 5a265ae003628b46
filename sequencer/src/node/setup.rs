//! Makes a node's folder: secrets, authority, chain, contract.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::network::EthereumWallet;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use devchain::{DevChain, Genesis, Limits};
use l1_contracts::{
    DeployConfig, Deployment, DeploymentError, EdgeError, HttpClientError, HttpUrl, SetupKind,
    rpc_client,
};
use model::{Clock, Interval, Millis, Word};
use thiserror::Error;
use wire::{SigningKey, signer_address};

use crate::doors::config::Config;
use crate::folder::authority::{Authority, AuthorityError};
use crate::folder::layout::Layout;
use crate::folder::secrets::{self, SecretError};
use crate::stages::prove::{ProverKeys, ProverKeysError};

/// How long the development authority's certificates are valid: ten years.
const CERTIFICATES_VALID_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// Why a node's folder cannot be made or used.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A secret cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A key file holds no key.
    #[error("expected a secp256k1 key in {path}")]
    Key {
        /// Which.
        path: PathBuf,
    },
    /// The authority cannot be made or read.
    #[error("the certificate authority cannot be used")]
    Authority(#[from] AuthorityError),
    /// The embedded chain does not open.
    #[error("the embedded chain does not open")]
    Chain(#[from] devchain::OpenError),
    /// There is no client for the chain's node.
    #[error(transparent)]
    Client(#[from] HttpClientError),
    /// The chain refuses or does not answer.
    #[error("the base chain cannot be used")]
    Edge(#[from] EdgeError),
    /// The deployment file cannot be read or written.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The proving keys cannot be had.
    #[error(transparent)]
    Prover(#[from] ProverKeysError),
    /// The folder cannot be written.
    #[error("the folder {path} is not writable")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The base chain as the node reaches it.
#[derive(Clone)]
pub struct BaseChain {
    /// The one way to it.
    pub provider: DynProvider,
    /// What is behind it.
    pub reach: Reach,
}

/// Where the base chain runs.
#[derive(Clone)]
pub enum Reach {
    /// In this process, for development.
    Embedded(DevChain),
    /// At this address.
    Url(HttpUrl),
}

/// What a deployment begins with besides its keys.
#[derive(Clone, Copy, Debug)]
pub struct GenesisTerms {
    /// Hash of the registrar's key.
    pub registrar: Word,
    /// When the first window begins.
    pub time: Millis,
}

/// A secp256k1 key from a secret file, drawn if it is not there.
///
/// # Errors
/// [`SetupError`].
pub fn settlement_signer(layout: &Layout) -> Result<PrivateKeySigner, SetupError> {
    let path = layout.settlement_key();
    let secret = secrets::open_or_draw(&path)?;
    PrivateKeySigner::from_slice(secret.as_slice()).map_err(|_| SetupError::Key { path })
}

/// The key that signs receipts, drawn if it is not there.
///
/// # Errors
/// [`SetupError`].
pub fn receipt_key(layout: &Layout) -> Result<SigningKey, SetupError> {
    let path = layout.receipt_key();
    let secret = secrets::open_or_draw(&path)?;
    SigningKey::from_slice(secret.as_slice()).map_err(|_| SetupError::Key { path })
}

/// Opens the configured chain: an EVM node by URL, else the embedded chain of the folder.
///
/// # Errors
/// [`SetupError`].
pub fn open_chain(
    layout: &Layout,
    config: &Config,
    clock: Arc<dyn Clock>,
) -> Result<BaseChain, SetupError> {
    let signer = settlement_signer(layout)?;
    let Some(rpc) = &config.chain.rpc else {
        // The settling account pays for everything; on this chain money is worth nothing.
        let genesis = Genesis::funding([signer.address()]);
        let seconds = Arc::new(move || clock.now().unix_ms() / 1000);
        let (chain, _) =
            DevChain::open(&layout.chain_journal(), genesis, Limits::default(), seconds)?;
        return Ok(BaseChain { provider: chain.provider(signer), reach: Reach::Embedded(chain) });
    };
    let wallet = EthereumWallet::from(signer);
    // Nonces are asked of the chain each time rather than counted here: the settler gives its own,
    // and a counter beside them would drift after a crash.
    let fillers = ProviderBuilder::default()
        .with_gas_estimation()
        .with_simple_nonce_management()
        .fetch_chain_id();
    let client = rpc_client(rpc.clone())?;
    let provider = fillers.wallet(wallet).connect_client(client).erased();
    Ok(BaseChain { provider, reach: Reach::Url(rpc.clone()) })
}

/// Makes what the folder lacks: configuration, authority, server certificate, secrets.
///
/// # Errors
/// [`SetupError`].
pub fn init(layout: &Layout, config: &Config, now: Millis) -> Result<(), SetupError> {
    let folder = |source| SetupError::Folder { path: layout.folder().into(), source };
    std::fs::create_dir_all(layout.folder()).map_err(folder)?;
    // Each part only if it is missing: an interrupted setup is continued, and no key is ever
    // replaced.
    if !layout.config().exists() {
        std::fs::write(layout.config(), config.to_toml()).map_err(folder)?;
    }
    let valid = certificates_valid(now);
    if !layout.authority().exists() {
        Authority::create(&layout.authority(), valid)?;
    }
    if !layout.server().exists() {
        let authority = Authority::load(&layout.authority())?;
        let names = &config.ingest.server_names;
        authority.issue_server(names, valid)?.write(&layout.server())?;
    }
    // Drawn here although the first start would do it: their accounts are named before there is
    // one.
    settlement_signer(layout)?;
    receipt_key(layout)?;
    secrets::open_or_draw(&layout.edge_key())?;
    secrets::open_or_draw(&layout.journal_id())?;
    Ok(())
}

/// From a day before `now`, so that a slow clock elsewhere does not refuse, for ten years.
pub fn certificates_valid(now: Millis) -> Interval {
    let day = 24 * 60 * 60 * 1000;
    let from = Millis::new(now.get().saturating_sub(day)).unwrap_or(now);
    Interval { from, until: now.plus(CERTIFICATES_VALID_MS) }
}

/// Deploys keys and contract and writes the deployment file.
///
/// # Errors
/// [`SetupError`].
pub async fn deploy(
    layout: &Layout,
    chain: &BaseChain,
    keys: &ProverKeys,
    genesis: GenesisTerms,
) -> Result<Deployment, SetupError> {
    let signer = settlement_signer(layout)?;
    let setup = if keys.are_dev_insecure() { SetupKind::DevInsecure } else { SetupKind::Ceremony };
    // The contract names the signer of receipts: another receipt key needs another deployment.
    let config = DeployConfig {
        sequencer: signer.address(),
        registrar: genesis.registrar,
        receipt_signer: signer_address(&receipt_key(layout)?).0.into(),
        genesis_time: genesis.time,
        setup,
        keys: keys.key_words(),
    };
    let deployment = l1_contracts::deploy(&chain.provider, config).await?;
    deployment.write(&layout.deployment())?;
    Ok(deployment)
}

/// Opens the proving keys of the configured shapes.
///
/// # Errors
/// [`SetupError::Prover`].
pub fn prover_keys(
    layout: &Layout,
    config: &Config,
    begin: impl FnMut(&'static str),
) -> Result<ProverKeys, SetupError> {
    let folder = config.prover.keys.clone().unwrap_or_else(|| layout.proving_keys());
    let batch = &config.batch;
    Ok(ProverKeys::open(Path::new(&folder), &batch.operations_shape, &batch.claims_shape, begin)?)
}
