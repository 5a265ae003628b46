//! Steps that say what was expected and what was found.

use std::error::Error;
use std::fmt::Display;
use std::path::Path;

use model::with_causes;
use thiserror::Error;

/// The first thing that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{step}: expected {expected}, found {found}")]
pub struct DemoError {
    /// Name of the step.
    pub step: &'static str,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
}

/// A step of the demo, by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step(pub(super) &'static str);

impl Step {
    pub(super) fn failed(self, expected: impl Display, found: impl Display) -> DemoError {
        let (expected, found) = (expected.to_string(), found.to_string());
        DemoError { step: self.0, expected, found }
    }

    /// The value, or a failure with the error and its causes.
    pub(super) fn ok<T, E: Error + 'static>(self, result: Result<T, E>) -> Result<T, DemoError> {
        result.map_err(|error| self.failed("success", with_causes(&error)))
    }

    pub(super) fn io<T>(self, path: &Path, result: std::io::Result<T>) -> Result<T, DemoError> {
        result.map_err(|error| self.failed(format!("access to {}", path.display()), error))
    }

    pub(super) fn equal<T: PartialEq + std::fmt::Debug>(
        self,
        what: &str,
        expected: T,
        found: T,
    ) -> Result<(), DemoError> {
        if expected == found {
            return Ok(());
        }
        Err(self.failed(format!("{what} {expected:?}"), format!("{found:?}")))
    }
}
