//! Which notice is due when: one a subscription and batch, in the order of batches, again and again
//! until it is taken or given up.
//!
//! ```text
//!   settled batch -> looked at -> due, in order -> under way -> told
//!                                      ^-- pause, longer each time --'--> given up
//! ```
//! Nothing is lost by a crash: what is kept is the last batch that was told, or had nothing to
//! tell, and everything behind it is looked at again. A notice that was delivered and not noted is
//! sent once more under the same id.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::{BatchNumber, Millis, PatientIndex};
use thiserror::Error;

use super::endpoint::{Endpoint, Hosts};
use super::fault::Fault;
use super::kept::{Kept, NoticeSecret, SubscriptionId};

/// Batches of one subscription that are known to be due; behind them none is looked at for it.
const DUE_MAX: usize = 32;
/// Notices under way at once.
const UNDER_WAY_MAX: usize = 16;
/// Of these, to one host: one that hangs leaves places to the others.
const UNDER_WAY_OF_A_HOST: usize = 4;

/// Attempts since the start before a receiver is given up for the time that it took.
const ATTEMPTS_MIN: u32 = 3;

/// How many subscriptions there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Of one patient.
    pub of_patient: usize,
    /// In all.
    pub of_all: usize,
}

/// When a notice that was not taken is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// First pause, milliseconds; it doubles.
    pub first_ms: u64,
    /// Longest pause.
    pub most_ms: u64,
    /// From the first failure of a notice until nothing is sent to its receiver any more; it was
    /// tried three times then since the start at least.
    pub give_up_after_ms: u64,
}

/// A subscription that finds no room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BookFull {
    /// Of its patient.
    #[error("expected at most {most} subscriptions of a patient: delete one first")]
    OfPatient {
        /// The limit.
        most: usize,
    },
    /// In all.
    #[error("expected at most {most} subscriptions at this node, found as many")]
    OfAll {
        /// The limit.
        most: usize,
    },
}

/// A batch to be looked at, and whose accesses are asked for in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// Which batch.
    pub batch: BatchNumber,
    /// Whose.
    pub patients: BTreeSet<PatientIndex>,
}

/// A notice to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// About which batch.
    pub batch: BatchNumber,
    /// Who is told.
    pub endpoint: Endpoint,
    /// What it is signed with.
    pub secret: NoticeSecret,
}

impl Notice {
    /// By which the receiver knows it again: the same each time that it is sent. Without a dot,
    /// which separates it from what else is signed.
    pub fn id(&self) -> String {
        format!("{}-{}", self.subscription, self.batch.0)
    }
}

/// All subscriptions, and how far each is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Book {
    held: BTreeMap<SubscriptionId, Held>,
    limits: Limits,
    pace: Pace,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    kept: Kept,
    /// The last batch that was looked at for it.
    looked: BatchNumber,
    /// Batches with something to tell, the next one first.
    due: VecDeque<BatchNumber>,
    /// Attempts of the next one that came to nothing.
    attempts: u32,
    /// When it may be sent again.
    next: Millis,
    is_under_way: bool,
}

impl Held {
    fn new(kept: Kept) -> Held {
        let (looked, next) = (kept.told, Millis::UNBOUNDED_PAST);
        Held { kept, looked, due: VecDeque::new(), attempts: 0, next, is_under_way: false }
    }

    /// Tells how far it is: all before what is due, or all that was looked at.
    fn note_told(&mut self) {
        self.kept.told = match self.due.front() {
            Some(due) => BatchNumber(due.0 - 1),
            None => self.looked,
        };
    }
}

impl Book {
    /// Of what an earlier run kept. What goes to a host that the operator took from the list since
    /// is given up.
    pub fn new(kept: Vec<Kept>, hosts: &Hosts, limits: Limits, pace: Pace) -> Book {
        let listed = |kept: Kept| match hosts.contains(&kept.endpoint) || kept.given_up {
            true => kept,
            false => Kept { fault: Some(Fault::Host), given_up: true, ..kept },
        };
        let held = kept.into_iter().map(|kept| (kept.id, Held::new(listed(kept)))).collect();
        Book { held, limits, pace }
    }

    /// What is to be kept.
    pub fn kept(&self) -> Vec<Kept> {
        self.held.values().map(|held| held.kept.clone()).collect()
    }

    /// Takes a subscription in.
    ///
    /// # Errors
    /// [`BookFull`].
    pub fn add(&mut self, kept: Kept) -> Result<(), BookFull> {
        self.check_room(kept.patient)?;
        self.held.insert(kept.id, Held::new(kept));
        Ok(())
    }

    /// Whether one more of this patient finds room.
    ///
    /// # Errors
    /// [`BookFull`].
    pub fn check_room(&self, patient: PatientIndex) -> Result<(), BookFull> {
        let Limits { of_patient, of_all } = self.limits;
        if self.of(patient).count() >= of_patient {
            return Err(BookFull::OfPatient { most: of_patient });
        }
        if self.held.len() >= of_all {
            return Err(BookFull::OfAll { most: of_all });
        }
        Ok(())
    }

    /// The subscription of this name, if it is this patient's.
    pub fn get(&self, id: SubscriptionId, patient: PatientIndex) -> Option<&Kept> {
        let held = self.held.get(&id).filter(|held| held.kept.patient == patient)?;
        Some(&held.kept)
    }

    /// A patient's subscriptions, by name.
    pub fn of(&self, patient: PatientIndex) -> impl Iterator<Item = &Kept> {
        self.held.values().map(|held| &held.kept).filter(move |kept| kept.patient == patient)
    }

    /// Ends a subscription, if there is one; what is under way arrives or does not.
    pub fn remove(&mut self, id: SubscriptionId) {
        self.held.remove(&id);
    }

    /// Whose records subscriptions are about, one each.
    pub fn patients(&self) -> impl Iterator<Item = PatientIndex> {
        self.held.values().map(|held| held.kept.patient)
    }

    /// Ends all subscriptions of these patients, also what was given up.
    pub fn forget(&mut self, whose: impl Fn(PatientIndex) -> bool) {
        self.held.retain(|_, held| !whose(held.kept.patient));
    }

    /// Subscriptions that somebody is told by.
    pub fn live_count(&self, now: Millis) -> usize {
        self.held.values().filter(|held| held.kept.is_live(now)).count()
    }

    /// Notices that are due and not delivered.
    pub fn due_count(&self, now: Millis) -> usize {
        let live = self.held.values().filter(|held| held.kept.is_live(now));
        live.map(|held| held.due.len()).sum()
    }

    /// The next batch to be looked at, of those up to `settled` that do not rest. Who waits for one
    /// that rests is told of no later one before it, and holds up nobody else.
    pub fn next_look(
        &self,
        settled: BatchNumber,
        now: Millis,
        resting: &BTreeSet<BatchNumber>,
    ) -> Option<Look> {
        let waits = |held: &&Held| {
            let is_behind = held.looked < settled && held.due.len() < DUE_MAX;
            let next = BatchNumber(held.looked.0 + 1);
            is_behind && held.kept.is_live(now) && !resting.contains(&next)
        };
        let waiting = || self.held.values().filter(waits);
        let looked = waiting().map(|held| held.looked).min()?;
        let patients = waiting().filter(|held| held.looked == looked);
        let patients = patients.map(|held| held.kept.patient).collect();
        Some(Look { batch: BatchNumber(looked.0 + 1), patients })
    }

    /// Takes notice of whose data was read in a batch that was looked at.
    pub fn looked(&mut self, look: &Look, read: &BTreeSet<PatientIndex>) {
        for held in self.held.values_mut() {
            // One that was made meanwhile begins behind this batch.
            let is_asked = held.looked.0 + 1 == look.batch.0 && held.due.len() < DUE_MAX;
            if !is_asked || !look.patients.contains(&held.kept.patient) {
                continue;
            }
            held.looked = look.batch;
            if read.contains(&held.kept.patient) {
                held.due.push_back(look.batch);
            }
            held.note_told();
        }
    }

    /// The notice that is due the longest, from now on under way; none while enough are. One of a
    /// batch behind `settled` waits: blocks were taken back since it was looked at, and whoever
    /// asked for its AuditEvents now would find none and not ask again.
    pub fn take_due(&mut self, now: Millis, settled: BatchNumber) -> Option<Notice> {
        let under_way = || self.held.values().filter(|held| held.is_under_way);
        if under_way().count() >= UNDER_WAY_MAX {
            return None;
        }
        let mut of_host: BTreeMap<String, usize> = BTreeMap::new();
        for held in under_way() {
            *of_host.entry(held.kept.endpoint.host().to_owned()).or_default() += 1;
        }
        let most_ms = self.pace.most_ms;
        let may_go = |held: &&mut Held| {
            let busy = of_host.get(held.kept.endpoint.host()).copied().unwrap_or(0);
            // A pause that is longer than any was made by a clock that somebody set back since.
            let is_time = held.next <= now || held.next.since(now) > most_ms;
            let is_due = held.due.front().is_some_and(|batch| *batch <= settled);
            let is_free = held.kept.is_live(now) && !held.is_under_way;
            is_due && is_free && is_time && busy < UNDER_WAY_OF_A_HOST
        };
        let held = self.held.values_mut().filter(may_go).min_by_key(|held| held.next)?;
        let batch = *held.due.front()?;
        held.is_under_way = true;
        let Kept { id, endpoint, secret, .. } = held.kept.clone();
        Some(Notice { subscription: id, batch, endpoint, secret })
    }

    /// Takes notice of how a notice ended that was under way; true if its subscription is given up
    /// by it. `jitter` is drawn: receivers that failed together are not tried again together.
    pub fn done(&mut self, notice: &Notice, ended: Result<(), Fault>, at: DoneAt) -> bool {
        // Deleted meanwhile: nobody waits for it.
        let Some(held) = self.held.get_mut(&notice.subscription) else { return false };
        held.is_under_way = false;
        let Err(fault) = ended else {
            held.due.pop_front();
            (held.attempts, held.next) = (0, Millis::UNBOUNDED_PAST);
            (held.kept.failing_since, held.kept.fault) = (None, None);
            held.note_told();
            return false;
        };
        let since = *held.kept.failing_since.get_or_insert(at.now);
        held.next = at.now.plus(self.pace.pause_ms(held.attempts, at.jitter));
        held.attempts = held.attempts.saturating_add(1);
        // While the node was off nobody tried: time alone gives nobody up.
        let was_tried = held.attempts >= ATTEMPTS_MIN;
        let is_over = was_tried && at.now.since(since) >= self.pace.give_up_after_ms;
        held.kept.fault = Some(fault);
        held.kept.given_up = fault.is_final() || is_over;
        held.kept.given_up
    }
}

/// When a notice ended, and what is drawn for its next pause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DoneAt {
    /// The time.
    pub now: Millis,
    /// Drawn evenly from all values.
    pub jitter: u16,
}

impl Pace {
    /// The pause after so many failures before: between a half of it and all of it.
    fn pause_ms(&self, attempts: u32, jitter: u16) -> u64 {
        let doubled =
            1_u64.checked_shl(attempts).and_then(|times| self.first_ms.checked_mul(times));
        let whole = doubled.unwrap_or(u64::MAX).min(self.most_ms);
        let half = whole / 2;
        // Below 2^48: the longest pause that may be set is a day.
        half + (whole - half) * u64::from(jitter) / u64::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything is settled.
    const ALL: BatchNumber = BatchNumber(u64::MAX);
    const PACE: Pace = Pace { first_ms: 1_000, most_ms: 60_000, give_up_after_ms: 600_000 };

    fn at(ms: u64) -> Millis {
        Millis::from_unix_ms(1_777_624_200_000 + ms)
    }

    fn patient(index: u32) -> PatientIndex {
        PatientIndex::new(index).unwrap()
    }

    fn kept(number: u8, of: u32, host: &str) -> Kept {
        Kept {
            id: SubscriptionId::new([number; 16]),
            patient: patient(of),
            endpoint: Endpoint::parse(&format!("https://{host}/")).unwrap(),
            reason: "tell".into(),
            end: None,
            secret: NoticeSecret::new([number; 32]),
            told: BatchNumber(0),
            failing_since: None,
            fault: None,
            given_up: false,
        }
    }

    fn book(kept: Vec<Kept>) -> Book {
        let hosts = ["a.example", "b.example"].map(str::to_owned);
        let limits = Limits { of_patient: 2, of_all: 100 };
        Book::new(kept, &Hosts::parse(&hosts).unwrap(), limits, PACE)
    }

    /// Looks at all batches up to the last; patients are read in these.
    fn look(book: &mut Book, last: u64, read: &[(u64, u32)]) -> Vec<u64> {
        let mut looked = Vec::new();
        while let Some(look) = book.next_look(BatchNumber(last), at(0), &BTreeSet::new()) {
            let of = read.iter().filter(|(batch, _)| *batch == look.batch.0);
            let of = of.map(|(_, index)| patient(*index));
            let of = of.filter(|patient| look.patients.contains(patient)).collect();
            book.looked(&look, &of);
            looked.push(look.batch.0);
        }
        looked
    }

    fn ends(book: &mut Book, notice: &Notice, ended: Result<(), Fault>, ms: u64) -> bool {
        book.done(notice, ended, DoneAt { now: at(ms), jitter: u16::MAX })
    }

    #[test]
    fn one_notice_a_subscription_and_batch_in_order_and_of_nobody_elses_accesses() {
        let mut book = book(vec![kept(1, 7, "a.example"), kept(2, 8, "b.example")]);
        assert_eq!(look(&mut book, 4, &[(1, 8), (2, 7), (4, 7), (3, 9)]), [1, 2, 3, 4]);
        let first = book.take_due(at(0), ALL).unwrap();
        let second = book.take_due(at(0), ALL).unwrap();
        assert_eq!((first.batch.0, second.batch.0), (2, 1));
        assert_eq!(first.id(), format!("{}-2", "01".repeat(16)));
        assert!(book.take_due(at(0), ALL).is_none(), "the next one waits for the one before it");
        assert!(!ends(&mut book, &first, Ok(()), 1) && !ends(&mut book, &second, Ok(()), 1));
        let third = book.take_due(at(1), ALL).unwrap();
        assert_eq!((third.subscription, third.batch.0), (first.subscription, 4));
        ends(&mut book, &third, Ok(()), 2);
        assert_eq!((book.take_due(at(9), ALL), book.due_count(at(9))), (None, 0));
        assert!(book.kept().iter().all(|kept| kept.told == BatchNumber(4)));
    }

    #[test]
    fn a_restart_goes_on_behind_what_was_told_and_sends_the_same_id_again() {
        let mut before = book(vec![kept(1, 7, "a.example")]);
        look(&mut before, 5, &[(2, 7), (4, 7)]);
        let first = before.take_due(at(0), ALL).unwrap();
        ends(&mut before, &first, Ok(()), 1);
        let cut_off = before.take_due(at(1), ALL).unwrap();
        assert_eq!(before.kept()[0].told, BatchNumber(3), "of what is under way nothing is known");
        let mut after = book(before.kept());
        assert_eq!(look(&mut after, 5, &[(2, 7), (4, 7)]), [4, 5]);
        assert_eq!(after.take_due(at(2), ALL).map(|notice| notice.id()), Some(cut_off.id()));
    }

    #[test]
    fn what_is_settled_no_more_is_told_once_it_is_again_and_keeps_no_other_from_being_told() {
        let mut book = book(vec![kept(1, 7, "a.example"), kept(2, 8, "b.example")]);
        look(&mut book, 3, &[(2, 8), (3, 7)]);
        // Blocks were taken back, and with them the third batch.
        let other = book.take_due(at(0), BatchNumber(2)).unwrap();
        assert_eq!((other.batch.0, other.endpoint.host()), (2, "b.example"));
        assert!(book.take_due(at(0), BatchNumber(2)).is_none());
        let again = book.take_due(at(0), BatchNumber(3)).unwrap();
        assert_eq!((again.batch.0, again.endpoint.host()), (3, "a.example"));
        assert!(!ends(&mut book, &again, Ok(()), 0));
        let kept = book.kept()[0].clone();
        assert_eq!((kept.status(at(0)), kept.told), ("active", BatchNumber(3)));
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_drawn_from_their_upper_half() {
        let pauses = |jitter| [0, 1, 5, 6, 60, u32::MAX].map(|n| PACE.pause_ms(n, jitter));
        assert_eq!(pauses(u16::MAX), [1_000, 2_000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!(pauses(0), [500, 1_000, 16_000, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn what_is_not_taken_is_sent_again_after_its_pause_until_it_is_given_up() {
        let mut book = book(vec![kept(1, 7, "a.example")]);
        look(&mut book, 1, &[(1, 7)]);
        let mut now = 0;
        let mut attempts = 0;
        loop {
            let notice = book.take_due(at(now), ALL).expect("it is due");
            attempts += 1;
            if ends(&mut book, &notice, Err(Fault::Status(500)), now) {
                break;
            }
            let kept = &book.kept()[0];
            assert_eq!((kept.status(at(now)), kept.fault), ("active", Some(Fault::Status(500))));
            assert!(book.take_due(at(now), ALL).is_none(), "not before its pause is over");
            now += PACE.most_ms;
        }
        assert_eq!((attempts, now), (11, PACE.give_up_after_ms));
        let kept = book.kept()[0].clone();
        assert_eq!((kept.status(at(now)), kept.told), ("error", BatchNumber(0)));
        assert!(book.take_due(at(now * 9), ALL).is_none());
        let look = book.next_look(BatchNumber(9), at(now), &BTreeSet::new());
        assert_eq!(look, None, "nothing is looked for");
        assert_eq!((book.live_count(at(now)), book.due_count(at(now))), (0, 0));
    }

    #[test]
    fn a_restart_does_not_begin_the_time_until_it_is_given_up_anew() {
        let failing_since = Some(at(0));
        let mut book = book(vec![Kept { failing_since, ..kept(1, 7, "a.example") }]);
        look(&mut book, 1, &[(1, 7)]);
        let fails = |book: &mut Book, ms| {
            let notice = book.take_due(at(ms), ALL).unwrap();
            ends(book, &notice, Err(Fault::Late), ms)
        };
        // The node may have been off all the while: it tries before it gives anybody up.
        let begin = PACE.give_up_after_ms;
        assert!(!fails(&mut book, begin) && !fails(&mut book, begin + PACE.first_ms));
        assert!(fails(&mut book, begin + PACE.most_ms), "the third time");
    }

    #[test]
    fn who_waits_for_a_batch_that_rests_holds_up_nobody_else() {
        let ahead = Kept { told: BatchNumber(5), ..kept(2, 8, "b.example") };
        let mut book = book(vec![kept(1, 7, "a.example"), ahead]);
        let next = |book: &Book, resting: &[u64]| {
            let resting = resting.iter().copied().map(BatchNumber).collect();
            book.next_look(BatchNumber(6), at(0), &resting)
        };
        let look = next(&book, &[1]).unwrap();
        assert_eq!((look.batch.0, &look.patients), (6, &BTreeSet::from([patient(8)])));
        book.looked(&look, &look.patients);
        assert_eq!(book.take_due(at(0), ALL).map(|notice| notice.batch.0), Some(6));
        assert_eq!(next(&book, &[1]), None, "no later batch before the one that rests");
        assert_eq!(next(&book, &[]).map(|look| look.batch.0), Some(1));
    }

    #[test]
    fn a_receiver_that_comes_back_is_told_all_and_its_fault_is_forgotten() {
        let mut book = book(vec![kept(1, 7, "a.example")]);
        look(&mut book, 2, &[(1, 7), (2, 7)]);
        let notice = book.take_due(at(0), ALL).unwrap();
        ends(&mut book, &notice, Err(Fault::Connection), 0);
        for batch in [1, 2] {
            let notice = book.take_due(at(1_000), ALL).unwrap();
            assert_eq!(notice.batch.0, batch);
            ends(&mut book, &notice, Ok(()), 1_000);
        }
        let Kept { fault, failing_since, told, .. } = book.kept()[0].clone();
        assert_eq!((fault, failing_since, told), (None, None, BatchNumber(2)));
    }

    #[test]
    fn whoever_is_gone_and_a_host_that_is_listed_no_more_are_told_nothing_further() {
        let given_up = Kept { fault: Some(Fault::Late), given_up: true, ..kept(3, 8, "c.example") };
        let mut book = book(vec![kept(1, 7, "a.example"), kept(2, 7, "c.example"), given_up]);
        look(&mut book, 1, &[(1, 7)]);
        let notice = book.take_due(at(0), ALL).unwrap();
        assert!(book.take_due(at(0), ALL).is_none());
        assert!(ends(&mut book, &notice, Err(Fault::Status(410)), 0));
        let faults: Vec<_> = book.kept().iter().map(|kept| (kept.fault, kept.given_up)).collect();
        let [gone, unlisted, late] = [Fault::Status(410), Fault::Host, Fault::Late].map(Some);
        assert_eq!(faults, [(gone, true), (unlisted, true), (late, true)]);
    }

    #[test]
    fn a_host_that_hangs_leaves_places_to_the_others() {
        let of = |number: u8, host| kept(number, u32::from(number), host);
        let mut hanging: Vec<_> = (1..=20).map(|number| of(number, "a.example")).collect();
        hanging.extend((21..=40).map(|number| of(number, "b.example")));
        let mut book = book(hanging);
        let all: Vec<_> = (1..=40).map(|number| (1, number)).collect();
        look(&mut book, 1, &all);
        let taken: Vec<_> = std::iter::from_fn(|| book.take_due(at(0), ALL)).collect();
        let hosts = |host| taken.iter().filter(|notice| notice.endpoint.host() == host).count();
        assert_eq!((hosts("a.example"), hosts("b.example")), (4, 4));
    }

    #[test]
    fn of_a_receiver_that_is_away_so_many_batches_are_held_and_the_rest_is_looked_at_later() {
        let mut book = book(vec![kept(1, 7, "a.example"), kept(2, 8, "b.example")]);
        let all: Vec<_> = (1..=50).map(|batch| (batch, 7)).collect();
        let looked = look(&mut book, 50, &all);
        assert_eq!(looked.len(), 50, "the other one is looked for");
        assert_eq!(book.due_count(at(0)), DUE_MAX);
        let mut told = Vec::new();
        while let Some(notice) = book.take_due(at(0), ALL) {
            told.push(notice.batch.0);
            ends(&mut book, &notice, Ok(()), 0);
            look(&mut book, 50, &all);
        }
        assert_eq!(told, (1..=50).collect::<Vec<_>>());
    }

    #[test]
    fn subscriptions_have_their_limits_and_a_new_one_begins_behind_what_is_settled() {
        let mut book = book(vec![kept(1, 7, "a.example"), kept(2, 7, "a.example")]);
        let third = kept(3, 7, "a.example");
        assert_eq!(book.add(third.clone()), Err(BookFull::OfPatient { most: 2 }));
        book.remove(third.id);
        book.remove(SubscriptionId::new([2; 16]));
        book.add(Kept { told: BatchNumber(5), ..third.clone() }).unwrap();
        assert_eq!(look(&mut book, 6, &[(5, 7)]), [1, 2, 3, 4, 5, 6]);
        let told: Vec<_> = std::iter::from_fn(|| book.take_due(at(0), ALL)).collect();
        assert_eq!(told.len(), 1, "the one that stood before");
        assert!(
            book.get(third.id, patient(8)).is_none() && book.get(third.id, patient(7)).is_some()
        );
        for number in 10..108 {
            book.add(kept(number, u32::from(number), "a.example")).unwrap();
        }
        assert_eq!(book.add(kept(9, 9, "a.example")), Err(BookFull::OfAll { most: 100 }));
    }

    #[test]
    fn what_was_deleted_or_has_ended_is_sent_to_nobody() {
        let ends_at = Some(at(10));
        let ending = Kept { end: ends_at, ..kept(2, 7, "b.example") };
        let mut book = book(vec![kept(1, 7, "a.example"), ending]);
        look(&mut book, 2, &[(1, 7), (2, 7)]);
        let notice = book.take_due(at(0), ALL).unwrap();
        book.remove(notice.subscription);
        assert!(!ends(&mut book, &notice, Err(Fault::Status(410)), 0));
        assert!(book.take_due(at(10), ALL).is_none(), "it has ended");
        assert!(book.take_due(at(9), ALL).is_some());
    }

    #[test]
    fn of_a_patient_who_is_forgotten_nothing_is_kept_or_looked_for() {
        let given_up = Kept { fault: Some(Fault::Late), given_up: true, ..kept(3, 7, "a.example") };
        let mut book = book(vec![kept(1, 7, "a.example"), kept(2, 8, "b.example"), given_up]);
        book.forget(|found| found == patient(7));
        assert_eq!(book.patients().collect::<Vec<_>>(), [patient(8)]);
        assert_eq!(book.kept().len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_holds_up_no_notice_for_longer_than_a_pause() {
        let mut book = book(vec![kept(1, 7, "a.example")]);
        look(&mut book, 1, &[(1, 7)]);
        let notice = book.take_due(at(PACE.most_ms * 100), ALL).unwrap();
        ends(&mut book, &notice, Err(Fault::Late), PACE.most_ms * 100);
        assert!(book.take_due(at(0), ALL).is_some());
    }
}
