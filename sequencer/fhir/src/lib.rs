//! HL7 FHIR R4 at the edge of the rollup: what may be posted, as values of this system, and what
//! is answered, as JSON.
//!
//! Pure: bytes go in, an [`Observation`] or an [`Issue`] comes out. No socket, no clock, no node.
//!
//! # Reading order
//! 1. [`Observation`] and [`Bundle`]: what was posted, by its own words.
//! 2. [`map_observation`]: what becomes of it, by the map that every bridge reads.
//! 3. [`Issue`]: why something is not taken, and [`operation_outcome`], which says so.
//! 4. [`request`] and [`Interaction`]: a request out of bytes, and what it asks for; [`Grant`]:
//!    what a token lets it create.
//! 5. [`capability_statement`]: what is taken at all.
//!
//! ```
//! let posted = br#"{
//!     "resourceType": "Observation", "status": "final",
//!     "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
//!     "subject": {"reference": "Patient/7"}, "effectiveDateTime": "2026-05-01",
//!     "valueQuantity": {"value": 72, "system": "http://unitsofmeasure.org", "code": "/min"}
//! }"#;
//! let issue = fhir::Observation::parse(posted).unwrap_err();
//! assert_eq!(issue.fault.code(), "date-only");
//! assert_eq!(issue.expression, "Observation.effectiveDateTime");
//! ```

mod bundle;
mod capability;
mod condition;
mod element;
mod grant;
mod interaction;
mod issue;
mod mapped;
mod observation;
mod outcome;
pub mod request;
mod sampled;
mod unit;

pub use bundle::{BUNDLE_SAMPLES_MAX, Bundle, BundleType, ENTRIES_MAX, Entry};
pub use capability::{Instance, capability_statement};
pub use condition::Condition;
pub use element::{DEPTH_MAX, FIELDS_MAX};
pub use grant::Grant;
pub use interaction::{Asked, BASE, Interaction, MEDIA_TYPE, Turned};
pub use issue::{Fault, Issue, IssueType, SCOPE_CATEGORY};
pub use mapped::{Defaults, LeftOut, Mapped, PeriodAt, map_observation};
pub use observation::{
    Absent, CODINGS_MAX, COMPONENTS_MAX, Coding, Effective, IDENTIFIERS_MAX, Identifier,
    Observation, Value, Valued, Who,
};
pub use outcome::{Response, Severity, Told, bundle_response, operation_outcome, status_line};
pub use sampled::{SAMPLES_MAX, Sample, Sampled};
pub use unit::{TEXT_BYTES_MAX, Unit};
