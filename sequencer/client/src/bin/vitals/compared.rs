//! What `vitals log` compares beside the batches themselves: the wallet's copy, receipts, released
//! frames. Each says what it found, or that it compared nothing.

use client::copy::{CopyFound, SettledRecord, compare_copy};
use client::erasure::{CHECKS, ToldFound, ToldStands};
use client::log::{Before, SeenOperation};
use client::party::Names;
use client::preview::operation_sentence;
use client::promised::{
    ErasedBy, JournalFound, OtherJournal, Promised, PromisesFound, SettledHash,
};
use model::calendar::Utc;
use model::{BatchHeader, BatchNumber, ChainScope, Position, Record, escape};
use serde_json::{Value, json};
use statement::batch::{Compared, ComparedClaim, ComparedFrames, JournalSpan, ReleasedFrames};
use wire::ErasureOf;

/// The log's findings about what was given beside the batches.
#[derive(Default)]
pub(crate) struct Findings {
    /// A line for people each.
    pub(crate) notes: Vec<String>,
    /// For programs.
    pub(crate) json: serde_json::Map<String, Value>,
    /// Whether something contradicts the batches.
    pub(crate) contradicted: bool,
    /// What was given and compared with nothing.
    pub(crate) not_compared: Vec<String>,
}

/// What was opened of all batches, as far as they hold.
pub(crate) struct Opened<'a> {
    pub(crate) scope: ChainScope,
    pub(crate) names: &'a Names,
    /// The headers of the batches that were opened, in order.
    pub(crate) headers: &'a [BatchHeader],
    pub(crate) operations: &'a [SeenOperation],
    /// Operations that receipts promise behind the last batch.
    pub(crate) later: &'a [SeenOperation],
}

impl Findings {
    /// Every difference between the wallet's copy and the settled record.
    pub(crate) fn compare_copy(
        &mut self,
        opened: &Opened<'_>,
        copy: Option<&Record>,
        last: &Before,
    ) {
        let Some(copy) = copy else {
            self.note_copy("none", "there is no wallet's copy to compare the record with".into());
            return;
        };
        let (record, until) = match (last, opened.headers.last()) {
            (Before::Known(Some(record)), Some(header)) => (record, header.window.t1()),
            (Before::Known(_), _) => return self.leave_copy("no batch has the record yet"),
            (Before::Unknown, _) => {
                return self.leave_copy("no batch that was read has the record");
            }
        };
        let Opened { operations, later, .. } = *opened;
        let settled = SettledRecord { record, operations, later, until };
        match compare_copy(opened.scope, copy, settled) {
            CopyFound::Equal => {
                self.note_copy("equal", "the wallet's copy is the settled record".into());
            }
            CopyFound::Ahead { operations, differences, receipted } => {
                self.note_ahead(operations, differences, receipted);
            }
            CopyFound::Behind { operations } => {
                let says = |one: &SeenOperation| {
                    let says = operation_sentence(&one.operation, opened.names);
                    format!("\n  {}  {says}", Utc(one.t_op))
                };
                let list: String = operations.iter().map(says).collect();
                self.json.insert("copy_lacks".into(), operations.len().into());
                let note = format!(
                    "the wallet's copy lacks what was signed with its key elsewhere (another \
                     device, or a restored wallet):{list}"
                );
                self.note_copy("behind", note);
            }
            CopyFound::Unexplained { differences } => {
                self.contradicted = true;
                let list = differences.join(", ");
                self.json.insert("copy_differs_in".into(), differences.into());
                let note = format!(
                    "THE WALLET'S COPY DIFFERS from the settled record and no signed operation \
                     explains it: {list}"
                );
                self.note_copy("unexplained", note);
            }
        }
    }

    fn note_copy(&mut self, name: &str, note: String) {
        self.notes.push(note);
        self.json.insert("copy".into(), name.into());
    }

    /// What no batch has may be the wallet's own invention, or what the node keeps back: without
    /// receipts nobody can say.
    fn note_ahead(&mut self, operations: u32, differences: Vec<String>, receipted: bool) {
        let list = match differences.as_slice() {
            [] => "nothing that is left of them".to_owned(),
            names => names.join(", "),
        };
        let why = if receipted {
            "their receipts lead to it"
        } else {
            self.not_compared.push(format!(
                "{operations} operations of the wallet's copy, which changed {list} (no receipt \
                 shows them)"
            ));
            "no receipt shows them: give the folder of their receipts (--receipts)"
        };
        let note = format!(
            "the wallet's copy has {operations} operations that no batch has yet, which changed \
             {list}, and is else the settled record: {why}"
        );
        self.note_copy("ahead", note);
        self.json.insert("copy_ahead_in".into(), differences.into());
        self.json.insert("copy_receipted".into(), receipted.into());
    }

    /// The copy is there, and nothing to hold it against.
    fn leave_copy(&mut self, why: &str) {
        self.note_copy("not-compared", format!("the wallet's copy was not compared: {why}"));
        self.not_compared.push(format!("the wallet's copy ({why})"));
    }

    /// That the readings of this patient are erased, as receipts say: at their own request, or what
    /// stands beside the receipt is no request of theirs.
    pub(crate) fn add_erasures(&mut self, about: Option<ErasureOf>, erased: &[ErasedBy]) {
        let mut list = Vec::new();
        for ErasedBy { receipt, group, position, time, request } in erased {
            let Some(about) = about else {
                self.not_compared.push("an erasure (no batch has the stopped record yet)".into());
                continue;
            };
            let (at, receipt) = (Utc(*time), receipt.display().to_string());
            let differs = request.first_difference(&about, CHECKS);
            let is_own = differs.is_none();
            let asked = match differs {
                None => "at your signed request".to_owned(),
                Some(part) => {
                    self.contradicted = true;
                    format!("AND NOT AT YOUR REQUEST, which is of another {part}")
                }
            };
            self.notes.push(format!(
                "erased {at}, at journal position {} ({receipt}): the node destroyed the keys of \
                 this record's readings {asked}; who read what before stays above",
                position.0
            ));
            list.push(json!({
                "time": at.to_string(), "position": position.0, "group": group,
                "receipt": receipt, "requested": Utc(request.request.requested_at).to_string(),
                "own": is_own,
            }));
        }
        if !list.is_empty() {
            self.json.insert("erased".into(), list.into());
        }
    }

    /// What the node said of requests to erase that are not carried out: nobody proves it.
    pub(crate) fn add_told(&mut self, found: &ToldFound) {
        let list = found.told.iter().map(|one| {
            let ToldStands { told_at, held_since, reason, request, .. } = one;
            let held = held_since.as_deref().zip(reason.as_deref());
            let says = held.map_or("it waits for its operator".to_owned(), |(since, reason)| {
                let (since, reason) = (escape(since), escape(reason));
                format!("a legal hold since {since} keeps the readings: {reason}")
            });
            self.notes.push(format!(
                "asked to be erased; at {} the node said, as its operator's word: {says}",
                escape(told_at)
            ));
            json!({
                "state": if held.is_some() { "held" } else { "waiting" }, "told_at": told_at,
                "since": held_since, "reason": reason, "request": request,
            })
        });
        let list: Vec<Value> = list.collect();
        if !list.is_empty() {
            self.json.insert("erasure_asked".into(), list.into());
        }
        let unread = found.unread.iter().map(|path| path.display().to_string());
        let unread: Vec<_> = unread.collect();
        for path in &unread {
            self.notes.push(format!(
                "what a node said of a request to erase is not read, in {}: ask again (vitals \
                 consent erase --send FILE)",
                escape(path)
            ));
        }
        if !unread.is_empty() {
            self.json.insert("erasure_asked_unread".into(), unread.into());
        }
    }

    /// Every operation that a receipt promises must be in the batch of its position.
    pub(crate) fn add_promises(&mut self, found: PromisesFound) {
        let PromisesFound { kept, not_settled, not_compared, absent, .. } = found;
        self.notes.push(format!(
            "receipts: {kept} operations stand in their batches, {not_settled} are later than the \
             last batch that was read, {not_compared} were not compared (the signed operation is \
             not beside the receipt, or its batch is before the first header)"
        ));
        if not_compared > 0 {
            self.not_compared.push(format!("{not_compared} operations of receipts"));
        }
        let mut list = Vec::new();
        for (Promised { receipt, group, position, digest, .. }, BatchNumber(batch)) in absent {
            self.contradicted = true;
            let (receipt, digest) = (receipt.display().to_string(), hex::encode(digest.0));
            self.notes.push(format!(
                "ABSENT: operation {digest}, promised at journal position {} by group {group} \
                 ({receipt}), is not in batch {batch}: that receipt and the opening of the batch \
                 are evidence",
                position.0
            ));
            list.push(json!({
                "receipt": receipt, "group": group, "position": position.0, "digest": digest,
                "batch": batch,
            }));
        }
        let report = json!({
            "kept": kept, "not_settled": not_settled, "not_compared": not_compared, "absent": list,
        });
        self.json.insert("receipts".into(), report);
    }

    /// The journal that receipts name must be the one that was settled.
    pub(crate) fn add_journal(&mut self, found: JournalFound) {
        let JournalFound { settled, not_settled, not_compared, other } = found;
        self.notes.push(format!(
            "receipts: {settled} are of the settled journal, {not_settled} are later than the last \
             batch that was read, {not_compared} were not compared (their groups are before those \
             of the headers)"
        ));
        if not_compared > 0 {
            self.not_compared.push(format!("the journal of {not_compared} receipts"));
        }
        // Some are always younger than the last batch; if all are, nothing was compared.
        if settled == 0 && other.is_empty() && not_settled > 0 {
            self.not_compared.push("the journal of any receipt, all being later".to_owned());
        }
        let hex = |hash: &[u8; 32]| format!("0x{}", hex::encode(hash));
        let mut list = Vec::new();
        for OtherJournal { receipt, settled } in other {
            self.contradicted = true;
            let (path, group) = (receipt.path.display().to_string(), receipt.receipted.group);
            let (number, receipted) = (group.group, hex(&group.journal_hash));
            let settled = settled.map(|SettledHash { batch, hash }| (batch.0, hex(&hash)));
            let says = match &settled {
                Some((batch, hash)) => format!("batch {batch} has {hash}"),
                None => "no batch has that group, although its position is settled".to_owned(),
            };
            self.notes.push(format!(
                "NOT THE SETTLED JOURNAL: after group {number} {path} has journal hash \
                 {receipted}, {says}; keep the receipt and the batch file: they are evidence"
            ));
            list.push(json!({
                "receipt": path, "group": number, "receipted": receipted,
                "batch": settled.as_ref().map(|(batch, _)| batch),
                "settled": settled.as_ref().map(|(_, hash)| hash),
            }));
        }
        let report = json!({
            "settled": settled, "not_settled": not_settled, "not_compared": not_compared,
            "other": list,
        });
        self.json.insert("journal".into(), report);
    }
}

/// Released frames on their way through the batches.
pub(crate) struct FramesCheck<'a> {
    files: &'a [ReleasedFrames],
    /// Frames whose collections were opened.
    placed: usize,
    /// Collections with their batch.
    claims: Vec<(u64, ComparedClaim)>,
    /// Frames of no collection, with their batch.
    uncollected: Vec<(u64, Position)>,
}

impl<'a> FramesCheck<'a> {
    pub(crate) fn new(files: &'a [ReleasedFrames]) -> FramesCheck<'a> {
        FramesCheck { files, placed: 0, claims: Vec::new(), uncollected: Vec::new() }
    }

    /// Holds every file against a batch.
    pub(crate) fn take(
        &mut self,
        batch: u64,
        span: JournalSpan,
        opening: Option<&statement::batch::PatientOpening>,
    ) {
        for file in self.files {
            let ComparedFrames { claims, uncollected } = file.compare(opening, span);
            self.claims.extend(claims.into_iter().map(|claim| (batch, claim)));
            self.uncollected.extend(uncollected.into_iter().map(|at| (batch, at)));
            self.placed += file.frames.iter().filter(|one| span.contains(one.position)).count();
        }
    }

    /// Says what was found.
    pub(crate) fn conclude(self, findings: &mut Findings) {
        if self.files.is_empty() {
            return;
        }
        let (mut list, mut in_part) = (Vec::new(), 0);
        for (batch, ComparedClaim { position: Position(position), found, .. }) in self.claims {
            let (name, says) = match found {
                Compared::Equal => ("equal", "are those of its digest"),
                Compared::Differs => ("differ", "ARE NOT those of its digest, or some are missing"),
                Compared::Partial => ("partial", "are a part of it: not compared"),
                Compared::Unreleased => ("unreleased", "are none of it: not compared"),
            };
            findings.contradicted |= found == Compared::Differs;
            in_part += usize::from(matches!(found, Compared::Partial | Compared::Unreleased));
            let of = "the released frames of the collection at position";
            findings.notes.push(format!("batch {batch}: {of} {position} {says}"));
            list.push(json!({ "batch": batch, "position": position, "found": name }));
        }
        for (batch, Position(position)) in self.uncollected {
            findings.contradicted = true;
            findings.notes.push(format!(
                "batch {batch}: the released frame at position {position} IS IN NO COLLECTION: it \
                 was read, and its collection is not settled; the file of frames is evidence"
            ));
            list.push(json!({ "batch": batch, "position": position, "found": "uncollected" }));
        }
        let all: usize = self.files.iter().map(|file| file.frames.len()).sum();
        let outside = all - self.placed;
        findings.notes.push(format!(
            "released frames: {} of {all} lie in batches that were compared, {outside} are later, \
             or of batches whose begin the headers do not tell",
            self.placed
        ));
        let given = [
            (in_part, "collections that were released in part or not at all"),
            (outside, "released frames of batches that were not compared"),
        ];
        let some = given.iter().filter(|(count, _)| *count > 0);
        findings.not_compared.extend(some.map(|(count, what)| format!("{count} {what}")));
        // A file that met no collection was compared with nothing.
        if list.is_empty() && outside == 0 {
            findings
                .not_compared
                .push("the files of released frames: no collection is theirs".into());
        }
        findings.json.insert("frames".into(), list.into());
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use client::{Key, KeyKind, erasure};
    use model::{Millis, PatientIndex};
    use wire::ErasureRequest;

    use super::*;

    fn about(key: &Key) -> ErasureOf {
        let scope = ChainScope { chain_id: 5, contract: [6; 20] };
        let patient = PatientIndex::new(7).unwrap();
        ErasureOf { scope, patient, key_hash: key.key_hash(), nonce: 3 }
    }

    fn erased(key: &Key) -> ErasedBy {
        let (ErasureOf { scope, patient, nonce, .. }, at) =
            (about(key), Millis::from_unix_ms(1_777_624_200_000));
        let valid_until = at.plus(1000);
        let request = ErasureRequest { scope, patient, nonce, requested_at: at, valid_until };
        ErasedBy {
            receipt: PathBuf::from("12.receipt"),
            group: 12,
            position: Position(12),
            time: at,
            request: erasure::sign(request, key).unwrap(),
        }
    }

    #[test]
    fn what_the_node_said_of_a_request_that_waits_is_shown_as_its_word() {
        let waits = ToldStands::waiting(7, "00".into(), Millis::from_unix_ms(1_777_624_200_000));
        let since = Millis::from_unix_ms(1_777_624_200_000);
        let held = waits.clone().held(since, "a claim\nis pending".into());
        let mut findings = Findings::default();
        let unread = vec![PathBuf::from("00.told")];
        findings.add_told(&ToldFound { told: vec![waits, held], unread });
        assert!(findings.notes[2].contains("not read, in 00.told"), "{:?}", findings.notes);
        assert_eq!(findings.json["erasure_asked_unread"], json!(["00.told"]));
        assert!(findings.notes[0].ends_with("its operator's word: it waits for its operator"));
        assert!(findings.notes[1].contains("keeps the readings: a claim\\nis pending"));
        assert_eq!(findings.json["erasure_asked"][0]["state"], "waiting");
        assert_eq!(findings.json["erasure_asked"][1]["state"], "held");
        assert!(!findings.contradicted && findings.not_compared.is_empty());
        let mut findings = Findings::default();
        findings.add_told(&ToldFound::default());
        assert!(findings.json.is_empty() && findings.notes.is_empty());
    }

    #[test]
    fn an_erasure_is_the_patients_own_or_it_is_said_to_be_none() {
        let [own, other] = [7, 8].map(|byte| Key::from_secret(KeyKind::Patient, [byte; 32]));
        let found = |of: Option<ErasureOf>, by: &Key| {
            let mut findings = Findings::default();
            findings.add_erasures(of, &[erased(by)]);
            findings
        };
        let asked = found(Some(about(&own)), &own);
        assert!(!asked.contradicted && asked.notes[0].contains("at your signed request"));
        assert_eq!(asked.json["erased"][0]["position"], 12);
        assert_eq!(asked.json["erased"][0]["own"], true);
        let forged = found(Some(about(&own)), &other);
        assert!(forged.contradicted, "the node shows a request that another key signed");
        assert!(forged.notes[0].contains("NOT AT YOUR REQUEST"), "{:?}", forged.notes);
        // Signed at another number of operations, so of a record that was still open.
        let early = found(Some(ErasureOf { nonce: 4, ..about(&own) }), &own);
        assert!(early.contradicted, "the node shows a request that it should have refused");
        // Of a record that no batch shows as stopped nobody can tell.
        let early = found(None, &own);
        assert_eq!((early.notes.len(), early.not_compared.len()), (0, 1));
    }
}
