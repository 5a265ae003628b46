//! `sequencer init | deploy | run | config check`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use clap::Args;
use model::{Clock, ExitCode, SystemClock, Word};
use sequencer::clock::MachineClock;
use sequencer::demo::DevSize;
use sequencer::doors::config::{Config, Effective};
use sequencer::doors::memory::{self, Connection, Memory};
use sequencer::folder::layout::Layout;
use sequencer::node::setup::{self, GenesisTerms};
use sequencer::node::{Node, Provided};

use super::given::{check_memory, rpc};
use super::log::{LogLevel, log_as, log_to_stderr, say};
use super::outcome::{Expected, NodeFolder, Outcome, failed, runtime, unavailable, usage};
use super::reload::{Again, Signals, Wish};
use super::service::{Notice, ServiceManager};

#[derive(Args)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    folder: NodeFolder,
}

#[derive(Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    folder: NodeFolder,
    /// Hash of the registrar's key (`vitals key show` prints it): whoever may enrol patients.
    #[arg(long)]
    registrar: String,
    /// JSON-RPC address of an EVM node, instead of the configured one.
    #[arg(long)]
    rpc: Option<String>,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    /// The configuration file; its folder is the node's.
    #[arg(long, default_value = "node/node.toml", conflicts_with = "dev")]
    config: PathBuf,
    /// A node for development in a temporary folder: embedded chain, 4 patients with permits, 2
    /// gateways; prints a `vitals stream` line to paste.
    #[arg(long, conflicts_with = "fingerprint")]
    dev: bool,
    /// Patients of a development node, each with a device; devices are dealt to gateways in turn.
    /// 10,000 take minutes to enrol, and the proofs of it much longer.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "dev",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    patients: u32,
    /// Gateways of a development node; with more than 800 it takes up to 12,500 connections, and
    /// closes windows after 10 minutes instead of 20 seconds.
    #[arg(long, value_name = "N", default_value_t = 2, requires = "dev",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    gateways: u32,
    #[command(flatten)]
    expected: Expected,
    /// JSON-RPC address of an EVM node, instead of the configured one.
    #[arg(long)]
    rpc: Option<String>,
}

/// Makes a folder.
pub(crate) fn init(args: &InitArgs) -> Outcome {
    let layout = Layout::new(&args.folder.dir);
    // What stands there already says what is made: above all the names in the server's certificate.
    let config = match layout.config().try_exists().map_err(failed)? {
        true => Config::read(&layout.config()).map_err(usage)?,
        false => memory::fitted(Config::default()),
    };
    setup::init(&layout, &config, SystemClock.now()).map_err(failed)?;
    let account = setup::settlement_signer(&layout).map_err(failed)?.address();
    println!("{}: ready; next: sequencer deploy --registrar 0x...", args.folder.dir.display());
    println!("settlement account {account}: fund it, unless the chain is the embedded one");
    Ok(())
}

/// Checks a configuration: prints it, what holds otherwise than it stands there, and what all
/// limits together may take.
pub(crate) fn config_check(path: &Path, json: bool) -> Outcome {
    let config = Config::read(path).map_err(usage)?;
    let (effective, memory) = (config.effective(), Memory::of(&config));
    let fits = memory.check();
    if json {
        let report = serde_json::json!({
            "schema": "vitals-config-1", "config": config, "effective": effective,
            "memory": memory, "memory_fits": fits.is_ok(),
        });
        println!("{report:#}");
    } else {
        print!("{}", config.to_toml());
        // Comments, so that the whole is a file that can be read again.
        println!("\n# Holds otherwise than above:");
        for Effective { key, configured, effective, why } in effective {
            println!("# {key} = {effective} (above {configured}): {why}");
        }
        println!("\n# Memory that all limits together may take, MiB:");
        for share in &memory.shares {
            println!("# {:>8} {}: {}", share.bytes() >> 20, share.what, share.count);
        }
        let Connection { idle_bytes, busy_bytes } = memory.connection;
        let (count, all) = (memory.connections, |each: u64| (memory.connections * each) >> 20);
        println!("# A connection without a receipt takes at most {} KiB,", idle_bytes >> 10);
        println!(
            "# {count} of them {}; in the sum are busy ones, {} KiB each.",
            all(idle_bytes),
            busy_bytes >> 10
        );
        let machine = memory.machine_bytes.map_or("unknown".into(), |b| (b >> 20).to_string());
        println!("# {:>8} in all, of {machine} that this machine has", memory.sum_bytes >> 20);
    }
    match fits {
        Err(error) if config.memory.over == "refuse" => Err(failed(error)),
        Err(error) => {
            eprintln!("warning: {error}");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Deploys.
pub(crate) fn deploy(args: DeployArgs) -> Outcome {
    log_to_stderr("info")?;
    let registrar = Word::from_hex(&args.registrar).map_err(usage)?;
    let layout = Layout::new(&args.folder.dir);
    // A second contract would leave every signature and batch of the first one behind.
    if layout.deployment().exists() {
        return Err(usage(anyhow!("{} exists already", layout.deployment().display())));
    }
    layout.check_closed().map_err(failed)?;
    let mut config = Config::read(&layout.config()).map_err(usage)?;
    config.chain.rpc = rpc(args.rpc, config.chain.rpc)?;
    let runtime = runtime()?;
    let keys =
        setup::prover_keys(&layout, &config, |shape| say(&format!("proving key {shape} ...")));
    let keys = keys.map_err(failed)?;
    runtime.block_on(async {
        let clock = Arc::new(SystemClock);
        let chain = setup::open_chain(&layout, &config, clock).map_err(failed)?;
        let terms = GenesisTerms { registrar, time: SystemClock.now() };
        let deployment = setup::deploy(&layout, &chain, &keys, terms).await;
        // Named in the error: an account without funds is the usual reason.
        let account = setup::settlement_signer(&layout).map_err(failed)?.address();
        let deployment = deployment.map_err(|error| {
            failed(anyhow::Error::new(error).context(format!("deploying from account {account}")))
        })?;
        println!("settlement {} on chain {}", deployment.settlement, deployment.chain_id);
        println!(
            "fingerprint {}: tell it to patients and auditors yourself",
            deployment.fingerprint
        );
        println!("written: {}", layout.deployment().display());
        Ok(())
    })
}

/// Runs until a signal or a failed stage.
pub(crate) fn run(args: RunArgs) -> Outcome {
    if args.dev {
        let size = DevSize { patients: args.patients, gateways: args.gateways };
        return dev(log_to_stderr("info")?, size);
    }
    let mut config = Config::read(&args.config).map_err(usage)?;
    let log = log_as(&config.log)?;
    config.chain.rpc = rpc(args.rpc.clone(), config.chain.rpc)?;
    let runtime = runtime()?;
    // Before the keys, which may take minutes to make: a hangup never ends a node that starts.
    let mut signals = Signals::listen(&runtime)?;
    // The folder goes with the file, so that `--config` alone names a node.
    let beside = args.config.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = beside.unwrap_or(Path::new(".")).to_path_buf();
    let layout = Layout::new(&folder);
    // Asked before the keys, which may take minutes to make, and before a chain is made for
    // nothing.
    if !layout.deployment().try_exists().map_err(failed)? {
        let (folder, path) = (folder.display(), layout.deployment());
        let path = path.display();
        return Err(unavailable(anyhow!(
            "no deployment in {folder} (no {path}); run `sequencer deploy --dir {folder} ...` first"
        )));
    }
    args.expected.check(&layout)?;
    check_memory(&config)?;
    let keys =
        setup::prover_keys(&layout, &config, |shape| say(&format!("proving key {shape} ...")));
    let keys = Arc::new(keys.map_err(failed)?);
    let again = Again { config: Some(args.config), rpc: args.rpc };
    let manager = ServiceManager::of_environment();
    let work = async {
        let clock: Arc<dyn Clock> = Arc::new(MachineClock);
        let chain = setup::open_chain(&layout, &config, clock.clone()).map_err(failed)?;
        let provided = Provided { chain, keys, clock, space: None, poster: None };
        let listening = Node::listen(&folder, &config, provided).await.map_err(failed)?;
        let started = manager.told_of(listening.follow_start(), listening.start()).await;
        let node = started.map_err(failed)?;
        node.log_by(Arc::new(log));
        run_until_stopped(node, &again, &mut signals, &manager).await
    };
    runtime.block_on(manager.alive_during(work))
}

/// Runs the development node in a temporary folder until a signal.
fn dev(log: LogLevel, size: DevSize) -> Outcome {
    // By process, so that several run beside each other; keys of development are worth nothing.
    let dir = std::env::temp_dir().join(format!("vitals-dev-{}", std::process::id()));
    let runtime = runtime()?;
    let mut signals = Signals::listen(&runtime)?;
    let again = Again { config: None, rpc: None };
    let manager = ServiceManager::of_environment();
    let work = async {
        let node = sequencer::demo::dev(&dir, size).await.map_err(failed)?;
        node.log_by(Arc::new(log));
        run_until_stopped(node, &again, &mut signals, &manager).await
    };
    runtime.block_on(manager.alive_during(work))
}

/// Runs until a signal or a failure, then stops gracefully.
async fn run_until_stopped(
    node: Node,
    again: &Again,
    signals: &mut Signals,
    manager: &ServiceManager,
) -> Outcome {
    // Before it says that it runs: whoever reads that may stop it at once, in order.
    signals.catch_stops()?;
    let at = node.endpoints();
    println!("ingest {} (QUIC)  http://{}  base chain {}", at.ingest, at.http, at.rpc);
    if let Some(page) = at.page {
        println!("page   http://{page}/ shows batches, as this operator shows them");
        println!("desk   http://{page}/desk.html shows how it stands, with `web.token_file`");
    }
    println!("deployment {}: clients and auditors compare it (--fingerprint)", at.fingerprint);
    manager.tell(Notice::Ready).await;
    let outcome = loop {
        let wish = tokio::select! {
            wish = signals.next() => wish,
            error = node.wait_for_failure() => break Err(failed(error)),
        };
        match wish {
            Wish::Stop => break Ok(()),
            Wish::ReadAgain => {
                manager.tell(Notice::Reloading).await;
                again.read(&node);
                // Also where the files were not accepted: all is as before.
                manager.tell(Notice::Ready).await;
            }
        }
    };
    manager.tell(Notice::Stopping).await;
    // After a failed stage as well: what the others have under way is still made durable.
    say("stopping: what is admitted is made durable, closed windows are proven");
    tokio::select! {
        // A stage may fail on this way too, and then this is no orderly end.
        stopped = node.stop() => outcome.and(stopped.map_err(failed)),
        () = signals.next_stop() => {
            say("ended at once by a second signal: the next start goes on from the journal");
            // Nothing is waited for, neither threads that prove nor peers: as a crash would.
            std::process::exit(i32::from(ExitCode::Interrupted.number()))
        }
    }
}
