//! Who follows a page: its commands are run as they stand there, against a node of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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

/// Sends HL7 v2 as the program of this name does, which is not of this repository: by command
/// `mllp-check` has the true one send the page's message.
const MLLP_SEND: &str = include_str!("senders/mllp_send");

/// One who follows pages in a folder.
pub(crate) struct Walker {
    folder: TempDir,
    /// Folder of the programs.
    programs: PathBuf,
    /// Folder of what stands for programs of others.
    senders: TempDir,
    /// What runs in the background, as a shell numbers it: `%1` is the first one, the node.
    jobs: Vec<Option<Running>>,
    /// Where the node really is, in the order of [`ON_THE_PAGE`].
    places: Option<[String; 3]>,
    /// Ports of the page, each with the one that a bridge really listens on.
    ports: Vec<[String; 2]>,
    /// Commands that were followed.
    pub(crate) commands: usize,
}

/// What was started in the background.
struct Running {
    child: Child,
    /// What it says on standard error.
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
        let [folder, senders] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let mut sender = std::fs::OpenOptions::new();
        sender.write(true).create_new(true).mode(0o755);
        let mut sender = sender.open(senders.path().join("mllp_send")).unwrap();
        sender.write_all(MLLP_SEND.as_bytes()).unwrap();
        let (jobs, ports) = (Vec::new(), Vec::new());
        Walker { folder, programs, senders, jobs, places: None, ports, commands: 0 }
    }

    /// Follows a page below `docs/`, up to the heading `until` where one is given.
    pub(crate) fn walk(&mut self, page: &str, until: Option<&str>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
        let page = std::fs::read_to_string(path).unwrap();
        let end = until.map(|until| page.find(&format!("\n{until}\n")).expect(until));
        for Block { info, text } in blocks(&page[..end.unwrap_or(page.len())]) {
            if let Some((_, name)) = info.split_once(" file=") {
                std::fs::write(self.folder.path().join(name), &text).unwrap();
            }
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
        let own = [&self.programs, self.senders.path()].map(|folder| folder.display().to_string());
        shell.env("PATH", format!("{}:{path}", own.join(":")));
        shell.stdin(Stdio::null()).env_remove("RUST_LOG");
        if let Some([ingest, ..]) = &self.places {
            shell.env("VITALS_NODE", ingest);
        }
        shell
    }

    /// A command with the addresses and the processes that there really are.
    fn really(&self, command: &str) -> String {
        let mut command = command.to_owned();
        if let Some(places) = &self.places {
            for (page, real) in ON_THE_PAGE.iter().zip(places) {
                command = command.replace(page, real);
            }
        }
        for [page, real] in &self.ports {
            // As a word or in an address: within a number it is another port.
            for [before, behind] in [[" ", " "], [":", "/"]] {
                let there = format!("{before}{page}{behind}");
                command = command.replace(&there, &format!("{before}{real}{behind}"));
            }
        }
        for (name, job) in (1..).zip(&self.jobs) {
            if let Some(job) = job {
                command = command.replace(&format!("%{name}"), &job.child.id().to_string());
            }
        }
        command
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
        if command.starts_with("kill") {
            self.heed(command);
        }
    }

    /// Waits until each job that was sent a signal has done what it says.
    fn heed(&mut self, command: &str) {
        for (name, job) in (1..).zip(&mut self.jobs) {
            let is_meant = command.contains(&format!("%{name}"));
            let Some(running) = job.as_mut().filter(|_| is_meant) else { continue };
            if command.starts_with("kill -HUP") {
                assert!(running.log.iter().any(|line| line.contains("are read again")));
                continue;
            }
            running.child.wait().unwrap();
            *job = None;
        }
        // As a shell does: the next one has the number behind the last that runs.
        while self.jobs.pop_if(|last| last.is_none()).is_some() {}
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

    /// Starts what goes on in the background: the node, or a bridge, each on free ports.
    fn start(&mut self, command: &str, expected: &str) {
        let port = port_of(command);
        let free = port.map(|port| command.replace(&format!(":{port}"), ":0"));
        let mut shell = self.shell(&format!("exec {}", free.as_deref().unwrap_or(command)));
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            // Read whether or not anybody looks, or a full pipe would hold the program up.
            stderr.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        match port {
            // A bridge says where it listens on standard error, and more when it likes.
            Some(_) => {
                said.extend(log.iter().take(expected.lines().count()).map(|line| line + "\n"));
            }
            None => {
                for _ in expected.lines() {
                    stdout.read_line(&mut said).unwrap();
                }
            }
        }
        self.jobs.push(Some(Running { child, log, _stdout: stdout }));
        check(command, expected, &said);
        match port {
            Some(port) => {
                let behind = said.rsplit(':').next().unwrap_or_default();
                let real = behind.chars().take_while(char::is_ascii_digit).collect();
                self.ports.push([port.to_owned(), real]);
            }
            None => {
                let found = std::fs::read(self.folder.path().join("node/endpoints.json")).unwrap();
                let Endpoints { ingest, http, rpc, .. } = serde_json::from_slice(&found).unwrap();
                self.places = Some([ingest.to_string(), http.to_string(), rpc]);
            }
        }
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

/// The port of the page that a bridge is to listen on.
fn port_of(command: &str) -> Option<&str> {
    let (_, behind) = command.split_once("--listen 127.0.0.1:")?;
    behind.split(' ').next()
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
