//! Progress on the error output: a line that is written over on a terminal, one every few seconds
//! elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use auditor::{Colour, Progress, Step};
use l1_contracts::Wait;

/// Between two lines where nothing is written over, and before the first one: what is done sooner
/// says nothing.
const BETWEEN: Duration = Duration::from_secs(5);
/// The same on a terminal.
const BETWEEN_ON_TERMINAL: Duration = Duration::from_millis(100);

/// Whether what is printed at the end goes to somebody's eyes.
pub(crate) fn colour() -> Colour {
    if std::io::stdout().is_terminal() { Colour::Terminal } else { Colour::Plain }
}

/// Tells how far an audit is.
pub(crate) struct Line {
    last: Mutex<Instant>,
}

impl Line {
    pub(crate) fn begin() -> Line {
        Line { last: Mutex::new(Instant::now()) }
    }

    fn show(&self, text: &str, is_last: bool) {
        let mut out = std::io::stderr();
        let terminal = out.is_terminal();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let between = if terminal { BETWEEN_ON_TERMINAL } else { BETWEEN };
        // The end of a step replaces what stands on the terminal, and is nothing new elsewhere.
        let is_due = last.elapsed() >= between || (terminal && is_last);
        if !is_due {
            return;
        }
        *last = Instant::now();
        // Progress that cannot be shown is no reason to stop.
        let _ = match (terminal, is_last) {
            (true, true) => writeln!(out, "\r\x1b[K{text}"),
            (true, false) => write!(out, "\r\x1b[K{text}").and_then(|()| out.flush()),
            (false, _) => writeln!(out, "auditor: {text}"),
        };
    }
}

impl Progress for Line {
    fn at(&self, step: Step, done: u64, of: u64) {
        let what = match step {
            Step::Blocks => "blocks searched",
            Step::Headers => "headers read",
            Step::Batches => "batches checked",
        };
        self.show(&format!("{what}: {done} of {of}"), done == of);
    }

    fn waits(&self, wait: &Wait) {
        let Wait { node, status, length, number, most } = wait;
        let seconds = length.as_secs_f32();
        let text = format!(
            "{node} is busy (status {status}): waiting {seconds:.1} s, {number} of at most {most} \
             times"
        );
        self.show(&text, false);
    }
}
