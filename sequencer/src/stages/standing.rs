//! What a stage says of itself when it runs and does not get on.
//!
//! Proving and settling lie behind everything that a patient or a gateway is promised: where they
//! stand still, collection goes on, and what was acknowledged waits in the journal. So a stage that
//! cannot go on tells why, tries again at a slow pace, and the node lives. What makes collection
//! itself unsafe is no standing but a failure, which ends the node.

use std::error::Error;

/// Why a stage does not get on. A closed list: logs, metrics and `/readyz` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A window breaks a rule, or a chunk of it a constraint.
    Unprovable,
    /// The journal's groups cannot be read.
    JournalUnreadable,
    /// A window before the one at hand is missing.
    WindowMissing,
    /// A batch cannot be stored, or the store cannot be read.
    StoreFails,
    /// Nodes of the index of stored frames are damaged, and cannot be made anew.
    IndexDamaged,
    /// The chain asks more for gas than is configured, or than so many offers came to.
    FeeLimit,
    /// The chain's node does not take the transaction.
    NotTaken,
    /// The contract refuses a batch, or a transaction failed in its block.
    Refused,
    /// The chain's node answers with errors, or against what it said before.
    ChainFails,
    /// The chain's node answers for another chain or contract.
    OtherChain,
    /// The chain settled another header under a number of ours.
    Diverged,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 11] = [
        Cause::Unprovable,
        Cause::JournalUnreadable,
        Cause::WindowMissing,
        Cause::StoreFails,
        Cause::IndexDamaged,
        Cause::FeeLimit,
        Cause::NotTaken,
        Cause::Refused,
        Cause::ChainFails,
        Cause::OtherChain,
        Cause::Diverged,
    ];

    /// As logs, metrics and `/readyz` name it.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Unprovable => "unprovable",
            Cause::JournalUnreadable => "journal-unreadable",
            Cause::WindowMissing => "window-missing",
            Cause::StoreFails => "store-fails",
            Cause::IndexDamaged => "index-damaged",
            Cause::FeeLimit => "fee-limit",
            Cause::NotTaken => "not-taken",
            Cause::Refused => "refused",
            Cause::ChainFails => "chain-fails",
            Cause::OtherChain => "other-chain",
            Cause::Diverged => "diverged",
        }
    }

    /// Whether it stays until somebody mends something.
    pub const fn is_lasting(self) -> bool {
        !matches!(self, Cause::FeeLimit | Cause::NotTaken | Cause::ChainFails)
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Cause::Unprovable => {
                "a window breaks a rule of the statements, or a proof came to nothing on every \
                 thread: twin and circuit differ, the proving key is not this circuit's, or the \
                 engine panics; the log names batch, chunk and cause"
            }
            Cause::JournalUnreadable => "the journal does not serve groups of a closed window",
            Cause::WindowMissing => {
                "the batcher was given another window than the next one: a bug, for windows that \
                 find no room are read back from the journal"
            }
            Cause::StoreFails => {
                "the store cannot be written or read: its disk is full or broken, or a row or file \
                 is damaged; the log names it"
            }
            Cause::IndexDamaged => {
                "nodes of the index of stored frames are not as they were written, and the journal \
                 could not be read to make them anew, or made others: a frame that comes again, or \
                 an access, that needs one of them is answered later; the log says why"
            }
            Cause::FeeLimit => {
                "the chain asks more for a unit of gas than `settle.fee_wei_max` allows, or \
                 nothing was mined after `settle.replacements_max` dearer offers, of which the \
                 last only follows what the chain asks; the log says which"
            }
            Cause::NotTaken => {
                "the chain's node does not take the settling transaction; the log has its words"
            }
            Cause::Refused => {
                "the contract refuses a batch, or a transaction was mined and did not settle it; \
                 the log has the reason"
            }
            Cause::ChainFails => {
                "the chain's node answers with errors, or against what it said before: it is \
                 behind, overloaded or broken; the log has its words"
            }
            Cause::OtherChain => {
                "the node behind `[chain] rpc` answers for another chain, or has other code at the \
                 contract's address, than `deployment.json` names; the log has both"
            }
            Cause::Diverged => {
                "the chain settled another header under the number of a batch of this node: \
                 another node settles with the same key, or the node of `[chain] rpc` shows false \
                 events"
            }
        }
    }

    /// What the operator does. Collection goes on meanwhile.
    pub const fn what_to_do(self) -> &'static str {
        match self {
            Cause::Unprovable => {
                "report it with the log; install the release that mends it and start the node \
                 again: the window is in the journal and is laid out anew"
            }
            Cause::JournalUnreadable => "look after the disk; `sequencer journal check` says more",
            Cause::WindowMissing => "report it with the log; start the node again",
            Cause::StoreFails => {
                "make room or replace the disk: it is tried again by itself, the database is \
                 opened again, and damaged files are made anew from journal and chain; if a row or \
                 the database itself is damaged, stop the node, move `store/` away and start it \
                 again: every batch is made anew"
            }
            Cause::IndexDamaged => {
                "look after disk and archive: it is tried again by itself; if the log says that \
                 the journal makes other nodes, stop the node, remove its folder `snapshots/` and \
                 start it again"
            }
            Cause::FeeLimit => {
                "wait: settling goes on once fees fall; or raise the setting that the log names \
                 and send SIGHUP"
            }
            Cause::NotTaken => {
                "fund the settling account, or mend the chain's node; what was not taken is sent \
                 again by itself"
            }
            Cause::Refused => {
                "read the reason under [Contract](#contract); mend what it names; it is tried \
                 again by itself, at last every `settle.refused_retry_ms`"
            }
            Cause::ChainFails => {
                "wait, or mend or replace the chain's node: it is asked again by itself"
            }
            Cause::OtherChain => {
                "correct `[chain] rpc`, or put the folder's own `deployment.json` back, and start \
                 the node again; if it is the chain's node that is wrong, mend that: it is asked \
                 again"
            }
            Cause::Diverged => {
                "compare journal, backup and chain, and make sure that no other node has the \
                 settling key: what is collected on may never settle; a start of the node holds it \
                 if the contract itself contradicts the journal"
            }
        }
    }
}

/// Where a stage says how it stands; called from its own thread or task, must not block.
pub trait Standing: Send + Sync + 'static {
    /// It does not get on.
    fn degrade(&self, cause: Cause, error: &dyn Error);

    /// It gets on.
    fn recover(&self);
}

/// Nobody looks.
impl Standing for () {
    fn degrade(&self, _: Cause, _: &dyn Error) {}

    fn recover(&self) {}
}
