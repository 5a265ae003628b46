//! What binds words, signatures, headers and proofs to one deployment: actor words, the domains of
//! proofs and signatures, and the keccak hashes that the contract computes (SPEC.md sections 3, 7,
//! 8).

use ark_bn254::Fr;
use ark_ff::PrimeField;
use model::{
    BatchHeader, BatchNumber, ChainScope, DeviceId, Millis, OrganisationId, Party, PractitionerId,
    RequestWords, Word,
};
use sha3::{Digest as _, Keccak256};

use crate::domain::Domain;
use crate::field::{from_digest, from_u64, to_bytes, to_word};
use crate::{poseidon, tree};

/// What an actor word names; the number is hashed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ActorKind {
    /// An organisation.
    Organisation = 1,
    /// A practitioner.
    Practitioner = 2,
    /// A care team: practitioners of one ward or study (FHIR `CareTeam`).
    CareTeam = 3,
    /// A device, which is also a source.
    Device = 4,
}

/// Which statement a proof is of; the number is the contract's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Circuit {
    /// Operations move the root.
    C1 = 1,
    /// Claims are covered under the root.
    C2 = 2,
}

/// The word that rules and claims use for a registered `id`.
pub fn actor(kind: ActorKind, id: &str) -> Word {
    // The id has any length up to 64; its digest fits one field element.
    let name = from_digest(blake3::hash(id.as_bytes()).as_bytes());
    // With the kind, so that an organisation and a practitioner may be registered under one id.
    to_word(&poseidon::hash(Domain::Actor.tag(), &[from_u64(kind as u64), name]))
}

/// The word of an organisation.
pub fn organisation(id: &OrganisationId) -> Word {
    actor(ActorKind::Organisation, id.as_str())
}

/// The word of a practitioner.
pub fn practitioner(id: &PractitionerId) -> Word {
    actor(ActorKind::Practitioner, id.as_str())
}

/// The word of a device, as actor of a collection and as source of data.
pub fn device(id: &DeviceId) -> Word {
    actor(ActorKind::Device, id.as_str())
}

/// The words of a request to read, by whom it names; `device` is `None` for every device.
pub fn request_words(
    practitioner_id: &PractitionerId,
    organisation_id: &OrganisationId,
    device_id: Option<&DeviceId>,
) -> RequestWords {
    RequestWords {
        practitioner: practitioner(practitioner_id),
        organisation: organisation(organisation_id),
        source: source(device_id),
    }
}

/// Whose data is asked for: of one device, or of any.
pub fn source(id: Option<&DeviceId>) -> Party {
    id.map_or(Party::Any, |id| Party::Named(device(id)))
}

/// What binds a proof to this chain, contract, circuit, key version and batch.
pub fn domain(scope: ChainScope, circuit: Circuit, key_version: u32, batch: BatchNumber) -> Fr {
    // Whole words, as `abi.encode` lays them out: the contract computes the same hash.
    reduce(keccak(&[
        number(scope.chain_id),
        address(scope.contract),
        number(circuit as u64),
        number(u64::from(key_version)),
        number(batch.0),
    ]))
}

/// What every signed operation is bound to: this chain and contract.
pub fn sig_domain(scope: ChainScope) -> Fr {
    // Neither circuit nor batch: a signature holds for whichever batch takes the operation.
    let label = Keccak256::digest(b"vitals operation v1").into();
    reduce(keccak(&[label, number(scope.chain_id), address(scope.contract)]))
}

/// The hash that the contract keeps of a settled header.
pub fn header_hash(header: &BatchHeader) -> [u8; 32] {
    Keccak256::digest(header.to_bytes()).into()
}

/// What stands for the header before the first. Every deployment begins with the empty tree.
pub fn genesis_hash(scope: ChainScope, time: Millis) -> [u8; 32] {
    genesis_hash_of(scope, to_bytes(&tree::EMPTY_ROOT), time)
}

/// The formula alone: the vectors have roots that no deployment begins with.
fn genesis_hash_of(scope: ChainScope, root: [u8; 32], time: Millis) -> [u8; 32] {
    keccak(&[number(scope.chain_id), address(scope.contract), root, number(time.get())])
}

/// A header's operations or claims root from the roots of its chunks in order; zero for no chunk.
pub fn chunk_roots(roots: &[Fr]) -> [u8; 32] {
    match roots {
        [] => [0; 32],
        roots => keccak(&roots.iter().map(to_bytes).collect::<Vec<_>>()),
    }
}

fn keccak(words: &[[u8; 32]]) -> [u8; 32] {
    Keccak256::digest(words.as_flattened()).into()
}

fn reduce(hash: [u8; 32]) -> Fr {
    // 256 bits do not fit a field element; the contract takes the same remainder.
    Fr::from_be_bytes_mod_order(&hash)
}

fn number(value: u64) -> [u8; 32] {
    Word::from_u64(value).to_bytes()
}

fn address(bytes: [u8; 20]) -> [u8; 32] {
    let mut word = [0; 32];
    word[12..].copy_from_slice(&bytes);
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::text;
    use crate::vectors::{bytes, cases, element, elements, inputs, millis, number, records, word};
    use model::{DataSource, Position, Window};
    use serde_json::Value;

    fn scope(inputs: &Value) -> ChainScope {
        let scope = &inputs["scope"];
        ChainScope { chain_id: number(&scope["chain_id"]), contract: bytes(&scope["contract"]) }
    }

    fn header(value: &Value) -> BatchHeader {
        let count = |name: &str| number(&value[name]) as u32;
        let window = Window::new(millis(&value["t0"]), millis(&value["t1"])).unwrap();
        assert_eq!(number(&value["data_source"]), 0);
        BatchHeader {
            number: BatchNumber(number(&value["number"])),
            previous: bytes(&value["previous"]),
            window,
            root_in: word(&value["root_in"]),
            root_out: word(&value["root_out"]),
            forced_first: number(&value["forced_first"]),
            forced_count: number(&value["forced_count"]),
            forced_outcomes: bytes(&value["forced_outcomes"]),
            operations_root: bytes(&value["operations_root"]),
            claims_root: bytes(&value["claims_root"]),
            operations: count("operations"),
            enrolments: count("enrolments"),
            access: count("access"),
            collect: count("collect"),
            break_glass: count("break_glass"),
            excluded: count("excluded"),
            data_root: bytes(&value["data_root"]),
            journal_position: Position(number(&value["journal_position"])),
            journal_hash: bytes(&value["journal_hash"]),
            registry_root: bytes(&value["registry_root"]),
            data_source: DataSource::Operator,
            ciphertext_hash: bytes(&value["ciphertext_hash"]),
            ciphertext_length: number(&value["ciphertext_length"]),
            key_version: count("key_version"),
        }
    }

    #[test]
    fn domains_equal_the_vectors() {
        let inputs = inputs();
        for case in cases(&inputs["domains"]) {
            let circuit = [Circuit::C1, Circuit::C2][number(&case["circuit"]) as usize - 1];
            let version = number(&case["key_version"]) as u32;
            let batch = BatchNumber(number(&case["batch"]));
            let found = domain(scope(&inputs), circuit, version, batch);
            assert_eq!(found, element(&case["domain"]));
        }
        assert_eq!(sig_domain(scope(&inputs)), element(&inputs["sig_domain"]));
    }

    #[test]
    fn keccak_hashes_equal_the_vectors() {
        let inputs = inputs();
        let genesis = &inputs["genesis"];
        let root = word(&genesis["root"]).to_bytes();
        let found = genesis_hash_of(scope(&inputs), root, millis(&genesis["time"]));
        assert_eq!(found, bytes(&genesis["hash"]));
        assert_eq!(header_hash(&header(&inputs["header"])), bytes(&inputs["header"]["hash"]));
        let roots = &inputs["chunk_roots"];
        assert_eq!(chunk_roots(&elements(&roots["roots"])), bytes(&roots["hash"]));
        assert_eq!(chunk_roots(&[]), [0; 32]);
    }

    #[test]
    fn actor_words_equal_the_vectors() {
        use ActorKind::{CareTeam, Device, Organisation, Practitioner};
        for case in cases(&records()["actors"]) {
            let kinds = [Organisation, Practitioner, CareTeam, Device];
            let kind = kinds[number(&case["kind"]) as usize - 1];
            assert_eq!(actor(kind, text(&case["id"])), word(&case["word"]));
        }
        let doctor = PractitionerId::new("abc").unwrap();
        assert_eq!(practitioner(&doctor), actor(Practitioner, "abc"));
        assert_ne!(organisation(&OrganisationId::new("abc").unwrap()), practitioner(&doctor));
        assert_ne!(device(&DeviceId::new("abc").unwrap()), practitioner(&doctor));
    }

    #[test]
    fn a_request_is_named_by_the_words_of_whom_it_names() {
        let names = (PractitionerId::new("a").unwrap(), OrganisationId::new("b").unwrap());
        let monitor = DeviceId::new("c").unwrap();
        let words = request_words(&names.0, &names.1, Some(&monitor));
        assert_eq!(words.practitioner, actor(ActorKind::Practitioner, "a"));
        assert_eq!(words.organisation, actor(ActorKind::Organisation, "b"));
        assert_eq!(words.source, Party::Named(actor(ActorKind::Device, "c")));
        assert_eq!(request_words(&names.0, &names.1, None).source, Party::Any);
    }
}
