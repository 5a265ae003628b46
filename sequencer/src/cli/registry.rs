//! `sequencer org | device add | list | revoke`: what is registered and has no certificate.

use anyhow::anyhow;
use clap::{Args, Subcommand};
use model::{DeviceId, GatewayId, OrganisationId, PatientIndex, signal_by_code, signal_by_name};
use serde_json::json;
use wire::{RegistryChange, RegistryKey, RegistryRecord, Role};

use super::listed::{Listed, Registered, change, now};
use super::outcome::{Asked, NodeFolder, Outcome, usage};

/// What can be done with the records of one kind.
#[derive(Subcommand)]
pub(super) enum Records<K: RegistryKind> {
    #[command(about = K::ADD, verbatim_doc_comment)]
    Add {
        #[command(flatten)]
        new: K,
        #[command(flatten)]
        asked: Asked,
    },
    #[command(about = K::LIST)]
    List(Asked),
    #[command(about = K::REVOKE)]
    Revoke {
        /// The id that it was added with.
        id: String,
        #[command(flatten)]
        asked: Asked,
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
    /// The name of its records in a list.
    const LISTED: &'static str;

    /// What a record of this kind is found by.
    fn key(id: &str) -> Outcome<RegistryKey>;

    /// Checks the arguments and makes what is to be registered.
    fn record(self, node: &NodeFolder) -> Outcome<RegistryRecord>;

    /// The records of this kind.
    fn records(registered: Registered) -> Vec<Listed>;
}

#[derive(Args)]
pub(super) struct Organisation {
    /// Its id: 1 to 64 characters a-z, 0-9, '.', '_', '-'.
    id: String,
}

impl RegistryKind for Organisation {
    const ADD: &'static str = "Registers an organisation: `sequencer org add st-anne`";
    const LIST: &'static str = "Lists organisations";
    const REVOKE: &'static str =
        "Ends an organisation: its gateways and practitioners are refused from then on";
    const LISTED: &'static str = "organisations";

    fn key(id: &str) -> Outcome<RegistryKey> {
        OrganisationId::new(id).map(RegistryKey::Organisation).map_err(usage)
    }

    fn record(self, _: &NodeFolder) -> Outcome<RegistryRecord> {
        let id = OrganisationId::new(&self.id).map_err(usage)?;
        Ok(RegistryRecord::Organisation { id })
    }

    fn records(registered: Registered) -> Vec<Listed> {
        registered.organisations
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
    patient: PatientIndex,
    /// What it measures: names such as ecg,spo2.
    #[arg(long, value_delimiter = ',', required = true)]
    signals: Vec<String>,
    /// Who may send its readings: registered gateways of the same organisation, 1 to 64. Without
    /// it a device that is registered keeps its own, and a new one gets the organisation's gateway,
    /// if there is just one.
    #[arg(long = "gateway", value_delimiter = ',', num_args = 1..)]
    gateways: Vec<String>,
}

impl RegistryKind for Device {
    const ADD: &'static str = "Registers a device, or assigns it to another patient or to other \
                               gateways: `sequencer device add monitor-1 --organisation st-anne \
                               --patient 7 --signals ecg,spo2 --gateway gw-1`";
    const LIST: &'static str = "Lists devices";
    const REVOKE: &'static str = "Ends a device";
    const LISTED: &'static str = "devices";

    fn key(id: &str) -> Outcome<RegistryKey> {
        DeviceId::new(id).map(RegistryKey::Device).map_err(usage)
    }

    fn record(self, node: &NodeFolder) -> Outcome<RegistryRecord> {
        let id = DeviceId::new(&self.id).map_err(usage)?;
        let organisation = OrganisationId::new(&self.organisation).map_err(usage)?;
        let code = |name: &String| signal_by_name(name).map(|signal| signal.code);
        let signals = self.signals.iter().map(code).collect::<Result<Vec<_>, _>>();
        let mut signals = signals.map_err(usage)?;
        let names = match self.gateways.is_empty() {
            true => gateways_of(&Registered::ask(node)?, &self.id, &self.organisation)?,
            false => self.gateways,
        };
        let gateways = names.iter().map(|name| GatewayId::new(name));
        let mut gateways = gateways.collect::<Result<Vec<_>, _>>().map_err(usage)?;
        // The canonical bytes of a record hold both in ascending order.
        signals.sort_unstable();
        gateways.sort_unstable();
        let patient = self.patient;
        Ok(RegistryRecord::Device { id, organisation, patient, signals, gateways })
    }

    fn records(registered: Registered) -> Vec<Listed> {
        registered.devices
    }
}

/// Who may send the readings of a device where the command line does not say: those who may now,
/// or the only one there is. Of several nobody but the operator can choose.
fn gateways_of(registered: &Registered, device: &str, organisation: &str) -> Outcome<Vec<String>> {
    let now = now();
    let is_own =
        |one: &&Listed| one.is_live(now) && one.organisation.as_deref() == Some(organisation);
    let there = registered.of_role(Role::Gateway).iter().filter(is_own);
    let there: Vec<String> = there.map(|one| one.id.clone()).collect();
    let known = registered.devices.iter().filter(is_own).find(|one| one.id == device);
    let mut kept = known.and_then(|one| one.gateways.clone()).unwrap_or_default();
    // One that was revoked since would have the whole record refused.
    kept.retain(|name| there.contains(name));
    match (kept.is_empty(), there.as_slice()) {
        (false, _) => Ok(kept),
        (true, [_]) => Ok(there),
        (true, []) => Err(usage(anyhow!(
            "expected --gateway with a gateway of {organisation}, which has none: issue one first \
             (`sequencer identity issue ID --role gateway --organisation {organisation} --out \
             FOLDER`)"
        ))),
        (true, several) => Err(usage(anyhow!(
            "expected --gateway, because device {device} is new and {organisation} has several \
             gateways: choose of {}",
            several.join(", ")
        ))),
    }
}

/// Runs a command on the records of one kind.
pub(super) fn run<K: RegistryKind>(command: Records<K>) -> Outcome {
    match command {
        Records::Add { new, asked } => {
            let record = new.record(&asked.node)?;
            let gateways = match &record {
                RegistryRecord::Device { gateways, .. } => {
                    Some(gateways.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>())
                }
                _ => None,
            };
            let position = change(&asked.node, &RegistryChange::Add(record))?;
            let sent_by = gateways.as_ref().map(|gateways| gateways.join(", "));
            let sent_by = sent_by.map_or(String::new(), |names| format!(", sent by {names}"));
            let json = json!({ "schema": CHANGE, "position": position, "gateways": gateways });
            asked.print(&format!("journaled at position {position}{sent_by}"), &json);
            Ok(())
        }
        Records::List(asked) => list::<K>(&asked),
        Records::Revoke { id, asked } => {
            let (key, at) = (K::key(&id)?, now());
            let position = change(&asked.node, &RegistryChange::End { key, at })?;
            let json = json!({ "schema": CHANGE, "position": position });
            asked.print(&format!("journaled at position {position}"), &json);
            Ok(())
        }
    }
}

/// Schema of what a change answers.
pub(super) const CHANGE: &str = "vitals-registry-change-1";

fn list<K: RegistryKind>(asked: &Asked) -> Outcome {
    let (records, now) = (K::records(Registered::ask(&asked.node)?), now());
    let lines = records.iter().map(|one| {
        let mut line = format!("{:<24}", one.id);
        if let (Some(organisation), Some(patient)) = (&one.organisation, one.patient) {
            let signals = one.signals.iter().flatten().map(signal_name).collect::<Vec<_>>();
            let gateways = one.gateways.clone().unwrap_or_default();
            line += &format!(
                " of {organisation}, measures {} of patient {patient}, sent by {}",
                signals.join(","),
                gateways.join(",")
            );
        }
        format!("{line}  ends {}", one.end_words(now))
    });
    let mut json = json!({ "schema": "vitals-registry-2" });
    json[K::LISTED] = json!(records);
    asked.print(&lines.collect::<Vec<_>>().join("\n"), &json);
    Ok(())
}

/// A signal's name, or its code where this release does not know it.
fn signal_name(code: &u32) -> String {
    signal_by_code(*code).map_or_else(|| code.to_string(), |signal| signal.name.to_owned())
}
