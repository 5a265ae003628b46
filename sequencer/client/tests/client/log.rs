//! A patient's log of a batch made with the natives, and every way to tamper with it.

use ark_bn254::Fr;
use client::batches::BatchFiles;
use client::headers;
use client::log::{Audited, Before, LogError, Seen, Viewer, before_first, check};
use client::{Key, KeyKind};
use model::{
    Action, BatchHeader, BatchNumber, Categories, Category, ChainScope, Claim, ClaimKind,
    DataSource, Digest, Interval, Label, Labels, Millis, Operation, Party, PatientIndex, Position,
    PractitionerId, Purpose, Purposes, Record, Rule, RuleSlot, Uncovered, Window, Word,
};
use sha3::{Digest as _, Keccak256};
use statement::batch::{
    ClaimOpening, ClaimsChunk, Layout, Layouts, List, ListsError, OperationOpening,
    OperationsChunk, PatientOpening, PrivateFile, PublicFile, RefusedAccess, Requester, SealScope,
};
use statement::c1::Context;
use statement::c2::{Capacity, Chunk, Slot, cap_path};
use statement::domain::Domain;
use statement::operation::{self, SignedOperation};
use statement::scope::{self, Circuit};
use statement::tree::Tree;
use statement::{c1, claim, field, record};

const T0: u64 = 4_000_000_000_000;
const ANNA: u32 = 7;

fn at(ms: u64) -> Millis {
    Millis::new(T0 + ms).unwrap()
}

fn deployment() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [9; 20] }
}

fn patient(index: u32) -> PatientIndex {
    PatientIndex::new(index).unwrap()
}

fn anna() -> Key {
    Key::from_secret(KeyKind::Patient, [7; 32])
}

fn doctor() -> Word {
    scope::actor(scope::ActorKind::Practitioner, "dr-001")
}

fn rule() -> Rule {
    Rule {
        actor: Party::Named(doctor()),
        source: Party::Any,
        categories: Categories::ALL,
        purposes: Purposes::ALL,
        kinds: ClaimKind::Access.only().with(ClaimKind::Collect.only()),
        labels: Labels::ALL,
        access: Interval::ALWAYS,
        data: Interval::ALWAYS,
    }
}

fn claim(index: u32, position: u64, individual: Word) -> Claim {
    Claim {
        patient: patient(index),
        kind: ClaimKind::Access,
        individual,
        organisation: Word::from_u64(77),
        care_team: Word::ZERO,
        source: Party::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: Interval::instant(at(500 + position)),
        measured: Interval::instant(at(400)),
        position: Position(position),
        digest: Digest([position as u8; 31]),
    }
}

const SLOTS: Capacity = Capacity { slots: 12, claims_per_slot: 3 };
const ROWS: usize = 32;
const OPERATIONS_KEY: [u8; 32] = [1; 32];
const CLAIMS_KEY: [u8; 32] = [2; 32];

fn viewer() -> Viewer {
    let layouts: Layouts =
        [(OPERATIONS_KEY, Layout::Operations(ROWS)), (CLAIMS_KEY, Layout::Claims(SLOTS))]
            .into_iter()
            .collect();
    let (patient, view_key) = (patient(ANNA), anna().view_key());
    Viewer { scope: deployment(), layouts, patient, view_key }
}

fn refused() -> RefusedAccess {
    RefusedAccess {
        position: Position(13),
        time: at(510),
        digest: Digest([13; 31]),
        requester: Requester::Practitioner(PractitionerId::new("dr-002").unwrap()),
        uncovered: Uncovered::ActorNotNamed,
        count: 1,
    }
}

/// One batch: Anna is enrolled and permits; two covered claims, one excluded, one of another.
#[derive(Clone)]
struct World {
    public: PublicFile,
    openings: Vec<PatientOpening>,
}

/// What is wrong with the batch before anybody tampers with the files.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The excluded claim is committed as covered.
    Covered,
    /// The permit is signed by somebody else.
    Signer,
}

struct Applied {
    signed: SignedOperation,
    t_op: Millis,
}

fn operations(fault: Fault) -> (Vec<Applied>, Record) {
    let registrar = Key::from_secret(KeyKind::Registrar, [8; 32]);
    let (key_hash, view_key) = (anna().key_hash(), anna().view_key());
    let enrol = Action::Enrol { key_hash, view_key, salt: anna().record_salt() };
    let permit = Action::Write { slot: RuleSlot::Permit(0), rule: rule() };
    let stranger = fault == Fault::Signer;
    let signer = if stranger { Key::from_secret(KeyKind::Patient, [6; 32]) } else { anna() };
    let mut record = None;
    let mut applied = Vec::new();
    for (number, (action, key)) in [(enrol, &registrar), (permit, &signer)].into_iter().enumerate()
    {
        let t_op = at(100 * (number as u64 + 1));
        let operation = Operation {
            patient: patient(ANNA),
            nonce: 0,
            signed_at: at(0),
            valid_until: at(10_000),
            action,
        };
        let sig_domain = scope::sig_domain(deployment());
        let context = Context {
            sig_domain,
            registrar_key_hash: registrar.public().hash(),
            t0: at(0),
            last_time: at(0),
            t_op,
            t1: Some(at(1000)),
        };
        record = Some(c1::effect(record.as_ref(), &operation, &context).unwrap());
        let signed = SignedOperation::sign(operation, sig_domain, &key.signer());
        applied.push(Applied { signed, t_op });
    }
    (applied, record.unwrap())
}

fn chunk(tree: &Tree, anna: &Record, other: &Record, fault: Fault) -> Chunk {
    let slot = |index: u32, record: &Record, excluded, claims| Slot {
        patient: patient(index),
        record: record.clone(),
        path: cap_path(&tree.path(index)),
        excluded,
        claims,
    };
    let stranger = Word::from_u64(66);
    Chunk {
        capacity: SLOTS,
        root: tree.root(),
        cap: Box::new(tree.cap()),
        window: Window::new(at(0), at(1000)).unwrap(),
        first_leaf: 0,
        position_in: Position(0),
        position_out: Position(50),
        domain: scope::domain(deployment(), Circuit::C2, BatchHeader::KEY_VERSION, BatchNumber(1)),
        edge_in: None,
        edge_salt: Fr::from(5u8),
        slots: vec![
            slot(3, other, false, vec![claim(3, 11, doctor())]),
            slot(ANNA, anna, false, vec![claim(ANNA, 12, doctor()), claim(ANNA, 14, doctor())]),
            slot(ANNA, anna, fault != Fault::Covered, vec![claim(ANNA, 20, stranger)]),
        ],
    }
}

impl World {
    fn new(fault: Fault) -> World {
        let (applied, record) = operations(fault);
        let one = Word::from_u64(1);
        let other = Record::enrolled(one, Word::from_u64(2), one);
        let mut tree = Tree::new();
        tree.set_many(&[(ANNA, record::leaf(&record)), (3, record::leaf(&other))]);
        let chunk = chunk(&tree, &record, &other, fault);
        let path = tree.path(ANNA).map(|children| children.map(|node| field::to_word(&node)));
        let opening = PatientOpening {
            batch: BatchNumber(1),
            patient: patient(ANNA),
            record: record.clone(),
            path,
            claims: claim_openings(&chunk),
            operations: operation_openings(&applied, tree.root()),
            refused: vec![refused()],
        };
        let mut stranger = opening.clone();
        (stranger.patient, stranger.record) = (patient(3), other);
        stranger.claims.clear();
        stranger.operations.clear();
        let public = public_file(&chunk, &applied, &tree);
        World { public, openings: vec![opening, stranger] }
    }

    fn anna(&mut self) -> &mut PatientOpening {
        &mut self.openings[0]
    }

    /// The roots of the leaves as they are: an operator who settles what it wants.
    fn reroot(&mut self) {
        for chunk in &mut self.public.claims {
            chunk.claims_root = root(Domain::ClaimsNode, &chunk.leaves);
        }
        for chunk in &mut self.public.operations {
            chunk.operations_root = root(Domain::OperationsNode, &chunk.leaves);
        }
        let claims = self.public.claims.iter().map(|one| field::from_word(&one.claims_root));
        self.public.header.claims_root = scope::chunk_roots(&claims.collect::<Vec<_>>());
        let all = self.public.operations.iter().map(|one| field::from_word(&one.operations_root));
        self.public.header.operations_root = scope::chunk_roots(&all.collect::<Vec<_>>());
    }

    /// The settled header and the files under it.
    fn files(&self) -> (BatchHeader, BatchFiles) {
        let seal = SealScope::of_header(deployment(), &self.public.header);
        let private = PrivateFile::seal(&seal, &self.openings).to_bytes();
        let mut public = self.public.clone();
        public.header.ciphertext_hash = Keccak256::digest(&private).into();
        public.header.ciphertext_length = private.len() as u64;
        (public.header.clone(), BatchFiles { public: public.to_bytes(), private })
    }

    fn check(&self) -> Result<Seen, LogError> {
        let (header, files) = self.files();
        check(&viewer(), &Audited { header: &header, edges: &[] }, &files, Before::Known(None))
    }
}

fn root(node: Domain, leaves: &[Word]) -> Word {
    let leaves: Vec<_> = leaves.iter().map(field::from_word).collect();
    field::to_word(&claim::root16(node, &leaves))
}

fn claim_openings(chunk: &Chunk) -> Vec<ClaimOpening> {
    let mut openings = Vec::new();
    for (number, slot) in chunk.slots.iter().enumerate() {
        for (at, claim) in slot.claims.iter().enumerate() {
            if claim.patient == patient(ANNA) {
                openings.push(ClaimOpening {
                    chunk: 0,
                    leaf: (4 * number + at) as u32,
                    covered: !slot.excluded,
                    claim: claim.clone(),
                    salt: field::to_word(&chunk.salt(number, at)),
                });
            }
        }
    }
    openings
}

fn operation_openings(applied: &[Applied], root_out: Fr) -> Vec<OperationOpening> {
    let opening = |(row, one): (usize, &Applied)| OperationOpening {
        chunk: 0,
        row: row as u32,
        t_op: one.t_op,
        signed: one.signed.to_bytes().to_vec(),
        salt: field::to_word(&op_salt(root_out, row as u32)),
    };
    applied.iter().enumerate().map(opening).collect()
}

fn op_salt(root_out: Fr, row: u32) -> Fr {
    let version = BatchHeader::KEY_VERSION;
    let domain = scope::domain(deployment(), Circuit::C1, version, BatchNumber(1));
    operation::salt(&anna().view_key(), domain, root_out, row)
}

fn public_file(chunk: &Chunk, applied: &[Applied], tree: &Tree) -> PublicFile {
    let leaf = |(row, one): (usize, &Applied)| {
        let message = operation::message(scope::sig_domain(deployment()), &one.signed.operation);
        field::to_word(&operation::leaf(message, one.t_op, op_salt(tree.root(), row as u32)))
    };
    let mut leaves: Vec<_> = applied.iter().enumerate().map(leaf).collect();
    leaves.resize(ROWS, Word::ZERO);
    let operations = OperationsChunk {
        key_id: OPERATIONS_KEY,
        root_out: field::to_word(&tree.root()),
        time_out: applied[1].t_op.get(),
        operations: 2,
        enrolments: 1,
        operations_root: root(Domain::OperationsNode, &leaves),
        proof: [0; 256],
        leaves,
    };
    let inputs = chunk.inputs();
    let claims = ClaimsChunk {
        key_id: CLAIMS_KEY,
        claims_root: field::to_word(&inputs.claims_root),
        access: inputs.access,
        collect: inputs.collect,
        break_glass: inputs.break_glass,
        excluded: inputs.excluded,
        edge_out: field::to_word(&inputs.edge_out),
        proof: [0; 256],
        leaves: chunk.leaves().iter().map(field::to_word).collect(),
    };
    PublicFile {
        header: header(chunk, &operations, &claims),
        operations: vec![operations],
        claims: vec![claims],
        segments: Vec::new(),
        groups: Vec::new(),
    }
}

fn header(chunk: &Chunk, operations: &OperationsChunk, claims: &ClaimsChunk) -> BatchHeader {
    BatchHeader {
        number: BatchNumber(1),
        previous: [1; 32],
        window: chunk.window,
        root_in: Word::from_u64(5),
        root_out: field::to_word(&chunk.root),
        forced_first: 0,
        forced_count: 0,
        forced_outcomes: [0; 32],
        operations_root: scope::chunk_roots(&[field::from_word(&operations.operations_root)]),
        claims_root: scope::chunk_roots(&[field::from_word(&claims.claims_root)]),
        operations: 2,
        enrolments: 1,
        access: claims.access,
        collect: claims.collect,
        break_glass: claims.break_glass,
        excluded: claims.excluded,
        data_root: [0; 32],
        journal_position: Position(50),
        journal_hash: [5; 32],
        registry_root: [0; 32],
        data_source: DataSource::Operator,
        ciphertext_hash: [0; 32],
        ciphertext_length: 0,
        key_version: BatchHeader::KEY_VERSION,
    }
}

#[test]
fn a_patient_sees_every_claim_and_operation_with_its_rule() {
    let seen = World::new(Fault::None).check().unwrap();
    let positions: Vec<_> = seen.claims.iter().map(|one| one.claim.position.0).collect();
    assert_eq!(positions, [12, 14, 20]);
    assert_eq!(seen.claims[0].verdict, Ok(RuleSlot::Permit(0)));
    assert!(!seen.claims[2].covered);
    assert_eq!(seen.claims[2].verdict, Err(Uncovered::ActorNotNamed));
    assert_eq!(seen.refused, [refused()]);
    let times: Vec<_> = seen.operations.iter().map(|one| one.t_op).collect();
    assert_eq!(times, [at(100), at(200)]);
    let Before::Known(Some(record)) = seen.after else { panic!() };
    assert_eq!(record.nonce, 1);
}

#[test]
fn a_batch_that_does_not_concern_the_patient_leaves_the_record_as_it_was() {
    let nobody = Viewer { patient: patient(99), view_key: Word::from_u64(99), ..viewer() };
    let (header, files) = World::new(Fault::None).files();
    let audited = Audited { header: &header, edges: &[] };
    let seen = check(&nobody, &audited, &files, Before::Known(None)).unwrap();
    assert!(seen.claims.is_empty() && seen.operations.is_empty());
    assert_eq!(seen.after, Before::Known(None));
}

/// Settles a tampered batch and names what is found.
fn found(fault: Fault, tamper: impl FnOnce(&mut World)) -> LogError {
    let mut world = World::new(fault);
    tamper(&mut world);
    world.check().expect_err("tampered with")
}

#[test]
fn files_that_are_not_those_of_the_header_are_named() {
    let world = World::new(Fault::None);
    let (header, files) = world.files();
    let with = |header: &BatchHeader, public: &[u8], private: &[u8]| {
        let files = BatchFiles { public: public.to_vec(), private: private.to_vec() };
        let audited = Audited { header, edges: &[] };
        check(&viewer(), &audited, &files, Before::Known(None)).expect_err("tampered with")
    };
    let other = BatchHeader { access: 5, ..header.clone() };
    assert_eq!(with(&other, &files.public, &files.private), LogError::Lists(ListsError::Header));
    let cut = &files.public[..files.public.len() - 1];
    assert!(matches!(with(&header, cut, &files.private), LogError::Public(_)));
    let mut changed = files.private.clone();
    changed[40] ^= 1;
    let ciphertext = with(&header, &files.public, &changed);
    assert!(matches!(ciphertext, LogError::Ciphertext { .. }));
    let cut = &files.private[..files.private.len() - 1];
    assert!(matches!(with(&header, &files.public, cut), LogError::Ciphertext { .. }));
}

/// What of the lists is named.
fn found_in_lists(tamper: impl FnOnce(&mut World)) -> ListsError {
    match found(Fault::None, tamper) {
        LogError::Lists(error) => error,
        other => panic!("expected an error of the lists, found {other:?}"),
    }
}

#[test]
fn leaves_that_do_not_hash_to_the_header_are_named() {
    let leaf = Word::from_u64(4);
    let claims = found_in_lists(|world| world.public.claims[0].leaves[0] = leaf);
    assert!(matches!(claims, ListsError::Root { list: List::Claims, chunk: 0, .. }));
    let operations = found_in_lists(|world| world.public.operations[0].leaves[0] = leaf);
    assert!(matches!(operations, ListsError::Root { list: List::Operations, chunk: 0, .. }));
    let claims = found_in_lists(|world| {
        world.public.claims[0].leaves[0] = leaf;
        let header = world.public.header.claims_root;
        world.reroot();
        world.public.header.claims_root = header;
    });
    assert!(matches!(claims, ListsError::TotalRoot { list: List::Claims, .. }));
    let operations = found_in_lists(|world| {
        let chunk = world.public.operations[0].clone();
        world.public.operations.push(chunk);
    });
    assert!(matches!(operations, ListsError::Total { list: List::Operations, .. }));
}

/// The operator settles the claims about Anna as proven, leaves her opening out of the private file
/// that it commits to, and serves *her* the inner nodes of the list of leaves for the list, while
/// auditors get the true one. Her log must not say that nothing happened.
#[test]
fn inner_nodes_in_place_of_leaves_hide_no_claim() {
    let mut world = World::new(Fault::None);
    world.openings.remove(0);
    let leaves = world.public.claims[0].leaves.clone();
    let nodes = |leaves: &[Word]| -> Vec<Word> {
        leaves.chunks(16).map(|group| root(Domain::ClaimsNode, group)).collect()
    };
    for (list, depth) in [(nodes(&leaves), 1), (nodes(&nodes(&leaves)), 2), (vec![], 0)] {
        let found = list.len();
        world.public.claims[0].leaves = list;
        let Err(LogError::Lists(error)) = world.check() else { panic!("{depth}") };
        let expected = SLOTS.leaves();
        assert_eq!(error, ListsError::Length { list: List::Claims, chunk: 0, expected, found });
    }
    world.public.claims[0].leaves = leaves;
    let rows = &mut world.public.operations[0].leaves;
    *rows = rows.chunks(16).map(|group| root(Domain::OperationsNode, group)).collect();
    let Err(LogError::Lists(error)) = world.check() else { panic!("rows") };
    assert!(matches!(error, ListsError::Length { list: List::Operations, found: 2, .. }));
}

#[test]
fn counters_keys_and_padding_that_the_leaves_contradict_are_named() {
    let count = |chunk: fn(&mut ClaimsChunk), header: fn(&mut BatchHeader)| {
        found_in_lists(|world| {
            chunk(&mut world.public.claims[0]);
            header(&mut world.public.header);
        })
    };
    // Fewer claims than there are, in chunk and header alike.
    let fewer = count(|chunk| chunk.access = 3, |header| header.access = 3);
    assert!(matches!(fewer, ListsError::Count { what: "claims", expected: 3, found: 4, .. }));
    let excluded = count(|chunk| chunk.excluded = 9, |header| header.excluded = 9);
    assert!(matches!(excluded, ListsError::Count { what: "excluded claims", .. }));
    let header = count(|_| {}, |header| header.collect = 1);
    assert!(matches!(header, ListsError::Total { what: "collect claims", .. }));
    let other = count(|chunk| chunk.key_id = OPERATIONS_KEY, |_| {});
    assert!(matches!(other, ListsError::Key { list: List::Claims, chunk: 0, .. }));
    let unknown = count(|chunk| chunk.key_id = [9; 32], |_| {});
    assert!(matches!(unknown, ListsError::Key { .. }));

    let moved = |tamper: fn(&mut Vec<Word>)| {
        found_in_lists(|world| {
            tamper(&mut world.public.claims[0].leaves);
            world.reroot();
        })
    };
    let tag = moved(|leaves| leaves[7] = Word::ZERO);
    assert_eq!(tag, ListsError::Tag { chunk: 0, leaf: 7, found: Word::ZERO });
    let stray = moved(|leaves| leaves[23] = Word::from_u64(1));
    assert!(matches!(stray, ListsError::Tag { chunk: 0, leaf: 23, .. }));
    let hole = moved(|leaves| leaves.swap(4, 6));
    assert!(matches!(hole, ListsError::Padding { leaf: 5, .. }), "{hole:?}");
    let later = moved(|leaves| {
        (leaves[16], leaves[19]) = (leaves[8], leaves[11]);
        (leaves[8], leaves[11]) = (Word::ZERO, Word::ZERO);
    });
    assert!(matches!(later, ListsError::Padding { leaf: 16, .. }), "{later:?}");
    let rows = found_in_lists(|world| {
        world.public.operations[0].leaves.swap(1, 3);
        world.reroot();
    });
    assert!(matches!(rows, ListsError::Padding { list: List::Operations, leaf: 3, .. }));
}

/// Behind another edge no tag is found, and the edge stands in no header: it is the auditor's.
#[test]
fn an_edge_that_nobody_verified_is_not_believed() {
    let mut world = World::new(Fault::None);
    let mut empty = world.public.claims[0].clone();
    empty.leaves.fill(Word::ZERO);
    (empty.access, empty.excluded) = (0, 0);
    world.public.claims.push(empty);
    world.reroot();
    let (header, files) = world.files();
    let edge = world.public.claims[0].edge_out;
    let check = |edges: &[Word]| {
        check(&viewer(), &Audited { header: &header, edges }, &files, Before::Known(None))
    };
    assert_eq!(check(&[edge]).map(|seen| seen.claims.len()), Ok(3));
    assert_eq!(check(&[Word::from_u64(1)]), Err(LogError::Edge { chunk: 0 }));
    assert_eq!(check(&[]), Err(LogError::Edges { expected: 1, found: 0 }));
}

#[test]
fn segments_that_are_not_those_of_the_header_are_named() {
    let more = statement::batch::SegmentEntry::new(Digest([9; 31]), 5);
    let found = found_in_lists(|world| world.public.segments.push(more));
    assert!(matches!(found, ListsError::DataRoot { .. }));
}

#[test]
fn withheld_doubled_and_made_up_claims_are_counted() {
    let count = |expected, found| LogError::Count { chunk: 0, expected, found };
    assert_eq!(found(Fault::None, |world| drop(world.openings.remove(0))), count(3, 0));
    let without_one = |world: &mut World| {
        world.anna().claims.remove(1);
    };
    assert_eq!(found(Fault::None, without_one), count(3, 2));
    let doubled = found(Fault::None, |world| {
        let first = world.anna().claims[0].clone();
        world.anna().claims.push(first);
    });
    assert_eq!(doubled, count(3, 3));
    let beside = found(Fault::None, |world| world.anna().claims[0].leaf = 0);
    assert_eq!(beside, count(3, 2));
    let elsewhere = found(Fault::None, |world| world.anna().claims[0].chunk = 9);
    assert_eq!(elsewhere, count(3, 2));
}

#[test]
fn slots_in_another_order_do_not_hide_claims() {
    let swapped = found(Fault::None, |world| {
        let leaves = &mut world.public.claims[0].leaves;
        // Another's slot and Anna's first one: their tags name the slots in which they were proven.
        for leaf in 0..4 {
            leaves.swap(leaf, 4 + leaf);
        }
        world.reroot();
    });
    assert_eq!(swapped, LogError::Count { chunk: 0, expected: 1, found: 1 });
}

#[test]
fn a_changed_claim_salt_or_verdict_is_named_by_its_position() {
    let leaf = LogError::ClaimLeaf { position: Position(12) };
    let who = |world: &mut World| world.anna().claims[0].claim.individual = Word::from_u64(3);
    assert_eq!(found(Fault::None, who), leaf);
    let digest = |world: &mut World| world.anna().claims[0].claim.digest = Digest([1; 31]);
    assert_eq!(found(Fault::None, digest), leaf);
    assert_eq!(found(Fault::None, |world| world.anna().claims[0].covered = false), leaf);
    let salt = found(Fault::None, |world| world.anna().claims[0].salt = Word::from_u64(3));
    assert_eq!(salt, LogError::ClaimSalt { position: Position(12) });
}

#[test]
fn a_claim_that_counts_as_covered_without_a_rule_is_named() {
    let (position, uncovered) = (Position(20), Uncovered::ActorNotNamed);
    assert_eq!(found(Fault::Covered, |_| {}), LogError::NotCovered { position, uncovered });
}

#[test]
fn another_record_patient_or_path_is_named() {
    let record = |world: &mut World| world.anna().record.rules[0] = None;
    assert_eq!(found(Fault::None, record), LogError::Record);
    let path = |world: &mut World| world.anna().path[5][2] = Word::from_u64(3);
    assert_eq!(found(Fault::None, path), LogError::Record);
    // Sealed for another patient it is not found, and the tags tell what is missing.
    let other = |world: &mut World| world.anna().patient = patient(8);
    let missing = LogError::Count { chunk: 0, expected: 3, found: 0 };
    assert_eq!(found(Fault::None, other), missing);
}

#[test]
fn withheld_changed_and_unsigned_operations_are_named() {
    let withheld = found(Fault::None, |world| drop(world.anna().operations.pop()));
    assert_eq!(withheld, LogError::History);
    let both = found(Fault::None, |world| world.anna().operations.clear());
    assert_eq!(both, LogError::History);
    let leaf = LogError::OperationLeaf { index: 1 };
    assert_eq!(found(Fault::None, |world| world.anna().operations[1].t_op = at(300)), leaf);
    let salt = |world: &mut World| world.anna().operations[1].salt = Word::from_u64(3);
    assert_eq!(found(Fault::None, salt), leaf);
    assert_eq!(found(Fault::None, |world| world.anna().operations[1].row = 9), leaf);
    let bytes = |world: &mut World| world.anna().operations[1].signed = vec![1, 2, 3];
    assert_eq!(found(Fault::None, bytes), LogError::Operation { index: 1 });
    assert_eq!(found(Fault::Signer, |_| {}), LogError::Signature { index: 1 });
}

#[test]
fn saved_headers_are_read_in_both_forms_and_must_follow_each_other() {
    let (first, _) = World::new(Fault::None).files();
    let previous = scope::header_hash(&first);
    let second = BatchHeader { number: BatchNumber(2), previous, ..first.clone() };
    let words = |header: &BatchHeader| hex::encode(header.to_bytes());
    let plain = format!(
        r#"{{"schema":"vitals-headers-1","headers":["0x{}","0x{}"]}}"#,
        words(&first),
        words(&second)
    );
    let read = |text: &str| headers::from_json(text.as_bytes(), deployment());
    assert_eq!(read(&plain).unwrap(), [first.clone(), second.clone()]);
    assert_eq!(before_first(&read(&plain).unwrap()), Before::Known(None));
    assert_eq!(before_first(std::slice::from_ref(&second)), Before::Unknown);

    let with_hash = |hash: &[u8; 32], contract: &str| {
        format!(
            r#"{{"schema":"vitals-headers-1","chain_id":31337,"settlement":"0x{contract}",
                "headers":[{{"hash":"{}","words":"{}"}}]}}"#,
            hex::encode(hash),
            words(&first)
        )
    };
    let ours = "09".repeat(20);
    let found = read(&with_hash(&previous, &ours)).unwrap();
    let edges = |text: &str| {
        let hash = hex::encode(previous);
        let json = with_hash(&previous, &ours)
            .replace(&format!("\"{hash}\""), &format!("\"{hash}\",\"edges\":[{text}]"));
        headers::edges_from_json(json.as_bytes())
    };
    let two = [Word::from_u64(3), Word::from_u64(4)];
    let text = two.map(|edge| format!("\"{}\"", edge.to_hex())).join(",");
    assert_eq!(edges(&text).unwrap()[&BatchNumber(1)], two);
    assert_eq!(edges("").unwrap()[&BatchNumber(1)], []);
    assert!(matches!(edges("\"zz\""), Err(headers::HeadersError::Edge { index: 0 })));
    assert_eq!(found, std::slice::from_ref(&first));
    let hash = read(&with_hash(&[1; 32], &ours)).unwrap_err();
    assert!(matches!(hash, headers::HeadersError::Hash { index: 0 }));
    let other = read(&with_hash(&previous, &"08".repeat(20))).unwrap_err();
    assert!(matches!(other, headers::HeadersError::Deployment));
    let swapped = plain.replace(&words(&second), &words(&first));
    let link = read(&swapped).unwrap_err();
    assert!(matches!(link, headers::HeadersError::Link { index: 1 }));

    let one = [first.clone()];
    let settled = |position| headers::find_settling(&one, Position(position));
    assert_eq!(settled(50).map(|header| header.number), Some(BatchNumber(1)));
    assert_eq!(settled(51), None);
}
