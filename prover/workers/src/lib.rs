//! Proofs on other machines, over a NATS server with JetStream: the node's end of the queue
//! ([`Queue`]), the workers' end ([`Worker`]), and what a worker proves with ([`Provers`]).
//!
//! What is sent stands in crate `jobs` and in `prover/docs/jobs.md`; this crate moves it:
//!
//! * A node asks how many workers wait ([`Queue::waiting`]) and offers no more jobs than that, so
//!   that no job lies where nobody takes it. What is larger than a message goes through the object
//!   store.
//! * A worker takes one job after the other, sends beats while it proves, and answers to the node
//!   that offered the job.
//! * The server may forget everything at any moment: what is missing is made again by whichever end
//!   needs it, and jobs that were lost end with their leases.
//!
//! Neither end decides anything: which jobs there are, who has them and what an answer is worth is
//! the node's.

mod names;
mod provers;
mod queue;
mod server;
mod worker;

pub use names::Names;
pub use provers::{Prove, Provers, ProversConfig};
pub use queue::{Offered, Queue, Reply, Request, Requests};
pub use server::{AddressError, Login, LoginError, QueueError, Server, ServerAddress};
pub use worker::{Counted, Said, Taken, TakingEnd, Worker, WorkerError};
