//! How well the tests of the rules notice a rule that is lost, by command:
//!
//! ```text
//! cargo test --release -p circuits --test mutants score -- --nocapture
//! ```
//!
//! A mutant is a circuit without the rows that one line of source enforces for one rule. No circuit
//! is built anew for it: each test of a rule hands an assignment to the rows and records the lines
//! whose rows object ([`trial`]). If they are all of one line, the circuit without that line takes
//! a chunk that must not pass, and the test kills that mutant.
//!
//! What no such test kills is asked of the hunt for directions: on an honest chunk, can private
//! values move without those rows as they cannot with them? The rest survives, and is compared with
//! the list of survivors that are known and argued.

#[path = "../c1/mod.rs"]
mod c1;
#[path = "../c2/mod.rs"]
mod c2;
#[path = "../nullity.rs"]
mod nullity;
#[path = "../repair.rs"]
mod repair;
mod score;
#[path = "../trial.rs"]
mod trial;
