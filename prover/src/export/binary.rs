//! What the binary formats have in common: sections behind a magic, fields and counts.

use ark_ff::{BigInteger, PrimeField};

/// Assembles a file of numbered sections.
pub(super) fn sections(magic: &[u8; 4], version: u32, sections: &[&[u8]]) -> Vec<u8> {
    // The exact size, since a section may be secret and a vector that grows leaves a copy behind.
    let bytes: usize = sections.iter().map(|section| section.len() + 12).sum();
    let mut file = Vec::with_capacity(bytes + 12);
    file.extend(magic);
    file.extend(version.to_le_bytes());
    file.extend((sections.len() as u32).to_le_bytes());
    for (number, section) in (1u32..).zip(sections) {
        file.extend(number.to_le_bytes());
        file.extend((section.len() as u64).to_le_bytes());
        file.extend_from_slice(section);
    }
    file
}

/// The size and value of a field's modulus, as every header has it.
pub(super) fn push_field<F: PrimeField>(bytes: &mut Vec<u8>) {
    let modulus = F::MODULUS.to_bytes_le();
    bytes.extend((modulus.len() as u32).to_le_bytes());
    bytes.extend(modulus);
}

/// A count of these formats, which is 32 bits wide. Domains end at 2^27 rows, far below.
pub(super) fn push_count(bytes: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("the domain bounds every count below 2^32");
    bytes.extend(count.to_le_bytes());
}
