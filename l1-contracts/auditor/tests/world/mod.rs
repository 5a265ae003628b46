//! Three batches of one patient, put together as a sequencer does.

mod forge;
mod story;

pub(crate) use forge::Forge;
pub(crate) use story::{Built, PATIENT, Plan, REASON, START_S};
pub(crate) use story::{build, genesis_time, patient_key, registrar, request, view_key};

use alloy::primitives::{Address, B256};
use auditor::check::{self, BatchContext, ChainKey, Context, OnChain, Previous, Settled};
use auditor::{Broken, Item};
use client::batches::BatchFiles;
use client::log::{self, Audited, Before, LogError, Seen, Viewer};
use l1_contracts::{Deployment, KeyRecord, SettledBatch, SetupKind, bytecode_hash};
use model::{ChainScope, ClaimKind, PatientIndex, Word};
use statement::batch::{ClaimOpening, Layout, PatientOpening, PublicFile};
use statement::c1;
use statement::c2::{self, Capacity};
use statement::claim::{self, root16};
use statement::domain::Domain;
use statement::field;
use statement::fingerprint::Fingerprint;
use statement::inputs::{C1Inputs, C2Inputs};
use statement::proof::{Proof, VerifyingKey};
use statement::scope;

/// Who makes the proofs of a story.
pub(crate) trait Prove {
    fn c1(&self, inputs: &C1Inputs, chunk: &c1::Chunk) -> [u8; Proof::BYTES];
    fn c2(&self, inputs: &C2Inputs, chunk: &c2::Chunk) -> [u8; Proof::BYTES];
    /// The keys of [`SHAPES`].
    fn keys(&self) -> [VerifyingKey; 3];
}

/// Those for tests: one of C1, and two of C2, so that a batch has chunks of both.
pub(crate) const SHAPES: [&str; 3] = ["c1-test", "c2-test", "c2-test-1"];

/// What chunks of a shape hold.
pub(crate) fn layout(shape: &str) -> Layout {
    Layout::of_shape(shape).expect("a shape for tests")
}

/// The number of the shape whose chunks of claims hold so much.
pub(crate) fn shape_of_claims(capacity: Capacity) -> usize {
    let found = SHAPES.iter().position(|shape| layout(shape) == Layout::Claims(capacity));
    found.expect("the capacity of a shape for tests")
}

pub(crate) fn a_scope() -> ChainScope {
    ChainScope { chain_id: 31_337, contract: [0x5e; 20] }
}

/// A deployment file and the chain that agrees with it.
pub(crate) fn deployment(keys: [VerifyingKey; 3]) -> (Deployment, OnChain) {
    let scope = a_scope();
    let code = |number| Address::repeat_byte(number);
    let circuits = SHAPES.map(|shape| layout(shape).circuit() as u8);
    let records = keys.iter().zip(SHAPES).zip(circuits).zip(1..);
    let records = records.map(|(((key, shape), circuit), number)| KeyRecord {
        shape: shape.to_owned(),
        circuit,
        id: B256::from(key.id()),
        code: code(number),
    });
    let file = Deployment {
        schema: Deployment::SCHEMA.to_owned(),
        chain_id: scope.chain_id,
        settlement: Address::from(scope.contract),
        code_hash: bytecode_hash(),
        runtime_hash: B256::repeat_byte(9),
        block: 1,
        genesis_time: genesis_time().get(),
        registrar: registrar().to_hex(),
        sequencer: Address::repeat_byte(7),
        receipt_signer: Address::repeat_byte(8),
        setup: SetupKind::DevInsecure,
        keys: records.collect(),
        fingerprint: Fingerprint::default(),
    };
    let file = file.fingerprinted().expect("sound fields");
    let chain_keys = keys.into_iter().zip(circuits).zip(1..);
    let chain = OnChain {
        sequencer: file.sequencer,
        registrar: registrar(),
        receipt_signer: file.receipt_signer,
        runtime_hash: file.runtime_hash.0,
        genesis_time: file.genesis_time,
        keys: chain_keys
            .map(|((key, circuit), number)| ChainKey { code: code(number), circuit, key })
            .collect(),
    };
    (file, chain)
}

/// The first sound batch with its first claim of this kind changed and committed again: the proofs
/// of the batch are of what was there before.
pub(crate) fn committed_again(
    kind: ClaimKind,
    change: impl FnOnce(&mut ClaimOpening),
) -> (PublicFile, PatientOpening) {
    let built = World::sound().built.swap_remove(0);
    let (mut file, mut opening) = (built.file, built.openings[0].clone());
    let mut claims = opening.claims.iter_mut();
    let one = claims.find(|one| one.claim.kind == kind).expect("a claim of the kind");
    change(one);
    commit_again(&mut file, one);
    (file, opening)
}

/// Commits a batch again to a claim of it that was made another one.
pub(crate) fn commit_again(file: &mut PublicFile, one: &ClaimOpening) {
    let leaf = claim::leaf(&one.claim, one.covered, field::from_word(&one.salt));
    let chunk = &mut file.claims[one.chunk as usize];
    chunk.leaves[one.leaf as usize] = field::to_word(&leaf);
    let leaves: Vec<_> = chunk.leaves.iter().map(field::from_word).collect();
    chunk.claims_root = field::to_word(&root16(Domain::ClaimsNode, &leaves));
    let roots = file.claims.iter().map(|chunk| field::from_word(&chunk.claims_root));
    file.header.claims_root = scope::chunk_roots(&roots.collect::<Vec<_>>());
}

/// A forged story with what a sound chain says about it.
pub(crate) struct World {
    pub(crate) context: Context,
    pub(crate) built: Vec<Built>,
}

impl World {
    pub(crate) fn of(plan: &Plan) -> World {
        let forge = Forge::new();
        let (file, chain) = deployment(forge.keys());
        let context = check::deployment(&file, &chain).expect("a sound deployment");
        World { context, built: build(a_scope(), &forge, plan) }
    }

    pub(crate) fn sound() -> World {
        World::of(&Plan::default())
    }

    /// What batch `at` continues, the files before it being read.
    pub(crate) fn previous(&self, at: usize) -> Previous {
        let mut previous = self.context.genesis.clone();
        for built in &self.built[..at] {
            let header = &built.file.header;
            let last = built
                .file
                .groups
                .last()
                .map(|group| check::Tail { group: group.number, last: group.last });
            previous = Previous::after(header, last.or(previous.tail));
        }
        previous
    }

    /// Checks `bytes` as the file of batch `at`.
    pub(crate) fn check(&self, at: usize, bytes: &[u8]) -> Result<check::Summary, Broken> {
        let header = &self.built[at].file.header;
        let previous = &self.previous(at);
        check::batch(BatchContext { context: &self.context, previous, header }, bytes)
    }

    /// What the patient's program says of `bytes` as the public file of batch `at`.
    pub(crate) fn check_as_patient(&self, at: usize, bytes: &[u8]) -> Result<Seen, LogError> {
        let viewer = Viewer {
            scope: self.context.scope,
            layouts: self.context.keys.iter().map(|(id, key)| (*id, key.layout)).collect(),
            patient: PatientIndex::new(PATIENT).expect("24 bits"),
            view_key: view_key(),
        };
        let built = &self.built[at];
        let files = BatchFiles { public: bytes.to_vec(), private: built.private.clone() };
        let edges = check::edges(&built.file);
        let audited = Audited { header: &built.file.header, edges: &edges };
        log::check(&viewer, &audited, &files, Before::Unknown)
    }

    /// The broken item of `bytes` as the file of batch `at`, after the patient was shown it, too:
    /// whatever is wrong with a list is refused by both.
    pub(crate) fn broken_item(&self, at: usize, bytes: &[u8]) -> Item {
        let found = item(self.check(at, bytes));
        let sound = self.built[at].file.clone();
        let hidden = match PublicFile::from_bytes(bytes) {
            Ok(file) => for_patients(file) != for_patients(sound),
            Err(_) => true,
        };
        let seen = self.check_as_patient(at, bytes);
        assert_eq!(seen.is_err(), hidden, "{found}: a patient is told {seen:?}");
        found
    }

    /// The events of the batches, each settled three seconds late.
    pub(crate) fn settled(&self) -> Vec<Settled> {
        let settled = self.built.iter().map(|built| {
            let header = built.file.header.clone();
            let block_time = header.window.t1().plus(3000);
            let header_hash = scope::header_hash(&header);
            let transaction = B256::ZERO;
            let batch = SettledBatch {
                header,
                header_hash,
                lateness_ms: 3000,
                transaction,
                block: 1,
                block_hash: B256::ZERO,
            };
            Settled { batch, block_time }
        });
        settled.collect()
    }
}

/// A file without what a patient leaves to auditors: proofs with their inputs, and the journal.
fn for_patients(mut file: PublicFile) -> PublicFile {
    for chunk in &mut file.operations {
        (chunk.proof, chunk.root_out, chunk.time_out) = ([0; 256], word(0), 0);
    }
    for chunk in &mut file.claims {
        chunk.proof = [0; 256];
    }
    // The last edge is nobody's begin.
    if let Some(last) = file.claims.last_mut() {
        last.edge_out = word(0);
    }
    file.groups.clear();
    file
}

/// The item of an error, which must be one.
pub(crate) fn item<T>(result: Result<T, Broken>) -> Item {
    match result {
        Ok(_) => panic!("expected a broken item"),
        Err(broken) => broken.item,
    }
}

pub(crate) fn word(value: u64) -> Word {
    Word::from_u64(value)
}
