//! What the settlement contract says when it refuses, for people.
//!
//! Names, signatures and selectors come from the committed artefact; the meaning is the sentence of
//! the contract's NatSpec, which a test compares.

use alloy::sol_types::SolError;

use crate::bindings::Settlement;

/// A custom error of the settlement contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContractError {
    /// Its name in Solidity.
    pub name: &'static str,
    /// Name and parameter types, as the selector hashes them.
    pub signature: &'static str,
    /// The first four bytes of the revert's data.
    pub selector: [u8; 4],
    /// What it says: the sentence of its NatSpec.
    pub meaning: &'static str,
    /// What to do about it, in one sentence.
    pub remedy: &'static str,
}

impl ContractError {
    /// The error that a revert's data begins with; `None` if it is none of [`ALL`].
    pub fn of_revert(revert: &[u8]) -> Option<&'static ContractError> {
        // Shorter data names no error: an empty revert, or gas that ran out.
        let selector = revert.first_chunk::<4>()?;
        ALL.iter().find(|error| error.selector == *selector)
    }
}

/// Lists errors; the compiler finds signature and selector by the name.
macro_rules! errors {
    ($($name:ident: $meaning:literal, $remedy:literal;)*) => {
        &[$(ContractError {
            name: stringify!($name),
            signature: <Settlement::$name as SolError>::SIGNATURE,
            selector: <Settlement::$name as SolError>::SELECTOR,
            meaning: $meaning,
            remedy: $remedy,
        },)*]
    };
}

/// Every error that a deployment or a call of `settle` can end with, in the order of the sources.
pub const ALL: &[ContractError] = errors! {
    NotSequencer: "Only the sequencer settles.",
        "Settle with the account that the deployment file names as sequencer.";
    NoBatches: "There is nothing to settle.",
        "Send at least one batch in a call of settle.";
    WrongVersion: "The header's layout is not the one this contract reads.",
        "Run the release of the sequencer that this contract was deployed with.";
    WrongKeyVersion: "The circuits' version is not the one this contract proves against.",
        "Run the release of the sequencer that this contract was deployed with.";
    NotSupported:
        "A word asks for something this contract does not do; `word` is its name in ASCII.",
        "Leave that word at zero: this contract has no such feature.";
    WrongNumber: "The number is not the successor of the last one.",
        "Read the contract's state again and settle the batch after its last one.";
    WrongPrevious: "The previous hash is not that of the last header.",
        "Check that node and deployment file belong to this contract: the node's batches continue \
         another row of headers.";
    WrongStart: "The window does not start where the last one ended.",
        "Check that node and deployment file belong to this contract: its last window ended at \
         another time.";
    EmptyWindow: "The window is empty or runs backwards.",
        "Check the clock of the node that closed the batch, and report a fault of the sequencer.";
    WindowTooLong: "The window is longer than `WINDOW_MAX`.",
        "Report a fault of the sequencer, which splits longer windows before it closes them.";
    WindowNotOver: "The window ends after the block's time.",
        "Wait for a later block, and check the node's clock if it runs ahead of the chain.";
    WrongRootIn: "The batch does not start from the stored root.",
        "Check that node and deployment file belong to this contract: its consent root is another.";
    JournalWentBack: "The journal would lose positions.",
        "Check that the node runs on its newest journal and not on an older copy.";
    JournalRanAhead: "The journal would advance by 2^28 positions or more.",
        "Report a fault of the sequencer, which closes a window before it holds so many entries.";
    WrongRootOut:
        "The last chunk's root (the root in, without chunks) is not the header's root out.",
        "Report a fault of the sequencer: its chunks do not make its header.";
    WrongTotal: "A header's counter is not the sum of its chunks' counters.",
        "Report a fault of the sequencer: its chunks do not make its header.";
    WrongCommitment: "A header's commitment is not the one over its chunks' roots.",
        "Report a fault of the sequencer: its chunks do not make its header.";
    OutOfRange: "A word is not below its limit.",
        "Correct the word: at deployment it is the configuration's, in a batch a fault of the \
         sequencer.";
    NeedlessChunks: "There are chunks although nothing of their kind happened.",
        "Leave out the chunks of a circuit that has nothing to prove.";
    UnknownKey: "No accepted key has this id.",
        "Prove with the keys that the deployment file lists, or deploy a contract for these keys.";
    WrongCircuit: "The key is for another circuit than the chunk's place says.",
        "Report a fault of the sequencer: it proved a chunk under a key of the other circuit.";
    ZeroAddress: "An account that must be named is zero.",
        "Name the account in the deployment's configuration.";
    UnknownCircuit: "There is no circuit of this number.",
        "Give each key circuit 1 (operations) or 2 (claims).";
    NoKeyFor: "There must be a key for this circuit.",
        "Add a key of that circuit to the deployment.";
    WrongKeyLength: "The code of a key is not as long as its circuit needs, in bytes.",
        "Deploy the key's words again and give it the circuit it was made for.";
    KeyNotData: "The code of a key could run: it does not begin with STOP.",
        "Deploy the key's words with the KeyCode contract and give that address.";
    KeyWordNotInField: "A key's coordinate is not below the base field's modulus.",
        "Make or download the key again: its words are damaged.";
    KeyPointZero: "A point of a key, which starts at word `index`, is zero.",
        "Make or download the key again: its words are damaged.";
    KeyPointInvalid: "A point of a key is off its curve or, in G2, outside the group.",
        "Make or download the key again: its words are damaged.";
    GammaIsDelta: "The key's gamma is its delta, so inputs and witness are not kept apart.",
        "Discard the key and the ceremony that made it: proofs under it can be forged.";
    OtherSetup: "The key's alpha, beta or gamma are not those of the first key.",
        "Deploy with keys of one setup only.";
    DevelopmentKey:
        "A key with the public development alpha is offered on a chain that is not for it.",
        "Deploy with prover.setup = ceremony, or on a development chain (31337, 31338 or 1337).";
    DuplicateKey: "The same words are offered twice.",
        "List each key once.";
    NotAKey: "The code is no verifying key, by its length in bytes.",
        "Check the chain node: the contract accepted this key, and its code cannot change.";
    WrongInputs: "A proof comes with more or fewer inputs than its key has.",
        "Report a fault of the contract, which counts inputs by the key's circuit.";
    InputNotInField: "An input is not below the order of the scalar field.",
        "Report a fault of the sequencer: a root or commitment of a chunk is no field element.";
    KeysDoNotShareSetup: "Two keys do not share alpha, beta and gamma.",
        "Check the chain node: the contract accepts only keys of one setup.";
    MalformedPoint: "A or C of this proof is not on the curve, or a coordinate is not below p.",
        "Prove the batch again: the proof was damaged after the prover had verified it.";
    MalformedKey: "An input point of a key is not on the curve.",
        "Check the chain node: the contract checked this point at deployment.";
    MalformedTwistPoint: "The B of some proof is off the curve, outside the group, or not below p.",
        "Prove the batch again: the proof was damaged after the prover had verified it.";
    ProofsRejected: "Not all of these proofs hold.",
        "Check that chain id and contract are those that the proofs were made for, then prove the \
         batch again.";
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy::sol_types::SolInterface;

    use super::*;

    const SOURCES: [&str; 2] = [
        include_str!("../contracts/interfaces/ISettlement.sol"),
        include_str!("../contracts/Groth16Batch.sol"),
    ];

    /// The NatSpec sentence before each `error` of a source.
    fn natspec(source: &str) -> Vec<(&str, String)> {
        let (mut found, mut sentence) = (Vec::new(), String::new());
        for line in source.lines().map(str::trim) {
            if let Some(begin) = line.strip_prefix("/// @notice ") {
                sentence = begin.to_owned();
            } else if let Some(more) = line.strip_prefix("/// ") {
                sentence += &format!(" {more}");
            } else if let Some(error) = line.strip_prefix("error ") {
                let name = error.split('(').next().expect("a part before any");
                found.push((name, std::mem::take(&mut sentence)));
            }
        }
        found
    }

    #[test]
    fn every_error_of_the_abi_is_listed_once_and_no_other() {
        let mut listed: Vec<_> = ALL.iter().map(|error| error.selector).collect();
        listed.sort_unstable();
        let mut expected: Vec<_> = Settlement::SettlementErrors::selectors().collect();
        expected.sort_unstable();
        assert_eq!(listed, expected);
        for error in ALL {
            assert_eq!(error.signature.split('(').next(), Some(error.name));
            assert_eq!(alloy::primitives::keccak256(error.signature)[..4], error.selector);
        }
    }

    #[test]
    fn a_meaning_is_the_sentence_of_the_natspec() {
        let written: Vec<_> = SOURCES.into_iter().flat_map(natspec).collect();
        let listed: Vec<_> =
            ALL.iter().map(|error| (error.name, error.meaning.to_owned())).collect();
        assert_eq!(listed, written);
    }

    #[test]
    fn a_remedy_is_one_sentence() {
        let mut by_name = BTreeMap::new();
        for error in ALL {
            assert!(error.remedy.ends_with('.'), "{}", error.name);
            assert_eq!(error.remedy.matches(". ").count(), 0, "{}", error.name);
            assert!(by_name.insert(error.name, error.remedy).is_none(), "{}", error.name);
        }
    }

    #[test]
    fn a_revert_is_found_by_its_first_four_bytes() {
        let revert = Settlement::NoKeyFor { circuit: 2 }.abi_encode();
        assert_eq!(ContractError::of_revert(&revert).map(|error| error.name), Some("NoKeyFor"));
        assert_eq!(ContractError::of_revert(&[0; 4]), None);
        assert_eq!(ContractError::of_revert(&revert[..3]), None);
    }
}
