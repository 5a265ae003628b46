//! Frames, receipts, limits and the sans-IO session machines of the ingest protocol.
