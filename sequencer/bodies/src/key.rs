//! A key, whose it is, and when it is used.

use std::fmt;

use aws_lc_rs::error::Unspecified;
use model::PatientIndex;
use zeroize::Zeroizing;

use crate::medium::KeyMedium;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;

/// A span of time in which one key a patient is used. Numbers ascend and are never used again, also
/// where how long one lasts was changed: a body names its epoch, and nobody computes it from times.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct BodyEpoch(pub u32);

impl BodyEpoch {
    /// The highest that is read: one a second for 68 years, so that behind each there is another.
    const MOST: u32 = 1 << 31;

    /// That of this number, if a folder may have come to it.
    pub(crate) fn read(number: u32) -> Option<BodyEpoch> {
        (number <= Self::MOST).then_some(BodyEpoch(number))
    }
}

/// Names a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyId {
    /// When.
    pub epoch: BodyEpoch,
    /// Whose readings it seals.
    pub patient: PatientIndex,
}

/// 32 random bytes, zeroised when dropped. In a box, so that whatever moves it, a list that grows
/// or a map, moves a pointer and leaves no copy behind.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct BodyKey(pub(crate) Box<Zeroizing<[u8; KEY_BYTES]>>);

impl BodyKey {
    /// Filled in its place.
    pub(crate) fn filled<E>(
        fill: impl FnOnce(&mut [u8; KEY_BYTES]) -> Result<(), E>,
    ) -> Result<BodyKey, E> {
        let mut key = Box::new(Zeroizing::new([0; KEY_BYTES]));
        fill(&mut key)?;
        Ok(BodyKey(key))
    }

    pub(crate) fn draw(medium: &dyn KeyMedium) -> Result<BodyKey, Unspecified> {
        BodyKey::filled(|key| medium.draw(key))
    }

    /// These bytes, if they are as many.
    pub(crate) fn of_slice(bytes: &[u8]) -> Option<BodyKey> {
        let filled = BodyKey::filled(|key| {
            let fits = bytes.len() == key.len();
            if fits {
                key.copy_from_slice(bytes)
            }
            fits.then_some(()).ok_or(())
        });
        filled.ok()
    }
}

/// A secret as every one of a node is written: its digits in one line. At its whole length from the
/// start: what a growing one leaves behind is not zeroised.
pub(crate) fn line(secret: &[u8]) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex::encode(secret));
    let mut line = Zeroizing::new(String::with_capacity(digits.len() + 1));
    line.push_str(&digits);
    line.push('\n');
    line
}

/// Hides it.
impl fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyKey(..)")
    }
}
