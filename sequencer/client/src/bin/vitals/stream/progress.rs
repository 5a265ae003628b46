//! What becomes of the readings while the command runs, for whoever watches it.

use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use client::{Backlogs, Connection, Counts};
use model::escape;
use serde_json::json;

use crate::report::Unfinished;

/// How often a terminal's line is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(250);
/// How often a line is written to what is no terminal.
const WRITTEN_EVERY: Duration = Duration::from_secs(5);
const BAR_WIDTH: u64 = 20;

/// Who is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// A person: one line that changes.
    Terminal,
    /// A log: a line now and then.
    Log,
    /// Nobody, but of what goes wrong.
    Nobody,
    /// A program, and of what goes wrong: an object a line.
    Program,
}

impl View {
    /// Of somebody who wants to see it: whoever reads standard error.
    pub(super) fn of_stderr() -> View {
        if std::io::stderr().is_terminal() { View::Terminal } else { View::Log }
    }
}

/// How far a stream is.
pub(super) struct Progress {
    view: View,
    state: Option<PathBuf>,
    /// Readings of the whole file; unknown of a pipe.
    of: Option<u64>,
    began: Instant,
    /// Readings of the file that were sent before.
    sent_before: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    connection: Option<Connection>,
    /// What the state folder held at the begin.
    before: Unsent,
    /// What was put there before there was a connection.
    kept: Unsent,
    /// What it holds, and readings that it gave up, before there was a connection.
    held: Unsent,
    given_up: u64,
    is_drawn: bool,
}

/// What has no receipt.
#[derive(Clone, Copy, Default)]
pub(super) struct Unsent {
    pub(super) frames: u64,
    pub(super) readings: u64,
}

impl Progress {
    pub(super) fn new(view: View, state: Option<PathBuf>, of: Option<u64>) -> Progress {
        let (began, sent_before) = (Instant::now(), AtomicU64::new(0));
        Progress { view, state, of, began, sent_before, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state folder holds frames of a run before.
    pub(super) fn inherit(&self, backlogs: &Backlogs) {
        let held = Unsent { frames: backlogs.frames(), readings: backlogs.readings() };
        {
            let mut inner = self.lock();
            (inner.before, inner.held) = (held, held);
        }
        let cut = backlogs.cut_bytes();
        if cut > 0 {
            self.say(&format!(
                "{cut} bytes at the end of what the state folder keeps were not written to their \
                 end, by a crash or a power cut, and are cut: nothing of them was ever sent"
            ));
        }
    }

    /// What the state folder holds now, while there is no connection.
    pub(super) fn hold(&self, backlogs: &Backlogs) {
        let mut inner = self.lock();
        inner.held = Unsent { frames: backlogs.frames(), readings: backlogs.readings() };
        inner.given_up = backlogs.readings_given_up();
    }

    /// Readings that were given up before a connection stood.
    pub(super) fn given_up(&self) -> u64 {
        self.lock().given_up
    }

    /// A frame is in the state folder, and there is no connection.
    pub(super) fn keep(&self, readings: usize) {
        let kept = &mut self.lock().kept;
        kept.frames += 1;
        kept.readings += readings as u64;
    }

    /// The node answered; what was kept is counted by the connection from now on.
    pub(super) fn connect(&self, connection: &Connection) {
        if let Some(short) = connection.udp_buffers().short() {
            self.say(&short.to_string());
        }
        self.lock().connection = Some(connection.clone());
    }

    /// Lets the connection go, so that it can be closed.
    pub(super) fn disconnect(&self) {
        self.lock().connection = None;
    }

    /// A reading of the file was sent before.
    pub(super) fn pass(&self) {
        self.sent_before.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent_before(&self) -> u64 {
        self.sent_before.load(Ordering::Relaxed)
    }

    /// Readings that were in the state folder before a connection stood.
    pub(super) fn kept_readings(&self) -> u64 {
        self.lock().kept.readings
    }

    /// Says a line that stays.
    pub(super) fn say(&self, line: &str) {
        let is_drawn = std::mem::take(&mut self.lock().is_drawn);
        let clear = if is_drawn { CLEAR } else { "" };
        let line = match self.view {
            View::Program => json!({ "schema": "vitals-notice-1", "notice": line }).to_string(),
            _ => format!("{clear}vitals: {}", escape(line)),
        };
        // Whoever does not read it any more still wants the readings sent.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// Takes the line that changes away.
    pub(super) fn clear(&self) {
        if std::mem::take(&mut self.lock().is_drawn) {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }

    /// Shows how far it is, now and again.
    pub(super) async fn show(&self) -> Infallible {
        let every = match self.view {
            View::Terminal => DRAWN_EVERY,
            View::Log => WRITTEN_EVERY,
            View::Nobody | View::Program => std::future::pending().await,
        };
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        loop {
            ticks.tick().await;
            let line = self.line();
            if self.view == View::Log {
                self.say(&line);
                continue;
            }
            self.lock().is_drawn = true;
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "{CLEAR}{line}").and_then(|()| stderr.flush());
        }
    }

    fn line(&self) -> String {
        let inner = self.lock();
        let Some(connection) = &inner.connection else {
            let Unsent { readings, .. } = inner.kept;
            return match self.state {
                Some(_) => format!("waiting for the node; {readings} readings are kept meanwhile"),
                None => "waiting for the node".to_owned(),
            };
        };
        let (counts, is_connected) = (connection.counts(), connection.is_connected());
        let inherited = inner.before.readings;
        drop(inner);
        let (durable, waiting) = (counts.readings_receipted, unsent(&counts).readings);
        let of_file = durable_of_file(durable, self.sent_before(), inherited);
        let bar = self.of.map_or_else(String::new, |of| bar(of_file, of));
        let rate = durable as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let away = if is_connected { "" } else { "; the node is away, tried again" };
        format!("{bar}{durable} readings durable, {rate:.0}/s, {waiting} without a receipt{away}")
    }

    /// What has no receipt, where it is, and how to go on; `lost` are readings that were read last
    /// and are in no frame, of a pipe.
    pub(super) fn unfinished(&self, lost: u64) -> Unfinished {
        let Unsent { frames, readings } = self.unsent();
        let mut said = self.kept_sentence();
        let given_up = {
            let inner = self.lock();
            let of_connection = inner.connection.as_ref().map(|one| one.counts().readings_given_up);
            inner.given_up + of_connection.unwrap_or_default()
        };
        if given_up > 0 {
            said += &format!(
                "; {given_up} readings were given up, because the folder was full or they were \
                 too old: the run that ends tells which"
            );
        }
        if lost > 0 {
            // What the system buffers of the pipe is gone too, and nobody counts it.
            said += &format!("; at least {lost} readings that were read last are not kept");
        }
        let state = self.state.clone();
        Unfinished { said, frames, readings, lost, state }
    }

    fn unsent(&self) -> Unsent {
        let inner = self.lock();
        match &inner.connection {
            Some(connection) => unsent(&connection.counts()),
            None => inner.held,
        }
    }

    fn kept_sentence(&self) -> String {
        let Unsent { frames, readings } = self.unsent();
        let again = match self.of {
            Some(_) => "the same command again goes on where this one ended",
            None => "the same command again sends them before anything else",
        };
        match &self.state {
            Some(state) => format!(
                "{readings} readings in {frames} frames without a receipt are kept in {}: {again}",
                state.display()
            ),
            None if self.of.is_some() => format!(
                "{readings} readings that were sent have no receipt: a next run sends the whole \
                 file, and with --state DIR only what has none"
            ),
            None => format!(
                "{readings} readings that were sent have no receipt, and what was read is kept \
                 nowhere: with --state DIR the next run would send it"
            ),
        }
    }
}

/// Readings of a file that are durable. Its readings in frames that a run before kept count as
/// sent before, from the moment they are passed over, and again when they get their receipt.
fn durable_of_file(durable: u64, sent_before: u64, inherited: u64) -> u64 {
    (durable + sent_before).saturating_sub(inherited)
}

/// How much of a file is durable.
fn bar(done: u64, of: u64) -> String {
    // The folder may keep frames of another file, whose receipts come first.
    let of = of.max(1);
    let done = done.min(of);
    let full = (done * BAR_WIDTH / of) as usize;
    let (full, empty) = ("#".repeat(full), ".".repeat(BAR_WIDTH as usize - full));
    format!("[{full}{empty}] {}%  ", done * 100 / of)
}

/// Takes a terminal's line away.
const CLEAR: &str = "\r\x1b[K";

/// What a connection has sent and has no receipt for.
pub(super) fn unsent(counts: &Counts) -> Unsent {
    let readings = counts.readings_sent + counts.readings_restored;
    Unsent {
        frames: counts.frames_sent.saturating_sub(counts.frames_receipted + counts.frames_given_up),
        readings: readings.saturating_sub(counts.readings_receipted + counts.queued_given_up),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_much_of_the_file_is_durable() {
        assert_eq!(bar(0, 300), "[....................] 0%  ");
        assert_eq!(bar(150, 300), "[##########..........] 50%  ");
        assert_eq!(bar(400, 300), "[####################] 100%  ");
        assert_eq!(bar(0, 0), "[....................] 0%  ");
        // Of 300, 100 are kept by a run before: nothing is durable until receipts come.
        let durable = [0, 50, 100, 300].map(|durable| durable_of_file(durable, 100, 100));
        assert_eq!(durable, [0, 50, 100, 300]);
        // What is kept are another file's readings.
        let durable = [50, 100, 400].map(|durable| durable_of_file(durable, 0, 100));
        assert_eq!(durable, [0, 0, 300]);
    }

    #[test]
    fn without_a_node_it_says_what_is_kept_and_how_to_go_on() {
        let (pipe, state) = (None, Some(PathBuf::from("state")));
        let progress = Progress::new(View::Nobody, state, pipe);
        progress.keep(12);
        progress.keep(3);
        progress.lock().held = Unsent { frames: 2, readings: 15 };
        assert_eq!(progress.line(), "waiting for the node; 15 readings are kept meanwhile");
        assert_eq!(
            progress.kept_sentence(),
            "15 readings in 2 frames without a receipt are kept in state: the same command again \
             sends them before anything else"
        );
        let unfinished = progress.unfinished(4);
        assert!(unfinished.said.ends_with("at least 4 readings that were read last are not kept"));
        assert_eq!((unfinished.frames, unfinished.readings, unfinished.lost), (2, 15, 4));
        let forgetful = Progress::new(View::Nobody, None, Some(15));
        assert!(forgetful.kept_sentence().contains("a next run sends the whole file"));
        let of_pipe = Progress::new(View::Nobody, None, None);
        assert!(of_pipe.kept_sentence().contains("kept nowhere"));
    }
}
