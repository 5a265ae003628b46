//! What was rejected last: when, with which code, and who was told. The counts by reason say that
//! something is wrong; these say where to look.
//!
//! Of people no name is kept, nor anything of what was rejected. It is in memory alone: what
//! concerns consent stands in the journal.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{GatewayId, Millis, RejectCode};
use serde::{Deserialize, Serialize};

use crate::stages::ingest::RejectedPeer;

/// Rows that are kept, some 100 bytes each. Reached: the oldest goes.
const ROWS_MAX: usize = 100;

/// What is rejected again within this time of a row's first is counted there: whoever sends on and
/// on would else leave nothing of the others.
const ROW_MS: u64 = 60_000;

/// What somebody was told, and how often within a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentReject {
    /// When it was first told, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// When it was last told, at most a minute later.
    pub until_unix_ms: u64,
    /// How often.
    pub count: u64,
    /// The code ([codes](../../docs/codes.md)).
    pub code: u16,
    /// What it means.
    pub meaning: String,
    /// Who was told: `gateway`, `wallet`, `practitioner`, `operator`, `http` or `unknown`.
    pub peer: String,
    /// The gateway's name; none of anybody else.
    pub gateway: Option<String>,
}

/// A row as it is kept.
#[derive(Debug)]
struct Row {
    code: RejectCode,
    peer: RejectedPeer,
    from: Millis,
    until: Millis,
    count: u64,
}

/// The rows. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RecentRejects(Arc<Mutex<VecDeque<Row>>>);

impl RecentRejects {
    /// Notes that somebody was told a code.
    pub(super) fn note(&self, code: RejectCode, peer: RejectedPeer, now: Millis) {
        let mut rows = self.rows();
        // From the newest: behind the first row of more than a minute ago none is counted on.
        let mut open = rows.iter_mut().rev().take_while(|row| now.since(row.from) < ROW_MS);
        if let Some(row) = open.find(|row| row.code == code && row.peer == peer) {
            (row.until, row.count) = (now.max(row.until), row.count.saturating_add(1));
            return;
        }
        if rows.len() >= ROWS_MAX {
            rows.pop_front();
        }
        rows.push_back(Row { code, peer, from: now, until: now, count: 1 });
    }

    /// All that are kept, the newest first.
    pub fn tell(&self) -> Vec<RecentReject> {
        self.rows().iter().rev().map(RecentReject::of).collect()
    }

    /// Plain values: a panic under the lock leaves them whole.
    fn rows(&self) -> MutexGuard<'_, VecDeque<Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentReject {
    fn of(row: &Row) -> RecentReject {
        let gateway = match &row.peer {
            RejectedPeer::Gateway(gateway) => Some(GatewayId::as_str(gateway).to_owned()),
            _ => None,
        };
        RecentReject {
            at_unix_ms: row.from.unix_ms(),
            until_unix_ms: row.until.unix_ms(),
            count: row.count,
            code: row.code.number(),
            meaning: row.code.meaning().to_owned(),
            peer: row.peer.kind().to_owned(),
            gateway,
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::Role;

    use super::*;

    fn at(ms: u64) -> Millis {
        Millis::from_unix_ms(1_800_000_000_000 + ms)
    }

    fn gateway(name: &str) -> RejectedPeer {
        RejectedPeer::Gateway(GatewayId::new(name).unwrap())
    }

    /// Code, gateway and count of each row.
    fn told(rejects: &RecentRejects) -> Vec<(u16, Option<String>, u64)> {
        rejects.tell().into_iter().map(|row| (row.code, row.gateway, row.count)).collect()
    }

    #[test]
    fn what_is_rejected_again_within_a_minute_is_counted_and_hides_nobody_else() {
        let rejects = RecentRejects::default();
        rejects.note(RejectCode::Gap, gateway("gw-1"), at(0));
        for ms in 1..=5_000 {
            rejects.note(RejectCode::Busy, gateway("gw-2"), at(ms));
        }
        rejects.note(RejectCode::Gap, gateway("gw-1"), at(59_999));
        rejects.note(RejectCode::Gap, gateway("gw-1"), at(60_000));
        let [one, two] = ["gw-1", "gw-2"].map(|name| Some(name.to_owned()));
        let expected = [(7, one.clone(), 1), (12, two, 5_000), (7, one, 2)];
        assert_eq!(told(&rejects), expected);
        let first = rejects.tell().pop().unwrap();
        assert_eq!(first.until_unix_ms - first.at_unix_ms, 59_999);
        assert_eq!((&*first.peer, &*first.meaning), ("gateway", RejectCode::Gap.meaning()));
    }

    #[test]
    fn of_many_the_oldest_go_and_a_clock_that_is_set_back_loses_none() {
        let rejects = RecentRejects::default();
        for number in 0..250 {
            rejects.note(RejectCode::Gap, gateway(&format!("gw-{number}")), at(number));
        }
        let found = rejects.tell();
        let names = [&found[0], &found[99]].map(|row| row.gateway.clone().unwrap());
        assert_eq!((found.len(), names), (100, ["gw-249".to_owned(), "gw-150".to_owned()]));
        rejects.note(RejectCode::Gap, gateway("gw-249"), at(0));
        let newest = &rejects.tell()[0];
        assert_eq!((newest.count, newest.until_unix_ms), (2, at(249).unix_ms()));
    }

    #[test]
    fn of_people_no_name_is_kept() {
        let rejects = RecentRejects::default();
        for peer in [
            RejectedPeer::Person(Role::Wallet),
            RejectedPeer::Person(Role::Practitioner),
            RejectedPeer::Person(Role::Operator),
            RejectedPeer::Http,
            RejectedPeer::Unknown,
        ] {
            rejects.note(RejectCode::Signature, peer, at(0));
        }
        let found = rejects.tell();
        assert!(found.iter().all(|row| row.gateway.is_none()), "{found:?}");
        let kinds: Vec<_> = found.iter().map(|row| row.peer.as_str()).collect();
        assert_eq!(kinds, ["unknown", "http", "operator", "practitioner", "wallet"]);
    }
}
