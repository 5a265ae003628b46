//! What the commands share.

pub(crate) mod outputs;

use model::ExitCode;

/// An error for people, and how the program ends by it.
pub(crate) type Failure = (ExitCode, anyhow::Error);
