//! The node's ingest and its gateways in one simulated network, by seed.
//!
//! ```text
//!   gateway-0 [client, spool] --\                        /-- journal on a hostile medium
//!   gateway-1 [client, spool] ---> turmoil: loss, delay ---> [ingest, ledger, writer, receipts]
//!   wallet-0  [client] ---------/   partition, crash     \-- snapshots, batches, base chain
//! ```
//! The real client and the real stages run, over real QUIC, on a clock and a network that a seed
//! decides: the same seed gives the same run, to the last datagram. When the faults of a seed are
//! over everything must be well again, and what was acknowledged must be where it was promised
//! ([`Violation`] lists what is checked). `README.md` says what is not simulated.
//!
//! ```no_run
//! let outcome = sim::run(&sim::Options::of_seed(7));
//! match outcome {
//!     Ok(outcome) => println!("{}", outcome.trace),
//!     // Names the seed, with which it happens again, and why.
//!     Err(failed) => eprintln!("{}{}", failed.trace, model::with_causes(&failed)),
//! }
//! ```

mod batches;
mod cast;
mod chain;
mod check;
mod clock;
mod dice;
mod faults;
mod fold;
mod gateway;
mod hospital;
mod keys;
mod load;
mod lock;
mod network;
mod node;
mod options;
mod planted;
mod promises;
mod run;
mod scenario;
mod source;
mod stub;
mod trace;
mod wallet;

pub use cast::CastError;
pub use chain::ChainError;
pub use check::{Held, Violation};
pub use fold::FoldError;
pub use hospital::{Most, Report, Second, play};
pub use options::{Datagrams, Failed, Options, Outcome, Planted, Why};
pub use promises::Holder;
pub use run::run;
pub use scenario::{Event, Expected, Given, HOSPITAL, Scenario, ScenarioError, Ways};
