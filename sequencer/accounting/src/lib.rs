//! Who read what of a patient, in the three forms that are asked for: the accounting of disclosures
//! (45 CFR 164.528), the access log (Regulation (EU) 2025/327, EHDS, Article 9), and FHIR R4
//! AuditEvents as IHE BALP has them.
//!
//! It is pure: settled claims come in, as a patient's log or an auditor opened them, and the bytes
//! of a file come out. Each line names batch, chunk and leaf; and the file carries what opens those
//! leaves, so that whoever has it finds each line again on the base chain ([`Export::read`],
//! [`Entry::check`]). A file is taken as a whole: everything that stands in it is laid out again
//! from its openings, and each line that differs is named. So nobody changes a word beside a proof.
//!
//! Nothing here decides consent, and nothing here names the patient: a line has the patient's index
//! in this deployment, no name and no number of a hospital.
//!
//! Not said by any of the files: that no line is missing. Only who holds the view key sees that, by
//! the tags of the leaves (`vitals log` compares them before it writes a file).

mod document;
mod entry;
mod events;
mod export;
mod gathered;
pub mod identifier;
mod layout;
pub mod notices;
mod period;
mod reading;
mod search;

pub use document::{About, AboutError, Document, ExportKind, Line, Purposes, TooMany};
pub use entry::{Entry, EntryError, Known, Settled};
pub use events::{AUDIT_EVENT_PROFILES, events};
pub use export::{Export, Format};
pub use layout::act_reason;
pub use period::{KEPT_ACCESS_LOG_MS, KEPT_DISCLOSURES_MS};
pub use reading::{FILE_BYTES_MAX, ReadError};
pub use search::{Asker, Cursor, Found, Page, Search, SearchError};
