//! What the transport must provide: protocol name, version, features, lanes.

/// ALPN protocol name; the number is the version of the framing.
pub const ALPN: &[u8] = b"vitals/1";

/// Version in hello and welcome.
pub const PROTOCOL_VERSION: u16 = 2;

/// What a client sends first on every lane, so that the server learns of the lane; then the lane's
/// number in one byte.
const LANE_PREAMBLE: [u8; 7] = *b"vitals1";

/// Optional parts of the protocol that a side speaks: 64 bits, unknown ones ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Features(pub u64);

impl Features {
    /// The raw codec: required of both sides.
    pub const RAW: Features = Features(1);
    /// Questions about names.
    pub const NAMES: Features = Features(2);
    /// The columnar codec.
    pub const COLUMNAR: Features = Features(4);
    /// The grid codec.
    pub const GRID: Features = Features(8);
    /// Frames of several streams in one message.
    pub const BLOCKS: Features = Features(16);
    /// Bodies that the gateway encrypted: a client says that it tells them from others, a server
    /// that it takes them.
    pub const ENCRYPTED: Features = Features(32);
    /// Certificates that are asked for over the connection of the one before.
    pub const RENEWALS: Features = Features(256);
    /// Every codec of this version.
    pub const CODECS: Features =
        Features(Features::RAW.0 | Features::COLUMNAR.0 | Features::GRID.0);
    /// Everything that this version speaks.
    pub const SPOKEN: Features = Features(
        Features::CODECS.0
            | Features::BLOCKS.0
            | Features::ENCRYPTED.0
            | Features::NAMES.0
            | Features::RENEWALS.0,
    );

    /// What is in both sets.
    pub const fn and(self, other: Features) -> Features {
        Features(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    pub const fn without(self, other: Features) -> Features {
        Features(self.0 & !other.0)
    }

    /// Whether every feature of `other` is in this set.
    pub const fn contains(self, other: Features) -> bool {
        other.0 & !self.0 == 0
    }
}

/// One of the three bidirectional streams that a client opens, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// Control messages, receipts, and streams of alarms.
    Control = 0,
    /// Live streams.
    Live = 1,
    /// Backfill, and the data released by an access.
    Backfill = 2,
}

impl Lane {
    /// Every lane, in the order the client opens them.
    pub const ALL: [Lane; 3] = [Lane::Control, Lane::Live, Lane::Backfill];

    /// How urgent what is sent on it is to the transport: of what waits there, all of a lane goes
    /// before anything of a lower one (rule W.87). Higher is more urgent.
    pub fn priority(self) -> i32 {
        match self {
            Lane::Control => 2,
            Lane::Live => 1,
            Lane::Backfill => 0,
        }
    }

    /// The lane with this number.
    pub(crate) fn from_number(number: u8) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| *lane as u8 == number)
    }

    /// What the client sends first on this lane.
    pub fn preamble(self) -> [u8; 8] {
        let mut bytes = [self as u8; 8];
        bytes[..7].copy_from_slice(&LANE_PREAMBLE);
        bytes
    }
}
