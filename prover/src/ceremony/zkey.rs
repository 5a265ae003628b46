//! From a `.zkey` to a key of this program.

use std::io::{Read, Seek};

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::{BigInteger, PrimeField};
use ark_poly::EvaluationDomain;

use super::error::{CeremonyFileError, ZkeyError};
use super::points::{G1_BYTES, G2_BYTES, g1, g2};
use super::sections::{Sections, expect};
use super::transcript::{Transcript, same_ratio};
use crate::export::zkey_coefficients;
use crate::keys::{Provenance, ProvingKey};
use crate::qap;
use circuits::builder::R1cs;

/// Bytes of a cell of the matrices: which matrix, row, column, factor.
const CELL: usize = 3 * 4 + 32;
/// Bytes of the header's numbers, before its points.
const NUMBERS: usize = 2 * 36 + 3 * 4;

/// A key that a ceremony made, with the record of who made it.
#[derive(Debug)]
pub struct Zkey {
    /// The key. Its provenance is the transcript's hash.
    pub key: ProvingKey,
    /// The second phase.
    pub transcript: Transcript,
}

/// Reads the key of the circuit `r1cs` from a `.zkey` of any origin, as snarkjs' `groth16 setup`,
/// `zkey contribute` and `zkey beacon` leave it. Everything that needs no first phase is checked:
/// the curve, every length, the matrices against the circuit's, each point's curve and subgroup,
/// that beta and delta are one number in both groups, the chain of contributions, that the last one
/// left the key's delta, and the rules of every key.
///
/// Takes some tens of seconds for 2^17 constraints, and twice the key's memory.
///
/// # Errors
/// [`ZkeyError`].
pub fn read_zkey<R: Read + Seek>(source: R, r1cs: &R1cs) -> Result<Zkey, ZkeyError> {
    let rows = r1cs.a.len();
    let domain = qap::domain(rows, r1cs.instances).ok_or(ZkeyError::TooLarge { rows })?;
    let mut file = Sections::open(source, "zkey")?;
    // One form of each file: a further section may change the meaning of the ten.
    expect("number of sections", 10, file.count() as u64)?;
    let protocol = file.read(1, "bytes of section 1", 4)?;
    expect("protocol (Groth16 is 1)", 1, little_endian(&protocol))?;
    let fixed = Fixed::read(&mut file, r1cs, domain.size())?;
    compare_matrices(&mut file, r1cs)?;
    let transcript = Transcript::parse(&file.read_all(10)?)?;
    fixed.check_delta(&transcript)?;
    // Before the points, which take longer: hundreds of contributions take seconds.
    transcript.verify()?;

    let columns = r1cs.instances + r1cs.witnesses;
    let key = ark_groth16::ProvingKey::<Bn254> {
        vk: ark_groth16::VerifyingKey {
            alpha_g1: fixed.alpha_g1,
            beta_g2: fixed.beta_g2,
            gamma_g2: fixed.gamma_g2,
            delta_g2: fixed.delta_g2,
            gamma_abc_g1: read_g1(&mut file, 3, "IC", r1cs.instances)?,
        },
        beta_g1: fixed.beta_g1,
        delta_g1: fixed.delta_g1,
        a_query: read_g1(&mut file, 5, "A", columns)?,
        b_g1_query: read_g1(&mut file, 6, "B in G1", columns)?,
        b_g2_query: read_g2(&mut file, 7, "B in G2", columns)?,
        l_query: read_g1(&mut file, 8, "L", r1cs.witnesses)?,
        h_query: read_g1(&mut file, 9, "H", domain.size())?,
    };
    let provenance = Provenance::Ceremony { transcript: transcript.hash() };
    let key = ProvingKey::from_ark(key, r1cs.hash(), rows, provenance)?;
    Ok(Zkey { key, transcript })
}

/// The points of the header.
struct Fixed {
    alpha_g1: G1Affine,
    beta_g1: G1Affine,
    beta_g2: G2Affine,
    gamma_g2: G2Affine,
    delta_g1: G1Affine,
    delta_g2: G2Affine,
}

impl Fixed {
    fn read<R: Read + Seek>(
        file: &mut Sections<R>,
        r1cs: &R1cs,
        domain: usize,
    ) -> Result<Self, ZkeyError> {
        let bytes = NUMBERS + 3 * G1_BYTES + 3 * G2_BYTES;
        let header = file.read(2, "bytes of the header", bytes as u64)?;
        let (numbers, points) = header.split_at(NUMBERS);
        let (fields, counts) = numbers.split_at(2 * 36);
        if *fields != [field(Fq::MODULUS), field(Fr::MODULUS)].concat() {
            return Err(CeremonyFileError::Curve.into());
        }
        for (what, expected, found) in [
            ("columns", r1cs.instances + r1cs.witnesses, &counts[0..4]),
            ("public inputs", r1cs.instances - 1, &counts[4..8]),
            ("rows of the domain", domain, &counts[8..12]),
        ] {
            expect(what, expected as u64, little_endian(found))?;
        }
        let part = |at: usize, len: usize| &points[at..at + len];
        let in_g1 = |at| one(g1("the header", part(at, G1_BYTES)));
        let in_g2 = |at| one(g2("the header", part(at, G2_BYTES)));
        let fixed = Self {
            alpha_g1: in_g1(0)?,
            beta_g1: in_g1(64)?,
            beta_g2: in_g2(128)?,
            gamma_g2: in_g2(256)?,
            delta_g1: in_g1(384)?,
            delta_g2: in_g2(448)?,
        };
        let generators = (G1Affine::generator(), G2Affine::generator());
        for (what, in_g1, in_g2) in
            [("beta", fixed.beta_g1, fixed.beta_g2), ("delta", fixed.delta_g1, fixed.delta_g2)]
        {
            if !same_ratio([generators.0, in_g1], [generators.1, in_g2]) {
                return Err(ZkeyError::TwoNumbers { what });
            }
        }
        Ok(fixed)
    }

    fn check_delta(&self, transcript: &Transcript) -> Result<(), ZkeyError> {
        match transcript.delta() {
            None => Err(ZkeyError::NoContribution),
            Some(delta) if delta == self.delta_g1 => Ok(()),
            Some(_) => Err(ZkeyError::Delta { contributions: transcript.len() }),
        }
    }
}

/// Holds the file's matrices against the circuit's, cell by cell. No proof needs them; but a prover
/// that takes its rows from this file would prove another statement, and whoever made the file from
/// another circuit is told so here and not by the first proof that fails.
fn compare_matrices<R: Read + Seek>(file: &mut Sections<R>, r1cs: &R1cs) -> Result<(), ZkeyError> {
    let expected = zkey_coefficients(r1cs);
    let cells = |bytes: u64| bytes.saturating_sub(4) / CELL as u64;
    let (wanted, there) = (expected.len() as u64, file.bytes(4)?);
    expect("cells of the matrices", cells(wanted), cells(there))?;
    let found = file.read(4, "bytes of the matrices", wanted)?;
    expect("count of the cells", little_endian(&expected[..4]), little_endian(&found[..4]))?;
    let (expected, _) = expected[4..].as_chunks::<CELL>();
    let (found, _) = found[4..].as_chunks::<CELL>();
    match expected.iter().zip(found).position(|(expected, found)| expected != found) {
        None => Ok(()),
        Some(index) => {
            let (expected, found) = (cell(&expected[index]), cell(&found[index]));
            Err(ZkeyError::Circuit { index, expected, found })
        }
    }
}

/// A cell for a person; its factor as the file has it, times 2^512.
fn cell(bytes: &[u8; CELL]) -> String {
    let matrix = match little_endian(&bytes[..4]) {
        0 => "A",
        1 => "B",
        _ => "no matrix",
    };
    let (row, column) = (little_endian(&bytes[4..8]), little_endian(&bytes[8..12]));
    format!("{} at row {row}, column {column} of {matrix}", hex::encode(&bytes[12..]))
}

fn read_g1<R: Read + Seek>(
    file: &mut Sections<R>,
    section: u32,
    what: &'static str,
    count: usize,
) -> Result<Vec<G1Affine>, CeremonyFileError> {
    g1(what, &file.read(section, what, (count * G1_BYTES) as u64)?)
}

fn read_g2<R: Read + Seek>(
    file: &mut Sections<R>,
    section: u32,
    what: &'static str,
    count: usize,
) -> Result<Vec<G2Affine>, CeremonyFileError> {
    g2(what, &file.read(section, what, (count * G2_BYTES) as u64)?)
}

fn one<P: Copy>(points: Result<Vec<P>, CeremonyFileError>) -> Result<P, CeremonyFileError> {
    points.map(|points| points[0])
}

pub(super) fn field(modulus: impl BigInteger) -> Vec<u8> {
    let modulus = modulus.to_bytes_le();
    [&(modulus.len() as u32).to_le_bytes(), modulus.as_slice()].concat()
}

/// A number of at most 8 bytes.
pub(super) fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
