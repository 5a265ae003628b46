//! The program itself, as an operator runs it: the node in a process of its own, and commands.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::demo::expect::{DemoError, Step};
use crate::folder::layout::Layout;
use crate::node::Endpoints;

/// `sequencer run`.
pub(super) struct Program {
    child: Child,
    pub(super) ingest: SocketAddr,
    /// Kept open, or the program could not print.
    _stdout: BufReader<ChildStdout>,
}

fn command(step: Step) -> Result<Command, DemoError> {
    let program = step.ok(std::env::current_exe())?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

impl Program {
    /// Starts the node and waits until it says where it is.
    pub(super) async fn start(layout: &Layout, log: &Path) -> Result<Program, DemoError> {
        let step = Step("run");
        let stderr = step.io(log, files::append(log))?;
        let mut command = command(step)?;
        command.arg("run").arg("--config").arg(layout.config());
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::from(stderr)).spawn();
        let mut child = step.ok(spawned)?;
        let stdout = child.stdout.take().ok_or_else(|| step.failed("an output", "none"))?;
        let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
        step.ok(stdout.read_line(&mut line).await)?;
        if line.is_empty() {
            let expected = "the node to say where it is";
            return Err(step.failed(expected, format!("that it ended: see {}", log.display())));
        }
        let path = layout.endpoints();
        let found = step.io(&path, files::read(&path, 64 << 10, files::Audience::Owner))?;
        let Endpoints { ingest, .. } = step.ok(serde_json::from_slice(&found))?;
        Ok(Program { child, ingest, _stdout: stdout })
    }

    /// SIGKILL.
    pub(super) async fn kill(mut self) -> Result<(), DemoError> {
        Step("kill").ok(self.child.kill().await)
    }

    /// SIGTERM; it must end by itself and without an error.
    pub(super) async fn stop(mut self) -> Result<(), DemoError> {
        let step = Step("stop");
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = id.ok_or_else(|| step.failed("a node that runs", "one that ended"))?;
        step.ok(kill_process(id, Signal::TERM))?;
        let ended = step.ok(self.child.wait().await)?;
        step.equal("exit code", Some(0), ended.code())
    }
}

/// Runs a command to its end; gives what it said.
pub(super) async fn run(step: Step, arguments: &[String]) -> Result<String, DemoError> {
    let output = step.ok(command(step)?.args(arguments).output().await)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let expected = format!("`sequencer {}` to succeed", arguments.join(" "));
    Err(step.failed(expected, String::from_utf8_lossy(&output.stderr).trim()))
}
