//! What is asked of whoever brings readings to the node, and the delivery of bridges as that.

use std::collections::BTreeSet;
use std::sync::Arc;

use bridge::{Cause, Measurement};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bridge::{Content, Delivery, Message, MessageId, ReceiptName};

/// Observations of batches that are under way at once, below what the delivery takes.
const UNDER_WAY_MAX: usize = 800;

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

    fn message(self) -> Message {
        let (id, content) = (MessageId(self.id), Content(self.content));
        Message { id, content, readings: self.measurements }
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
        // One that stands in it twice is sent once.
        let mut seen = BTreeSet::new();
        let mut is_new =
            |(one, known): &(&Posted, &Option<Kept>)| known.is_none() && seen.insert(one.id);
        let both = posted.iter().zip(&known).filter(&mut is_new);
        let new: Vec<_> = both.map(|(one, _)| one).collect();
        if new.is_empty() {
            return Ok(known.into_iter().flatten().collect());
        }
        let readings = new.iter().flat_map(|one| one.measurements.clone()).collect();
        // Of the same entries in the same order it is the same message.
        let mut names = blake3::Hasher::new_derive_key("vitals 2026-11 entries of a transaction");
        for one in &new {
            names.update(&one.id);
        }
        let whole = Posted::new(Some(*names.finalize().as_bytes()), readings);
        let receipts = self.delivery.deliver(whole.message()).await?;
        for one in &new {
            let (id, content) = (MessageId(one.id), Content(one.content));
            self.delivery.remember(id, content, &receipts)?;
        }
        let answer = |known: Option<Kept>| known.unwrap_or_else(|| kept(&receipts, false));
        Ok(known.into_iter().map(answer).collect())
    }
}
