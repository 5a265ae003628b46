//! Codecs, receipts and session machines from the outside.

mod blocks;
mod codec;
mod columns;
mod encrypted;
mod greeting;
mod machines;
mod names;
mod postponed;
mod receipts;
mod renewals;
mod rules;
mod samples;
mod serving;
mod sessions;
mod signals;
mod simulation;
mod spoken;
