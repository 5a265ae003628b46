//! One message: read, delivered as often as it takes, and counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridge::{Cause, Fate, Map, Refusal};
use model::{Millis, with_causes};
use payloads::{Published, Taken, Topics};
use rumqttc::{Publish, QoS};

use super::ahead::{Ahead, Waits};
use super::refused::{Refused, RefusedFile};
use crate::bridge::{Content, Delivery, Message, MessageId, ReceiptName, Telling};
use crate::node::now;

/// Between two attempts to deliver a message, at first and at most.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);
/// How old a reading of now is at most.
const NOW_MS: u64 = 300_000;
/// How far two clocks are apart that are right: a reading of now may be ahead by that.
const APART_MS: u64 = 5_000;

/// What a session may ask of this machine.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Of a message.
    pub(super) bytes: usize,
    /// Messages that wait.
    pub(super) waiting: usize,
}

/// What was done so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// Those included that came before, and those that wait.
    pub(super) messages: u64,
    pub(super) stored: u64,
    /// As they are, never taken.
    pub(super) refused: u64,
    pub(super) refused_by_consent: u64,
    /// Of both, those that stand in a file.
    pub(super) refused_kept: u64,
    /// Of QoS 0, and not stored.
    pub(super) lost: u64,
    /// In stored messages.
    pub(super) readings: u64,
    /// Values of those messages that are no readings.
    pub(super) left_out: u64,
}

/// What every message needs.
pub(super) struct Worker {
    delivery: Arc<Delivery>,
    map: Map,
    topics: Topics,
    bytes_max: usize,
    ahead: Ahead,
    /// Held by each message that waits although another attempt is not likely to help soon.
    stuck: Arc<()>,
    /// Held while one is kept: each would else have a thread that waits for the disk.
    keeping: tokio::sync::Mutex<()>,
    /// Where what is refused is kept.
    refused: Option<Arc<RefusedFile>>,
    counts: Mutex<Counts>,
    telling: Telling,
}

impl Worker {
    pub(super) fn new(
        delivery: Arc<Delivery>,
        (map, topics): (Map, Topics),
        limits: Limits,
        refused: Option<RefusedFile>,
    ) -> Worker {
        let (counts, telling, stuck, keeping) = Default::default();
        let (bytes_max, ahead) = (limits.bytes, Ahead::new(limits.waiting));
        let refused = refused.map(Arc::new);
        Worker { delivery, map, topics, bytes_max, ahead, stuck, keeping, refused, counts, telling }
    }

    pub(super) fn filters(&self) -> impl Iterator<Item = &str> {
        self.topics.filters()
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Until a message is stored, or never can be and is kept where somebody wants that: then, and
    /// not before, it may be acknowledged. One of QoS 0 is tried once, since nobody would hear how
    /// it ended.
    pub(super) async fn settle(&self, publish: Publish) {
        self.settle_by(publish, |message| self.delivery.deliver(message)).await;
    }

    async fn settle_by<F>(&self, publish: Publish, deliver: impl Fn(Message) -> F)
    where
        F: Future<Output = Result<Vec<ReceiptName>, Cause>>,
    {
        self.count(|counts| counts.messages += 1);
        let taken = match self.read(&publish) {
            Ok(taken) => taken,
            Err(refusal) => return self.refuse(publish, refusal).await,
        };
        // What had waited, here or at the broker, says nothing of the clock: its time came.
        let mut is_new = !publish.dup && !publish.retain;
        let (mut pause, mut waits): (_, Option<Waits>) = (AGAIN_AFTER, None);
        loop {
            let outcome = deliver(message(&publish, &taken)).await;
            let Err(cause) = outcome else { return self.store(&taken, is_new) };
            is_new = false;
            let (fate, is_ahead) = (cause.fate(), matches!(cause, Cause::TimeAhead { .. }));
            let refusal = Refusal::at("message", cause);
            if fate != Fate::Again {
                return self.refuse(publish, refusal).await;
            }
            if publish.qos == QoS::AtMostOnce {
                return self.lose(&refusal.to_string());
            }
            if is_ahead {
                waits = self.ahead.admit(waits, &taken.device);
                self.tell_of_clocks(waits.as_ref());
                if waits.is_none() {
                    return self.refuse(publish, refusal).await;
                }
            }
            // One that is ahead is counted there.
            let stuck = (!is_ahead && pause == AGAIN_AFTER_MAX).then(|| self.stuck.clone());
            self.say(&refusal.cause.code(), &format!("waits: {refusal}"));
            tokio::time::sleep(pause).await;
            drop(stuck);
            pause = (pause * 2).min(AGAIN_AFTER_MAX);
        }
    }

    fn read(&self, publish: &Publish) -> Result<Taken, Refusal> {
        if publish.payload.len() > self.bytes_max {
            let (what, limit) = ("bytes in a message (--max-message)", self.bytes_max);
            return Err(Refusal::at("payload", Cause::TooMany { what, limit }));
        }
        let (topic, payload) = (publish.topic.as_str(), &publish.payload[..]);
        self.topics.read(Published { topic, payload }, &self.map)
    }

    /// Says which clock is taken to be wrong, of a message that is ahead and may wait or not.
    fn tell_of_clocks(&self, waits: Option<&Waits>) {
        match waits {
            None => self.say(
                "device-ahead",
                "WRONG CLOCK OF A DEVICE: messages of now are stored, or one device alone is \
                 ahead: what comes beyond those that wait for their time is refused. Set its clock",
            ),
            Some(waits) if waits.is_in_doubt() => self.say(
                "clock-in-doubt",
                "WRONG CLOCKS: messages of several devices are ahead, and none of now is stored. \
                 It may be the clocks of this machine and of the node, so nothing is acknowledged \
                 before its time has come, and the broker stops at its window. Set them, or those \
                 of the devices",
            ),
            Some(_) => {}
        }
    }

    fn store(&self, taken: &Taken, is_new: bool) {
        self.count(|counts| {
            counts.stored += 1;
            counts.readings += taken.readings.len() as u64;
            counts.left_out += taken.left_out_count as u64;
        });
        if is_new && is_about_now(taken, now()) {
            self.ahead.note_stored();
        }
        for refusal in &taken.left_out {
            self.say(&refusal.cause.code(), &format!("left out: {refusal}"));
        }
    }

    /// How many messages wait for their time, with a place or without, or can be neither taken nor
    /// kept: for hours perhaps.
    pub(super) fn count_held(&self) -> usize {
        self.ahead.count() + Arc::strong_count(&self.stuck) - 1
    }

    async fn refuse(&self, publish: Publish, refusal: Refusal) {
        if let Some(file) = &self.refused {
            let is_sent_once = publish.qos == QoS::AtMostOnce;
            let refused = Refused::of(publish, refusal.clone(), self.bytes_max, now());
            self.keep(file, Arc::new(refused), is_sent_once).await;
        }
        let is_consent = refusal.fate() == Fate::Consent;
        self.count(|counts| match is_consent {
            true => counts.refused_by_consent += 1,
            false => counts.refused += 1,
        });
        self.say(&refusal.cause.code(), &format!("not taken: {refusal}"));
    }

    /// Keeps what is refused, however long it takes until that can be: what is neither stored nor
    /// kept is not acknowledged. One that is sent once is tried once.
    async fn keep(&self, file: &Arc<RefusedFile>, refused: Arc<Refused>, is_sent_once: bool) {
        let mut pause = AGAIN_AFTER;
        loop {
            let (file, refused) = (file.clone(), refused.clone());
            let keeping = self.keeping.lock().await;
            // A sync takes as long as the disk does, and one thread serves all.
            let kept = tokio::task::spawn_blocking(move || file.keep(&refused)).await;
            drop(keeping);
            let why = match kept {
                Ok(Ok(())) => return self.count(|counts| counts.refused_kept += 1),
                Ok(Err(why)) => with_causes(&why),
                Err(why) => with_causes(&why),
            };
            if is_sent_once {
                return self.say("not-kept", &format!("refused, and not kept: {why}"));
            }
            self.say("not-kept", &format!("refused, not kept and so not acknowledged: {why}"));
            let stuck = self.stuck.clone();
            tokio::time::sleep(pause).await;
            drop(stuck);
            pause = (pause * 2).min(AGAIN_AFTER_MAX);
        }
    }

    /// A message of QoS 0 that is not stored.
    pub(super) fn lose(&self, why: &str) {
        self.count(|counts| counts.lost += 1);
        self.say("lost", &format!("a message of QoS 0 is lost, publish with QoS 1: {why}"));
    }

    /// Says something that goes wrong, each kind once a minute.
    pub(super) fn say(&self, kind: &str, line: &str) {
        self.telling.say(kind, line);
    }

    /// What was done, in words.
    pub(super) fn sentence(&self) -> String {
        let Counts { messages, stored, refused, refused_by_consent, lost, left_out, .. } =
            self.counts();
        let kept = match &self.refused {
            Some(_) => format!(" ({} of these kept)", self.counts().refused_kept),
            None => String::new(),
        };
        format!(
            "{messages} messages: {stored} stored, {refused} refused, {refused_by_consent} refused \
             by consent{kept}, {lost} lost; {left_out} values left out"
        )
    }
}

/// Whether a message holds what was measured about now: what comes late says nothing of the clock,
/// and neither does what is ahead, as all would be where this machine is behind.
fn is_about_now(taken: &Taken, now: Millis) -> bool {
    let now = now.get();
    let about_now = now.saturating_sub(NOW_MS)..=now.saturating_add(APART_MS);
    taken.readings.iter().any(|one| about_now.contains(&one.at.millis().get()))
}

/// What a message is to the delivery. A packet identifier means something within one connection
/// only; so it is what its sender calls it, else its content, with its topic.
fn message(publish: &Publish, taken: &Taken) -> Message {
    let (topic, payload) = (publish.topic.as_bytes(), &publish.payload[..]);
    let id = match &taken.identity {
        Some(identity) => hash(&[topic, b"called", identity.as_bytes()]),
        None => hash(&[topic, b"content", payload]),
    };
    let content = Content(hash(&[payload]));
    Message::single(MessageId(id), content, taken.readings.clone())
}

/// The hash of several texts, so that no two lists of them are one.
fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::task::JoinHandle;
    use tokio::time::Instant;
    use tokio::time::timeout;

    use super::*;

    fn id(topic: &str, payload: &str, identity: Option<&str>) -> MessageId {
        let publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        let identity = identity.map(str::to_owned);
        let (readings, left_out, device) = (Vec::new(), Vec::new(), String::new());
        let taken = Taken { readings, left_out, left_out_count: 0, identity, device };
        message(&publish, &taken).id
    }

    #[test]
    fn a_message_is_what_its_sender_calls_it_and_else_its_content() {
        assert_eq!(id("a", "{}", None), id("a", "{}", None));
        assert_ne!(id("a", "{}", None), id("b", "{}", None));
        assert_ne!(id("a", "{}", None), id("a", "{ }", None));
        assert_eq!(id("a", "{}", Some("1")), id("a", "{ }", Some("1")));
        assert_ne!(id("a", "{}", Some("1")), id("a", "{}", Some("2")));
        assert_ne!(id("a", "1", None), id("a", "1", Some("1")));
    }

    const MAP: &str = "version = 1\npatient = [{ identifier = \"p\", patient = 7 }]\n\
        device = [{ identifier = \"d\", device = \"m-1\" },\n\
        { identifier = \"e\", device = \"m-2\" }]\n";
    const TOPICS: &str = "version = 1\n[[topic]]\ntopic = \"{patient}/{device}\"\n\
        payload = \"json\"\ntime = \"/t\"\ntime-format = \"unix-ms\"\n[[topic.value]]\n\
        at = \"/hr\"\nsystem = \"LN\"\ncode = \"8867-4\"\nunit = \"/min\"\n";

    /// A bridge whose node takes a message after a while alone, since it is ahead until then.
    struct Early {
        worker: Arc<Worker>,
        _folder: tempfile::TempDir,
    }

    const NEVER: Duration = Duration::from_secs(1 << 30);

    /// A message of now of a device.
    fn of_now(device: &str) -> Publish {
        let payload = format!("{{\"t\": {}, \"hr\": 72}}", now().unix_ms());
        Publish::new(format!("p/{device}"), QoS::AtLeastOnce, payload)
    }

    impl Early {
        fn new() -> Early {
            let folder = tempfile::tempdir().unwrap();
            let delivery = Delivery::open(folder.path().to_owned(), Duration::ZERO).unwrap();
            let read = (Map::parse(MAP).unwrap(), Topics::parse(TOPICS).unwrap());
            let limits = Limits { bytes: 1000, waiting: 256 };
            let worker = Arc::new(Worker::new(delivery, read, limits, None));
            Early { worker, _folder: folder }
        }

        /// Sends one that is taken after a while; the task ends where it is acknowledged.
        fn send(&self, publish: Publish, after: Duration) -> JoinHandle<()> {
            let (worker, begin) = (self.worker.clone(), Instant::now());
            let deliver = move |_| {
                ready(match begin.elapsed() >= after {
                    true => Ok(Vec::new()),
                    false => Err(Cause::TimeAhead { seconds: 240 }),
                })
            };
            tokio::spawn(async move { worker.settle_by(publish, deliver).await })
        }

        /// Sends some of devices by turns, each taken later than the one before.
        fn send_all(&self, count: u32, devices: &[&str], after: Duration) -> Vec<JoinHandle<()>> {
            let by_turns = devices.iter().cycle().zip(0..count);
            let send = |(device, n): (&&str, u32)| {
                self.send(of_now(device), after + Duration::from_secs(60) * n)
            };
            by_turns.map(send).collect()
        }

        /// After the first attempts.
        async fn tried(&self) {
            pass(Duration::from_millis(1)).await;
        }
    }

    /// Lets that much of the paused clock pass, with all that falls due in it.
    async fn pass(time: Duration) {
        timeout(time, pending::<()>()).await.expect_err("nothing to wait for");
    }

    fn acknowledged(sent: &[JoinHandle<()>]) -> usize {
        sent.iter().filter(|one| one.is_finished()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn where_this_machines_clock_is_behind_nothing_is_acknowledged_before_it_is_stored() {
        let early = Early::new();
        // By its clock the first is taken after a while, when its time has come: that proves
        // nothing of the others, which wait on.
        let sent = early.send_all(20, &["d", "e"], Duration::from_secs(3600));
        for stored in 0..=20_usize {
            pass(Duration::from_secs(if stored == 0 { 3599 } else { 60 })).await;
            assert_eq!(acknowledged(&sent), stored);
        }
        let Counts { stored, refused, .. } = early.worker.counts();
        assert_eq!((stored, refused), (20, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_is_ahead_leaves_room_for_those_whose_messages_are_stored() {
        let early = Early::new();
        early.send(of_now("d"), Duration::ZERO).await.unwrap();
        let sent = early.send_all(20, &["d", "e"], NEVER);
        early.tried().await;
        let waiting = early.worker.count_held();
        assert_eq!((acknowledged(&sent), waiting), (12, 8), "of a window of 20");
        assert_eq!(early.worker.counts().refused, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn one_device_that_is_ahead_leaves_room_where_nothing_of_now_is_stored_either() {
        let early = Early::new();
        let of_one = early.send_all(20, &["d"], NEVER);
        early.tried().await;
        assert_eq!((acknowledged(&of_one), early.worker.count_held()), (12, 8));
        // While another one is ahead as well it may be this machine.
        let other = early.send(of_now("e"), Duration::from_secs(60));
        let beyond = early.send_all(3, &["d"], NEVER);
        early.tried().await;
        assert_eq!((acknowledged(&beyond), early.worker.count_held()), (0, 12));
        other.await.unwrap();
        pass(2 * AGAIN_AFTER_MAX).await;
        assert_eq!((acknowledged(&beyond), early.worker.count_held()), (3, 8));
        let Counts { stored, refused, .. } = early.worker.counts();
        assert_eq!((stored, refused), (1, 15));
    }

    #[tokio::test(start_paused = true)]
    async fn what_had_waited_here_or_at_the_broker_does_not_say_that_the_clock_is_right() {
        let (mut again, mut retained) = (of_now("d"), of_now("d"));
        (again.dup, retained.retain) = (true, true);
        let waited = Duration::from_millis(1);
        for (first, after) in
            [(again, Duration::ZERO), (retained, Duration::ZERO), (of_now("d"), waited)]
        {
            let early = Early::new();
            early.send(first, after).await.unwrap();
            let sent = early.send_all(20, &["d", "e"], NEVER);
            early.tried().await;
            assert_eq!((acknowledged(&sent), early.worker.counts().stored), (0, 1));
        }
    }

    #[test]
    fn a_reading_of_now_is_minutes_old_at_most_and_ahead_by_what_clocks_are_apart() {
        let early = Early::new();
        let taken = early.worker.read(&of_now("d")).unwrap();
        let at = taken.readings[0].at.millis();
        let is_of = |now: u64| is_about_now(&taken, Millis::new(now).unwrap());
        assert!(is_of(at.get()) && is_of(at.get() + NOW_MS) && is_of(at.get() - APART_MS));
        assert!(!is_of(at.get() + NOW_MS + 1) && !is_of(at.get() - APART_MS - 1));
    }
}
