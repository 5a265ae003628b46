//! Who and what: numbers and names that identify, each its own type.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::digits::whole_number;

/// An id that is out of range or malformed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// A number at or above its limit.
    #[error("expected a {what} below {limit}, found {found}")]
    OutOfRange {
        /// What the number stands for.
        what: &'static str,
        /// First value that is too large.
        limit: u64,
        /// Value found.
        found: u64,
    },
    /// A text that is no such number. Without the text: it may name somebody.
    #[error(
        "expected a {what} below {limit} in digits, without a sign or a zero before them, found \
         another text"
    )]
    NotDigits {
        /// What the number stands for.
        what: &'static str,
        /// First value that is too large.
        limit: u64,
    },
    /// A name that is empty, too long, or has a character outside `a-z 0-9 . _ -`.
    #[error("expected a {what} of 1 to {max} characters a-z, 0-9, '.', '_' or '-', found {found}")]
    BadName {
        /// What the name stands for.
        what: &'static str,
        /// Longest name allowed.
        max: usize,
        /// What is wrong: a length or a character class, never the name.
        found: String,
    },
}

/// The leaf index of a patient, below 2^24: the only name a patient has in the system.
///
/// `Debug` hides it: it is a pseudonym, and logs are not the place for pseudonyms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatientIndex(u32);

/// What the errors call it, and the first number that is none.
const PATIENT: &str = "patient index";
const PATIENTS: u64 = 1 << PatientIndex::BITS;

impl PatientIndex {
    /// Bits of an index: eight levels of an 8-ary tree.
    pub const BITS: u32 = 24;

    /// Checks the range.
    ///
    /// # Errors
    /// [`IdError::OutOfRange`] from 2^24 on.
    pub const fn new(index: u32) -> Result<PatientIndex, IdError> {
        if index >> PatientIndex::BITS == 0 {
            return Ok(PatientIndex(index));
        }
        Err(IdError::OutOfRange { what: PATIENT, limit: PATIENTS, found: index as u64 })
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// From its digits alone: an index has one text, since texts are compared, too.
///
/// ```
/// use model::PatientIndex;
///
/// assert_eq!("7".parse(), PatientIndex::new(7));
/// assert!(["+7", "007", "16777216"].iter().all(|text| text.parse::<PatientIndex>().is_err()));
/// ```
impl FromStr for PatientIndex {
    type Err = IdError;

    fn from_str(text: &str) -> Result<PatientIndex, IdError> {
        let wrong = IdError::NotDigits { what: PATIENT, limit: PATIENTS };
        PatientIndex::new(whole_number(text).ok_or(wrong)?)
    }
}

impl fmt::Debug for PatientIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PatientIndex(..)")
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);
    };
}

number!(
    /// Number of a batch; the first is 1, 0 stands for genesis.
    BatchNumber
);
number!(
    /// Index of an entry over the whole journal; the first is 1. Never reused.
    Position
);
number!(
    /// Number of a frame within (gateway, stream, epoch); the first is 1, without holes.
    Sequence
);

/// Session-local number of an open stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamHandle(pub u32);

/// Restart counter of a stream: a gateway that lost its sequence begins a new epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EpochNumber(pub u16);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// Clones share the name: it goes along with every frame.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks length (1 to 64) and characters (`a-z 0-9 . _ -`).
            ///
            /// # Errors
            /// [`IdError::BadName`] otherwise.
            pub fn new(name: &str) -> Result<$name, IdError> {
                check_name($what, name).map(|()| $name(name.into()))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

const NAME_CHARS_MAX: usize = 64;

fn check_name(what: &'static str, name: &str) -> Result<(), IdError> {
    let bad = |found: String| Err(IdError::BadName { what, max: NAME_CHARS_MAX, found });
    if name.is_empty() || name.len() > NAME_CHARS_MAX {
        return bad(format!("{} bytes", name.len()));
    }
    // No capital letters: two names that differ in case alone would be two actors to the system and
    // one to people.
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
    if !name.bytes().all(allowed) {
        return bad("another character".to_owned());
    }
    Ok(())
}

name!(
    /// A gateway: the common name of its certificate.
    GatewayId, "gateway id"
);
name!(
    /// An organisation that owns gateways and employs practitioners.
    OrganisationId, "organisation id"
);
name!(
    /// A practitioner who asks for access.
    PractitionerId, "practitioner id"
);
name!(
    /// A wallet: the common name of the certificate of whoever hands in patients' operations.
    WalletId, "wallet id"
);
name!(
    /// An operator: the common name of the certificate of whoever hands in enrolments.
    OperatorId, "operator id"
);
name!(
    /// A device that produces readings.
    DeviceId, "device id"
);

/// A blake3 digest cut to 31 bytes, so that it is always below the field's order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 31]);

impl Digest {
    /// The digest as a field word.
    pub fn word(&self) -> crate::Word {
        let mut bytes = [0; 32];
        bytes[1..].copy_from_slice(&self.0);
        // 31 bytes are below 2^248, hence below the modulus: the fallback is unreachable.
        crate::Word::from_bytes(bytes).unwrap_or(crate::Word::ZERO)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// Which settlement contract on which chain: what every signature and proof is bound to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ChainScope {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Address of the settlement contract.
    pub contract: [u8; 20],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_24_bits_is_the_last() {
        assert!(PatientIndex::new((1 << 24) - 1).is_ok());
        assert!(PatientIndex::new(1 << 24).is_err());
        assert_eq!(format!("{:?}", PatientIndex(7)), "PatientIndex(..)");
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(GatewayId::new("gw-01.ward_3").is_ok());
        for bad in ["", "UPPER", "a b", &"x".repeat(65), "caf\u{e9}"] {
            assert!(DeviceId::new(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
