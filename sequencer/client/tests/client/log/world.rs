//! One batch made with the natives, under keys of the shapes that are in use.

use ark_bn254::Fr;
use client::batches::BatchFiles;
use client::log::{Audited, Before, LogError, Seen, Viewer, check};
use client::{Key, KeyKind};
use model::{
    Action, BatchHeader, BatchNumber, Categories, Category, ChainScope, Claim, ClaimKind, DeviceId,
    Digest, Interval, Label, Labels, Millis, Operation, OrganisationId, Party, PatientIndex,
    Position, PractitionerId, Purpose, Purposes, Record, Rule, RuleSlot, Uncovered, Window, Word,
};
use sha3::{Digest as _, Keccak256};
use statement::batch::{
    ClaimOpening, ClaimsChunk, GroupSummary, Layout, Layouts, OperationOpening, OperationsChunk,
    PatientOpening, PrivateFile, PublicFile, RefusedAccess, ReleasedFrame, Requester, SealScope,
    SegmentFrames, SegmentKey,
};
use statement::c1::Context;
use statement::c2::{Capacity, Chunk, Slot, cap_path};
use statement::domain::Domain;
use statement::operation::{self, SignedOperation};
use statement::scope::{self, Circuit};
use statement::tree::Tree;
use statement::{c1, claim, eddsa, field, journal, record};
use wire::{AccessKind, AccessRequest, Reason, SignedAccessRequest, Source};

use crate::{node, small};

const T0: u64 = 4_000_000_000_000;
pub(super) const ANNA: u32 = 7;

pub(super) fn at(ms: u64) -> Millis {
    Millis::new(T0 + ms).unwrap()
}

pub(super) fn deployment() -> ChainScope {
    node::scope()
}

pub(super) fn patient(index: u32) -> PatientIndex {
    PatientIndex::new(index).unwrap()
}

pub(super) fn anna() -> Key {
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

/// Position of the one time that the glass was broken.
pub(super) const EMERGENCY: u64 = 14;
/// Why, in words that turn around the line of a terminal that shows them as they are.
pub(super) const REASON: &str = "found on the \u{202e}floor";

/// What the doctor signed to break the glass, for a reason.
pub(super) fn request(reason: &str) -> SignedAccessRequest {
    let request = AccessRequest {
        scope: deployment(),
        patient: patient(ANNA),
        practitioner: PractitionerId::new("dr-001").unwrap(),
        organisation: OrganisationId::new("ward-3").unwrap(),
        care_team: None,
        source: Source::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::EmergencyTreatment,
        labels: Label::Normal.only(),
        data: Interval::instant(at(400)),
        requested_at: at(500),
        valid_until: at(900),
        nonce: 1,
        kind: AccessKind::BreakGlass { reason: Reason::new(reason).unwrap() },
    };
    let key = Key::from_secret(KeyKind::Practitioner, [9; 32]);
    let message = field::from_word(&request.signing_hash().unwrap().word());
    let signature = eddsa::sign(&key.signer(), message).encode();
    SignedAccessRequest::new(request, key.public().encode(), signature).unwrap()
}

/// The claim of that request.
fn emergency() -> Claim {
    Claim {
        kind: ClaimKind::BreakGlass,
        organisation: scope::actor(scope::ActorKind::Organisation, "ward-3"),
        purpose: Purpose::EmergencyTreatment,
        digest: request(REASON).digest(),
        ..claim(ANNA, EMERGENCY, doctor())
    }
}

/// Those of the shapes c1-17 and c2-17, which the node's deployment has.
pub(super) const SLOTS: Capacity = Capacity { slots: 12, claims_per_slot: 4 };
const ROWS: usize = 8;
pub(super) const OPERATIONS_KEY: [u8; 32] = [1; 32];
const CLAIMS_KEY: [u8; 32] = [2; 32];
/// Where the batch closes.
pub(super) const CLOSE: u64 = 50;

pub(super) fn viewer() -> Viewer {
    let layouts: Layouts =
        [(OPERATIONS_KEY, Layout::Operations(ROWS)), (CLAIMS_KEY, Layout::Claims(SLOTS))]
            .into_iter()
            .collect();
    let (patient, view_key) = (patient(ANNA), anna().view_key());
    Viewer { scope: deployment(), layouts, patient, view_key }
}

/// Position of the one collection.
pub(super) const COLLECTION: u64 = 20;

fn device() -> DeviceId {
    DeviceId::new("monitor").unwrap()
}

/// The frames that were collected, as an access to them keeps them.
pub(super) fn frames() -> Vec<ReleasedFrame> {
    let frame = |position| ReleasedFrame {
        position: Position(position),
        device: device(),
        bytes: vec![position as u8; 30],
    };
    [18, COLLECTION].map(frame).to_vec()
}

/// The digest of their segment.
fn collected(view_key: &Word) -> Digest {
    let bytes: Vec<u8> = frames().into_iter().flat_map(|frame| frame.bytes).collect();
    let content = *blake3::hash(&bytes).as_bytes();
    let position = Position(COLLECTION);
    let frames = SegmentFrames { content, bytes: bytes.len() as u64, position };
    SegmentKey::derive(view_key, deployment()).digest(&frames)
}

/// The journal groups of the batch.
fn groups() -> Vec<GroupSummary> {
    vec![small::group(1, [1, 15], 1), small::group(2, [16, CLOSE], 2)]
}

/// The journal hash after each of them.
pub(super) fn hashes() -> Vec<[u8; 32]> {
    small::hashes(journal::genesis(deployment()), &groups())
}

pub(super) fn refused() -> RefusedAccess {
    RefusedAccess {
        position: Position(13),
        time: at(510),
        digest: Digest([13; 31]),
        requester: Requester::Practitioner(PractitionerId::new("dr-002").unwrap()),
        uncovered: Some(Uncovered::ActorNotNamed),
        count: 1,
    }
}

/// One batch: Anna is enrolled, permits, and lets break the glass; two covered claims, one of them
/// broken glass, one excluded, one of another.
#[derive(Clone)]
pub(super) struct World {
    pub(super) public: PublicFile,
    pub(super) openings: Vec<PatientOpening>,
}

/// What is wrong with the batch before anybody tampers with the files.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// The excluded claim is committed as covered.
    Covered,
    /// The permit is signed by somebody else.
    Signer,
    /// The node claims more than the doctor signed.
    Wider,
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
    let kinds = ClaimKind::BreakGlass.only();
    let policy = Action::Write { slot: RuleSlot::Policy(0), rule: Rule { kinds, ..rule() } };
    let actions = [(enrol, &registrar), (permit, &signer), (policy, &signer)];
    for (number, (action, key)) in actions.into_iter().enumerate() {
        let t_op = at(100 * (number as u64 + 1));
        let operation = Operation {
            patient: patient(ANNA),
            nonce: record.as_ref().map_or(0, |record: &Record| record.nonce),
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
    // Nobody permitted the device: its collection is excluded.
    let collection = Claim {
        kind: ClaimKind::Collect,
        digest: collected(&anna.view_key),
        ..claim(ANNA, COLLECTION, scope::device(&device()))
    };
    let emergency = match fault {
        Fault::Wider => {
            let categories = Category::Ecg.only().with(Category::Spo2.only());
            Claim { categories, ..emergency() }
        }
        _ => emergency(),
    };
    Chunk {
        capacity: SLOTS,
        root: tree.root(),
        cap: Box::new(tree.cap()),
        window: Window::new(at(0), at(1000)).unwrap(),
        first_leaf: 0,
        position_in: Position(0),
        position_out: Position(CLOSE),
        domain: scope::domain(deployment(), Circuit::C2, BatchHeader::KEY_VERSION, BatchNumber(1)),
        edge_in: None,
        edge_salt: Fr::from(5u8),
        slots: vec![
            slot(3, other, false, vec![claim(3, 11, doctor())]),
            slot(ANNA, anna, false, vec![claim(ANNA, 12, doctor()), emergency]),
            slot(ANNA, anna, fault != Fault::Covered, vec![collection]),
        ],
    }
}

impl World {
    pub(super) fn new(fault: Fault) -> World {
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

    /// The batch after this one, which concerns nobody.
    pub(super) fn next(&self) -> World {
        let (before, _) = self.files();
        let header = BatchHeader {
            number: BatchNumber(before.number.0 + 1),
            previous: scope::header_hash(&before),
            operations_root: scope::chunk_roots(&[]),
            claims_root: scope::chunk_roots(&[]),
            operations: 0,
            enrolments: 0,
            access: 0,
            collect: 0,
            break_glass: 0,
            excluded: 0,
            journal_position: Position(CLOSE + 1),
            ..before
        };
        World { public: small::public_file(header, vec![]), openings: vec![] }
    }

    pub(super) fn anna(&mut self) -> &mut PatientOpening {
        &mut self.openings[0]
    }

    /// The roots of the leaves as they are: an operator who settles what it wants.
    pub(super) fn reroot(&mut self) {
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
    pub(super) fn files(&self) -> (BatchHeader, BatchFiles) {
        let seal = SealScope::of_header(deployment(), &self.public.header);
        let private = PrivateFile::seal(&seal, &self.openings).to_bytes();
        let mut public = self.public.clone();
        public.header.ciphertext_hash = Keccak256::digest(&private).into();
        public.header.ciphertext_length = private.len() as u64;
        (public.header.clone(), BatchFiles { public: public.to_bytes(), private })
    }

    pub(super) fn check(&self) -> Result<Seen, LogError> {
        let (header, files) = self.files();
        check(&viewer(), &Audited { header: &header, edges: &[] }, &files, Before::Known(None))
    }
}

pub(super) fn root(node: Domain, leaves: &[Word]) -> Word {
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
                    leaf: (5 * number + at) as u32,
                    covered: !slot.excluded,
                    claim: claim.clone(),
                    salt: field::to_word(&chunk.salt(number, at)),
                    request: match claim.kind {
                        ClaimKind::BreakGlass => request(REASON).to_bytes(),
                        // Of an access the operator withholds it.
                        ClaimKind::Access | ClaimKind::Collect => Vec::new(),
                    },
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
        time_out: applied[applied.len() - 1].t_op.get(),
        operations: applied.len() as u32,
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
        groups: groups(),
    }
}

fn header(chunk: &Chunk, operations: &OperationsChunk, claims: &ClaimsChunk) -> BatchHeader {
    BatchHeader {
        window: chunk.window,
        root_in: Word::from_u64(5),
        root_out: field::to_word(&chunk.root),
        operations_root: scope::chunk_roots(&[field::from_word(&operations.operations_root)]),
        claims_root: scope::chunk_roots(&[field::from_word(&claims.claims_root)]),
        operations: operations.operations,
        enrolments: operations.enrolments,
        access: claims.access,
        collect: claims.collect,
        break_glass: claims.break_glass,
        excluded: claims.excluded,
        journal_position: Position(CLOSE),
        journal_hash: hashes()[1],
        ..small::header(1)
    }
}
