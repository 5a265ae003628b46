//! One message: read, delivered as often as it takes, and counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridge::{Cause, Fate, Map, Refusal};
use model::with_causes;
use payloads::{Published, Taken, Topics};
use rumqttc::{Publish, QoS};

use super::refused::{Refused, RefusedFile};
use crate::bridge::{Content, Delivery, Message, MessageId, Telling};
use crate::node::now;

/// Between two attempts to deliver a message, at first and at most.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);

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
    /// Where what is refused is kept.
    refused: Option<Arc<RefusedFile>>,
    counts: Mutex<Counts>,
    telling: Telling,
}

impl Worker {
    pub(super) fn new(
        delivery: Arc<Delivery>,
        (map, topics): (Map, Topics),
        bytes_max: usize,
        refused: Option<RefusedFile>,
    ) -> Worker {
        let (counts, telling, refused) =
            (Mutex::default(), Telling::default(), refused.map(Arc::new));
        Worker { delivery, map, topics, bytes_max, refused, counts, telling }
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
        self.count(|counts| counts.messages += 1);
        let taken = match self.read(&publish) {
            Ok(taken) => taken,
            Err(refusal) => return self.refuse(publish, refusal).await,
        };
        let mut pause = AGAIN_AFTER;
        loop {
            let outcome = self.delivery.deliver(message(&publish, &taken)).await;
            let Err(cause) = outcome else { return self.store(&taken) };
            let fate = cause.fate();
            let refusal = Refusal::at("message", cause);
            if fate != Fate::Again {
                return self.refuse(publish, refusal).await;
            }
            if publish.qos == QoS::AtMostOnce {
                return self.lose(&refusal.to_string());
            }
            self.say(&refusal.cause.code(), &format!("waits: {refusal}"));
            tokio::time::sleep(pause).await;
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

    fn store(&self, taken: &Taken) {
        self.count(|counts| {
            counts.stored += 1;
            counts.readings += taken.readings.len() as u64;
            counts.left_out += taken.left_out_count as u64;
        });
        for refusal in &taken.left_out {
            self.say(&refusal.cause.code(), &format!("left out: {refusal}"));
        }
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
            // A sync takes as long as the disk does, and one thread serves all.
            let kept = tokio::task::spawn_blocking(move || file.keep(&refused)).await;
            let why = match kept {
                Ok(Ok(())) => return self.count(|counts| counts.refused_kept += 1),
                Ok(Err(why)) => with_causes(&why),
                Err(why) => with_causes(&why),
            };
            if is_sent_once {
                return self.say("not-kept", &format!("refused, and not kept: {why}"));
            }
            self.say("not-kept", &format!("refused, not kept and so not acknowledged: {why}"));
            tokio::time::sleep(pause).await;
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
    use super::*;

    fn id(topic: &str, payload: &str, identity: Option<&str>) -> MessageId {
        let publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        let identity = identity.map(str::to_owned);
        let (readings, left_out) = (Vec::new(), Vec::new());
        message(&publish, &Taken { readings, left_out, left_out_count: 0, identity }).id
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
}
