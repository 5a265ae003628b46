//! The lines of a patient's record, each in words and with what opens it.
//!
//! The words follow from the proof and the names, by one function for whoever writes and whoever
//! checks: so a word that was changed shows, although no hash is over the words themselves.

use model::calendar::Utc;
use model::{
    Action, Categories, Category, ClaimKind, ClaimKinds, Interval, Label, Labels, Millis, Party,
    Purpose, Purposes, Rule, RuleSlot, Uncovered, Window,
};
use serde::{Deserialize, Serialize};
use statement::batch::{RefusedAccess, Requester};

use crate::frames::{FrameBytes, SoundFrame};
use crate::names::Names;
use crate::proof::{
    BatchProof, ClaimProof, OperationProof, RecordProof, SoundClaim, SoundOperation,
};
use crate::text::Hex;

/// One line of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(crate) enum Line {
    Head(Head),
    Batch(BatchLine),
    Operation(Box<OperationLine>),
    Claim(Box<ClaimLine>),
    Frame(FrameLine),
    Refused(RefusedLine),
    Gap(GapLine),
    Record(Box<RecordLine>),
    End(EndLine),
}

/// Whose record, of which deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Name and version of the format.
    pub(crate) schema: String,
    pub(crate) chain_id: u64,
    pub(crate) settlement: Hex<[u8; 20]>,
    pub(crate) fingerprint: String,
    /// Index of the record.
    pub(crate) patient: u32,
    /// First and last batch that were read; those that do not concern the patient have no line.
    pub(crate) batches: [u64; 2],
    /// Collections of one source that lie further apart than this have a gap between them.
    pub(crate) gap_over_ms: u64,
    /// What keys the digests of this record's segments; only where readings are in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) segment_key: Option<Hex<[u8; 32]>>,
    pub(crate) names: Names,
}

/// A batch, and how many lines follow of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct BatchLine {
    pub(crate) batch: u64,
    pub(crate) from: String,
    pub(crate) until: String,
    pub(crate) operations: u64,
    pub(crate) claims: u64,
    pub(crate) refused: u64,
    /// What settled it, as far as whoever wrote the file knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) transaction: Option<Hex<[u8; 32]>>,
    pub(crate) proof: BatchProof,
}

/// What a rule says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct RuleWords {
    pub(crate) who: String,
    pub(crate) source: String,
    pub(crate) kinds: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) purposes: Vec<String>,
    pub(crate) labels: Vec<String>,
    pub(crate) access: [String; 2],
    pub(crate) data: [String; 2],
}

/// A consent operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct OperationLine {
    pub(crate) batch: u64,
    pub(crate) time: String,
    /// `enrol`, `permit`, `deny`, `policy`, `revoke` or `stop`.
    pub(crate) what: String,
    /// As `permit:0`.
    pub(crate) slot: Option<String>,
    pub(crate) rule: Option<RuleWords>,
    pub(crate) proof: OperationProof,
}

/// A collection or an access.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ClaimLine {
    pub(crate) batch: u64,
    pub(crate) time: String,
    /// `collect`, `access` or `break-glass`.
    pub(crate) what: String,
    pub(crate) who: String,
    pub(crate) organisation: String,
    pub(crate) source: String,
    pub(crate) categories: Vec<String>,
    pub(crate) purpose: String,
    pub(crate) labels: Vec<String>,
    pub(crate) measured: [String; 2],
    /// Proven to be covered by a rule; else counted in public as excluded.
    pub(crate) covered: bool,
    /// As signed; none of a collection, or where the operator withholds the request.
    pub(crate) reason: Option<String>,
    pub(crate) position: u64,
    /// Of the segment, or of the signed request.
    pub(crate) digest: Hex<[u8; 31]>,
    pub(crate) proof: ClaimProof,
}

/// A frame of the collection above it. All of them together are what the digest there is of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct FrameLine {
    pub(crate) batch: u64,
    pub(crate) signal: String,
    pub(crate) unit: String,
    pub(crate) readings: u32,
    /// From the first reading to after the last one.
    pub(crate) measured: [String; 2],
    /// As it is stored.
    pub(crate) frame: Hex<FrameBytes>,
}

/// A refusal, or a question of a system, which reads nothing: the word of whoever signed
/// the file. No commitment binds it to the operator, nor to the batch it is said to be of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct RefusedLine {
    pub(crate) batch: u64,
    pub(crate) time: String,
    pub(crate) who: String,
    pub(crate) why: String,
    pub(crate) rule: String,
    pub(crate) count: u32,
    pub(crate) position: u64,
    pub(crate) digest: Hex<[u8; 31]>,
    /// None where a system asked, and a rule would have covered it.
    pub(crate) uncovered: Option<Hex<[u8; Uncovered::BYTES]>>,
    /// Always false.
    pub(crate) proven: bool,
}

/// A time without collections of one source, between two of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct GapLine {
    pub(crate) from: String,
    pub(crate) until: String,
    pub(crate) source: String,
    pub(crate) categories: Vec<String>,
}

/// The record as it stands after the last batch of the file: its key, and how many operations.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct RecordLine {
    pub(crate) batch: u64,
    pub(crate) proof: RecordProof,
}

/// What the patient's key signed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct EndLine {
    /// Lines before this one.
    pub(crate) lines: u64,
    /// Over each of them with its length.
    pub(crate) root: Hex<[u8; 32]>,
    pub(crate) signer: Hex<[u8; 32]>,
    pub(crate) signature: Hex<[u8; 64]>,
}

impl ClaimLine {
    pub(crate) fn of(batch: u64, proof: ClaimProof, sound: &SoundClaim, names: &Names) -> Line {
        let SoundClaim { claim, reason } = sound;
        Line::Claim(Box::new(ClaimLine {
            batch,
            time: Utc(claim.receipt.from).to_string(),
            what: claim.kind.name().to_owned(),
            who: names.of(claim.individual),
            organisation: names.of(claim.organisation),
            source: names.of_party(claim.source),
            categories: category_names(claim.categories),
            purpose: claim.purpose.name().to_owned(),
            labels: label_names(claim.labels),
            measured: times(&claim.measured),
            covered: proof.covered,
            reason: reason.clone(),
            position: claim.position.0,
            digest: Hex(claim.digest.0),
            proof,
        }))
    }
}

impl FrameLine {
    pub(crate) fn of(batch: u64, sound: &SoundFrame) -> FrameLine {
        FrameLine {
            batch,
            signal: sound.signal.name.to_owned(),
            unit: sound.signal.unit.to_owned(),
            readings: sound.readings.len() as u32,
            measured: times(&sound.measured),
            frame: Hex(sound.bytes.clone()),
        }
    }
}

impl OperationLine {
    pub(crate) fn of(
        batch: u64,
        proof: OperationProof,
        sound: &SoundOperation,
        names: &Names,
    ) -> Line {
        let (what, slot, rule) = match &sound.operation.action {
            Action::Enrol { .. } => ("enrol", None, None),
            Action::Write { slot: slot @ RuleSlot::Permit(_), rule } => {
                ("permit", Some(slot), Some(rule))
            }
            Action::Write { slot: slot @ RuleSlot::Deny(_), rule } => {
                ("deny", Some(slot), Some(rule))
            }
            Action::Write { slot: slot @ RuleSlot::Policy(_), rule } => {
                ("policy", Some(slot), Some(rule))
            }
            Action::Revoke { slot, rule } => ("revoke", Some(slot), Some(rule)),
            Action::Stop => ("stop", None, None),
        };
        Line::Operation(Box::new(OperationLine {
            batch,
            time: Utc(sound.t_op).to_string(),
            what: what.to_owned(),
            slot: slot.map(|slot| slot_name(*slot)),
            rule: rule.map(|rule| RuleWords::of(rule, names)),
            proof,
        }))
    }
}

impl RuleWords {
    fn of(rule: &Rule, names: &Names) -> RuleWords {
        RuleWords {
            who: names.of_party(rule.actor),
            source: names.of_party(rule.source),
            kinds: kind_names(rule.kinds),
            categories: category_names(rule.categories),
            purposes: purpose_names(rule.purposes),
            labels: label_names(rule.labels),
            access: times(&rule.access),
            data: times(&rule.data),
        }
    }
}

impl RefusedLine {
    pub(crate) fn of(batch: u64, refused: &RefusedAccess) -> RefusedLine {
        let kind = match refused.requester {
            Requester::Practitioner(_) => "practitioner",
            Requester::Gateway(_) => "gateway",
            Requester::System { .. } => SYSTEM,
        };
        let (why, rule) = reason(refused.uncovered);
        RefusedLine {
            batch,
            time: Utc(refused.time).to_string(),
            who: format!("{kind}:{}", refused.requester.name()),
            why,
            rule,
            count: refused.count,
            position: refused.position.0,
            digest: Hex(refused.digest.0),
            uncovered: refused.uncovered.map(|uncovered| Hex(uncovered.to_bytes())),
            proven: false,
        }
    }

    /// Whether a system asked, and nobody was refused anything.
    pub(crate) fn is_question(&self) -> bool {
        self.who.split_once(':').is_some_and(|(kind, _)| kind == SYSTEM)
    }

    /// Whether its time is of this window, and in the form that is written.
    pub(crate) fn is_within(&self, window: &Window) -> bool {
        model::calendar::parse_instant(&self.time).is_ok_and(|instant| {
            let at = instant.millis();
            window.t0() <= at && at < window.t1() && Utc(at).to_string() == self.time
        })
    }

    /// Whether its words are those of its reason; beside them only its time can be checked.
    pub(crate) fn holds(&self) -> bool {
        let said = (self.why.clone(), self.rule.clone());
        let is_its_reason = match &self.uncovered {
            Some(Hex(bytes)) => {
                Uncovered::from_bytes(*bytes).is_some_and(|it| reason(Some(it)) == said)
            }
            // Whoever is refused lacks something.
            None => reason(None) == said && self.is_question(),
        };
        is_its_reason && !self.proven
    }
}

/// What a system is called that asked whether consent would allow something.
const SYSTEM: &str = "system";

/// A reason in words, and the rule that it stands for.
fn reason(uncovered: Option<Uncovered>) -> (String, String) {
    match uncovered {
        Some(uncovered) => (uncovered.sentence().to_owned(), uncovered.rule().to_string()),
        None => ("it asked, and a rule would allow it".to_owned(), String::new()),
    }
}

pub(crate) fn slot_name(slot: RuleSlot) -> String {
    match slot {
        RuleSlot::Permit(number) => format!("permit:{number}"),
        RuleSlot::Deny(number) => format!("deny:{number}"),
        RuleSlot::Policy(number) => format!("policy:{number}"),
    }
}

pub(crate) fn times(interval: &Interval) -> [String; 2] {
    [interval.from, interval.until].map(|at: Millis| Utc(at).to_string())
}

pub(crate) fn category_names(set: Categories) -> Vec<String> {
    let members = Category::ALL.iter().filter(|one| set.contains(one.only()));
    members.map(|one| one.name().to_owned()).collect()
}

fn purpose_names(set: Purposes) -> Vec<String> {
    let members = Purpose::ALL.iter().filter(|one| set.contains(one.only()));
    members.map(|one| one.name().to_owned()).collect()
}

fn kind_names(set: ClaimKinds) -> Vec<String> {
    let members = ClaimKind::ALL.iter().filter(|one| set.contains(one.only()));
    members.map(|one| one.name().to_owned()).collect()
}

fn label_names(set: Labels) -> Vec<String> {
    let members = Label::ALL.iter().filter(|one| set.contains(one.only()));
    members.map(|one| one.name().to_owned()).collect()
}

/// Every party that a claim names.
pub(crate) fn parties(sound: &SoundClaim) -> Vec<model::Word> {
    let claim = &sound.claim;
    let mut words = vec![claim.individual, claim.organisation];
    if let Party::Named(word) = claim.source {
        words.push(word);
    }
    words
}
