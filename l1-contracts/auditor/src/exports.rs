//! `auditor accounting`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use accounting::{Export, FILE_BYTES_MAX, ReadError};
use anyhow::Context as _;
use auditor::{Colour, NamedExport, Place, check_exports};
use clap::Args;
use files::Audience;
use l1_contracts::Deployment;
use model::ExitCode;

use crate::given::{Given, PlaceArgs, Read, told};

#[derive(Args)]
pub(crate) struct Accounting {
    #[command(flatten)]
    place: PlaceArgs,
    /// Files as `vitals log` wrote them: CSV, JSON or HTML
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) async fn check(args: &Accounting) -> anyhow::Result<ExitCode> {
    let Read { rpc, deployment, data } = args.place.read().map_err(Given)?;
    let read = |path: &PathBuf| read_export(path, &deployment);
    let files = args.files.iter().map(read).collect::<anyhow::Result<Vec<_>>>().map_err(Given)?;
    let place = Place { rpc: &rpc, deployment: &deployment, data: &data };
    let checked = match check_exports(place, &files).await {
        Ok(checked) => checked,
        Err(fault) => return Ok(told(&fault)),
    };
    let is_terminal = std::io::stdout().is_terminal();
    match args.place.json {
        true => println!("{}", serde_json::to_string_pretty(&checked)?),
        false => {
            let colour = if is_terminal { Colour::Terminal } else { Colour::Plain };
            print!("{}", checked.text(colour));
        }
    }
    Ok(if checked.holds { ExitCode::Ok } else { ExitCode::Failed })
}

/// A file that is none is the caller's mistake; one in which lines were changed is what this
/// program is for.
fn read_export(path: &Path, deployment: &Deployment) -> anyhow::Result<NamedExport> {
    let what = || format!("the file {}", path.display());
    let bytes = files::read(path, FILE_BYTES_MAX as u64, Audience::Owner).with_context(what)?;
    let read = match Export::read(&bytes) {
        Err(error) if !matches!(error, ReadError::Different { .. }) => {
            return Err(error).with_context(what);
        }
        read => read,
    };
    let other = |export: &Export| export.document.about().scope != deployment.scope();
    let is_other = read.as_ref().is_ok_and(other);
    anyhow::ensure!(!is_other, "{}: expected a file of this deployment, found another's", what());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(NamedExport { name, read })
}
