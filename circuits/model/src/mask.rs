//! What a rule or claim is about: categories, purposes, kinds and labels, as sets of bits.

use std::fmt;

use thiserror::Error;

/// A set or code that the system does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MaskError {
    /// A bit without meaning is set.
    #[error("expected {what} within the mask {allowed:#x}, found {found:#x}")]
    UnknownBits {
        /// Which set.
        what: &'static str,
        /// Bits that have a meaning or may get one.
        allowed: u64,
        /// Bits found.
        found: u64,
    },
    /// A name that stands for no member.
    #[error("expected one of the {what} {expected}, found {found:?}")]
    UnknownName {
        /// Which set.
        what: &'static str,
        /// The names known.
        expected: String,
        /// What was given.
        found: String,
    },
}

macro_rules! members {
    (
        $(#[$doc:meta])* $one:ident, $(#[$set_doc:meta])* $set:ident, $repr:ty, $bits:literal,
        $what:literal,
        { $($(#[$variant_doc:meta])* $variant:ident = $bit:literal, $name:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $one { $($(#[$variant_doc])* $variant,)* }

        impl $one {
            /// Every member that has a name, in bit order.
            pub const ALL: &'static [$one] = &[$($one::$variant,)*];

            /// The member's bit number.
            pub const fn bit(self) -> u32 {
                match self { $($one::$variant => $bit,)* }
            }

            /// The name used on command lines and in reports.
            pub const fn name(self) -> &'static str {
                match self { $($one::$variant => $name,)* }
            }

            /// Parses [`Self::name`].
            ///
            /// # Errors
            /// [`MaskError::UnknownName`] that lists the names.
            pub fn from_name(name: &str) -> Result<$one, MaskError> {
                $one::ALL.iter().copied().find(|one| one.name() == name).ok_or_else(|| {
                    let names: Vec<_> = $one::ALL.iter().map(|one| one.name()).collect();
                    let (expected, found) = (names.join(", "), name.to_owned());
                    MaskError::UnknownName { what: $what, expected, found }
                })
            }

            /// The set with this member only.
            pub const fn only(self) -> $set {
                $set(1 << self.bit())
            }
        }

        $(#[$set_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $set($repr);

        impl $set {
            /// Bits of the set.
            pub const BITS: u32 = $bits;
            /// No member: matches nothing.
            pub const NONE: $set = $set(0);
            /// Every bit, also those that get a meaning later.
            // In 64 bits: categories fill their type, and a shift by all of it would overflow.
            pub const ALL: $set = $set(((1u64 << $bits) - 1) as $repr);

            /// Checks that no bit beyond the width is set.
            ///
            /// # Errors
            /// [`MaskError::UnknownBits`] otherwise.
            pub fn from_bits(bits: u64) -> Result<$set, MaskError> {
                // Bits without a name yet pass: a patient may allow all, also what comes later.
                let allowed = (1u64 << $bits) - 1;
                if bits & !allowed != 0 {
                    return Err(MaskError::UnknownBits { what: $what, allowed, found: bits });
                }
                Ok($set(bits as $repr))
            }

            /// The bits.
            pub const fn bits(self) -> u64 {
                self.0 as u64
            }

            /// The union of both.
            pub const fn with(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }

            /// Whether the set has no member.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether every member of `other` is in this set.
            pub const fn contains(self, other: $set) -> bool {
                // True of an empty `other`, too, which is why a claim must name something (C2.8).
                other.0 & !self.0 == 0
            }

            /// Whether the two share a member.
            pub const fn overlaps(self, other: $set) -> bool {
                self.0 & other.0 != 0
            }
        }

        impl FromIterator<$one> for $set {
            fn from_iter<I: IntoIterator<Item = $one>>(members: I) -> $set {
                members.into_iter().fold($set::NONE, |set, one| set.with(one.only()))
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($set), "({:#x})"), self.0)
            }
        }
    };
}

members!(
    /// A consent category of vitals. Derived from a signal's code, never sent by a gateway.
    Category,
    /// A set of categories: 32 bits, of which the unnamed are reserved.
    Categories, u32, 32, "categories", {
        /// Heart and pulse rate.
        HeartRate = 0, "heart-rate";
        /// Electrocardiogram waveforms.
        Ecg = 1, "ecg";
        /// Photoplethysmogram waveforms.
        Ppg = 2, "ppg";
        /// Oxygen saturation.
        Spo2 = 3, "spo2";
        /// Blood pressure.
        BloodPressure = 4, "blood-pressure";
        /// Respiration rate and waveforms.
        Respiration = 5, "respiration";
        /// Body temperature.
        Temperature = 6, "temperature";
        /// Blood glucose.
        Glucose = 7, "glucose";
        /// Activity, steps, posture.
        Activity = 8, "activity";
        /// Sleep.
        Sleep = 9, "sleep";
        /// Weight and body composition.
        Weight = 10, "weight";
    }
);

members!(
    /// Why data is used: a v3-ActReason purpose of use.
    Purpose,
    /// A set of purposes: 16 bits, of which the unnamed are reserved.
    Purposes, u16, 16, "purposes", {
        /// TREAT.
        Treatment = 0, "treatment";
        /// ETREAT.
        EmergencyTreatment = 1, "emergency-treatment";
        /// HPAYMT.
        Payment = 2, "payment";
        /// HOPERAT.
        Operations = 3, "operations";
        /// HRESCH.
        Research = 4, "research";
        /// PATRQT.
        PatientRequest = 5, "patient-request";
        /// PUBHLTH.
        PublicHealth = 6, "public-health";
    }
);

members!(
    /// What is claimed: an access, a collection, or an access that breaks the glass.
    ClaimKind,
    /// A set of kinds: 3 bits.
    ClaimKinds, u8, 3, "kinds", {
        /// Data is read by somebody under a permit.
        Access = 0, "access";
        /// Data is taken from a device and stored under a permit.
        Collect = 1, "collect";
        /// Data is read in an emergency under a break-glass policy.
        BreakGlass = 2, "break-glass";
    }
);

members!(
    /// How sensitive data is: a confidentiality or sensitivity label.
    Label,
    /// A set of labels: 8 bits, of which the unnamed are reserved.
    Labels, u8, 8, "labels", {
        /// N: normal.
        Normal = 0, "normal";
        /// R: restricted.
        Restricted = 1, "restricted";
        /// PSY: psychiatry.
        Psychiatry = 2, "psychiatry";
        /// ETH: substance use.
        SubstanceUse = 3, "substance-use";
        /// HIV.
        Hiv = 4, "hiv";
        /// SDV: sexual and domestic violence.
        DomesticViolence = 5, "domestic-violence";
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_its_own_bit_and_name() {
        for (i, one) in Category::ALL.iter().enumerate() {
            assert_eq!(one.bit() as usize, i);
            assert_eq!(Category::from_name(one.name()), Ok(*one));
        }
        let unknown = Purpose::from_name("curiosity").unwrap_err().to_string();
        assert!(unknown.starts_with("expected one of the purposes treatment, "), "{unknown}");
        assert!(unknown.ends_with("found \"curiosity\""), "{unknown}");
    }

    #[test]
    fn an_empty_set_contains_nothing_but_itself() {
        assert!(ClaimKinds::NONE.contains(ClaimKinds::NONE));
        assert!(!ClaimKinds::NONE.contains(ClaimKind::Access.only()));
        assert!(!Labels::NONE.overlaps(Labels::ALL));
        assert!(ClaimKinds::from_bits(8).is_err());
    }
}
