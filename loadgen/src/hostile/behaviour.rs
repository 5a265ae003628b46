//! The ways in which a hostile gateway misbehaves.

use serde::{Deserialize, Serialize};

/// What a hostile gateway does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Completes the handshake and never opens a lane.
    OnlyHandshake,
    /// Sends half of a frame at once and the rest byte by byte, and never the last one.
    SlowWriter,
    /// Opens a stream, then sends frames and never reads what comes back.
    SlowReader,
    /// Leaves every second sequence out.
    Gaps,
    /// Opens stream after stream and sends nothing on them.
    StreamFlood,
    /// Sends bytes that are no message.
    Garbage,
    /// Sends a sequence again with other bytes.
    Duplicates,
}

impl Behaviour {
    /// Every one of them.
    pub const ALL: [Behaviour; 7] = [
        Behaviour::OnlyHandshake,
        Behaviour::SlowWriter,
        Behaviour::SlowReader,
        Behaviour::Gaps,
        Behaviour::StreamFlood,
        Behaviour::Garbage,
        Behaviour::Duplicates,
    ];

    /// As scenarios and reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Behaviour::OnlyHandshake => "only-handshake",
            Behaviour::SlowWriter => "slow-writer",
            Behaviour::SlowReader => "slow-reader",
            Behaviour::Gaps => "gaps",
            Behaviour::StreamFlood => "stream-flood",
            Behaviour::Garbage => "garbage",
            Behaviour::Duplicates => "duplicates",
        }
    }
}
