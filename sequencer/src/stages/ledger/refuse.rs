//! Refusals: why an item is not taken, what its sender is told, and what the journal keeps of it.

use model::{Millis, RejectCode, RuleNumber, Sequence, Uncovered, calendar};
use statement::c1::C1Error;
use thiserror::Error;
use wire::{Entry, Holder, RefusalEntry, RefusalReason, RefusedItem, RegistryKey, place_digest};

use super::answer::{Answer, Item};
use super::erasures::NotErased;
use super::refusal::Refusal;
use super::registry::UnknownName;
use super::verdict::{At, Verdict};
use crate::clock::Disagreement;

/// What a refusal does besides answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusing {
    /// Nothing. The sender mends it and tries again; were every try an entry, a peer could fill the
    /// disk with what was never taken.
    AnswerOnly,
    /// It becomes an entry: evidence that it was asked for and not done.
    Journal,
    /// It becomes an entry, and the stream is refused until it is opened again: a gateway that goes
    /// on sending against the patient's will costs no decision a frame, and one count a minute. The
    /// first of a device and signal is the entry; what is opened again while its repetitions are
    /// counted is decided and counted, and leaves no further entry.
    JournalAndHalt,
}

impl Refusing {
    /// What a refusal did that stands in the journal. Recovery knows the entry, not the ground.
    pub(super) fn of_entry(what: &RefusedItem) -> Refusing {
        match what {
            RefusedItem::Frame { .. } => Refusing::JournalAndHalt,
            RefusedItem::Stream { .. } | RefusedItem::Operation | RefusedItem::AccessRequest => {
                Refusing::Journal
            }
        }
    }
}

/// Why an item is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Ground {
    #[error("expected a device that is assigned to this gateway, with its patient and signal")]
    UnknownDevice,
    #[error("expected sequence {}, found {}", expected.0, found.0)]
    Gap { expected: Sequence, found: Sequence },
    #[error("the stream was refused; open it again when consent allows")]
    Halted(RefusalReason),
    #[error("expected readings no later than the node's clock and its allowed skew")]
    Clock,
    #[error(
        "expected the node's clocks to agree, found them {} s apart; send the same again once the \
         wall clock is set right, or is believed in {} s",
        .0.distance_ms / 1000, .0.believed_in_ms.div_ceil(1000)
    )]
    ClockDoubt(Disagreement),
    #[error(
        "expected a clock that has reached the journal's last entry and the signature, at {}; send \
         the same again then",
        calendar::Utc(*until)
    )]
    JournalAhead { until: Millis },
    #[error(
        "expected an operation that is valid after the journal's last entry, of {}, which lies \
         ahead of the clock; send one again that is valid for longer, or then",
        calendar::Utc(*last)
    )]
    EndsBeforeJournal { last: Millis },
    #[error(
        "expected a signature no later than the node's clock, found one of {}; send the same again \
         then, or set the signer's clock and sign again",
        calendar::Utc(*until)
    )]
    SignedAhead { until: Millis },
    #[error("expected room on the node's disk; send the same again later")]
    NoRoom,
    #[error(
        "expected a node that takes in, found one that its operator drains before a stop; send \
         the same again later"
    )]
    Draining,
    #[error(
        "expected a new key to seal these readings under, found none to be had now; send the same \
         again later"
    )]
    NoKey,
    #[error("expected a registered gateway, and a device of it with its patient")]
    Unassigned,
    #[error("{}", .0.sentence())]
    Uncovered(Uncovered),
    #[error("{0}")]
    MalformedOperation(String),
    #[error("expected a signature by the key of the record, or of the registrar to enrol")]
    Unauthentic(RuleNumber),
    #[error(transparent)]
    Operation(C1Error),
    #[error("{expected}")]
    Request { code: RejectCode, expected: &'static str },
    #[error("expected a registered {0:?} that has not ended")]
    NotRegistered(RegistryKey),
    #[error(transparent)]
    UnknownName(UnknownName),
    #[error("{0}")]
    MalformedChange(String),
    #[error(transparent)]
    NotErased(#[from] NotErased),
    #[error("expected fewer items of one holder in a group")]
    GroupFull,
    #[error("{0}")]
    NotAppended(String),
}

impl Ground {
    /// Which refusal does what: the one table.
    pub(super) fn refusing(&self) -> Refusing {
        match self {
            // Consent or assignment forbade to collect: the patient may want to see that.
            // Each further frame as well, which is counted: its gateway goes on against their will.
            Ground::Unassigned | Ground::Uncovered(_) | Ground::Halted(_) => {
                Refusing::JournalAndHalt
            }
            // A signature that has ended is replayed by whoever has its bytes: no act of its owner.
            Ground::Operation(error) if error.code() == RejectCode::Validity => {
                Refusing::AnswerOnly
            }
            // The owner signed something that a rule refuses.
            Ground::Operation(_) => Refusing::Journal,
            // Junk of form: nobody who may ask for it asked for it in this form.
            Ground::MalformedOperation(_) | Ground::Unauthentic(_) | Ground::Request { .. } => {
                Refusing::AnswerOnly
            }
            // A gateway's or operator's mistake, or no room: it concerns no consent.
            Ground::UnknownDevice
            | Ground::Gap { .. }
            | Ground::Clock
            | Ground::NotRegistered(_)
            | Ground::UnknownName(_)
            | Ground::MalformedChange(_)
            | Ground::NotErased(_)
            | Ground::ClockDoubt(_)
            | Ground::JournalAhead { .. }
            | Ground::EndsBeforeJournal { .. }
            | Ground::SignedAhead { .. }
            | Ground::NoRoom
            | Ground::NoKey
            | Ground::Draining
            | Ground::GroupFull
            | Ground::NotAppended(_) => Refusing::AnswerOnly,
        }
    }

    fn code(&self) -> RejectCode {
        match self {
            Ground::UnknownDevice => RejectCode::Stream,
            Ground::Gap { .. } => RejectCode::Gap,
            // The same code for every rule: a peer learns that, not why, consent does not allow it.
            Ground::Halted(_) | Ground::Uncovered(_) => RejectCode::NotPermitted,
            Ground::Clock | Ground::SignedAhead { .. } => RejectCode::Clock,
            Ground::Unassigned | Ground::NotRegistered(_) | Ground::UnknownName(_) => {
                RejectCode::Identity
            }
            Ground::MalformedOperation(_) | Ground::MalformedChange(_) => RejectCode::Malformed,
            Ground::Unauthentic(_) => RejectCode::Signature,
            Ground::Operation(error) => error.code(),
            Ground::Request { code, .. } => *code,
            Ground::NotErased(why) => why.code(),
            Ground::GroupFull => RejectCode::Busy,
            // Not Clock, which speaks of the peer's: here it is the node that has to wait.
            Ground::ClockDoubt(_)
            | Ground::JournalAhead { .. }
            | Ground::EndsBeforeJournal { .. }
            | Ground::NoRoom
            | Ground::NoKey
            | Ground::Draining
            | Ground::NotAppended(_) => RejectCode::Unavailable,
        }
    }

    fn reason(&self) -> RefusalReason {
        match self {
            Ground::Uncovered(why) => RefusalReason::Claim(*why),
            Ground::Halted(why) => *why,
            Ground::Operation(error) => RefusalReason::Operation(error.rule),
            Ground::Unauthentic(rule) => RefusalReason::Operation(*rule),
            _ => RefusalReason::Code,
        }
    }
}

impl From<Ground> for Refusal {
    fn from(ground: Ground) -> Refusal {
        let (code, rule) = (ground.code(), ground.reason().rule());
        Refusal { code, rule, position: None, detail: ground.to_string() }
    }
}

/// What is answered where a refusal is only counted: it has no place of its own in the journal. To
/// read, that is a refusal like any other that names no decision.
pub(super) fn repeated(answer: Answer) -> Answer {
    match answer {
        Answer::AccessDecided { decision: Err(uncovered), .. } => {
            Answer::Refused(Ground::Uncovered(uncovered).into())
        }
        answer => answer,
    }
}

/// Refuses an item: the answer, and the entry if the ground asks for one.
pub(super) fn refuse(item: &Item, ground: Ground, at: At) -> Verdict<'static> {
    let (refusing, code, reason) = (ground.refusing(), ground.code(), ground.reason());
    let answer = Answer::Refused(ground.into());
    // A digest is taken only for what is kept: whoever floods the node with gaps makes it hash
    // nothing.
    let evidence = match refusing {
        Refusing::AnswerOnly => None,
        Refusing::Journal | Refusing::JournalAndHalt => evidence(item, code, reason),
    };
    let Some(entry) = evidence else { return Verdict::Answer(answer) };
    debug_assert_eq!(refusing, Refusing::of_entry(&entry.what), "absorbing does what is decided");
    Verdict::Append { entry: Box::new(Entry::Refusal(entry)), time: at.now, answer }
}

/// What the journal keeps of a refused item: who sent it, what it was, and a digest that names it.
/// Never the bytes of a frame, nor a digest that tells them to whoever tries readings: no rule lets
/// the node hold them.
fn evidence(item: &Item, code: RejectCode, reason: RefusalReason) -> Option<RefusalEntry> {
    let (requester, what, digest) = match item {
        Item::Frame { gateway, key, frame, .. } => {
            let (stream, sequence) = (key.name(frame.header().epoch), frame.sequence());
            let digest = place_digest(&stream, sequence);
            let what = RefusedItem::Frame { stream, sequence };
            (Holder::gateway(gateway), what, digest)
        }
        Item::Operation { requester, operation } | Item::Evaluated { requester, operation, .. } => {
            (*requester, RefusedItem::Operation, operation.digest())
        }
        Item::Access { practitioner, request, .. } => (
            Holder::practitioner(practitioner),
            RefusedItem::AccessRequest,
            request.signed().digest(),
        ),
        // Their grounds answer only.
        Item::OpenStream { .. }
        | Item::Registry(_)
        | Item::Erase(_)
        | Item::Hold(_)
        | Item::Query(_)
        | Item::CountDue
        | Item::CountRefusals
        | Item::CloseDue
        | Item::CloseWindow(_)
        | Item::Close => return None,
    };
    Some(RefusalEntry { requester, what, code, reason, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(rule: u8) -> C1Error {
        let rule = RuleNumber::c1(rule);
        C1Error { rule, row: None, expected: "one".into(), found: "another".into() }
    }

    #[test]
    fn only_what_concerns_consent_is_kept_and_only_frames_halt() {
        let request = Ground::Request { code: RejectCode::Nonce, expected: "a new nonce" };
        let gap = Ground::Gap { expected: Sequence(1), found: Sequence(3) };
        let (wall, unset) = (Millis::default(), Millis::default());
        let apart = Disagreement { wall, unset, distance_ms: 600_000, believed_in_ms: 1 };
        for (ground, refusing) in [
            (Ground::UnknownDevice, Refusing::AnswerOnly),
            (gap, Refusing::AnswerOnly),
            (Ground::Halted(RefusalReason::Code), Refusing::JournalAndHalt),
            (Ground::Clock, Refusing::AnswerOnly),
            (Ground::ClockDoubt(apart), Refusing::AnswerOnly),
            (Ground::JournalAhead { until: Millis::default() }, Refusing::AnswerOnly),
            (Ground::EndsBeforeJournal { last: Millis::default() }, Refusing::AnswerOnly),
            (Ground::SignedAhead { until: Millis::default() }, Refusing::AnswerOnly),
            (NotErased::NotStopped.into(), Refusing::AnswerOnly),
            (Ground::NoRoom, Refusing::AnswerOnly),
            (Ground::NoKey, Refusing::AnswerOnly),
            (Ground::Draining, Refusing::AnswerOnly),
            (Ground::GroupFull, Refusing::AnswerOnly),
            (Ground::Unassigned, Refusing::JournalAndHalt),
            (Ground::Uncovered(Uncovered::Closed), Refusing::JournalAndHalt),
            (Ground::MalformedOperation("short".into()), Refusing::AnswerOnly),
            (Ground::Unauthentic(RuleNumber::c1(7)), Refusing::AnswerOnly),
            (Ground::Operation(broken(5)), Refusing::AnswerOnly),
            (Ground::Operation(broken(6)), Refusing::Journal),
            (request, Refusing::AnswerOnly),
        ] {
            assert_eq!(ground.refusing(), refusing, "{ground:?}");
        }
    }
}
