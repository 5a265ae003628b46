//! Load through the public client only: real recordings, streamed at a set rate or as fast as
//! receipts come, with every acknowledgement timed and, if asked for, written down so that it can
//! be held against the node later.
//!
//! [`scenario::play`] has several such runs beside each other, and hostile gateways beside them.
//! [`run`] streams and returns a [`Report`]; [`verify()`] reconnects and asks the node for what the
//! ledger says was acknowledged. Neither knows anything of a node but its address.
//!
//! ```text
//!   Pace --due--> stream task --send--> client ~~~> node
//!                     |expect                        |receipt
//!                     v                              v
//!                 InFlight <----acknowledge---- listener --> recorder: Histogram, ledger file
//! ```
//!
//! A frame's latency runs from the time at which it was *meant* to be sent to the arrival of its
//! verified receipt: a node that stalls makes every frame late that was due meanwhile (no
//! coordinated omission).

pub mod assignments;
mod deployment;
mod dial;
mod exit;
mod flight;
mod hgrm;
mod histogram;
mod hostile;
pub mod html;
mod idle;
mod laying;
pub mod ledger;
mod pace;
mod recorder;
mod report;
mod run;
pub mod scenario;
mod source;
mod timeline;
pub mod verify;

pub use assignments::{Assignment, AssignmentError};
pub use deployment::{DeploymentError, find_deployment};
pub use dial::DialError;
pub use hostile::{Behaviour, HOSTILE_CONNECTIONS_MAX, HostileReport};
pub use idle::{IDLE_CONNECTIONS_MAX, IdleConfig, IdleError, IdleReport, idle};
pub use laying::Laying;
pub use pace::{ArgumentError, Rate, parse_duration};
pub use recorder::Live;
pub use report::{Latency, Report};
pub use run::{Habits, IN_FLIGHT_MAX, LoadConfig, LoadError, Outage, run};
pub use timeline::{BINS_MAX, Series, SeriesBin};
pub use verify::{VerifyConfig, VerifyError, verify};
