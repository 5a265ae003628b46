// Limits of `model::limits` that a reader of batches relies on.

/** Longest window, milliseconds. */
export const WINDOW_MS_MAX = 1n << 27n;
/** Entries between two closes lie below this. */
export const BATCH_ENTRIES_MAX = 1n << 28n;
/** Largest public batch file, bytes. */
export const BATCH_FILE_BYTES_MAX = 64 * 1024 * 1024;
/** Times have 44 bits. */
export const MILLIS_END = 1n << 44n;
/** Short segments are said to have at most so many bytes. */
export const SEGMENT_BYTES_MAX_LEAST = 64n * 1024n;
/** Milliseconds from 1900 to 1970: a block's time in seconds converts with it. */
export const UNIX_EPOCH_MS = 2_208_988_800_000n;
/** Chains on which keys from public constants are taken. */
export const DEVELOPMENT_CHAINS = [31_337n, 31_338n, 1_337n];
