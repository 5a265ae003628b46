//! `sequencer init | deploy | run | status | config check`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use l1_contracts::HttpUrl;
use model::calendar::Utc;
use model::{Clock, Millis, SystemClock, Word, escape_lines, with_causes};
use sequencer::clock::MachineClock;
use sequencer::doors::admin::ask;
use sequencer::doors::config::{Config, Effective};
use sequencer::doors::memory::{self, Memory};
use sequencer::folder::layout::Layout;
use sequencer::folder::validity;
use sequencer::node::setup::{self, GenesisTerms};
use sequencer::node::{Node, Provided};
use serde_json::Value;

use super::outcome::{
    Expected, NodeFolder, Outcome, failed, log_to_stderr, runtime, unavailable, usage,
};

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
    #[command(flatten)]
    expected: Expected,
    /// JSON-RPC address of an EVM node, instead of the configured one.
    #[arg(long)]
    rpc: Option<String>,
}

/// The address of `--rpc`, or the configured one. Read here and not by clap, which would quote one
/// that does not parse, with the secrets in it.
pub(super) fn rpc(given: Option<String>, configured: Option<HttpUrl>) -> Outcome<Option<HttpUrl>> {
    let Some(text) = given else { return Ok(configured) };
    let url = text.parse::<HttpUrl>().context("reading --rpc").map_err(usage)?;
    Ok(Some(url))
}

/// Makes a folder.
pub(crate) fn init(args: &InitArgs) -> Outcome {
    let layout = Layout::new(&args.folder.dir);
    let config = memory::fitted(Config::default());
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

/// Refuses limits that may take more than the machine has, or says so loudly.
fn check_memory(config: &Config) -> Outcome {
    match Memory::of(config).check() {
        Err(error) if config.memory.over == "refuse" => Err(usage(error)),
        Err(error) => {
            tracing::warn!(%error, "the limits may take more memory than there is");
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
    let keys = setup::prover_keys(&layout, &config, |shape| eprintln!("proving key {shape} ..."));
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
        log_to_stderr("info")?;
        return dev();
    }
    let mut config = Config::read(&args.config).map_err(usage)?;
    log_to_stderr(&config.log.level)?;
    config.chain.rpc = rpc(args.rpc, config.chain.rpc)?;
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
    let keys = setup::prover_keys(&layout, &config, |shape| eprintln!("proving key {shape} ..."));
    let keys = Arc::new(keys.map_err(failed)?);
    runtime()?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(MachineClock);
        let chain = setup::open_chain(&layout, &config, clock.clone()).map_err(failed)?;
        let provided = Provided { chain, keys, clock, space: None };
        let node = Node::start(&folder, &config, provided).await.map_err(failed)?;
        wait_until_stopped(node).await
    })
}

/// Runs the development node in a temporary folder until a signal.
fn dev() -> Outcome {
    // By process, so that several run beside each other; keys of development are worth nothing.
    let dir = std::env::temp_dir().join(format!("vitals-dev-{}", std::process::id()));
    runtime()?.block_on(async {
        let node = sequencer::demo::dev(&dir).await.map_err(failed)?;
        wait_until_stopped(node).await
    })
}

/// Waits for a signal or a failure, then stops gracefully.
async fn wait_until_stopped(node: Node) -> Outcome {
    let at = node.endpoints();
    println!("ingest {} (QUIC)  http://{}  base chain {}", at.ingest, at.http, at.rpc);
    println!("deployment {}: clients and auditors compare it (--fingerprint)", at.fingerprint);
    let outcome = tokio::select! {
        signal = stop_signal() => signal.map_err(failed),
        error = node.wait_for_failure() => Err(failed(error)),
    };
    // After a failed stage as well: what the others have under way is still made durable.
    eprintln!("stopping: what is admitted is made durable, closed windows are proven");
    // A stage may fail on this way too, and then this is no orderly end.
    let stopped = node.stop().await.map_err(failed);
    outcome.and(stopped)
}

/// SIGINT or SIGTERM.
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    // What a service manager sends; Ctrl-C is for people.
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    folder: NodeFolder,
    #[command(flatten)]
    expected: Expected,
}

/// Prints where a running node is, and of which deployment.
pub(crate) fn status(args: &StatusArgs) -> Outcome {
    let layout = Layout::new(&args.folder.dir);
    let (folder, path) = (args.folder.dir.display(), layout.endpoints());
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("no node runs in {folder} (no {})", path.display()));
    let text = text.map_err(unavailable)?;
    args.expected.check(&layout)?;
    print!("{}", escape_lines(&text));
    warn_of_ends(&layout);
    Ok(())
}

/// Says on stderr which certificates end soon: the node's own, and those that it registered.
fn warn_of_ends(layout: &Layout) {
    let now = SystemClock.now();
    match validity::endings(layout) {
        Ok(endings) => {
            for warning in endings.iter().filter_map(|ending| ending.warning(now)) {
                eprintln!("warning: {warning}");
            }
        }
        // What is asked for is where the node is; that stands above.
        Err(error) => eprintln!("warning: {}", with_causes(&error)),
    }
    let Ok(runtime) = runtime() else { return };
    match runtime.block_on(ask(&layout.admin_socket(), "list")) {
        Ok(registry) => {
            for line in ends_registered(&registry, now) {
                eprintln!("warning: {line}");
            }
        }
        Err(error) => eprintln!("warning: the registry is not read: {}", with_causes(&error)),
    }
}

/// One line for each record of the registry that ends within the days of a warning. What ended
/// before is not listed: most of it was ended on purpose.
fn ends_registered(registry: &Value, now: Millis) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, records) in registry.as_object().into_iter().flatten() {
        for record in records.as_array().into_iter().flatten() {
            let Some(until) = record["valid"]["until"].as_u64() else { continue };
            let at = Millis::from_unix_ms(until);
            let left_ms = at.get().saturating_sub(now.get());
            let days = left_ms / (24 * 60 * 60 * 1000);
            if left_ms > 0 && days < validity::WARNING_DAYS {
                let id = record["id"].as_str().unwrap_or_default();
                lines.push(format!("of {kind}, {id} ends at {}, in {days} days", Utc(at)));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_that_end_soon_are_listed_by_kind_and_id() {
        let now = Millis::from_unix_ms(1_800_000_000_000);
        let day = 24 * 60 * 60 * 1000;
        let record = |id: &str, days: u64| json!({ "id": id, "valid": { "from": 0, "until": now.unix_ms() + days * day } });
        let forever = json!({ "id": "org", "valid": { "from": null, "until": null } });
        let ended = json!({ "id": "gone", "valid": { "from": 0, "until": 1 } });
        let registry = json!({
            "schema": "vitals-registry-1", "organisations": [forever],
            "gateways": [record("gw-1", 31), record("gw-2", 29), ended],
        });
        let lines = ends_registered(&registry, now);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("of gateways, gw-2 ends at 20"), "{lines:?}");
        assert!(lines[0].ends_with("in 29 days"), "{lines:?}");
    }
}
