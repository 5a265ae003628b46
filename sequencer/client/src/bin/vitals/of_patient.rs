//! Whose settled batches a command opens, and where they come from.

use std::path::PathBuf;

use clap::Args;
use client::Wallet;
use model::PatientIndex;

use crate::consent::parse_patient;
use crate::node::Expected;
use crate::report::Usage;

/// Whose batches are opened, and from where they come
#[derive(Args)]
pub(crate) struct OfPatient {
    /// Key of the patient; its view key opens the batches
    #[arg(long, value_name = "FILE")]
    pub(crate) patient_key: PathBuf,
    /// Batch files: a folder with NNNNNN/public.bin and private.bin, or `http[s]://HOST[:PORT]`
    #[arg(long, value_name = "DIR|URL")]
    pub(crate) data: String,
    /// Headers that an auditor saved (auditor verify --save-headers FILE)
    #[arg(long, value_name = "FILE")]
    pub(crate) headers: PathBuf,
    /// Folder with deployment.json
    #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
    pub(crate) identity: PathBuf,
    #[command(flatten)]
    pub(crate) expected: Expected,
    /// Index of the record, if the wallet's copy is lost
    #[arg(long, value_name = "N", value_parser = parse_patient)]
    pub(crate) patient: Option<PatientIndex>,
}

/// The patient that is given, or that of the wallet's copy; of both they are the same.
///
/// # Errors
/// [`Usage`] where there is neither, or they differ.
pub(crate) fn patient_of(
    given: Option<PatientIndex>,
    wallet: Option<&Wallet>,
) -> Result<PatientIndex, Usage> {
    let of_copy = wallet.map(|wallet| wallet.patient);
    if given.zip(of_copy).is_some_and(|(given, own)| given != own) {
        let why = "expected --patient to be that of the wallet's copy, found another";
        return Err(Usage(why.to_owned()));
    }
    let missing = || Usage("expected --patient N, or the wallet's record file".to_owned());
    given.or(of_copy).ok_or_else(missing)
}
