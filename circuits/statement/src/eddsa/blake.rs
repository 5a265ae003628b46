//! BLAKE-512, the SHA-3 finalist (not BLAKE2), which circomlibjs derives keys and nonces with.
//!
//! Published specification: "SHA-3 proposal BLAKE", version 1.3, section 2.2. Without salt.

const INITIAL: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

const PI: [u64; 16] = [
    0x243f6a8885a308d3,
    0x13198a2e03707344,
    0xa4093822299f31d0,
    0x082efa98ec4e6c89,
    0x452821e638d01377,
    0xbe5466cf34e90c6c,
    0xc0ac29b7c97c50dd,
    0x3f84d5b5b5470917,
    0x9216d5d98979fb1b,
    0xd1310ba698dfb5ac,
    0x2ffd72dbd01adfb7,
    0xb8e1afed6a267e96,
    0xba7c9045f12c7f99,
    0x24a19947b3916cf7,
    0x0801f2e2858efc16,
    0x636920d871574e69,
];

const ORDER: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// The four words of each mixing step: columns, then diagonals.
const LANES: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
];

const ROUNDS: usize = 16;
const BLOCK: usize = 128;

/// The 64-byte digest of `message`.
pub(super) fn blake512(message: &[u8]) -> [u8; 64] {
    // Wiped, because the message is a secret key or what its nonces come from.
    let mut padded = zeroize::Zeroizing::new(pad(message));
    let mut state = INITIAL;
    for (index, block) in padded.chunks_exact_mut(BLOCK).enumerate() {
        let before = index * BLOCK;
        let bits = match before < message.len() {
            true => message.len().min(before + BLOCK) as u128 * 8,
            // A block of padding alone counts as the start.
            false => 0,
        };
        compress(&mut state, block, bits);
    }
    let mut digest = [0; 64];
    for (bytes, word) in digest.chunks_exact_mut(8).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// A one bit, zeros, a one bit and the length in bits, to whole blocks.
fn pad(message: &[u8]) -> Vec<u8> {
    let blocks = (message.len() + 17).div_ceil(BLOCK);
    let mut padded = vec![0; blocks * BLOCK];
    padded[..message.len()].copy_from_slice(message);
    padded[message.len()] |= 0x80;
    let length = blocks * BLOCK - 16;
    // Both bits may fall into one byte, hence or and not assignment.
    padded[length - 1] |= 0x01;
    padded[length..].copy_from_slice(&(message.len() as u128 * 8).to_be_bytes());
    padded
}

fn compress(state: &mut [u64; 8], block: &[u8], bits: u128) {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(8)) {
        *word = u64::from_be_bytes(bytes.try_into().expect("chunks of eight bytes"));
    }
    let mut v = [0; 16];
    v[..8].copy_from_slice(state);
    v[8..].copy_from_slice(&PI[..8]);
    for (place, counter) in [(12, bits), (13, bits), (14, bits >> 64), (15, bits >> 64)] {
        v[place] ^= counter as u64;
    }
    for round in 0..ROUNDS {
        // Sixteen rounds and ten orders: the last six begin the table again.
        let order = &ORDER[round % ORDER.len()];
        for (lane, pair) in LANES.iter().zip(order.as_chunks::<2>().0) {
            mix(&mut v, lane, &words, pair);
        }
    }
    for (place, word) in v.into_iter().enumerate() {
        state[place % 8] ^= word;
    }
}

fn mix(v: &mut [u64; 16], &[a, b, c, d]: &[usize; 4], words: &[u64; 16], &[i, j]: &[usize; 2]) {
    for (word, constant, first, second) in [(words[i], PI[j], 32, 25), (words[j], PI[i], 16, 11)] {
        v[a] = v[a].wrapping_add(v[b]).wrapping_add(word ^ constant);
        v[d] = (v[d] ^ v[a]).rotate_right(first);
        v[c] = v[c].wrapping_add(v[d]);
        v[b] = (v[b] ^ v[c]).rotate_right(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{primitives, text};

    #[test]
    fn digests_equal_those_of_the_wallets_library_around_every_block_edge() {
        for case in primitives()["blake512"].as_array().expect("a list") {
            let input = hex::decode(text(&case["input"])).expect("hex");
            assert_eq!(hex::encode(blake512(&input)), text(&case["digest"]));
        }
    }
}
