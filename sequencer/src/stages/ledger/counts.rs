//! Refusals that repeat: the first one stands in the journal in full, the ones after it as counts.
//!
//! ```text
//!   refused -> [first of its key?] -> yes: an entry in full
//!                                  -> no: counted; one entry a minute, and one at the close
//! ```
//! So a refusal by consent is always evidenced, and whoever repeats it costs the journal an entry a
//! minute. The counts of the running minute are in memory only: a crash loses those, never the
//! first one.

use std::collections::BTreeMap;

use model::{ClaimKind, DeviceId, Digest, Millis, PatientIndex};
use wire::{
    Decision, Entry, Holder, RefusalCount, RefusalEntry, RefusalReason, RefusedItem, RefusedKind,
};

/// Keys that are remembered at most, some 300 bytes each. Reached: the one that was begun first is
/// counted out, and its next refusal is in full again.
pub(super) const KEYS_MAX: usize = 1024;
/// How long refusals are counted before the count becomes an entry.
const PERIOD_MS: u64 = 60_000;

/// What is the same about refusals that are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RefusalKey {
    patient: PatientIndex,
    requester: Holder,
    what: RefusedKind,
    reason: RefusalReason,
    /// Of a frame, what sent it: the first of each stream stands in full and so halts it.
    source: Option<StreamSource>,
}

/// A device and one of its signals. Not the epoch: of those a gateway has as many as it likes, and
/// each would be an entry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct StreamSource {
    device: DeviceId,
    signal: u32,
}

/// A refusal that is to be an entry: what it has in common with others, and its digest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Evidence {
    key: RefusalKey,
    digest: Digest,
}

/// What was refused again since the last entry of its key.
#[derive(Clone, Debug)]
struct Repeats {
    first: Digest,
    /// When the period began.
    since: Millis,
    from: Millis,
    until: Millis,
    count: u32,
}

/// The counts of the running minute.
#[derive(Debug, Default)]
pub(super) struct RefusalCounts {
    of: BTreeMap<RefusalKey, Repeats>,
    /// The begin of the oldest period; nothing is due before it is over.
    oldest: Option<Millis>,
}

impl Evidence {
    /// What `entry` is evidence of, if it is a refusal of something of this patient.
    pub(super) fn of_entry(entry: &Entry, patient: Option<PatientIndex>) -> Option<Evidence> {
        match entry {
            Entry::Refusal(refusal) => {
                let RefusalEntry { requester, reason, .. } = *refusal;
                let source = match &refusal.what {
                    RefusedItem::Frame { stream, .. } => {
                        let (device, signal) = (stream.device.clone(), stream.signal);
                        Some(StreamSource { device, signal })
                    }
                    RefusedItem::Stream { .. }
                    | RefusedItem::Operation
                    | RefusedItem::AccessRequest => None,
                };
                let (patient, what) = (patient?, refusal.what.kind());
                let key = RefusalKey { patient, requester, what, reason, source };
                Some(Evidence { key, digest: refusal.digest })
            }
            Entry::AccessRequest { request, requester, decision } => {
                // One that is permitted is no evidence of a refusal: it is a claim.
                let Decision::Refused { uncovered } = decision else { return None };
                let (asked, requester) = (request.request(), *requester);
                let what = match asked.claim_kind() {
                    ClaimKind::BreakGlass => RefusedKind::BreakGlass,
                    _ => RefusedKind::AccessRequest,
                };
                let reason = RefusalReason::Claim(*uncovered);
                let (patient, source) = (asked.patient, None);
                let key = RefusalKey { patient, requester, what, reason, source };
                Some(Evidence { key, digest: request.digest() })
            }
            _ => None,
        }
    }
}

impl RefusalCounts {
    /// Counts a refusal whose key stands in the journal in full; `false` if none of it does.
    pub(super) fn count(&mut self, evidence: &Evidence, now: Millis) -> bool {
        let Some(repeats) = self.of.get_mut(&evidence.key) else { return false };
        if repeats.count == 0 {
            repeats.from = now;
        }
        (repeats.count, repeats.until) = (repeats.count.saturating_add(1), now.max(repeats.from));
        true
    }

    /// Begins a key whose first refusal is an entry now. What had to go for it, if it was counted.
    pub(super) fn begin(&mut self, evidence: Evidence, now: Millis) -> Option<RefusalCount> {
        let evicted = (self.of.len() >= KEYS_MAX).then(|| self.evict()).flatten();
        let repeats =
            Repeats { first: evidence.digest, since: now, from: now, until: now, count: 0 };
        self.of.insert(evidence.key, repeats);
        self.oldest = Some(self.oldest.map_or(now, |oldest| oldest.min(now)));
        evicted
    }

    fn evict(&mut self) -> Option<RefusalCount> {
        let oldest = self.of.iter().min_by_key(|(_, repeats)| repeats.since)?;
        let key = oldest.0.clone();
        let repeats = self.of.remove(&key)?;
        repeats.entry(&key)
    }

    /// The counts whose minute is over. A key without a repetition in it is forgotten: its next
    /// refusal is in full again.
    pub(super) fn take_due(&mut self, now: Millis) -> Vec<RefusalCount> {
        // Asked at every item: it must cost nothing while nothing is due.
        if self.oldest.is_none_or(|oldest| now.since(oldest) < PERIOD_MS) {
            return Vec::new();
        }
        let mut due = Vec::new();
        self.of.retain(|key, repeats| {
            if now.since(repeats.since) < PERIOD_MS {
                return true;
            }
            let counted = repeats.take(key, now);
            let goes_on = counted.is_some();
            due.extend(counted);
            goes_on
        });
        self.oldest = self.of.values().map(|repeats| repeats.since).min();
        due
    }

    /// Every count, for the window that ends: its patients see what was refused in it.
    pub(super) fn take_all(&mut self, now: Millis) -> Vec<RefusalCount> {
        let counted: Vec<_> =
            self.of.iter_mut().filter_map(|(key, repeats)| repeats.take(key, now)).collect();
        self.oldest = self.of.values().map(|repeats| repeats.since).min();
        counted
    }
}

impl Repeats {
    fn entry(&self, key: &RefusalKey) -> Option<RefusalCount> {
        (self.count > 0).then_some(RefusalCount {
            patient: key.patient,
            requester: key.requester,
            what: key.what,
            reason: key.reason,
            from: self.from,
            until: self.until,
            count: self.count,
            first: self.first,
        })
    }

    /// What was counted; the next period begins with nothing.
    fn take(&mut self, key: &RefusalKey, now: Millis) -> Option<RefusalCount> {
        let counted = self.entry(key)?;
        (self.since, self.count) = (now, 0);
        Some(counted)
    }
}

#[cfg(test)]
mod tests {
    use model::Uncovered;

    use super::*;

    fn at(ms: u64) -> Millis {
        Millis::new(4_000_000_000_000 + ms).unwrap()
    }

    fn evidence(patient: u32) -> Evidence {
        let key = RefusalKey {
            patient: PatientIndex::new(patient).unwrap(),
            requester: Holder([1; 32]),
            what: RefusedKind::Frame,
            reason: RefusalReason::Claim(Uncovered::Closed),
            source: None,
        };
        Evidence { key, digest: Digest([7; 31]) }
    }

    #[test]
    fn a_flood_is_one_entry_and_then_a_count_a_minute() {
        let mut counts = RefusalCounts::default();
        assert!(!counts.count(&evidence(1), at(0)));
        assert_eq!(counts.begin(evidence(1), at(0)), None);
        let mut counted = Vec::new();
        for ms in 1..=150_000 {
            assert!(counts.count(&evidence(1), at(ms)));
            counted.extend(counts.take_due(at(ms)));
        }
        let told: Vec<_> = counted.iter().map(|one| (one.from, one.until, one.count)).collect();
        assert_eq!(
            told,
            [(at(1), at(60_000), 60_000), (at(60_001), at(120_000), 60_000)],
            "each count follows the one before"
        );
        let rest = counts.take_all(at(150_000));
        assert_eq!((rest[0].count, rest[0].first), (30_000, Digest([7; 31])));
    }

    #[test]
    fn after_a_quiet_minute_the_next_one_is_in_full() {
        let mut counts = RefusalCounts::default();
        counts.begin(evidence(1), at(0));
        assert!(counts.take_due(at(59_999)).is_empty() && counts.count(&evidence(1), at(59_999)));
        assert_eq!(counts.take_due(at(60_000)).len(), 1);
        assert!(counts.take_due(at(120_000)).is_empty());
        assert!(!counts.count(&evidence(1), at(120_001)));
    }

    #[test]
    fn keys_are_bounded_and_what_has_to_go_is_counted_out() {
        let mut counts = RefusalCounts::default();
        for patient in 0..KEYS_MAX as u32 {
            assert_eq!(counts.begin(evidence(patient), at(patient.into())), None);
        }
        assert!(counts.count(&evidence(0), at(2000)));
        let evicted = counts.begin(evidence(5000), at(2001)).expect("a count has to go");
        assert_eq!((evicted.patient.get(), evicted.count), (0, 1));
        assert_eq!(counts.of.len(), KEYS_MAX);
    }
}
