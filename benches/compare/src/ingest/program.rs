//! A server as a program in a process of its own, which ends with this one.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::store::Unstarted;

/// How long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(120);

/// Lines that are shown of one that ended.
const LAST_WORDS: usize = 3;

/// A running program; killed when it is dropped.
pub(super) struct Program {
    child: Child,
    name: String,
    lines: Receiver<String>,
    last: VecDeque<String>,
}

impl Program {
    /// Starts it in `folder`, which is also where it puts temporary files.
    pub(super) fn start<A: AsRef<OsStr>>(
        path: &Path,
        arguments: &[A],
        folder: &Path,
    ) -> Result<Program, Unstarted> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut command = Command::new(path);
        command.args(arguments).current_dir(folder).env("TMPDIR", folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Unstarted::Missing(format!("{}: {error}", path.display())));
            }
            Err(error) => {
                return Err(anyhow::Error::new(error).context(path.display().to_string()).into());
            }
        };
        let (sender, lines) = mpsc::channel();
        // Read until its end: a server that nobody reads from waits for its reader one day.
        child.stdout.take().into_iter().for_each(|output| tell(output, sender.clone()));
        child.stderr.take().into_iter().for_each(|output| tell(output, sender.clone()));
        Ok(Program { child, name, lines, last: VecDeque::new() })
    }

    /// Waits until it has said a line that holds this.
    ///
    /// # Errors
    /// If it ends before, or takes longer than two minutes; with what it said last.
    pub(super) fn wait_for(&mut self, words: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("{}: no {words:?} within {PATIENCE:?}: {}", self.name, self.last_words())
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait().context("its end")?;
                    bail!("{} ended with {status}: {}", self.name, self.last_words());
                }
            };
            let found = line.contains(words);
            if self.last.len() == LAST_WORDS {
                self.last.pop_front();
            }
            self.last.push_back(line);
            if found {
                return Ok(());
            }
        }
    }

    fn last_words(&self) -> String {
        self.last.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// CPU time of the process until now.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).context(path)?;
        cpu_of_stat(&stat).context("expected times in /proc/PID/stat")
    }

    /// Asks it to end and waits until it has.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).context("a process id")?;
        kill(Pid::from_raw(id), Signal::SIGINT).context("the signal")?;
        self.child.wait().context("its end")?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What it holds is thrown away with its folder.
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

/// User and system time, which stand behind the name in parentheses, in ticks of 10 ms.
fn cpu_of_stat(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(10 * (user + system)))
}

/// A port that nobody has now. Another may take it before it is used: then the start fails and is
/// said.
pub(super) fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("a free port")?;
    listener.local_addr().context("a free port")
}

/// What `PROGRAM --version` says of its version.
pub(super) fn version(path: &Path) -> Result<String, Unstarted> {
    match Command::new(path).arg("--version").output() {
        Ok(output) => Ok(version_of(&String::from_utf8_lossy(&output.stdout)).to_owned()),
        Err(error) => Err(Unstarted::Missing(format!("{}: {error}", path.display()))),
    }
}

/// The first word that looks like a version, as in `Redis server v=7.0.15 sha=...`.
fn version_of(text: &str) -> &str {
    let words = text.split_whitespace().map(|word| word.trim_start_matches(['v', '=']));
    let is_version =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    words.into_iter().find(is_version).unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_as_each_program_says_them() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0";
        assert_eq!(version_of(redis), "7.0.15");
        assert_eq!(version_of("nats-server: v2.15.1"), "2.15.1");
        assert_eq!(version_of("sequencer 0.1.0"), "0.1.0");
        assert_eq!(version_of(""), "unknown");
    }

    #[test]
    fn times_stand_behind_a_name_whatever_it_holds() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 100 0";
        assert_eq!(cpu_of_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(cpu_of_stat("7 (x"), None);
        assert_eq!(cpu_of_stat("7 (x) S 1 2"), None);
    }

    #[test]
    fn a_program_that_is_not_here_is_missing_and_one_that_ends_is_told_with_its_words() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let none: [&str; 0] = [];
        let missing = Program::start(Path::new("/no/such/program"), &none, folder.path());
        assert!(matches!(missing, Err(Unstarted::Missing(_))));
        let arguments = ["-c", "echo ready; echo no room >&2; exit 3"];
        let start = || Program::start(Path::new("sh"), &arguments, folder.path());
        let mut program = start().unwrap_or_else(|error| panic!("{error}"));
        program.wait_for("ready").expect("it said so");
        let mut program = start().unwrap_or_else(|error| panic!("{error}"));
        let error = program.wait_for("a door").expect_err("it ended").to_string();
        assert!(error.contains("exit status: 3") && error.contains("no room"), "{error}");
    }
}
