//! `sequencer journal check | recover | convert`: a stopped node's journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use model::SystemClock;
use sequencer::doors::config::Config;
use sequencer::folder::layout::Layout;
use sequencer::node::loss::{AcceptedLoss, LossTerms, Offline};
use sequencer::node::setup;
use sequencer::node::survey::{self, Survey, SurveyError};
use wire::Reason;

use super::node::rpc;
use super::outcome::{NodeFolder, Outcome, failed, log_to_stderr, runtime, unavailable, usage};

#[derive(Subcommand)]
pub(crate) enum JournalCommand {
    /// Reads the journal of a stopped node, verifies all of it and says head, groups and terms.
    ///
    /// Nothing is changed: what a start would cut as the remains of a torn write is only named.
    Check(NodeFolder),
    /// Says what the journal of a stopped node lacks of what contract, store, witness and receipts
    /// remember; with --accept-loss gives that up and lets the node go on.
    ///
    /// Only what is not settled can be given up. The journal goes on beyond every number that
    /// anybody was told, its first entry says what was lost and why, and every receipt and welcome
    /// says from then on how many losses were accepted: gateways, wallets and practitioners see it.
    Recover(RecoverArgs),
    /// Says whether the journal is of the first version, of which nothing is converted.
    Convert(NodeFolder),
}

#[derive(Args)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    folder: NodeFolder,
    /// Gives up what is missing.
    #[arg(long, requires = "reason")]
    accept_loss: bool,
    /// Why, in at most 256 characters; it is journaled and names no patient.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// A folder of receipts that gateways, wallets or practitioners hold: their numbers are then
    /// known as well.
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
    /// JSON-RPC address of an EVM node, instead of the configured one.
    #[arg(long)]
    rpc: Option<String>,
}

pub(crate) fn run(command: JournalCommand) -> Outcome {
    match command {
        JournalCommand::Check(args) => check(&args.dir),
        JournalCommand::Recover(args) => recover(args),
        JournalCommand::Convert(args) => convert(&args.dir),
    }
}

fn survey_failed(error: SurveyError) -> super::outcome::Failure {
    match error {
        SurveyError::Absent { .. } | SurveyError::Locked { .. } => unavailable(error),
        error => failed(error),
    }
}

fn check(dir: &Path) -> Outcome {
    let survey = survey::survey(&Layout::new(dir)).map_err(survey_failed)?;
    let Survey { groups, entries, head, term, losses, torn_bytes } = survey;
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
            "  term {}: from group {} on, position {}; known up to group {}, position {}",
            loss.term, loss.lost.group, loss.lost.position, loss.known.group, loss.known.position
        );
    }
    if torn_bytes > 0 {
        println!(
            "{torn_bytes} bytes of a write that was never acknowledged: the next start cuts them"
        );
    }
    Ok(())
}

fn convert(dir: &Path) -> Outcome {
    let layout = Layout::new(dir);
    survey::check_version(&layout).map_err(survey_failed)?;
    println!("{}: of the second version, nothing to convert", layout.journal().display());
    Ok(())
}

fn recover(args: RecoverArgs) -> Outcome {
    log_to_stderr("warn")?;
    let layout = Layout::new(&args.folder.dir);
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
        let offline = Offline::open(layout, chain).await.map_err(failed)?;
        if args.accept_loss {
            let terms = LossTerms { reason, receipts };
            let accepted = offline.accept_loss(terms, clock).await.map_err(failed)?;
            report(&accepted);
            return Ok(());
        }
        let lacked = offline.lacks(receipts).await.map_err(failed)?;
        if lacked.is_empty() {
            let head = offline.head();
            println!("nothing is missing up to group {}, position {}", head.group, head.position);
            return Ok(());
        }
        lacked.iter().for_each(|one| println!("{one}"));
        Err(failed(anyhow!("the journal lacks what {} remember", lacked.len())))
    })
}

fn report(accepted: &AcceptedLoss) {
    let AcceptedLoss { lacked, gap, place, batches } = accepted;
    lacked.iter().for_each(|one| println!("{one}"));
    println!(
        "given up: everything from group {}, position {} on, known up to group {}, position {}",
        gap.lost.group, gap.lost.position, gap.known.group, gap.known.position
    );
    if let Some((first, last)) = batches {
        println!("given up: batches {first} to {last}, which were assembled and not settled");
    }
    println!(
        "the journal goes on in term {}, group {}, position {}",
        gap.term, place.group, place.position
    );
    println!("gateways send again what they still hold; what had a receipt is lost: tell the ward");
}
