//! Which stage of the node failed, and what the operator does then.

use std::fmt;

/// A part of the node that runs for as long as the node does; its failure ends the node. A panic
/// in a connection ends that connection, a slow reader of receipts is left out: neither is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The acceptor of connections.
    Ingest,
    /// The journal's writer, with the ledger that runs on its thread.
    Journal,
    /// The signer of receipts.
    Receipts,
    /// The timer that closes windows.
    Windows,
    /// Planner, provers and batcher: lay windows out, prove them, store their batches.
    Proving,
    /// The settler: brings stored batches to the base chain.
    Settlement,
    /// The accept loop of HTTP.
    Http,
    /// The accept loop of the operator's socket.
    Admin,
    /// JSON-RPC of the embedded chain.
    BaseChain,
    /// The watch over clocks and free space.
    Upkeep,
    /// The scrub of stored batch files.
    Scrub,
    /// Brings sealed files to the archive, and removes here what is there.
    Archive,
    /// Tells those who asked for it that somebody read.
    Notices,
}

impl Stage {
    /// Every stage, in the order in which a reading passes them.
    pub const ALL: [Stage; 13] = [
        Stage::Ingest,
        Stage::Journal,
        Stage::Receipts,
        Stage::Windows,
        Stage::Proving,
        Stage::Settlement,
        Stage::Http,
        Stage::Admin,
        Stage::BaseChain,
        Stage::Upkeep,
        Stage::Scrub,
        Stage::Archive,
        Stage::Notices,
    ];

    /// Whether it takes nothing in, signs or closes nothing while the node is held.
    pub const fn takes_in(self) -> bool {
        use Stage::{Ingest, Journal, Receipts, Settlement, Windows};
        matches!(self, Ingest | Journal | Receipts | Windows | Settlement)
    }

    /// As logs, `/healthz` and errors name it.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Ingest => "ingest",
            Stage::Journal => "journal",
            Stage::Receipts => "receipts",
            Stage::Windows => "windows",
            Stage::Proving => "proving",
            Stage::Settlement => "settlement",
            Stage::Http => "http",
            Stage::Admin => "admin",
            Stage::BaseChain => "base-chain",
            Stage::Upkeep => "upkeep",
            Stage::Scrub => "scrub",
            Stage::Archive => "archive",
            Stage::Notices => "notices",
        }
    }

    /// What its failure means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Stage::Ingest => {
                "no new connection is accepted: the UDP socket failed, or the acceptor panicked"
            }
            Stage::Journal => {
                "the journal cannot be written, or admission panicked: nothing more is taken in, \
                 and nothing that was not durable is acknowledged"
            }
            Stage::Receipts => {
                "no first receipt is signed any more: what is stored stays, and its senders are \
                 not told"
            }
            Stage::Windows => "no window is closed by its age any more",
            Stage::Proving => {
                "planner, batcher or a prover's thread panicked around a proof, or ended: windows \
                 are still journaled and nothing later is proven. A proof that panics and a window \
                 that cannot be proven or stored are no failure: the stage is \
                 [degraded](#degraded-stages)"
            }
            Stage::Settlement => {
                "the settling key is not the deployment's, or the settler panicked. Whatever else \
                 keeps batches from the chain is no failure: the stage is \
                 [degraded](#degraded-stages)"
            }
            Stage::Http => "batch files, metrics and health are not served any more",
            Stage::Admin => "the operator's socket answers no more",
            Stage::BaseChain => "the embedded chain answers nobody outside of the node any more",
            Stage::Upkeep => "clocks and free space are not looked after any more",
            Stage::Scrub => "stored batch files are not looked after any more",
            Stage::Archive => {
                "nothing is archived any more, and nothing removed here. An archive that does not \
                 answer is no failure: `vitals_archive_failing` is 1, and the next round tries again"
            }
            Stage::Notices => {
                "nobody is told any more that somebody read. A receiver that takes no notice is no \
                 failure: it is tried again"
            }
        }
    }

    /// What the operator does.
    pub const fn what_to_do(self) -> &'static str {
        match self {
            Stage::Ingest => {
                "read the causes; look after the network and the process's descriptors; start the \
                 node again: gateways come again by themselves"
            }
            Stage::Journal => {
                "read the causes; free or replace the disk; start the node again: what was \
                 acknowledged is there, and gateways send the rest again"
            }
            Stage::Receipts => {
                "start the node again: clients send again and get the same receipts; report the \
                 panic with the log"
            }
            Stage::Windows => {
                "start the node again: it closes the old window at once; report the panic with \
                 the log"
            }
            Stage::Proving => {
                "read the causes and report them; start the node again: it proves the windows that \
                 the journal holds and the store lacks"
            }
            Stage::Settlement => {
                "read the causes; if the key is another, put back that of the deployment; else \
                 start the node again: it goes on with what its outbox holds"
            }
            Stage::Http
            | Stage::Admin
            | Stage::BaseChain
            | Stage::Upkeep
            | Stage::Scrub
            | Stage::Archive
            | Stage::Notices => {
                "read the causes; start the node again; report a panic with the log"
            }
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first failure of any stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageFailure {
    /// Which stage.
    pub stage: Stage,
    /// Why, with causes.
    pub detail: String,
}
