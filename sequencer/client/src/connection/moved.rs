//! Sequences that were told for frames of which some were given up.

use std::ops::RangeInclusive;

use model::Sequence;

/// Sequences that were told and may stand for other frames now.
#[derive(Default)]
pub(super) struct Moved(Vec<RangeInclusive<Sequence>>);

impl Moved {
    /// Those from the first frame that was given up to the last one that was told.
    pub(super) fn add(&mut self, mut first: Sequence, mut last: Sequence) {
        // Not one range over all: what was told between two outages stands for what it did.
        self.0.retain(|one| {
            let is_apart = last < *one.start() || *one.end() < first;
            if !is_apart {
                (first, last) = (first.min(*one.start()), last.max(*one.end()));
            }
            is_apart
        });
        self.0.push(first..=last);
    }

    pub(super) fn contains(&self, sequence: Sequence) -> bool {
        self.0.iter().any(|one| one.contains(&sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_between_two_outages_stands_for_what_it_did() {
        let mut moved = Moved::default();
        for (first, last) in [(10, 20), (15, 25), (60, 70)] {
            moved.add(Sequence(first), Sequence(last));
        }
        let is_moved = |number: u64| moved.contains(Sequence(number));
        assert!((10..=25).chain(60..=70).all(is_moved));
        assert!(!(1..10).chain(26..60).chain(71..80).any(is_moved));
        assert_eq!(moved.0.len(), 2, "what overlaps is one");
    }
}
