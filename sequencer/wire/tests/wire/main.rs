//! Codecs, receipts and session machines from the outside.

mod codec;
mod receipts;
mod rules;
mod samples;
mod sessions;
mod simulation;
