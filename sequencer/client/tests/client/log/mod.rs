//! `vitals log`: a patient's part of settled batches, and what is compared beside them.

mod command;
mod exported;
mod exports;
mod saved;
mod tampered;
mod world;
