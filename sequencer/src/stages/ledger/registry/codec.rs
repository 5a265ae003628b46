//! The registry as canonical bytes. Words and holders are left out: they follow from the names.

use std::collections::BTreeMap;

use model::{
    DecodeError, DeviceId, GatewayId, IdError, OperatorId, OrganisationId, PractitionerId, Reader,
    WalletId,
};
use statement::scope;
use wire::Holder;
use wire::limits::{DEVICE_GATEWAYS_MAX, DEVICE_SIGNALS_MAX};

use super::{Certificate, Device, Gateway, Practitioner, Registry};
use crate::stages::ledger::codec::{
    NAME_BYTES_MIN, read_interval, read_list, read_map, read_name, write_count, write_interval,
    write_name,
};
use crate::stages::ledger::consent::read_patient;

/// Bytes of a validity.
const INTERVAL_BYTES: usize = 16;

impl Registry {
    /// Canonical bytes: organisations, practitioners, gateways, devices, wallets, operators.
    pub(in crate::stages::ledger) fn write(&self, out: &mut Vec<u8>) {
        write_count(self.organisations.len(), out);
        for (id, (valid, _)) in &self.organisations {
            write_name(id.as_str(), out);
            write_interval(valid, out);
        }
        write_count(self.practitioners.len(), out);
        for (id, practitioner) in &self.practitioners {
            write_name(id.as_str(), out);
            practitioner.write(out);
        }
        write_count(self.gateways.len(), out);
        for (id, gateway) in &self.gateways {
            write_name(id.as_str(), out);
            write_name(gateway.organisation.as_str(), out);
            out.extend(gateway.fingerprint);
            write_interval(&gateway.valid, out);
        }
        write_count(self.devices.len(), out);
        for (id, device) in &self.devices {
            write_name(id.as_str(), out);
            device.write(out);
        }
        write_certificates(&self.wallets, WalletId::as_str, out);
        write_certificates(&self.operators, OperatorId::as_str, out);
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if they are none.
    pub(in crate::stages::ledger) fn read(from: &mut Reader<'_>) -> Result<Registry, DecodeError> {
        let organisations = read_map(NAME_BYTES_MIN + INTERVAL_BYTES, from, |from| {
            let id = read_name(OrganisationId::new, from)?;
            let word = scope::organisation(&id);
            Ok((id, (read_interval(from)?, word)))
        })?;
        let practitioners = read_map(NAME_BYTES_MIN + Practitioner::BYTES_MIN, from, |from| {
            let id = read_name(PractitionerId::new, from)?;
            let practitioner = Practitioner::read(&id, from)?;
            Ok((id, practitioner))
        })?;
        let gateways = read_map(NAME_BYTES_MIN + Gateway::BYTES_MIN, from, |from| {
            let id = read_name(GatewayId::new, from)?;
            let gateway = Gateway::read(&id, from)?;
            Ok((id, gateway))
        })?;
        let devices = read_map(NAME_BYTES_MIN + Device::BYTES_MIN, from, |from| {
            let id = read_name(DeviceId::new, from)?;
            let device = Device::read(&id, from)?;
            Ok((id, device))
        })?;
        let gateway_of = gateways.iter().map(|(id, gateway)| (gateway.holder, id.clone()));
        let practitioner_of = practitioners.keys().map(|id| (Holder::practitioner(id), id.clone()));
        Ok(Registry {
            gateway_of: gateway_of.collect(),
            practitioner_of: practitioner_of.collect(),
            organisations,
            practitioners,
            gateways,
            devices,
            wallets: read_certificates(WalletId::new, from)?,
            operators: read_certificates(OperatorId::new, from)?,
        })
    }
}

impl Practitioner {
    const BYTES_MIN: usize = NAME_BYTES_MIN + 32 + 32 + INTERVAL_BYTES;

    fn write(&self, out: &mut Vec<u8>) {
        write_name(self.organisation.as_str(), out);
        out.extend(self.public_key);
        out.extend(self.fingerprint);
        write_interval(&self.valid, out);
    }

    fn read(id: &PractitionerId, from: &mut Reader<'_>) -> Result<Practitioner, DecodeError> {
        Ok(Practitioner {
            organisation: read_name(OrganisationId::new, from)?,
            public_key: from.array()?,
            fingerprint: from.array()?,
            valid: read_interval(from)?,
            word: scope::practitioner(id),
        })
    }
}

impl Gateway {
    const BYTES_MIN: usize = NAME_BYTES_MIN + 32 + INTERVAL_BYTES;

    fn read(id: &GatewayId, from: &mut Reader<'_>) -> Result<Gateway, DecodeError> {
        Ok(Gateway {
            organisation: read_name(OrganisationId::new, from)?,
            fingerprint: from.array()?,
            valid: read_interval(from)?,
            holder: Holder::gateway(id),
        })
    }
}

impl Device {
    const BYTES_MIN: usize = NAME_BYTES_MIN + 4 + 4 + 4 + INTERVAL_BYTES;

    fn write(&self, out: &mut Vec<u8>) {
        write_name(self.organisation.as_str(), out);
        out.extend(self.patient.get().to_be_bytes());
        write_count(self.signals.len(), out);
        self.signals.iter().for_each(|signal| out.extend(signal.to_be_bytes()));
        write_count(self.gateways.len(), out);
        self.gateways.iter().for_each(|gateway| write_name(gateway.as_str(), out));
        write_interval(&self.valid, out);
    }

    fn read(id: &DeviceId, from: &mut Reader<'_>) -> Result<Device, DecodeError> {
        let organisation = read_name(OrganisationId::new, from)?;
        let patient = read_patient(from)?;
        let signals = |from: &mut Reader<'_>| read_list(4, from, |from| from.u32());
        let signals = from.map("1 to 64 codes that ascend", signals, |signals| {
            ascending(signals, DEVICE_SIGNALS_MAX)
        })?;
        let gateways = |from: &mut Reader<'_>| {
            read_list(NAME_BYTES_MIN, from, |from| read_name(GatewayId::new, from))
        };
        let gateways = from.map("1 to 64 names that ascend", gateways, |gateways| {
            ascending(gateways, DEVICE_GATEWAYS_MAX)
        })?;
        let (valid, word) = (read_interval(from)?, scope::device(id));
        Ok(Device { organisation, patient, signals, gateways, valid, word })
    }
}

/// A list as the journal's changes have it.
fn ascending<T: Ord>(list: Vec<T>, most: usize) -> Option<Vec<T>> {
    ((1..=most).contains(&list.len()) && list.is_sorted_by(|a, b| a < b)).then_some(list)
}

fn write_certificates<K>(
    certificates: &BTreeMap<K, Certificate>,
    name: fn(&K) -> &str,
    out: &mut Vec<u8>,
) {
    write_count(certificates.len(), out);
    for (id, certificate) in certificates {
        write_name(name(id), out);
        out.extend(certificate.fingerprint);
        write_interval(&certificate.valid, out);
    }
}

fn read_certificates<K: Ord>(
    new: fn(&str) -> Result<K, IdError>,
    from: &mut Reader<'_>,
) -> Result<BTreeMap<K, Certificate>, DecodeError> {
    read_map(NAME_BYTES_MIN + 32 + INTERVAL_BYTES, from, |from| {
        let id = read_name(new, from)?;
        let certificate = Certificate { fingerprint: from.array()?, valid: read_interval(from)? };
        Ok((id, certificate))
    })
}
