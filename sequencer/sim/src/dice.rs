//! Numbers drawn from a seed: whatever is drawn for one purpose does not move what is drawn for
//! another, so that a fault more leaves the rest of a run as it was.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// 32 bytes of a seed for one purpose.
pub(crate) fn bytes(seed: u64, purpose: &str) -> [u8; 32] {
    let mut hash = blake3::Hasher::new_derive_key("vitals simulation dice");
    hash.update(&seed.to_le_bytes());
    hash.update(purpose.as_bytes());
    *hash.finalize().as_bytes()
}

/// Dice of a seed for one purpose.
pub(crate) fn dice(seed: u64, purpose: &str) -> StdRng {
    StdRng::from_seed(bytes(seed, purpose))
}

/// Whether something happens that happens in so many of a hundred cases.
pub(crate) fn one_of_hundred(dice: &mut StdRng, percent: u32) -> bool {
    dice.gen_range(0..100) < percent
}
