//! FHIR Consents of the profile PCF: read, held against the wallet's copy, written and looked
//! through. What they mean is the crate `pcf`'s to say; what is signed of it, `consent`'s.

mod document;
mod export;
mod lint;
mod plan;

pub(crate) use document::DocumentArgs;
pub(crate) use export::ExportArgs;
pub(crate) use lint::lint;
pub(crate) use plan::{Step, plan};
