//! A key, whose it is, and when it is used.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use model::PatientIndex;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// A span of time in which one key a patient is used. Numbers ascend and are never used again, also
/// where how long one lasts was changed: a body names its epoch, and nobody computes it from times.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BodyEpoch(pub u32);

/// Names a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyId {
    /// When.
    pub epoch: BodyEpoch,
    /// Whose readings it seals.
    pub patient: PatientIndex,
}

/// 32 random bytes, zeroised when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BodyKey(pub(crate) Zeroizing<[u8; KEY_BYTES]>);

impl BodyKey {
    pub(crate) fn draw() -> Result<BodyKey, Unspecified> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(key.as_mut_slice())?;
        Ok(BodyKey(key))
    }
}

/// Hides it.
impl fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyKey(..)")
    }
}
