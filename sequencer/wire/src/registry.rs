//! Who and what is registered: the records whose changes stand in the log.

use std::fmt;

use model::{
    DeviceId, GatewayId, Interval, Millis, OperatorId, OrganisationId, PatientIndex,
    PractitionerId, WalletId,
};

use crate::DecodeError;
use crate::codec::{Reader, Writer};
use crate::limits::{DEVICE_GATEWAYS_MAX, DEVICE_SIGNALS_MAX};
use crate::stream::read_signal;

/// Something that is registered.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryRecord {
    /// An organisation.
    Organisation {
        /// Its id.
        id: OrganisationId,
    },
    /// A practitioner.
    Practitioner {
        /// Their id.
        id: PractitionerId,
        /// For whom they act.
        organisation: OrganisationId,
        /// The compressed EdDSA key that signs their requests.
        public_key: [u8; 32],
        /// SHA-256 of the certificate in DER that they connect with.
        fingerprint: [u8; 32],
        /// When key and certificate may be used.
        valid: Interval,
    },
    /// A gateway.
    Gateway {
        /// Its id: the common name of its certificate.
        id: GatewayId,
        /// Whose gateway.
        organisation: OrganisationId,
        /// SHA-256 of its certificate in DER.
        fingerprint: [u8; 32],
        /// When the certificate may be used.
        valid: Interval,
    },
    /// A device, assigned to one patient and to the gateways that may send what it measures.
    Device {
        /// Its id.
        id: DeviceId,
        /// Whose device.
        organisation: OrganisationId,
        /// Whom it measures.
        patient: PatientIndex,
        /// What it measures: codes of `model::signals`, ascending, 1 to [`DEVICE_SIGNALS_MAX`].
        signals: Vec<u32>,
        /// Who may send its readings, ascending, 1 to [`DEVICE_GATEWAYS_MAX`].
        gateways: Vec<GatewayId>,
    },
    /// Whoever hands in operations of patients.
    Wallet {
        /// Its id: the common name of its certificate.
        id: WalletId,
        /// SHA-256 of its certificate in DER.
        fingerprint: [u8; 32],
        /// When the certificate may be used.
        valid: Interval,
    },
    /// Whoever hands in enrolments.
    Operator {
        /// Its id: the common name of its certificate.
        id: OperatorId,
        /// SHA-256 of its certificate in DER.
        fingerprint: [u8; 32],
        /// When the certificate may be used.
        valid: Interval,
    },
}

/// Which record ends.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistryKey {
    /// An organisation.
    Organisation(OrganisationId),
    /// A practitioner.
    Practitioner(PractitionerId),
    /// A gateway.
    Gateway(GatewayId),
    /// A device.
    Device(DeviceId),
    /// A wallet.
    Wallet(WalletId),
    /// An operator.
    Operator(OperatorId),
}

/// A change of the registry; takes effect at the next entry of the log.
#[derive(Clone, PartialEq, Eq)]
pub enum RegistryChange {
    /// Adds a record, or replaces the one with its key.
    Add(RegistryRecord),
    /// Ends a record.
    End {
        /// Which.
        key: RegistryKey,
        /// When it ended.
        at: Millis,
    },
}

impl fmt::Debug for RegistryRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryRecord({:?})", self.key())
    }
}

/// Prints the kind only.
impl fmt::Debug for RegistryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Debug for RegistryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryChange::Add(record) => write!(f, "Add({record:?})"),
            RegistryChange::End { key, at } => write!(f, "End({key:?}, {at:?})"),
        }
    }
}

impl RegistryRecord {
    /// What the record is found by.
    pub fn key(&self) -> RegistryKey {
        match self {
            RegistryRecord::Organisation { id } => RegistryKey::Organisation(id.clone()),
            RegistryRecord::Practitioner { id, .. } => RegistryKey::Practitioner(id.clone()),
            RegistryRecord::Gateway { id, .. } => RegistryKey::Gateway(id.clone()),
            RegistryRecord::Device { id, .. } => RegistryKey::Device(id.clone()),
            RegistryRecord::Wallet { id, .. } => RegistryKey::Wallet(id.clone()),
            RegistryRecord::Operator { id, .. } => RegistryKey::Operator(id.clone()),
        }
    }
}

impl RegistryKey {
    /// What kind of record it finds, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            RegistryKey::Organisation(_) => "organisation",
            RegistryKey::Practitioner(_) => "practitioner",
            RegistryKey::Gateway(_) => "gateway",
            RegistryKey::Device(_) => "device",
            RegistryKey::Wallet(_) => "wallet",
            RegistryKey::Operator(_) => "operator",
        }
    }

    fn number(&self) -> u8 {
        match self {
            RegistryKey::Organisation(_) => 1,
            RegistryKey::Practitioner(_) => 2,
            RegistryKey::Gateway(_) => 3,
            RegistryKey::Device(_) => 4,
            RegistryKey::Wallet(_) => 5,
            RegistryKey::Operator(_) => 6,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            RegistryKey::Organisation(id) => id.as_str(),
            RegistryKey::Practitioner(id) => id.as_str(),
            RegistryKey::Gateway(id) => id.as_str(),
            RegistryKey::Device(id) => id.as_str(),
            RegistryKey::Wallet(id) => id.as_str(),
            RegistryKey::Operator(id) => id.as_str(),
        }
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.u8(self.number());
        to.text(self.name());
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<RegistryKey, DecodeError> {
        match from.u8()? {
            1 => from.name("organisation id", OrganisationId::new).map(RegistryKey::Organisation),
            2 => from.name("practitioner id", PractitionerId::new).map(RegistryKey::Practitioner),
            3 => from.name("gateway id", GatewayId::new).map(RegistryKey::Gateway),
            4 => from.name("device id", DeviceId::new).map(RegistryKey::Device),
            5 => from.name("wallet id", WalletId::new).map(RegistryKey::Wallet),
            6 => from.name("operator id", OperatorId::new).map(RegistryKey::Operator),
            found => Err(DecodeError::Unknown { what: "registry kind", found: u64::from(found) }),
        }
    }
}

impl RegistryChange {
    /// Version byte of the canonical bytes.
    pub const VERSION: u8 = 2;
    const ADD: u8 = 1;
    const END: u8 = 2;

    /// Canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if a device's signals or gateways are none, too many or not ascending, or a
    /// signal is unknown.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DecodeError> {
        let mut to = Writer::default();
        to.u8(RegistryChange::VERSION);
        match self {
            RegistryChange::Add(record) => {
                to.u8(RegistryChange::ADD);
                write_record(record, &mut to)?;
            }
            RegistryChange::End { key, at } => {
                to.u8(RegistryChange::END);
                key.write(&mut to);
                to.millis(*at);
            }
        }
        Ok(to.0)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] for every other byte string.
    pub fn from_bytes(bytes: &[u8]) -> Result<RegistryChange, DecodeError> {
        let mut from = Reader::new("registry change", bytes);
        from.version(RegistryChange::VERSION)?;
        let change = match from.u8()? {
            RegistryChange::ADD => RegistryChange::Add(read_record(&mut from)?),
            RegistryChange::END => {
                let key = RegistryKey::read(&mut from)?;
                RegistryChange::End { key, at: from.millis("end of a record")? }
            }
            found => {
                let found = u64::from(found);
                return Err(DecodeError::Unknown { what: "registry change", found });
            }
        };
        from.finish()?;
        Ok(change)
    }
}

fn write_record(record: &RegistryRecord, to: &mut Writer) -> Result<(), DecodeError> {
    record.key().write(to);
    match record {
        RegistryRecord::Organisation { .. } => {}
        RegistryRecord::Practitioner { organisation, public_key, fingerprint, valid, .. } => {
            to.text(organisation.as_str());
            to.raw(public_key);
            to.raw(fingerprint);
            to.interval(*valid);
        }
        RegistryRecord::Gateway { organisation, fingerprint, valid, .. } => {
            to.text(organisation.as_str());
            to.raw(fingerprint);
            to.interval(*valid);
        }
        RegistryRecord::Device { organisation, patient, signals, gateways, .. } => {
            // Here too: what could not be read back must not get into the log.
            check_signals(signals)?;
            check_gateways(gateways)?;
            to.text(organisation.as_str());
            to.patient(*patient);
            to.u16(signals.len() as u16);
            signals.iter().for_each(|signal| to.u32(*signal));
            to.u16(gateways.len() as u16);
            gateways.iter().for_each(|gateway| to.text(gateway.as_str()));
        }
        // Whose patients they act for their operations say, each signed: no organisation here.
        RegistryRecord::Wallet { fingerprint, valid, .. }
        | RegistryRecord::Operator { fingerprint, valid, .. } => {
            to.raw(fingerprint);
            to.interval(*valid);
        }
    }
    Ok(())
}

fn read_record(from: &mut Reader<'_>) -> Result<RegistryRecord, DecodeError> {
    Ok(match RegistryKey::read(from)? {
        RegistryKey::Organisation(id) => RegistryRecord::Organisation { id },
        RegistryKey::Practitioner(id) => {
            let organisation = read_organisation(from)?;
            let (public_key, fingerprint) = (from.array()?, from.array()?);
            let valid = from.interval("validity")?;
            RegistryRecord::Practitioner { id, organisation, public_key, fingerprint, valid }
        }
        RegistryKey::Gateway(id) => {
            let organisation = read_organisation(from)?;
            let (fingerprint, valid) = (from.array()?, from.interval("validity")?);
            RegistryRecord::Gateway { id, organisation, fingerprint, valid }
        }
        RegistryKey::Device(id) => read_device(id, from)?,
        RegistryKey::Wallet(id) => {
            let (fingerprint, valid) = (from.array()?, from.interval("validity")?);
            RegistryRecord::Wallet { id, fingerprint, valid }
        }
        RegistryKey::Operator(id) => {
            let (fingerprint, valid) = (from.array()?, from.interval("validity")?);
            RegistryRecord::Operator { id, fingerprint, valid }
        }
    })
}

fn read_organisation(from: &mut Reader<'_>) -> Result<OrganisationId, DecodeError> {
    from.name("organisation id", OrganisationId::new)
}

fn read_device(id: DeviceId, from: &mut Reader<'_>) -> Result<RegistryRecord, DecodeError> {
    let organisation = read_organisation(from)?;
    let patient = from.patient()?;
    let count = from.count("signals of a device", DEVICE_SIGNALS_MAX)?;
    let signals: Vec<u32> = (0..count).map(|_| read_signal(from)).collect::<Result<_, _>>()?;
    check_signals(&signals)?;
    let count = from.count("gateways of a device", DEVICE_GATEWAYS_MAX)?;
    let gateways = (0..count).map(|_| from.name("gateway id", GatewayId::new));
    let gateways: Vec<GatewayId> = gateways.collect::<Result<_, _>>()?;
    check_gateways(&gateways)?;
    Ok(RegistryRecord::Device { id, organisation, patient, signals, gateways })
}

fn check_gateways(gateways: &[GatewayId]) -> Result<(), DecodeError> {
    // Ascending, as signals are: one set has one encoding.
    let ascending = gateways.is_sorted_by(|a, b| a < b);
    if ascending && (1..=DEVICE_GATEWAYS_MAX).contains(&gateways.len()) {
        return Ok(());
    }
    Err(DecodeError::field("gateways of a device", "expected 1 to 64 names, ascending"))
}

fn check_signals(signals: &[u32]) -> Result<(), DecodeError> {
    // Ascending, so that one set of signals has one encoding.
    let known = signals.iter().all(|code| model::signal_by_code(*code).is_some());
    let ascending = signals.is_sorted_by(|a, b| a < b);
    if known && ascending && (1..=DEVICE_SIGNALS_MAX).contains(&signals.len()) {
        return Ok(());
    }
    Err(DecodeError::field("signals of a device", "expected 1 to 64 known codes, ascending"))
}
