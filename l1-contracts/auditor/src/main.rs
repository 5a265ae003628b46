//! `auditor`: see `auditor --help`.

mod exports;
mod extracted;
mod given;
mod keeping;
mod line;
mod saving;
mod serving;

use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use anyhow::Context as _;
use auditor::check::{Coverage, NamedErasure, NamedFrames, NamedOpening};
use auditor::headers::{SavedBatch, read_saved, save, try_saving};
use auditor::{Options, Place, Progress, ReceiptsOf, Report, Verdict, audit, open, read_receipts};
use clap::{Args, Parser, Subcommand};
use files::Audience;
use l1_contracts::Deployment;
use model::{ExitCode, escape, limits};
use statement::batch::{PatientOpening, ReleasedFrames};
use statement::fingerprint::Fingerprint;
use statement::fingerprint::OtherDeployment;
use wire::{Address, SignedErasure};

use crate::extracted::Against;
use crate::given::{Given, PlaceArgs, Read, told};
use crate::keeping::Keeping;
use crate::line::{Line, colour};

/// Largest file of released frames that is read: far more than a node releases for one access.
const FRAMES_BYTES_MAX: u64 = 1 << 30;

/// Checks a consent rollup from its base chain and public batch files alone.
#[derive(Parser)]
#[command(
    name = "auditor",
    version,
    max_term_width = 100,
    long_about = AUDITOR,
    after_help = EXIT_CODES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Audits every settled batch: deployment, headers, files, proofs, journal, openings, head.
    #[command(long_about = VERIFY, after_help = EXIT_CODES)]
    Verify(Verify),
    /// Checks one patient's opening of a batch and shows its claims with what was proven.
    #[command(long_about = OPEN, after_help = EXIT_CODES)]
    Open(Open),
    /// Serves the page that verifies batches in a browser, on this machine.
    #[command(long_about = SERVE, after_help = EXIT_CODES)]
    Serve(serving::Serve),
    /// Finds every line of accountings, access logs and AuditEvents again on the chain.
    #[command(long_about = ACCOUNTING, after_help = EXIT_CODES)]
    Accounting(exports::Accounting),
    /// Saves one batch as a page that opens from disk and recomputes it, asking nobody.
    #[command(long_about = PAGE, after_help = EXIT_CODES)]
    Page(saving::Page),
}

const AUDITOR: &str = "\
Checks a consent rollup from its base chain and public batch files alone.
For auditors, patients and whoever else trusts neither the operator nor its node.

Begin with:
  auditor verify --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches
  auditor open --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches \\
      --opening mine.opening

Every proof is verified here against the key that the chain holds, with inputs recomputed as the
contract computes them, and every byte of a public file is accounted for. The first broken item is
named.";

const VERIFY: &str = "\
Audits every settled batch: deployment, headers, files, proofs, journal, openings, head.
For auditors. The second command also notices, the next time, if the chain's past has changed.

Begin with:
  auditor verify --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches
  auditor verify --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches \\
      --save-headers headers.json";

const OPEN: &str = "\
Checks one patient's opening of a batch and shows its claims with what was proven.
For patients, and for auditors whom a patient gave an opening. It is secret.

Begin with:
  auditor open --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches \\
      --opening mine.opening
  auditor open --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches \\
      --opening mine.opening --json";

const ACCOUNTING: &str = "\
Finds every line of accountings, access logs and AuditEvents again on the chain.
For auditors, privacy officers and whom else a patient handed such a file (vitals log --accounting,
--ehds, --audit-events). A line that says something else than what is settled is named, as is one
that is not settled; that none is missing only `vitals log` and an opening show.

Begin with:
  auditor accounting --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches \\
      disclosures.csv
  auditor accounting --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches \\
      disclosures.html access.json events.json --json";

const SERVE: &str = "\
Serves the page that verifies batches in a browser, on this machine and for it alone.
For auditors and patients who would rather look than read. The page recomputes what `verify` does of
a batch, in the browser, and names what is broken by the same words. It asks this program alone,
which passes on questions to the chain that read, and batch files.

Begin with:
  auditor serve --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches
  auditor serve --rpc http://127.0.0.1:8545 --second-rpc https://rpc.example.org \\
      --deployment deployment.json --data batches";

const PAGE: &str = "\
Saves one batch as a page that opens from disk and recomputes it, asking nobody.
For auditors who hand a batch on. The page in the file checks it wherever it is opened and names
what is broken; this program checks nothing here. That the chain said so is your word then: the file
says that, and how it is asked again.

Begin with:
  auditor page --rpc http://127.0.0.1:8545 --deployment deployment.json --data batches \\
      --batch 7 --out batch-7.html
  auditor page --rpc http://127.0.0.1:8545 --second-rpc https://rpc.example.org \\
      --deployment deployment.json --data batches --batch 7 --out batch-7.html";

const EXIT_CODES: &str = "\
Exit codes:
  0  everything that was checked holds
  1  something is broken, and the report names it; or the audit itself failed
  2  the command line, or a file given on it, is wrong
  3  the chain or a batch file is not available: withheld data is unavailable, not broken
  5  everything that was checked holds, and some of what was given was compared with nothing";

#[derive(Args)]
#[command(group = clap::ArgGroup::new("extract").args(["bundle", "study"]))]
struct Verify {
    /// JSON-RPC address of a node of the base chain, http:// or https://. Use one that you trust to
    /// be on the right chain: your own, or that of somebody who does not know the operator.
    // Read later: clap would quote an address that does not parse, with the secrets in it.
    #[arg(long, required_unless_present_any = ["bundle", "study"])]
    rpc: Option<String>,
    /// The deployment file, from where you trust it: it says which contract is audited.
    #[arg(long)]
    deployment: PathBuf,
    /// The deployment's fingerprint, as the hospital told you and not as the file says: another
    /// deployment is refused.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<Fingerprint>,
    /// Batch files: the address of a node, http:// or https:// (`GET /batches/N`), or a folder with
    /// NNNNNN/public.bin. Whoever delivers them need not be trusted.
    #[arg(long, required_unless_present_any = ["bundle", "study"])]
    data: Option<String>,
    /// Print one JSON object. How far it is stands on the error output all the same.
    #[arg(long)]
    json: bool,
    /// Check a patient's record instead, which vitals record wrote, as lines or as a FHIR Bundle:
    /// offline, or with --rpc or --headers against the headers that the chain has.
    #[arg(long, value_name = "FILE", conflicts_with_all = OF_BATCHES)]
    bundle: Option<PathBuf>,
    /// Headers that an audit kept (--save-headers), to hold a --bundle against without a chain.
    #[arg(long, value_name = "FILE", requires = "extract", conflicts_with = "rpc")]
    headers: Option<PathBuf>,
    /// Check a study's data set instead, which vitals study export made: its root, and that a claim
    /// which was proven covered permits each of its readings.
    #[arg(long, value_name = "DATA", requires = "proofs", conflicts_with_all = OF_BATCHES)]
    study: Option<PathBuf>,
    /// The proofs of a --study, which say who is who.
    #[arg(long, value_name = "FILE", requires = "study")]
    proofs: Option<PathBuf>,
    /// Folder of openings (`*.opening`) that patients or the operator exported: their records,
    /// claims and operations are evaluated against the rules as people understand them.
    #[arg(long)]
    openings: Option<PathBuf>,
    /// The openings are those of all patients: then no leaf and no segment may be left over.
    #[arg(long, requires = "openings")]
    complete: bool,
    /// Folder of frames (`*.frames`) that readers were released and kept (`vitals access
    /// --frames`): whole segments of the openings are held against them.
    #[arg(long, requires = "openings")]
    frames: Option<PathBuf>,
    /// Account for the readings of every opened collection: given (--frames), erased at the
    /// patient's signed request (--erasures), or withheld, which ends with code 5.
    #[arg(long, requires = "openings")]
    readings: bool,
    /// Folder of requests to erase (`*.erasure`) that patients signed (`vitals consent erase`):
    /// each must be signed by the key of the opened record. Implies --readings.
    #[arg(long, requires = "openings")]
    erasures: Option<PathBuf>,
    /// Folder of receipts (`*.receipt`) that gateways, wallets or practitioners were given: the
    /// journal that was receipted must be the one that was settled.
    #[arg(long)]
    receipts: Option<PathBuf>,
    /// Begin with the file of this batch; the headers are always followed from genesis. Without it
    /// an audit begins behind the batches that --save-headers says were verified; --from 1 verifies
    /// those again.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// Count batches as late that settled so many milliseconds after their window ended.
    #[arg(long, default_value_t = 600_000)]
    late_after_ms: u64,
    /// Keep the headers in this file, with what was verified, and compare with those that an
    /// earlier audit kept there. It is written about once a minute, so that an audit that is
    /// stopped goes on from there the next time. Batches that an earlier audit verified and whose
    /// blocks are final are not verified again, unless --from, --openings or --receipts is given:
    /// keep the file where nobody else writes.
    #[arg(long)]
    save_headers: Option<PathBuf>,
}

/// Options that need the batches' files.
const OF_BATCHES: [&str; 6] = ["data", "openings", "frames", "receipts", "from", "save_headers"];

impl Verify {
    /// What clap has asked for unless a file is checked instead.
    fn place(&self) -> PlaceArgs {
        PlaceArgs {
            rpc: self.rpc.clone().unwrap_or_default(),
            deployment: self.deployment.clone(),
            fingerprint: self.fingerprint,
            data: self.data.clone().unwrap_or_default(),
            json: self.json,
        }
    }

    fn against<'a>(&'a self, deployment: &'a Deployment) -> Against<'a> {
        let (rpc, headers) = (self.rpc.as_deref(), self.headers.as_deref());
        Against { deployment, rpc, headers, json: self.json }
    }
}

#[derive(Args)]
struct Open {
    #[command(flatten)]
    place: PlaceArgs,
    /// The opening: canonical bytes as a wallet exports them. It is secret: it names what happened.
    #[arg(long)]
    opening: PathBuf,
}

#[tokio::main]
async fn main() -> process::ExitCode {
    files::close_to_others();
    let done = match Cli::parse().command {
        Command::Verify(args) => verify(&args).await,
        Command::Open(args) => show(&args).await,
        Command::Serve(args) => serving::serve(&args).await,
        Command::Accounting(args) => exports::check(&args).await,
        Command::Page(args) => saving::save(&args).await,
    };
    let code = done.unwrap_or_else(|error| {
        eprintln!("auditor: {}", escape(&format!("{error:#}")));
        exit_code(&error)
    });
    process::ExitCode::from(code.number())
}

/// Wrong is what was read before anything was checked; what fails afterwards failed.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::of_error(error.as_ref(), |cause| {
        let Given(given) = cause.downcast_ref()?;
        // The files are well-formed, and a comparison that was asked for does not hold.
        Some(if given.is::<OtherDeployment>() { ExitCode::Failed } else { ExitCode::Usage })
    })
}

async fn verify(args: &Verify) -> anyhow::Result<ExitCode> {
    match (&args.bundle, &args.study, &args.proofs) {
        (Some(bundle), ..) => {
            let deployment = &args.place().deployment().map_err(Given)?;
            extracted::verify_record(bundle, &args.against(deployment)).await
        }
        (None, Some(study), Some(proofs)) => {
            let deployment = &args.place().deployment().map_err(Given)?;
            extracted::verify_study(study, proofs, &args.against(deployment)).await
        }
        _ => verify_batches(args).await,
    }
}

async fn verify_batches(args: &Verify) -> anyhow::Result<ExitCode> {
    let Read { rpc, deployment, data } = args.place().read().map_err(Given)?;
    let openings = args.openings.as_deref().map(read_openings).transpose().map_err(Given)?;
    let signer = Address(deployment.receipt_signer.into_array());
    let of = ReceiptsOf { scope: deployment.scope(), signer };
    let receipts = args.receipts.as_deref().map(|folder| read_receipts(folder, of));
    let receipts = receipts.transpose().map_err(|error| Given(error.into()))?;
    let saved = args.save_headers.as_deref().map(|path| prepare_saving(path, &deployment));
    let saved = saved.transpose().map_err(Given)?;
    let frames = args.frames.as_deref().map(|folder| read_frames(folder, &deployment));
    let frames = frames.transpose().map_err(Given)?;
    let erasures = args.erasures.as_deref().map(read_erasures).transpose().map_err(Given)?;
    let options = Options {
        frames,
        erasures: erasures.or_else(|| args.readings.then(Vec::new)),
        from: args.from,
        late_after_ms: args.late_after_ms,
        openings,
        coverage: if args.complete { Coverage::All } else { Coverage::Some },
        saved: saved.unwrap_or_default(),
        receipts,
    };
    let place = Place { rpc: &rpc, deployment: &deployment, data: &data };
    let line = Line::begin();
    let progress: Arc<dyn Progress> = match args.save_headers.clone() {
        Some(path) => Arc::new(Keeping::begin(line, path, deployment.clone())),
        None => Arc::new(line),
    };
    let report = audit(place, &options, progress).await;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.text(colour())),
    }
    if let Some(path) = args.save_headers.as_deref().filter(|_| is_worth_keeping(&report)) {
        let unsaved = || format!("the headers are not kept in {}", path.display());
        save(path, &deployment, &report.kept).with_context(unsaved)?;
    }
    Ok(report.exit_code())
}

/// What an earlier audit left, and whether this one can leave something: before the work.
fn prepare_saving(path: &Path, deployment: &Deployment) -> anyhow::Result<Vec<SavedBatch>> {
    let what = || format!("the saved headers {}", path.display());
    let saved = read_saved(path, deployment).with_context(what)?;
    try_saving(path).with_context(what)?;
    Ok(saved)
}

/// Headers of a broken audit would be the measure for the next one. Of one that something was
/// withheld from, what it verified before need not be verified again.
fn is_worth_keeping(report: &Report) -> bool {
    match report.verdict {
        Verdict::Holds => true,
        Verdict::Unavailable => !report.kept.is_empty(),
        Verdict::Broken | Verdict::Refused => false,
    }
}

async fn show(args: &Open) -> anyhow::Result<ExitCode> {
    let Read { rpc, deployment, data } = args.place.read().map_err(Given)?;
    let opening = read_opening(&args.opening).map_err(Given)?;
    let place = Place { rpc: &rpc, deployment: &deployment, data: &data };
    match open(place, &opening).await {
        Ok(shown) => {
            match args.place.json {
                true => println!("{}", serde_json::to_string_pretty(&shown)?),
                false => print!("{}", shown.text(colour())),
            }
            Ok(ExitCode::Ok)
        }
        Err(fault) => Ok(told(&fault)),
    }
}

/// Every `*.opening` of a folder, by name.
fn read_openings(folder: &Path) -> anyhow::Result<Vec<NamedOpening>> {
    list(folder, "opening")?.iter().map(|path| read_opening(path)).collect()
}

/// Every `*.frames` of a folder, by name.
fn read_frames(folder: &Path, deployment: &Deployment) -> anyhow::Result<Vec<NamedFrames>> {
    let read = |path: &PathBuf| {
        let what = || format!("the released frames {}", path.display());
        let bytes = files::read(path, FRAMES_BYTES_MAX, Audience::Owner).with_context(what)?;
        let released = ReleasedFrames::from_bytes(&bytes).with_context(what)?;
        let ours = released.scope == deployment.scope();
        anyhow::ensure!(ours, "{}: expected frames of this deployment, found others", what());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(NamedFrames { name, released })
    };
    list(folder, "frames")?.iter().map(read).collect()
}

/// Every `*.erasure` of a folder, by name. Whose it is, and for which deployment, is compared with
/// the openings.
fn read_erasures(folder: &Path) -> anyhow::Result<Vec<NamedErasure>> {
    let read = |path: &PathBuf| {
        let what = || format!("the request to erase {}", path.display());
        let bytes = files::read(path, SignedErasure::BYTES as u64, Audience::Public);
        let signed = SignedErasure::from_bytes(&bytes.with_context(what)?).with_context(what)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(NamedErasure { name, signed })
    };
    list(folder, "erasure")?.iter().map(read).collect()
}

/// The files of a folder with this extension, by name: at least one, because a check of nothing
/// would hold.
fn list(folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let inside = || format!("the folder {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(inside)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
    let mut paths = paths.with_context(inside)?;
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    anyhow::ensure!(
        !paths.is_empty(),
        "{}: expected files *.{extension}, found none: give the folder that keeps them",
        inside()
    );
    // The order of a folder is the file system's; that of a report should be the same everywhere.
    paths.sort();
    Ok(paths)
}

fn read_opening(path: &Path) -> anyhow::Result<NamedOpening> {
    let what = || format!("the opening {}", path.display());
    let bytes = files::read(path, limits::BATCH_FILE_BYTES_MAX as u64, Audience::Owner)
        .with_context(what)?;
    let opening = PatientOpening::from_bytes(&bytes);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(NamedOpening { name, opening: opening.with_context(what)? })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn what_is_given_wrongly_is_told_from_what_failed() {
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let given = anyhow::Error::new(Given(full().into()));
        assert_eq!(exit_code(&given.context("the deployment")), ExitCode::Usage);
        let unsaved = auditor::headers::SavedHeadersError::File(full());
        assert_eq!(exit_code(&anyhow::Error::new(unsaved).context("saving")), ExitCode::Failed);
        assert_eq!(exit_code(&anyhow::anyhow!("no thread")), ExitCode::Failed);
    }

    /// The commands under "Begin with:", continued lines joined.
    fn first_commands(help: &str) -> Vec<String> {
        let begin = help.lines().skip_while(|line| *line != "Begin with:").skip(1);
        let lines: Vec<&str> = begin.take_while(|line| line.starts_with("  ")).collect();
        let joined = lines.join("\n").replace("\\\n", " ");
        joined.lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_help_begins_with_its_purpose_its_readers_and_two_commands_that_parse() {
        let auditor = Cli::command();
        let subcommands = auditor.get_subcommands().filter(|command| command.get_name() != "help");
        let all: Vec<_> = std::iter::once(&auditor).chain(subcommands).collect();
        assert_eq!(all.len(), 6);
        for command in all {
            let name = command.get_name();
            let help = command.clone().render_long_help().to_string();
            let mut lines = help.lines();
            assert!(lines.next().is_some_and(|line| !line.is_empty()), "{name}: what it is for");
            assert!(lines.next().is_some_and(|line| line.starts_with("For ")), "{name}: for whom");
            let commands = first_commands(&help);
            assert_eq!(commands.len(), 2, "{name}: {help}");
            for line in commands {
                let parsed = Cli::try_parse_from(line.split_whitespace());
                assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
            }
            assert!(help.contains("Exit codes:\n  0 "), "{name}");
        }
    }
}
