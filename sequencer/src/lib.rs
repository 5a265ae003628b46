//! The node: ingest, journal, batches, proving, settlement, and the demo.
