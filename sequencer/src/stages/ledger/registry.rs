//! Who is registered, with the words that rules name them by.

mod codec;

use std::collections::BTreeMap;

use model::{
    DeviceId, GatewayId, Interval, Millis, OperatorId, OrganisationId, PatientIndex,
    PractitionerId, WalletId, Word,
};
use statement::scope;
use thiserror::Error;
use wire::{Holder, RegistryChange, RegistryKey, RegistryRecord, StreamKey};

/// A practitioner who may ask.
#[derive(Clone)]
pub struct Practitioner {
    /// For whom they act.
    pub organisation: OrganisationId,
    /// Compressed EdDSA key.
    pub public_key: [u8; 32],
    /// SHA-256 of their certificate in DER.
    pub fingerprint: [u8; 32],
    /// When key and certificate may be used.
    pub valid: Interval,
    /// The word that rules name.
    pub word: Word,
}

/// A gateway that may send.
#[derive(Clone)]
pub struct Gateway {
    /// Whose gateway.
    pub organisation: OrganisationId,
    /// SHA-256 of its certificate in DER.
    pub fingerprint: [u8; 32],
    /// When the certificate may be used.
    pub valid: Interval,
    /// Whom its receipts are for.
    pub holder: Holder,
}

/// A device and whom it measures.
#[derive(Clone)]
pub struct Device {
    /// Whose device.
    pub organisation: OrganisationId,
    /// Whom it measures.
    pub patient: PatientIndex,
    /// Codes of its signals.
    pub signals: Vec<u32>,
    /// Who may send its readings, ascending.
    pub gateways: Vec<GatewayId>,
    /// From its registration to its end.
    pub valid: Interval,
    /// The word that rules name.
    pub word: Word,
}

/// The certificate of a wallet or an operator.
#[derive(Clone)]
pub struct Certificate {
    /// SHA-256 of it in DER.
    pub fingerprint: [u8; 32],
    /// When it may be used.
    pub valid: Interval,
}

/// A record that names something which is not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnknownName {
    /// Its organisation.
    #[error(
        "expected the organisation of this {of} to be registered and not ended; add it first \
         (`sequencer org add`)"
    )]
    Organisation {
        /// What kind of record names it.
        of: &'static str,
    },
    /// One of a device's gateways.
    #[error(
        "expected every gateway of this device to be registered, not ended and of the device's \
         organisation, found that gateway {number} of {all} is not; issue it first (`sequencer \
         identity issue`)"
    )]
    Gateway {
        /// Which one, from 1, in ascending order of names.
        number: usize,
        /// Of how many.
        all: usize,
    },
}

/// A gateway, and a device that it may send readings of.
#[derive(Clone, Copy)]
pub(super) struct Assignment<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) device: &'a Device,
}

/// Everything registered, ended records included. Memory: some hundred bytes a record.
#[derive(Clone, Default)]
pub struct Registry {
    organisations: BTreeMap<OrganisationId, (Interval, Word)>,
    practitioners: BTreeMap<PractitionerId, Practitioner>,
    gateways: BTreeMap<GatewayId, Gateway>,
    /// Gateways by the hash that entries of the journal name them by.
    gateway_of: BTreeMap<Holder, GatewayId>,
    /// Practitioners by the same.
    practitioner_of: BTreeMap<Holder, PractitionerId>,
    devices: BTreeMap<DeviceId, Device>,
    wallets: BTreeMap<WalletId, Certificate>,
    operators: BTreeMap<OperatorId, Certificate>,
}

impl Registry {
    /// Takes in a change made at `now`; a record ends by its interval, it is never removed.
    pub fn apply(&mut self, change: &RegistryChange, now: Millis) {
        match change {
            RegistryChange::Add(record) => self.add(record, now),
            RegistryChange::End { key, at } => self.end(key, (*at).max(now)),
        }
    }

    fn add(&mut self, record: &RegistryRecord, now: Millis) {
        let valid = Interval { from: now, until: Millis::UNBOUNDED_FUTURE };
        match record.clone() {
            RegistryRecord::Organisation { id } => {
                let word = scope::organisation(&id);
                self.organisations.insert(id, (valid, word));
            }
            RegistryRecord::Practitioner { id, organisation, public_key, fingerprint, valid } => {
                let word = scope::practitioner(&id);
                self.practitioner_of.insert(Holder::practitioner(&id), id.clone());
                let record = Practitioner { organisation, public_key, fingerprint, valid, word };
                self.practitioners.insert(id, record);
            }
            RegistryRecord::Gateway { id, organisation, fingerprint, valid } => {
                // Once, and not for each frame.
                let holder = Holder::gateway(&id);
                self.gateway_of.insert(holder, id.clone());
                self.gateways.insert(id, Gateway { organisation, fingerprint, valid, holder });
            }
            RegistryRecord::Device { id, organisation, patient, signals, gateways } => {
                let word = scope::device(&id);
                let record = Device { organisation, patient, signals, gateways, valid, word };
                self.devices.insert(id, record);
            }
            RegistryRecord::Wallet { id, fingerprint, valid } => {
                self.wallets.insert(id, Certificate { fingerprint, valid });
            }
            RegistryRecord::Operator { id, fingerprint, valid } => {
                self.operators.insert(id, Certificate { fingerprint, valid });
            }
        }
    }

    fn end(&mut self, key: &RegistryKey, at: Millis) {
        let valid = match key {
            RegistryKey::Organisation(id) => self.organisations.get_mut(id).map(|(v, _)| v),
            RegistryKey::Practitioner(id) => self.practitioners.get_mut(id).map(|p| &mut p.valid),
            RegistryKey::Gateway(id) => self.gateways.get_mut(id).map(|g| &mut g.valid),
            RegistryKey::Device(id) => self.devices.get_mut(id).map(|d| &mut d.valid),
            RegistryKey::Wallet(id) => self.wallets.get_mut(id).map(|w| &mut w.valid),
            RegistryKey::Operator(id) => self.operators.get_mut(id).map(|o| &mut o.valid),
        };
        if let Some(valid) = valid {
            // An end is never moved later: what was refused after it stays refused.
            valid.until = valid.until.min(at);
        }
    }

    /// The word of an organisation that is registered now.
    pub fn organisation(&self, id: &OrganisationId, now: Millis) -> Option<Word> {
        let (valid, word) = self.organisations.get(id)?;
        live(valid, now).then_some(*word)
    }

    /// A practitioner whose key and certificate may be used now.
    pub fn practitioner(&self, id: &PractitionerId, now: Millis) -> Option<&Practitioner> {
        self.practitioners.get(id).filter(|found| live(&found.valid, now))
    }

    /// A gateway whose certificate may be used now.
    pub fn gateway(&self, id: &GatewayId, now: Millis) -> Option<&Gateway> {
        self.gateways.get(id).filter(|found| live(&found.valid, now))
    }

    /// A device that is registered now.
    pub fn device(&self, id: &DeviceId, now: Millis) -> Option<&Device> {
        self.devices.get(id).filter(|found| live(&found.valid, now))
    }

    /// The organisation of the practitioner or device that is registered now and that rules name
    /// by this word. Looked for among all: nothing but a question has the word alone.
    pub fn organisation_of(&self, word: Word, now: Millis) -> Option<&OrganisationId> {
        let mut practitioners = self.practitioners.values();
        let found = practitioners.find(|one| one.word == word && live(&one.valid, now));
        let of_device = || {
            let mut devices = self.devices.values();
            let found = devices.find(|one| one.word == word && live(&one.valid, now));
            found.map(|device| &device.organisation)
        };
        found.map(|practitioner| &practitioner.organisation).or_else(of_device)
    }

    /// The certificate of a wallet, if it may be used now.
    pub fn wallet(&self, id: &WalletId, now: Millis) -> Option<&Certificate> {
        self.wallets.get(id).filter(|found| live(&found.valid, now))
    }

    /// The certificate of an operator, if it may be used now.
    pub fn operator(&self, id: &OperatorId, now: Millis) -> Option<&Certificate> {
        self.operators.get(id).filter(|found| live(&found.valid, now))
    }

    /// Checks that what a record names is registered now. A name that is registered later would
    /// give it a meaning that nobody looked at when it was added.
    ///
    /// # Errors
    /// [`UnknownName`] for the first name that is not.
    pub fn check_names(&self, record: &RegistryRecord, now: Millis) -> Result<(), UnknownName> {
        let organisation = match record {
            // They name nobody.
            RegistryRecord::Organisation { .. }
            | RegistryRecord::Wallet { .. }
            | RegistryRecord::Operator { .. } => return Ok(()),
            RegistryRecord::Practitioner { organisation, .. }
            | RegistryRecord::Gateway { organisation, .. }
            | RegistryRecord::Device { organisation, .. } => organisation,
        };
        if self.organisation(organisation, now).is_none() {
            return Err(UnknownName::Organisation { of: record.key().kind() });
        }
        let RegistryRecord::Device { gateways, .. } = record else { return Ok(()) };
        let is_known = |id| self.gateway(id, now).is_some_and(|g| g.organisation == *organisation);
        match gateways.iter().position(|id| !is_known(id)) {
            Some(at) => Err(UnknownName::Gateway { number: at + 1, all: gateways.len() }),
            None => Ok(()),
        }
    }

    /// The gateway that receipts and refusals name by this holder, ended ones included.
    pub(super) fn gateway_of(&self, holder: &Holder) -> Option<&GatewayId> {
        self.gateway_of.get(holder)
    }

    /// Whom the receipts of a gateway are for.
    pub(super) fn holder_of(&self, gateway: &GatewayId) -> Holder {
        let known = self.gateways.get(gateway).map(|known| known.holder);
        known.unwrap_or_else(|| Holder::gateway(gateway))
    }

    /// The practitioner that receipts and counts name by this holder, ended ones included.
    pub(super) fn practitioner_of(&self, holder: &Holder) -> Option<&PractitionerId> {
        self.practitioner_of.get(holder)
    }

    /// The gateway and the device of a stream, if both are registered now, belong to the same
    /// organisation and to each other, and the device measures this signal of this patient.
    pub(super) fn assignment(
        &self,
        name: &GatewayId,
        stream: &StreamKey,
        now: Millis,
    ) -> Option<Assignment<'_>> {
        let gateway = self.gateway(name, now)?;
        let device = self.device(&stream.device, now)?;
        let assigned = device.patient == stream.patient
            && device.organisation == gateway.organisation
            && device.gateways.binary_search(name).is_ok()
            && device.signals.contains(&stream.signal);
        assigned.then_some(Assignment { gateway, device })
    }

    /// Whether a record with this key is there and has not ended.
    pub fn holds(&self, key: &RegistryKey, now: Millis) -> bool {
        match key {
            RegistryKey::Organisation(id) => self.organisation(id, now).is_some(),
            RegistryKey::Practitioner(id) => self.practitioner(id, now).is_some(),
            RegistryKey::Gateway(id) => self.gateway(id, now).is_some(),
            RegistryKey::Device(id) => self.device(id, now).is_some(),
            RegistryKey::Wallet(id) => self.wallet(id, now).is_some(),
            RegistryKey::Operator(id) => self.operator(id, now).is_some(),
        }
    }

    /// Every gateway, ended ones included.
    pub fn gateways(&self) -> impl Iterator<Item = (&GatewayId, &Gateway)> {
        self.gateways.iter()
    }

    /// Every practitioner, ended ones included.
    pub fn practitioners(&self) -> impl Iterator<Item = (&PractitionerId, &Practitioner)> {
        self.practitioners.iter()
    }

    /// Every organisation with its validity, ended ones included.
    pub fn organisations(&self) -> impl Iterator<Item = (&OrganisationId, &Interval)> {
        self.organisations.iter().map(|(id, (valid, _))| (id, valid))
    }

    /// Every wallet, ended ones included.
    pub fn wallets(&self) -> impl Iterator<Item = (&WalletId, &Certificate)> {
        self.wallets.iter()
    }

    /// Every operator, ended ones included.
    pub fn operators(&self) -> impl Iterator<Item = (&OperatorId, &Certificate)> {
        self.operators.iter()
    }

    /// Every certificate and whose it is, ended ones included.
    pub fn certificates(&self) -> impl Iterator<Item = (RegistryKey, Certificate)> {
        let of = |fingerprint: [u8; 32], valid: Interval| Certificate { fingerprint, valid };
        let gateways = self.gateways().map(move |(id, one)| {
            (RegistryKey::Gateway(id.clone()), of(one.fingerprint, one.valid))
        });
        let practitioners = self.practitioners().map(move |(id, one)| {
            (RegistryKey::Practitioner(id.clone()), of(one.fingerprint, one.valid))
        });
        let wallets =
            self.wallets().map(|(id, one)| (RegistryKey::Wallet(id.clone()), one.clone()));
        let operators =
            self.operators().map(|(id, one)| (RegistryKey::Operator(id.clone()), one.clone()));
        gateways.chain(practitioners).chain(wallets).chain(operators)
    }

    /// Every device, ended ones included.
    pub fn devices(&self) -> impl Iterator<Item = (&DeviceId, &Device)> {
        self.devices.iter()
    }
}

fn live(valid: &Interval, now: Millis) -> bool {
    valid.from <= now && now < valid.until
}

/// Prints counts only.
impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (gateways, devices) = (self.gateways.len(), self.devices.len());
        write!(f, "Registry {{ gateways: {gateways}, devices: {devices} }}")
    }
}
