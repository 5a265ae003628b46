//! `auditor page`: a batch as one file that opens from disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use auditor::{Fault, Source};
use clap::Args;
use files::Audience;
use l1_contracts::Patience;
use model::{BatchNumber, Clock as _, ExitCode, SystemClock, escape};
use page_server::{FILES_BYTES_MAX, SaveError, Saving, saved_page};
use statement::batch::PublicFile;

use crate::given::{Given, told};
use crate::serving::{Looked, Looks};

/// Most files that are read for the last journal group before the batch, as the page does.
const TAIL_FILES_MAX: u64 = 4;

#[derive(Args)]
pub(crate) struct Page {
    #[command(flatten)]
    looks: Looks,
    /// Number of the batch, which has settled.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    batch: u64,
    /// The file, which must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Reads everything that the page would ask, and writes it behind the page.
pub(crate) async fn save(args: &Page) -> anyhow::Result<ExitCode> {
    let Page { looks, batch, out } = args;
    let Looked { deployment, chains, data } = looks.read().map_err(Given)?;
    if out.exists() {
        let found = anyhow::anyhow!("expected no file {} yet, found one", out.display());
        return Err(Given(found).into());
    }
    let number = BatchNumber(*batch);
    let files = match files_of(&data, number).await {
        Ok(files) => files,
        Err(fault) => return Ok(told(&fault)),
    };
    let saving = Saving { number, deployment, chains, files, at: SystemClock.now() };
    let page = match saved_page(saving).await {
        Ok(page) => page,
        Err(error) => {
            eprintln!("auditor: {}", escape(&error.to_string()));
            return Ok(code_of(&error));
        }
    };
    files::create(out, &page, Audience::Public)
        .with_context(|| format!("the page is not kept in {}", out.display()))?;
    match looks.place.json {
        true => println!(
            "{}",
            serde_json::json!({
                "schema": "vitals-saved-page-1", "batch": batch, "bytes": page.len(),
            })
        ),
        false => println!(
            "{}: batch {batch}, {} bytes; it opens from disk, and checks the batch when it does",
            out.display(),
            page.len()
        ),
    }
    Ok(ExitCode::Ok)
}

/// The batch's public file, and those before it up to one that holds a journal group: by that the
/// batch is linked to what came before. One of before that is missing or too large is left out, and
/// the page says that the batch is not linked.
async fn files_of(
    data: &Source,
    number: BatchNumber,
) -> Result<BTreeMap<BatchNumber, Vec<u8>>, Fault> {
    let own = data.public_file(number, &Patience::short()).await?;
    let mut room = FILES_BYTES_MAX.saturating_sub(own.len());
    let mut files = BTreeMap::from([(number, own)]);
    for before in (number.0.saturating_sub(TAIL_FILES_MAX).max(1)..number.0).rev() {
        let before = BatchNumber(before);
        let Ok(bytes) = data.public_file(before, &Patience::short()).await else { break };
        let Some(left) = room.checked_sub(bytes.len()) else { break };
        room = left;
        let is_last = PublicFile::from_bytes(&bytes).map_or(true, |file| !file.groups.is_empty());
        files.insert(before, bytes);
        if is_last {
            break;
        }
    }
    Ok(files)
}

fn code_of(error: &SaveError) -> ExitCode {
    match error {
        SaveError::Deployment(_) | SaveError::NotSettled(_) | SaveError::TooLarge => {
            ExitCode::Usage
        }
        SaveError::Client(_) => ExitCode::Failed,
        SaveError::Chain { .. } | SaveError::Malformed { .. } | SaveError::Moved => {
            ExitCode::Unavailable
        }
    }
}
