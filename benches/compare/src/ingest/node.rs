//! This project's node, as shipped, with mutual TLS, consent, receipts and the load generator that
//! its users have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::usage::measured;

use super::program::{Program, version};
use super::store::{Loaded, Order, Store, Unstarted};

/// A window is closed after this: beyond any run, since closing proves what is in it.
const CLOSE_AFTER: &str = "close_after_ms = 86400000";

/// What the development node says when it takes readings.
const READY: &str = "ingest ";

pub(super) struct Node {
    program: Program,
    version: String,
    loadgen: PathBuf,
    folder: PathBuf,
    address: String,
    _disk: TempDir,
}

/// Makes a development node on the disk and starts it with one long window.
pub(super) fn start(programs: &Path, disk: &Path) -> Result<Box<dyn Store>, Unstarted> {
    let programs = fs::canonicalize(programs).map_err(|error| {
        Unstarted::Missing(format!("--programs {}: {error}", programs.display()))
    })?;
    let [sequencer, loadgen] = ["sequencer", "loadgen"].map(|name| programs.join(name));
    let version = version(&sequencer)?;
    if !loadgen.exists() {
        return Err(Unstarted::Missing(format!("{}: not built", loadgen.display())));
    }
    let disk = tempfile::tempdir_in(disk).context("a folder for the node")?;
    let folder = make(&sequencer, disk.path())?;
    let config = folder.join("node/node.toml");
    let text = fs::read_to_string(&config).context("the node's configuration")?;
    let (before, behind) = text.split_once("close_after_ms = ").context("close_after_ms")?;
    let behind = behind.split_once('\n').map_or("", |(_, behind)| behind);
    fs::write(&config, format!("{before}{CLOSE_AFTER}\n{behind}")).context("the configuration")?;
    let arguments = ["run".as_ref(), "--config".as_ref(), config.as_os_str()];
    let mut program = Program::start(&sequencer, &arguments, disk.path())?;
    let endpoints = folder.join("node/endpoints.json");
    // Those of the node that made the folder are there until it says so.
    program.wait_for(READY)?;
    let endpoints = fs::read(&endpoints).context("endpoints.json")?;
    let endpoints: Value = serde_json::from_slice(&endpoints).context("endpoints.json")?;
    let address = endpoints["ingest"].as_str().context("the ingest door")?.to_owned();
    Ok(Box::new(Node { program, version, loadgen, folder, address, _disk: disk }))
}

/// A folder with patients, permits, gateways and a chain.
fn make(sequencer: &Path, disk: &Path) -> Result<PathBuf, Unstarted> {
    let mut program = Program::start(sequencer, &["run", "--dev"], disk)?;
    program.wait_for(READY)?;
    program.stop()?;
    let folder = fs::read_dir(disk).context("the node's folder")?.filter_map(Result::ok);
    let folder = folder.map(|entry| entry.path()).find(|path| path.join("node").is_dir());
    Ok(folder.context("expected a folder of the development node")?)
}

impl Store for Node {
    fn load(&mut self, order: &Order) -> anyhow::Result<Loaded> {
        let before = self.program.cpu()?;
        let rate = order.rate.map_or("max".to_owned(), |rate| rate.to_string());
        let mut command = Command::new(&self.loadgen);
        command.args(["run", "--json", "--node", &self.address, "--rate", &rate]);
        command.args(["--duration", &format!("{}s", order.time.as_secs())]);
        command.args(["--frame-readings", &order.payload.readings.to_string()]);
        command.args(["--codec", order.payload.codec.name()]);
        command.args(["--in-flight", &order.in_flight.to_string()]);
        command.arg("--assignments").arg(self.folder.join("assignments.json"));
        let (output, spent) = measured(|| command.output());
        let output = output.context("loadgen")?;
        let server_cpu = self.program.cpu()?.saturating_sub(before);
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("loadgen ended with {}: {}", output.status, words.trim());
        }
        let report: Value = serde_json::from_slice(&output.stdout).context("loadgen's report")?;
        read(&report, server_cpu, spent.cpu)
    }

    fn version(&self) -> &str {
        &self.version
    }
}

fn read(report: &Value, server_cpu: Duration, client_cpu: Duration) -> anyhow::Result<Loaded> {
    let number = |name: &str| report.pointer(name).and_then(Value::as_f64).context(name.to_owned());
    ensure!(number("/frames_unacknowledged")? == 0.0, "frames were not acknowledged");
    Ok(Loaded {
        readings: number("/readings_acknowledged")? as u64,
        seconds: number("/seconds")?,
        server_cpu,
        client_cpu,
        p50_ms: number("/latency/p50_us")? / 1e3,
        p99_ms: number("/latency/p99_us")? / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_loadgen_is_read_and_one_without_a_figure_is_refused() {
        let mut report = serde_json::json!({
            "frames_unacknowledged": 0, "readings_acknowledged": 5120, "seconds": 2.5,
            "latency": { "p50_us": 1500, "p99_us": 9000 }
        });
        let none = Duration::ZERO;
        let loaded = read(&report, none, none).expect("whole");
        assert_eq!((loaded.readings, loaded.seconds, loaded.p99_ms), (5120, 2.5, 9.0));
        report["frames_unacknowledged"] = 1.into();
        assert!(read(&report, none, none).is_err());
        let missing = read(&serde_json::json!({}), none, none).expect_err("nothing");
        assert!(missing.to_string().contains("frames_unacknowledged"));
    }
}
