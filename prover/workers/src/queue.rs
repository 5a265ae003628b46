//! The node's end of the queue.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::object_store::{self, ObjectMetadata};
use async_nats::jetstream::stream::{self, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, Subject, Subscriber};
use futures_util::StreamExt;
use jobs::{Answer, Beat, DecodeError, Envelope, Verdict, WorkersKey};
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::time::timeout;

use crate::names::Names;
use crate::server::{ANSWER_WITHIN, QueueError, Server};

/// How long the server keeps what nobody took: longer than any lease of a job in the queue.
const KEPT: Duration = Duration::from_secs(600);

/// Most bytes of jobs in the object store.
const STORED_BYTES_MAX: i64 = 1 << 30;

/// How long a worker that took a job may be silent before the server gives the job to another: only
/// until its first beat, after which the job is the node's to move.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of a message that are the protocol's and not the job's.
const MESSAGE_HEAD_MAX: usize = 4096;

/// Most bytes of a beat or an answer.
const REQUEST_BYTES_MAX: usize = 1024;

/// Bytes of a piece of a stored job.
const PIECE_BYTES: usize = 128 * 1024;

/// The node's end of the queue. All of it may be forgotten by the server, and is made again.
pub struct Queue {
    client: Client,
    jetstream: Context,
    names: Names,
    reply_to: [u8; 16],
}

/// A job that is in the queue, or was taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    sequence: u64,
    object: Option<String>,
}

/// What workers say.
pub struct Requests {
    client: Client,
    subscriber: Subscriber,
}

/// One thing that a worker says, and where it waits for the verdict.
#[derive(Debug)]
pub enum Request {
    /// It is at work.
    Beat(Beat, Reply),
    /// It is done.
    Answer(Answer, Reply),
    /// Bytes that are neither.
    Malformed(DecodeError),
}

/// Where a worker waits for a verdict.
#[derive(Debug)]
pub struct Reply {
    client: Client,
    subject: Option<Subject>,
}

impl Queue {
    /// A queue on a server, for workers that have the secret of `key`, and what they will say. The
    /// server need not be there yet.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn connect(
        server: &Server,
        key: &WorkersKey,
    ) -> Result<(Queue, Requests), QueueError> {
        let client = server.connect("vitals node").await?;
        let names = Names::of(key);
        // Random, so that what was meant for a node before its restart reaches nobody.
        let mut reply_to = [0; 16];
        OsRng.fill_bytes(&mut reply_to);
        let subscribed = client.subscribe(names.node(reply_to)).await;
        let subscriber = subscribed.map_err(QueueError::of("listening for answers"))?;
        let requests = Requests { client: client.clone(), subscriber };
        let jetstream = jetstream::new(client.clone());
        Ok((Queue { client, jetstream, names, reply_to }, requests))
    }

    /// For [`jobs::JobHead::reply_to`].
    pub fn reply_to(&self) -> [u8; 16] {
        self.reply_to
    }

    /// How many workers wait for a job now. What the server lacks is made first.
    ///
    /// # Errors
    /// [`QueueError`]: the server is away, or has no JetStream.
    pub async fn waiting(&self) -> Result<usize, QueueError> {
        // Known without asking, and asking would wait for an answer that cannot come.
        let state = self.client.connection_state();
        if state != State::Connected {
            let source = format!("expected a connection to the server, found it {state}");
            return Err(QueueError::of("asking who waits")(source));
        }
        let consumer = within("asking who waits", self.consumer()).await;
        if let Ok(consumer) = consumer {
            return Ok(consumer.cached_info().num_waiting);
        }
        // Not there, most likely, or no longer: a server that lost its folder has nothing at all.
        within("making the queue", self.make()).await?;
        let consumer = within("asking who waits", self.consumer()).await?;
        Ok(consumer.cached_info().num_waiting)
    }

    async fn consumer(&self) -> Result<Consumer<pull::Config>, jetstream::stream::ConsumerError> {
        let Names { stream, .. } = &self.names;
        self.jetstream.get_consumer_from_stream(Names::CONSUMER, stream).await
    }

    async fn make(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let jobs = stream::Config {
            name: self.names.stream.clone(),
            subjects: vec![self.names.jobs.clone()],
            retention: RetentionPolicy::WorkQueue,
            max_age: KEPT,
            storage: StorageType::File,
            ..Default::default()
        };
        let workers = pull::Config {
            durable_name: Some(Names::CONSUMER.into()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: TAKEN_WITHIN,
            ..Default::default()
        };
        let inputs = object_store::Config {
            bucket: self.names.bucket.clone(),
            max_age: KEPT,
            max_bytes: STORED_BYTES_MAX,
            storage: StorageType::File,
            ..Default::default()
        };
        // Each of the three calls leaves alone what is there already.
        let stream = self.jetstream.get_or_create_stream(jobs).await?;
        stream.get_or_create_consumer(Names::CONSUMER, workers).await?;
        if self.jetstream.get_object_store(&self.names.bucket).await.is_err() {
            self.jetstream.create_object_store(inputs).await?;
        }
        Ok(())
    }

    /// Puts a sealed job into the queue.
    ///
    /// # Errors
    /// [`QueueError`]; whether the job is in the queue is then not known, and its lease ends.
    pub async fn offer(&self, sealed: Vec<u8>) -> Result<Offered, QueueError> {
        let message_max = self.client.max_payload().saturating_sub(MESSAGE_HEAD_MAX);
        let (envelope, object) = if sealed.len() <= message_max {
            (Envelope::Sealed(sealed), None)
        } else {
            let (envelope, object) = self.store(&sealed, message_max).await?;
            (envelope, Some(object))
        };
        let published = within("offering a job", async {
            let message = envelope.encode().into();
            self.jetstream.publish(self.names.jobs.clone(), message).await?.await
        });
        match published.await {
            Ok(acknowledged) => Ok(Offered { sequence: acknowledged.sequence, object }),
            Err(error) => {
                self.forget(object.as_deref()).await;
                Err(error)
            }
        }
    }

    async fn store(
        &self,
        sealed: &[u8],
        message_max: usize,
    ) -> Result<(Envelope, String), QueueError> {
        let mut object = [0; 16];
        OsRng.fill_bytes(&mut object);
        let name = hex::encode(object);
        let put = async {
            let bucket = self.jetstream.get_object_store(&self.names.bucket).await?;
            let chunk_size = Some(message_max.min(PIECE_BYTES));
            let about = ObjectMetadata { name: name.clone(), chunk_size, ..Default::default() };
            let mut bytes = sealed;
            bucket.put(about, &mut bytes).await?;
            Ok::<_, async_nats::Error>(())
        };
        // Not the bound of a single answer: each piece waits for its own.
        let stored = timeout(KEPT, put).await.map_err(QueueError::of("storing a job"))?;
        stored.map_err(QueueError::of("storing a job"))?;
        let bytes = u32::try_from(sealed.len()).expect("a sealed job has at most 64 MiB and a bit");
        Ok((Envelope::Stored { object, bytes }, name))
    }

    /// Takes a job out of the queue if nobody took it, and its bytes out of the store. What the
    /// server does not do now it does by itself in ten minutes.
    pub async fn withdraw(&self, offered: &Offered) {
        let deleted = within("withdrawing a job", async {
            let stream = self.jetstream.get_stream_no_info(&self.names.stream).await?;
            // One that was taken is not there any more, which is no error here.
            drop(stream.delete_message(offered.sequence).await);
            Ok::<_, async_nats::Error>(())
        });
        if let Err(error) = deleted.await {
            tracing::debug!(%error, "a job stays in the queue until it is too old");
        }
        self.forget(offered.object.as_deref()).await;
    }

    async fn forget(&self, object: Option<&str>) {
        let Some(object) = object else { return };
        let deleted = within("deleting a stored job", async {
            let bucket = self.jetstream.get_object_store(&self.names.bucket).await?;
            bucket.delete(object).await?;
            Ok::<_, async_nats::Error>(())
        });
        if let Err(error) = deleted.await {
            tracing::debug!(%error, "a stored job stays until it is too old");
        }
    }
}

impl Requests {
    /// The next thing that a worker says; `None` when the client was closed.
    pub async fn next(&mut self) -> Option<Request> {
        let message = self.subscriber.next().await?;
        let reply = Reply { client: self.client.clone(), subject: message.reply };
        let bytes = &message.payload[..message.payload.len().min(REQUEST_BYTES_MAX)];
        Some(match (Beat::decode(bytes), Answer::decode(bytes)) {
            (Ok(beat), _) => Request::Beat(beat, reply),
            (_, Ok(answer)) => Request::Answer(answer, reply),
            // Most of what is no beat is meant to be an answer.
            (Err(_), Err(error)) => Request::Malformed(error),
        })
    }
}

impl Reply {
    /// Says so. Whether it arrives is not known; a worker that hears nothing asks again.
    pub async fn send(self, verdict: Verdict) {
        let Some(subject) = self.subject else { return };
        let bytes = verdict.encode().to_vec().into();
        if let Err(error) = self.client.publish(subject, bytes).await {
            tracing::debug!(%error, "a worker hears no verdict");
        }
    }
}

/// At most the longest wait for an answer of the server.
async fn within<T, E>(
    doing: &'static str,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, QueueError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let answered = timeout(2 * ANSWER_WITHIN, asked).await.map_err(QueueError::of(doing))?;
    answered.map_err(QueueError::of(doing))
}
