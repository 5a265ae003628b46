//! The core: what must hold, as functions of plain values.
//!
//! In the order of an audit: [`deployment`] compares the deployment file with the chain and gives
//! the [`Context`]; [`headers`] follows the headers from genesis; [`batch`] checks one public file
//! down to every proof; [`opening`] evaluates what a patient opened; [`head`] compares what the
//! contract stores at last.
//!
//! ```
//! use auditor::check::{self, Lateness, Previous, Settled};
//! use l1_contracts::SettledBatch;
//! use model::{BatchHeader, ChainScope, Millis};
//!
//! let scope = ChainScope { chain_id: 31_337, contract: [0x5e; 20] };
//! let genesis = Previous::genesis(scope, Millis::new(1000)?);
//! assert_eq!(check::headers(&genesis, &[], 600_000), Ok(Lateness::default()));
//!
//! // An event whose header does not come after the genesis.
//! # let mut words = [[0; 32]; BatchHeader::WORDS];
//! # for (word, number) in [(0, 2), (1, 7_u64), (3, 1000), (4, 2000)] {
//! #     words[word][24..].copy_from_slice(&number.to_be_bytes());
//! # }
//! let header = BatchHeader::from_bytes(words.as_flattened())?;
//! # let (block, transaction, block_hash) = (1, Default::default(), Default::default());
//! # let (header_hash, lateness_ms) = ([0; 32], 0);
//! # let batch =
//! #     SettledBatch { header, header_hash, lateness_ms, transaction, block, block_hash };
//! # let settled = [Settled { batch, block_time: Millis::new(2000)? }];
//! let broken = check::headers(&genesis, &settled, 600_000).unwrap_err();
//! assert_eq!(broken.to_string(), "batch 7, header, number: expected 1, found 7");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod claims;
mod deployment;
mod frames;
mod headers;
mod journal;
mod lists;
mod openings;
mod operations;
mod parts;
mod proofs;
mod readings;

pub use batch::{Summary, batch, edges, private_file};
pub use deployment::{ChainKey, OnChain, contract_code, deployment};
pub use frames::{FramesCounts, NamedFrames, frames};
pub use headers::{Lateness, Settled, head, headers};
pub use openings::{Coverage, NamedOpening, Opened, SoundBatch, coverage, opening};
pub use parts::{AcceptedKey, BatchContext, Context, Previous, Tail};
pub use readings::{NamedErasure, Readings, ReadingsCounts, readings};
