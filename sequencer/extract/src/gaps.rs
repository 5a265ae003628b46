//! Times between two collections of one source in which nothing was collected.

use std::collections::BTreeMap;

use model::calendar::Utc;
use model::{Categories, Claim, Interval, Word};

use crate::line::{GapLine, category_names};
use crate::names::Names;

/// Which collections follow each other: of one device, in the same categories.
type Row = (Word, u64);

/// Collections by source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    over_ms: u64,
    measured: BTreeMap<Row, Vec<Interval>>,
}

impl Gaps {
    pub(crate) fn over(over_ms: u64) -> Gaps {
        Gaps { over_ms, measured: BTreeMap::new() }
    }

    /// Takes the time that a collection was measured in.
    pub(crate) fn take(&mut self, claim: &Claim) {
        let row = (claim.individual, claim.categories.bits());
        self.measured.entry(row).or_default().push(claim.measured);
    }

    /// By begin, then source.
    pub(crate) fn lines(self, names: &Names) -> Vec<GapLine> {
        let over_ms = self.over_ms;
        let mut lines = Vec::new();
        for ((source, categories), mut measured) in self.measured {
            measured.sort_by_key(|one| (one.from, one.until));
            let mut end = None;
            for one in measured {
                // Segments may overlap where a device sent again what was measured before.
                if let Some(end) = end.filter(|end| one.from.since(*end) > over_ms) {
                    lines.push(GapLine {
                        from: Utc(end).to_string(),
                        until: Utc(one.from).to_string(),
                        source: names.of(source),
                        categories: category_names(known(categories)),
                    });
                }
                end = Some(end.map_or(one.until, |end: model::Millis| end.max(one.until)));
            }
        }
        lines.sort();
        lines
    }
}

/// The bits come from a claim, which has no unknown ones.
fn known(bits: u64) -> Categories {
    Categories::from_bits(bits).unwrap_or(Categories::NONE)
}
