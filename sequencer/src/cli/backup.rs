//! `sequencer backup` and `sequencer restore`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use archive::ObjectName;
use clap::Args;
use model::{Clock, Millis, SystemClock, calendar};
use sequencer::disk::FileSystems;
use sequencer::doors::admin::{AdminError, ask};
use sequencer::folder::backup::EndRecord;
use sequencer::folder::layout::Layout;
use sequencer::node::backup::{
    BackupError, LeftOut, Pace, Pin, Prepared, Progress, RestoreError, RestoreTerms,
    RestoredFolder, Source, Stopped, Taken, Terms, restore,
};
use sequencer::node::survey::SurveyError;
use serde_json::{Value, json};

use super::inspect::is_nobody;
use super::log::log_to_stderr;
use super::outcome::{Asked, Expected, Failure, Outcome, failed, runtime, unavailable, usage};

/// How often somebody who waits is told how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct BackupArgs {
    /// Where the backup goes: a new or empty folder, on another disk.
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// A folder for a backup of keys and certificates, to be kept apart from DIR: together they
    /// open every patient's claims. Needed once, and again when one of them changed.
    #[arg(long, value_name = "DIR")]
    secrets_to: Option<PathBuf>,
    /// At most so many MiB are read a second, so that a running node keeps its disk; 0: as fast as
    /// the disks are.
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    rate: u64,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    expected: Expected,
}

#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The backup of keys and certificates; without it, put keys/, authority/ and server/ into the
    /// node's folder yourself before it is started.
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Also read all of it, as a start would, and hold journal and store against each other.
    #[arg(long, requires = "secrets")]
    verify: bool,
    #[command(flatten)]
    asked: Asked,
}

/// Says how far it is, now and then.
fn teller(is_quiet: bool) -> impl FnMut(Progress) {
    let mut said = Instant::now();
    move |Progress { bytes, of }| {
        if !is_quiet && said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            eprintln!("{} of some {} MiB", bytes >> 20, of >> 20);
        }
    }
}

pub(crate) fn backup(args: &BackupArgs) -> Outcome {
    log_to_stderr("warn")?;
    let BackupArgs { to, secrets_to, rate, asked, expected } = args;
    let layout = Layout::new(&asked.node.dir);
    if !layout.deployment().try_exists().map_err(failed)? {
        let path = layout.deployment();
        return Err(unavailable(anyhow!("expected a node's folder, found no {}", path.display())));
    }
    expected.check(&layout)?;
    let terms = Terms {
        layout: &layout,
        to,
        secrets_to: secrets_to.as_deref(),
        pace: Pace::new(rate.checked_mul(1 << 20)),
        space: &FileSystems::of([existing(to)]),
        now: SystemClock.now(),
    };
    let prepared = Prepared::new(terms).map_err(backup_failed)?;
    let taken = prepared.take(source(&layout)?, &mut teller(asked.json)).map_err(backup_failed)?;
    asked.print(&text_of_backup(to, &taken), &json_of_backup(&taken));
    Ok(())
}

/// The running node's own word, or the folder of a stopped one.
fn source(layout: &Layout) -> Outcome<Source> {
    let answer = runtime()?.block_on(ask(&layout.admin_socket(), "pin"));
    match answer {
        Ok(answer) => Ok(Source::Running(Pin::of_answer(&answer).map_err(failed)?)),
        // Nobody listens: if one is about to, it has the folder locked.
        Err(AdminError::Socket { source, .. }) if is_nobody(&source) => {
            let stopped = Stopped::open(layout).map_err(backup_failed)?;
            Ok(Source::Stopped(Box::new(stopped)))
        }
        Err(error) => Err(failed(error)),
    }
}

/// The nearest folder on the way that is there: its file system is the one that is filled.
fn existing(folder: &Path) -> PathBuf {
    let found = folder.ancestors().find(|one| one.is_dir());
    found.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn backup_failed(error: BackupError) -> Failure {
    match error {
        BackupError::NotEmpty { .. } | BackupError::Within { .. } => usage(error),
        BackupError::Journal(SurveyError::Absent { .. } | SurveyError::Locked { .. }) => {
            unavailable(error)
        }
        error => failed(error),
    }
}

fn text_of_backup(to: &Path, taken: &Taken) -> String {
    let Taken { end, secrets, left_out, relies_on, relies_on_batches } = taken;
    let mut lines = vec![format!(
        "{}: {} files, {} bytes, up to group {}, position {}, term {}",
        to.display(),
        end.files,
        end.bytes,
        end.group,
        end.position,
        end.term
    )];
    if let Some(secrets) = secrets {
        lines.push(format!("secrets: {} files; keep them apart from the journal", secrets.files));
    }
    let (files, batches) = (relies_on.len(), relies_on_batches.len());
    if files + batches > 0 {
        lines.push(format!(
            "relies on the archive for {files} files of the journal and {batches} public batch \
             files (`sequencer archive verify` reads them; --json names their objects)"
        ));
    }
    let left_out = left_out.iter().map(|LeftOut { name, why }| format!("left out: {name} ({why})"));
    lines.extend(left_out);
    lines.join("\n")
}

fn json_of_end(end: &EndRecord) -> Value {
    json!({
        "part": end.part.name(), "term": end.term, "group": end.group, "position": end.position,
        "journal_hash": hex::encode(end.journal_hash), "taken_at_ms": end.taken_at_ms,
        "files": end.files, "bytes": end.bytes, "manifest": hex::encode(end.manifest),
    })
}

fn json_of_backup(taken: &Taken) -> Value {
    let left_out =
        taken.left_out.iter().map(|LeftOut { name, why }| json!({ "name": name, "why": why }));
    let logs = taken.relies_on.iter().map(|file| ObjectName::Log(file.digest));
    let batches = taken.relies_on_batches.iter().map(|blake3| ObjectName::Batch(*blake3));
    json!({
        "schema": "vitals-backup-taken-1",
        "backup": json_of_end(&taken.end),
        "secrets": taken.secrets.as_ref().map(json_of_end),
        "left_out": left_out.collect::<Vec<_>>(),
        "relies_on": logs.chain(batches).map(|name| name.to_string()).collect::<Vec<_>>(),
    })
}

pub(crate) fn run_restore(args: &RestoreArgs) -> Outcome {
    log_to_stderr("warn")?;
    let RestoreArgs { from, secrets, verify, asked } = args;
    let layout = Layout::new(&asked.node.dir);
    let terms = RestoreTerms {
        from,
        secrets: secrets.as_deref(),
        layout: &layout,
        verify: *verify,
        // Made beside its name.
        space: &FileSystems::of([existing(layout.folder().parent().unwrap_or(Path::new(".")))]),
    };
    let restored = restore(&terms, &mut teller(asked.json)).map_err(restore_failed)?;
    asked.print(&text_of_restore(&layout, &restored), &json_of_restore(&restored));
    Ok(())
}

fn restore_failed(error: RestoreError) -> Failure {
    match error {
        RestoreError::NotEmpty { .. } | RestoreError::OtherPart { .. } => usage(error),
        RestoreError::OtherDeployment { .. } | RestoreError::Target { .. } => usage(error),
        RestoreError::Absent { .. } => unavailable(error),
        error => failed(error),
    }
}

fn text_of_restore(layout: &Layout, restored: &RestoredFolder) -> String {
    let RestoredFolder { end, has_secrets, verified } = restored;
    let folder = layout.folder().display();
    let mut lines = vec![format!(
        "{folder}: {} files, up to group {}, position {}, term {}",
        end.files, end.group, end.position, end.term
    )];
    if let Some(verified) = verified {
        lines.push(format!(
            "verified: {} entries absorbed, {} batches are of this journal, {} closed windows are \
             proven again",
            verified.entries, verified.batches, verified.backlog
        ));
    }
    if !has_secrets {
        lines.push(format!("put keys/, authority/ and server/ into {folder} before it is started"));
    }
    let taken = calendar::Utc(Millis::from_unix_ms(end.taken_at_ms));
    lines.push(format!(
        "if a batch was settled after {taken}, nothing joins this folder to the contract: what is \
         settled cannot be given up (docs/keys.md)"
    ));
    lines.push(
        "an archive (`[archive]`) may hold more than the backup: `sequencer archive status` says up \
         to which group, and `sequencer archive fetch --to DIR` writes it, before the loss is \
         accepted"
            .to_owned(),
    );
    lines.push(format!(
        "what was acknowledged after the backup is not in it: a node that is started here takes \
         nothing in, and keeps the receipts that it is shown. Start it, wait until gateways and \
         wallets have come, stop it, and run `sequencer journal recover --dir {folder} \
         --accept-loss --reason TEXT`"
    ));
    lines.join("\n")
}

fn json_of_restore(restored: &RestoredFolder) -> Value {
    let verified = restored.verified.map(|verified| {
        json!({
            "entries": verified.entries, "batches": verified.batches, "backlog": verified.backlog,
        })
    });
    json!({
        "schema": "vitals-restored-folder-1",
        "backup": json_of_end(&restored.end),
        "has_secrets": restored.has_secrets,
        "verified": verified,
    })
}
