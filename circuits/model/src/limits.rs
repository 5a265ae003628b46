//! Limits that more than one part relies on. Each says what happens when it is reached.

/// Longest window, 2^27 ms (37 hours): a batch that would be longer is closed before.
pub const WINDOW_MS_MAX: u64 = 1 << 27;

/// Most entries between two closes of a batch, 2^28: the batch is closed before.
pub const BATCH_ENTRIES_MAX: u64 = 1 << 28;

/// Most journal groups of a window, one million: the window is closed before. Each costs 56 bytes
/// of the public batch file.
pub const WINDOW_GROUPS_MAX: u64 = 1_000_000;

/// Most proofs of a batch, 160: the window is closed before. A batch settles in one transaction,
/// and at some 63,000 gas a proof that many stay well below the 2^24 gas of EIP-7825.
pub const BATCH_PROOFS_MAX: usize = 160;

/// Largest frame with its header, bytes: a larger one is refused as oversized.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Most readings in a frame: more are refused as malformed.
pub const FRAME_READINGS_MAX: usize = 8192;

/// Largest control message (hello, descriptor, operation, request, receipt), bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Largest public or private batch file, bytes: a reader refuses beyond. A window is closed before
/// by its limits of entries, groups and proofs; no writer compares with this one.
pub const BATCH_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest validity of a signed access request, one hour: a longer one is refused. Bounds how long
/// a used nonce is remembered.
pub const REQUEST_VALIDITY_MS_MAX: u64 = 60 * 60 * 1000;

/// What is said of every file, journal, receipt or session of the first version, after its name: it
/// is refused and never converted (`sequencer/docs/versions.md`).
pub const FIRST_VERSION: &str = "nothing of the first version is converted: its contract takes \
    proofs of the first circuits only, and its consents are signed for that contract; keep it with \
    the release that wrote it and deploy anew";
