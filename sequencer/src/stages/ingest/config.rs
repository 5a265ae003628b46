//! Limits of the QUIC server, each with what it costs in memory.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wire::limits::RECEIPT_ITEMS_MAX;
use wire::{Credit, ServerLimits};

/// Limits of the server and of each connection. Durations are milliseconds in the file.
///
/// A connection takes at most about `connection_window_bytes + send_window_bytes` in the
/// transport, and `unacknowledged_bytes_max + outgoing_bytes_max + 384 KiB` in its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// Most open connections. Default 1,024; at most 100,000. Memory: about 100 KiB for an idle
    /// one. Reached: a further one is refused.
    pub connections_max: usize,
    /// From this many open connections on, a new peer first proves its address with a retry token.
    /// Default 256; 0 asks always. Memory: none, which is the point.
    pub retry_from_connections: usize,
    /// Most handshakes that wait to be looked at. Default 256. Memory: 64 KiB each. Reached: a
    /// further one is refused.
    pub incoming_max: usize,
    /// A handshake, with the three lanes and the hello, takes at most this long. Default 10,000.
    pub handshake_timeout_ms: u64,
    /// A silent connection is given up after this long. Default 30,000; at most 600,000.
    pub idle_timeout_ms: u32,
    /// Silence is broken this often. Default 10,000; below the idle timeout.
    pub keep_alive_ms: u64,
    /// A gateway's certificate is compared with the registry at least this often. Default 30,000;
    /// at most 60,000: a revocation reaches open connections within a minute.
    pub identity_check_ms: u64,
    /// How long a stop waits for what is admitted to be acknowledged, and a closing connection for
    /// its last message. Default 2,000.
    pub farewell_ms: u64,
    /// Bytes of one lane that may arrive before they are read. Default 1 MiB.
    pub lane_window_bytes: u32,
    /// The same over all lanes: the most a peer can make the transport hold. Default 4 MiB.
    pub connection_window_bytes: u32,
    /// Bytes sent and not acknowledged by the peer's transport. Default 1 MiB: larger ones leave
    /// the cache and measure slower.
    pub send_window_bytes: u64,
    /// Items of one connection that may wait for the writer's answer. Default 4,096; at least
    /// 1,024. Memory: a frame of up to 64 KiB each, bounded by `unacknowledged_bytes_max` over all.
    /// Reached: the connection's lanes are not read.
    pub submissions_max: usize,
    /// Most streams of a connection, refused ones included. Default 512. Memory: 300 bytes each.
    pub streams_max: usize,
    /// Most bytes of frames under way on a connection. Default 1 MiB; at least 128 KiB.
    pub unacknowledged_bytes_max: u64,
    /// The same in frames. Default 480: with the requests no more than one receipt can hold, so
    /// that a group never has to turn away a gateway that keeps to its credit.
    pub unacknowledged_frames_max: u32,
    /// Frames of all sessions together that credit is given for. Default 4,096, as many as wait for
    /// the writer: a session's credit is its even share, at least 8. Memory: none by itself.
    pub credit_frames_total: u32,
    /// The same in bytes; a share is at least 128 KiB. Default 256 MiB: what the frames under way
    /// take in memory, over all sessions.
    pub credit_bytes_total: u64,
    /// Most operations and requests of a connection under way. Default 32. Memory: 8 bytes for
    /// each frame that a request releases.
    pub requests_max: usize,
    /// Most bytes that wait to be sent on a connection. Default 512 KiB.
    pub outgoing_bytes_max: usize,
}

impl Default for IngestConfig {
    fn default() -> IngestConfig {
        let session = ServerLimits::default();
        IngestConfig {
            connections_max: 1024,
            retry_from_connections: 256,
            incoming_max: 256,
            handshake_timeout_ms: 10_000,
            idle_timeout_ms: 30_000,
            keep_alive_ms: 10_000,
            identity_check_ms: 30_000,
            farewell_ms: 2_000,
            lane_window_bytes: 1 << 20,
            connection_window_bytes: 4 << 20,
            send_window_bytes: 1 << 20,
            submissions_max: 4096,
            streams_max: session.streams_max,
            unacknowledged_bytes_max: session.unacknowledged_bytes_max,
            unacknowledged_frames_max: (RECEIPT_ITEMS_MAX - session.requests_max) as u32,
            credit_frames_total: 4096,
            credit_bytes_total: 256 << 20,
            requests_max: session.requests_max,
            outgoing_bytes_max: session.outgoing_bytes_max,
        }
    }
}

/// A limit that is out of its own limits.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {key} to be {least} to {most}, found {found}")]
pub struct LimitError {
    /// Which.
    pub key: &'static str,
    /// Least allowed.
    pub least: u64,
    /// Most allowed.
    pub most: u64,
    /// Found.
    pub found: u64,
}

impl IngestConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`LimitError`] for the first that does not hold.
    pub fn check(&self) -> Result<(), LimitError> {
        let frame_bytes = wire::limits::FRAME_BYTES_MAX as u64;
        let (idle, window) = (u64::from(self.idle_timeout_ms), u64::from(u32::MAX));
        let least_submissions = EVENTS_OF_A_READ_MAX as u64;
        let within = [
            ("connections_max", self.connections_max as u64, 1, 100_000),
            ("incoming_max", self.incoming_max as u64, 1, 100_000),
            ("handshake_timeout_ms", self.handshake_timeout_ms, 100, 600_000),
            ("idle_timeout_ms", idle, 100, 600_000),
            ("keep_alive_ms", self.keep_alive_ms, 10, idle - 1),
            ("identity_check_ms", self.identity_check_ms, 100, 60_000),
            ("farewell_ms", self.farewell_ms, 1, 60_000),
            ("lane_window_bytes", u64::from(self.lane_window_bytes), frame_bytes, window),
            ("connection_window_bytes", self.connection_window_bytes.into(), frame_bytes, window),
            ("send_window_bytes", self.send_window_bytes, frame_bytes, window),
            ("submissions_max", self.submissions_max as u64, least_submissions, 1 << 20),
            ("streams_max", self.streams_max as u64, 1, 1 << 16),
            ("unacknowledged_bytes_max", self.unacknowledged_bytes_max, 2 * frame_bytes, 1 << 30),
            ("unacknowledged_frames_max", self.unacknowledged_frames_max.into(), 1, 1 << 20),
            ("credit_frames_total", self.credit_frames_total.into(), 8, 1 << 30),
            ("credit_bytes_total", self.credit_bytes_total, 2 * frame_bytes, 1 << 40),
            ("requests_max", self.requests_max as u64, 1, 1 << 16),
            ("outgoing_bytes_max", self.outgoing_bytes_max as u64, 2 * frame_bytes, 1 << 30),
        ];
        let broken =
            within.into_iter().find(|(_, found, least, most)| found < least || found > most);
        match broken {
            Some((key, found, least, most)) => Err(LimitError { key, least, most, found }),
            None => Ok(()),
        }
    }

    pub(super) fn session_limits(&self, ahead_ms_max: u64) -> ServerLimits {
        ServerLimits {
            streams_max: self.streams_max,
            unacknowledged_bytes_max: self.unacknowledged_bytes_max,
            unacknowledged_frames_max: self.unacknowledged_frames_max,
            requests_max: self.requests_max,
            outgoing_bytes_max: self.outgoing_bytes_max,
            ahead_ms_max,
        }
    }

    /// The credit of one of `sessions` sessions.
    pub(super) fn credit(&self, sessions: usize) -> Credit {
        let sessions = sessions.max(1);
        let frames = self.credit_frames_total / u32::try_from(sessions).unwrap_or(u32::MAX);
        let bytes = self.credit_bytes_total / sessions as u64;
        Credit {
            frames: frames.max(CREDIT_FRAMES_MIN).min(self.unacknowledged_frames_max),
            bytes: bytes.max(CREDIT_BYTES_MIN).min(self.unacknowledged_bytes_max),
        }
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    pub(super) fn identity_check(&self) -> Duration {
        Duration::from_millis(self.identity_check_ms)
    }

    pub(super) fn farewell(&self) -> Duration {
        Duration::from_millis(self.farewell_ms)
    }
}

/// Least credit of a session: alarms go through however many sessions there are.
const CREDIT_FRAMES_MIN: u32 = 8;
const CREDIT_BYTES_MIN: u64 = 2 * wire::limits::FRAME_BYTES_MAX as u64;
/// Most bytes that are read from a lane at once.
pub(super) const READ_BYTES_MAX: usize = 16 << 10;
/// More events than one read can bring: the smallest message has a header of 32 bytes, and a
/// lane may hold almost a whole one from before.
pub(super) const EVENTS_OF_A_READ_MAX: usize = 2 * READ_BYTES_MAX / wire::HEADER_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_a_value_out_of_limits_is_named() {
        let good = IngestConfig::default();
        assert_eq!(good.check(), Ok(()));
        let slow = IngestConfig { identity_check_ms: 60_001, ..good.clone() };
        assert_eq!(slow.check().unwrap_err().key, "identity_check_ms");
        let few = IngestConfig { submissions_max: 10, ..good.clone() };
        assert_eq!(few.check().unwrap_err().key, "submissions_max");
        assert_eq!(good.credit(1), Credit { bytes: 1 << 20, frames: 480 });
        assert_eq!(good.credit(1000), Credit { bytes: 268_435, frames: 8 });
        assert!(toml::from_str::<IngestConfig>("connection_max = 1").is_err());
    }
}
