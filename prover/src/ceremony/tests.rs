//! Ceremonies whose secrets are known, so that every part can be put wrong.

use std::io::Cursor;
use std::sync::Arc;

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, BigInteger, FftField, Field, PrimeField, UniformRand};
use ark_std::rand::{SeedableRng, rngs::StdRng};
use blake2::{Blake2b512, Digest};
use circuits::builder::R1cs;
use sha2::Sha256;
use statement::proof::{DEV_ALPHA, verify};

use super::draw::Draw;
use super::*;
use crate::keys::KeyError;
use crate::sample::ladder;
use crate::{Blinding, Engine, PortableEngine, Provenance};

#[path = "../../tests/phase1.rs"]
mod phase1;
use phase1::Secrets;

/// Of a ladder of 10 rows: a domain of 16.
const POWER: u32 = 4;
/// Where the points of the header begin in a `.zkey`, and their sections' frames before them.
const HEADER_POINTS: usize = 12 + 12 + 4 + 12 + 84;

fn secrets() -> Secrets {
    Secrets { alpha: Fr::from(1234), beta: Fr::from(5678), tau_seed: 4 }
}

/// A second phase that goes on.
struct Phase2 {
    circuit: [u8; 64],
    before: Blake2b512,
    delta: Fr,
    links: Vec<Vec<u8>>,
}

impl Phase2 {
    fn begin() -> Self {
        let circuit = [7; 64];
        let before = Blake2b512::new().chain_update(circuit);
        Self { circuit, before, delta: Fr::ONE, links: vec![] }
    }

    /// Two people and a beacon.
    fn held() -> Self {
        let mut phase2 = Self::begin();
        phase2.contribute(Fr::from(11), b"first");
        phase2.contribute(Fr::from(13), b"\x1b[2Jsecond");
        phase2.end(b"block 900000", 10);
        phase2
    }

    fn contribute(&mut self, d: Fr, name: &[u8]) {
        let parameters = [&[1, name.len() as u8], name].concat();
        self.link(d, G1Affine::rand(&mut StdRng::seed_from_u64(9)), (0, &parameters));
    }

    fn end(&mut self, value: &[u8], log2: u8) {
        let hash = (0..1u64 << log2).fold(value.to_vec(), |hash, _| Sha256::digest(hash).to_vec());
        let mut draw = Draw::seeded(&hash);
        let (d, s) = (draw.scalar(), draw.g1());
        self.link(d, s, (1, &[&[2, log2, 3, value.len() as u8], value].concat()));
    }

    fn link(&mut self, d: Fr, s: G1Affine, (kind, parameters): (u32, &[u8])) {
        self.delta *= d;
        let delta = (G1Affine::generator() * self.delta).into_affine();
        let ds = (s * d).into_affine();
        let challenge = self.before.clone().chain_update(big_endian(&[s.x, s.y, ds.x, ds.y]));
        let challenge: [u8; 64] = challenge.finalize().into();
        let dp = (Draw::seeded(&challenge).g2() * d).into_affine();
        let in_g1 = [delta.x, delta.y, s.x, s.y, ds.x, ds.y];
        self.before.update(big_endian(&in_g1));
        self.before.update(big_endian(&[dp.x.c1, dp.x.c0, dp.y.c1, dp.y.c0]));
        self.before.update(challenge);
        let points = [&in_g1[..], &[dp.x.c0, dp.x.c1, dp.y.c0, dp.y.c1]].concat();
        let mut link = in_memory(&points);
        link.extend(challenge);
        link.extend(kind.to_le_bytes());
        link.extend((parameters.len() as u32).to_le_bytes());
        link.extend(parameters);
        self.links.push(link);
    }

    fn section(&self) -> Vec<u8> {
        let count = (self.links.len() as u32).to_le_bytes();
        [&self.circuit[..], &count, &self.links.concat()].concat()
    }

    /// The `.zkey` that the ceremony leaves.
    fn zkey(&self, secrets: Secrets, r1cs: &R1cs) -> Vec<u8> {
        let mut file = secrets.zkey(r1cs, self.delta);
        // The export ends with an empty transcript.
        file.truncate(file.len() - 12 - 68);
        let section = self.section();
        file.extend(10u32.to_le_bytes());
        file.extend((section.len() as u64).to_le_bytes());
        file.extend(section);
        file
    }
}

fn in_memory(values: &[Fq]) -> Vec<u8> {
    values.iter().flat_map(|value| value.0.to_bytes_le()).collect()
}

fn g2_in_memory(point: G2Affine) -> Vec<u8> {
    in_memory(&[point.x.c0, point.x.c1, point.y.c0, point.y.c1])
}

fn big_endian(values: &[Fq]) -> Vec<u8> {
    values.iter().flat_map(|value| value.into_bigint().to_bytes_be()).collect()
}

fn read(file: &[u8]) -> Result<Zkey, ZkeyError> {
    read_zkey(Cursor::new(file), &ladder(10, 5).0)
}

fn read_transcript(phase2: &Phase2) -> Result<Vec<Contribution>, TranscriptError> {
    Transcript::parse(&phase2.section())?.verify()
}

fn read_phase1(file: &[u8]) -> Result<Phase1, Phase1Error> {
    Phase1::read(Cursor::new(file), &ladder(10, 5).0, &mut StdRng::seed_from_u64(1))
}

/// What the first phase of `power` says of the key in `file`.
fn check(file: &[u8], power: u32) -> Result<(), Phase1Error> {
    let key = read(file).expect("nothing that is seen without the first phase").key;
    let phase1 = read_phase1(&secrets().ptau(power)).expect("powers");
    phase1.verify(&key, &ladder(10, 5).0, &mut StdRng::seed_from_u64(2))
}

/// Where the content of a section begins in a file.
fn place(file: &[u8], section: u32) -> usize {
    let mut at = 12;
    loop {
        let number = u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
        if number == section {
            return at + 12;
        }
        let len = u64::from_le_bytes(file[at + 4..at + 12].try_into().expect("8 bytes"));
        at += 12 + len as usize;
    }
}

#[test]
fn the_key_of_a_ceremony_is_read_checked_and_proves() {
    let (r1cs, assignment) = ladder(10, 5);
    let file = Phase2::held().zkey(secrets(), &r1cs);
    let Zkey { key, transcript } = read(&file).expect("an honest ceremony");
    let expected = Provenance::Ceremony { transcript: transcript.hash() };
    assert_eq!((key.provenance(), transcript.len()), (expected, 3));
    let contributions = transcript.verify().expect("an honest ceremony");
    let beacon = Contributor::Beacon { value: b"block 900000".to_vec(), hashes_log2: 10 };
    let found: Vec<_> = contributions.into_iter().map(|one| one.contributor).collect();
    let named = |name: &str| Contributor::Named(name.to_owned());
    assert_eq!(found, [named("first"), named("\u{1b}[2Jsecond"), beacon]);
    assert!(matches!(check(&file, POWER), Ok(())), "{:?}", check(&file, POWER));

    let engine = PortableEngine::new(Arc::new(key));
    let blinding = Blinding::draw(&mut StdRng::seed_from_u64(3));
    let proof = engine.prove(&assignment, &blinding).expect("satisfied");
    let inputs = &assignment.instance[1..];
    assert_eq!(verify(engine.key().verifying_key(), inputs, &proof), Ok(()));
}

#[test]
fn a_larger_first_phase_gives_a_key_with_one_power_more_and_each_fits_its_own() {
    let (r1cs, _) = ladder(10, 5);
    let phase2 = Phase2::held();
    let mut file = phase2.zkey(secrets(), &r1cs);
    let smaller = check(&file, POWER + 1);
    assert!(matches!(smaller, Err(Phase1Error::Part { part: "H" })), "{smaller:?}");
    // The highest power of each Lagrange polynomial of 32 rows, which ark-groth16 leaves out.
    let root = Fr::get_root_of_unity(32).expect("2^28 are there");
    let top = secrets().tau().pow([31]) * Fr::from(32).inverse().expect("not zero");
    let key = read(&file).expect("honest").key;
    let at = place(&file, 9);
    for (i, (h, slot)) in key.h.iter().zip(file[at..].chunks_exact_mut(64)).enumerate() {
        let factor = top * root.pow([2 * i as u64 + 1]) / phase2.delta;
        let h = (G1Affine::generator() * factor + h).into_affine();
        slot.copy_from_slice(&in_memory(&[h.x, h.y]));
    }
    assert!(matches!(check(&file, POWER + 1), Ok(())));
    assert!(matches!(check(&file, POWER), Err(Phase1Error::Part { part: "H" })));
}

#[test]
fn a_file_cut_anywhere_or_with_one_flipped_bit_is_refused() {
    let file = Phase2::held().zkey(secrets(), &ladder(10, 5).0);
    for len in (0..file.len()).step_by(71) {
        assert!(read(&file[..len]).is_err(), "{len} bytes");
    }
    assert!(read(&[file.as_slice(), &[0]].concat()).is_err(), "a byte more");
    let transcript = place(&file, 10);
    let honest = read_transcript(&Phase2::held()).expect("honest");
    let hashes: Vec<_> = honest.iter().map(|one| one.hash).collect();
    for at in (0..file.len()).step_by(61) {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << (at % 8);
        let Ok(Zkey { transcript: read, .. }) = read(&flipped) else { continue };
        // Names are for people and bound by nothing; everything else is.
        let found: Vec<_> = read.verify().expect("checked").iter().map(|one| one.hash).collect();
        assert_eq!(found, hashes, "byte {at}");
        assert!(at > transcript, "byte {at}");
    }
}

#[test]
fn the_key_of_another_circuit_is_refused_by_size_and_by_cell() {
    let file = Phase2::held().zkey(secrets(), &ladder(10, 5).0);
    let other = read_zkey(Cursor::new(&file), &ladder(11, 5).0).err();
    let sized = matches!(
        other,
        Some(ZkeyError::File(CeremonyFileError::Number {
            what: "columns",
            expected: 13,
            found: 12
        }))
    );
    assert!(sized, "{other:?}");
    let (mut r1cs, _) = ladder(10, 5);
    let cell = r1cs.a[0].len();
    r1cs.b[0][0].0 += Fr::ONE;
    let other = read_zkey(Cursor::new(&file), &r1cs).err();
    assert!(matches!(other, Some(ZkeyError::Circuit { index, .. }) if index == cell), "{other:?}");
}

#[test]
fn points_that_are_good_and_wrong_are_found_by_the_first_phase() {
    let file = Phase2::held().zkey(secrets(), &ladder(10, 5).0);
    for (section, part, bytes) in [
        (3, "IC", 64),
        (5, "A", 64),
        (6, "B in G1", 64),
        (7, "B in G2", 128),
        (8, "L", 64),
        (9, "H", 64),
    ] {
        let at = place(&file, section);
        let mut swapped = file.clone();
        // The first three columns do not occur in B: there the next two change places.
        let first = at + 3 * bytes * usize::from(matches!(section, 6 | 7));
        swapped.copy_within(first..first + bytes, first + bytes);
        swapped[first..first + bytes].copy_from_slice(&file[first + bytes..first + 2 * bytes]);
        assert_ne!(swapped, file, "{part}");
        let found = check(&swapped, POWER);
        assert!(matches!(found, Err(Phase1Error::Part { part: named }) if named == part), "{part}");
    }
    let other = Secrets { alpha: Fr::from(99), ..secrets() };
    let found = check(&Phase2::held().zkey(other, &ladder(10, 5).0), POWER);
    assert!(matches!(found, Err(Phase1Error::Part { part: "alpha" })));
    let other = Secrets { beta: Fr::from(99), ..secrets() };
    let found = check(&Phase2::held().zkey(other, &ladder(10, 5).0), POWER);
    assert!(matches!(found, Err(Phase1Error::Part { part: "beta" })));
}

#[test]
fn points_outside_their_group_and_coordinates_that_are_not_reduced_are_refused() {
    let file = Phase2::held().zkey(secrets(), &ladder(10, 5).0);
    let outside = (1u64..)
        .filter_map(|x| G2Affine::get_point_from_x_unchecked(x.into(), false))
        .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
        .expect("nearly every point of the curve");
    let mut edited = file.clone();
    let at = place(&file, 7) + 3 * 128;
    edited[at..at + 128].copy_from_slice(&g2_in_memory(outside));
    let found = read(&edited).err();
    let expected = CeremonyFileError::Point { section: "B in G2", index: 3 };
    assert_eq!(format!("{found:?}"), format!("{:?}", Some(ZkeyError::File(expected))));
    let mut edited = file.clone();
    let at = place(&file, 9);
    edited[at..at + 32].copy_from_slice(&Fq::MODULUS.to_bytes_le());
    let found = read(&edited).err();
    let expected = CeremonyFileError::Point { section: "H", index: 0 };
    assert_eq!(format!("{found:?}"), format!("{:?}", Some(ZkeyError::File(expected))));
}

#[test]
fn a_key_that_anybody_could_forge_under_is_refused() {
    let (r1cs, _) = ladder(10, 5);
    let found = read(&Phase2::begin().zkey(secrets(), &r1cs)).err();
    assert!(matches!(found, Some(ZkeyError::NoContribution)), "{found:?}");
    let mut idle = Phase2::begin();
    idle.contribute(Fr::ONE, b"nothing");
    let found = read(&idle.zkey(secrets(), &r1cs)).err();
    assert!(matches!(found, Some(ZkeyError::Key(KeyError::GammaIsDelta))), "{found:?}");
    let public = Secrets { alpha: Fr::from(DEV_ALPHA), ..secrets() };
    let found = read(&Phase2::held().zkey(public, &r1cs)).err();
    assert!(matches!(found, Some(ZkeyError::Key(KeyError::Provenance { .. }))), "{found:?}");
}

#[test]
fn numbers_that_differ_between_the_groups_are_named() {
    let file = Phase2::held().zkey(secrets(), &ladder(10, 5).0);
    for (what, at) in [("beta", 128), ("delta", 448)] {
        let mut edited = file.clone();
        let other = g2_in_memory((G2Affine::generator() * Fr::from(4)).into_affine());
        edited[HEADER_POINTS + at..HEADER_POINTS + at + 128].copy_from_slice(&other);
        let found = read(&edited).err();
        assert!(matches!(found, Some(ZkeyError::TwoNumbers { what: named }) if named == what));
    }
}

#[test]
fn a_chain_with_a_link_left_out_moved_or_unproven_is_refused_by_its_number() {
    let honest = Phase2::held();
    assert_eq!(read_transcript(&honest).map(|all| all.len()), Ok(3));
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut phase2 = Phase2::held();
        change(&mut phase2.links);
        read_transcript(&phase2)
    };
    let order = |at| Err(TranscriptError::Order { at });
    assert_eq!(with(&|links| _ = links.remove(0)), order(1));
    assert_eq!(with(&|links| _ = links.remove(1)), order(2));
    assert_eq!(with(&|links| links.swap(0, 1)), order(1));
    // Another d times s than was shown in G2, with a challenge to match: it names another p.
    assert_eq!(with(&|links| links[1].copy_within(64..128, 128)), order(2));
    let other = in_memory(&{
        let point = (G1Affine::generator() * Fr::from(8)).into_affine();
        [point.x, point.y]
    });
    let moved = with(&|links| links[2][..64].copy_from_slice(&other));
    assert_eq!(moved, Err(TranscriptError::Moved { at: 3 }));
    let dp = g2_in_memory((G2Affine::generator() * Fr::from(8)).into_affine());
    let unproven = with(&|links| links[0][192..320].copy_from_slice(&dp));
    assert_eq!(unproven, Err(TranscriptError::Unproven { at: 1 }));
    let infinity = with(&|links| links[1][..64].fill(0));
    assert_eq!(infinity, Err(TranscriptError::Point { at: 2 }));
    let shape = with(&|links| _ = links[2].pop());
    assert_eq!(shape, Err(TranscriptError::Shape { at: 3 }));
}

#[test]
fn a_key_whose_delta_the_last_contribution_did_not_leave_is_refused() {
    let (r1cs, _) = ladder(10, 5);
    let mut phase2 = Phase2::held();
    phase2.links.pop();
    let found = read(&phase2.zkey(secrets(), &r1cs)).err();
    assert!(matches!(found, Some(ZkeyError::Delta { contributions: 2 })), "{found:?}");
}

#[test]
fn a_beacon_of_another_value_or_without_end_is_refused() {
    let value_at = |link: &Vec<u8>| link.len() - 1;
    let mut phase2 = Phase2::held();
    let at = value_at(&phase2.links[2]);
    phase2.links[2][at] ^= 1;
    assert_eq!(read_transcript(&phase2), Err(TranscriptError::Beacon { at: 3 }));
    let mut phase2 = Phase2::held();
    // Number of the parameter, its value; then number, length and value of the next.
    let at = value_at(&phase2.links[2]) - "block 900000".len() - 2;
    assert_eq!(phase2.links[2][at], 10);
    phase2.links[2][at] = 63;
    let endless = TranscriptError::BeaconHashes { at: 3, most: 30, found: 63 };
    assert_eq!(read_transcript(&phase2), Err(endless));
}

#[test]
fn a_first_phase_that_is_short_or_no_powers_is_refused() {
    let short = read_phase1(&secrets().ptau(POWER - 1)).err();
    assert!(matches!(short, Some(Phase1Error::Power { expected: 4, found: 3 })), "{short:?}");
    let file = secrets().ptau(POWER);
    assert!(read_phase1(&file).is_ok());
    for (section, point, bytes) in
        [(2, 1, 64), (2, 30, 64), (3, 1, 128), (3, 15, 128), (4, 9, 64), (5, 0, 64), (6, 0, 128)]
    {
        let mut edited = file.clone();
        let at = place(&file, section) + point * bytes;
        let other = match bytes {
            64 => in_memory(&{
                let point = (G1Affine::generator() * Fr::from(77)).into_affine();
                [point.x, point.y]
            }),
            _ => g2_in_memory((G2Affine::generator() * Fr::from(77)).into_affine()),
        };
        edited[at..at + bytes].copy_from_slice(&other);
        let found = read_phase1(&edited).err();
        let named = matches!(found, Some(Phase1Error::Powers { .. }));
        assert!(named, "point {point} of section {section}: {found:?}");
    }
    let zeros = vec![Fq::ZERO; 2];
    let mut edited = file.clone();
    let at = place(&file, 4);
    edited[at..at + 64 * 16].copy_from_slice(&in_memory(&zeros).repeat(16));
    assert!(
        matches!(read_phase1(&edited).err(), Some(Phase1Error::Powers { .. })),
        "alpha is zero"
    );
}
