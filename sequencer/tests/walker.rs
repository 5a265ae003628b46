//! Who follows a page: its commands are run as they stand there, against a node of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use sequencer::doors::config::Config;
use sequencer::node::Endpoints;
use sequencer::node::status::NodeStatus;
use tempfile::TempDir;

use crate::blocks::{Block, blocks};
use crate::support::{prepare_small, proving_keys};

/// Where the page says that a node with the defaults is, and the chain that it embeds.
const ON_THE_PAGE: [&str; 3] = ["127.0.0.1:4433", "127.0.0.1:8080", "http://127.0.0.1:18545"];

/// Looks at the node's status until a batch is settled, at most; more than a busy machine needs.
const LOOKS_MAX: usize = 10_000;

/// One who follows pages in a folder.
pub(crate) struct Walker {
    folder: TempDir,
    /// Folder of the programs.
    programs: PathBuf,
    node: Option<Running>,
    /// Where the node really is, in the order of [`ON_THE_PAGE`].
    places: Option<[String; 3]>,
    /// Commands that were followed.
    pub(crate) commands: usize,
}

/// The node that was started in the background.
struct Running {
    child: Child,
    log: Receiver<String>,
    /// Kept open, or the program could not print.
    _stdout: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already, unless the walk stopped on its way.
        drop(self.child.kill());
    }
}

impl Walker {
    /// In an empty folder, with all programs built and keys made once for all tests: a page's own
    /// take minutes.
    pub(crate) fn new() -> Walker {
        build_programs();
        proving_keys();
        let programs = Path::new(env!("CARGO_BIN_EXE_sequencer")).parent().unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        Walker { folder, programs, node: None, places: None, commands: 0 }
    }

    /// Follows a page below `docs/`, up to the heading `until` where one is given.
    pub(crate) fn walk(&mut self, page: &str, until: Option<&str>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
        let page = std::fs::read_to_string(path).unwrap();
        let end = until.map(|until| page.find(&format!("\n{until}\n")).expect(until));
        for Block { info, text } in blocks(&page[..end.unwrap_or(page.len())]) {
            if info != "console" {
                continue;
            }
            for example in text.split("$ ").filter(|example| !example.is_empty()) {
                let (command, expected) = example.split_once('\n').expect("a line of its own");
                self.follow(command, expected);
                self.commands += 1;
            }
        }
    }

    fn shell(&self, command: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(self.really(command)).current_dir(self.folder.path());
        shell.env("PATH", format!("{}:{path}", self.programs.display()));
        shell.stdin(Stdio::null()).env_remove("RUST_LOG");
        if let Some([ingest, ..]) = &self.places {
            shell.env("VITALS_NODE", ingest);
        }
        shell
    }

    /// A command with the addresses and the process that there really are.
    fn really(&self, command: &str) -> String {
        let mut command = command.to_owned();
        if let Some(places) = &self.places {
            for (page, real) in ON_THE_PAGE.iter().zip(places) {
                command = command.replace(page, real);
            }
        }
        match &self.node {
            Some(node) => command.replace("%1", &node.child.id().to_string()),
            None => command,
        }
    }

    /// Runs one command and compares what it says.
    fn follow(&mut self, command: &str, expected: &str) {
        if let Some(command) = command.strip_suffix(" &") {
            return self.start(command, expected);
        }
        if command.starts_with("auditor verify") {
            self.wait_until_settled();
        }
        let output = self.shell(command).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        check(command, expected, &said);
        if command.starts_with("sequencer init") {
            self.prepare();
        }
        match (command.split(' ').nth(1), &mut self.node) {
            (Some("-HUP"), Some(node)) if command.starts_with("kill") => {
                assert!(node.log.iter().any(|line| line.contains("are read again")));
            }
            (Some(_), Some(node)) if command.starts_with("kill") => {
                node.child.wait().unwrap();
                self.node = None;
            }
            _ => {}
        }
    }

    /// Free ports, small circuits and short windows, also of those in which nothing happens, so
    /// that a test may follow.
    fn prepare(&self) {
        let path = self.folder.path().join("node/node.toml");
        let mut config = Config::read(&path).unwrap();
        prepare_small(&mut config);
        config.batch.close_after_ms = 2_000;
        config.batch.fixed_cadence = true;
        std::fs::write(path, config.to_toml()).unwrap();
    }

    fn start(&mut self, command: &str, expected: &str) {
        let mut shell = self.shell(&format!("exec {command}"));
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            // Read whether or not anybody looks, or a full pipe would hold the node up.
            stderr.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        for _ in expected.lines() {
            stdout.read_line(&mut said).unwrap();
        }
        self.node = Some(Running { child, log, _stdout: stdout });
        check(command, expected, &said);
        let found = std::fs::read(self.folder.path().join("node/endpoints.json")).unwrap();
        let Endpoints { ingest, http, rpc, .. } = serde_json::from_slice(&found).unwrap();
        self.places = Some([ingest.to_string(), http.to_string(), rpc]);
    }

    fn status(&self) -> NodeStatus {
        let output = self.shell("sequencer status --json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What happened until now, on the page's way a minute later.
    fn wait_until_settled(&self) {
        let open = self.status().batches.closed + 1;
        let mut looks = (0..LOOKS_MAX).map(|_| self.status());
        if !looks.any(|status| status.batches.settled >= open) {
            panic!("expected batch {open} to be settled, found {:?}", self.status());
        }
    }
}

/// Compares line by line; `..` stands for anything within a line, and a line that ends with it for
/// one or more such lines: a node has as many proving keys as shapes.
#[track_caller]
pub(crate) fn check(command: &str, expected: &str, said: &str) {
    let fits = |expected: &str, said: &str| {
        let mut parts = expected.split("..");
        let begin = parts.next().unwrap_or_default();
        let Some(mut rest) = said.strip_prefix(begin) else { return false };
        for part in parts {
            let Some((_, behind)) = rest.split_once(part) else { return false };
            rest = behind;
        }
        rest.is_empty() || expected.ends_with("..")
    };
    let (mut next, mut last) = (expected.lines().peekable(), None);
    let all = said.lines().all(|line| {
        if let Some(one) = next.next_if(|one| fits(one, line)) {
            last = Some(one);
            return true;
        }
        last.is_some_and(|last: &str| last.ends_with("..") && fits(last, line))
    });
    let all = all && next.next().is_none();
    assert!(all, "$ {command}\nexpected:\n{expected}\nfound:\n{said}");
}

/// The other programs of the page, in case only this crate was built; else there is nothing to do.
fn build_programs() {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "-p", "sequencer", "-p", "auditor", "-p", "prover"])
        .args(["-p", "client", "-p", "loadgen"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success());
}
