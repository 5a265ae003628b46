//! Programs of this project in processes of their own, which end with this one.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long one may take to begin.
const PATIENCE: Duration = Duration::from_secs(300);

/// One that runs; killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

/// Where a program of this project is: in the folder that the environment names, else beside this
/// one.
pub(crate) fn path(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this program has a path");
    let beside = own.ancestors().nth(2).expect("target/PROFILE/deps/NAME").to_owned();
    let folder = std::env::var_os("VITALS_BENCH_PROGRAMS").map_or(beside, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "expected {}: cargo build --release -p sequencer -p client",
        path.display()
    );
    path
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Program {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        // Read until its end: one that nobody reads from waits for its reader one day.
        child.stdout.take().into_iter().for_each(|output| tell(output, sender.clone()));
        child.stderr.take().into_iter().for_each(|output| tell(output, sender.clone()));
        Program { child, lines }
    }

    /// Waits for a line that holds this; says what follows it there.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if let Some((_, behind)) = line.split_once(words) {
                return behind.to_owned();
            }
            said.push(line);
        }
        panic!("expected a line with {words:?}, found {said:?}")
    }

    /// What it has said and nobody has heard.
    pub(crate) fn said(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Processor time of all its threads so far, in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.expect("a program that runs");
        // Behind the name, which may hold anything: user and system time in ticks.
        let behind = stat.rsplit_once(')').expect("a name in parentheses").1;
        let ticks = behind.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(10 * ticks)
    }

    /// KiB of memory that it holds.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a program that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).expect("VmRSS");
        kib.parse().expect("a number")
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(mut self) {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::INT).expect("a signal to a child");
        self.child.wait().expect("a child that ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What it holds goes with its folder.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tells each line of an output until it ends; when nobody listens any more, reads on.
fn tell(output: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
}
