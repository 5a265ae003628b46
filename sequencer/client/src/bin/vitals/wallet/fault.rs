//! What keeps the patient's page from doing what it was asked, by a word that it has sentences for.

use client::batches::FetchError;
use client::hand_in::HandInError;
use client::headers::HeadersError;
use client::{KeyError, WalletError};
use model::ExitCode;
use serde_json::Value;

use crate::report::{KeyInUse, error_object};

/// What the page itself finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum PageFault {
    /// The copy beside the key is of another patient's key.
    #[error(
        "expected the record of this key beside it, found that of another key: start the wallet \
         with the key of this record, and sign nothing before"
    )]
    OtherKey,
    /// Something was sent that nobody knows the end of.
    #[error(
        "expected what was sent before to be known first, found an operation without an answer: \
         ask the node what became of it"
    )]
    Pending,
    /// Another preview than the last one, or none, or one that was signed.
    #[error(
        "expected the preview that was shown last and was not signed yet, found another: the rules \
         say what holds"
    )]
    PreviewGone,
    /// The registry does not know somebody whom the rule names.
    #[error(
        "expected names that the registry knows, found one that it does not: correct it, or say \
         that the rule is signed all the same; nothing was signed"
    )]
    NameUnknown,
    /// The page has ended.
    #[error("expected a page that is open, found one that has ended: nothing was signed")]
    Ended,
    /// The log is being read.
    #[error("expected nobody to read the log now, found it being read: try again in a while")]
    Reading,
    /// The copy lacks operations that the log has.
    #[error(
        "expected the wallet's copy to have every operation of the log, found that it lacks some: \
         what is signed on it would be refused; make it anew from the log"
    )]
    CopyBehind,
    /// The record changed since it was previewed.
    #[error(
        "expected the record as it was when the preview was made, found another: something was \
         signed meanwhile, look at it again"
    )]
    Changed,
    /// The preview is old.
    #[error("expected a preview of the last minutes, found one that is over: look at it again")]
    Over,
    /// The copy has more than the batches do.
    #[error(
        "expected a log that has every operation of the wallet's copy, found one that is behind \
         it: the copy stays as it is"
    )]
    Behind,
    /// The copy contradicts the log.
    #[error(
        "expected a copy that signed operations explain, found one that they do not: it is evidence, \
         keep the file and the log, and ask an auditor"
    )]
    Evidence,
    /// The log has nothing to make a copy of.
    #[error(
        "expected a log that holds and has a record of this key, found none: nothing is rebuilt"
    )]
    NoRecord,
}

/// The object of an error, with the word for its kind.
pub(crate) fn object(error: &anyhow::Error) -> Value {
    let mut object = error_object(error);
    // What a command line would call wrongly given is so here, wherever the error arises.
    let is_usage = object["exit"] == ExitCode::Usage.number();
    let other = if is_usage { "given-wrongly" } else { "failed" };
    object["kind"] = kind(error).unwrap_or(other).into();
    object
}

/// The outermost cause that has a word.
fn kind(error: &anyhow::Error) -> Option<&'static str> {
    let missing = |source: &std::io::Error| source.kind() == std::io::ErrorKind::NotFound;
    for cause in error.chain() {
        if let Some(fault) = cause.downcast_ref::<PageFault>() {
            return Some(match fault {
                PageFault::OtherKey => "key-other",
                PageFault::Pending => "pending",
                PageFault::PreviewGone => "preview-gone",
                PageFault::NameUnknown => "name-unknown",
                PageFault::Changed | PageFault::Over => "look-again",
                PageFault::Ended => "failed",
                PageFault::Reading => "reading",
                PageFault::CopyBehind => "copy-behind",
                PageFault::Behind | PageFault::NoRecord | PageFault::Evidence => "not-rebuilt",
            });
        }
        if let Some(fault) = cause.downcast_ref::<HandInError>() {
            return Some(match fault {
                HandInError::Unavailable { .. } => "node-away",
                HandInError::Busy { .. } => "node-busy",
                HandInError::Unknown { .. } => "unknown",
                HandInError::NoReceipt { .. }
                | HandInError::Receipt { .. }
                | HandInError::OtherReceipt { .. } => "receipt",
                HandInError::Refused { .. } => "refused",
                HandInError::Address | HandInError::NoTls { .. } | HandInError::Length(_) => {
                    "given-wrongly"
                }
            });
        }
        if cause.is::<KeyInUse>() {
            return Some("key-in-use");
        }
        if cause.is::<FetchError>() {
            return Some("files-away");
        }
        match cause.downcast_ref::<HeadersError>() {
            Some(HeadersError::File { source, .. }) if missing(source) => {
                return Some("headers-missing");
            }
            Some(_) => return Some("headers-other"),
            None => {}
        }
        match cause.downcast_ref::<WalletError>() {
            Some(WalletError::File { source, .. }) if missing(source) => {
                return Some("copy-missing");
            }
            Some(WalletError::Operation(_) | WalletError::NoSlot | WalletError::EmptySlot) => {
                return Some("not-allowed");
            }
            Some(_) => return Some("copy-other"),
            None => {}
        }
        if cause.is::<KeyError>() {
            return Some("key-other");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_the_word_that_the_page_has_a_sentence_for() {
        let not_found = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let path = || std::path::PathBuf::from("a");
        let nobody = client::party::actor("practitioner:Dr X").unwrap_err();
        let cases: [(anyhow::Error, &str); 10] = [
            (nobody.into(), "given-wrongly"),
            (PageFault::OtherKey.into(), "key-other"),
            (PageFault::Pending.into(), "pending"),
            (PageFault::Over.into(), "look-again"),
            (HandInError::Address.into(), "given-wrongly"),
            (FetchError::Address.into(), "files-away"),
            (HeadersError::File { path: path(), source: not_found() }.into(), "headers-missing"),
            (HeadersError::File { path: path(), source: denied() }.into(), "headers-other"),
            (WalletError::File { path: path(), source: not_found() }.into(), "copy-missing"),
            (anyhow::anyhow!("a thread is gone"), "failed"),
        ];
        for (error, word) in cases {
            let object = object(&error.context("somewhere"));
            assert_eq!(object["kind"], word, "{object}");
            assert!(object["exit"].is_number() && object["error"].is_array());
        }
    }
}
