//! What an audit can find: something broken, or something that is not there.

use std::fmt;

use alloy::primitives::Address;
use ark_bn254::Fr;
use model::{BatchNumber, Word};
use thiserror::Error;

/// The thing that an audit looks at, as precisely as it can be named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A field of the deployment file against the chain.
    Deployment(&'static str),
    /// The verifying key of a shape.
    Key {
        /// Name of the shape in the deployment file.
        shape: String,
        /// What of it.
        part: &'static str,
    },
    /// A word of a settled header, or what its event says beside it.
    Header(&'static str),
    /// A section of the public file.
    File(&'static str),
    /// A sum or commitment over the chunks of a section, as the header has it.
    Total {
        /// `operations` or `claims`.
        section: &'static str,
        /// Of what.
        part: &'static str,
    },
    /// A chunk of operations.
    Operations {
        /// Its index in the batch.
        chunk: usize,
        /// What of it.
        part: &'static str,
    },
    /// A chunk of claims.
    Claims {
        /// Its index in the batch.
        chunk: usize,
        /// What of it.
        part: &'static str,
    },
    /// A committed claim or tag.
    ClaimLeaf {
        /// Index of the chunk in the batch.
        chunk: usize,
        /// Index of the leaf in the chunk.
        leaf: usize,
    },
    /// A committed operation.
    OperationLeaf {
        /// Index of the chunk in the batch.
        chunk: usize,
        /// Row in the chunk.
        row: usize,
    },
    /// A segment of the data root.
    Segment {
        /// Its index in the batch.
        segment: usize,
    },
    /// A journal group.
    Group {
        /// Its index in the file.
        index: usize,
        /// What of it.
        part: &'static str,
    },
    /// The journal hash, group by group.
    Journal(&'static str),
    /// The private file, of which only the outside can be checked.
    PrivateFile(&'static str),
    /// An opening as a whole, or its record.
    Opening {
        /// Name of its file.
        file: String,
        /// What of it.
        part: &'static str,
    },
    /// A claim in an opening.
    OpenedClaim {
        /// Name of the opening's file.
        file: String,
        /// Index of the claim in it.
        claim: usize,
        /// What of it.
        part: &'static str,
    },
    /// An operation in an opening.
    OpenedOperation {
        /// Name of the opening's file.
        file: String,
        /// Index of the operation in it.
        operation: usize,
        /// What of it.
        part: &'static str,
    },
    /// A receipt of the node.
    Receipt {
        /// Name of its file.
        file: String,
        /// What of it.
        part: &'static str,
    },
    /// A patient's request to erase their readings.
    Erasure {
        /// Name of its file.
        file: String,
        /// What of it.
        part: &'static str,
    },
    /// What the contract stores now.
    Head(&'static str),
    /// A header saved by an earlier audit.
    SavedHeader,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Deployment(part) => write!(f, "deployment, {part}"),
            Item::Key { shape, part } => write!(f, "key {shape}, {part}"),
            Item::Header(part) => write!(f, "header, {part}"),
            Item::File(part) => write!(f, "public file, {part}"),
            Item::Total { section, part } => write!(f, "all {section} chunks, {part}"),
            Item::Operations { chunk, part } => write!(f, "operations chunk {chunk}, {part}"),
            Item::Claims { chunk, part } => write!(f, "claims chunk {chunk}, {part}"),
            Item::ClaimLeaf { chunk, leaf } => write!(f, "claims chunk {chunk}, leaf {leaf}"),
            Item::OperationLeaf { chunk, row } => write!(f, "operations chunk {chunk}, row {row}"),
            Item::Segment { segment } => write!(f, "segment {segment}"),
            Item::Group { index, part } => write!(f, "journal group at index {index}, {part}"),
            Item::Journal(part) => write!(f, "journal, {part}"),
            Item::PrivateFile(part) => write!(f, "private file, {part}"),
            Item::Opening { file, part } => write!(f, "opening {file}, {part}"),
            Item::OpenedClaim { file, claim, part } => {
                write!(f, "opening {file}, claim {claim}, {part}")
            }
            Item::OpenedOperation { file, operation, part } => {
                write!(f, "opening {file}, operation {operation}, {part}")
            }
            Item::Receipt { file, part } => write!(f, "receipt {file}, {part}"),
            Item::Erasure { file, part } => write!(f, "request to erase {file}, {part}"),
            Item::Head(part) => write!(f, "contract head, {part}"),
            Item::SavedHeader => f.write_str("saved header"),
        }
    }
}

/// The first thing that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{}{item}: expected {expected}, found {found}", place(*batch))]
pub struct Broken {
    /// In which batch; `None` outside any.
    pub batch: Option<BatchNumber>,
    /// What.
    pub item: Item,
    /// What a sound deployment has there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

fn place(batch: Option<BatchNumber>) -> String {
    batch.map_or_else(String::new, |batch| format!("batch {}, ", batch.0))
}

/// Something that an audit needs and that nobody delivered.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{what} is not available: {why}")]
pub struct Unavailable {
    /// What is missing.
    pub what: String,
    /// What was tried and what came of it.
    pub why: String,
}

/// An argument for which there is nothing to be checked.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{what}: expected {expected}, found {found}")]
pub struct Refused {
    /// What was given.
    pub what: &'static str,
    /// What it could be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

impl Refused {
    /// The address of somebody who does not speak as it says.
    pub(crate) fn no_tls(what: &'static str) -> Refused {
        let expected = "one that begins with http://, as nothing there speaks TLS".to_owned();
        Refused { what, expected, found: "https://".to_owned() }
    }
}

/// Why an audit does not end with "holds".
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// Something is there and wrong.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Something is not there.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// What was asked for is not there to be checked.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Broken {
    /// Outside any batch.
    pub fn outside(item: Item, expected: impl Into<String>, found: impl Into<String>) -> Broken {
        Broken { batch: None, item, expected: expected.into(), found: found.into() }
    }

    /// In a batch.
    pub fn inside(
        batch: BatchNumber,
        item: Item,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Broken {
        Broken { batch: Some(batch), ..Broken::outside(item, expected, found) }
    }
}

/// A public value as a report shows it.
pub(crate) trait Show {
    fn show(&self) -> String;
}

macro_rules! show_number {
    ($($number:ty)*) => {$(
        impl Show for $number {
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
show_number!(u8 u32 u64 usize Address);

impl Show for [u8; 32] {
    fn show(&self) -> String {
        format!("0x{}", hex::encode(self))
    }
}

impl Show for Word {
    fn show(&self) -> String {
        self.to_hex()
    }
}

impl Show for Fr {
    fn show(&self) -> String {
        statement::field::to_word(self).to_hex()
    }
}

/// Compares; the error shows both sides.
pub(crate) fn equal<T: PartialEq + Show>(
    batch: Option<BatchNumber>,
    item: Item,
    expected: &T,
    found: &T,
) -> Result<(), Broken> {
    if expected == found {
        return Ok(());
    }
    Err(Broken { batch, item, expected: expected.show(), found: found.show() })
}
