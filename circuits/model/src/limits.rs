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

/// Largest public or private batch file, bytes: a reader refuses beyond. A window is closed before:
/// for the public file by its limits of entries, groups and proofs, for the private one by
/// [`WINDOW_PRIVATE_BYTES_MAX`].
pub const BATCH_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most bytes that a patient's sealed opening has beside its lists: record and path, some 3.7 KB,
/// and up to 4,096 of padding.
pub const OPENING_BYTES: usize = 8300;

/// Most bytes of a sealed opening of one claim: 1.3 KB with its signed request to read.
pub const CLAIM_OPENING_BYTES: usize = OPENING_BYTES + 1400;

/// Most bytes of a sealed opening of one operation.
pub const OPERATION_OPENING_BYTES: usize = OPENING_BYTES + 600;

/// Bytes of a private file at which a window is closed, 44 MiB, as if each claim, each operation
/// and each patient who was refused something or asked about had an opening of its own: 4,756
/// claims, or a question about each of 5,303 patients. The item that reaches it and the close
/// behind it may add two minutes' counts of refusals, 2 * 1,024 + 3 of at most 8,500 bytes, some
/// 17 MiB: together they stay below [`BATCH_FILE_BYTES_MAX`].
pub const WINDOW_PRIVATE_BYTES_MAX: usize = 44 * 1024 * 1024;

/// Longest validity of a signed access request, one hour: a longer one is refused. Bounds how long
/// a used nonce is remembered.
pub const REQUEST_VALIDITY_MS_MAX: u64 = 60 * 60 * 1000;

/// What is said of every file, journal, receipt or session of the first version, after its name: it
/// is refused and never converted (`sequencer/docs/versions.md`).
pub const FIRST_VERSION: &str = "nothing of the first version is converted: its contract takes \
    proofs of the first circuits only, and its consents are signed for that contract; keep it with \
    the release that wrote it and deploy anew";
