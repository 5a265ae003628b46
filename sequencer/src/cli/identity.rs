//! `sequencer identity issue | list | renew | revoke`: the certificates of gateways, practitioners,
//! wallets and operators.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use l1_contracts::Deployment;
use model::calendar::Utc;
use model::{GatewayId, Interval, OperatorId, OrganisationId, PractitionerId, WalletId};
use sequencer::doors::admin::Given;
use sequencer::doors::config::Config;
use sequencer::folder::authority::{Authority, ClientDeployment, Issued};
use sequencer::folder::layout::Layout;
use sequencer::folder::request::CertificateRequest;
use sequencer::folder::validity;
use sequencer::node::Endpoints;
use serde_json::{Value, json};
use wire::{RegistryChange, RegistryKey, RegistryRecord, Role};

use super::listed::{Listed, Registered, change, change_if, now};
use super::outcome::{Asked, Outcome, failed, unavailable, usage};
use super::registry::CHANGE;
use super::renewals;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Issues a certificate, registers it and writes its folder.
    ///
    /// With --request the private key never leaves its holder: `vitals identity request` makes key
    /// and request, and of the request nothing but the public key is taken. Without it the key is
    /// made here; hand the folder over by a safe way and delete your copy.
    ///
    ///   sequencer identity issue anna --role wallet --request anna.csr --out for-anna
    ///   sequencer identity issue admissions --role operator --out admissions
    ///   sequencer identity issue gw-1 --role gateway --organisation st-anne --out gw-1
    ///   sequencer identity issue dr-001 --role practitioner --organisation st-anne \
    ///       --public-key HEX --out dr-001
    #[command(verbatim_doc_comment)]
    Issue(Issue),
    /// Lists certificates with the ends of their validity, ended ones included.
    ///
    ///   sequencer identity list
    ///   sequencer identity list --role wallet --json
    #[command(verbatim_doc_comment)]
    List {
        /// Only those of this role.
        #[arg(long, value_parser = roles())]
        role: Option<Role>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Issues a new certificate under an id that has one: the one before is refused from then on.
    ///
    /// Receipts, permits and spools go on, because they are of role and id. A practitioner keeps
    /// the signing key, unless --public-key says another one.
    ///
    /// With --all it issues what was asked for over the connections of running clients, which do so
    /// from the half of a certificate's life on: each gets its own when it asks again, and the one
    /// before holds until the new one is shown. Have it run once a day. It takes gateways and
    /// wallets; practitioners and operators only with --role, since the requests are the running
    /// node's word.
    /// Where a request took the place of one for another key it is listed, and not issued until
    /// --also names it: either its holder made it anew, or somebody has a copy of the holder's key.
    ///
    ///   sequencer identity renew anna --role wallet --request anna.csr --out for-anna
    ///   sequencer identity renew --all
    ///   sequencer identity renew --all --role operator
    #[command(verbatim_doc_comment)]
    Renew(Renew),
    /// Ends a certificate: its open connections end at once, and it gets no further one.
    ///
    /// By --fingerprint it is this very one that ends, and none that was issued since; also one
    /// that was issued by `renew --all` and never shown. Role and id stay good for another one
    /// (`sequencer identity issue`).
    ///
    ///   sequencer identity revoke anna --role wallet
    ///   sequencer identity revoke --fingerprint HEX
    #[command(verbatim_doc_comment)]
    Revoke(Revoke),
}

/// Whose certificate, and where it goes.
#[derive(Args)]
pub(super) struct Wanted {
    /// Their id, the common name of the certificate: 1 to 64 characters a-z, 0-9, '.', '_', '-'.
    id: String,
    /// What they are: gateways send frames, practitioners ask to read, wallets hand in what
    /// patients sign, operators hand in enrolments.
    #[arg(long, value_parser = roles())]
    role: Role,
    /// Their request (`vitals identity request`); without it the key is made here.
    #[arg(long, value_name = "FILE.csr")]
    request: Option<PathBuf>,
    /// A new folder for the certificate, or the one that holds the key of the request.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
pub(super) struct Issue {
    #[command(flatten)]
    wanted: Wanted,
    /// For whom they act; of gateways and practitioners.
    #[arg(long)]
    organisation: Option<String>,
    /// The compressed public key that signs a practitioner's requests to read, 64 hex digits
    /// (`vitals key show` prints it).
    #[arg(long, value_name = "HEX")]
    public_key: Option<String>,
}

#[derive(Args)]
pub(super) struct Renew {
    /// Their id.
    #[arg(required_unless_present = "all")]
    id: Option<String>,
    /// What they are.
    #[arg(long, value_parser = roles(), required_unless_present = "all")]
    role: Option<Role>,
    /// Their request (`vitals identity request`); without it the key is made here.
    #[arg(long, value_name = "FILE.csr")]
    request: Option<PathBuf>,
    /// A new folder for the certificate, or the one that holds the key of the request.
    #[arg(long, required_unless_present = "all")]
    out: Option<PathBuf>,
    /// Every gateway and wallet that asked over its connection; with --role those of that role.
    #[arg(long, conflicts_with_all = ["id", "request", "out", "public_key"])]
    all: bool,
    /// With --all: also this one, whose request took the place of another key's.
    #[arg(long, value_name = "ID", requires = "all")]
    also: Vec<String>,
    #[command(flatten)]
    asked: Asked,
    /// A new key that signs a practitioner's requests to read, instead of the registered one.
    #[arg(long, value_name = "HEX")]
    public_key: Option<String>,
}

#[derive(Args)]
pub(super) struct Revoke {
    /// Whose.
    #[arg(required_unless_present = "fingerprint")]
    id: Option<String>,
    /// What they are.
    #[arg(long, value_parser = roles(), required_unless_present = "fingerprint")]
    role: Option<Role>,
    /// SHA-256 of the certificate, 64 hex digits (`vitals identity show`, `sequencer identity list
    /// --json`).
    #[arg(long, value_name = "HEX", conflicts_with_all = ["id", "role"])]
    fingerprint: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Names of roles, which the help lists.
fn roles() -> impl TypedValueParser<Value = Role> {
    let names = PossibleValuesParser::new(Role::ALL.map(Role::name));
    names.try_map(|name| Role::from_name(&name).ok_or("expected a role"))
}

/// What the registry holds beside the certificate.
enum Subject {
    Gateway { id: GatewayId, organisation: OrganisationId },
    Practitioner { id: PractitionerId, organisation: OrganisationId, public_key: [u8; 32] },
    Wallet { id: WalletId },
    Operator { id: OperatorId },
}

/// What beside id and role is said of a subject.
#[derive(Clone, Copy, Default)]
struct Particulars<'a> {
    organisation: Option<&'a str>,
    public_key: Option<&'a str>,
}

impl Subject {
    /// Checks what is said of somebody with this role.
    fn new(role: Role, id: &str, said: Particulars<'_>) -> Outcome<Subject> {
        let name = role.name();
        let organisation = || {
            let missing = || usage(anyhow!("expected --organisation for a {name}, found none"));
            OrganisationId::new(said.organisation.ok_or_else(missing)?).map_err(usage)
        };
        if let Some(organisation) =
            said.organisation.filter(|_| matches!(role, Role::Wallet | Role::Operator))
        {
            return Err(usage(anyhow!(
                "expected no --organisation for a {name}, which is of none, found {organisation}"
            )));
        }
        if role != Role::Practitioner && said.public_key.is_some() {
            return Err(usage(anyhow!(
                "expected no --public-key for a {name}: only practitioners sign requests to read"
            )));
        }
        Ok(match role {
            Role::Gateway => {
                let id = GatewayId::new(id).map_err(usage)?;
                Subject::Gateway { id, organisation: organisation()? }
            }
            Role::Practitioner => {
                let id = PractitionerId::new(id).map_err(usage)?;
                let public_key = signing_key(said.public_key)?;
                Subject::Practitioner { id, organisation: organisation()?, public_key }
            }
            Role::Wallet => Subject::Wallet { id: WalletId::new(id).map_err(usage)? },
            Role::Operator => Subject::Operator { id: OperatorId::new(id).map_err(usage)? },
        })
    }

    /// The record with a certificate.
    fn record(self, fingerprint: [u8; 32], valid: Interval) -> RegistryRecord {
        match self {
            Subject::Gateway { id, organisation } => {
                RegistryRecord::Gateway { id, organisation, fingerprint, valid }
            }
            Subject::Practitioner { id, organisation, public_key } => {
                RegistryRecord::Practitioner { id, organisation, public_key, fingerprint, valid }
            }
            Subject::Wallet { id } => RegistryRecord::Wallet { id, fingerprint, valid },
            Subject::Operator { id } => RegistryRecord::Operator { id, fingerprint, valid },
        }
    }
}

/// The key of `--public-key`.
fn signing_key(digits: Option<&str>) -> Outcome<[u8; 32]> {
    let missing = "expected --public-key for a practitioner (`vitals key show` prints it)";
    let digits = digits.ok_or_else(|| usage(anyhow!(missing)))?;
    let mut public_key = [0; 32];
    hex::decode_to_slice(digits.trim_start_matches("0x"), &mut public_key)
        .context("expected 64 hex digits as --public-key")
        .map_err(usage)?;
    // A key off the curve would be registered and then verify no request.
    statement::eddsa::PublicKey::decode(&public_key)
        .context("expected a key on BabyJubjub as --public-key")
        .map_err(usage)?;
    Ok(public_key)
}

/// Runs a command on certificates.
pub(super) fn run(command: Command) -> Outcome {
    match command {
        Command::Issue(args) => issue(args),
        Command::List { role, asked } => list(role, &asked),
        Command::Renew(args) => renew(args),
        Command::Revoke(args) => revoke(args),
    }
}

fn issue(Issue { wanted, organisation, public_key }: Issue) -> Outcome {
    let said =
        Particulars { organisation: organisation.as_deref(), public_key: public_key.as_deref() };
    let subject = Subject::new(wanted.role, &wanted.id, said)?;
    let maker = Maker::open(&wanted)?;
    let registered = Registered::ask(&wanted.asked.node)?;
    let there = registered.find(wanted.role, &wanted.id).filter(|one| one.is_live(now()));
    // Replaced without a word, somebody else's connections would end for a mistyped id.
    if let Some(there) = there {
        let (id, role) = (&wanted.id, wanted.role.name());
        return Err(failed(anyhow!(
            "expected an id without a certificate, found that {role} {id} has one, which ends {}; \
             replace it with `sequencer identity renew {id} --role {role} ..`",
            there.end_words(now())
        )));
    }
    register(wanted, maker, subject, Given::NoRecord)
}

fn renew(Renew { id, role, request, out, all: _, also, asked, public_key }: Renew) -> Outcome {
    // The parser lets them be missing only where all are meant.
    let (Some(id), Some(role), Some(out)) = (id, role, out) else {
        let config = configured(&Layout::new(&asked.node.dir))?;
        return renewals::issue_all(&config, &renewals::Wanted { role, also }, &asked);
    };
    let wanted = Wanted { id, role, request, out, asked };
    let maker = Maker::open(&wanted)?;
    let registered = Registered::ask(&wanted.asked.node)?;
    let there = registered.find(wanted.role, &wanted.id).filter(|one| one.is_live(now()));
    let Some(Listed { organisation, public_key: known, .. }) = there else {
        let (id, role) = (&wanted.id, wanted.role.name());
        return Err(failed(anyhow!(
            "expected a certificate that has not ended, found none of {role} {id}: it was revoked, \
             is over, or never was; issue one with `sequencer identity issue {id} --role {role} ..`"
        )));
    };
    let public_key = public_key.as_deref().or(known.as_deref());
    let said = Particulars { organisation: organisation.as_deref(), public_key };
    let subject = Subject::new(wanted.role, &wanted.id, said)?;
    register(wanted, maker, subject, Given::Record)
}

fn revoke(Revoke { id, role, fingerprint, asked }: Revoke) -> Outcome {
    match (id, role, fingerprint) {
        (Some(id), Some(role), _) => revoke_name(&id, role, &asked),
        (_, _, fingerprint) => revoke_certificate(&fingerprint.unwrap_or_default(), &asked),
    }
}

/// Ends one certificate, whoever has it.
fn revoke_certificate(digits: &str, asked: &Asked) -> Outcome {
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(digits.trim_start_matches("0x"), &mut fingerprint)
        .context("expected 64 hex digits as --fingerprint")
        .map_err(usage)?;
    let fingerprint = hex::encode(fingerprint);
    let answer = super::listed::request(&asked.node, &format!("revoke {fingerprint}"))?;
    let words = match (answer["role"].as_str(), answer["id"].as_str()) {
        (Some(role), Some(id)) => {
            let position = &answer["position"];
            format!(
                "the certificate of {role} {id} is revoked (journaled at position {position}); \
                 another one: `sequencer identity issue {id} --role {role} ..`"
            )
        }
        _ if answer["was"] == "draining" => {
            "the certificate was replaced a moment ago: its connections end now".to_owned()
        }
        _ => {
            "the certificate was issued and never shown: it is taken back. Its holder asks again, \
              with the same key: if that is not to be trusted, revoke the certificate that it has"
                .to_owned()
        }
    };
    let mut json = answer;
    json["schema"] = CHANGE.into();
    json["fingerprint"] = fingerprint.into();
    asked.print(&words, &json);
    Ok(())
}

fn revoke_name(id: &str, role: Role, asked: &Asked) -> Outcome {
    let key = match role {
        Role::Gateway => GatewayId::new(id).map(RegistryKey::Gateway),
        Role::Practitioner => PractitionerId::new(id).map(RegistryKey::Practitioner),
        Role::Wallet => WalletId::new(id).map(RegistryKey::Wallet),
        Role::Operator => OperatorId::new(id).map(RegistryKey::Operator),
    };
    let end = RegistryChange::End { key: key.map_err(usage)?, at: now() };
    let position = change(&asked.node, &end)?;
    let role = role.name();
    let text = format!("{role} {id} is revoked (journaled at position {position})");
    let json = json!({ "schema": CHANGE, "role": role, "id": id, "position": position });
    asked.print(&text, &json);
    Ok(())
}

fn list(role: Option<Role>, asked: &Asked) -> Outcome {
    let (registered, now) = (Registered::ask(&asked.node)?, now());
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    for role in Role::ALL.into_iter().filter(|one| role.is_none_or(|role| *one == role)) {
        for one in registered.of_role(role) {
            let (id, of) = (&one.id, one.organisation.as_deref().unwrap_or("-"));
            let name = role.name();
            lines.push(format!("{name:<13} {id:<24} {of:<24} ends {}", one.end_words(now)));
            let mut json = serde_json::to_value(one).map_err(failed)?;
            json["role"] = name.into();
            json["state"] = serde_json::to_value(one.state(now)).map_err(failed)?;
            all.push(json);
        }
    }
    let json = json!({ "schema": "vitals-identities-1", "identities": Value::Array(all) });
    asked.print(&lines.join("\n"), &json);
    Ok(())
}

/// What makes certificates for a running node.
struct Maker {
    authority: Authority,
    client: ClientDeployment,
    request: Option<CertificateRequest>,
    valid: Interval,
}

impl Maker {
    /// Reads everything first, so that nothing is registered which then cannot be written.
    fn open(wanted: &Wanted) -> Outcome<Maker> {
        let layout = Layout::new(&wanted.asked.node.dir);
        let in_the_way = Issued::in_the_way(&wanted.out, wanted.request.is_some());
        if let Some(path) = in_the_way {
            let path = path.display();
            return Err(usage(anyhow!("expected --out to be a new folder, found {path}")));
        }
        // The address first: where no node runs, that is what to say, whatever else is missing.
        let ingest = ingest_address(&layout.endpoints())?;
        let request = wanted.request.as_deref().map(CertificateRequest::read);
        let request = request.transpose().map_err(usage)?;
        let authority = Authority::load(&layout.authority()).map_err(failed)?;
        let deployment = Deployment::read(&layout.deployment()).map_err(failed)?;
        let config = configured(&layout)?;
        let names = &config.ingest.server_names;
        let client = ClientDeployment::of_node(&deployment, ingest, names).map_err(failed)?;
        let ca = layout.authority().join("ca.pem");
        validity::check(&ca, now(), renewals::NEW_AUTHORITY).map_err(failed)?;
        let valid = config.authority.certificate_valid(now());
        Ok(Maker { authority, client, request, valid })
    }

    fn make(&self, role: Role, id: &str) -> Outcome<Issued> {
        let issued = match &self.request {
            Some(request) => self.authority.sign_request(request, role, id, self.valid),
            None => self.authority.issue_client(role, id, self.valid),
        };
        issued.map_err(failed)
    }
}

/// Registers first: a certificate folder that the node never accepted would look usable. If the
/// folder then cannot be written, the record stands, and the error says how to repair that.
fn register(wanted: Wanted, maker: Maker, subject: Subject, given: Given) -> Outcome {
    let Wanted { id, role, request, out, asked } = wanted;
    let issued = maker.make(role, &id)?;
    let (fingerprint, valid, role) = (issued.fingerprint(), maker.valid, role.name());
    let record = subject.record(fingerprint, valid);
    let position = change_if(&asked.node, &RegistryChange::Add(record), given)?;
    issued.write_client(&out, &maker.client).map_err(|error| {
        let (out, dir) = (out.display(), asked.node.dir.display());
        // Without it the key would be made here, and their own one would fit no certificate.
        let request = request.map(|file| format!(" --request {}", file.display()));
        let request = request.unwrap_or_default();
        failed(anyhow::Error::new(error).context(format!(
            "registered (journaled at position {position}), but the folder {out} is not written; \
             to replace the registration: `sequencer identity renew {id} --role {role} --dir \
             {dir}{request} --out NEW_FOLDER`"
        )))
    })?;
    let (folder, until) = (out.display().to_string(), Utc(valid.until));
    let holds = match &maker.request {
        Some(_) => "certificate; put it beside the key that it was asked for",
        None => "certificate and key",
    };
    let text = format!(
        "journaled at position {position}\n{folder}: {holds}, of {role} {id}, good until {until}"
    );
    let json = json!({
        "schema": CHANGE, "position": position, "role": role, "id": id, "folder": folder,
        "fingerprint": hex::encode(fingerprint), "until": valid.until.unix_ms(),
    });
    asked.print(&text, &json);
    Ok(())
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
    // A running node writes the file and removes it when it stops; of a killed one it stays, and
    // the question that follows finds nobody.
    let text = std::fs::read(endpoints).context("no node runs in this folder");
    let found: Endpoints = serde_json::from_slice(&text.map_err(unavailable)?)
        .with_context(|| format!("expected the address of ingest in {}", endpoints.display()))
        .map_err(failed)?;
    Ok(found.ingest)
}
