//! Circuits, assignments, keys and proofs in the formats of iden3, so that snarkjs and rapidsnark
//! can prove with our keys, verify our proofs, and run a ceremony for our circuits.
//!
//! The binary formats are sections behind a magic; the layouts are those of
//! [r1csfile](https://github.com/iden3/r1csfile/blob/master/doc/r1cs_bin_format.md) and of snarkjs
//! 0.7.6 (`src/zkey_utils.js`, `src/wtns_utils.js`). Each function returns the whole file, which is
//! as large as the thing exported.

mod binary;
mod json;
mod r1cs;
mod wtns;
mod zkey;

pub use json::{
    JsonError, proof_json, public_json, read_proof, read_public, read_verification_key,
    verification_key_json,
};
pub use r1cs::r1cs;
pub use wtns::{WtnsError, read_wtns, wtns};
pub(crate) use zkey::coefficients as zkey_coefficients;
pub use zkey::zkey;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProvingKey;
    use crate::sample::ladder;

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
        let (matrices, assignment) = ladder(10, 5);
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
