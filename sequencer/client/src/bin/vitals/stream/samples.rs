//! Files of samples: each signal's channel, one after the other.

use std::path::{Path, PathBuf};

use client::InputMark;
use model::Signal;
use recordings::recording::{ChannelRules, SampleError};
use recordings::text::{Counts, Mapping, Period};
use recordings::value::ValueCounts;
use recordings::{Format, suspicion, unit};
use tokio::sync::mpsc;

use super::input::{Survey, TextArgs, instant};
use super::progress::Progress;
use super::step::{Bad, End, OnError, Step};
use crate::node::now;
use crate::recording::{choose, with};
use crate::report::Usage;

/// A file of samples and how it is read.
#[derive(Clone)]
pub(super) struct Samples {
    pub(super) path: PathBuf,
    format: Format,
    mappings: Vec<Mapping>,
    rules: Vec<ChannelRules>,
}

/// How far a channel was sent: its mark's name, the digest of the bytes it came from, and how many
/// of its readings stand in frames.
#[derive(Clone, Copy)]
pub(super) struct ChannelPlace {
    name: [u8; 16],
    digest: [u8; 32],
    pub(super) sent: u64,
}

/// How the thread that reads goes on.
pub(super) struct Reading {
    /// Of a file whose place is kept, that of each channel.
    pub(super) places: Option<Vec<ChannelPlace>>,
    pub(super) on_error: OnError,
}

impl Samples {
    pub(super) fn new(
        path: &Path,
        format: Format,
        args: &TextArgs,
        rules: Vec<ChannelRules>,
    ) -> Samples {
        Samples { path: path.to_owned(), format, mappings: args.columns.clone(), rules }
    }

    /// Runs through the whole file: nothing is sent of one that is damaged, without a start, or in
    /// another unit throughout.
    pub(super) fn survey(&self) -> anyhow::Result<Survey> {
        with(&self.path, self.format, |recording, _| {
            let mut found = Survey::default();
            for rules in &self.rules {
                let channel = choose(&recording.channels, rules.signal, &self.mappings)?;
                let mut readings = recording.read(channel.number, rules.clone())?;
                for reading in readings.by_ref() {
                    match reading {
                        Ok(_) => found.readings += 1,
                        Err(error) if error.fault.is_final() => return Err(error.into()),
                        Err(error) => {
                            let bad = || Bad::sample(&error, &channel.name);
                            found.first_error.get_or_insert_with(bad);
                        }
                    }
                }
                let counts = readings.counts();
                check_usual(rules, counts)?;
                add(&mut found.counts, counts);
            }
            match (found.readings, &found.first_error) {
                (0, Some(bad)) => Err(Usage(bad.to_string()).into()),
                (0, None) => Err(Usage("expected readings, found none".to_owned()).into()),
                _ => Ok(found),
            }
        })
    }

    /// The time between the samples of each signal's channel, where there is one.
    pub(super) fn periods(
        &self,
        signals: &[&'static Signal],
    ) -> anyhow::Result<Vec<Option<Period>>> {
        with(&self.path, self.format, |recording, _| {
            let period = |signal: &&'static Signal| {
                Ok(choose(&recording.channels, signal, &self.mappings)?.period)
            };
            signals.iter().map(period).collect()
        })
    }

    /// The place of each channel before anything of it is sent.
    pub(super) fn places(&self) -> anyhow::Result<Vec<ChannelPlace>> {
        let canonical = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        with(&self.path, self.format, |recording, disk| {
            let mut places = Vec::new();
            for rules in &self.rules {
                let channel = choose(&recording.channels, rules.signal, &self.mappings)?;
                let mut hasher = blake3::Hasher::new();
                hasher.update(canonical.as_os_str().as_encoded_bytes());
                hasher.update(&channel.number.to_be_bytes());
                let name = hasher.finalize();
                let mut content = blake3::Hasher::new();
                content.update(&channel.number.to_be_bytes());
                // Its files are read to the last before the first reading is given.
                drop(recording.read(channel.number, rules.clone())?);
                content.update(disk.hash().as_bytes());
                let (half, _) = name.as_bytes().split_at(16);
                places.push(ChannelPlace {
                    name: half.try_into().expect("half of 32 bytes"),
                    digest: *content.finalize().as_bytes(),
                    sent: 0,
                });
            }
            Ok(places)
        })
    }

    /// The thread that reads: until the end, the first sample that is no reading, or until nobody
    /// listens.
    pub(super) fn run(&self, how: &Reading, progress: &Progress, sender: &mpsc::Sender<Step>) {
        let end = with(&self.path, self.format, |recording, _| {
            let mut end = End::default();
            for (rules, number) in self.rules.iter().zip(0..) {
                let place = how.places.as_ref().map(|places| places[number]);
                let channel = choose(&recording.channels, rules.signal, &self.mappings)?;
                let mut readings = recording.read(channel.number, rules.clone())?;
                let mut given = 0;
                for reading in readings.by_ref() {
                    let measured = match reading {
                        Ok(measured) => measured,
                        Err(error) if how.on_error == OnError::Skip && !error.fault.is_final() => {
                            end.skip(Bad::sample(&error, &channel.name));
                            continue;
                        }
                        Err(error) => {
                            let bad = Bad::sample(&error, &channel.name);
                            add(&mut end.counts, readings.counts());
                            return Ok(Step::Bad(bad, Box::new(end)));
                        }
                    };
                    given += 1;
                    if place.is_some_and(|place| given <= place.sent) {
                        progress.pass();
                        continue;
                    }
                    let mark = place.map(|place| place.mark(given));
                    if sender.blocking_send(Step::Reading(measured, mark)).is_err() {
                        // Nobody listens, and nobody needs the end.
                        return Ok(Step::End(Ok(End::default())));
                    }
                }
                add(&mut end.counts, readings.counts());
            }
            Ok(Step::End(Ok(end)))
        });
        let _ = sender.blocking_send(end.unwrap_or_else(|error| Step::End(Err(error))));
    }
}

impl ChannelPlace {
    fn mark(&self, sent: u64) -> InputMark {
        InputMark { name: self.name, lines: sent, taken: 0, digest: self.digest }
    }

    /// Where the channel goes on, by the marks of its stream.
    ///
    /// # Errors
    /// [`Usage`] if the file was sent when it held something else.
    pub(super) fn after(self, marks: &[InputMark], path: &Path) -> anyhow::Result<ChannelPlace> {
        let same = marks.iter().find(|mark| mark.digest == self.digest);
        if let Some(mark) = same {
            return Ok(ChannelPlace { sent: mark.lines, ..self });
        }
        if marks.iter().any(|mark| mark.name == self.name) {
            return Err(Usage(format!(
                "expected {} to hold what was sent of it with this --state folder, found something \
                 else: send it under another name, or all of it once more with --again",
                path.display()
            ))
            .into());
        }
        Ok(self)
    }
}

impl Bad {
    fn sample(error: &SampleError, channel: &str) -> Bad {
        let why = error.fault.to_string();
        Bad { place: format!("sample {} of {}", error.sample, model::escape(channel)), why }
    }
}

fn check_usual(rules: &ChannelRules, counts: ValueCounts) -> anyhow::Result<()> {
    let signal: &'static Signal = rules.signal;
    let usual = suspicion::usual(signal).filter(|_| counts.values > 0 && counts.usual == 0);
    let Some(usual) = usual.filter(|_| rules.unit.is_none()) else { return Ok(()) };
    Err(Usage(format!(
        "expected {} in {}, found {} values and none of the usual {usual}: is it another unit? \
         --unit says which (one of {})",
        signal.name,
        signal.unit,
        counts.values,
        unit::names(signal)
    ))
    .into())
}

fn add(counts: &mut Counts, of_channel: ValueCounts) {
    let ValueCounts { values, absent, skipped, sentinels, rounded, converted, .. } = of_channel;
    counts.values += values;
    counts.absent += absent;
    counts.skipped += skipped;
    counts.sentinels += sentinels;
    counts.rounded += rounded;
    counts.converted += converted;
}

impl TextArgs {
    /// The rules of each signal's channel.
    pub(super) fn channel_rules(
        &self,
        signals: &[&'static Signal],
        start: Option<recordings::When>,
    ) -> anyhow::Result<Vec<ChannelRules>> {
        let zone = self.zone.as_ref().unwrap_or(&recordings::Zone::UTC);
        let start = start.map(|start| start.begin(zone, now())).transpose()?.map(instant);
        let of_signal = |signal: &&'static Signal| ChannelRules {
            start,
            zone: self.zone.clone(),
            unit: self.unit.clone(),
            values: self.value_rules(),
            ..ChannelRules::new(signal, instant(now()))
        };
        Ok(signals.iter().map(of_signal).collect())
    }
}
