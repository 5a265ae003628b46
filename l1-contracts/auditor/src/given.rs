//! What is given on every command line: where everything is read from.

use std::path::PathBuf;

use anyhow::Context as _;
use auditor::{Fault, Source};
use clap::Args;
use l1_contracts::{Deployment, HttpUrl};
use model::{ExitCode, escape};
use statement::fingerprint::Fingerprint;

/// The command line, or a file or address given on it, is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub(crate) struct Given(pub(crate) anyhow::Error);

/// Where everything is read from.
#[derive(Args)]
pub(crate) struct PlaceArgs {
    /// JSON-RPC address of a node of the base chain, http:// or https://. Use one that you trust to
    /// be on the right chain: your own, or that of somebody who does not know the operator.
    // Read later: clap would quote an address that does not parse, with the secrets in it.
    #[arg(long)]
    pub(crate) rpc: String,
    /// The deployment file, from where you trust it: it says which contract is audited.
    #[arg(long)]
    pub(crate) deployment: PathBuf,
    /// The deployment's fingerprint, as the hospital told you and not as the file says: another
    /// deployment is refused.
    #[arg(long, value_name = "HEX")]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Batch files: the address of a node, http:// or https:// (`GET /batches/N`), or a folder with
    /// NNNNNN/public.bin. Whoever delivers them need not be trusted.
    #[arg(long)]
    pub(crate) data: String,
    /// Print one JSON object. How far `verify` is stands on the error output all the same.
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`PlaceArgs`], each read into what it names.
pub(crate) struct Read {
    pub(crate) rpc: HttpUrl,
    pub(crate) deployment: Deployment,
    pub(crate) data: Source,
}

impl PlaceArgs {
    pub(crate) fn read(&self) -> anyhow::Result<Read> {
        let rpc = self.rpc.parse::<HttpUrl>().context("reading --rpc")?;
        let deployment = self.deployment()?;
        let data = Source::parse(&self.data).context("reading --data")?;
        Ok(Read { rpc, deployment, data })
    }

    /// The deployment, if it is the one that was expected.
    pub(crate) fn deployment(&self) -> anyhow::Result<Deployment> {
        let deployment = Deployment::read(&self.deployment)?;
        if let Some(expected) = self.fingerprint {
            deployment.fingerprint.expect(expected)?;
        }
        Ok(deployment)
    }
}

/// Tells what could not be read, and gives the code for it.
pub(crate) fn told(fault: &Fault) -> ExitCode {
    eprintln!("auditor: {}", escape(&fault.to_string()));
    match fault {
        Fault::Broken(_) => ExitCode::Failed,
        Fault::Unavailable(_) => ExitCode::Unavailable,
        Fault::Refused(_) => ExitCode::Usage,
    }
}
