//! `vitals log`: a patient's part of settled batches, and what is compared beside them.

mod command;
mod exported;
mod saved;
mod tampered;
mod world;
