//! What reads the input and gives it to whoever sends it.

use std::io::BufReader;
use std::sync::Arc;

use anyhow::Context;
use client::InputMark;
use model::Signal;
use recordings::text::{Line, Lines, Measured, Reader};
use tokio::sync::mpsc;

use super::input::{self, instant};
use super::place::Place;
use super::progress::Progress;
use super::samples::{Reading, Samples};
use super::step::{End, OnError, Step};
use crate::node::now;

/// The thread that reads: until the end, the first place that is no reading, or until nobody
/// listens.
pub(super) enum Feed {
    Text(Box<TextFeed>),
    Samples { samples: Samples, reading: Reading, progress: Arc<Progress> },
}

impl Feed {
    pub(super) fn run(&mut self, sender: &mpsc::Sender<Step>) {
        match self {
            Feed::Text(feed) => feed.run(sender),
            Feed::Samples { samples, reading, progress } => {
                samples.run(reading, progress, sender);
            }
        }
    }
}

/// Reads lines.
pub(super) struct TextFeed {
    pub(super) lines: Lines<BufReader<input::Source>>,
    pub(super) reader: Reader,
    pub(super) on_error: OnError,
    /// Of a file whose place is kept.
    pub(super) place: Option<Place>,
    /// How far each signal was sent before.
    pub(super) sent: Vec<(&'static Signal, Option<InputMark>)>,
    pub(super) end: End,
    pub(super) progress: Arc<Progress>,
}

impl TextFeed {
    fn run(&mut self, sender: &mpsc::Sender<Step>) {
        let bad = loop {
            let line = match self.lines.read().context("reading lines") {
                Ok(Some(line)) => line,
                Ok(None) => break None,
                Err(error) => {
                    let _ = sender.blocking_send(Step::End(Err(error)));
                    return;
                }
            };
            self.end.is_cut = !line.is_ended;
            match self.reader.read(&line, instant(now())) {
                Ok(readings) => {
                    for step in self.steps(&line, readings) {
                        if sender.blocking_send(step).is_err() {
                            return;
                        }
                    }
                }
                Err(error) if self.on_error == OnError::Skip && !error.fault.is_final() => {
                    self.steps(&line, Vec::new());
                    self.end.skip(error.into());
                }
                // Passed over unasked, a bad line would be a reading that is missing and nobody
                // knows.
                Err(error) => break Some(error),
            }
        };
        self.end.counts = self.reader.counts();
        let end = std::mem::take(&mut self.end);
        let last = match bad {
            Some(error) => Step::Bad(error.into(), Box::new(end)),
            None => Step::End(Ok(end)),
        };
        // Nobody listens after the connection is lost, and then nobody needs the end.
        let _ = sender.blocking_send(last);
    }

    /// A line's readings that were not sent before, each with the place behind it.
    fn steps(&mut self, line: &Line, readings: Vec<Measured>) -> Vec<Step> {
        let before = self.place.clone();
        self.place.iter_mut().for_each(|place| place.pass(line));
        let mut steps = Vec::new();
        for (signal, sent) in &self.sent {
            let own: Vec<_> =
                readings.iter().filter(|one| one.signal.code == signal.code).collect();
            let was_sent = |taken: usize| {
                sent.is_some_and(|sent| {
                    line.number <= sent.lines
                        || line.number == sent.lines + 1 && taken < sent.taken as usize
                })
            };
            for (taken, measured) in own.iter().enumerate() {
                if was_sent(taken) {
                    self.progress.pass();
                    continue;
                }
                // Behind the last one the whole line is taken.
                let mark = match taken + 1 == own.len() {
                    true => self.place.as_ref().map(|place| place.mark(0)),
                    false => before.as_ref().map(|place| place.mark(taken as u32 + 1)),
                };
                steps.push(Step::Reading(**measured, mark));
            }
        }
        steps
    }
}
