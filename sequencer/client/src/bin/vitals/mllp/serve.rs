//! Connections of senders: one message at a time on each, answered before the next is read.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridge::{Cause, Map};
use hl7::{Answer, Decoder, Fault, Framed, Header, Outcome, Own, answers, frame, read};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use super::share::Share;
use crate::bridge::{Content, Delivery, Message, MessageId, ReceiptName, Telling};
use crate::node::now;

/// Bytes that are read at once.
pub(super) const READ_BYTES: usize = 16 << 10;

/// What a sender may ask of this machine.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) connections: usize,
    pub(super) message_bytes: usize,
    /// What all connections buffer together, beyond a small part of each one's own.
    pub(super) buffered_bytes: usize,
    /// From the first byte of a message to its last, and for an answer.
    pub(super) message: Duration,
    /// Between messages.
    pub(super) idle: Duration,
}

/// What was done so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) connections: u64,
    /// Beyond the limit, or without TLS where it is asked for.
    pub(super) refused_connections: u64,
    pub(super) messages: u64,
    pub(super) accepted: u64,
    pub(super) errors: u64,
    pub(super) rejected: u64,
    /// Readings in accepted messages, those included that came before.
    pub(super) readings: u64,
    /// Observations of those messages that are no readings.
    pub(super) left_out: u64,
    /// Messages that never ended.
    pub(super) torn: u64,
}

/// The listener and its connections.
pub(super) struct Server {
    delivery: Arc<Delivery>,
    map: Arc<Map>,
    limits: Limits,
    places: Arc<Semaphore>,
    /// One permit a byte.
    buffered: Semaphore,
    counts: Mutex<Counts>,
    telling: Telling,
    /// Whether it is to end.
    ends: watch::Sender<bool>,
    began: u64,
    answered: AtomicU64,
}

/// What is found out about a message.
struct Decided {
    outcome: Outcome,
    readings: u64,
    left_out: u64,
}

impl Server {
    pub(super) fn new(delivery: Arc<Delivery>, map: Arc<Map>, limits: Limits) -> Server {
        Server {
            delivery,
            map,
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            buffered: Semaphore::new(limits.buffered_bytes),
            counts: Mutex::default(),
            telling: Telling::default(),
            ends: watch::Sender::new(false),
            began: now().get(),
            answered: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes connections.
    pub(super) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
    ) -> Infallible {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of files, mostly: connections that end make room.
                    self.telling.say("accept", &format!("no connection can be taken now: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                self.count(|counts| counts.refused_connections += 1);
                self.telling
                    .say("places", "a connection is refused: as many stand as --max-connections");
                continue;
            };
            self.count(|counts| counts.connections += 1);
            let (server, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let _place = place;
                // Small answers: each goes at once.
                let _ = stream.set_nodelay(true);
                let ended = match tls {
                    None => server.connection(stream).await,
                    Some(tls) => match timeout(server.limits.message, tls.accept(stream)).await {
                        Ok(Ok(stream)) => server.connection(stream).await,
                        Ok(Err(error)) => {
                            server.count(|counts| counts.refused_connections += 1);
                            Err(error)
                        }
                        Err(_) => Err(io::ErrorKind::TimedOut.into()),
                    },
                };
                if let Err(error) = ended {
                    server.telling.say("connection", &format!("a connection ended: {error}"));
                }
            });
        }
    }

    /// One connection, until the sender closes it, breaks a limit, or all ends.
    async fn connection(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut decoder = Decoder::new(self.limits.message_bytes);
        let mut share = Share::of(&self.buffered);
        let mut buffer = vec![0; READ_BYTES];
        let mut ends = self.ends.subscribe();
        let mut to_end = pin!(async move { drop(ends.wait_for(|ends| *ends).await) });
        let mut began: Option<Instant> = None;
        loop {
            let wait = match began {
                None => self.limits.idle,
                Some(began) => self.limits.message.saturating_sub(began.elapsed()),
            };
            let read = tokio::select! {
                read = timeout(wait, stream.read(&mut buffer)) => read,
                // Between two messages: one that is being answered is answered first.
                () = &mut to_end => return stream.shutdown().await,
            };
            let count = match read.map_err(io::Error::from).flatten() {
                Ok(count) if count > 0 => count,
                ended => {
                    self.count(|counts| counts.torn += u64::from(decoder.is_inside()));
                    return ended.map(|_| ());
                }
            };
            if !share.grow(decoder.memory_with(count)) {
                decoder.give_up();
            }
            let (mut rest, torn) = (&buffer[..count], decoder.torn());
            let mut is_whole = false;
            while let Some(framed) = decoder.take(&mut rest) {
                is_whole = true;
                let answers = self.answer(framed).await?;
                for answer in answers {
                    let framed = frame(&answer.bytes);
                    let written = stream.write_all(&framed);
                    timeout(self.limits.message, written).await.map_err(io::Error::from)??;
                }
                timeout(self.limits.message, stream.flush()).await.map_err(io::Error::from)??;
            }
            share.shrink(decoder.memory_with(0));
            self.count(|counts| counts.torn += decoder.torn() - torn);
            // A message that comes drop by drop has its time from its first byte on.
            began = match decoder.is_inside() {
                false => None,
                true if is_whole => Some(Instant::now()),
                true => began.or_else(|| Some(Instant::now())),
            };
        }
    }

    /// What a frame is answered with.
    async fn answer(&self, framed: Framed<'_>) -> io::Result<Vec<Answer>> {
        let (bytes, refused) = match framed {
            Framed::Message(bytes) => (bytes, None),
            Framed::TooLong(bytes) => {
                let (what, limit) =
                    ("bytes in a message (--max-message)", self.limits.message_bytes);
                (bytes, Some(Cause::TooMany { what, limit }))
            }
            // There is room later: nothing is wrong with it.
            Framed::GivenUp(bytes) => (bytes, Some(Cause::Busy)),
            Framed::Junk => {
                let why = "expected frames of MLLP, found something else";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        };
        let header = Header::read(bytes);
        let decided = match refused {
            None => self.decide(bytes, &header).await,
            Some(cause) => Decided::refused(vec![Fault::of_message(cause)]),
        };
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        // Two answers have two names, also after a restart.
        let control = format!("V{:x}-{number:x}", self.began);
        let own = Own { control: &control, at: now() };
        let answers = answers(&header, &decided.outcome, own);
        self.note(&decided);
        Ok(answers)
    }

    async fn decide(&self, bytes: &[u8], header: &Header) -> Decided {
        if let Err(fault) = header.check() {
            return Decided::refused(vec![fault]);
        }
        let report = match read(bytes, header, &self.map) {
            Ok(report) => report,
            Err(faults) => return Decided::refused(faults),
        };
        let (readings, left_out) = (report.readings.len() as u64, report.left_out_count);
        let (id, content) = (MessageId(hash(&header.identity())), Content(hash(&[bytes])));
        let message = Message::single(id, content, report.readings);
        match self.delivery.deliver(message).await {
            Ok(receipts) => {
                let outcome =
                    Outcome::Stored { receipts: named(&receipts), left_out: report.left_out };
                Decided { outcome, readings, left_out }
            }
            Err(cause) => Decided::refused(vec![Fault::of_message(cause)]),
        }
    }

    fn note(&self, decided: &Decided) {
        let faults = match &decided.outcome {
            Outcome::Stored { left_out, .. } => left_out,
            Outcome::Refused(faults) => faults,
        };
        let never = faults.iter().any(|fault| fault.fate() == bridge::Fate::Never);
        let is_stored = matches!(decided.outcome, Outcome::Stored { .. });
        self.count(|counts| {
            counts.messages += 1;
            counts.accepted += u64::from(is_stored);
            counts.rejected += u64::from(!is_stored && never);
            counts.errors += u64::from(!is_stored && !never);
            counts.readings += decided.readings;
            counts.left_out += decided.left_out;
        });
        for fault in faults {
            let what = if is_stored { "left out" } else { "not taken" };
            self.telling.say(&fault.cause.code(), &format!("{what}: {}", fault.refusal()));
        }
    }

    /// What was done, in words.
    pub(super) fn sentence(&self) -> String {
        let Counts { messages, accepted, errors, rejected, left_out, .. } = self.counts();
        format!(
            "{messages} messages: {accepted} stored, {errors} to be sent again or refused by \
             consent, {rejected} rejected; {left_out} observations left out"
        )
    }

    /// Lets connections answer what they have, and ends them.
    pub(super) async fn end(&self, within: Duration) {
        self.ends.send_replace(true);
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        // Whoever takes longer has no answer, and sends it again.
        drop(timeout(within, self.places.acquire_many(all)).await);
    }
}

impl Decided {
    fn refused(faults: Vec<Fault>) -> Decided {
        Decided { outcome: Outcome::Refused(faults), readings: 0, left_out: 0 }
    }
}

/// Receipts as MSA-3 names them.
fn named(receipts: &[ReceiptName]) -> String {
    let names: Vec<_> = receipts.iter().map(ReceiptName::to_string).collect();
    match names.len() {
        0 => "stored before; its receipt is not at hand".to_owned(),
        1 => format!("receipt {}", names[0]),
        _ => format!("receipts {}", names.join(", ")),
    }
}

/// The hash of several texts, so that no two lists of them are one.
fn hash(parts: &[impl AsRef<[u8]>]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.as_ref().len() as u64).to_be_bytes());
        hasher.update(part.as_ref());
    }
    hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
