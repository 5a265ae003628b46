//! The state folder of `vitals stream`: where it is and what it may hold.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use client::{StateBounds, WhenFull};
use model::calendar::parse_length;

/// What happens where a state folder holds as much as it may.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Full {
    /// Nothing more is read until there is room: the way of a file
    Wait,
    /// What is worth least is given up: the way of --stdin
    GiveUp,
}

/// The options.
#[derive(Args)]
pub(super) struct Keeping {
    /// Folder that keeps what has no receipt over a restart, and how far each file was sent: the
    /// same file again sends only what is new
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// Most MiB of frames in the state folder. Where it holds as much, a file is read no further
    /// until there is room; of --stdin what was never sent is given up, first of ecg and ppg, last
    /// what was under an alarm, the oldest first, and told when the command ends
    #[arg(long, value_name = "MIB", requires = "state", default_value = "1024",
          value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    state_max: u64,
    /// How long the state folder keeps what was never sent, by this machine's clock, as 7d; then
    /// it is given up, and told. Without it, for ever
    #[arg(long, value_name = "LENGTH", requires = "state", value_parser = parse_length)]
    state_age: Option<u64>,
    /// Most MiB of them that have receipts, kept to be sent again to a node that loses them
    #[arg(long, value_name = "MIB", requires = "state", default_value = "256",
          value_parser = clap::value_parser!(u64).range(0..=1 << 20))]
    keep_max: u64,
    /// How long they are kept, by this machine's clock
    #[arg(long, value_name = "LENGTH", requires = "state", value_parser = parse_length,
          default_value = "24h")]
    keep_for: u64,
    /// Whether a state folder that is full gives readings up, or reads no further
    #[arg(long, value_enum, requires = "state")]
    when_full: Option<Full>,
}

impl Keeping {
    /// What the state folder may hold: a file waits, and a pipe cannot.
    pub(super) fn bounds(&self, is_file: bool) -> StateBounds {
        let default = if is_file { Full::Wait } else { Full::GiveUp };
        StateBounds {
            bytes_max: self.state_max << 20,
            receipted_bytes_max: self.keep_max << 20,
            receipted_age_max: Duration::from_millis(self.keep_for),
            age_max: self.state_age.map(Duration::from_millis),
            when_full: match self.when_full.unwrap_or(default) {
                Full::Wait => WhenFull::Wait,
                Full::GiveUp => WhenFull::GiveUp,
            },
        }
    }
}
