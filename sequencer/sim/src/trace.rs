//! What happened in a run, as lines: equal seeds give equal lines, to the byte.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::clock::elapsed_ms;

/// Bytes of a datagram that are listed: what QUIC leaves in the clear of those that open a
/// connection, with the ids of both ends.
const HEAD_BYTES: usize = 40;

/// Lines of what happened, each with its time.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    text: String,
    silent: bool,
}

impl Trace {
    /// One that keeps nothing: of thousands of gateways nobody reads what each did.
    pub(crate) fn silent() -> Trace {
        Trace { text: String::new(), silent: true }
    }

    /// Something happened on a host, now.
    pub(crate) fn say(&mut self, what: impl AsRef<str>) {
        self.say_at(elapsed_ms(), what);
    }

    /// Something happened at this time, milliseconds.
    pub(crate) fn say_at(&mut self, at: u64, what: impl AsRef<str>) {
        if self.silent {
            return;
        }
        // A string takes whatever is written to it.
        let _ = writeln!(self.text, "{:>7}.{:03} {}", at / 1000, at % 1000, what.as_ref());
    }

    /// All of it.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// Every datagram that was sent, as one hash: a packet that comes a millisecond later, or is a byte
/// longer, makes another one.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    hash: blake3::Hasher,
    datagrams: u64,
    bytes: u64,
    /// A line for each, if somebody wants to see where two runs part.
    lines: Option<String>,
}

impl Traffic {
    /// Lists each datagram, too.
    pub(crate) fn listed() -> Traffic {
        Traffic { lines: Some(String::new()), ..Traffic::default() }
    }

    /// A line for each datagram, if they are listed.
    pub(crate) fn take_lines(&mut self) -> String {
        self.lines.take().unwrap_or_default()
    }

    pub(crate) fn sent(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let bytes = datagram.len();
        (self.datagrams, self.bytes) = (self.datagrams + 1, self.bytes + bytes as u64);
        let at = elapsed_ms();
        if let Some(lines) = &mut self.lines {
            // A string takes whatever is written to it.
            let head = hex::encode(&datagram[..HEAD_BYTES.min(bytes)]);
            let (s, ms) = (at / 1000, at % 1000);
            let _ = writeln!(lines, "{s:>7}.{ms:03} {from} to {to}: {bytes} {head}");
        }
        self.hash.update(&at.to_le_bytes());
        self.hash.update(format!("{from} {to}").as_bytes());
        self.hash.update(&(bytes as u64).to_le_bytes());
    }

    /// In words.
    pub(crate) fn summary(&self) -> String {
        let hash = hex::encode(&self.hash.finalize().as_bytes()[..8]);
        format!("{} datagrams of {} bytes, hash {hash}", self.datagrams, self.bytes)
    }
}
