//! Tells those who asked for it that somebody read a patient's data (FHIR R4 Subscription,
//! rest-hook), once the batch that has it is settled.
//!
//! ```text
//!   settled batch -> opened for whoever subscribed -> [due] -> POST, signed -> told
//!                                                        ^--- pause ----'---> given up
//! ```
//! What is due when, [`Book`](accounting::notices::Book) says; here are its file, the clock and the
//! socket. A receiver is somebody else's machine: one that hangs, lies or is gone costs the node a
//! place among sixteen, and nobody else anything.

mod desk;
mod post;
mod rests;
mod teller;

pub use desk::{NotTaken, NoticeDesk, Taken};
pub use post::{Judged, PostError, Poster};
pub use teller::{IsErased, Teller, ViewKey};

#[cfg(test)]
mod tests;
