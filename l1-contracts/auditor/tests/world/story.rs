//! What happens in the three batches, and how it is written down.
//!
//! 1: an enrolment, a permit and a policy; a collection under the one, broken glass under the
//! other, an access that nothing covers: two chunks of claims, of different shapes.
//! 2: a collection. 3: nothing; its close is in the journal group of the second one's.

use ark_bn254::Fr;
use model::{
    Action, BatchHeader, BatchNumber, Categories, Category, ChainScope, Claim, ClaimKind, Digest,
    Interval, Label, Labels, Millis, Operation, OrganisationId, Party, PatientIndex, Position,
    PractitionerId, Purpose, Purposes, Record, Rule, RuleSlot, Window, Word,
};
use statement::batch::{
    ClaimOpening, ClaimsChunk, GroupSummary, Layout, OperationOpening, OperationsChunk,
    PatientOpening, PrivateFile, PublicFile, SealScope, SegmentEntry, data_root, sort_segments,
};
use statement::c2::{self, Packed, PackedSlot, PricedCapacity};
use statement::claim::root16;
use statement::domain::Domain;
use statement::eddsa::{self, SecretKey};
use statement::inputs::C2Inputs;
use statement::operation::{self, SignedOperation};
use statement::scope::{self, Circuit};
use statement::tree::Tree;
use statement::{c1, field, journal, record};
use wire::{AccessKind, AccessRequest, Reason, SignedAccessRequest, Source};

use super::{Prove, SHAPES, layout, shape_of_claims, word};
use crate::small;

/// Time of block 0 of the tests' chain, Unix seconds.
pub(crate) const START_S: u64 = 1_700_000_000;
/// The one patient.
pub(crate) const PATIENT: u32 = 12;
const WINDOW_MS: u64 = 20_000;

/// What the operator does; by default everything as it should.
#[derive(Default)]
pub(crate) struct Plan {
    /// Changes slots before they are committed.
    pub(crate) slots: Option<fn(&mut Vec<PackedSlot>)>,
    /// Changes segments before they are committed.
    pub(crate) segments: Option<fn(&mut Vec<SegmentEntry>)>,
    /// Changes what is proven of a claims chunk, and its leaves; the root follows.
    pub(crate) chunk: Option<fn(&mut C2Inputs, &mut Vec<Word>)>,
    /// Changes journal groups before they are hashed.
    pub(crate) group: Option<fn(&mut GroupSummary)>,
}

/// A batch as it is published and opened.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) file: PublicFile,
    pub(crate) private: Vec<u8>,
    pub(crate) openings: Vec<PatientOpening>,
}

pub(crate) fn genesis_time() -> Millis {
    Millis::new(Millis::from_block_timestamp(START_S).get() - 3 * WINDOW_MS).expect("44 bits")
}

fn registrar_key() -> SecretKey {
    SecretKey::from_bytes(&[2; 32])
}

/// Hash of the registrar's key.
pub(crate) fn registrar() -> Word {
    field::to_word(&registrar_key().public().hash())
}

pub(crate) fn patient_key() -> SecretKey {
    SecretKey::from_bytes(&[1; 32])
}

/// The patient's view key.
pub(crate) fn view_key() -> Word {
    word(31)
}

fn patient() -> PatientIndex {
    PatientIndex::new(PATIENT).expect("24 bits")
}

fn at(ms: u64) -> Millis {
    genesis_time().plus(ms)
}

fn permit() -> Rule {
    Rule {
        actor: Party::Named(word(100)),
        source: Party::Any,
        categories: Categories::ALL,
        purposes: Purposes::ALL,
        kinds: ClaimKind::Access.only().with(ClaimKind::Collect.only()),
        labels: Labels::ALL,
        access: Interval { from: at(0), until: Millis::UNBOUNDED_FUTURE },
        data: Interval::ALWAYS,
    }
}

fn operations() -> [(Action, u64); 3] {
    let key_hash = field::to_word(&patient_key().public().hash());
    let enrol = Action::Enrol { key_hash, view_key: view_key(), salt: word(41) };
    let kinds = ClaimKind::BreakGlass.only();
    let policy = Rule { actor: Party::Named(doctor()), kinds, ..permit() };
    [
        (enrol, 1000),
        (Action::Write { slot: RuleSlot::Permit(0), rule: permit() }, 2000),
        (Action::Write { slot: RuleSlot::Policy(0), rule: policy }, 3000),
    ]
}

/// Why the glass was broken.
pub(crate) const REASON: &str = "found on the floor";

/// What was signed to break it, for a reason.
pub(crate) fn request(scope: ChainScope, reason: &str) -> SignedAccessRequest {
    let request = AccessRequest {
        scope,
        patient: patient(),
        practitioner: PractitionerId::new("dr-001").expect("a name"),
        organisation: OrganisationId::new("ward-3").expect("a name"),
        care_team: None,
        source: Source::Any,
        categories: Category::Ecg.only(),
        purpose: Purpose::EmergencyTreatment,
        labels: Label::Normal.only(),
        data: Interval { from: at(5500), until: at(6000) },
        requested_at: at(6000),
        valid_until: at(6500),
        nonce: 1,
        kind: AccessKind::BreakGlass { reason: Reason::new(reason).expect("a reason") },
    };
    let key = SecretKey::from_bytes(&[3; 32]);
    let message = field::from_word(&request.signing_hash().expect("well-formed").word());
    let signature = eddsa::sign(&key, message).encode();
    SignedAccessRequest::new(request, key.public().encode(), signature).expect("well-formed")
}

fn doctor() -> Word {
    scope::practitioner(&PractitionerId::new("dr-001").expect("a name"))
}

/// The claim of that request.
fn emergency(chain: ChainScope) -> Claim {
    let organisation = OrganisationId::new("ward-3").expect("a name");
    let doctor = PractitionerId::new("dr-001").expect("a name");
    let words = scope::request_words(&doctor, &organisation, None);
    request(chain, REASON).claim(words, Position(4), at(6000))
}

fn claim(kind: ClaimKind, individual: u64, ms: u64, position: u64) -> Claim {
    Claim {
        patient: patient(),
        kind,
        individual: word(individual),
        organisation: word(200),
        care_team: Word::ZERO,
        source: Party::Named(word(300)),
        categories: Category::Ecg.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: Interval { from: at(ms), until: at(ms + 10) },
        measured: Interval { from: at(ms - 500), until: at(ms) },
        position: Position(position),
        digest: Digest([position as u8; 31]),
    }
}

/// Claims, journal position of the close, journal groups (first and last position).
type Batch = (Vec<Claim>, u64, &'static [(u64, u64)]);

fn batches(chain: ChainScope) -> [Batch; 3] {
    let first = vec![
        claim(ClaimKind::Collect, 100, 5000, 3),
        emergency(chain),
        claim(ClaimKind::Access, 999, 7000, 5),
    ];
    let second = vec![claim(ClaimKind::Collect, 100, WINDOW_MS + 5000, 11)];
    [(first, 8, &[(1, 4), (5, 8)]), (second, 12, &[(9, 14)]), (vec![], 13, &[])]
}

/// State that goes from batch to batch.
struct Sequencer<'a> {
    scope: ChainScope,
    prover: &'a dyn Prove,
    plan: &'a Plan,
    tree: Tree,
    record: Option<Record>,
    previous: [u8; 32],
    position: Position,
    journal: [u8; 32],
    groups: u64,
}

/// The three batches for a deployment.
pub(crate) fn build(scope: ChainScope, prover: &dyn Prove, plan: &Plan) -> Vec<Built> {
    let mut sequencer = Sequencer {
        scope,
        prover,
        plan,
        tree: Tree::new(),
        record: None,
        previous: scope::genesis_hash(scope, genesis_time()),
        position: Position(0),
        journal: journal::genesis(scope),
        groups: 0,
    };
    (1..)
        .zip(batches(scope))
        .map(|(number, batch)| sequencer.batch(BatchNumber(number), batch))
        .collect()
}

impl Sequencer<'_> {
    fn batch(&mut self, number: BatchNumber, (claims, close, groups): Batch) -> Built {
        let from = (number.0 - 1) * WINDOW_MS;
        let window = Window::new(at(from), at(from + WINDOW_MS)).expect("a window");
        let root_in = self.tree.root();
        let rows = if number.0 == 1 { self.operation_chunks(number, window) } else { vec![] };
        let position_in = std::mem::replace(&mut self.position, Position(close));
        let chunks = self.claim_chunks(number, window, position_in, &claims);
        let mut segments: Vec<_> = claims
            .iter()
            .filter(|claim| claim.kind == ClaimKind::Collect)
            .map(|claim| SegmentEntry::new(claim.digest, 1000))
            .collect();
        if let Some(change) = self.plan.segments {
            change(&mut segments);
        }
        sort_segments(&mut segments);
        let groups = groups.iter().map(|span| self.group(*span)).collect();
        let openings = self.openings(number, &rows, &chunks);
        let root_out = field::to_word(&self.tree.root());
        let seal = SealScope { scope: self.scope, batch: number, root_out };
        let private = PrivateFile::seal(&seal, &openings).to_bytes();
        let operations = rows.iter().map(|row| self.operations_chunk(row)).collect();
        let claims = chunks.iter().map(|chunk| self.claims_chunk(chunk)).collect();
        let header = header(number, window, [root_in, self.tree.root()], self);
        let mut file = PublicFile { header, operations, claims, segments, groups };
        commit(&mut file, &private);
        self.previous = scope::header_hash(&file.header);
        Built { file, private, openings }
    }

    fn group(&mut self, (first, last): (u64, u64)) -> GroupSummary {
        self.groups += 1;
        let mut group = small::group(self.groups, [first, last], self.groups as u8);
        if let Some(change) = self.plan.group {
            change(&mut group);
        }
        self.journal = journal::journal_hash(&self.journal, &group);
        group
    }

    fn operation_chunks(&mut self, batch: BatchNumber, window: Window) -> Vec<c1::Chunk> {
        let mut time_in = window.t0();
        let mut chunks = Vec::new();
        for (action, ms) in operations() {
            let (root_in, t_op) = (self.tree.root(), at(ms));
            let row = self.apply(action, t_op, window, time_in);
            chunks.push(c1::Chunk {
                root_in,
                time_in,
                window,
                domain: scope::domain(self.scope, Circuit::C1, BatchHeader::KEY_VERSION, batch),
                sig_domain: scope::sig_domain(self.scope),
                registrar_key_hash: registrar_key().public().hash(),
                capacity: 1,
                rows: vec![row],
            });
            time_in = t_op;
        }
        // Salts hold the root after the whole batch, which is known here.
        for (number, chunk) in chunks.iter_mut().enumerate() {
            let view_key = &self.record.as_ref().expect("enrolled").view_key;
            let root_out = self.tree.root();
            chunk.rows[0].op_salt =
                operation::salt(view_key, chunk.domain, root_out, number as u32);
        }
        chunks
    }

    fn apply(
        &mut self,
        action: Action,
        t_op: Millis,
        window: Window,
        last_time: Millis,
    ) -> c1::Row {
        let sig_domain = scope::sig_domain(self.scope);
        let enrols = matches!(action, Action::Enrol { .. });
        let key = if enrols { registrar_key() } else { patient_key() };
        let (signed_at, valid_until) = (window.t0(), at(100_000));
        let nonce = self.record.as_ref().map_or(0, |record| record.nonce);
        let operation = Operation { patient: patient(), nonce, signed_at, valid_until, action };
        let signed = SignedOperation::sign(operation, sig_domain, &key);
        let context = c1::Context {
            sig_domain,
            registrar_key_hash: registrar_key().public().hash(),
            t0: window.t0(),
            last_time,
            t_op,
            t1: Some(window.t1()),
        };
        let record =
            c1::apply(self.record.as_ref(), &signed, &context).expect("an honest operation");
        let path = self.tree.path(PATIENT);
        self.tree.set(PATIENT, record::leaf(&record));
        let (old, op_salt) = (self.record.replace(record), Fr::from(0u8));
        c1::Row { signed, t_op, old, path, root_out: self.tree.root(), op_salt }
    }

    fn claim_chunks(
        &self,
        batch: BatchNumber,
        window: Window,
        position_in: Position,
        claims: &[Claim],
    ) -> Vec<c2::Chunk> {
        let offer = |shape: &&str| match layout(shape) {
            Layout::Claims(capacity) => Some(PricedCapacity { capacity, cost: 1 }),
            Layout::Operations(_) => None,
        };
        let offers: Vec<_> = SHAPES.iter().filter_map(offer).collect();
        let mut chunks: Vec<c2::Chunk> = Vec::new();
        let packed = c2::mix(claims, |_| self.record.as_ref(), &offers).expect("well-formed");
        for Packed { capacity, mut slots, .. } in packed {
            if let Some(change) = self.plan.slots {
                change(&mut slots);
            }
            chunks.push(c2::Chunk {
                capacity,
                root: self.tree.root(),
                cap: Box::new(self.tree.cap()),
                window,
                first_leaf: chunks.iter().map(|chunk| chunk.capacity.leaves() as u64).sum(),
                position_in,
                position_out: self.position,
                domain: scope::domain(self.scope, Circuit::C2, BatchHeader::KEY_VERSION, batch),
                edge_in: chunks.last().map(c2::Chunk::edge_out),
                edge_salt: Fr::from(chunks.len() as u64 + 77),
                slots: slots.into_iter().map(|slot| self.slot(slot)).collect(),
            });
        }
        chunks
    }

    fn slot(&self, slot: PackedSlot) -> c2::Slot {
        c2::Slot {
            patient: slot.patient,
            record: self.record.clone().expect("enrolled"),
            path: c2::cap_path(&self.tree.path(PATIENT)),
            excluded: slot.excluded,
            claims: slot.claims,
        }
    }

    fn operations_chunk(&self, chunk: &c1::Chunk) -> OperationsChunk {
        let inputs = c1::check(chunk).expect("an honest chunk");
        OperationsChunk {
            key_id: self.prover.keys()[0].id(),
            root_out: field::to_word(&inputs.root_out),
            time_out: inputs.time_out.get(),
            operations: inputs.operations,
            enrolments: inputs.enrolments,
            operations_root: field::to_word(&inputs.operations_root),
            proof: self.prover.c1(&inputs, chunk),
            leaves: chunk.rows.iter().map(|row| self.operation_leaf(row)).collect(),
        }
    }

    fn operation_leaf(&self, row: &c1::Row) -> Word {
        let message = operation::message(scope::sig_domain(self.scope), &row.signed.operation);
        field::to_word(&operation::leaf(message, row.t_op, row.op_salt))
    }

    fn claims_chunk(&self, chunk: &c2::Chunk) -> ClaimsChunk {
        let mut inputs = chunk.inputs();
        let mut leaves: Vec<Word> = chunk.leaves().iter().map(field::to_word).collect();
        if let Some(change) = self.plan.chunk {
            change(&mut inputs, &mut leaves);
            let leaves: Vec<Fr> = leaves.iter().map(field::from_word).collect();
            inputs.claims_root = root16(Domain::ClaimsNode, &leaves);
        }
        ClaimsChunk {
            key_id: self.prover.keys()[shape_of_claims(chunk.capacity)].id(),
            claims_root: field::to_word(&inputs.claims_root),
            access: inputs.access,
            collect: inputs.collect,
            break_glass: inputs.break_glass,
            excluded: inputs.excluded,
            edge_out: field::to_word(&inputs.edge_out),
            proof: self.prover.c2(&inputs, chunk),
            leaves,
        }
    }

    /// The patient's opening, if the batch concerns the patient.
    fn openings(
        &self,
        batch: BatchNumber,
        rows: &[c1::Chunk],
        chunks: &[c2::Chunk],
    ) -> Vec<PatientOpening> {
        let claims =
            (0..).zip(chunks).flat_map(|(number, chunk)| claim_openings(self.scope, number, chunk));
        let operations = (0..).zip(rows).map(|(number, chunk)| operation_opening(number, chunk));
        let opening = PatientOpening {
            batch,
            patient: patient(),
            record: self.record.clone().expect("enrolled"),
            path: self.tree.path(PATIENT).map(|children| children.map(|c| field::to_word(&c))),
            claims: claims.collect(),
            operations: operations.collect(),
            refused: Vec::new(),
        };
        let concerned = !opening.claims.is_empty() || !opening.operations.is_empty();
        if concerned { vec![opening] } else { vec![] }
    }
}

fn claim_openings(chain: ChainScope, number: u32, chunk: &c2::Chunk) -> Vec<ClaimOpening> {
    let slot = &chunk.slots[0];
    let claims = slot.claims.iter().enumerate().map(|(leaf, claim)| ClaimOpening {
        chunk: number,
        leaf: leaf as u32,
        covered: !slot.excluded,
        claim: claim.clone(),
        salt: field::to_word(&chunk.salt(0, leaf)),
        request: match claim.kind {
            ClaimKind::BreakGlass => request(chain, REASON).to_bytes(),
            ClaimKind::Access | ClaimKind::Collect => Vec::new(),
        },
    });
    claims.collect()
}

fn operation_opening(number: u32, chunk: &c1::Chunk) -> OperationOpening {
    let row = &chunk.rows[0];
    OperationOpening {
        chunk: number,
        row: 0,
        t_op: row.t_op,
        signed: row.signed.to_bytes().to_vec(),
        salt: field::to_word(&row.op_salt),
    }
}

fn header(
    number: BatchNumber,
    window: Window,
    [root_in, root_out]: [Fr; 2],
    sequencer: &Sequencer<'_>,
) -> BatchHeader {
    BatchHeader {
        previous: sequencer.previous,
        window,
        root_in: field::to_word(&root_in),
        root_out: field::to_word(&root_out),
        journal_position: sequencer.position,
        journal_hash: sequencer.journal,
        ..small::header(number.0)
    }
}

/// Fills in what the header says of the rest of the file.
fn commit(file: &mut PublicFile, private: &[u8]) {
    let PublicFile { header, operations, claims, segments, .. } = file;
    let roots = |words: Vec<Word>| {
        scope::chunk_roots(&words.iter().map(field::from_word).collect::<Vec<Fr>>())
    };
    header.operations_root = roots(operations.iter().map(|c| c.operations_root).collect());
    header.claims_root = roots(claims.iter().map(|c| c.claims_root).collect());
    header.operations = operations.iter().map(|c| c.operations).sum();
    header.enrolments = operations.iter().map(|c| c.enrolments).sum();
    header.access = claims.iter().map(|c| c.access).sum();
    header.collect = claims.iter().map(|c| c.collect).sum();
    header.break_glass = claims.iter().map(|c| c.break_glass).sum();
    header.excluded = claims.iter().map(|c| c.excluded).sum();
    header.data_root = data_root(segments);
    header.ciphertext_hash = alloy::primitives::keccak256(private).0;
    header.ciphertext_length = private.len() as u64;
}
