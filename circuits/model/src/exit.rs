//! How a program ends by an error.

use std::error::Error;
use std::io::ErrorKind;

use crate::ExitCode;

impl ExitCode {
    /// How a program ends by an error: as `known` says of the outermost of its causes that it
    /// knows. What a program knows nothing of was tried and did not succeed: nobody's command line
    /// is to blame for it.
    ///
    /// ```
    /// use model::ExitCode;
    /// let error = std::io::Error::other("the disk is full");
    /// assert_eq!(ExitCode::of_error(&error, |_| None), ExitCode::Failed);
    /// ```
    pub fn of_error(
        error: &(dyn Error + 'static),
        known: impl Fn(&(dyn Error + 'static)) -> Option<ExitCode>,
    ) -> ExitCode {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(code) = known(error) {
                return code;
            }
            cause = error.source();
        }
        ExitCode::Failed
    }

    /// How a program ends by what the system says of a file that was named on the command line:
    /// whether the name is wrong or the system refuses what should work.
    pub fn of_named_file(kind: ErrorKind) -> ExitCode {
        match kind {
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidData
            | ErrorKind::FileTooLarge => ExitCode::Usage,
            _ => ExitCode::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    fn known(cause: &(dyn Error + 'static)) -> Option<ExitCode> {
        let file = cause.downcast_ref::<std::io::Error>()?;
        Some(ExitCode::of_named_file(file.kind()))
    }

    #[test]
    fn the_outermost_known_cause_decides_and_what_nobody_knows_failed() {
        let code = |kind: ErrorKind| ExitCode::of_error(&Outer(kind.into()), known);
        assert_eq!(code(ErrorKind::NotFound), ExitCode::Usage);
        for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other] {
            assert_eq!(code(kind), ExitCode::Failed, "{kind}");
        }
        let unknown = Outer(ErrorKind::NotFound.into());
        assert_eq!(ExitCode::of_error(&unknown, |_| None), ExitCode::Failed);
        let outermost = |cause: &(dyn Error + 'static)| {
            cause.is::<Outer>().then_some(ExitCode::Unavailable).or_else(|| known(cause))
        };
        assert_eq!(ExitCode::of_error(&unknown, outermost), ExitCode::Unavailable);
    }
}
