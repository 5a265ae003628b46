//! What one chain and its doors take at most.

/// Largest signed transaction taken, in bytes: what public nodes relay.
pub const RAW_TX_BYTES_MAX: usize = 128 * 1024;

/// Largest request, in bytes; over HTTP a larger one is answered with status 413.
pub const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Requests in one batch.
pub const BATCH_MAX: usize = 100;

/// Requests and batches that one server runs at a time; one more is answered with -32005.
pub const REQUESTS_AT_ONCE_MAX: usize = 64;

/// Limits of one chain. Each is checked before work is done for the request, but for the number of
/// logs, which is known only while they are searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Blocks held, all of them in memory with their transaction, receipt and undo: about 2 KiB
    /// and three times the transaction's bytes each. A full chain refuses transactions.
    /// Default 1,000,000.
    pub blocks_max: u64,
    /// Blocks that one `eth_getLogs` searches. Default 10,000.
    pub log_blocks_max: u64,
    /// Logs in one answer of `eth_getLogs`. Default 10,000.
    pub logs_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { blocks_max: 1_000_000, log_blocks_max: 10_000, logs_max: 10_000 }
    }
}
