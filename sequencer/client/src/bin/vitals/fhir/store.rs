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
    /// What it is found by when it is posted again, and stored under.
    pub(crate) id: [u8; 16],
    /// What its readings are, whatever stands around them.
    pub(crate) content: [u8; 16],
    /// What it would be stored under by each of its identifiers.
    by_each: Vec<[u8; 16]>,
    /// Each of its identifiers with its content: under these the same alone is found.
    also: Vec<[u8; 16]>,
    /// At least one.
    pub(crate) measurements: Vec<Measurement>,
}

/// The identifiers of an Observation, by their digests.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Names {
    /// The one it is stored under; none where it has none.
    pub(crate) own: Option<[u8; 32]>,
    /// All of them.
    pub(crate) all: Vec<[u8; 32]>,
}

/// What is stored under a name.
pub(crate) struct Stored {
    pub(crate) content: [u8; 16],
    /// The receipt that was last.
    pub(crate) receipt: String,
}

/// That an Observation is durable: the node's receipts for all of its readings were verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    /// The receipt that was last.
    pub(crate) receipt: String,
    /// What it is stored under: of an Observation that is found by another of its identifiers,
    /// what it was stored under then.
    pub(crate) id: [u8; 16],
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

    /// Sends all of them at once, or none if one is known to be refused before anything is sent.
    /// Consent is asked of each frame: of what is refused on its way the others are stored.
    fn keep_all(
        &self,
        posted: Vec<Posted>,
    ) -> impl Future<Output = Result<Vec<Kept>, Cause>> + Send;
}

impl Posted {
    /// Of the names that its sender gave it. Without one its readings are its name: the same value
    /// of the same device at the same instant is the same reading.
    pub(crate) fn new(names: &Names, measurements: Vec<Measurement>) -> Posted {
        let Content(content) = Content::of(&measurements);
        let id = names.own.map_or(content, |name| cut(&name));
        let by_each = names.all.iter().map(cut).collect();
        let also = names.all.iter().map(|name| with_content(name, &content)).collect();
        Posted { id, content, by_each, also, measurements }
    }

    /// All it is stored under. One identifier needs no second name: it is stored under it.
    pub(crate) fn names(&self) -> impl Iterator<Item = [u8; 16]> {
        let also = self.also.iter().filter(|_| self.also.len() > 1);
        std::iter::once(self.id).chain(also.copied())
    }

    /// What is known of it: it was stored, or something else was under its name. By another of its
    /// identifiers only the same is found: what else has that one is another Observation.
    pub(crate) fn known(
        &self,
        stored: impl Fn([u8; 16]) -> Option<Stored>,
    ) -> Option<Result<Kept, Cause>> {
        if let Some(own) = stored(self.id)
            && own.content != self.content
        {
            return Some(Err(Cause::Reused));
        }
        let same = |name| stored(name).filter(|one| one.content == self.content);
        let found = |(name, id)| {
            let receipt = same(name)?.receipt;
            Some(Ok(Kept { receipt, id, is_known: true }))
        };
        // Under these it was stored itself, so that its address is that of then.
        let itself = std::iter::once(&self.id).chain(&self.by_each).map(|name| (*name, *name));
        itself.chain(self.also.iter().map(|name| (*name, self.id))).find_map(found)
    }

    /// Its readings, under its own name, and its other names without any: they are stored with it.
    fn members(self) -> Vec<Member> {
        let content = Content(self.content);
        let member = |id, readings| Member::new(MessageId(id), content, readings);
        let others: Vec<_> = self.names().skip(1).collect();
        let mut members = vec![member(self.id, self.measurements)];
        members.extend(others.into_iter().map(|name| member(name, Vec::new())));
        members
    }

    fn message(self) -> Message {
        let (id, content) = (MessageId(self.id), Content(self.content));
        Message { id, content, members: self.members() }
    }
}

fn with_content(name: &[u8; 32], content: &[u8; 16]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("vitals 2026-11 identifier with its readings");
    cut(hasher.update(name).update(content).finalize().as_bytes())
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

    fn look_up(&self, posted: &Posted) -> Option<Result<Kept, Cause>> {
        posted.known(|name| {
            let (Content(content), receipts) = self.delivery.stored(MessageId(name))?;
            Some(Stored { content, receipt: last_of(&receipts) })
        })
    }
}

fn last_of(receipts: &[ReceiptName]) -> String {
    receipts.last().map(ToString::to_string).unwrap_or_default()
}

/// Entries of a transaction that are not known, and what each entry is stored under.
struct Entries<'a> {
    new: Vec<&'a Posted>,
    ids: Vec<[u8; 16]>,
}

impl Entries<'_> {
    /// One that stands in it twice is sent once; under one name nothing else can be.
    fn of<'a>(posted: &'a [Posted], known: &[Option<Kept>]) -> Result<Entries<'a>, Cause> {
        let mut seen = BTreeMap::new();
        let mut entries = Entries { new: Vec::new(), ids: Vec::new() };
        for (one, known) in posted.iter().zip(known) {
            let before = one.names().find_map(|name| seen.get(&name).copied());
            if before.is_some_and(|(content, _)| content != one.content) {
                return Err(Cause::Reused);
            }
            let id = before.map_or(one.id, |(_, id)| id);
            for name in one.names() {
                seen.entry(name).or_insert((one.content, id));
            }
            if before.is_none() && known.is_none() {
                entries.new.push(one);
            }
            entries.ids.push(id);
        }
        Ok(entries)
    }
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
                let (id, is_known) = (one.id, false);
                let outcome = delivery.deliver(one.message()).await;
                let kept = |receipts: Vec<_>| Kept { receipt: last_of(&receipts), id, is_known };
                (n, outcome.map(kept))
            });
        }
        while let Some(waited) = waits.join_next().await {
            // One that failed in the middle has no answer: the same again finds what became of it.
            let Ok((n, outcome)) = waited else { continue };
            answers[n] = Some(outcome);
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Cause::Away))).collect()
    }

    async fn keep_all(&self, posted: Vec<Posted>) -> Result<Vec<Kept>, Cause> {
        let known: Vec<_> = posted.iter().map(|one| self.look_up(one)).collect();
        let known: Vec<Option<Kept>> =
            known.into_iter().map(Option::transpose).collect::<Result<_, _>>()?;
        let Entries { new, ids } = Entries::of(&posted, &known)?;
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
        let members = new.into_iter().flat_map(|one| one.clone().members()).collect();
        let message = Message { id: MessageId(id), content: Content(content), members };
        let receipts = self.delivery.deliver(message).await?;
        let receipt = last_of(&receipts);
        let answer = |(known, id): (Option<Kept>, _)| {
            known.unwrap_or_else(|| Kept { receipt: receipt.clone(), id, is_known: false })
        };
        Ok(known.into_iter().zip(ids).map(answer).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::calendar::parse_instant;
    use model::{DeviceId, PatientIndex, signal_by_name};

    use super::*;

    fn named(value: i32) -> Posted {
        of(1, &[1], value)
    }

    fn of(own: u8, all: &[u8], value: i32) -> Posted {
        let one = Measurement {
            device: DeviceId::new("m-1").unwrap(),
            patient: PatientIndex::new(7).unwrap(),
            signal: signal_by_name("heart-rate").unwrap(),
            at: parse_instant("2026-05-01T08:30:00Z").unwrap(),
            value: Some(value),
        };
        let all = all.iter().map(|name| [*name; 32]).collect();
        Posted::new(&Names { own: Some([own; 32]), all }, vec![one])
    }

    #[test]
    fn one_that_stands_in_a_transaction_by_two_of_its_names_is_sent_once() {
        let posted = [of(1, &[1, 2], 720), of(2, &[1, 2], 720), of(3, &[3, 4], 720)];
        let entries = Entries::of(&posted, &[None, None, None]).unwrap();
        assert_eq!(entries.ids, [1, 1, 3].map(|own| [own; 16]));
        let sent: Vec<_> = entries.new.iter().map(|one| one.id).collect();
        assert_eq!(sent, [1, 3].map(|own| [own; 16]));
        // What is known by one of them is not sent either.
        let known = posted[0]
            .known(|_| Some(Stored { content: posted[0].content, receipt: String::new() }));
        let known = known.unwrap().ok();
        assert!(Entries::of(&posted[..2], &[known.clone(), known]).unwrap().new.is_empty());
    }

    #[test]
    fn an_observation_of_several_names_has_its_readings_under_one_of_them() {
        let readings = |posted: Posted| -> Vec<usize> {
            posted.members().iter().map(|member| member.readings.len()).collect()
        };
        assert_eq!(readings(of(2, &[1, 2, 3], 720)), [1, 0, 0, 0]);
        assert_eq!(readings(of(1, &[1], 720)), [1]);
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
