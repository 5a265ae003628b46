//! Limits of the QUIC server, each with what it costs in memory.

use std::time::Duration;

use wire::limits::RECEIPT_ITEMS_MAX;
use wire::{Credit, ServerLimits};

use super::buckets::Rate;
use crate::setting::{self, Allowed, LimitError, range, settings};

settings! {
    /// Limits of the server and of each connection.
    ///
    /// A connection that got a receipt takes at most about `connection_window_bytes +
    /// send_window_bytes` in the transport, twice `unacknowledged_bytes_max`, `outgoing_bytes_max`,
    /// and 1 MiB for lanes, streams and requests: with the defaults 8.5 MiB; one that got none five
    /// times `idle_window_bytes` and the same 1 MiB: 1.5 MiB. Summed up item by item in
    /// `sequencer/docs/architecture.md`, question (c).
    pub struct IngestConfig in "ingest.limits" {
        connections_max: usize = 1024; "connections", range(1, 100_000) => {
            sets: "Most open connections; handshakes are none yet.",
            memory: "At most 1.5 MiB for one without a receipt, 8.5 MiB for another; `sequencer config \
                     check` says how much with the limits as they are.",
            at_limit: "The certificate that has most gives its oldest one up, if it then \
                       keeps as many as the newcomer has; else the newcomer is refused as busy.",
        }
        wallet_connections_percent: u32 = 12; "percent", range(0, 90) => {
            sets: "How many of `connections_max` only wallets may take, so that a stop gets in \
                   however many gateways there are. Wallets may take the others too.",
            at_limit: "As above, among gateways, practitioners and operators.",
        }
        connections_per_certificate_max: usize = 16; "connections", range(1, 100_000) => {
            sets: "Most open connections of one certificate; a client that renews its own has one \
                   more for a moment.",
            at_limit: "Its oldest one is closed as busy.",
        }
        handshakes_max: usize = 1024; "handshakes", range(1, 100_000) => {
            sets: "Most handshakes under way: what has shown no certificate yet.",
            memory: "64 KiB each.",
            at_limit: "The network that has most gives its oldest one up; an address of IPv4 is \
                       one, and 64 bits of IPv6.",
        }
        retry_from_handshakes: usize = 0; "handshakes", range(0, 100_000) => {
            sets: "From this many handshakes under way on, a new peer first proves its address \
                   with a retry token: whoever forges one makes the node send less than it sent. 0 \
                   asks always; more saves the first ones a round trip, and may bring a forged \
                   address three times what was sent and one datagram besides.",
            memory: "None, which is the point.",
        }
        incoming_max: usize = 256; "handshakes", range(1, 100_000) => {
            sets: "Most handshakes that wait to be looked at.",
            memory: "64 KiB each.",
            at_limit: "A further one is refused.",
        }
        handshake_timeout_ms: u64 = 10_000; "milliseconds", range(100, 600_000) => {
            sets: "A handshake, with the three lanes and the hello, takes at most this long.",
            at_limit: "The connection is closed.",
        }
        idle_timeout_ms: u32 = 30_000; "milliseconds", range(100, 600_000) => {
            sets: "A silent connection is given up after this long.",
            at_limit: "The connection is lost; the client comes again.",
        }
        keep_alive_ms: u64 = 10_000; "milliseconds", range(10, 599_999) => {
            sets: "Silence is broken this often; below `idle_timeout_ms`.",
        }
        identity_check_ms: u64 = 30_000; "milliseconds", range(100, 60_000) => {
            sets: "A peer's certificate is compared with the registry at each of its changes and \
                   at least this often: a revocation reaches open connections within a minute.",
        }
        farewell_ms: u64 = 2_000; "milliseconds", range(1, 60_000) => {
            sets: "How long a stop waits for what is admitted to be acknowledged, and a closing \
                   connection for its last message.",
            at_limit: "The connection is closed without it.",
        }
        udp_buffer_bytes: u32 = udp::BUFFER_BYTES as u32; "bytes", range(64 << 10, 1 << 30) => {
            sets: "What the system is asked for to hold datagrams of the node's socket that came \
                   and were not read yet, and that were written and are not sent yet. What it \
                   grants is `vitals_ingest_udp_buffer_bytes`; where that is less, the start says \
                   so, with the `sysctl` that raises it.",
            memory: "The system's, while datagrams wait: up to twice as many each way, its \
                     bookkeeping included; 16 MiB in all with the default. Once, and not for each \
                     connection.",
            at_limit: "Further datagrams are dropped, and their senders send them again.",
        }
        datagram_bytes_max: u32 = udp::DATAGRAM_BYTES_MAX.into();
        "bytes", range(1_200, udp::DATAGRAM_BYTES_MAX as u64) => {
            sets: "The longest datagram that the node takes and tries to send. What a path carries \
                   is found out for each connection, from 1,200 bytes on; longer datagrams cost \
                   fewer packets, where jumbo frames carry them.",
            memory: "2,048 times that, in which datagrams are received: 13 MiB with the default. \
                     Once, and not for each connection.",
        }
        idle_window_bytes: u32 = 128 << 10; "bytes", range(2 * FRAME_BYTES, WINDOW_BYTES_MAX) => {
            sets: "What holds of a connection before its first receipt, or the first frame that is \
                   released to it, in place of `connection_window_bytes`, `send_window_bytes`, \
                   `unacknowledged_bytes_max` and `outgoing_bytes_max` where they are larger: \
                   whoever only connects makes the node hold no more.",
            memory: "Five times as many for a connection without a receipt: received, sent, under \
                     way, in the writer's group, waiting to be sent.",
            at_limit: "As of the value that it stands for.",
        }
        lane_window_bytes: u32 = 1 << 20; "bytes", range(FRAME_BYTES, WINDOW_BYTES_MAX) => {
            sets: "Bytes of one lane that may arrive before they are read.",
            memory: "That many for each lane.",
            at_limit: "The peer's lane waits.",
        }
        connection_window_bytes: u32 = 4 << 20; "bytes", range(FRAME_BYTES, WINDOW_BYTES_MAX) => {
            sets: "The same over all lanes.",
            memory: "That many: the most a peer can make the transport hold.",
            at_limit: "The peer waits.",
        }
        send_window_bytes: u64 = 1 << 20; "bytes", range(FRAME_BYTES, WINDOW_BYTES_MAX) => {
            sets: "Bytes sent and not acknowledged by the peer's transport. Larger ones leave the \
                   cache and measure slower.",
            memory: "That many for each connection.",
            at_limit: "The node sends no more until some are acknowledged.",
        }
        submissions_max: usize = 4096; "items", range(1024, 1 << 20) => {
            sets: "Items of one connection that may wait for the writer's answer; at least the 1,553 \
                   that one read can bring.",
            memory: "A frame of up to 64 KiB each, bounded by `unacknowledged_bytes_max` over all, \
                     those of ended streams included.",
            at_limit: "The connection's lanes are not read.",
        }
        reserved_items: usize = 64; "items", range(0, 65_536) => {
            sets: "Places of `journal.queue_items_max`, a half of them at most, that only what \
                   cannot wait may take: stops, revocations and denies that are signed well, \
                   changes of the registry, closes of windows. They are of no lane's share.",
            at_limit: "Everything else is refused as busy while these are free.",
        }
        streams_max: usize = ServerLimits::default().streams_max; "streams", range(1, 1 << 16) => {
            sets: "Most streams of a connection, refused ones included.",
            memory: "300 bytes each.",
            at_limit: "A further one is busy: its client waits and asks again.",
        }
        unacknowledged_bytes_max: u64 = ServerLimits::default().unacknowledged_bytes_max;
        "bytes", range(2 * FRAME_BYTES, 1 << 30) => {
            sets: "Most bytes of frames under way on a connection.",
            memory: "That many.",
            at_limit: "The connection's lanes are not read; a frame beyond is rejected as busy.",
        }
        unacknowledged_frames_max: u32 =
            (RECEIPT_ITEMS_MAX - ServerLimits::default().requests_max) as u32;
        "frames", range(1, 1 << 20) => {
            sets: "The same in frames. With the requests no more than one receipt can hold, so \
                   that a group never has to turn away a gateway that keeps to its credit.",
            at_limit: "The connection's lanes are not read.",
        }
        encrypted_bodies: bool = false; "yes or no", Allowed::Words("`true` or `false`") => {
            sets: "Whether frames are taken whose readings their gateway encrypted under a key \
                   that the node does not have. Of them only whose they are and when they were \
                   measured is looked at: a reading out of range is found by whoever reads it, and \
                   nobody reads without the key. What was taken stays readable when it is set \
                   back.",
            memory: "None by itself.",
            at_limit: "A gateway that encrypts is told so and sends nothing.",
        }
        credit_frames_total: u32 = 4096; "frames", range(8, 1 << 30) => {
            sets: "Frames of all sessions together that credit is given for: a session's credit \
                   is its even share, at least 8. Fewer than may wait for the writer, lane by lane \
                   (`journal.queue_items_max`): who keeps to its credit is not refused as busy.",
            memory: "None by itself.",
            at_limit: "Gateways send no more until receipts come.",
        }
        credit_bytes_total: u64 = 256 << 20; "bytes", range(2 * FRAME_BYTES, 1 << 40) => {
            sets: "The same in bytes; a share is at least 128 KiB.",
            memory: "That many: the frames under way, over all sessions.",
            at_limit: "Gateways send no more until receipts come.",
        }
        requests_max: usize = ServerLimits::default().requests_max;
        "requests", range(1, 1 << 16) => {
            sets: "Most operations and requests of a connection under way.",
            memory: "8 bytes for each frame that a request releases.",
            at_limit: "A further one is rejected as busy.",
        }
        renewals_max: usize = 4096; "names", range(1, 100_000) => {
            sets: "Names that may wait for a certificate which they asked for, or for their old \
                   connections to end: enough for those whose certificates end within the days \
                   between two runs of `sequencer identity renew --all`.",
            memory: "4 KiB each.",
            at_limit: "A further name is refused as busy: its client asks again.",
        }
        renewal_drain_ms: u64 = 30_000; "milliseconds", range(100, 60_000) => {
            sets: "How long open connections of a certificate go on after the one that it asked \
                   for was shown. A revocation does not wait for it.",
            at_limit: "They are closed: at that time, or at their first check after the change \
                       (`identity_check_ms`) if it is later.",
        }
        outgoing_bytes_max: usize = ServerLimits::default().outgoing_bytes_max;
        "bytes", range(2 * FRAME_BYTES, 1 << 30) => {
            sets: "Most bytes that wait to be sent on a connection.",
            memory: "That many.",
            at_limit: "Released frames wait from half of it on; at all of it the connection is \
                       closed as busy.",
        }
    }
}

settings! {
    /// How often each source may ask. A source is the certificate of a connection, over all its
    /// connections; a patient is whose key signed.
    pub struct RateConfig in "ingest.rates" {
        keys_max: usize = 65_536; "sources", range(1, 1 << 20) => {
            sets: "Sources whose rate is looked after, for each of the rates below.",
            memory: "100 bytes each.",
            at_limit: "A source beyond is told busy until another one has been quiet.",
            applies: Live,
        }
        opens_per_minute: u32 = 600; "streams a minute", range(1, 1_000_000) => {
            sets: "Streams that a gateway may open, over a long time.",
            at_limit: "A further one is busy: its client waits and asks again.",
            applies: Live,
        }
        opens_burst: u32 = 2048; "streams", range(1, 1_000_000) => {
            sets: "Streams that a gateway may open at once, after a restart for example.",
            at_limit: "As above.",
            applies: Live,
        }
        operations_per_minute: u32 = 600; "operations a minute", range(1, 1_000_000) => {
            sets: "Operations that a wallet or operator may send, over a long time, whether or not \
                   they are signed well; stops, revocations and denies have as many again, and \
                   the first of each connection besides (`connection_tries`).",
            at_limit: "A further one is refused as busy, and its signature is not looked at.",
            applies: Live,
        }
        operations_burst: u32 = 240; "operations", range(1, 1_000_000) => {
            sets: "The same at once.",
            at_limit: "As above.",
            applies: Live,
        }
        connection_tries: u32 = 8; "operations", range(1, 1_000) => {
            sets: "Stops, revocations and denies of one connection that may come to nothing and \
                   are looked at all the same, whatever others send with its certificate: they \
                   cost no more than its handshake did.",
            at_limit: "From then on it shares `operations_per_minute` with its certificate.",
            applies: Live,
        }
        patient_operations_per_minute: u32 = 12; "operations a minute", range(1, 1_000_000) => {
            sets: "Operations that a patient's key may sign through one certificate, over a long \
                   time; stops, revocations and denies have as many again. What is sent again \
                   after it took effect is none.",
            at_limit: "A further one is refused as busy.",
            applies: Live,
        }
        patient_operations_burst: u32 = 48; "operations", range(1, 1_000_000) => {
            sets: "The same at once.",
            at_limit: "As above.",
            applies: Live,
        }
        requests_per_minute: u32 = 120; "requests a minute", range(1, 1_000_000) => {
            sets: "Requests to read that a practitioner may send, over a long time. Each one that \
                   is decided is an entry, and each permitted one a claim to prove.",
            at_limit: "A further one is refused as busy.",
            applies: Live,
        }
        requests_burst: u32 = 120; "requests", range(1, 1_000_000) => {
            sets: "The same at once.",
            at_limit: "As above.",
            applies: Live,
        }
        names_per_minute: u32 = 60; "names a minute", range(1, 1_000_000) => {
            sets: "Names that a wallet or operator may ask about, over a long time: whether the \
                   registry knows whom a rule is about to name.",
            at_limit: "A further question is refused as busy: the wallet says that it did not \
                       check.",
            applies: Live,
        }
        names_burst: u32 = 60; "names", range(4, 1_000_000) => {
            sets: "The same at once.",
            at_limit: "As above.",
            applies: Live,
        }
        renewals_per_minute: u32 = 30; "requests a minute", range(1, 1_000_000) => {
            sets: "How often a name may ask for a certificate, or after it, over a long time: each \
                   of its connections does once a minute while it waits.",
            at_limit: "A further one is refused as busy: its client asks again.",
            applies: Live,
        }
        renewals_burst: u32 = 30; "requests", range(1, 1_000_000) => {
            sets: "The same at once.",
            at_limit: "As above.",
            applies: Live,
        }
    }
}

impl RateConfig {
    /// Checks every rate.
    ///
    /// # Errors
    /// [`LimitError`] for the first that does not hold.
    pub fn check(&self) -> Result<(), LimitError> {
        setting::check(self, RateConfig::SETTINGS)
    }

    pub(super) fn opens(&self) -> Rate {
        Rate { per_minute: self.opens_per_minute, burst: self.opens_burst }
    }

    pub(super) fn operations(&self) -> Rate {
        Rate { per_minute: self.operations_per_minute, burst: self.operations_burst }
    }

    pub(super) fn patient_operations(&self) -> Rate {
        let per_minute = self.patient_operations_per_minute;
        Rate { per_minute, burst: self.patient_operations_burst }
    }

    pub(super) fn requests(&self) -> Rate {
        Rate { per_minute: self.requests_per_minute, burst: self.requests_burst }
    }

    pub(super) fn renewals(&self) -> Rate {
        Rate { per_minute: self.renewals_per_minute, burst: self.renewals_burst }
    }

    pub(super) fn names(&self) -> Rate {
        Rate { per_minute: self.names_per_minute, burst: self.names_burst }
    }
}

impl IngestConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// [`LimitError`] for the first that does not hold.
    pub fn check(&self) -> Result<(), LimitError> {
        setting::check(self, IngestConfig::SETTINGS)?;
        // Keep-alives that come later than the peer is given up would keep nothing alive.
        let (found, most) = (self.keep_alive_ms, u64::from(self.idle_timeout_ms) - 1);
        if found > most {
            let key = "ingest.limits.keep_alive_ms";
            return Err(LimitError { key, least: 10, most, found });
        }
        Ok(())
    }

    pub(super) fn session_limits(&self, ahead_ms_max: u64) -> ServerLimits {
        ServerLimits {
            streams_max: self.streams_max,
            unacknowledged_bytes_max: self.unacknowledged_bytes_max,
            unacknowledged_frames_max: self.unacknowledged_frames_max,
            requests_max: self.requests_max,
            outgoing_bytes_max: self.idle_outgoing_bytes(),
            takes_encrypted: self.encrypted_bodies,
            ahead_ms_max,
        }
    }

    /// What a connection without a receipt may make the transport hold that it sent.
    pub(super) fn idle_connection_window(&self) -> u32 {
        self.connection_window_bytes.min(self.idle_window_bytes)
    }

    /// The same of what it is sent.
    pub(super) fn idle_send_window(&self) -> u64 {
        self.send_window_bytes.min(self.idle_window_bytes.into())
    }

    /// What waits to be sent to it.
    pub(super) fn idle_outgoing_bytes(&self) -> usize {
        self.outgoing_bytes_max.min(self.idle_window_bytes as usize)
    }

    /// What it may have under way.
    pub(super) fn idle_budget(&self) -> Credit {
        let bytes = self.unacknowledged_bytes_max.min(self.idle_window_bytes.into());
        Credit { bytes, ..self.budget() }
    }

    /// What a connection may really have under way; its credit is what it is told to keep to.
    pub(super) fn budget(&self) -> Credit {
        Credit { bytes: self.unacknowledged_bytes_max, frames: self.unacknowledged_frames_max }
    }

    /// The credit of one of `sessions` sessions.
    pub(super) fn credit(&self, sessions: usize) -> Credit {
        // Whoever asks before a session is counted must not divide by zero.
        let sessions = sessions.max(1);
        let frames = self.credit_frames_total / u32::try_from(sessions).unwrap_or(u32::MAX);
        let bytes = self.credit_bytes_total / sessions as u64;
        // Never below the least, so that the total is exceeded rather than an alarm held up; never
        // above what the session itself accepts.
        Credit {
            frames: frames.max(CREDIT_FRAMES_MIN).min(self.unacknowledged_frames_max),
            bytes: bytes.max(CREDIT_BYTES_MIN).min(self.unacknowledged_bytes_max),
        }
    }

    /// Connections that only wallets may take.
    pub(super) fn wallet_connections(&self) -> usize {
        self.connections_max * self.wallet_connections_percent as usize / 100
    }

    pub(super) fn datagram_bytes_max(&self) -> u16 {
        // Within its range, which the check holds.
        u16::try_from(self.datagram_bytes_max).unwrap_or(udp::DATAGRAM_BYTES_MAX)
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

/// A message of the largest frame must find room.
const FRAME_BYTES: u64 = wire::limits::FRAME_BYTES_MAX as u64;
/// What the transport's variable-length numbers hold here.
const WINDOW_BYTES_MAX: u64 = u32::MAX as u64;
/// Least credit of a session: alarms go through however many sessions there are.
const CREDIT_FRAMES_MIN: u32 = 8;
const CREDIT_BYTES_MIN: u64 = 2 * wire::limits::FRAME_BYTES_MAX as u64;
/// Most bytes that are read from a lane at once.
pub(super) const READ_BYTES_MAX: usize = 16 << 10;
/// More events than one read can bring: no message and no frame of a block is shorter, and a lane
/// may hold almost a whole block from before.
pub(super) const EVENTS_OF_A_READ_MAX: usize =
    READ_BYTES_MAX / wire::limits::BLOCK_PART_BYTES_MIN + wire::limits::BLOCK_FRAMES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_a_value_out_of_limits_is_named() {
        let good = IngestConfig::default();
        assert_eq!(good.check(), Ok(()));
        let slow = IngestConfig { identity_check_ms: 60_001, ..good.clone() };
        assert_eq!(slow.check().unwrap_err().key, "ingest.limits.identity_check_ms");
        let few = IngestConfig { submissions_max: 10, ..good.clone() };
        assert_eq!(few.check().unwrap_err().key, "ingest.limits.submissions_max");
        assert_eq!(good.credit(1), Credit { bytes: 1 << 20, frames: 480 });
        assert_eq!(good.credit(1000), Credit { bytes: 268_435, frames: 8 });
        assert!(toml::from_str::<IngestConfig>("connection_max = 1").is_err());
    }
}
