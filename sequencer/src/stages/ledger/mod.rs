//! Admission: what each submitted item becomes in the journal, decided against everything before.
//!
//! The [`Ledger`] is a value that the journal's writer thread feeds. It *decides* an item into
//! entries, and it *absorbs* entries into its state. Recovery only absorbs: the state is a fold of
//! the journal, so a restarted node is the node that stopped.
//!
//! Readers do not pass through the writer: [`LedgerView`] shows them what is durable.
//!
//! What is refused here is never acknowledged, so nothing acknowledged is unprovable.

mod absorb;
mod admit;
mod answer;
mod authentic;
mod bodies;
mod codec;
mod collected;
mod consent;
mod content;
mod counts;
mod decide;
mod erasures;
mod frames;
mod gate;
mod index;
mod keep;
mod queries;
mod query;
mod recent;
mod refusal;
mod refuse;
mod refused;
mod registry;
mod rehearsal;
mod seal;
mod segment;
mod state;
mod streams;
mod surroundings;
mod verdict;
mod view;
mod window;

#[cfg(test)]
mod tests;

pub use absorb::{BrokenEntry, Ledger, LedgerConfig, Placed};
pub use admit::LedgerAdmission;
pub use answer::{Answer, Deliver, Item, ToClose};
pub use authentic::{AuthenticRequest, NotSigned};
pub use bodies::{BodySeal, UnsealError};
pub use consent::{Consent, Owner};
pub use erasures::{Erasures, HOLDS_MAX, KEY_CHECKS, LegalHold, NotErased, Tombstone};
pub use frames::{Found, FramesAsked, StoredPlace};
pub use gate::Gate;
pub use index::{DamagedNode, FrameNodes, IndexError, IndexFile, Look};
pub use keep::{KeepState, Kept};
pub use query::Query;
pub use recent::AppliedOperation;
pub use refusal::Refusal;
pub use registry::{Certificate, Device, Gateway, Practitioner, Registry, UnknownName};
pub use rehearsal::{Held, Rehearsal, Taken};
pub use seal::{EnrolmentSeal, SealError};
pub use state::LedgerState;
pub use surroundings::Surroundings;
pub use view::{LedgerView, Status};
pub use window::Unread;
