//! The options that several commands share: node, identity, deployment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use client::patience::Wait;
use client::{Connection, ConnectionConfig, ConnectionError, Counts, Deployment, Identity, Waits};
use model::calendar::Utc;
use model::{Clock, ExitCode, Millis, SystemClock, escape, whole_number, with_causes};
use statement::fingerprint::Fingerprint;
use wire::Role;

use crate::report::{Report, UnknownHost, Usage};

/// From so long before the end of its certificate on, a client warns: 30 days.
const WARNING_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Which deployment is meant.
#[derive(Args)]
pub(crate) struct Expected {
    /// The deployment's fingerprint, as the hospital told you and not as its file says: another
    /// deployment is refused
    #[arg(long, env = "VITALS_FINGERPRINT", value_name = "HEX")]
    fingerprint: Option<Fingerprint>,
}

impl Expected {
    /// What an identity's folder says about the deployment, which is the one that is meant.
    pub(crate) fn load(&self, identity: &Path) -> anyhow::Result<Deployment> {
        let deployment = Deployment::load(identity).context("reading the deployment")?;
        if let Some(expected) = self.fingerprint {
            deployment.fingerprint.expect(expected)?;
        }
        Ok(deployment)
    }
}

/// Where the node is and who asks.
#[derive(Args)]
pub(crate) struct Node {
    /// Where the node listens, HOST:PORT (UDP)
    #[arg(long, env = "VITALS_NODE", value_name = "HOST:PORT")]
    node: Option<String>,
    /// Name in the node's certificate, if it is not HOST
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Folder with ca.pem, cert.pem, key.pem and deployment.json
    #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
    pub(crate) identity: PathBuf,
    #[command(flatten)]
    expected: Expected,
    /// Folder that keeps every receipt, one file each
    #[arg(long, value_name = "DIR")]
    pub(crate) receipts: Option<PathBuf>,
}

impl Node {
    /// One that is asked by this identity, where it is known; what is signed goes another way.
    pub(crate) fn beside(
        node: Option<String>,
        server_name: Option<String>,
        identity: PathBuf,
        expected: Expected,
    ) -> Node {
        Node { node, server_name, identity, expected, receipts: None }
    }

    /// Whether it was said where it is.
    pub(crate) fn is_given(&self) -> bool {
        self.node.is_some()
    }

    /// What the identity's folder says about the deployment.
    pub(crate) fn deployment(&self) -> anyhow::Result<Deployment> {
        self.expected.load(&self.identity)
    }

    /// The certificate and its key.
    pub(crate) fn identity(&self) -> anyhow::Result<Identity> {
        let identity = Identity::load(&self.identity).context("reading the identity")?;
        let until = identity.valid().until;
        if until <= now().plus(WARNING_MS) {
            eprintln!("vitals: warning: the certificate of this identity ends at {}", Utc(until));
        }
        Ok(identity)
    }

    /// Refuses an identity that never gets what is asked for, before anything is sent.
    pub(crate) fn check_role(&self, wanted: &'static [Role]) -> anyhow::Result<()> {
        let identity = Identity::load(&self.identity).context("reading the identity")?;
        identity.check_role(wanted).with_context(|| self.identity.display().to_string())
    }

    /// What --node says, whose last part is a port.
    pub(crate) fn place(&self) -> anyhow::Result<&str> {
        // Asked for here and not by clap: a dry run and a look at the copy need no node.
        let missing = || Usage("expected --node HOST:PORT (or VITALS_NODE)".to_owned());
        let place = self.node.as_deref().ok_or_else(missing)?;
        let port = place.rsplit_once(':').and_then(|(_, port)| whole_number::<u16>(port));
        port.ok_or_else(|| Usage(format!("expected --node as HOST:PORT, found {place}")))?;
        Ok(place)
    }

    /// The node's address, by the names that this machine knows at the moment.
    pub(crate) async fn address(&self) -> anyhow::Result<SocketAddr> {
        let place = self.place()?;
        let unknown = |source| UnknownHost { place: place.to_owned(), source };
        let mut found = tokio::net::lookup_host(place).await.map_err(unknown)?;
        found.next().ok_or_else(|| unknown(std::io::ErrorKind::NotFound.into()).into())
    }

    /// As whom to connect.
    pub(crate) fn config(&self, address: SocketAddr) -> anyhow::Result<ConnectionConfig> {
        let place = self.place()?;
        // The certificate names a host, without the port and without the brackets of IPv6.
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = self.server_name.as_deref().unwrap_or(host);
        let config = ConnectionConfig::new(address, name, self.identity()?, self.deployment()?);
        let version = concat!("vitals/", env!("CARGO_PKG_VERSION"));
        Ok(ConnectionConfig {
            // Beside the certificate whose holder it is given to: whichever command comes next
            // shows it, and a node that lost its journal's end is found out by it.
            newest: Some(self.identity.join("newest.receipt")),
            receipts: self.receipts.clone(),
            identity_folder: Some(self.identity.clone()),
            ..config.with_name(version)?
        })
    }

    /// Connects for somebody who waits no longer than this, beside the look for the host.
    pub(crate) async fn connect_within(&self, wait: Duration) -> anyhow::Result<Connection> {
        let config = self.config(self.address().await?)?;
        let waits = Waits { connect: wait, ..config.waits };
        Ok(Connection::connect(ConnectionConfig { waits, ..config }).await?)
    }

    /// Connects with the defaults.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Ok(Connection::connect(self.config(self.address().await?)?).await?)
    }
}

/// What a session says of its node, for the end of a report.
pub(crate) struct Standing {
    fingerprint: Fingerprint,
    counts: Counts,
    /// Why the newest receipt is not kept, if it is not.
    not_kept: Option<String>,
}

impl Standing {
    /// Of a session that has done what it was opened for.
    pub(crate) fn of(node: &Node, connection: &Connection) -> anyhow::Result<Standing> {
        let not_kept = match connection.end_reason() {
            Some(error @ ConnectionError::Receipts(_)) => Some(with_causes(&error)),
            _ => connection.newest_fault(),
        };
        let fingerprint = node.deployment()?.fingerprint;
        Ok(Standing { fingerprint, counts: connection.counts(), not_kept })
    }

    /// Adds to a report which deployment it is of, and what its holder must know of the node.
    pub(crate) fn tell(self, mut report: Report) -> Report {
        let Standing { fingerprint, counts, not_kept } = self;
        report = tell_deployment(fingerprint, report);
        report.json["term"] = counts.term.into();
        report.json["losses_accepted"] = counts.losses_accepted.into();
        if counts.losses_accepted > 0 {
            report.text += LOSS;
        }
        if let Some(why) = not_kept {
            report.text += &format!("\nbut the receipt is not kept to be shown again: {why}");
            report.json["not_kept"] = why.into();
            report.exit = ExitCode::Failed;
        }
        report
    }
}

/// What a client is told whose node goes on behind a loss.
const LOSS: &str = "\nthe node's operator accepted a loss: what was acknowledged before may be \
                    gone; keep the receipts, they are the evidence";

/// Adds to a report which deployment it is of: whoever reads it compares.
pub(crate) fn tell_deployment(fingerprint: Fingerprint, mut report: Report) -> Report {
    report.text = format!("deployment {fingerprint}\n{}", report.text);
    report.json["fingerprint"] = fingerprint.to_string().into();
    report
}

/// The runtime of one command: one thread is enough for one connection.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("starting")
}

/// Says that a busy host is waited for, since a command that stands still would look hung, and
/// waits.
pub(crate) fn let_pass(wait: &Wait) {
    let Wait { host, status, length, number, most } = wait;
    let seconds = length.as_secs_f32();
    let text = format!(
        "vitals: {host} is busy (status {status}): waiting {seconds:.1} s, {number} of at most \
         {most} times"
    );
    eprintln!("{}", escape(&text));
    // Without a timer the host is asked again at once; how often that is, is bounded.
    if let Ok(runtime) = runtime() {
        runtime.block_on(tokio::time::sleep(*length));
    }
}

/// The machine's time.
pub(crate) fn now() -> Millis {
    SystemClock.now()
}
