//! How the program ends by what both commands meet.

use std::error::Error;

use client::IdentityError;
use model::{ExitCode, IdError};

use crate::ledger::LedgerError;

/// What the program says of a cause, if it knows it. What the system said of a file that was named
/// stands below the errors that name it, and decides.
pub(crate) fn known(cause: &(dyn Error + 'static)) -> Option<ExitCode> {
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        return Some(ExitCode::of_named_file(error.kind()));
    }
    let line = matches!(cause.downcast_ref(), Some(LedgerError::Line { .. }));
    let identity = cause.downcast_ref::<IdentityError>();
    let identity = identity.is_some_and(|error| !matches!(error, IdentityError::File { .. }));
    (line || identity || cause.is::<IdError>()).then_some(ExitCode::Usage)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_disk_that_is_full_is_nobodys_command_line() {
        let code = |error: &(dyn Error + 'static)| ExitCode::of_error(error, known);
        let ledger = |kind: ErrorKind| {
            let (path, source) = ("acks".into(), kind.into());
            code(&LedgerError::Write { path, source })
        };
        assert_eq!(ledger(ErrorKind::StorageFull), ExitCode::Failed);
        assert_eq!(ledger(ErrorKind::AlreadyExists), ExitCode::Usage);
        assert_eq!(code(&IdentityError::Subject), ExitCode::Usage);
        let (path, source) = ("gw/key.pem".into(), ErrorKind::Other.into());
        assert_eq!(code(&IdentityError::File { path, source }), ExitCode::Failed);
        assert_eq!(code(&std::fmt::Error), ExitCode::Failed);
    }
}
