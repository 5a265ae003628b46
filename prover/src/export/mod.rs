//! Circuits, assignments, keys and proofs in the formats of iden3, so that snarkjs and rapidsnark
//! can prove with our keys, verify our proofs, and run a ceremony for our circuits.
//!
//! The binary formats are sections behind a magic; the layouts are those of
//! [r1csfile](https://github.com/iden3/r1csfile/blob/master/doc/r1cs_bin_format.md) and of snarkjs
//! 0.7.6 (`src/zkey_utils.js`, `src/wtns_utils.js`). Each function returns the whole file, which is
//! as large as the thing exported.

mod json;
mod r1cs;
mod wtns;
mod zkey;

use ark_ff::{BigInteger, PrimeField};

pub use json::{
    JsonError, proof_json, public_json, read_proof, read_public, read_verification_key,
    verification_key_json,
};
pub use r1cs::r1cs;
pub use wtns::{WtnsError, read_wtns, wtns};
pub use zkey::zkey;

/// Assembles a file of numbered sections.
fn sections(magic: &[u8; 4], version: u32, sections: &[Vec<u8>]) -> Vec<u8> {
    let bytes: usize = sections.iter().map(|section| section.len() + 12).sum();
    let mut file = Vec::with_capacity(bytes + 12);
    file.extend(magic);
    file.extend(version.to_le_bytes());
    file.extend((sections.len() as u32).to_le_bytes());
    for (number, section) in (1u32..).zip(sections) {
        file.extend(number.to_le_bytes());
        file.extend((section.len() as u64).to_le_bytes());
        file.extend(section);
    }
    file
}

/// The size and value of a field's modulus, as every header has it.
fn push_field<F: PrimeField>(bytes: &mut Vec<u8>) {
    let modulus = F::MODULUS.to_bytes_le();
    bytes.extend((modulus.len() as u32).to_le_bytes());
    bytes.extend(modulus);
}

/// A count of these formats, which is 32 bits wide. Domains end at 2^27 rows, far below.
fn push_count(bytes: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("the domain bounds every count below 2^32");
    bytes.extend(count.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProvingKey;
    use crate::sample::chain;

    /// The numbered sections of a file, read back the slow and obvious way.
    fn parse(file: &[u8]) -> Vec<(u32, &[u8])> {
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
        let (mut at, mut found) = (12, Vec::new());
        for _ in 0..number(8) {
            let len = u64::from_le_bytes(file[at + 4..at + 12].try_into().expect("8 bytes"));
            let end = at + 12 + len as usize;
            found.push((number(at), &file[at + 12..end]));
            at = end;
        }
        assert_eq!(at, file.len(), "nothing follows the last section");
        found
    }

    #[test]
    fn binary_files_are_the_sections_that_their_sizes_ask_for() {
        let (matrices, assignment) = chain(10, 5);
        let key = ProvingKey::dev_insecure(&matrices).expect("small");
        let lens = |file: &[u8]| parse(file).iter().map(|(_, body)| body.len()).collect::<Vec<_>>();
        let cells = |rows: &[circuits::builder::Row]| rows.iter().map(Vec::len).sum::<usize>();
        let [a, b, c] = [&matrices.a, &matrices.b, &matrices.c].map(|rows| cells(rows));
        let constraints = 10 * 3 * 4 + 36 * (a + b + c);
        assert_eq!(lens(&r1cs(&matrices)), [4 + 32 + 4 * 4 + 8 + 4, constraints, 12 * 8]);
        assert_eq!(lens(&wtns(&assignment)), [4 + 32 + 4, 12 * 32]);
        let file = zkey(&key, &matrices);
        let header = 2 * 36 + 3 * 4 + 3 * 64 + 3 * 128;
        let queries = [12 * 64, 12 * 64, 12 * 128, 9 * 64, 16 * 64];
        let mut expected = vec![4, header, 3 * 64, 4 + (a + b + 3) * 44];
        expected.extend(queries);
        expected.push(64 + 4);
        assert_eq!(lens(&file), expected);
        assert!(parse(&file).iter().map(|(number, _)| *number).eq(1..=10));
    }
}
