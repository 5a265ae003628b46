//! The corpus, replayed; bytes of it, changed; and that nothing of it is missing.

mod changes;
mod replay;
mod seeds;
