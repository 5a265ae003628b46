//! How far streams have receipts, since the welcome.

use std::collections::BTreeMap;

use model::{EpochNumber, Sequence};
use wire::StreamName;

/// Of each device and signal, what has receipts of the newest epoch and of those that are open: a
/// device that changes patients uses thousands of epochs, of which nobody asks again.
#[derive(Default)]
pub(super) struct Acknowledged(BTreeMap<StreamName, Sequence>);

impl Acknowledged {
    /// Of another session nothing is known.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// An epoch has receipts up to there. Older ones of its device and signal are forgotten unless
    /// they are open.
    pub(super) fn note(
        &mut self,
        name: &StreamName,
        last: Sequence,
        is_open: impl Fn(&StreamName) -> bool,
    ) {
        if let Some(known) = self.0.get_mut(name) {
            *known = last;
            return;
        }
        self.0.insert(name.clone(), last);
        let Some(newest) = self.newest(name) else { return };
        let older = self.epochs(name, newest);
        let gone: Vec<_> = older.filter(|one| !is_open(one)).cloned().collect();
        for one in gone {
            self.0.remove(&one);
        }
    }

    /// An epoch is used up to there at least: what is known of it stands.
    pub(super) fn note_used(
        &mut self,
        name: &StreamName,
        last: Sequence,
        is_open: impl Fn(&StreamName) -> bool,
    ) {
        if !self.0.contains_key(name) {
            self.note(name, last, is_open);
        }
    }

    /// How far an epoch has receipts; `None` where that may have been forgotten.
    pub(super) fn find(&self, name: &StreamName) -> Option<Sequence> {
        let is_newest = || self.newest(name).is_none_or(|newest| newest <= name.epoch);
        self.0.get(name).copied().or_else(|| is_newest().then_some(Sequence(0)))
    }

    /// All that are known.
    pub(super) fn names(&self) -> impl Iterator<Item = &StreamName> {
        self.0.keys()
    }

    /// The newest epoch of a stream's device and signal.
    fn newest(&self, name: &StreamName) -> Option<EpochNumber> {
        let last = StreamName { epoch: EpochNumber(u16::MAX), ..name.clone() };
        let found = self.0.range(..=last).next_back().map(|(found, _)| found);
        found.filter(|found| is_same(found, name)).map(|found| found.epoch)
    }

    /// Those of a stream's device and signal before an epoch.
    fn epochs(&self, name: &StreamName, end: EpochNumber) -> impl Iterator<Item = &StreamName> {
        let first = StreamName { epoch: EpochNumber(0), ..name.clone() };
        let end = StreamName { epoch: end, ..name.clone() };
        self.0.range(first..end).map(|(name, _)| name)
    }
}

fn is_same(one: &StreamName, other: &StreamName) -> bool {
    one.device == other.device && one.signal == other.signal
}

#[cfg(test)]
mod tests {
    use model::DeviceId;

    use super::*;

    fn name(device: &str, epoch: u16) -> StreamName {
        let device = DeviceId::new(device).unwrap();
        StreamName { device, signal: 147842, epoch: EpochNumber(epoch) }
    }

    #[test]
    fn of_a_device_that_changes_patients_the_newest_epoch_and_open_ones_are_known() {
        let mut known = Acknowledged::default();
        known.note(&name("a", 4), Sequence(3), |_| true);
        for epoch in 1..=1000 {
            let is_open = |one: &StreamName| one.epoch.0 == 7 || one.epoch.0 == epoch;
            known.note(&name("b", epoch), Sequence(9), is_open);
        }
        known.note(&name("c", 1), Sequence(2), |_| true);
        let names: Vec<_> = known.names().map(|one| one.epoch.0).collect();
        assert_eq!(names, [4, 7, 1000, 1]);
        let found = [7, 8, 1000, 1001].map(|epoch| known.find(&name("b", epoch)));
        let of = |last| Some(Sequence(last));
        assert_eq!(found, [of(9), None, of(9), of(0)], "8 was forgotten, 1001 never used");
    }

    #[test]
    fn a_stop_changes_nothing_that_is_known_and_a_receipt_does() {
        let mut known = Acknowledged::default();
        known.note(&name("a", 1), Sequence(5), |_| true);
        known.note_used(&name("a", 1), Sequence(2), |_| false);
        assert_eq!(known.find(&name("a", 1)), Some(Sequence(5)));
        known.note(&name("a", 1), Sequence(4), |_| true);
        assert_eq!(known.find(&name("a", 1)), Some(Sequence(4)));
        known.note_used(&name("a", 2), Sequence(1), |_| false);
        assert_eq!(known.names().count(), 1);
    }
}
