//! A development node of 128 patients, each with a device and permits: 64 devices for the bridges,
//! and 64 for the client that is measured beside them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::programs::{self, Program};

const PATIENTS: &str = "128";
/// What the development node says when it takes readings.
const READY: &str = "ingest ";
/// A window is closed after this: beyond any run, since the node would prove with the priority of
/// its ingest.
const CLOSE_AFTER: &str = "close_after_ms = 86400000";

/// A device and whom it measures.
#[derive(Clone)]
pub(crate) struct Bed {
    pub(crate) device: String,
    pub(crate) patient: u64,
}

/// The node that runs, and who is there.
pub(crate) struct Ward {
    pub(crate) node: Program,
    pub(crate) address: SocketAddr,
    /// Of the one gateway.
    pub(crate) identity: PathBuf,
    /// Beds with an electrocardiogram.
    pub(crate) beds: Vec<Bed>,
    /// Others, with a pulse oximeter.
    pub(crate) others: Vec<Bed>,
    disk: TempDir,
}

impl Ward {
    /// Makes a folder on the disk to be measured, and runs a node in it.
    pub(crate) fn open() -> Ward {
        let disk = std::env::var_os("VITALS_BENCH_DIR");
        let disk = disk.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
        let disk = tempfile::tempdir_in(disk).expect("a folder to write in");
        let sequencer = programs::path("sequencer");
        let mut command = Command::new(&sequencer);
        command.args(["run", "--dev", "--patients", PATIENTS, "--gateways", "1"]);
        let making = Program::start(command.env("TMPDIR", disk.path()));
        making.wait_for(READY);
        making.stop();
        let mut entries = fs::read_dir(disk.path()).expect("the folder").filter_map(Result::ok);
        let folder = entries.find(|entry| entry.path().join("node").is_dir());
        let folder = folder.expect("the development node's folder").path();
        let config = folder.join("node/node.toml");
        let text = fs::read_to_string(&config).expect("the node's configuration");
        let (before, behind) = text.split_once("close_after_ms = ").expect("when a window closes");
        let behind = behind.split_once('\n').map_or("", |(_, behind)| behind);
        fs::write(&config, format!("{before}{CLOSE_AFTER}\n{behind}")).expect("a new one");
        let node = Program::start(Command::new(&sequencer).args(["run", "--config"]).arg(config));
        node.wait_for(READY);
        let address = read(&folder.join("node/endpoints.json"))["ingest"].clone();
        let address = address.as_str().and_then(|text| text.parse().ok()).expect("an address");
        let assignments =
            fs::read_to_string(folder.join("assignments.json")).expect("who is there");
        let (beds, others) = beds(&assignments);
        let identity = folder.join("identities/gateway-001");
        Ward { node, address, identity, beds, others, disk }
    }

    /// A folder beside the node's.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    /// The map of the beds, as a file that a bridge takes.
    pub(crate) fn map(&self) -> PathBuf {
        let mut text = "version = 1\nzone = \"UTC\"\n".to_owned();
        for (n, bed) in self.beds.iter().enumerate() {
            let Bed { device, patient } = bed;
            text += &format!(
                "[[patient]]\nauthority = \"WARD\"\nidentifier = \"{n}\"\npatient = {patient}\n\
                 [[device]]\nauthority = \"BEDS\"\nidentifier = \"{n}\"\ndevice = \"{device}\"\n"
            );
        }
        let path = self.folder("ward.toml");
        fs::write(&path, text).expect("a file in the folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("an own file");
        path
    }

    /// A bridge with options of its own; says where it listens, behind `words` of its output.
    pub(crate) fn bridge(
        &self,
        name: &str,
        options: &[&str],
        words: &str,
    ) -> (Program, SocketAddr) {
        let mut command = Command::new(programs::path("vitals"));
        command.args([name, "--listen", "127.0.0.1:0"]).args(options);
        command.arg("--map").arg(self.map()).arg("--state").arg(self.folder(name));
        command.arg("--node").arg(self.address.to_string()).arg("--identity").arg(&self.identity);
        let program = Program::start(&mut command);
        let behind = program.wait_for(words);
        let address = behind.split('/').next().and_then(|text| text.trim().parse().ok());
        (program, address.expect("an address"))
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file of the node")).expect("JSON")
}

/// Who is there, by signal: those with an electrocardiogram, and others.
fn beds(assignments: &str) -> (Vec<Bed>, Vec<Bed>) {
    let (mut beds, mut others) = (Vec::new(), Vec::new());
    for line in assignments.lines() {
        let one: Value = serde_json::from_str(line).expect("JSON in each line");
        let device = one["device"].as_str().expect("a device").to_owned();
        let patient = one["patient"].as_u64().expect("a patient");
        let of = if one["signal"] == "ecg" { &mut beds } else { &mut others };
        of.push(Bed { device, patient });
    }
    (beds, others)
}
