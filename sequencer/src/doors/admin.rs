//! The operator's door to the registry: an owner-only unix socket of the running node.
//!
//! One request a line, one JSON answer a line. `change HEX` submits a registry change (canonical
//! bytes of `wire::RegistryChange`), `issue HEX` and `renew HEX` the same where its id has no
//! record or has one ([`Given`]), `list` prints the registry, `status` how the node stands.
//! `renewals` prints the certificates that were asked for over their holders' connections, `issued
//! ROLE NAME HEX` hands one of them back as DER, and `revoke HEX` ends a certificate by its
//! fingerprint. Requests about keys of bodies stand in [`KeyDesk`], orders to the node (tuning,
//! pause, drain) in [`orders`]. `end` says where the journal ends, and `pin` where a
//! backup does ([`PinBackup`]).
//! Threat note: whoever opens the socket is the operator; the file is made with mode 0600 in the
//! node's folder, and nothing here can touch consent, which only signatures move.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{Clock as _, Interval, Millis, SystemClock, with_causes};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use wire::{RegistryChange, Role};

use crate::doors::codes::{
    ANSWER_LATE, CHANGE_NOT_HEX, KEYS_PANICKED, PEER_UNKNOWN, PIN_PANICKED, REQUEST_UNKNOWN,
};
use crate::doors::key_desk::KeyDesk;
use crate::doors::orders::{self, CarryOut, Ordered, Peer};
use crate::guard::{Guard, GuardedTask, Stage, spawn_request};
use crate::stages::ingest::{Issued, RegistryDesk, Renewals, Revoked, WaitingRenewal};
use crate::stages::ledger::{Certificate, LedgerView, Registry};

/// Longest request, bytes: a change is far shorter. Reached: the connection ends.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// Requests at once; further ones wait in the system's queue. An operator asks one thing at a time.
const REQUESTS_MAX: usize = 8;

/// How long a request may take to come, and its answer to be taken.
const TRANSFER_WAIT: Duration = Duration::from_secs(5);

/// How long an answer may take to be made: the writer's queue may be full of frames.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How long a node is asked at most: longer than it takes at each of its own limits.
const ASK_WAIT: Duration = Duration::from_secs(60);

/// Pause after a failed accept: descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest answer, bytes: a registry of some hundred thousand records. Reached: it is malformed.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why there is no door, or no answer.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The socket cannot be made or opened.
    #[error("the socket {path} of the node is not accessible (is a node running there?)")]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The node did not answer.
    #[error("the node closed the connection without an answer")]
    NoAnswer,
    /// The node has its socket open and says nothing.
    #[error(
        "the node has its socket open and did not answer within {} s; what was asked for may \
         still be done", .waited.as_secs_f64()
    )]
    Late {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The answer is no JSON.
    #[error("the node's answer is malformed")]
    Malformed(#[from] serde_json::Error),
    /// The node refused.
    #[error("the node refused: {0}")]
    Refused(String),
}

/// Who says how the node stands.
pub trait Tell: Send + Sync {
    /// The answer to `status`.
    fn status(&self) -> Value;
}

/// Who says where the journal and a backup end.
pub trait PinBackup: Send + Sync {
    /// The answer to `end`.
    fn end(&self) -> Value;

    /// The answer to `pin`. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// Why not, for whoever asked.
    fn pin(&self) -> Result<Value, String>;
}

/// What the door answers from.
#[derive(Clone)]
pub struct Answers {
    /// Where changes go, and what is registered.
    pub desk: RegistryDesk,
    /// Who asked for a certificate.
    pub renewals: Arc<Renewals>,
    /// How the node stands.
    pub tell: Arc<dyn Tell>,
    /// Where a backup ends.
    pub pin: Arc<dyn PinBackup>,
    /// The keys that readings are sealed under.
    pub keys: KeyDesk,
    /// Who carries orders out.
    pub orders: Arc<dyn CarryOut>,
}

/// What must hold of the record that a change adds: looked at when the change is made and not when
/// somebody decided to ask for it, so that of two who add the same one the second is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// Nothing: the change replaces or ends whatever is there.
    Nothing,
    /// None with its id is registered.
    NoRecord,
    /// One with its id is.
    Record,
}

impl Given {
    const ALL: [Given; 3] = [Given::Nothing, Given::NoRecord, Given::Record];

    /// The request's first word.
    fn word(self) -> &'static str {
        match self {
            Given::Nothing => "change",
            Given::NoRecord => "issue",
            Given::Record => "renew",
        }
    }

    fn of_word(word: &str) -> Option<Given> {
        Given::ALL.into_iter().find(|given| given.word() == word)
    }

    fn check(self, change: &RegistryChange, view: &LedgerView) -> Result<(), String> {
        let RegistryChange::Add(record) = change else { return Ok(()) };
        // By the journal's time where the clock is behind it, as whoever connects is judged.
        let now = SystemClock.now().max(view.last_time());
        let (kind, there) = (record.key().kind(), view.registry().holds(&record.key(), now));
        match (self, there) {
            (Given::NoRecord, true) => Err(format!(
                "expected an id without a {kind}, found one, registered meanwhile: look with \
                 `sequencer identity list` and renew it if it is to be replaced"
            )),
            (Given::Record, false) => Err(format!(
                "expected a {kind} that has not ended under this id, found none: it was revoked \
                 meanwhile"
            )),
            _ => Ok(()),
        }
    }
}

/// The running door. Dropping it closes it.
#[derive(Debug)]
pub struct AdminDoor {
    path: PathBuf,
    task: GuardedTask,
}

impl AdminDoor {
    /// Opens the socket; a stale one of a node that died is replaced.
    ///
    /// # Errors
    /// [`AdminError::Socket`].
    pub fn open(path: &Path, answers: Answers, guard: &Guard) -> Result<AdminDoor, AdminError> {
        let error = |source| AdminError::Socket { path: path.into(), source };
        // The store's lock has shown already that no other node runs here, so this one is stale.
        if path.exists() {
            std::fs::remove_file(path).map_err(error)?;
        }
        let listener = UnixListener::bind(path).map_err(error)?;
        // The socket is the operator's whole authority over the registry.
        files::close(path).map_err(error)?;
        let task = guard.task(Stage::Admin, accept(listener, answers));
        Ok(AdminDoor { path: path.into(), task })
    }
}

impl Drop for AdminDoor {
    fn drop(&mut self) {
        self.task.abort();
        // A socket that is gone already is what is wanted.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Serves until it is aborted.
async fn accept(listener: UnixListener, answers: Answers) -> Result<(), Infallible> {
    let slots = Arc::new(Semaphore::new(REQUESTS_MAX));
    loop {
        let slot = slots.clone().acquire_owned().await.expect("nobody closes the semaphore");
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let answers = answers.clone();
        spawn_request("admin", async move {
            serve(stream, &answers).await;
            drop(slot);
        });
    }
}

async fn serve(stream: UnixStream, answers: &Answers) {
    // Before the socket is taken apart.
    let peer = stream.peer_cred().ok().map(|peer| Peer { uid: peer.uid(), pid: peer.pid() });
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    // One request a connection: an operator's command asks once and goes.
    let mut reader = BufReader::new(read.take(REQUEST_BYTES_MAX));
    let Ok(Ok(_)) = timeout(TRANSFER_WAIT, reader.read_line(&mut line)).await else { return };
    let answer = timeout(ANSWER_WAIT, answer_request(line.trim(), peer, answers)).await;
    let answer = match answer.unwrap_or_else(|_| Err(ANSWER_LATE.code.into())) {
        Ok(value) => value,
        Err(detail) => json!({ "error": detail }),
    };
    let answer = format!("{answer}\n");
    // The operator may be gone already.
    drop(timeout(TRANSFER_WAIT, write.write_all(answer.as_bytes())).await);
}

async fn answer_request(
    request: &str,
    peer: Option<Peer>,
    answers: &Answers,
) -> Result<Value, String> {
    let Answers { desk, renewals, tell, pin, keys, orders } = answers;
    if let Some((orders::WORD, asked)) = request.split_once(' ') {
        let peer = peer.ok_or(PEER_UNKNOWN.code)?;
        let ordered = Ordered::read(asked, peer).map_err(|error| error.to_string())?;
        return orders.carry_out(ordered).await;
    }
    match request {
        "list" => return Ok(list(&desk.view().registry())),
        "status" => return Ok(tell.status()),
        "renewals" => {
            return Ok(list_renewals(&renewals.waiting(desk.view(), SystemClock.now())));
        }
        "end" => return Ok(pin.end()),
        "pin" => {
            let pin = Arc::clone(pin);
            let pinned = tokio::task::spawn_blocking(move || pin.pin()).await;
            return pinned.unwrap_or_else(|_| Err(PIN_PANICKED.code.into()));
        }
        _ => {}
    }
    let (about_keys, asked) = (keys.clone(), request.to_owned());
    let answered = tokio::task::spawn_blocking(move || about_keys.answer(&asked)).await;
    match answered {
        Ok(Some(answer)) => return answer,
        Ok(None) => {}
        Err(_) => return Err(KEYS_PANICKED.code.into()),
    }
    let (word, rest) = request.split_once(' ').ok_or(REQUEST_UNKNOWN.code)?;
    match word {
        "issued" => return take_issued(rest, renewals),
        "revoke" => return revoke(rest, answers).await,
        _ => {}
    }
    let given = Given::of_word(word).ok_or(REQUEST_UNKNOWN.code)?;
    let bytes = hex::decode(rest).map_err(|_| CHANGE_NOT_HEX.code)?;
    let change = RegistryChange::from_bytes(&bytes).map_err(|error| error.to_string())?;
    let made = desk.change(move |view| given.check(&change, view).map(|()| Some(change)));
    let position = made.await.map_err(|error| with_causes(&error))?;
    Ok(json!({ "position": position.map(|position| position.0) }))
}

/// `ROLE NAME HEX`: a certificate that its holder asked for.
fn take_issued(rest: &str, renewals: &Renewals) -> Result<Value, String> {
    let mut words = rest.split(' ');
    let (Some(role), Some(name), Some(digits), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(REQUEST_UNKNOWN.code.into());
    };
    let role = Role::from_name(role).ok_or(REQUEST_UNKNOWN.code)?;
    let certificate = hex::decode(digits).map_err(|_| CHANGE_NOT_HEX.code)?;
    let issued = Issued { der: certificate.into(), at: SystemClock.now() };
    renewals.issue(role, name, issued).map_err(|error| error.to_string())?;
    Ok(json!({ "issued": name }))
}

/// Ends the certificate with this fingerprint.
async fn revoke(digits: &str, answers: &Answers) -> Result<Value, String> {
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(digits, &mut fingerprint).map_err(|_| CHANGE_NOT_HEX.code)?;
    let Answers { desk, renewals, .. } = answers;
    let revoked = renewals.revoke(fingerprint, desk, SystemClock.now()).await;
    Ok(match revoked.map_err(|error| with_causes(&error))? {
        Revoked::Registered { key, position } => {
            let position = position.map(|position| position.0);
            json!({ "position": position, "role": key.kind(), "id": key.name() })
        }
        Revoked::Unused => json!({ "position": null, "was": "unused" }),
        Revoked::Draining => json!({ "position": null, "was": "draining" }),
    })
}

fn list_renewals(waiting: &[WaitingRenewal]) -> Value {
    let each = waiting.iter().map(|one| {
        json!({
            "role": one.role.name(), "id": one.name, "asked": one.asked_at.unix_ms(),
            "replaces": hex::encode(one.replaces), "request": hex::encode(&one.request),
            "disputed": one.is_disputed,
        })
    });
    json!({ "schema": "vitals-renewals-1", "renewals": each.collect::<Vec<_>>() })
}

fn list(registry: &Registry) -> Value {
    let organisations = registry
        .organisations()
        .map(|(id, valid)| json!({ "id": id.as_str(), "valid": span(valid) }));
    let practitioners = registry.practitioners().map(|(id, one)| {
        json!({
            "id": id.as_str(), "organisation": one.organisation.as_str(),
            "public_key": hex::encode(one.public_key),
            "fingerprint": hex::encode(one.fingerprint), "valid": span(&one.valid),
        })
    });
    let gateways = registry.gateways().map(|(id, one)| {
        json!({
            "id": id.as_str(), "organisation": one.organisation.as_str(),
            "fingerprint": hex::encode(one.fingerprint), "valid": span(&one.valid),
        })
    });
    let devices = registry.devices().map(|(id, one)| {
        json!({
            "id": id.as_str(), "organisation": one.organisation.as_str(),
            "patient": one.patient.get(), "signals": one.signals,
            "gateways": one.gateways.iter().map(|id| id.as_str()).collect::<Vec<_>>(),
            "valid": span(&one.valid),
        })
    });
    let wallets = registry.wallets().map(|(id, one)| certificate(id.as_str(), one));
    let operators = registry.operators().map(|(id, one)| certificate(id.as_str(), one));
    json!({
        "schema": "vitals-registry-2",
        "organisations": organisations.collect::<Vec<_>>(),
        "practitioners": practitioners.collect::<Vec<_>>(),
        "gateways": gateways.collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(),
        "wallets": wallets.collect::<Vec<_>>(),
        "operators": operators.collect::<Vec<_>>(),
    })
}

fn certificate(id: &str, one: &Certificate) -> Value {
    json!({
        "id": id, "fingerprint": hex::encode(one.fingerprint), "valid": span(&one.valid),
    })
}

/// Milliseconds since 1970; null for unbounded.
fn span(valid: &Interval) -> Value {
    let bound = |at: Millis, unbounded| (at != unbounded).then(|| at.unix_ms());
    json!({
        "from": bound(valid.from, Millis::UNBOUNDED_PAST),
        "until": bound(valid.until, Millis::UNBOUNDED_FUTURE),
    })
}

/// Asks a running node, for a minute at most.
///
/// # Errors
/// [`AdminError`].
pub async fn ask(socket: &Path, request: &str) -> Result<Value, AdminError> {
    ask_within(socket, request, ASK_WAIT).await
}

/// Asks a running node, for as long as this.
///
/// # Errors
/// [`AdminError`].
pub async fn ask_within(socket: &Path, request: &str, wait: Duration) -> Result<Value, AdminError> {
    // A process that is stopped or stuck has its socket open, and never ends the connection.
    let asked = timeout(wait, converse(socket, request)).await;
    asked.unwrap_or(Err(AdminError::Late { waited: wait }))
}

async fn converse(socket: &Path, request: &str) -> Result<Value, AdminError> {
    let error = |source| AdminError::Socket { path: socket.into(), source };
    let stream = UnixStream::connect(socket).await.map_err(error)?;
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{request}\n").as_bytes()).await.map_err(error)?;
    let mut line = String::new();
    let read = BufReader::new(read.take(ANSWER_BYTES_MAX)).read_line(&mut line).await;
    if read.map_err(error)? == 0 {
        return Err(AdminError::NoAnswer);
    }
    let value: Value = serde_json::from_str(&line)?;
    match value["error"].as_str() {
        Some(detail) => Err(AdminError::Refused(detail.to_owned())),
        None => Ok(value),
    }
}

/// The request that makes a change, if what is given holds then.
///
/// # Errors
/// If the change does not encode, with the reason.
pub fn change_request(change: &RegistryChange, given: Given) -> Result<String, wire::DecodeError> {
    Ok(format!("{} {}", given.word(), hex::encode(change.to_bytes()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_never_answers_is_waited_for_no_longer_than_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        // Nobody accepts: the system takes connection and request all the same.
        let _stuck = UnixListener::bind(&socket).unwrap();
        let error = ask_within(&socket, "status", Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(error, AdminError::Late { .. }), "{error:?}");
        assert!(error.to_string().contains("did not answer within 0.001 s"), "{error}");
    }
}
