//! A worker as its parent sees it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;

use crate::request::Request;
use crate::worker::{Proved, Said};

/// A running worker whose prover is ready. Ended when it is dropped.
pub(crate) struct Child {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) version: String,
    pub(crate) note: Option<String>,
}

/// What came of starting a worker.
pub(crate) enum Started {
    Ready(Child),
    /// The prover is not here, for this reason.
    Missing(String),
}

impl Child {
    /// Starts this program once more and waits until the prover is ready.
    ///
    /// # Errors
    /// If the prover is here and does not prove.
    pub(crate) fn start(request: &Request) -> anyhow::Result<Started> {
        let mut command = Command::new(std::env::current_exe().context("this program's path")?);
        command
            .arg("worker")
            .args(["--subject", &request.subject.to_string()])
            .args(["--prover", &request.prover.to_string()])
            .args(["--threads", &request.threads.to_string()])
            .args(["--table-bytes-max", &request.table_bytes_max.to_string()])
            .arg("--cache")
            .arg(request.cache.path());
        let programs = &request.programs;
        for (flag, path) in [("--sketch", &programs.sketch), ("--rapidsnark", &programs.rapidsnark)]
        {
            if let Some(path) = path {
                command.arg(flag).arg(path);
            }
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a worker's process")?;
        let input = process.stdin.take().expect("piped above");
        let output = BufReader::new(process.stdout.take().expect("piped above"));
        let mut child = Self { process, input, output, version: String::new(), note: None };
        match child.listen()? {
            Said::Missing { why } => Ok(Started::Missing(why)),
            Said::Ready { version, note } => {
                (child.version, child.note) = (version, note);
                Ok(Started::Ready(child))
            }
            said => anyhow::bail!("expected a worker that is ready, found {said:?}"),
        }
    }

    /// Asks for one proof.
    ///
    /// # Errors
    /// If the prover fails.
    pub(crate) fn prove(&mut self) -> anyhow::Result<Proved> {
        self.input.write_all(b"prove\n").context("the worker's input")?;
        match self.listen()? {
            Said::Proved(proved) => Ok(*proved),
            said => anyhow::bail!("expected a proof, found {said:?}"),
        }
    }

    fn listen(&mut self) -> anyhow::Result<Said> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("the worker's output")?;
        if line.is_empty() {
            let ended = self.process.wait().context("the worker's end")?;
            anyhow::bail!("the worker ended with {ended}");
        }
        let said = serde_json::from_str(&line);
        match said.with_context(|| format!("a line of a worker: {line:?}"))? {
            Said::Failed { why } => Err(anyhow::Error::msg(why)),
            said => Ok(said),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It holds nothing that could be lost, and may be in the middle of a proof.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
