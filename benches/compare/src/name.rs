//! The names of what can be measured.

use std::fmt;
use std::str::FromStr;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// This project's engine for processors with eight-way multiplication, with its tables: as it
    /// proves in a node that has run for minutes.
    Accelerated,
    /// The same without tables: as it makes its first proofs.
    AcceleratedFirst,
    /// This project's engine for every processor.
    Portable,
    /// Not a prover: the products of the matrices with the witness, which the own engines are given
    /// and every other prover makes. They are added to the figures of the own engines.
    Products,
    /// ark-groth16, given matrices and witness.
    ArkGroth16,
    /// taceo-groth16.
    TaceoGroth16,
    /// snarkrs-groth16 on its CPU backend.
    SnarkrsGroth16,
    /// snarkjs, as a program of node.
    Snarkjs,
    /// rapidsnark, as a program.
    Rapidsnark,
    /// The sketch that this project's engine began with, as a program.
    Sketch,
}

impl Name {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Name; 10] = [
        Name::Accelerated,
        Name::AcceleratedFirst,
        Name::Portable,
        Name::Products,
        Name::ArkGroth16,
        Name::TaceoGroth16,
        Name::SnarkrsGroth16,
        Name::Snarkjs,
        Name::Rapidsnark,
        Name::Sketch,
    ];

    /// As it is written.
    fn text(self) -> &'static str {
        match self {
            Name::Accelerated => "accelerated",
            Name::AcceleratedFirst => "accelerated_first",
            Name::Portable => "portable",
            Name::Products => "products",
            Name::ArkGroth16 => "ark_groth16",
            Name::TaceoGroth16 => "taceo_groth16",
            Name::SnarkrsGroth16 => "snarkrs_groth16",
            Name::Snarkjs => "snarkjs",
            Name::Rapidsnark => "rapidsnark",
            Name::Sketch => "sketch",
        }
    }

    /// Whether the prover is this project's.
    pub(crate) fn is_own(self) -> bool {
        matches!(self, Name::Accelerated | Name::AcceleratedFirst | Name::Portable)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Name::ALL.into_iter().find(|name| name.text() == text).ok_or_else(|| {
            let known = Name::ALL.map(Name::text);
            format!("expected one of {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_another_is_refused() {
        for name in Name::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        let refused = "groth16".parse::<Name>().expect_err("no prover");
        assert!(refused.contains("ark_groth16"), "{refused}");
    }
}
