//! Which stage of the node failed, and what the operator does then.

use std::fmt;

/// A stage whose failure ends the node. Ingest and deliver never do: a panic in a connection ends
/// that connection, a slow reader of receipts is left out, and a panic of the acceptor or of the
/// signer goes unseen, as `sequencer/docs/architecture.md` says among its weaknesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The journal's writer, with the ledger that runs on its thread.
    Journal,
    /// The batcher: lays windows out, proves them, stores their batches.
    Proving,
    /// The settler: brings stored batches to the base chain.
    Settlement,
}

impl Stage {
    /// Every stage, in the order in which a reading passes them.
    pub const ALL: [Stage; 3] = [Stage::Journal, Stage::Proving, Stage::Settlement];

    /// As logs, `/healthz` and errors name it.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Journal => "journal",
            Stage::Proving => "proving",
            Stage::Settlement => "settlement",
        }
    }

    /// What its failure means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Stage::Journal => {
                "the journal cannot be written, or admission panicked: nothing more is taken in, \
                 and nothing that was not durable is acknowledged"
            }
            Stage::Proving => {
                "the batcher ended before its time: windows are still journaled and nothing later \
                 is proven. A window that cannot be proven or stored is no failure: the stage is \
                 [degraded](#degraded-stages)"
            }
            Stage::Settlement => {
                "the chain settled another history than this journal's, or the settling key is not \
                 the deployment's: what is collected now may never settle. Anything else that \
                 keeps batches from the chain is no failure: the stage is \
                 [degraded](#degraded-stages)"
            }
        }
    }

    /// What the operator does.
    pub const fn what_to_do(self) -> &'static str {
        match self {
            Stage::Journal => {
                "read the causes; free or replace the disk; start the node again: what was \
                 acknowledged is there, and gateways send the rest again"
            }
            Stage::Proving => {
                "read the causes and report them; start the node again: it proves the windows that \
                 the journal holds and the store lacks"
            }
            Stage::Settlement => {
                "read the causes; if the key is another, put back that of the deployment; if the \
                 chain has another header, do not collect on: compare journal, backup and chain"
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
