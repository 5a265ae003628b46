//! A bridge that is killed, whose node is away, whose patients end their consent and give it again,
//! whose devices are another patient's for a while, while senders repeat themselves in any order:
//! each reading is stored once, and nobody waits for ever.
//!
//! A seed decides what happens and in which order; sockets and threads decide the rest, and what is
//! checked holds however they do.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bridge::{Cause, Fate, Measurement};
use client::Connection;
use model::calendar::{Instant, parse_instant};
use model::{
    Clock, DeviceId, PatientIndex, RejectCode, SystemClock, signal_by_code, signal_by_name,
};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use wire::DeviceTime;

use self::node::{Behaviour, Node};
use super::{Content, Delivery, Member, Message, MessageId, Outcome};

mod folders;
#[allow(dead_code, reason = "the client's own tests need more of it")]
#[path = "../../../../tests/client/node.rs"]
mod node;

const SEEDS: u64 = 32;
const THREADS: u64 = 8;
/// What happens to each bridge before everything is well.
const STEPS: u64 = 12;
const MESSAGES: u64 = 6;
/// As long as a sender waits for an answer.
const PATIENCE: Duration = Duration::from_millis(20);
/// When everything is well: a bridge that blocks somebody for ever fails and does not hang.
const LAST_WAIT: Duration = Duration::from_secs(60);

/// What a seed decides.
struct Dice(blake3::OutputReader);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    fn below(&mut self, count: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % count
    }
}

/// A message as its sender keeps it.
struct Sent {
    id: u8,
    members: Vec<(u8, Vec<Measurement>)>,
}

impl Sent {
    /// Of one patient, of one to three members, whose readings go to two devices and two signals.
    fn new(id: u8, dice: &mut Dice, value: &mut i32) -> Sent {
        let patient = PatientIndex::new(7 + dice.below(2) as u32).unwrap();
        let mut measure = |dice: &mut Dice| {
            *value += 1;
            Measurement {
                device: DeviceId::new(["m-1", "m-2"][dice.below(2) as usize]).unwrap(),
                patient,
                signal: signal_by_name(["heart-rate", "spo2"][dice.below(2) as usize]).unwrap(),
                at: parse_instant("2026-05-01T08:30:00Z").unwrap(),
                value: Some(*value),
            }
        };
        let count = 1 + dice.below(3) as u8;
        let members = (0..count).map(|n| {
            let readings = (0..1 + dice.below(3)).map(|_| measure(dice)).collect();
            (if count == 1 { id } else { 100 + 10 * id + n }, readings)
        });
        Sent { id, members: members.collect() }
    }

    /// What of it is not stored as far as is known: as whoever posts a transaction does.
    fn message(&self, delivery: &Delivery) -> Message {
        let is_new = |id: &u8| delivery.stored(MessageId([*id; 16])).is_none();
        let members = self.members.iter().filter(|(id, _)| *id == self.id || is_new(id));
        let members = members.map(|(id, readings)| {
            Member::new(MessageId([*id; 16]), Content([*id; 16]), readings.clone())
        });
        let (id, content) = (MessageId([self.id; 16]), Content([self.id; 16]));
        Message { id, content, members: members.collect() }
    }

    /// One of its members alone.
    fn member(&self, dice: &mut Dice) -> Sent {
        let (id, readings) = &self.members[dice.below(self.members.len() as u64) as usize];
        Sent { id: *id, members: vec![(*id, readings.clone())] }
    }
}

/// A node and a bridge that is killed now and then.
struct Ward {
    node: Node,
    folder: tempfile::TempDir,
    nodes: Runtime,
    /// Of the bridge that lives.
    bridges: Option<Runtime>,
    delivery: Option<Arc<Delivery>>,
    /// How long it waits for the node's clock.
    waited_for: Duration,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl Ward {
    fn new() -> Ward {
        let nodes = runtime();
        let node = nodes.block_on(async { Node::start(Behaviour::default()) });
        let folder = tempfile::tempdir().unwrap();
        let (bridges, delivery, waited_for) = (None, None, LAST_WAIT);
        let mut ward = Ward { node, folder, nodes, bridges, delivery, waited_for };
        ward.start();
        ward
    }

    fn start(&mut self) {
        let state = self.folder.path().join("state");
        let mut delivery = Delivery::open(state.clone(), PATIENCE).unwrap();
        let own = Arc::get_mut(&mut delivery).expect("nobody else has it yet");
        own.streams.refusals.repeated_for = Duration::ZERO;
        if let Some(ahead) = Arc::get_mut(&mut own.ahead) {
            ahead.waited_for = self.waited_for;
        }
        let config = delivery.configured(self.node.config(), state);
        let (bridges, linked) = (runtime(), delivery.clone());
        bridges.spawn(async move {
            loop {
                if let Ok(connection) = Connection::connect(config.clone()).await {
                    linked.deliver_over(connection).await;
                }
            }
        });
        (self.bridges, self.delivery) = (Some(bridges), Some(delivery));
    }

    /// Whatever it is doing, it does no more.
    fn stop(&mut self) {
        let (bridges, delivery) = (self.bridges.take(), self.delivery.take());
        bridges.expect("one lives").shutdown_timeout(LAST_WAIT);
        drop(delivery);
    }

    /// Another one begins with the folder.
    fn kill(&mut self) {
        self.stop();
        self.start();
    }

    fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.node.log().behaviour);
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.bridges.as_ref().expect("one lives").block_on(future)
    }

    /// Sends some at once; what is not answered in time stays on its way.
    fn send(&self, sent: &[Sent], within: Duration) -> Vec<Option<Outcome>> {
        self.block_on(async {
            let deliver = |one: &Sent| {
                let delivery = self.delivery.clone().expect("one lives");
                let message = one.message(&delivery);
                tokio::spawn(async move { delivery.deliver(message).await })
            };
            let tasks: Vec<_> = sent.iter().map(deliver).collect();
            let mut outcomes = Vec::new();
            for task in tasks {
                outcomes.push(timeout(within, task).await.ok().map(Result::unwrap));
            }
            outcomes
        })
    }

    /// How often the node has each value, by device and signal.
    fn stored(&self) -> BTreeMap<(String, u32, i32), usize> {
        let mut stored = BTreeMap::new();
        for (stream, frames) in &self.node.log().frames {
            let signal = signal_by_code(stream.signal).expect("one of the table");
            for (frame, ..) in frames.values() {
                for reading in frame.readings(signal).unwrap() {
                    let value = reading.value.expect("one was measured");
                    let key = (stream.device.as_str().to_owned(), stream.signal, value);
                    *stored.entry(key).or_default() += 1;
                }
            }
        }
        stored
    }

    /// All of a message that was answered as stored is there, and nothing is there twice.
    fn check(&self, sent: &Sent, seed: u64) {
        let stored = self.stored();
        for one in sent.members.iter().flat_map(|(_, readings)| readings) {
            let value = one.value.expect("each has one");
            let key = (one.device.as_str().to_owned(), one.signal.code, value);
            assert_eq!(stored.get(&key), Some(&1), "seed {seed}: {key:?} of an answered message");
        }
    }

    fn step(&mut self, all: &[Sent], dice: &mut Dice, seed: u64) {
        match dice.below(13) {
            0 => self.kill(),
            1 => self.node.hang_up(),
            2 => {
                let patient = PatientIndex::new(7 + dice.below(2) as u32).unwrap();
                self.behave(|one| one.without_consent.push(patient));
            }
            3 => self.behave(|one| one.without_consent.clear()),
            4 => {
                let silent = dice.below(2) == 0;
                self.behave(|one| one.silent = silent);
            }
            5 => {
                // It stores them, and is gone before their receipt.
                let stored = self.node.log().stored;
                let limit = stored + 1 + dice.below(3) as usize;
                self.behave(|one| (one.drop_after_frames, one.silent) = (Some(limit), true));
            }
            6 => {
                let patient = PatientIndex::new(7 + dice.below(2) as u32).unwrap();
                self.behave(|one| one.not_theirs.push(patient));
            }
            7 | 8 => self.behave(|one| one.not_theirs.clear()),
            _ => self.send_some(all, dice, seed),
        }
    }

    fn send_some(&mut self, all: &[Sent], dice: &mut Dice, seed: u64) {
        let pick = |dice: &mut Dice| {
            let one = &all[dice.below(all.len() as u64) as usize];
            let Sent { id, members } = one;
            match dice.below(3) {
                0 => one.member(dice),
                _ => Sent { id: *id, members: members.clone() },
            }
        };
        let sent: Vec<_> = (0..1 + dice.below(3)).map(|_| pick(dice)).collect();
        let within = Duration::from_micros(dice.below(20_000));
        for (one, outcome) in sent.iter().zip(self.send(&sent, within)) {
            if let Some(Ok(_)) = outcome {
                self.check(one, seed);
            }
        }
    }

    /// Everything is well from here on: each sender repeats its message until it is stored.
    fn finish(&mut self, all: Vec<Sent>, dice: &mut Dice, seed: u64) {
        self.behave(|one| *one = Behaviour::default());
        // What was stored without a word is asked for again.
        self.node.hang_up();
        let begin = std::time::Instant::now();
        let mut rest = all;
        let mut stored = Vec::new();
        while !rest.is_empty() {
            assert!(begin.elapsed() < LAST_WAIT, "seed {seed}: {} wait for ever", rest.len());
            let next = rest.remove(dice.below(rest.len() as u64) as usize);
            let outcome = self.send(std::slice::from_ref(&next), LAST_WAIT).remove(0);
            match outcome.expect("an answer") {
                Ok(_) => stored.push(next),
                // It is stored or not, and nobody stores it twice.
                Err(Cause::Unsure) => {}
                Err(_) => rest.push(next),
            }
        }
        stored.iter().for_each(|one| self.check(one, seed));
        let twice = self.stored().values().filter(|count| **count > 1).count();
        assert_eq!(twice, 0, "seed {seed}: readings are stored twice");
    }
}

impl Ward {
    fn end(self) {
        let Ward { bridges, nodes, .. } = self;
        bridges.into_iter().for_each(Runtime::shutdown_background);
        nodes.shutdown_background();
    }

    /// Repeats a message until it is stored or never can be; says what became of it.
    fn send_until_settled(&self, sent: &Sent) -> Outcome {
        let begin = std::time::Instant::now();
        loop {
            assert!(begin.elapsed() < LAST_WAIT, "it waits for ever");
            let outcome = self.send(std::slice::from_ref(sent), LAST_WAIT).remove(0);
            match outcome.expect("an answer") {
                Err(cause) if cause.fate() == Fate::Again => {}
                settled => return settled,
            }
        }
    }
}

/// A message of one heart rate.
fn heart_rate(id: u8, at: &str) -> Sent {
    let one = Measurement {
        at: parse_instant(at).unwrap(),
        ..super::message::tests::heart_rate(7, 500 + i32::from(id))
    };
    Sent { id, members: vec![(id, vec![one])] }
}

fn starting(at: &str) -> DeviceTime {
    DeviceTime::from_micros(parse_instant(at).unwrap().micros()).unwrap()
}

#[test]
fn what_consent_does_not_cover_takes_nothing_with_it_that_it_covers() {
    let ward = Ward::new();
    let from = starting("2026-05-01T00:00:00Z");
    ward.behave(|one| one.reject_before = Some((from, RejectCode::NotPermitted)));
    for round in 0..8 {
        let id = 1 + 4 * round;
        let early = heart_rate(id, "2026-04-30T08:30:00Z");
        let covered = (1..4).map(|n| heart_rate(id + n, "2026-05-01T08:30:00Z"));
        let all: Vec<_> = std::iter::once(early).chain(covered).collect();
        let outcomes = ward.send(&all, LAST_WAIT);
        for (n, (one, outcome)) in all.iter().zip(outcomes).enumerate() {
            let settled = match outcome.expect("an answer") {
                Err(cause) if cause.fate() == Fate::Again => ward.send_until_settled(one),
                settled => settled,
            };
            let is_refused = settled == Err(Cause::Node(RejectCode::NotPermitted));
            assert_eq!((is_refused, settled.is_err()), (n == 0, n == 0), "{n} of {round}");
        }
        all[1..].iter().for_each(|one| ward.check(one, round.into()));
    }
    ward.end();
}

/// A message of two signals of a patient's one device.
fn two_signals(id: u8, patient: u32) -> Sent {
    let patient = PatientIndex::new(patient).unwrap();
    let readings = ["heart-rate", "spo2"].map(|signal| Measurement {
        patient,
        signal: signal_by_name(signal).unwrap(),
        ..super::message::tests::heart_rate(7, 500 + i32::from(id))
    });
    Sent { id, members: vec![(id, readings.into())] }
}

#[test]
fn a_refused_message_of_two_signals_leaves_nothing_in_the_next_patients_way() {
    let ward = Ward::new();
    let refused = PatientIndex::new(7).unwrap();
    ward.behave(|one| one.without_consent.push(refused));
    let first = ward.send_until_settled(&two_signals(1, 7));
    assert_eq!(first, Err(Cause::Node(RejectCode::NotPermitted)));
    // Of patient 7 nobody sends anything again.
    let next = two_signals(2, 8);
    assert!(ward.send_until_settled(&next).is_ok());
    ward.check(&next, 0);
    ward.end();
}

#[test]
fn a_message_whose_receipt_was_lost_as_its_device_changed_patients_is_not_stored_twice() {
    let mut ward = Ward::new();
    // It stores the message without a word, and then the device is another patient's.
    ward.behave(|one| one.silent = true);
    let message = heart_rate(1, "2026-05-01T08:30:00Z");
    let again = || std::slice::from_ref(&message);
    let begin = std::time::Instant::now();
    while ward.node.log().stored == 0 {
        assert!(begin.elapsed() < LAST_WAIT, "it is never stored");
        assert_eq!(ward.send(again(), LAST_WAIT), [Some(Err(Cause::Away))]);
    }
    let patient = PatientIndex::new(7).unwrap();
    ward.behave(|one| (one.silent, one.not_theirs) = (false, vec![patient]));
    ward.node.hang_up();
    assert_eq!(ward.send_until_settled(&message), Err(Cause::Unsure));
    // The next one is taken, and then it is the first one's again.
    let next = two_signals(2, 8);
    assert!(ward.send_until_settled(&next).is_ok());
    ward.behave(|one| one.not_theirs.clear());
    for _ in 0..2 {
        assert_eq!(ward.send_until_settled(&message), Err(Cause::Unsure));
        ward.kill();
    }
    // As it is told: under another identifier what is not there; and others are taken.
    let other = heart_rate(3, "2026-05-01T08:30:00Z");
    assert!(ward.send_until_settled(&other).is_ok());
    [message, next, other].iter().for_each(|one| ward.check(one, 0));
    ward.end();
}

#[test]
fn a_message_that_was_never_sent_is_decided_anew_when_its_device_is_its_patients_again() {
    let ward = Ward::new();
    let patient = PatientIndex::new(7).unwrap();
    ward.behave(|one| one.not_theirs.push(patient));
    let message = heart_rate(1, "2026-05-01T08:30:00Z");
    let refused = ward.send_until_settled(&message);
    assert_eq!(refused, Err(Cause::Node(RejectCode::Stream)));
    ward.behave(|one| one.not_theirs.clear());
    assert!(ward.send_until_settled(&message).is_ok());
    ward.check(&message, 0);
    ward.end();
}

#[test]
fn a_clock_that_is_ahead_blocks_its_device_for_some_time_only() {
    let mut ward = Ward::new();
    ward.waited_for = Duration::ZERO;
    ward.kill();
    let from = starting("2026-06-01T00:00:00Z");
    ward.behave(|one| one.reject_before = Some((from, RejectCode::Clock)));
    let early = heart_rate(1, "2026-05-01T08:30:00Z");
    let begin = std::time::Instant::now();
    let refused = Some(Err(Cause::Node(RejectCode::Clock)));
    while ward.send(std::slice::from_ref(&early), LAST_WAIT).remove(0) != refused {
        assert!(begin.elapsed() < LAST_WAIT, "it waits for ever");
    }
    // Nothing of it is in anybody's way.
    let next = heart_rate(2, "2026-06-01T08:30:00Z");
    assert!(ward.send_until_settled(&next).is_ok());
    ward.behave(|one| one.reject_before = None);
    assert!(ward.send_until_settled(&early).is_ok());
    [early, next].iter().for_each(|one| ward.check(one, 0));
    ward.end();
}

#[test]
fn a_bridge_whose_clock_is_behind_refuses_nothing_that_the_node_takes() {
    const HOUR_MS: u64 = 3_600_000;
    let ward = Ward::new();
    ward.behave(|one| one.clock_ahead_ms = HOUR_MS);
    ward.node.hang_up();
    let now = SystemClock.now();
    let ahead = |id: u8, ms: u64| {
        let at = Instant::from_micros(now.plus(ms).get() * 1000).unwrap();
        let one = super::message::tests::heart_rate(7, 500 + i32::from(id));
        Sent { id, members: vec![(id, vec![Measurement { at, ..one }])] }
    };
    // Until it is connected again it knows another time of the node.
    let (begin, good) = (std::time::Instant::now(), ahead(1, HOUR_MS / 2));
    while ward.send_until_settled(&good).is_err() {
        assert!(begin.elapsed() < LAST_WAIT, "it refuses for ever");
    }
    ward.check(&good, 0);
    // That one waits for its time, and is asked of once.
    let late = ward.send(&[ahead(2, 2 * HOUR_MS)], LAST_WAIT).remove(0).expect("an answer");
    assert!(matches!(late, Err(Cause::TimeAhead { .. })), "{late:?}");
    ward.end();
}

fn run(seed: u64) {
    let mut dice = Dice::new(seed);
    let mut value = 500;
    let all: Vec<_> = (1..=MESSAGES).map(|n| Sent::new(n as u8, &mut dice, &mut value)).collect();
    let mut ward = Ward::new();
    for _ in 0..STEPS {
        ward.step(&all, &mut dice, seed);
    }
    ward.finish(all, &mut dice, seed);
    ward.end();
}

#[test]
fn each_reading_is_stored_once_whatever_fails_and_nobody_waits_for_ever() {
    // Most of the time they wait for each other's answers.
    std::thread::scope(|threads| {
        for first in 0..THREADS {
            threads.spawn(move || (first..SEEDS).step_by(THREADS as usize).for_each(run));
        }
    });
}
