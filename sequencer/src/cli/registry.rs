//! `sequencer org | practitioner | gateway | device add | list | revoke`.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use model::{
    Clock, DeviceId, ExitCode, GatewayId, OrganisationId, PatientIndex, PractitionerId,
    SystemClock, signals,
};
use sequencer::doors::admin::{AdminError, ask, change_request};
use sequencer::folder::authority::{Authority, ClientDeployment};
use sequencer::folder::layout::Layout;
use sequencer::node::setup::certificates_valid;
use serde_json::Value;
use wire::{RegistryChange, RegistryKey, RegistryRecord, Role};

use super::outcome::{Outcome, failed, runtime, usage};

/// The node whose registry is meant.
#[derive(Args)]
pub(crate) struct At {
    /// The folder of the running node.
    #[arg(long, default_value = "node")]
    dir: PathBuf,
}

/// Organisations own gateways and devices and employ practitioners.
#[derive(Subcommand)]
pub(crate) enum Organisation {
    /// Registers an organisation.
    Add {
        /// Its id: 1 to 64 characters a-z, 0-9, '.', '_', '-'.
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Lists organisations as JSON.
    List(At),
    /// Ends an organisation: its gateways and practitioners are refused from now on.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        at: At,
    },
}

/// Practitioners sign requests to read.
#[derive(Subcommand)]
pub(crate) enum Practitioner {
    /// Registers a practitioner's key and issues a certificate folder.
    Add {
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
        #[command(flatten)]
        at: At,
    },
    /// Lists practitioners as JSON.
    List(At),
    /// Ends a practitioner.
    Revoke {
        /// Their id.
        id: String,
        #[command(flatten)]
        at: At,
    },
}

/// Gateways send frames.
#[derive(Subcommand)]
pub(crate) enum Gateway {
    /// Issues a certificate folder and registers its fingerprint.
    Add {
        /// Its id, the common name of the certificate.
        id: String,
        /// Whose gateway.
        #[arg(long)]
        organisation: String,
        /// A new folder for certificate and key.
        #[arg(long)]
        out: PathBuf,
        #[command(flatten)]
        at: At,
    },
    /// Lists gateways as JSON.
    List(At),
    /// Revokes a gateway's certificate; open connections end within a minute.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        at: At,
    },
}

/// Devices measure one patient.
#[derive(Subcommand)]
pub(crate) enum Device {
    /// Registers a device, or assigns it to another patient.
    Add {
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
        #[command(flatten)]
        at: At,
    },
    /// Lists devices as JSON.
    List(At),
    /// Ends a device.
    Revoke {
        /// Its id.
        id: String,
        #[command(flatten)]
        at: At,
    },
}

/// Runs an organisation command.
pub(crate) fn organisation(command: Organisation) -> Outcome {
    match command {
        Organisation::Add { id, at } => {
            let id = OrganisationId::new(&id).map_err(usage)?;
            add(&at, RegistryRecord::Organisation { id })
        }
        Organisation::List(at) => list(&at, "organisations"),
        Organisation::Revoke { id, at } => {
            let id = OrganisationId::new(&id).map_err(usage)?;
            end(&at, RegistryKey::Organisation(id))
        }
    }
}

/// Runs a practitioner command.
pub(crate) fn practitioner(command: Practitioner) -> Outcome {
    match command {
        Practitioner::Add { id, organisation, public_key, out, at } => {
            let practitioner = PractitionerId::new(&id).map_err(usage)?;
            let organisation = OrganisationId::new(&organisation).map_err(usage)?;
            let mut key = [0; 32];
            hex::decode_to_slice(public_key.trim_start_matches("0x"), &mut key)
                .context("expected 64 hex digits as --public-key")
                .map_err(usage)?;
            statement::eddsa::PublicKey::decode(&key)
                .context("expected a key on BabyJubjub as --public-key")
                .map_err(usage)?;
            issue(&at, Role::Practitioner, &id, &out)?;
            let valid = certificates_valid(SystemClock.now());
            let public_key = key;
            let id = practitioner;
            add(&at, RegistryRecord::Practitioner { id, organisation, public_key, valid })
        }
        Practitioner::List(at) => list(&at, "practitioners"),
        Practitioner::Revoke { id, at } => {
            let id = PractitionerId::new(&id).map_err(usage)?;
            end(&at, RegistryKey::Practitioner(id))
        }
    }
}

/// Runs a gateway command.
pub(crate) fn gateway(command: Gateway) -> Outcome {
    match command {
        Gateway::Add { id, organisation, out, at } => {
            let gateway = GatewayId::new(&id).map_err(usage)?;
            let organisation = OrganisationId::new(&organisation).map_err(usage)?;
            let fingerprint = issue(&at, Role::Gateway, &id, &out)?;
            let valid = certificates_valid(SystemClock.now());
            let id = gateway;
            add(&at, RegistryRecord::Gateway { id, organisation, fingerprint, valid })
        }
        Gateway::List(at) => list(&at, "gateways"),
        Gateway::Revoke { id, at } => {
            let id = GatewayId::new(&id).map_err(usage)?;
            end(&at, RegistryKey::Gateway(id))
        }
    }
}

/// Runs a device command.
pub(crate) fn device(command: Device) -> Outcome {
    match command {
        Device::Add { id, organisation, patient, signals: names, at } => {
            let id = DeviceId::new(&id).map_err(usage)?;
            let organisation = OrganisationId::new(&organisation).map_err(usage)?;
            let patient = PatientIndex::new(patient).map_err(usage)?;
            let mut codes = Vec::new();
            for name in names {
                codes.push(code_of(&name).map_err(usage)?);
            }
            codes.sort_unstable();
            add(&at, RegistryRecord::Device { id, organisation, patient, signals: codes })
        }
        Device::List(at) => list(&at, "devices"),
        Device::Revoke { id, at } => {
            let id = DeviceId::new(&id).map_err(usage)?;
            end(&at, RegistryKey::Device(id))
        }
    }
}

fn code_of(name: &str) -> anyhow::Result<u32> {
    let known = signals().iter().find(|signal| signal.name == name);
    let names = || signals().iter().map(|signal| signal.name).collect::<Vec<_>>().join(", ");
    Ok(known.ok_or_else(|| anyhow!("expected one of {}, found {name}", names()))?.code)
}

/// Issues a certificate folder for a client of the running node.
fn issue(at: &At, role: Role, id: &str, out: &Path) -> Result<[u8; 32], (ExitCode, anyhow::Error)> {
    let layout = Layout::new(&at.dir);
    let authority = Authority::load(&layout.authority()).map_err(failed)?;
    let deployment = l1_contracts::Deployment::read(&layout.deployment()).map_err(failed)?;
    let endpoints = std::fs::read(layout.endpoints()).context("no node runs in this folder");
    let endpoints = endpoints.map_err(|error| (ExitCode::Unavailable, error))?;
    let endpoints: Value = serde_json::from_slice(&endpoints).map_err(failed)?;
    let issued = authority.issue_client(role, id, certificates_valid(SystemClock.now()));
    let issued = issued.map_err(failed)?;
    let client = ClientDeployment {
        scope: deployment.scope(),
        receipt_signer: wire::Address(deployment.receipt_signer.into_array()),
        registrar: deployment.registrar_key_hash().ok(),
        address: endpoints["ingest"].as_str().unwrap_or_default().to_owned(),
        server_name: "localhost".into(),
    };
    issued.write_client(out, &client).map_err(failed)?;
    println!("{}: certificate and key of {id}", out.display());
    Ok(issued.fingerprint())
}

fn add(at: &At, record: RegistryRecord) -> Outcome {
    change(at, &RegistryChange::Add(record))
}

fn end(at: &At, key: RegistryKey) -> Outcome {
    change(at, &RegistryChange::End { key, at: SystemClock.now() })
}

fn change(at: &At, change: &RegistryChange) -> Outcome {
    let request = change_request(change).map_err(usage)?;
    let answer = request_node(at, &request)?;
    println!("journaled at position {}", answer["position"]);
    Ok(())
}

fn list(at: &At, what: &str) -> Outcome {
    let answer = request_node(at, "list")?;
    println!("{:#}", answer[what]);
    Ok(())
}

fn request_node(at: &At, request: &str) -> Result<Value, (ExitCode, anyhow::Error)> {
    let socket = Layout::new(&at.dir).admin_socket();
    let answer = runtime()?.block_on(ask(&socket, request));
    answer.map_err(|error| match error {
        AdminError::Socket { .. } | AdminError::NoAnswer => (ExitCode::Unavailable, error.into()),
        AdminError::Malformed(_) | AdminError::Refused(_) => failed(error),
    })
}
