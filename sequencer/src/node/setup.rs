//! Makes a node's folder: secrets, authority, chain, contract.

use std::path::PathBuf;
use std::sync::Arc;

use alloy::network::EthereumWallet;
use alloy::primitives::Address;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::signers::local::PrivateKeySigner;
use devchain::{DevChain, Genesis, Limits};
use files::Audience;
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
use crate::folder::secrets::{self, NodeSecret, SecretError};
use crate::folder::validity::AuthorityConfig;
use crate::stages::prove::{ProverKeys, ProverKeysError, Wanted};

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
    /// A key is not the one that the deployment names.
    #[error(
        "expected the key of {expected}, which the deployment names, in {path}, found that of \
         {found}; put the copy of the right key back, or use the folder of the other deployment"
    )]
    Signer {
        /// Which file.
        path: PathBuf,
        /// Account of the deployment.
        expected: Address,
        /// Account of the key.
        found: Address,
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
    /// The folder cannot be written, or others may open something in it.
    #[error("the folder {path} cannot be used")]
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

/// The key of the settling account.
///
/// # Errors
/// [`SetupError`].
pub fn settlement_signer(layout: &Layout) -> Result<PrivateKeySigner, SetupError> {
    let secret = layout.secret(NodeSecret::Settlement)?;
    let signer = PrivateKeySigner::from_slice(secret.as_slice());
    signer.map_err(|_| SetupError::Key { path: path_of(layout, NodeSecret::Settlement) })
}

/// The key that signs receipts.
///
/// # Errors
/// [`SetupError`].
pub fn receipt_key(layout: &Layout) -> Result<SigningKey, SetupError> {
    let secret = layout.secret(NodeSecret::Receipt)?;
    let key = SigningKey::from_slice(secret.as_slice());
    key.map_err(|_| SetupError::Key { path: path_of(layout, NodeSecret::Receipt) })
}

/// Holds the two signing keys of a folder against its deployment: under another settling key
/// nothing would settle, and under another receipt key every client would leave.
///
/// # Errors
/// [`SetupError::Signer`] that names the file.
pub fn check_signers(layout: &Layout, deployment: &Deployment) -> Result<(), SetupError> {
    let found = Address::from(signer_address(&receipt_key(layout)?).0);
    let signers = [
        (NodeSecret::Settlement, deployment.sequencer, settlement_signer(layout)?.address()),
        (NodeSecret::Receipt, deployment.receipt_signer, found),
    ];
    for (secret, expected, found) in signers {
        if expected != found {
            return Err(SetupError::Signer { path: path_of(layout, secret), expected, found });
        }
    }
    Ok(())
}

fn path_of(layout: &Layout, secret: NodeSecret) -> PathBuf {
    layout.folder().join(secret.file())
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
    // Before a chain is opened: the embedded one would say of another key only that its genesis is
    // another.
    // What is wrong with the deployment's file, the node's start says better.
    if let Ok(deployment) = Deployment::read(&layout.deployment()) {
        check_signers(layout, &deployment)?;
    }
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
    files::make_folder(layout.folder(), Audience::Owner).map_err(folder)?;
    // Before anything is put there: what is open to others stays so for what is added.
    layout.check_closed().map_err(folder)?;
    // Each part only if it is missing: an interrupted setup is continued, and no key is ever
    // replaced.
    if !layout.config().exists() {
        let text = config.to_toml();
        files::create(&layout.config(), text.as_bytes(), Audience::Owner).map_err(folder)?;
    }
    if !layout.authority().exists() {
        Authority::create(&layout.authority(), config.authority.authority_valid(now))?;
    }
    if !layout.server().exists() {
        let authority = Authority::load(&layout.authority())?;
        let names = &config.ingest.server_names;
        let valid = config.authority.certificate_valid(now);
        authority.issue_server(names, valid)?.write(&layout.server())?;
    }
    // Here alone: once there is a contract or a journal, something depends on each of them, and a
    // new one in the place of a lost one would be found out by whoever relied on the old one.
    let in_use = layout.is_in_use().map_err(folder)?;
    for secret in NodeSecret::ALL {
        if in_use {
            layout.secret(secret)?;
        } else {
            secrets::open_or_draw(&path_of(layout, secret))?;
        }
    }
    // One draw in 2^128 is no key of the curve; better said here than at the first start.
    settlement_signer(layout)?;
    receipt_key(layout)?;
    Ok(())
}

/// When a certificate that is issued now is good, by the default configuration.
pub fn certificates_valid(now: Millis) -> Interval {
    AuthorityConfig::default().certificate_valid(now)
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

/// Where the proving keys are.
pub fn key_folder(layout: &Layout, config: &Config) -> PathBuf {
    config.prover.keys.clone().unwrap_or_else(|| layout.proving_keys())
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
    let folder = key_folder(layout, config);
    let claims: Vec<&str> = config.batch.claims_shapes.iter().map(String::as_str).collect();
    let wanted = Wanted {
        operations: &config.batch.operations_shape,
        claims: &claims,
        setup: config.prover.setup.parse().expect("the configuration was checked"),
        engine: config.prover.engine.parse().expect("the configuration was checked"),
    };
    Ok(ProverKeys::open(&folder, wanted, begin)?)
}
