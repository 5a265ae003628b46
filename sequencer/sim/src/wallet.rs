//! A patient's wallet in a simulated host: takes consent away and gives it again, by operations
//! that it signs and submits over a session of its own. Its copy of the record outlives whatever
//! becomes of the session: an operation that has no answer is submitted again with the same bytes.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Connection, ConnectionConfig, ConnectionError, RequestError, Wallet, WalletError};
use model::{Action, Clock, PatientIndex, RejectCode, RuleSlot, with_causes};
use rand::Rng;
use statement::operation::SignedOperation;
use statement::scope;
use thiserror::Error;
use wire::{DecodeError, SignedReceipt};

use crate::cast::{Cast, CastError, SERVER_NAME, collect_rule, deployment, patient_key};
use crate::clock::{SimulatedClock, elapsed_ms};
use crate::dice::{self, one_of_hundred};
use crate::faults::{FIRST_MS, HEALED_MS};
use crate::keys::{chain_scope, key_hash, registrar};
use crate::lock::lock;
use crate::network::HostMachine;
use crate::node::{NODE, NodeSite, PORT};
use crate::promises::{Holder, Promises};
use crate::trace::Trace;

/// After how long it looks again whether something is due, or tries once more.
const AGAIN: Duration = Duration::from_millis(100);

/// How long an operation is valid.
const VALID_MS: u64 = 600_000;

/// One change of consent. Every rule is about all that the patient's device measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The permit ends.
    Revoke,
    /// There is one again, in a slot that is free.
    Permit,
    /// A deny stands over it.
    Deny,
    /// The deny ends.
    EndDeny,
}

/// A change with its time: not before, and behind those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at_ms: u64,
    pub(crate) change: Change,
}

/// Draws what a patient does in a run. Whatever was taken away is given again, so that in the end
/// everything may be collected.
pub(crate) fn changes(seed: u64, number: usize) -> Vec<Planned> {
    let mut dice = dice::dice(seed, &format!("consent of patient {number}"));
    let mut planned = Vec::new();
    let mut at_ms = FIRST_MS;
    for _ in 0..dice.gen_range(0..=2) {
        at_ms += dice.gen_range(500..5_000);
        let [off, on] = match one_of_hundred(&mut dice, 50) {
            true => [Change::Revoke, Change::Permit],
            false => [Change::Deny, Change::EndDeny],
        };
        let again_ms = at_ms + dice.gen_range(100..4_000);
        if again_ms >= HEALED_MS {
            break;
        }
        planned.push(Planned { at_ms, change: off });
        planned.push(Planned { at_ms: again_ms, change: on });
        at_ms = again_ms;
    }
    planned
}

/// The place of a wallet: what outlives each of its sessions.
pub(crate) struct WalletSite {
    pub(crate) machine: Arc<HostMachine>,
    pub(crate) number: usize,
    pub(crate) cast: Arc<Cast>,
    pub(crate) promises: Arc<Promises>,
    pub(crate) trace: Arc<Mutex<Trace>>,
    /// Tells when it enrolled.
    pub(crate) node: Arc<NodeSite>,
    pub(crate) planned: Vec<Planned>,
    pub(crate) finished: AtomicBool,
}

/// Why a session of it ended.
#[derive(Debug, Error)]
enum Ended {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Wallet(#[from] WalletError),
    #[error("a signed operation")]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Cast(#[from] CastError),
}

/// What it knows of its record, and what has no answer yet.
struct Copy {
    wallet: Wallet,
    permit: RuleSlot,
    deny: RuleSlot,
    /// Changes that took effect.
    done: usize,
    open: Option<SignedOperation>,
}

impl WalletSite {
    /// Its name in the network.
    pub(crate) fn name(number: usize) -> String {
        format!("wallet-{number}")
    }

    fn say(&self, what: impl fmt::Display) {
        lock(&self.trace).say(format!("{}: {what}", WalletSite::name(self.number)));
    }

    fn patient(&self) -> PatientIndex {
        self.cast.gateways[self.number].patient
    }

    /// Its only run.
    pub(crate) async fn run(self: Arc<Self>) -> Infallible {
        let mut copy = loop {
            tokio::time::sleep(AGAIN).await;
            match self.enrolled() {
                Ok(Some(copy)) => break copy,
                Ok(None) => {}
                Err(error) => self.say(with_causes(&error)),
            }
        };
        while copy.done < self.planned.len() {
            tokio::time::sleep(AGAIN).await;
            if self.planned[copy.done].at_ms > elapsed_ms() {
                continue;
            }
            if let Err(ended) = self.session(&mut copy).await {
                self.say(with_causes(&ended));
            }
        }
        self.finished.store(true, Ordering::SeqCst);
        pending().await
    }

    /// Its record as it was enrolled; none before that.
    fn enrolled(&self) -> Result<Option<Copy>, WalletError> {
        let Some(consented) = self.node.consented(self.number) else { return Ok(None) };
        let mut wallet = Wallet::new(chain_scope(), self.patient());
        for (signed, at) in consented.operations.iter().zip(consented.at) {
            wallet.apply(signed, at, key_hash(&registrar()))?;
        }
        let (permit, deny) = (RuleSlot::Permit(0), RuleSlot::Deny(0));
        Ok(Some(Copy { wallet, permit, deny, done: 0, open: None }))
    }

    /// From a connection until everything that is due has taken effect.
    async fn session(&self, copy: &mut Copy) -> Result<(), Ended> {
        let connection = Connection::connect(self.config()?).await?;
        while let Some(planned) = self.planned.get(copy.done) {
            if planned.at_ms > elapsed_ms() {
                break;
            }
            self.change(&connection, copy, planned.change).await?;
        }
        connection.close().await;
        Ok(())
    }

    async fn change(
        &self,
        connection: &Connection,
        copy: &mut Copy,
        change: Change,
    ) -> Result<(), Ended> {
        let signed = match &copy.open {
            Some(signed) => signed.clone(),
            None => self.sign(copy, change)?,
        };
        copy.open = Some(signed.clone());
        let bytes = wire::SignedOperation::new(signed.to_bytes().to_vec())?;
        let digest = bytes.digest();
        let time = match connection.submit(bytes).await {
            Ok(applied) => applied.time,
            Err(error @ RequestError::Rejected { code: RejectCode::Nonce }) => {
                match self.node.took_effect(digest) {
                    // It did, and the answer was lost: the patient's log has it.
                    Some(time) => time,
                    // It did not, and never will: another one is signed.
                    None => {
                        copy.open = None;
                        return Err(error.into());
                    }
                }
            }
            // Whether it took effect is not known: it is submitted again as it is.
            Err(error) => return Err(error.into()),
        };
        copy.wallet.apply(&signed, time, key_hash(&registrar()))?;
        match signed.operation.action {
            Action::Write { slot: slot @ RuleSlot::Permit(_), .. } => copy.permit = slot,
            Action::Write { slot: slot @ RuleSlot::Deny(_), .. } => copy.deny = slot,
            _ => {}
        }
        (copy.done, copy.open) = (copy.done + 1, None);
        self.say(format!("{change:?} as of {}", time.get()));
        Ok(())
    }

    fn sign(&self, copy: &Copy, change: Change) -> Result<SignedOperation, WalletError> {
        let (wallet, now) = (&copy.wallet, SimulatedClock::default().now());
        let rule = collect_rule(&self.cast.gateways[self.number].device);
        let action = match change {
            Change::Revoke => wallet.revocation(copy.permit)?,
            Change::EndDeny => wallet.revocation(copy.deny)?,
            Change::Permit => {
                Action::Write { slot: wallet.free_slot(RuleSlot::Permit, now)?, rule }
            }
            Change::Deny => Action::Write { slot: wallet.free_slot(RuleSlot::Deny, now)?, rule },
        };
        let operation = wallet.change(action, now, VALID_MS)?;
        let domain = scope::sig_domain(chain_scope());
        Ok(SignedOperation::sign(operation, domain, &patient_key(self.patient())))
    }

    fn config(&self) -> Result<ConnectionConfig, CastError> {
        let identity = self.cast.wallet_identity(self.number)?;
        let address = SocketAddr::new(turmoil::lookup(NODE), PORT);
        let mut config = ConnectionConfig::new(address, SERVER_NAME, identity, deployment());
        config.clock = Arc::new(SimulatedClock::default());
        config.machine = self.machine.clone();
        let (promises, number) = (Arc::clone(&self.promises), self.number);
        config.on_receipt = Some(Arc::new(move |receipt: &SignedReceipt| {
            promises.keep(Holder::Wallet(number), receipt);
        }));
        Ok(config)
    }
}
