//! Checks a deployment from the base chain and public batch files alone.
//!
//! The core is [`check`]: plain functions from what the chain says and what a file holds to "it
//! holds" or the first [`Broken`] item. [`audit`](audit()) is the shell that reads the chain and
//! the files and feeds the core; [`Report`] is what it says.
//!
//! Nobody is trusted: neither the operator's node, nor the contract beyond its code, nor a batch
//! file. Whatever they write is [escaped](model::escape()) before it is shown. What a chain or a
//! file does not deliver is *unavailable*, never *broken* and never *fine*. No proving code, no
//! circuit and no journal is linked here; a key is read from the chain, and that it belongs to the
//! circuits is shown by `prover export`.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use auditor::{Options, Place, Quiet, Source, audit};
//! use l1_contracts::Deployment;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let deployment = Deployment::read("deployment.json".as_ref())?;
//! let data = Source::parse("http://127.0.0.1:8080")?;
//! let rpc = "http://127.0.0.1:8545".parse()?;
//! let place = Place { rpc: &rpc, deployment: &deployment, data: &data };
//! let report = audit(place, &Options::default(), Arc::new(Quiet)).await;
//! assert!(report.holds(), "{}", report.text(auditor::Colour::Plain));
//! # Ok(())
//! # }
//! ```

mod accounts;
mod audit;
mod broken;
mod chain;
pub mod check;
mod extracts;
mod followed;
pub mod headers;
mod open;
mod place;
mod progress;
mod receipts;
mod report;
mod source;

pub use accounts::{CheckedExport, CheckedExports, NamedExport, NotFound, check_exports};
pub use audit::{Options, audit};
pub use broken::{Broken, Fault, Item, Refused, Unavailable};
pub use extracts::{
    ExtractReport, KnownHeaders, RECORD_NOT_SHOWN, STUDY_NOT_SHOWN, audit_record, audit_study,
};
pub use open::{OpenedClaim, OpenedOperation, Opening, open};
pub use place::Place;
pub use progress::{Progress, Quiet, Step};
pub use receipts::{NamedReceipt, ReceiptCounts, ReceiptsError, ReceiptsOf, read_receipts};
pub use report::{BrokenItem, Colour, MissingItem, NOT_PROVEN, Report, Section, Verdict};
pub use source::{Source, SourceError};
// What [`Source::reach`] gives, which the page of `auditor serve` passes on.
pub use page_server::Reach;
