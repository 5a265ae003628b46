//! `sequencer journal check | inspect | recover | convert`: a node's journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use l1_contracts::Deployment;
use model::{ExitCode, SystemClock};
use sequencer::doors::config::Config;
use sequencer::folder::layout::Layout;
use sequencer::folder::old_journal::{self, OldJournalError};
use sequencer::node::frame_index::IndexSays;
use sequencer::node::loss::{AcceptedLoss, LossError, LossTerms, Offline, Shown};
use sequencer::node::setup;
use sequencer::node::snapshots::SnapshotSays;
use sequencer::node::survey::{self, FullSurvey, Survey, SurveyError, UnreadFrames, WitnessSays};
use wire::Reason;

use super::given::rpc;
use super::inspect::{InspectArgs, inspect};
use super::log::log_to_stderr;
use super::outcome::{Expected, Failure, NodeFolder, Outcome, failed, runtime, unavailable, usage};

#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// Reads the journal of a stopped node, verifies all of it, holds it against the witness beside
    /// it and says head, groups and terms.
    ///
    /// Nothing is changed: what a start would cut as the remains of a torn write is only named.
    /// Ends with 5 if the witness is missing: then nobody beside the journal tells where it ended.
    Check(CheckArgs),
    /// Says what a journal holds, of a node that runs or not, or of a backup (--dir DIR/node): its
    /// files, entries by kind, bytes a reading; or one group, or one entry field by field.
    ///
    /// Nothing is locked or changed. Patients, devices and readings are shown with --bodies alone.
    Inspect(InspectArgs),
    /// Says what the journal of a stopped node lacks of what contract, store, witness and receipts
    /// remember; with --accept-loss gives that up and lets the node go on.
    ///
    /// Only what is not settled can be given up, and no batch that a transaction may still settle:
    /// the chain is asked what became of each. The journal goes on beyond every number that anybody
    /// was told, its first entry says what was lost and why, and every receipt and welcome says
    /// from then on how many losses were accepted: gateways, wallets and practitioners see it.
    /// Revocations, denials and stops that are lost are in force no more until patients sign again.
    Recover(RecoverArgs),
    /// Moves the journal of the version before, one file, into the folder that a journal is now.
    ///
    /// Nothing of the file is changed: the log goes on behind it. Of the first version nothing is
    /// converted, and that is said.
    Convert(NodeFolder),
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    folder: NodeFolder,
    #[command(flatten)]
    expected: Expected,
    /// Also makes the state behind each snapshot and the index of stored frames again, from the
    /// first entry on, and compares; takes as long as a start without snapshots.
    #[arg(long)]
    full: bool,
}

#[derive(Args)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    folder: NodeFolder,
    #[command(flatten)]
    expected: Expected,
    /// Gives up what is missing; a last file that is gone or was cut short is made whole for it.
    #[arg(long, requires = "reason")]
    accept_loss: bool,
    /// Why, in at most 256 characters; it is journaled and names no patient.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// A folder of receipts that gateways, wallets or practitioners hold: their numbers are then
    /// known as well.
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// Of a restored folder: goes on although nobody showed a receipt. Only if nobody has one of
    /// what came after the backup, and the backup was not restored before.
    #[arg(long, requires = "accept_loss", conflicts_with = "receipts")]
    no_receipts: bool,
    /// JSON-RPC address of an EVM node, instead of the configured one.
    #[arg(long)]
    rpc: Option<String>,
}

pub(crate) fn run(command: JournalCommand) -> Outcome {
    match command {
        JournalCommand::Check(args) => check(&args),
        JournalCommand::Inspect(args) => inspect(&args),
        JournalCommand::Recover(args) => recover(args),
        JournalCommand::Convert(args) => convert(&args.dir),
    }
}

fn survey_failed(error: SurveyError) -> Failure {
    match error {
        SurveyError::Absent { .. } | SurveyError::Locked { .. } => unavailable(error),
        error => failed(error),
    }
}

/// Says of which deployment the journal is.
fn print_deployment(layout: &Layout) -> Outcome {
    let deployment = Deployment::read(&layout.deployment()).map_err(failed)?;
    println!("deployment {}", deployment.fingerprint);
    Ok(())
}

fn check(args: &CheckArgs) -> Outcome {
    let layout = Layout::new(&args.folder.dir);
    args.expected.check(&layout)?;
    let full = if args.full {
        survey::survey_full(&layout).map_err(survey_failed)?
    } else {
        FullSurvey::of(survey::survey(&layout).map_err(survey_failed)?)
    };
    let FullSurvey { survey, snapshots, index, erased, absent } = full;
    let Survey { groups, entries, head, term, losses, torn_bytes, witness } = survey;
    print_deployment(&layout)?;
    println!("{groups} groups, {entries} entries: all hold");
    println!(
        "head: group {}, position {}, journal hash {}",
        head.group,
        head.position,
        hex::encode(head.journal_hash)
    );
    println!("term {term}: losses accepted so far");
    for loss in losses {
        println!(
            "  term {}: what this journal lacks from group {}, position {} on; known up to group \
             {}, position {}",
            loss.term, loss.lost.group, loss.lost.position, loss.known.group, loss.known.position
        );
    }
    if torn_bytes > 0 {
        println!(
            "{torn_bytes} bytes of a write that was never acknowledged: the next start cuts them, \
             and keeps them beside the journal"
        );
    }
    print_unread(&erased, "whose patients were erased: nobody opens them any more");
    print_unread(&absent, "whose keys are not here (sequencer keys restore)");
    let (snapshots, index) = (print_snapshots(&snapshots), print_index(index));
    // What the journal lost is graver than what a start makes anew.
    match witness {
        WitnessSays::Holds => snapshots.and(index),
        WitnessSays::Contradicts(contradiction) => Err(failed(contradiction)),
        WitnessSays::Missing => Err(no_witness(&layout)),
    }
}

/// Names the first of them, and says how many there are.
fn print_unread(found: &UnreadFrames, why: &str) {
    if found.frames == 0 {
        return;
    }
    let first: Vec<_> = found.first.iter().map(u64::to_string).collect();
    let up_to = match found.frames > found.first.len() as u64 {
        true => format!(" .. {}", found.last),
        false => String::new(),
    };
    println!("{} frames {why}: at position {}{up_to}", found.frames, first.join(", "));
}

fn print_snapshots(snapshots: &[(u64, SnapshotSays)]) -> Outcome {
    for (group, says) in snapshots {
        let says = match says {
            SnapshotSays::Same => "the same state".to_owned(),
            SnapshotSays::SameButUnread { segments } => format!(
                "the same state, but for digests of {segments} segments whose readings do not \
                 open, or did not when they were taken in"
            ),
            SnapshotSays::Differs => "another state".to_owned(),
            SnapshotSays::PassedOver(why) => format!("a start passes it over: {why}"),
        };
        println!("snapshot behind group {group}: {says}");
    }
    if snapshots.iter().any(|(_, says)| *says == SnapshotSays::Differs) {
        return Err(failed(anyhow!(
            "expected every snapshot to be the state that the journal makes: remove the folder \
             snapshots/ before the next start, and report a bug"
        )));
    }
    Ok(())
}

fn print_index(says: IndexSays) -> Outcome {
    match says {
        IndexSays::Unused => Ok(()),
        IndexSays::Same { bytes } => {
            println!("index of stored frames: {bytes} bytes, all as the journal makes them");
            Ok(())
        }
        IndexSays::Differs { offset } => Err(failed(anyhow!(
            "expected snapshots/frames.index to hold what the journal makes, found other bytes \
             from offset {offset} on: remove the folder snapshots/ before the next start, which \
             makes it anew"
        ))),
    }
}

fn no_witness(layout: &Layout) -> Failure {
    let path = layout.witness();
    let error = anyhow!(
        "expected the witness {} beside the journal, found none: whether the journal lost its end \
         since the last batch nobody here can tell. Put the file back if there is a copy; else \
         hold the journal against receipts (sequencer journal recover --receipts DIR). The next \
         start writes a new one",
        path.display()
    );
    Failure { code: ExitCode::NotCompared, error }
}

fn convert(dir: &Path) -> Outcome {
    let layout = Layout::new(dir);
    let moved = old_journal::convert(&layout).map_err(|error| match error {
        OldJournalError::Locked { .. } => unavailable(error),
        error => failed(error),
    })?;
    if let Some(first) = moved {
        println!("{} is now {}", layout.old_journal().display(), first.display());
        return Ok(());
    }
    survey::check_version(&layout).map_err(survey_failed)?;
    println!("{}: of the third version, nothing to convert", layout.journal().display());
    Ok(())
}

fn recover(args: RecoverArgs) -> Outcome {
    log_to_stderr("warn")?;
    let layout = Layout::new(&args.folder.dir);
    args.expected.check(&layout)?;
    // A file of the first version, or none, is said before anything is opened for writing.
    survey::check_version(&layout).map_err(survey_failed)?;
    let mut config = Config::read(&layout.config()).map_err(usage)?;
    config.chain.rpc = rpc(args.rpc, config.chain.rpc)?;
    let reason = args.reason.as_deref().unwrap_or_default();
    let reason = Reason::new(reason).context("the reason").map_err(usage)?;
    if args.accept_loss && reason.as_str().trim().is_empty() {
        return Err(usage(anyhow!("expected a reason that says what happened")));
    }
    let receipts = args.receipts.as_deref();
    runtime()?.block_on(async {
        let clock = Arc::new(SystemClock);
        let chain = setup::open_chain(&layout, &config, clock.clone()).map_err(failed)?;
        let offline = match args.accept_loss {
            true => Offline::open_shortened(layout.clone(), chain, &config.settle).await,
            false => Offline::open(layout.clone(), chain, &config.settle).await,
        };
        let offline = offline.map_err(loss_failed)?;
        print_deployment(&layout)?;
        if args.accept_loss {
            let shown = if args.no_receipts { Shown::Waived } else { Shown::Required };
            let terms = LossTerms { reason, receipts, shown };
            let accepted = offline.accept_loss(terms, clock).await.map_err(loss_failed)?;
            report(&accepted);
            return Ok(());
        }
        let lacked = offline.lacks(receipts).await.map_err(loss_failed)?;
        if lacked.is_empty() {
            let head = offline.head();
            println!("nothing is missing up to group {}, position {}", head.group, head.position);
            return match offline.lacks_witness().map_err(loss_failed)? {
                true => Err(no_witness(&layout)),
                false => Ok(()),
            };
        }
        lacked.iter().for_each(|one| println!("{one}"));
        Err(failed(anyhow!("the journal lacks what {} remember", lacked.len())))
    })
}

fn loss_failed(error: LossError) -> Failure {
    match error {
        // A folder that the command line names.
        LossError::NoReceipts { .. } | LossError::Receipts(_) => usage(error),
        error => failed(error),
    }
}

/// What somebody must do because of what was lost, whatever it was.
const AFTER_A_LOSS: &str = "\
what had a receipt and is given up is lost, whatever its kind; tell the ward:
  readings: gateways send again what they still hold
  revocations, denials, stops: NOT in force any more, although wallets show them as if they were; \
each patient rebuilds the wallet's copy (vitals log --rebuild) and signs them again
  permits and enrolments: the same
  registry: compare what `sequencer identity list` and the other lists say with your own records, \
and revoke again who was revoked";

fn report(accepted: &AcceptedLoss) {
    let AcceptedLoss { lacked, gap, place, batches } = accepted;
    lacked.iter().for_each(|one| println!("missing: {}", one.missing()));
    println!(
        "given up: whatever was acknowledged from group {}, position {} on and is not in this \
         journal; known up to group {}, position {}",
        gap.lost.group, gap.lost.position, gap.known.group, gap.known.position
    );
    if let Some((first, last)) = batches {
        println!("given up: batches {first} to {last}, which were assembled and not settled");
    }
    println!(
        "the journal goes on in term {}, group {}, position {}",
        gap.term, place.group, place.position
    );
    println!("{AFTER_A_LOSS}");
}
