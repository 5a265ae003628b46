//! The writer: order, grouping, and what every submitter is told when it ends.

use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};

use journal::fault::{FaultMedium, salts};
use journal::{
    Admission, Committed, EntryKind, Failure, FileName, GroupBuilder, Lane, Log, Medium, Millis,
    NotTaken, Position, SteppedWriter, SubmitAllError, Submitter, Writer, WriterConfig,
};

use crate::gated::GatedMedium;
use crate::support::{GENESIS, START_MS, all_entries};

/// Items of the tests.
enum Item {
    Frame(&'static str),
    Operation(&'static str),
    Nothing,
    Panic,
    Greedy,
}

/// Answers with position and time of what an item became.
#[derive(Default)]
struct Plain {
    committed: Vec<Committed>,
}

impl Admission for Plain {
    type Item = Item;
    type Answer = Option<(Position, Millis)>;

    fn admit(&mut self, now: Millis, item: Item, out: &mut GroupBuilder) -> Self::Answer {
        assert_eq!(now, out.now());
        let position = match item {
            Item::Frame(body) => out.append(EntryKind::FRAME, body.as_bytes()),
            Item::Operation(body) => {
                out.append_strictly_later(EntryKind::OPERATION, body.as_bytes())
            }
            Item::Nothing => return None,
            Item::Panic => panic!("an admission that panics (expected in this test)"),
            Item::Greedy => {
                while out.append(EntryKind::FRAME, &[0; 500_000]).is_ok() {}
                return None;
            }
        };
        Some((position.expect("fits"), out.now()))
    }

    fn committed(&mut self, committed: &Committed) {
        self.committed.push(committed.clone());
    }
}

type Answers = Receiver<Result<Option<(Position, Millis)>, Failure>>;

fn start<M: Medium>(medium: M, clock: impl FnMut() -> Millis + Send + 'static) -> Writer<M, Plain> {
    let (log, _) = Log::open(medium, GENESIS, salts()).expect("open");
    start_on(log, clock)
}

fn start_on<M: Medium>(
    log: Log<M>,
    clock: impl FnMut() -> Millis + Send + 'static,
) -> Writer<M, Plain> {
    let queue_items_max = NonZeroUsize::new(100).expect("not zero");
    let config = WriterConfig { queue_items_max, reserved_items: 0 };
    Writer::start(log, Plain::default(), clock, config).expect("a thread starts")
}

fn submit(to: &Submitter<Plain>, item: Item) -> Answers {
    let (tell, answers) = channel();
    reply_into(to, item, tell);
    answers
}

fn reply_into(
    to: &Submitter<Plain>,
    item: Item,
    tell: Sender<Result<Option<(Position, Millis)>, Failure>>,
) {
    let reply = move |answer| tell.send(answer).expect("the test listens");
    to.submit(Lane::Live, item, reply).expect("taken");
}

#[test]
fn entries_have_the_order_of_submission_and_answers_name_their_positions() {
    let writer = start(FaultMedium::default(), || START_MS);
    let (tell, answers) = channel();
    let bodies = ["a", "b", "c", "d", "e", "f"];
    for body in bodies {
        reply_into(&writer.submitter(), Item::Frame(body), tell.clone());
    }
    drop(tell);
    let stopped = writer.stop();
    assert!(stopped.failure.is_none());
    let answers: Vec<_> = answers.iter().map(|answer| answer.expect("durable")).collect();
    assert_eq!(answers, (1..=6).map(|position| Some((position, START_MS))).collect::<Vec<_>>());
    let found: Vec<_> = all_entries(&stopped.log).into_iter().map(|entry| entry.body).collect();
    assert_eq!(found, bodies);
}

#[test]
fn what_arrives_during_a_sync_becomes_one_group() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let first = submit(&writer.submitter(), Item::Frame("first"));
    medium.await_sync();
    let rest: Vec<_> =
        (0..50).map(|_| submit(&writer.submitter(), Item::Frame("during"))).collect();
    assert!(first.try_recv().is_err(), "no answer leaves before the sync");
    medium.release();
    let stopped = writer.stop();
    assert_eq!(first.recv().expect("called").expect("durable"), Some((1, START_MS)));
    for (position, answer) in (2..).zip(rest) {
        assert_eq!(answer.recv().expect("called").expect("durable"), Some((position, START_MS)));
    }
    let groups: Vec<_> =
        stopped.admission.committed.iter().map(|group| (group.first, group.last)).collect();
    assert_eq!(groups, [(1, 1), (2, 51)]);
}

#[test]
fn a_full_queue_refuses_and_hands_the_item_back() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let submitter = writer.submitter();
    let first = submit(&submitter, Item::Frame("first"));
    medium.await_sync();
    // An eighth of the 100 places each is for the other lanes.
    let waiting: Vec<_> = (0..76).map(|_| submit(&submitter, Item::Nothing)).collect();
    assert_eq!(submitter.waiting(), 76);
    let refused =
        submitter.submit(Lane::Live, Item::Frame("one too many"), |_| panic!("never called"));
    let refused = refused.expect_err("the queue is full");
    assert!(matches!(refused.why, NotTaken::Full { lane: Lane::Live, items_max: 76 }));
    assert!(matches!(refused.item, Item::Frame("one too many")));
    medium.release();
    drop(writer);
    assert!(first.recv().expect("called").is_ok());
    assert!(waiting.iter().all(|answer| answer.recv().expect("called").is_ok()));
    let stopped = submitter.submit(Lane::Live, Item::Nothing, |_| panic!("never called"));
    assert!(matches!(stopped.expect_err("stopped").why, NotTaken::Stopped));
}

#[test]
fn an_operation_is_strictly_later_and_time_never_goes_back() {
    let mut clock = [5, 5, 5, 2, 0, 9].map(|ms| START_MS + ms).into_iter();
    let writer = start(FaultMedium::default(), move || clock.next().expect("six items"));
    let (tell, answers) = channel();
    use Item::{Frame, Operation};
    for item in [Frame("a"), Operation("b"), Frame("c"), Operation("d"), Frame("e"), Frame("f")] {
        reply_into(&writer.submitter(), item, tell.clone());
    }
    drop(tell);
    let stopped = writer.stop();
    assert_eq!(answers.iter().filter(Result::is_ok).count(), 6);
    let times: Vec<_> =
        all_entries(&stopped.log).iter().map(|entry| entry.time - START_MS).collect();
    assert_eq!(times, [5, 6, 6, 7, 7, 9]);
}

#[test]
fn a_panic_in_admission_tells_every_waiter_and_acknowledges_nothing() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let submitter = writer.submitter();
    let durable = submit(&submitter, Item::Frame("durable"));
    medium.await_sync();
    let items = [Item::Frame("before"), Item::Panic, Item::Frame("after")];
    let waiters = items.map(|item| submit(&submitter, item));
    medium.release();
    assert!(durable.recv().expect("called").is_ok());
    for waiter in waiters {
        assert!(matches!(waiter.recv().expect("called"), Err(Failure::Panicked)));
    }
    let refused = submitter.submit(Lane::Live, Item::Nothing, |_| panic!("never called"));
    let refused = refused.expect_err("failed").why;
    assert!(matches!(refused, NotTaken::Failed(Failure::Panicked)));
    let stopped = writer.stop();
    assert!(matches!(stopped.failure, Some(Failure::Panicked)));
    assert_eq!(all_entries(&stopped.log).len(), 1);
}

#[test]
fn a_failed_sync_tells_every_waiter_and_stops_the_writer() {
    let medium = FaultMedium::default();
    let (log, _) = Log::open(medium.clone(), GENESIS, salts()).expect("open");
    // No file is made ahead, so that the second call is the sync of the first group.
    log.ask_room(|_| false);
    let writer = start_on(log, || START_MS);
    medium.fail_at(2);
    let failed = submit(&writer.submitter(), Item::Frame("a"));
    assert!(matches!(failed.recv().expect("called"), Err(Failure::Log(_))));
    let stopped = writer.stop();
    assert!(stopped.log.is_poisoned() && stopped.admission.committed.is_empty());
    assert!(matches!(stopped.failure, Some(Failure::Log(_))));
}

#[test]
fn an_item_that_becomes_nothing_is_answered_without_a_group() {
    let writer = start(FaultMedium::default(), || START_MS);
    let answer = submit(&writer.submitter(), Item::Nothing);
    assert!(matches!(answer.recv().expect("called"), Ok(None)));
    assert_eq!(writer.stop().log.head().group, 0);
}

#[test]
fn an_item_gets_its_share_of_a_group_and_no_more() {
    let writer = start(FaultMedium::default(), || START_MS);
    let answers = [(); 6].map(|()| submit(&writer.submitter(), Item::Greedy));
    let stopped = writer.stop();
    assert!(answers.iter().all(|answer| answer.recv().expect("called").is_ok()));
    assert_eq!(stopped.log.head().position, 24, "four entries of 500 kB fit in 2 MiB");
    assert!(stopped.log.head().group >= 2, "four items fill a group");
}

#[test]
fn a_panicking_reply_does_not_keep_the_others_from_an_answer() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let submitter = writer.submitter();
    let first = submit(&submitter, Item::Frame("first"));
    medium.await_sync();
    let panics = |_| panic!("a reply that panics (expected in this test)");
    submitter.submit(Lane::Live, Item::Frame("second"), panics).expect("taken");
    let third = submit(&submitter, Item::Frame("third"));
    medium.release();
    assert!(first.recv().expect("called").is_ok());
    assert!(matches!(third.recv().expect("called"), Err(Failure::Panicked)));
    assert!(matches!(writer.stop().failure, Some(Failure::Panicked)));
}

#[test]
fn the_writer_has_its_files_made_ahead() {
    let medium = FaultMedium::default().with_lengths(4_096, 4_096);
    let writer = start(medium.clone(), || START_MS);
    // Each answer waits for its group, so that there are as many groups.
    for _ in 0..60 {
        let answer = submit(&writer.submitter(), Item::Frame("a frame"));
        assert!(answer.recv().expect("called").is_ok());
    }
    let stopped = writer.stop();
    let (log, last) = (stopped.log, FileName::Log(3));
    assert_eq!((log.head().position, log.reader().file_counts().failed), (60, 0));
    assert!(log.head().file >= 3, "60 groups of 168 bytes in files of 3.5 KiB");
    assert!(medium.files().contains_key(&last));
    assert!(!medium.files().contains_key(&FileName::Next), "nothing half made is left");
}

/// Submits items together on a lane; how many were taken and their answers, once they are told.
fn submit_all(
    to: &Submitter<Plain>,
    lane: Lane,
    items: Vec<Item>,
) -> (Result<(), SubmitAllError<Item>>, Receiver<Told>) {
    let (tell, told) = channel();
    let reply = move |taken, answers| tell.send((taken, answers)).expect("the test listens");
    (to.submit_all(lane, items, reply), told)
}

type Told = (usize, Result<Vec<Option<(Position, Millis)>>, Failure>);

#[test]
fn items_that_are_submitted_together_keep_their_order_share_a_time_and_have_one_reply() {
    let medium = GatedMedium::default();
    let mut clock = (START_MS..).step_by(10);
    let writer = start(medium.medium(), move || clock.next().expect("without end"));
    let submitter = writer.submitter();
    medium.hold();
    let first = submit(&submitter, Item::Frame("first"));
    medium.await_sync();
    let items = vec![Item::Frame("a"), Item::Nothing, Item::Operation("b"), Item::Frame("c")];
    let (taken, together) = submit_all(&submitter, Lane::Live, items);
    taken.expect("room for all");
    let behind = submit(&submitter, Item::Frame("behind"));
    assert_eq!(submitter.waiting(), 5, "each counts");
    medium.release();
    let stopped = writer.stop();
    assert!(first.recv().expect("called").is_ok());
    let (count, answers) = together.recv().expect("called once");
    assert!(together.recv().is_err());
    let at = |position, more| Some((position, START_MS + more));
    // An operation is later than what stands before it, and the frame behind it not earlier.
    let expected = [at(2, 10), None, at(3, 11), at(4, 11)];
    assert_eq!((count, &answers.expect("durable")[..]), (4, &expected[..]));
    assert_eq!(behind.recv().expect("called").expect("durable"), at(5, 20));
    let found: Vec<_> = all_entries(&stopped.log).into_iter().map(|entry| entry.body).collect();
    assert_eq!(found, ["first", "a", "b", "c", "behind"]);
}

#[test]
fn of_items_that_are_submitted_together_the_last_ones_are_handed_back_where_places_end() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let submitter = writer.submitter();
    let first = submit(&submitter, Item::Frame("first"));
    medium.await_sync();
    let many = (0..70).map(|_| Item::Nothing).collect();
    let (filled, _waits) = submit_all(&submitter, Lane::Live, many);
    filled.expect("six of 76 places are left");
    let bodies = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let (taken, told) = submit_all(&submitter, Lane::Live, bodies.map(Item::Frame).into());
    let refused = taken.expect_err("two too many");
    assert!(matches!(refused.why, NotTaken::Full { lane: Lane::Live, items_max: 76 }));
    assert!(matches!(refused.items[..], [Item::Frame("g"), Item::Frame("h")]));
    let (taken, none) = submit_all(&submitter, Lane::Live, vec![Item::Frame("none")]);
    assert!(taken.is_err_and(|refused| refused.items.len() == 1));
    assert!(none.recv().is_err(), "dropped uncalled");
    medium.release();
    let stopped = writer.stop();
    assert!(first.recv().expect("called").is_ok());
    let (count, answers) = told.recv().expect("called");
    let positions: Vec<_> =
        answers.expect("durable").into_iter().map(|answer| answer.expect("stored").0).collect();
    assert_eq!((count, positions), (6, (2..=7).collect()));
    let found: Vec<_> = all_entries(&stopped.log).into_iter().map(|entry| entry.body).collect();
    assert_eq!(found, ["first", "a", "b", "c", "d", "e", "f"]);
}

/// What a group has no room for waits for the next one, and what is urgent passes it there.
#[test]
fn a_group_may_end_among_items_that_were_submitted_together() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let submitter = writer.submitter();
    let first = submit(&submitter, Item::Frame("first"));
    medium.await_sync();
    // Backfill has 1 MiB of a group, and an item is 2 MB: one in each.
    let items = vec![Item::Greedy, Item::Greedy, Item::Greedy, Item::Frame("last")];
    let (taken, together) = submit_all(&submitter, Lane::Backfill, items);
    taken.expect("room for all");
    medium.release();
    assert!(first.recv().expect("called").is_ok());
    let (count, answers) = together.recv().expect("called");
    let answers = answers.expect("durable");
    assert_eq!((count, answers.len()), (4, 4));
    let Some((last, _)) = answers[3] else { panic!("a frame") };
    let stopped = writer.stop();
    let groups: Vec<_> =
        stopped.admission.committed.iter().map(|group| (group.first, group.last)).collect();
    assert_eq!(groups, [(1, 1), (2, 5), (6, 9), (10, 13), (14, 14)]);
    assert_eq!(last, 14, "told once the last of them was durable");
}

#[test]
fn a_stop_admits_and_answers_what_was_submitted_together() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let submitter = writer.submitter();
    let first = submit(&submitter, Item::Frame("first"));
    medium.await_sync();
    let items = || vec![Item::Greedy, Item::Frame("a"), Item::Frame("b")];
    let (_, together) = submit_all(&submitter, Lane::Backfill, items());
    // The stop comes while the group before them is synced, and takes two more groups.
    let release = std::thread::spawn(move || {
        while submitter.closed().is_none() {
            std::thread::yield_now();
        }
        let (late, told) = submit_all(&submitter, Lane::Live, items());
        assert!(late.is_err_and(|late| late.items.len() == 3));
        assert!(told.recv().is_err(), "dropped uncalled");
        medium.release();
    });
    let stopped = writer.stop();
    release.join().expect("no panic");
    assert!(first.recv().expect("called").is_ok());
    let (count, answers) = together.recv().expect("called");
    assert_eq!((count, answers.expect("durable").len()), (3, 3));
    let bodies = all_entries(&stopped.log).into_iter().map(|entry| entry.body.len());
    assert_eq!(bodies.collect::<Vec<_>>(), [5, 500_000, 500_000, 500_000, 500_000, 1, 1]);
}

#[test]
fn a_panic_among_items_that_were_submitted_together_tells_all_of_them_once() {
    let medium = GatedMedium::default();
    let writer = start(medium.medium(), || START_MS);
    medium.hold();
    let submitter = writer.submitter();
    let durable = submit(&submitter, Item::Frame("durable"));
    medium.await_sync();
    let items = vec![Item::Frame("before"), Item::Panic, Item::Frame("after")];
    let (_, together) = submit_all(&submitter, Lane::Live, items);
    let (_, behind) = submit_all(&submitter, Lane::Live, vec![Item::Nothing, Item::Nothing]);
    medium.release();
    assert!(durable.recv().expect("called").is_ok());
    for (told, expected) in [(together, 3), (behind, 2)] {
        let (count, outcome) = told.recv().expect("called");
        assert!(matches!(outcome, Err(Failure::Panicked)));
        assert_eq!(count, expected);
        assert!(told.recv().is_err(), "once");
    }
    assert_eq!(submitter.waiting(), 0);
    assert_eq!(all_entries(&writer.stop().log).len(), 1, "what came before the panic, too, is not");
}

/// A writer without a thread, on this medium.
fn stepped(medium: FaultMedium) -> SteppedWriter<FaultMedium, Plain> {
    let (log, _) = Log::open(medium, GENESIS, salts()).expect("open");
    let queue_items_max = NonZeroUsize::new(100).expect("not zero");
    let config = WriterConfig { queue_items_max, reserved_items: 0 };
    SteppedWriter::new(log, Plain::default(), || START_MS, config)
}

#[test]
fn a_writer_that_is_stepped_commits_what_waits_as_one_group_and_nothing_by_itself() {
    let medium = FaultMedium::default().with_lengths(4_096, 4_096);
    let mut writer = stepped(medium.clone());
    let submitter = writer.submitter();
    writer.step().expect("nothing waits");
    for round in 0..40_u64 {
        let two = [submit(&submitter, Item::Frame("a")), submit(&submitter, Item::Frame("b"))];
        assert!(two.iter().all(|answers| answers.try_recv().is_err()), "nobody stepped it");
        writer.step().expect("durable");
        let found = two.map(|answers| answers.recv().expect("told").expect("durable"));
        let position = |more: u64| Some((2 * round + more, START_MS));
        assert_eq!(found, [position(1), position(2)]);
    }
    drop(writer);
    // Files were made on the way, and what was acknowledged is behind a power cut.
    let left = medium.after_power_cut(journal::fault::Cut::Drop, 1);
    let (log, recovery) = Log::open(left, GENESIS, salts()).expect("open");
    assert_eq!((recovery.groups, log.head().position), (40, 80));
    assert!(log.reader().files() > 1);
}

#[test]
fn a_writer_that_is_stepped_tells_everybody_that_it_failed_and_takes_nothing_more() {
    let medium = FaultMedium::default();
    let mut writer = stepped(medium.clone());
    let submitter = writer.submitter();
    let waiting = [submit(&submitter, Item::Frame("a")), submit(&submitter, Item::Frame("b"))];
    medium.fail_at(1);
    assert!(matches!(writer.step(), Err(Failure::Log(_))));
    for answers in waiting {
        assert!(matches!(answers.recv(), Ok(Err(Failure::Log(_)))));
    }
    assert!(matches!(submitter.closed(), Some(NotTaken::Failed(_))));
    assert!(matches!(writer.step(), Err(Failure::Log(_))), "it stays so");
}
