//! Sockets, time and threads around the page.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::Millis;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::node::now;

use super::answer::{Answer, Routed, route};
use super::gate::{Gate, Stranger};
use super::patient::{Patient, Question};
use super::request::{HEAD_BYTES_MAX, Head, Method, Unread};

/// Connections at once; a browser opens six.
const CONNECTIONS_MAX: usize = 32;
/// Questions at once for whoever has the key.
const QUESTIONS_MAX: usize = 8;
/// Of a whole question: whoever sends a byte a minute gives the place back as well.
const QUESTION_WAIT: Duration = Duration::from_secs(5);
/// Of a whole answer.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Pause after a failed accept: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For answers under way when the page ends.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Why the page ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Nobody asked anything for so long.
    Idle,
    /// Closed on the page.
    Closed,
    /// By a signal.
    Stopped,
    /// Something in it failed.
    Failed,
}

/// All that answers.
pub(crate) struct Desk {
    gate: Gate,
    patient: Patient,
    questions: Arc<Semaphore>,
    idle: Duration,
    /// When the session asked something last.
    touched: watch::Sender<Instant>,
    /// The same by the wall clock, which goes on while the machine sleeps; Unix ms.
    touched_ms: AtomicU64,
    closed: Notify,
    has_failed: AtomicBool,
}

impl Desk {
    /// Answers until nobody asked for `idle`.
    pub(crate) fn new(gate: Gate, patient: Patient, idle: Duration) -> Desk {
        Desk {
            gate,
            patient,
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            idle,
            touched: watch::Sender::new(Instant::now()),
            touched_ms: AtomicU64::new(now().unix_ms()),
            closed: Notify::new(),
            has_failed: AtomicBool::new(false),
        }
    }
}

/// Serves until the page is closed, `stop` is ready, or nobody asked for as long as the desk waits.
pub(crate) async fn serve(
    listener: TcpListener,
    desk: Arc<Desk>,
    stop: impl Future<Output = ()>,
) -> End {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    let mut touched = desk.touched.subscribe();
    let mut stop = std::pin::pin!(stop);
    let end = loop {
        let until = *touched.borrow_and_update() + desk.idle;
        let accepted = tokio::select! {
            () = &mut stop => break End::Stopped,
            () = desk.closed.notified() => break desk.why_closed(),
            () = sleep_until(until) => match desk.is_asked() {
                // A long answer is no idleness.
                true => {
                    desk.touch();
                    continue;
                }
                false => break End::Idle,
            },
            changed = touched.changed() => match changed {
                Ok(()) => continue,
                Err(_) => break End::Stopped,
            },
            accepted = accept(&listener, &places) => accepted,
        };
        // Those that ended leave their place in the set.
        while open.try_join_next().is_some() {}
        let Some((stream, place)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let desk = Arc::clone(&desk);
        open.spawn(async move {
            desk.serve_connection(stream).await;
            drop(place);
        });
    };
    desk.patient.end();
    // The answer that says so is still on its way, or an operation that was just signed.
    drop(timeout(LAST_WAIT, async { while open.join_next().await.is_some() {} }).await);
    open.shutdown().await;
    end
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    Some((stream, place))
}

impl Desk {
    fn touch(&self) {
        self.touched.send_replace(Instant::now());
        self.touched_ms.store(now().unix_ms(), Ordering::SeqCst);
    }

    /// Whether nobody asked for too long by the wall clock: a lid was closed, and is open again.
    fn has_slept(&self, now: Millis) -> bool {
        let touched = self.touched_ms.load(Ordering::SeqCst);
        let past = Duration::from_millis(now.unix_ms().saturating_sub(touched));
        past > self.idle && !self.is_asked()
    }

    fn why_closed(&self) -> End {
        match self.has_failed.load(Ordering::SeqCst) {
            true => End::Failed,
            false if self.has_slept(now()) => End::Idle,
            false => End::Closed,
        }
    }

    fn is_asked(&self) -> bool {
        self.questions.available_permits() < QUESTIONS_MAX
    }

    async fn serve_connection(self: Arc<Self>, mut stream: TcpStream) {
        let asked = timeout(QUESTION_WAIT, read_question(&mut stream)).await;
        let (answer, is_head) = match asked {
            // Nobody who would hear it.
            Ok(Err(None)) => return,
            Ok(Err(Some(why))) => (why.into(), false),
            Err(_) => (Answer::failed(408, "question-slow"), false),
            Ok(Ok((head, body))) => {
                let is_head = head.method == Some(Method::Head);
                (Arc::clone(&self).answer(&head, &body).await, is_head)
            }
        };
        let bytes = answer.to_bytes(is_head);
        let sending = async {
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        };
        // Whatever ends it, there is nobody to tell but the peer.
        drop(timeout(ANSWER_WAIT, sending).await);
    }

    async fn answer(self: Arc<Self>, head: &Head, body: &[u8]) -> Answer {
        if self.has_slept(now()) {
            self.closed.notify_one();
            return Stranger::Session.into();
        }
        match route(&self.gate, head, body) {
            Ok(Routed::Ready(answer)) | Err(answer) => answer,
            Ok(Routed::Close) => {
                self.touch();
                self.closed.notify_one();
                Answer::of(&serde_json::json!({ "schema": "vitals-wallet-closed-1" }))
            }
            Ok(Routed::Ask(question)) => {
                self.touch();
                let answer = Arc::clone(&self).ask(question).await;
                self.touch();
                answer
            }
        }
    }

    /// Asks whoever has the key, who reads files and waits for a node: on a thread of its own.
    async fn ask(self: Arc<Self>, question: Question) -> Answer {
        let Ok(place) = Arc::clone(&self.questions).try_acquire_owned() else {
            return Answer::failed(503, "page-busy");
        };
        let desk = Arc::clone(&self);
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            desk.patient.answer(question)
        });
        match asked.await {
            Ok(object) => Answer::of(&object),
            // What failed in the middle of something has no business with the key any more.
            Err(_) => {
                self.has_failed.store(true, Ordering::SeqCst);
                self.closed.notify_one();
                Answer::failed(500, "wallet-failed")
            }
        }
    }
}

/// Head and body of a question; of one that is none why, if its sender is still there.
async fn read_question(stream: &mut TcpStream) -> Result<(Head, Vec<u8>), Option<Unread>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() >= HEAD_BYTES_MAX {
            return Err(Some(Unread::Long));
        }
        read_more(stream, &mut bytes).await?;
    };
    // Its last piece may have brought more than the limit.
    if end > HEAD_BYTES_MAX {
        return Err(Some(Unread::Long));
    }
    let head = Head::parse(&bytes[..end]).map_err(Some)?;
    // Held to its limit before that much is read.
    let length = head.body_bytes().map_err(Some)?;
    let begin = end + 4;
    while bytes.len() < begin + length {
        read_more(stream, &mut bytes).await?;
    }
    Ok((head, bytes[begin..begin + length].to_vec()))
}

async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<(), Option<Unread>> {
    let mut piece = [0; 4096];
    match stream.read(&mut piece).await {
        Ok(0) | Err(_) => Err(None),
        Ok(count) => {
            bytes.extend_from_slice(&piece[..count]);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
