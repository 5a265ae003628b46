//! Whose settled batches a command opens, and where they come from.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use client::Wallet;
use client::log::Viewer;
use files::Audience;
use model::PatientIndex;
use statement::batch::ReleasedFrames;

use crate::node::Expected;
use crate::report::Usage;

/// Largest file of released frames that is read: far more than a node releases for one access.
const FRAMES_BYTES_MAX: u64 = 1 << 30;

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
    #[arg(long, value_name = "N")]
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

/// Files of released frames, each of this patient and deployment.
///
/// # Errors
/// [`Usage`] of another's: nothing of it would be compared, and that would look like success.
pub(crate) fn read_frames(
    paths: &[PathBuf],
    viewer: &Viewer,
) -> anyhow::Result<Vec<ReleasedFrames>> {
    let read = |path: &PathBuf| {
        let what = || format!("reading {}", path.display());
        let bytes = files::read(path, FRAMES_BYTES_MAX, Audience::Owner).with_context(what)?;
        let released = ReleasedFrames::from_bytes(&bytes).with_context(what)?;
        if released.scope != viewer.scope || released.patient != viewer.patient {
            let why = "expected frames of this patient and deployment, found others";
            return Err(Usage(format!("{}: {why}", path.display())).into());
        }
        Ok(released)
    };
    paths.iter().map(read).collect()
}
