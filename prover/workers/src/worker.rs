//! The workers' end: takes a job, proves it with beats meanwhile, answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::consumer::{Consumer, pull};
use async_nats::jetstream::{self, AckKind, Context};
use futures_util::StreamExt;
use jobs::{
    Answer, Beat, Columns, DecodeError, Envelope, FailedBecause, JobHead, OpenError, Outcome,
    Verdict, WorkerName, WorkersKey, WorkersSecret,
};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::names::Names;
use crate::provers::Prove;
use crate::server::{QueueError, Server};

/// How long a worker waits in the queue at once: a node counts those that wait, and one whose
/// machine went away counts for as long.
const WAITS: Duration = Duration::from_secs(10);

/// Pause before the queue is asked again after it failed, and before another worker is given what
/// this one may not have.
const PAUSE: Duration = Duration::from_secs(1);

/// The workers' end of the queue.
pub struct TakingEnd {
    client: Client,
    jetstream: Context,
    names: Names,
}

/// A job that was taken, still sealed. Dropped without a word, the server gives it to another.
pub struct Taken {
    /// The sealed bytes.
    pub sealed: Vec<u8>,
    message: jetstream::Message,
}

/// How a worker's jobs ended.
#[derive(Debug, Default)]
pub struct Counted {
    /// With a proof that the node took.
    pub proven: AtomicU64,
    /// With an answer that no proof could be made.
    pub failed: AtomicU64,
    /// Without an answer that counted: the lease was over.
    pub over: AtomicU64,
    /// Not begun: bytes that do not open, or a job that others are to do.
    pub refused: AtomicU64,
}

/// Takes jobs and proves them, one after the other.
pub struct Worker {
    /// Where jobs come from.
    pub end: TakingEnd,
    /// What opens them.
    pub secret: Arc<WorkersSecret>,
    /// By which name this worker is known.
    pub name: WorkerName,
    /// What proves.
    pub prover: Arc<dyn Prove>,
    /// How they ended.
    pub counted: Arc<Counted>,
}

/// Why a job is not begun.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The seal does not open.
    #[error("a job is not opened")]
    Open(#[from] OpenError),
    /// What was sealed is no job.
    #[error("a job is not read")]
    Decode(#[from] DecodeError),
}

impl TakingEnd {
    /// The end on a server, for jobs that are sealed to `key`. The server need not be there yet.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn connect(
        server: &Server,
        key: &WorkersKey,
        name: &WorkerName,
    ) -> Result<TakingEnd, QueueError> {
        let client = server.connect(&format!("vitals worker {name}")).await?;
        let jetstream = jetstream::new(client.clone());
        Ok(TakingEnd { client, jetstream, names: Names::of(key) })
    }

    /// Waits for a job, some seconds at most. What holds no job, or none that can be fetched, is
    /// thrown away.
    ///
    /// # Errors
    /// [`QueueError`]: the server is away, or no node has made the queue yet.
    pub async fn take(&self) -> Result<Option<Taken>, QueueError> {
        let Names { stream, .. } = &self.names;
        // Asked for each time: the queue of a server that lost its folder is another one.
        let found = self.jetstream.get_consumer_from_stream(Names::CONSUMER, stream).await;
        let consumer: Consumer<pull::Config> =
            found.map_err(QueueError::of("finding the queue"))?;
        let batch = consumer.batch().max_messages(1).expires(WAITS).messages().await;
        let mut batch = batch.map_err(QueueError::of("waiting for a job"))?;
        let Some(message) = batch.next().await else { return Ok(None) };
        let message = message.map_err(QueueError::of("taking a job"))?;
        match self.fetch(&message.payload).await {
            Ok(sealed) => Ok(Some(Taken { sealed, message })),
            Err(error) => {
                tracing::warn!(error = &*error, "a message without a job");
                acknowledge(&message, AckKind::Term).await;
                Ok(None)
            }
        }
    }

    async fn fetch(&self, message: &[u8]) -> Result<Vec<u8>, async_nats::Error> {
        let (object, expected) = match Envelope::decode(message)? {
            Envelope::Sealed(sealed) => return Ok(sealed),
            Envelope::Stored { object, bytes } => (hex::encode(object), bytes as usize),
        };
        let bucket = self.jetstream.get_object_store(&self.names.bucket).await?;
        let object = bucket.get(object).await?;
        // By what the message said, and not by what the store says: an object may be longer.
        let mut sealed = Vec::with_capacity(expected);
        object.take(expected as u64 + 1).read_to_end(&mut sealed).await?;
        if sealed.len() != expected {
            return Err(format!("expected {expected} bytes, found {}", sealed.len()).into());
        }
        Ok(sealed)
    }

    /// Sends a beat or an answer to the node that offered a job, and waits some seconds for its
    /// verdict.
    pub async fn say(&self, reply_to: [u8; 16], bytes: Vec<u8>) -> Said {
        let asked = self.client.request(self.names.node(reply_to), bytes.into()).await;
        match asked {
            Ok(answer) => match Verdict::decode(&answer.payload) {
                Ok(Verdict::Holds) => Said::Holds,
                Ok(Verdict::Over) => Said::Over,
                Err(_) => Said::Nothing,
            },
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Said::Gone,
            Err(_) => Said::Nothing,
        }
    }
}

/// What came back from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// [`Verdict::Holds`].
    Holds,
    /// [`Verdict::Over`].
    Over,
    /// The server is there, and the node is not.
    Gone,
    /// No answer: the server is away, or slow.
    Nothing,
}

impl Taken {
    /// It is this worker's now, and the server forgets it.
    pub async fn keep(&self) {
        acknowledge(&self.message, AckKind::Ack).await;
    }

    /// It is for another worker.
    pub async fn pass_on(&self) {
        acknowledge(&self.message, AckKind::Nak(Some(PAUSE))).await;
    }

    /// It is for nobody.
    pub async fn throw_away(&self) {
        acknowledge(&self.message, AckKind::Term).await;
    }
}

async fn acknowledge(message: &jetstream::Message, kind: AckKind) {
    // Not told, the server gives the message to somebody else later: the node's verdict on the
    // first beat ends that.
    if let Err(error) = message.ack_with(kind).await {
        tracing::debug!(error = &*error, "the server was not told about a message");
    }
}

/// A lease that this worker holds, and until when it does if no beat is heard.
struct Held {
    head: JobHead,
    until: Instant,
}

impl Held {
    fn beaten(&mut self) {
        self.until = Instant::now() + Duration::from_millis(self.head.lease.lasts_ms.into());
    }
}

impl Worker {
    /// Takes jobs until `stop` says so; one that is begun is brought to its end.
    pub async fn work(&self, mut stop: watch::Receiver<bool>) {
        let mut told = false;
        loop {
            let taken = tokio::select! {
                // A sender that is gone stops it, too.
                _ = stop.wait_for(|stop| *stop) => return,
                taken = self.end.take() => taken,
            };
            if taken.is_ok() && std::mem::take(&mut told) {
                tracing::info!("the queue is there");
            }
            match taken {
                Ok(Some(taken)) => self.serve(taken).await,
                Ok(None) => {}
                Err(error) => {
                    // Once, and not every second until a node makes the queue.
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(error = with_source(&error), "no queue; asking again");
                    }
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => return,
                        () = sleep(PAUSE) => {}
                    }
                }
            }
        }
    }

    async fn serve(&self, mut taken: Taken) {
        let (secret, sealed) = (self.secret.clone(), std::mem::take(&mut taken.sealed));
        // Some megabytes to decrypt and check: not on the thread that speaks with the server.
        let opened = tokio::task::spawn_blocking(move || open(&secret, &sealed)).await;
        let (head, columns) = match opened.map_err(|_| "opening a job panicked".to_owned()) {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return self.refuse(&taken, &with_source(&error)).await,
            Err(error) => return self.refuse(&taken, &error).await,
        };
        if head.failed_on.contains(&self.name) {
            self.counted.refused.fetch_add(1, Ordering::Relaxed);
            return taken.pass_on().await;
        }
        let mut held = Held { until: Instant::now(), head };
        held.beaten();
        // Before anything is computed: the lease may be over, and then so is the job.
        if self.beat(&mut held).await {
            taken.keep().await;
            self.prove(held, columns).await;
        } else {
            self.counted.over.fetch_add(1, Ordering::Relaxed);
            taken.throw_away().await;
        }
    }

    async fn refuse(&self, taken: &Taken, error: &str) {
        tracing::warn!(error, "a job is thrown away");
        self.counted.refused.fetch_add(1, Ordering::Relaxed);
        taken.throw_away().await;
    }

    /// Whether the lease still holds, as far as is known.
    async fn beat(&self, held: &mut Held) -> bool {
        let beat = Beat { token: held.head.lease.token, worker: self.name.clone() };
        match self.end.say(held.head.reply_to, beat.encode()).await {
            Said::Holds => held.beaten(),
            Said::Over | Said::Gone => return false,
            Said::Nothing => {}
        }
        Instant::now() < held.until
    }

    async fn prove(&self, mut held: Held, columns: Columns) {
        let (prover, head) = (self.prover.clone(), held.head.clone());
        tracing::info!(shape = %head.shape, attempt = head.lease.attempt, "begun");
        let mut proving = tokio::task::spawn_blocking(move || prover.prove(&head, &columns));
        // Three beats a lease: two may be lost.
        let every = Duration::from_millis((held.head.lease.lasts_ms / 3).max(1).into());
        let mut beats = interval(every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut holds = true;
        let outcome = loop {
            tokio::select! {
                outcome = &mut proving => break outcome,
                _ = beats.tick(), if holds => holds = self.beat(&mut held).await,
            }
        };
        // A panic is the engine's failure, and no reason to end the program: the next job may do.
        let outcome = outcome.unwrap_or(Outcome::Failed(FailedBecause::Engine));
        // Nothing interrupts a proof; when its lease was over meanwhile, nobody wants it.
        let taken = holds && self.answer(&mut held, outcome.clone()).await;
        let counter = match (taken, outcome) {
            (false, _) => &self.counted.over,
            (true, Outcome::Proven { .. }) => &self.counted.proven,
            (true, Outcome::Failed(because)) => {
                tracing::warn!(shape = %held.head.shape, %because, "a job failed");
                &self.counted.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Answers until the node heard it or the lease must be over; whether it counted.
    async fn answer(&self, held: &mut Held, outcome: Outcome) -> bool {
        let answer = Answer {
            token: held.head.lease.token,
            input_hash: held.head.input_hash,
            worker: self.name.clone(),
            outcome,
        };
        let bytes = answer.encode();
        // With the time that a beat would have given it: the node verifies before it answers.
        held.beaten();
        let told = async {
            loop {
                match self.end.say(held.head.reply_to, bytes.clone()).await {
                    Said::Holds => return true,
                    Said::Over | Said::Gone => return false,
                    Said::Nothing => sleep(PAUSE).await,
                }
            }
        };
        timeout_at(held.until, told).await.unwrap_or(false)
    }
}

fn open(secret: &WorkersSecret, sealed: &[u8]) -> Result<(JobHead, Columns), WorkerError> {
    Ok(jobs::decode(&secret.open(sealed)?)?)
}

fn with_source(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
