//! What hostile bytes and hostile peers meet: every decoder, and both machines of a session, as
//! plain functions of bytes.
//!
//! Each function takes whatever it is given, and panics only if something that must hold does not:
//! one value has one encoding, damage is refused and never served, what is counted adds up. Two
//! callers use them: the tests of this crate, which replay `corpus/` and changed bytes of it, and
//! the fuzzer in `sequencer/fuzz`, which looks for bytes that nobody thought of. What it finds is
//! mended where it is wrong, and the bytes go into the corpus.
//!
//! A function for a new decoder is a row of [`TARGETS`], a folder of the corpus with at least one
//! sample that decodes, and a program in `sequencer/fuzz`; a test says what is missing.

mod batches;
mod changed_text;
mod client;
mod consents;
mod doors;
mod edges;
mod extracted;
mod foreign;
mod journal;
mod kept;
mod messages;
mod parties;
mod posted;
mod published;
mod quoted;
mod recorded;
mod server;
mod source;
mod stub;
mod studied;
mod vectors;

pub use batches::{opening, operation, private_file, public_file, released_frames};
pub use client::client_session;
pub use consents::consent;
pub use doors::{erasure_request, signed_erasure, subscription};
pub use edges::{bearer_token, export};
pub use extracted::extract_files;
pub use foreign::{bridge_map, hl7_messages};
pub use journal::{journal_damage, journal_file, journal_folder};
pub use kept::spool_records;
pub use messages::{
    access_request, client_messages, entry, frame, frame_block, receipt, registry_change,
    server_messages,
};
pub use posted::{http_requests, posted_fhir};
pub use published::published;
pub use recorded::recording;
pub use server::server_session;
pub use stub::journal_stub;

/// A function of hostile bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its folder in the corpus, and of its program.
    pub name: &'static str,
    /// What is done with the bytes.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)*) => {
        /// Every function of this crate.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), run: $name }),*];
    };
}

targets! {
    access_request
    bearer_token
    bridge_map
    client_messages
    client_session
    consent
    entry
    erasure_request
    export
    extract_files
    frame
    frame_block
    hl7_messages
    http_requests
    journal_damage
    journal_file
    journal_folder
    journal_stub
    opening
    operation
    posted_fhir
    private_file
    public_file
    published
    receipt
    recording
    registry_change
    released_frames
    server_messages
    server_session
    spool_records
    subscription
}
