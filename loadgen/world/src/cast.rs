//! Who plays: organisations, practitioners, gateways, devices and patients.

use model::{
    DeviceId, GatewayId, OrganisationId, PatientIndex, PractitionerId, Signal, signal_by_name,
};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// How many of each to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Patients, at most 10,000.
    pub patients: u32,
    /// Gateways, at most 10,000; patients' devices are dealt to them in turn.
    pub gateways: u32,
    /// Practitioners, at most 1,000.
    pub practitioners: u32,
}

impl Default for Size {
    fn default() -> Size {
        Size { patients: 16, gateways: 8, practitioners: 6 }
    }
}

/// A patient with the secret from which its key is derived.
#[derive(Clone)]
pub struct Patient {
    /// Leaf index; distinct, spread over the tree, never 0.
    pub index: PatientIndex,
    /// Secret bytes of the signing key.
    pub secret: [u8; 32],
    /// Secret bytes from which view key and blinding salt are derived.
    pub view_secret: [u8; 32],
    /// The patient's one bedside device.
    pub device: usize,
}

/// A practitioner with the secret from which the request key is derived.
#[derive(Clone)]
pub struct Practitioner {
    /// Registered id.
    pub id: PractitionerId,
    /// For whom this practitioner works.
    pub organisation: OrganisationId,
    /// Secret bytes of the request-signing key.
    pub secret: [u8; 32],
}

/// A gateway: certificate name and owner.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Registered id, the common name of its certificate.
    pub id: GatewayId,
    /// Who owns it.
    pub organisation: OrganisationId,
}

/// A device and what it measures.
#[derive(Clone, Debug)]
pub struct Device {
    /// Registered id.
    pub id: DeviceId,
    /// Index of the gateway it talks to.
    pub gateway: usize,
    /// Signals it sends.
    pub signals: Vec<&'static Signal>,
}

/// The whole cast, a function of seed and size.
#[derive(Clone)]
pub struct World {
    /// The seed it was made from; print it with every failure.
    pub seed: u64,
    /// A hospital, a laboratory and a research institute.
    pub organisations: Vec<OrganisationId>,
    /// Dealt to the organisations in turn.
    pub practitioners: Vec<Practitioner>,
    /// All owned by the hospital.
    pub gateways: Vec<Gateway>,
    /// One for each patient.
    pub devices: Vec<Device>,
    /// Sorted by index.
    pub patients: Vec<Patient>,
}

const ORGANISATIONS: [&str; 3] = ["st-anne-hospital", "north-lab", "heart-institute"];
/// What the bedside devices send, in turn.
const DEVICE_SIGNALS: [&str; 2] = ["ecg", "ppg"];

impl World {
    /// Makes the cast.
    ///
    /// # Panics
    /// If `size` exceeds the maxima stated there: that is the caller's mistake.
    pub fn new(seed: u64, size: Size) -> World {
        assert!(size.patients <= 10_000 && size.gateways <= 10_000 && size.practitioners <= 1_000);
        assert!(size.patients == 0 || size.gateways > 0, "devices need a gateway");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let organisations: Vec<_> = ORGANISATIONS.iter().map(|name| organisation(name)).collect();
        let practitioners = (0..size.practitioners as usize)
            .map(|n| practitioner(n, &organisations, &mut rng))
            .collect();
        let gateways = (0..size.gateways)
            .map(|n| Gateway { id: gateway(n), organisation: organisations[0].clone() })
            .collect();
        let devices = (0..size.patients).map(|n| device(n, size.gateways)).collect();
        let patients = patients(size.patients, &mut rng);
        World { seed, organisations, practitioners, gateways, devices, patients }
    }
}

/// Prints counts and the seed: the cast holds secrets.
impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (patients, gateways) = (self.patients.len(), self.gateways.len());
        write!(f, "World {{ seed: {}, patients: {patients}, gateways: {gateways} }}", self.seed)
    }
}

fn organisation(name: &str) -> OrganisationId {
    OrganisationId::new(name).expect("a constant name is plain")
}

fn gateway(n: u32) -> GatewayId {
    GatewayId::new(&format!("gateway-{:03}", n + 1)).expect("a numbered name is plain")
}

fn practitioner(n: usize, all: &[OrganisationId], rng: &mut ChaCha20Rng) -> Practitioner {
    let id = PractitionerId::new(&format!("dr-{:03}", n + 1)).expect("a numbered name is plain");
    Practitioner { id, organisation: all[n % all.len()].clone(), secret: secret(rng) }
}

fn device(n: u32, gateways: u32) -> Device {
    let id = DeviceId::new(&format!("monitor-{:04}", n + 1)).expect("a numbered name is plain");
    let name = DEVICE_SIGNALS[n as usize % DEVICE_SIGNALS.len()];
    let signal = signal_by_name(name).expect("a constant name stands in the table");
    Device { id, gateway: (n % gateways.max(1)) as usize, signals: vec![signal] }
}

fn patients(count: u32, rng: &mut ChaCha20Rng) -> Vec<Patient> {
    // A set, because two patients of one index would be one record; sorted, so that the order of
    // draws does not show.
    let mut indices = std::collections::BTreeSet::new();
    while indices.len() < count as usize {
        // Spread over the whole tree: neighbours would share most of their paths.
        indices.insert(rng.gen_range(1..1u32 << PatientIndex::BITS));
    }
    let patient = |(device, index): (usize, u32)| Patient {
        index: PatientIndex::new(index).expect("drawn below 2^24"),
        secret: secret(rng),
        view_secret: secret(rng),
        device,
    };
    indices.into_iter().enumerate().map(patient).collect()
}

fn secret(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_world_and_another_makes_another() {
        let secrets = |seed| -> Vec<_> {
            World::new(seed, Size::default()).patients.iter().map(|p| p.secret).collect()
        };
        assert_eq!(secrets(1), secrets(1));
        assert_ne!(secrets(1), secrets(2));
    }

    #[test]
    fn every_patient_has_a_device_and_every_device_a_gateway() {
        let world = World::new(3, Size { patients: 50, gateways: 4, practitioners: 3 });
        for patient in &world.patients {
            let device = &world.devices[patient.device];
            assert!(device.gateway < world.gateways.len());
            assert_eq!(device.signals.len(), 1);
        }
        assert!(world.patients.windows(2).all(|pair| pair[0].index < pair[1].index));
        assert!(format!("{world:?}").len() < 80);
    }
}
