//! A scenario: groups of gateways that send beside each other, honest ones through the public
//! client and hostile ones byte by byte, and what is expected of the node meanwhile.
//!
//! [`Scenario::read`] checks a file, [`play()`] plays it, [`Outcome`] says for each group what came
//! of it and which expectations hold.

mod cast;
mod error;
mod outcome;
mod parse;
mod part;
mod play;
mod script;
mod shipped;

pub use cast::CastError;
pub use error::ScenarioError;
pub use outcome::{GroupOutcome, HostileOutcome, Outcome, Verdict};
pub use part::{PARTS_MAX, Part, PartError};
pub use play::{PlayConfig, PlayError, play};
pub use script::{
    Expect, ExpectHostile, GATEWAYS_MAX, GROUPS_MAX, Group, HostileGroup, SCENARIO_BYTES_MAX,
    Scenario,
};
pub use shipped::{SHIPPED, Shipped};
