//! `sequencer archive status | push | fetch | verify`.

use std::path::PathBuf;

use anyhow::anyhow;
use archive::{Pushed, Verified};
use clap::{Args, Subcommand};
use sequencer::folder::layout::Layout;
use sequencer::node::archived::{ArchiveOf, ArchiveStatus, FetchedFile, OfflineError};
use sequencer::node::survey::SurveyError;
use serde_json::json;

use super::inspect::end;
use super::log::log_to_stderr;
use super::outcome::{Asked, Failure, Outcome, failed, runtime, unavailable, usage};

#[derive(Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Says what is in the archive and what is here, of a node that runs or not. Reads manifests
    /// alone.
    Status(ArchiveArgs),
    /// Archives what a stopped node left, sealed files and settled batches; nothing is removed
    /// here. A node that runs archives by itself.
    Push(ArchiveArgs),
    /// Brings the files that a stopped node has put away back into its journal, each held against
    /// its hash; with --to writes what the archive has to another folder.
    Fetch(FetchArgs),
    /// Reads everything that the manifests name, and all that this node has put away, and holds it
    /// against its hash. Ends with 1 if an object is missing or has other bytes, or if it is
    /// another place than the one that this node remembers.
    Verify(ArchiveArgs),
}

#[derive(Args)]
pub(crate) struct ArchiveArgs {
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
pub(crate) struct FetchArgs {
    /// Where the files are written, instead of the node's own journal; what is there already stays.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// This file of the journal alone, by its number.
    #[arg(long, value_name = "N", conflicts_with = "batches")]
    file: Option<u64>,
    /// Public batch files instead, as `auditor verify --data` reads them.
    #[arg(long, requires = "to")]
    batches: bool,
    #[command(flatten)]
    asked: Asked,
}

pub(crate) fn run(command: ArchiveCommand) -> Outcome {
    log_to_stderr("warn")?;
    match command {
        ArchiveCommand::Status(args) => status(&args.asked),
        ArchiveCommand::Push(args) => push(&args.asked),
        ArchiveCommand::Fetch(args) => fetch(&args),
        ArchiveCommand::Verify(args) => verify(&args.asked),
    }
}

fn open(asked: &Asked) -> Outcome<ArchiveOf> {
    ArchiveOf::open(&Layout::new(&asked.node.dir)).map_err(archive_failed)
}

fn archive_failed(error: OfflineError) -> Failure {
    match error {
        OfflineError::Off { .. }
        | OfflineError::NoFile { .. }
        | OfflineError::OwnJournal { .. } => usage(error),
        OfflineError::Survey(SurveyError::Absent { .. } | SurveyError::Locked { .. })
        | OfflineError::Archive(archive::ArchiveError::Object(_)) => unavailable(error),
        error => failed(error),
    }
}

fn status(asked: &Asked) -> Outcome {
    let end = end(&Layout::new(&asked.node.dir))?;
    let found = runtime()?.block_on(open(asked)?.status(end)).map_err(archive_failed)?;
    let ArchiveStatus {
        manifests,
        files,
        batches,
        bytes,
        last_group,
        last_batch,
        here,
        waiting,
        there_alone,
    } = found;
    let text = format!(
        "archive      {files} files of the journal, up to group {last_group}; {batches} batches; \
         {bytes} bytes; {manifests} manifests\n\
         here         {here} sealed files, {waiting} of them not archived yet\n\
         there alone  {there_alone} files"
    );
    let json = json!({
        "schema": "vitals-archive-status-1", "manifests": manifests, "files": files,
        "batches": batches, "bytes": bytes, "last_group": last_group, "last_batch": last_batch,
        "here": here, "waiting": waiting, "there_alone": there_alone,
    });
    asked.print(&text, &json);
    Ok(())
}

fn push(asked: &Asked) -> Outcome {
    let pushed = runtime()?.block_on(open(asked)?.push()).map_err(archive_failed)?;
    let Pushed { files, batches, bytes } = pushed;
    let text = format!("archived: {files} files of the journal, {batches} batches, {bytes} bytes");
    let json = json!({
        "schema": "vitals-archive-pushed-1", "files": files, "batches": batches, "bytes": bytes,
    });
    asked.print(&text, &json);
    Ok(())
}

fn fetch(args: &FetchArgs) -> Outcome {
    let FetchArgs { to, file, batches, asked } = args;
    let (archive, runtime) = (open(asked)?, runtime()?);
    let fetched = match to {
        None => runtime.block_on(archive.bring_back(*file)),
        Some(to) if *batches => runtime.block_on(archive.fetch_batches(to)),
        Some(to) => runtime.block_on(archive.fetch(*file, to)),
    };
    let fetched = fetched.map_err(archive_failed)?;
    let line =
        |FetchedFile { path, bytes }: &FetchedFile| format!("{}: {bytes} bytes", path.display());
    let text = fetched.iter().map(line).collect::<Vec<_>>().join("\n");
    let json = json!({
        "schema": "vitals-archive-fetched-1",
        "files": fetched.iter().map(|one| json!({ "path": one.path, "bytes": one.bytes }))
            .collect::<Vec<_>>(),
    });
    asked.print(&text, &json);
    Ok(())
}

fn verify(asked: &Asked) -> Outcome {
    let end = end(&Layout::new(&asked.node.dir))?;
    let verified = runtime()?.block_on(open(asked)?.verify(end)).map_err(archive_failed)?;
    let Verified { manifests, files, batches, bytes, wrong, findings } = verified;
    let mut lines = vec![format!(
        "{manifests} manifests: {files} files of the journal, {batches} batches, {bytes} bytes"
    )];
    lines.extend(findings.iter().map(|finding| finding.error.to_string()));
    lines.push(match wrong {
        0 => "all there, each with its hash".to_owned(),
        wrong => format!("{wrong} missing or with other bytes"),
    });
    let json = json!({
        "schema": "vitals-archive-verified-1", "manifests": manifests, "files": files,
        "batches": batches, "bytes": bytes, "wrong": wrong,
        "findings": findings.iter()
            .map(|one| json!({ "object": one.object.to_string(), "why": one.error.to_string() }))
            .collect::<Vec<_>>(),
    });
    asked.print(&lines.join("\n"), &json);
    if wrong > 0 {
        return Err(failed(anyhow!(
            "expected every object of the archive whole, found {wrong} that are not: put them back \
             from a copy"
        )));
    }
    Ok(())
}
