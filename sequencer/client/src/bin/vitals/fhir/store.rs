//! What is asked of whoever brings readings to the node, and the delivery of bridges as that.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridge::{Cause, Measurement};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bridge::{Content, Delivery, Member, Message, MessageId, ReceiptName, UNDER_WAY_MAX};

/// An Observation on its way.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Posted {
    /// What it is found by when it is posted again.
    pub(crate) id: [u8; 16],
    /// What its readings are, whatever stands around them.
    pub(crate) content: [u8; 16],
    /// At least one.
    pub(crate) measurements: Vec<Measurement>,
}

/// That an Observation is durable: the node's receipts for all of its readings were verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    /// The receipt that was last.
    pub(crate) receipt: String,
    /// Whether it was so before it was posted this time.
    pub(crate) is_known: bool,
}

/// Brings readings to the node.
pub(crate) trait Store: Send + Sync + 'static {
    /// Sends them, each for itself, and waits for all receipts at once: the answers stand in the
    /// same order.
    fn keep_each(
        &self,
        posted: Vec<Posted>,
    ) -> impl Future<Output = Vec<Result<Kept, Cause>>> + Send;

    /// Sends all of them or none: what is refused before anything is sent leaves nothing behind.
    fn keep_all(
        &self,
        posted: Vec<Posted>,
    ) -> impl Future<Output = Result<Vec<Kept>, Cause>> + Send;
}

impl Posted {
    /// Of the name that its sender gave it, if there is one. Without one its readings are its name:
    /// the same value of the same device at the same instant is the same reading.
    pub(crate) fn new(name: Option<[u8; 32]>, measurements: Vec<Measurement>) -> Posted {
        let mut hasher =
            blake3::Hasher::new_derive_key("vitals 2026-11 readings of an Observation");
        for one in &measurements {
            let device = one.device.as_str();
            hasher.update(&(device.len() as u64).to_le_bytes());
            hasher.update(device.as_bytes());
            hasher.update(&one.patient.get().to_le_bytes());
            hasher.update(&one.signal.code.to_le_bytes());
            hasher.update(&one.at.micros().to_le_bytes());
            let [a, b, c, d] = one.value.unwrap_or_default().to_le_bytes();
            hasher.update(&[u8::from(one.value.is_some()), a, b, c, d]);
        }
        let content = cut(hasher.finalize().as_bytes());
        Posted { id: name.map_or(content, |name| cut(&name)), content, measurements }
    }

    fn member(self) -> Member {
        let (id, content) = (MessageId(self.id), Content(self.content));
        Member { id, content, readings: self.measurements }
    }

    fn message(self) -> Message {
        let Member { id, content, readings } = self.member();
        Message::single(id, content, readings)
    }
}

fn cut(hash: &[u8; 32]) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash[..16]);
    digest
}

/// The delivery of bridges.
pub(crate) struct Delivered {
    delivery: Arc<Delivery>,
    places: Arc<Semaphore>,
}

impl Delivered {
    pub(crate) fn new(delivery: Arc<Delivery>) -> Delivered {
        Delivered { delivery, places: Arc::new(Semaphore::new(UNDER_WAY_MAX)) }
    }

    /// What is known of one: it was stored, or something else was under its name.
    fn look_up(&self, posted: &Posted) -> Option<Result<Kept, Cause>> {
        let (content, receipts) = self.delivery.stored(MessageId(posted.id))?;
        Some(match content == Content(posted.content) {
            true => Ok(kept(&receipts, true)),
            false => Err(Cause::Reused),
        })
    }
}

fn kept(receipts: &[ReceiptName], is_known: bool) -> Kept {
    let receipt = receipts.last().map(ToString::to_string).unwrap_or_default();
    Kept { receipt, is_known }
}

impl Store for Delivered {
    async fn keep_each(&self, posted: Vec<Posted>) -> Vec<Result<Kept, Cause>> {
        let mut answers: Vec<_> = posted.iter().map(|one| self.look_up(one)).collect();
        let mut waits = JoinSet::new();
        for (n, one) in posted.into_iter().enumerate() {
            if answers[n].is_some() {
                continue;
            }
            let (delivery, places) = (Arc::clone(&self.delivery), Arc::clone(&self.places));
            waits.spawn(async move {
                // Nobody closes it: without a place nothing is sent.
                let Ok(_place) = places.acquire().await else { return (n, Err(Cause::Busy)) };
                (n, delivery.deliver(one.message()).await)
            });
        }
        while let Some(waited) = waits.join_next().await {
            // One that failed in the middle has no answer: the same again finds what became of it.
            let Ok((n, outcome)) = waited else { continue };
            answers[n] = Some(outcome.map(|receipts| kept(&receipts, false)));
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Cause::Away))).collect()
    }

    async fn keep_all(&self, posted: Vec<Posted>) -> Result<Vec<Kept>, Cause> {
        let known: Vec<_> = posted.iter().map(|one| self.look_up(one)).collect();
        let known: Vec<Option<Kept>> =
            known.into_iter().map(Option::transpose).collect::<Result<_, _>>()?;
        // One that stands in it twice is sent once; under one name nothing else can be.
        let (mut seen, mut new) = (BTreeMap::new(), Vec::new());
        for (one, known) in posted.iter().zip(&known) {
            match seen.insert(one.id, one.content) {
                Some(before) if before != one.content => return Err(Cause::Reused),
                None if known.is_none() => new.push(one),
                Some(_) | None => {}
            }
        }
        if new.is_empty() {
            return Ok(known.into_iter().flatten().collect());
        }
        // Of the same entries in the same order it is the same message.
        let mut names = blake3::Hasher::new_derive_key("vitals 2026-11 entries of a transaction");
        let mut contents = names.clone();
        for one in &new {
            names.update(&one.id);
            contents.update(&one.content);
        }
        let [id, content] = [names, contents].map(|hasher| cut(hasher.finalize().as_bytes()));
        // As many places as it has entries, so that others wait here and are not turned away.
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let Ok(_places) = self.places.acquire_many(count).await else { return Err(Cause::Busy) };
        // Each of them is stored with the whole, also where nobody waits for it any more.
        let members = new.into_iter().map(|one| one.clone().member()).collect();
        let message = Message { id: MessageId(id), content: Content(content), members };
        let receipts = self.delivery.deliver(message).await?;
        let answer = |known: Option<Kept>| known.unwrap_or_else(|| kept(&receipts, false));
        Ok(known.into_iter().map(answer).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::calendar::parse_instant;
    use model::{DeviceId, PatientIndex, signal_by_name};

    use super::*;

    fn named(value: i32) -> Posted {
        let one = Measurement {
            device: DeviceId::new("m-1").unwrap(),
            patient: PatientIndex::new(7).unwrap(),
            signal: signal_by_name("heart-rate").unwrap(),
            at: parse_instant("2026-05-01T08:30:00Z").unwrap(),
            value: Some(value),
        };
        Posted::new(Some([1; 32]), vec![one])
    }

    #[tokio::test]
    async fn a_transaction_of_two_contents_under_one_name_is_refused_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let delivery = Delivery::open(folder.path().to_owned(), Duration::from_millis(10)).unwrap();
        let store = Delivered::new(delivery);
        let kept = store.keep_all(vec![named(720), named(730)]).await;
        assert_eq!(kept, Err(Cause::Reused));
        // The same twice is no other content: it is on its way to a node that is not there.
        assert_eq!(store.keep_all(vec![named(720), named(720)]).await, Err(Cause::Away));
    }
}
