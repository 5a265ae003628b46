//! `sequencer org | practitioner | gateway | device | wallet | operator add | list | revoke`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use l1_contracts::Deployment;
use model::{
    Clock, DeviceId, GatewayId, Interval, OperatorId, OrganisationId, PatientIndex, PractitionerId,
    SystemClock, WalletId, signal_by_name,
};
use sequencer::doors::admin::{ask, change_request};
use sequencer::doors::config::Config;
use sequencer::folder::authority::{Authority, ClientDeployment, Issued};
use sequencer::folder::layout::Layout;
use sequencer::folder::validity;
use sequencer::node::Endpoints;
use serde_json::Value;
use wire::{RegistryChange, RegistryKey, RegistryRecord, Role};

use super::outcome::{NodeFolder, Outcome, failed, runtime, unavailable, usage};

/// What can be done with the records of one kind.
#[derive(Subcommand)]
pub(super) enum Records<K: RegistryKind> {
    #[command(about = K::ADD)]
    Add {
        #[command(flatten)]
        new: K,
        #[command(flatten)]
        node: NodeFolder,
    },
    #[command(about = K::LIST)]
    List(NodeFolder),
    #[command(about = K::REVOKE)]
    Revoke {
        /// The id that it was added with.
        id: String,
        #[command(flatten)]
        node: NodeFolder,
    },
}

/// One kind of record: the arguments that make one, and its words.
pub(super) trait RegistryKind: Args {
    /// What `add` does.
    const ADD: &'static str;
    /// What `list` does.
    const LIST: &'static str;
    /// What `revoke` does.
    const REVOKE: &'static str;
    /// The name of its records in the node's answer.
    const LISTED: &'static str;

    /// What a record of this kind is found by.
    fn key(id: &str) -> Outcome<RegistryKey>;

    /// Checks the arguments and makes, in memory, what is to be registered and what to be written.
    fn prepare(self, node: &NodeFolder) -> Outcome<Registration>;
}

/// A record, and the identity folder that is written once the node has accepted it.
pub(super) struct Registration {
    record: RegistryRecord,
    identity: Option<Identity>,
}

/// What a client's certificate folder is to be.
struct Wanted {
    role: Role,
    id: String,
    out: PathBuf,
    /// The command that adds the record again, without the folder.
    again: String,
}

/// A certificate folder, still in memory.
struct Identity {
    wanted: Wanted,
    issued: Issued,
    client: ClientDeployment,
    valid: Interval,
}

#[derive(Args)]
pub(super) struct Organisation {
    /// Its id: 1 to 64 characters a-z, 0-9, '.', '_', '-'.
    id: String,
}

impl RegistryKind for Organisation {
    const ADD: &'static str = "Registers an organisation";
    const LIST: &'static str = "Lists organisations as JSON";
    const REVOKE: &'static str =
        "Ends an organisation: its gateways and practitioners are refused from then on";
    const LISTED: &'static str = "organisations";

    fn key(id: &str) -> Outcome<RegistryKey> {
        OrganisationId::new(id).map(RegistryKey::Organisation).map_err(usage)
    }

    fn prepare(self, _: &NodeFolder) -> Outcome<Registration> {
        let id = OrganisationId::new(&self.id).map_err(usage)?;
        Ok(Registration { record: RegistryRecord::Organisation { id }, identity: None })
    }
}

#[derive(Args)]
pub(super) struct Practitioner {
    /// Their id.
    id: String,
    /// For whom they act.
    #[arg(long)]
    organisation: String,
    /// Their compressed public key, 64 hex digits (`vitals key show` prints it).
    #[arg(long)]
    public_key: String,
    /// A new folder for certificate and key.
    #[arg(long)]
    out: PathBuf,
}

impl RegistryKind for Practitioner {
    const ADD: &'static str =
        "Registers a practitioner's key and certificate and issues its folder";
    const LIST: &'static str = "Lists practitioners as JSON";
    const REVOKE: &'static str =
        "Ends a practitioner's key and certificate; open connections end within a minute";
    const LISTED: &'static str = "practitioners";

    fn key(id: &str) -> Outcome<RegistryKey> {
        PractitionerId::new(id).map(RegistryKey::Practitioner).map_err(usage)
    }

    fn prepare(self, node: &NodeFolder) -> Outcome<Registration> {
        let Practitioner { id: name, organisation, public_key: digits, out } = self;
        let id = PractitionerId::new(&name).map_err(usage)?;
        let organisation = OrganisationId::new(&organisation).map_err(usage)?;
        let mut public_key = [0; 32];
        hex::decode_to_slice(digits.trim_start_matches("0x"), &mut public_key)
            .context("expected 64 hex digits as --public-key")
            .map_err(usage)?;
        // A key off the curve would be registered and then verify no request.
        statement::eddsa::PublicKey::decode(&public_key)
            .context("expected a key on BabyJubjub as --public-key")
            .map_err(usage)?;
        let again = format!(
            "sequencer practitioner add {name} --organisation {organisation} --public-key {digits}"
        );
        let identity =
            Identity::issue(node, Wanted { role: Role::Practitioner, id: name, out, again })?;
        let (fingerprint, valid) = (identity.issued.fingerprint(), identity.valid);
        let record =
            RegistryRecord::Practitioner { id, organisation, public_key, fingerprint, valid };
        Ok(Registration { record, identity: Some(identity) })
    }
}

#[derive(Args)]
pub(super) struct Gateway {
    /// Its id, the common name of the certificate.
    id: String,
    /// Whose gateway.
    #[arg(long)]
    organisation: String,
    /// A new folder for certificate and key.
    #[arg(long)]
    out: PathBuf,
}

impl RegistryKind for Gateway {
    const ADD: &'static str = "Registers a gateway's certificate and issues its folder";
    const LIST: &'static str = "Lists gateways as JSON";
    const REVOKE: &'static str =
        "Revokes a gateway's certificate; open connections end within a minute";
    const LISTED: &'static str = "gateways";

    fn key(id: &str) -> Outcome<RegistryKey> {
        GatewayId::new(id).map(RegistryKey::Gateway).map_err(usage)
    }

    fn prepare(self, node: &NodeFolder) -> Outcome<Registration> {
        let Gateway { id: name, organisation, out } = self;
        let id = GatewayId::new(&name).map_err(usage)?;
        let organisation = OrganisationId::new(&organisation).map_err(usage)?;
        let again = format!("sequencer gateway add {name} --organisation {organisation}");
        let identity = Identity::issue(node, Wanted { role: Role::Gateway, id: name, out, again })?;
        let (fingerprint, valid) = (identity.issued.fingerprint(), identity.valid);
        let record = RegistryRecord::Gateway { id, organisation, fingerprint, valid };
        Ok(Registration { record, identity: Some(identity) })
    }
}

#[derive(Args)]
pub(super) struct Device {
    /// Its id.
    id: String,
    /// Whose device.
    #[arg(long)]
    organisation: String,
    /// Whom it measures.
    #[arg(long)]
    patient: u32,
    /// What it measures: names such as ecg,spo2.
    #[arg(long, value_delimiter = ',', required = true)]
    signals: Vec<String>,
    /// Who may send its readings: registered gateways of the same organisation, 1 to 64.
    #[arg(long = "gateway", value_delimiter = ',', num_args = 1.., required = true)]
    gateways: Vec<String>,
}

impl RegistryKind for Device {
    const ADD: &'static str =
        "Registers a device, or assigns it to another patient or to other gateways";
    const LIST: &'static str = "Lists devices as JSON";
    const REVOKE: &'static str = "Ends a device";
    const LISTED: &'static str = "devices";

    fn key(id: &str) -> Outcome<RegistryKey> {
        DeviceId::new(id).map(RegistryKey::Device).map_err(usage)
    }

    fn prepare(self, _: &NodeFolder) -> Outcome<Registration> {
        let id = DeviceId::new(&self.id).map_err(usage)?;
        let organisation = OrganisationId::new(&self.organisation).map_err(usage)?;
        let patient = PatientIndex::new(self.patient).map_err(usage)?;
        let code = |name: &String| signal_by_name(name).map(|signal| signal.code);
        let signals = self.signals.iter().map(code).collect::<Result<Vec<_>, _>>();
        let mut signals = signals.map_err(usage)?;
        let gateways = self.gateways.iter().map(|name| GatewayId::new(name));
        let mut gateways = gateways.collect::<Result<Vec<_>, _>>().map_err(usage)?;
        // The canonical bytes of a record hold both in ascending order.
        signals.sort_unstable();
        gateways.sort_unstable();
        let record = RegistryRecord::Device { id, organisation, patient, signals, gateways };
        Ok(Registration { record, identity: None })
    }
}

#[derive(Args)]
pub(super) struct Wallet {
    /// Its id, the common name of the certificate.
    id: String,
    /// A new folder for certificate and key.
    #[arg(long)]
    out: PathBuf,
}

impl RegistryKind for Wallet {
    const ADD: &'static str = "Registers a wallet's certificate and issues its folder";
    const LIST: &'static str = "Lists wallets as JSON";
    const REVOKE: &'static str =
        "Revokes a wallet's certificate; open connections end within a minute";
    const LISTED: &'static str = "wallets";

    fn key(id: &str) -> Outcome<RegistryKey> {
        WalletId::new(id).map(RegistryKey::Wallet).map_err(usage)
    }

    fn prepare(self, node: &NodeFolder) -> Outcome<Registration> {
        let Wallet { id: name, out } = self;
        let id = WalletId::new(&name).map_err(usage)?;
        let again = format!("sequencer wallet add {name}");
        let identity = Identity::issue(node, Wanted { role: Role::Wallet, id: name, out, again })?;
        let (fingerprint, valid) = (identity.issued.fingerprint(), identity.valid);
        let record = RegistryRecord::Wallet { id, fingerprint, valid };
        Ok(Registration { record, identity: Some(identity) })
    }
}

#[derive(Args)]
pub(super) struct Operator {
    /// Its id, the common name of the certificate.
    id: String,
    /// A new folder for certificate and key.
    #[arg(long)]
    out: PathBuf,
}

impl RegistryKind for Operator {
    const ADD: &'static str =
        "Registers the certificate of whoever hands in enrolments and issues its folder";
    const LIST: &'static str = "Lists operators as JSON";
    const REVOKE: &'static str =
        "Revokes an operator's certificate; open connections end within a minute";
    const LISTED: &'static str = "operators";

    fn key(id: &str) -> Outcome<RegistryKey> {
        OperatorId::new(id).map(RegistryKey::Operator).map_err(usage)
    }

    fn prepare(self, node: &NodeFolder) -> Outcome<Registration> {
        let Operator { id: name, out } = self;
        let id = OperatorId::new(&name).map_err(usage)?;
        let again = format!("sequencer operator add {name}");
        let wanted = Wanted { role: Role::Operator, id: name, out, again };
        let identity = Identity::issue(node, wanted)?;
        let (fingerprint, valid) = (identity.issued.fingerprint(), identity.valid);
        let record = RegistryRecord::Operator { id, fingerprint, valid };
        Ok(Registration { record, identity: Some(identity) })
    }
}

/// Runs a command on the records of one kind.
pub(super) fn run<K: RegistryKind>(command: Records<K>) -> Outcome {
    match command {
        Records::Add { new, node } => add(&node, new.prepare(&node)?),
        Records::List(node) => {
            let answer = request(&node, "list")?;
            println!("{:#}", answer[K::LISTED]);
            Ok(())
        }
        Records::Revoke { id, node } => {
            let (key, at) = (K::key(&id)?, SystemClock.now());
            change(&node, &RegistryChange::End { key, at }).map(drop)
        }
    }
}

/// Registers first: a certificate folder that the node never accepted would look usable. If the
/// folder then cannot be written, the record stands, and the error says how to repair that.
fn add(node: &NodeFolder, registration: Registration) -> Outcome {
    let Registration { record, identity } = registration;
    let position = change(node, &RegistryChange::Add(record))?;
    let Some(Identity { wanted, issued, client, .. }) = identity else { return Ok(()) };
    let Wanted { id, out, again, .. } = wanted;
    issued.write_client(&out, &client).map_err(|error| {
        let (out, dir) = (out.display(), node.dir.display());
        failed(anyhow::Error::new(error).context(format!(
            "registered (journaled at position {position}), but the folder {out} is not written \
             and its key is lost; to replace the registration: \
             `{again} --dir {dir} --out NEW_FOLDER`"
        )))
    })?;
    println!("{}: certificate and key of {id}", out.display());
    Ok(())
}

impl Identity {
    /// Issues a certificate for a client of the running node. Nothing is written.
    fn issue(node: &NodeFolder, wanted: Wanted) -> Outcome<Identity> {
        let layout = Layout::new(&node.dir);
        // Asked before anything is registered: writing would refuse such a folder afterwards.
        if Issued::is_in(&wanted.out) {
            let out = wanted.out.display();
            return Err(usage(anyhow!("expected --out to be a new folder, found keys in {out}")));
        }
        // The address first: where no node runs, that is what to say, whatever else is missing.
        let ingest = ingest_address(&layout.endpoints())?;
        let authority = Authority::load(&layout.authority()).map_err(failed)?;
        let deployment = Deployment::read(&layout.deployment()).map_err(failed)?;
        let config = configured(&layout)?;
        let names = &config.ingest.server_names;
        let client = ClientDeployment::of_node(&deployment, ingest, names).map_err(failed)?;
        let (now, ca) = (SystemClock.now(), layout.authority().join("ca.pem"));
        let remedy = "move authority/ and server/ away, run `sequencer init`, and issue anew";
        validity::check(&ca, now, remedy).map_err(failed)?;
        let valid = config.authority.certificate_valid(now);
        let issued = authority.issue_client(wanted.role, &wanted.id, valid).map_err(failed)?;
        Ok(Identity { wanted, issued, client, valid })
    }
}

/// The node's configuration; every value at its default if the folder has none.
fn configured(layout: &Layout) -> Outcome<Config> {
    let path = layout.config();
    if !path.exists() {
        return Ok(Config::default());
    }
    Config::read(&path).map_err(usage)
}

/// Where gateways reach the running node.
fn ingest_address(endpoints: &Path) -> Outcome<SocketAddr> {
    // A running node writes the file and removes it when it stops.
    let text = std::fs::read(endpoints).context("no node runs in this folder");
    let found: Endpoints = serde_json::from_slice(&text.map_err(unavailable)?)
        .with_context(|| format!("expected the address of ingest in {}", endpoints.display()))
        .map_err(failed)?;
    Ok(found.ingest)
}

/// Submits a change; the position at which it is journaled.
fn change(node: &NodeFolder, change: &RegistryChange) -> Outcome<Value> {
    let mut answer = request(node, &change_request(change).map_err(usage)?)?;
    println!("journaled at position {}", answer["position"]);
    Ok(answer["position"].take())
}

fn request(node: &NodeFolder, request: &str) -> Outcome<Value> {
    let socket = Layout::new(&node.dir).admin_socket();
    runtime()?.block_on(ask(&socket, request)).map_err(failed)
}
