//! Why a node does not start, or does not do what it is asked.

use journal::ReadError;
use l1_contracts::{Damage, DeploymentError, EdgeError};
use thiserror::Error;
use wire::FrameError;

use super::archive::ArchiveSetupError;
use super::head::HeadError;
use super::recover::RecoverError;
use super::setup::SetupError;
use super::tuning::TuneError;
use crate::doors::admin::AdminError;
use crate::doors::config::ConfigError;
use crate::doors::consult::ConsultSetupError;
use crate::doors::http::{HttpError, TokenError};
use crate::doors::page::OperatorPageError;
use crate::doors::token_issuer::TokenIssuerError;
use crate::folder::authority::AuthorityError;
use crate::folder::old_journal::OldJournalError;
use crate::folder::secrets::SecretError;
use crate::folder::store::StoreError;
use crate::guard::{Stage, StageFailure};
use crate::history::HistoryError;
use crate::stages::ingest::{AdmitError, IngestError};
use crate::stages::ledger::Refusal;
use crate::stages::notices::PostError;

/// Why a node does not start, or does not do what it is asked.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The configuration is not accepted.
    #[error("the configuration is not accepted")]
    Config(#[from] ConfigError),
    /// What is set by hand does not go with it, or it may take more memory than there is.
    #[error("the configuration is not accepted")]
    Tune(#[from] TuneError),
    /// The operator's page is not served.
    #[error(transparent)]
    Page(#[from] OperatorPageError),
    /// The folder is not usable.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Others may open something in the folder.
    #[error("the node's folder holds what patients are asked to consent to")]
    Folder(#[source] std::io::Error),
    /// The snapshots, or the index of stored frames beside them, cannot be opened.
    #[error("expected to read and write the folder snapshots/")]
    Snapshots(#[source] std::io::Error),
    /// What patients asked to have erased cannot be read.
    #[error("expected to read erasures.waiting, the requests to erase that wait")]
    Requests(#[source] std::io::Error),
    /// The deployment file is missing, damaged or of the first version.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// A field of the deployment is malformed.
    #[error("the deployment is malformed")]
    Damage(#[from] Damage),
    /// The chain is not the deployment's.
    #[error(
        "the base chain is not that of deployment.json: correct `[chain] rpc`, or put the file of \
         this folder back"
    )]
    Edge(#[from] EdgeError),
    /// The proving keys are not the deployment's.
    #[error(
        "expected proving keys with the ids of the deployment, found another for shape {shape}: \
         `[batch] operations_shape` and `claims_shapes` name the shapes that were deployed, and \
         `[prover] keys` the folder of their keys"
    )]
    Keys {
        /// Which shape.
        shape: String,
    },
    /// A key of the deployment is not among the configured.
    #[error(
        "expected every shape of the deployment to be configured, found shape {shape} missing: \
         add it to `[batch] claims_shapes`"
    )]
    KeyNotOpened {
        /// Which shape.
        shape: String,
    },
    /// The queue of jobs for workers elsewhere cannot be used, whether or not its server is there.
    #[error("`[prover] jobs`")]
    Queue(#[from] workers::QueueError),
    /// The login at that queue is not usable.
    #[error("`prover.jobs_login`")]
    Login(#[from] workers::LoginError),
    /// The token of the desk is not usable.
    #[error("`web.token_file`")]
    DeskToken(#[from] TokenError),
    /// The keys of the token issuer are not usable.
    #[error("`tokens.jwks_file`")]
    TokenIssuer(#[from] TokenIssuerError),
    /// Who may ask about consent cannot be read.
    #[error("`[decisions]`")]
    Decisions(#[from] ConsultSetupError),
    /// Nobody can be told that somebody read.
    #[error("`[notices]`")]
    Notices(#[from] PostError),
    /// A secret is not usable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The keys of frame bodies are not to be had.
    #[error("the keys that readings are sealed under cannot be used")]
    BodyKeys(#[from] bodies::KeyStoreError),
    /// The store does not open.
    #[error("the store does not open")]
    Store(#[from] StoreError),
    /// The journal does not open.
    #[error("the journal does not open")]
    Journal(#[from] journal::OpenError),
    /// The journal's folder does not open.
    #[error("the journal's folder does not open")]
    Medium(#[from] journal::MediumError),
    /// The archive cannot be used, whether or not it answers.
    #[error(transparent)]
    Archive(#[from] ArchiveSetupError),
    /// The journal is of the version before.
    #[error(transparent)]
    OldJournal(#[from] OldJournalError),
    /// Nobody can be asked how far the journal was.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The journal's losses cannot be told.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The journal cannot be continued.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The server certificate is not usable.
    #[error("the node's certificate is not usable")]
    Tls(#[from] AuthorityError),
    /// A stage runs and does not get on until somebody mends something.
    #[error("the stage {stage} does not get on: {cause}")]
    Degraded {
        /// Which.
        stage: Stage,
        /// Why, as `/readyz` names it.
        cause: &'static str,
    },
    /// Ingest does not start.
    #[error("ingest does not start")]
    Ingest(#[from] IngestError),
    /// HTTP does not start.
    #[error("the http service does not start")]
    Http(#[from] HttpError),
    /// The operator's socket does not open.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The system starts no thread or opens no socket.
    #[error("the operating system refuses a thread or socket")]
    System(#[from] std::io::Error),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Entropy(#[from] getrandom::Error),
    /// Admission did not take an item.
    #[error("the node does not take the item")]
    Admit(#[from] AdmitError),
    /// Admission refused an item.
    #[error("refused: {}", .0.detail)]
    Refused(Refusal),
    /// A stage failed.
    #[error("the {stage} stage failed: {detail}")]
    Stage {
        /// Which.
        stage: Stage,
        /// Why.
        detail: String,
    },
}

impl From<StageFailure> for NodeError {
    fn from(failure: StageFailure) -> NodeError {
        let StageFailure { stage, detail } = failure;
        NodeError::Stage { stage, detail }
    }
}

/// A journal entry that cannot be read.
#[derive(Debug, Error)]
pub enum EntryError {
    /// The journal does not serve it.
    #[error("the journal does not serve the entry")]
    Read(#[from] ReadError),
    /// It does not decode.
    #[error("the journal entry at position {position} does not decode")]
    Decode {
        /// Where.
        position: u64,
        /// Why.
        source: FrameError,
    },
}
