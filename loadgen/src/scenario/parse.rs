//! From TOML to a scenario: unknown keys are refused, every number has a range, and what is wrong
//! is named with its line.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use wire::{Codec, Frame};

use super::error::ScenarioError;
use super::script::{
    Expect, ExpectHostile, GATEWAYS_MAX, GROUPS_MAX, Group, HostileGroup, SCENARIO_BYTES_MAX,
    Scenario,
};
use super::shipped::Shipped;
use crate::hostile::{Behaviour, HOSTILE_CONNECTIONS_MAX};
use crate::laying::Laying;
use crate::pace::{Rate, parse_duration};
use crate::run::{Habits, IN_FLIGHT_MAX, Outage};

/// Longest duration of anything in a scenario: a day.
const DURATION_MAX: Duration = Duration::from_secs(24 * 3600);
/// Longest name of a group.
const NAME_CHARACTERS_MAX: usize = 32;
/// Most frames of a stream that were collected before the begin.
const BACKLOG_MAX: usize = 100_000;
/// How long the last receipts are waited for, unless it is said.
const DRAIN: Duration = Duration::from_secs(10);
/// Most frames without a receipt, unless it is said.
const IN_FLIGHT: usize = 1024;

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScenario {
    duration: Spanned<String>,
    drain: Option<Spanned<String>>,
    #[serde(default)]
    gateways: Vec<RawGroup>,
    #[serde(default)]
    hostile: Vec<RawHostile>,
    #[serde(default)]
    expect: RawExpect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    name: Spanned<String>,
    count: Spanned<i64>,
    streams: Option<Spanned<i64>>,
    codec: Option<Spanned<String>>,
    readings: Spanned<i64>,
    rate: Spanned<String>,
    in_flight: Option<Spanned<i64>>,
    start_spread: Option<Spanned<String>>,
    backlog: Option<Spanned<i64>>,
    outage: Option<Spanned<RawOutage>>,
    #[serde(default)]
    expect: RawExpect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutage {
    after: Spanned<String>,
    lasts: Spanned<String>,
    every: Option<Spanned<String>>,
    stagger: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHostile {
    name: Spanned<String>,
    behaviour: Spanned<String>,
    count: Spanned<i64>,
    connections: Spanned<i64>,
    #[serde(default)]
    expect: RawExpectHostile,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawExpect {
    p99_ms_max: Option<Spanned<i64>>,
    p999_ms_max: Option<Spanned<i64>>,
    without_receipt_max: Option<Spanned<i64>>,
    behind_max: Option<Spanned<i64>>,
    refused_max: Option<Spanned<i64>>,
    failed_max: Option<Spanned<i64>>,
    reconnects_min: Option<Spanned<i64>>,
    acknowledged_min: Option<Spanned<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawExpectHostile {
    closed_min: Option<Spanned<i64>>,
    rejected_min: Option<Spanned<i64>>,
    open_max: Option<Spanned<i64>>,
    receipts_max: Option<Spanned<i64>>,
}

impl Scenario {
    /// Reads the file, or the scenario of this name that ships.
    ///
    /// # Errors
    /// [`ScenarioError`] that says which line.
    pub fn read(file_or_name: &Path) -> Result<Scenario, ScenarioError> {
        if let Some(shipped) = file_or_name.to_str().and_then(Shipped::named) {
            return Scenario::parse(shipped.name, shipped.text);
        }
        let file = file_or_name.display().to_string();
        let mut text = String::new();
        // One byte more than allowed, so that a longer file is seen and not read.
        let read = File::open(file_or_name)
            .and_then(|file| file.take(SCENARIO_BYTES_MAX + 1).read_to_string(&mut text));
        read.map_err(|source| ScenarioError::File {
            path: file_or_name.to_owned(),
            known: Shipped::names(),
            source,
        })?;
        Scenario::parse(&file, &text)
    }

    /// The scenario that a text describes; `file` is what errors call it.
    ///
    /// # Errors
    /// [`ScenarioError`] that says which line.
    pub fn parse(file: &str, text: &str) -> Result<Scenario, ScenarioError> {
        if text.len() as u64 > SCENARIO_BYTES_MAX {
            return Err(ScenarioError::TooLarge { file: file.to_owned() });
        }
        let source = Source { file, text };
        let raw: RawScenario = toml::from_str(text).map_err(|error| source.wrong_text(&error))?;
        let common = source.expect(&raw.expect, Expect::default())?;
        let scenario = Scenario {
            name: stem(file),
            duration: source.duration("duration", &raw.duration)?,
            drain: source.duration_or("drain", raw.drain.as_ref(), DRAIN)?,
            gateways: raw
                .gateways
                .iter()
                .map(|raw| source.group(raw, common))
                .collect::<Result<_, _>>()?,
            hostile: raw.hostile.iter().map(|raw| source.hostile(raw)).collect::<Result<_, _>>()?,
        };
        source.check_names(&raw)?;
        let groups = scenario.gateways.len() + scenario.hostile.len();
        if scenario.gateways.is_empty() || groups > GROUPS_MAX {
            let honest = scenario.gateways.len();
            return Err(ScenarioError::Whole {
                file: file.to_owned(),
                expected: format!("at least one [[gateways]] and at most {GROUPS_MAX} groups"),
                found: format!("{honest} of [[gateways]] and {groups} groups"),
            });
        }
        Ok(scenario)
    }
}

/// A file's name without its folder and ending.
fn stem(file: &str) -> String {
    let stem = Path::new(file).file_stem();
    stem.map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// What is read, for errors that say where.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, span: Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        1 + before.matches('\n').count()
    }

    fn wrong_text(&self, error: &toml::de::Error) -> ScenarioError {
        let line = self.line(error.span().unwrap_or_default());
        let (file, found) = (self.file.to_owned(), error.message().to_owned());
        ScenarioError::Text { file, line, found }
    }

    fn wrong<T: ToString>(
        &self,
        key: &'static str,
        found: &Spanned<T>,
        expected: impl Into<String>,
    ) -> ScenarioError {
        ScenarioError::Value {
            file: self.file.to_owned(),
            line: self.line(found.span()),
            key,
            expected: expected.into(),
            found: found.get_ref().to_string(),
        }
    }

    fn number(
        &self,
        key: &'static str,
        found: &Spanned<i64>,
        allowed: Range<usize>,
    ) -> Result<usize, ScenarioError> {
        let number = usize::try_from(*found.get_ref()).ok();
        let number = number.filter(|number| allowed.contains(number));
        let (least, most) = (allowed.start, allowed.end - 1);
        number.ok_or_else(|| self.wrong(key, found, format!("{least} to {most}")))
    }

    fn bound(
        &self,
        key: &'static str,
        found: &Option<Spanned<i64>>,
        common: Option<u64>,
    ) -> Result<Option<u64>, ScenarioError> {
        let Some(found) = found else { return Ok(common) };
        let number = u64::try_from(*found.get_ref());
        number.map(Some).map_err(|_| self.wrong(key, found, "a number from 0"))
    }

    fn duration(
        &self,
        key: &'static str,
        found: &Spanned<String>,
    ) -> Result<Duration, ScenarioError> {
        let duration = parse_duration(found.get_ref()).ok().filter(|one| *one <= DURATION_MAX);
        let expected = "a duration such as 500ms, 10s or 5m, above zero and at most a day";
        duration.ok_or_else(|| self.wrong(key, found, expected))
    }

    fn duration_or(
        &self,
        key: &'static str,
        found: Option<&Spanned<String>>,
        otherwise: Duration,
    ) -> Result<Duration, ScenarioError> {
        found.map_or(Ok(otherwise), |found| self.duration(key, found))
    }

    fn group(&self, raw: &RawGroup, common: Expect) -> Result<Group, ScenarioError> {
        let rate: Rate = raw.rate.get_ref().parse::<Rate>().map_err(|_| {
            let expected = "`max`, `natural` or readings a second such as 50000, 250k or 4M";
            self.wrong("rate", &raw.rate, expected)
        })?;
        let streams = raw.streams.as_ref();
        let streams = streams.map(|found| self.number("streams", found, 1..GATEWAYS_MAX + 1));
        let in_flight = raw.in_flight.as_ref();
        let in_flight =
            in_flight.map(|found| self.number("in_flight", found, 1..IN_FLIGHT_MAX + 1));
        Ok(Group {
            name: self.name(&raw.name)?,
            count: self.number("count", &raw.count, 1..GATEWAYS_MAX + 1)?,
            streams: streams.transpose()?,
            laying: self.laying(raw.codec.as_ref())?,
            readings: self.number("readings", &raw.readings, 1..Frame::RAW_READINGS_MAX + 1)?,
            rate,
            in_flight: in_flight.transpose()?.unwrap_or(IN_FLIGHT),
            habits: self.habits(raw, rate)?,
            expect: self.expect(&raw.expect, common)?,
        })
    }

    fn habits(&self, raw: &RawGroup, rate: Rate) -> Result<Habits, ScenarioError> {
        let backlog = raw.backlog.as_ref();
        if let (Some(backlog), Rate::Max) = (backlog, rate) {
            let expected = "none at rate `max`, at which nothing is due and nothing late";
            return Err(self.wrong("backlog", backlog, expected));
        }
        let backlog = backlog.map(|found| self.number("backlog", found, 0..BACKLOG_MAX + 1));
        let outage = raw.outage.as_ref().map(|found| self.outage(found.get_ref()));
        let spread = raw.start_spread.as_ref();
        Ok(Habits {
            start_spread: self.duration_or("start_spread", spread, Duration::ZERO)?,
            backlog_frames: backlog.transpose()?.unwrap_or(0) as u64,
            outage: outage.transpose()?,
        })
    }

    fn outage(&self, raw: &RawOutage) -> Result<Outage, ScenarioError> {
        let lasts = self.duration("lasts", &raw.lasts)?;
        let every = raw.every.as_ref();
        let every = every.map(|found| {
            let every = self.duration("every", found)?;
            let longer = (every > lasts).then_some(every);
            longer.ok_or_else(|| self.wrong("every", found, "more than `lasts`"))
        });
        Ok(Outage {
            after: self.duration("after", &raw.after)?,
            lasts,
            every: every.transpose()?,
            stagger: self.duration_or("stagger", raw.stagger.as_ref(), Duration::ZERO)?,
        })
    }

    fn hostile(&self, raw: &RawHostile) -> Result<HostileGroup, ScenarioError> {
        let behaviour =
            Behaviour::ALL.into_iter().find(|one| one.name() == raw.behaviour.get_ref());
        let count = self.number("count", &raw.count, 1..GATEWAYS_MAX + 1)?;
        let of_each = HOSTILE_CONNECTIONS_MAX / count;
        Ok(HostileGroup {
            name: self.name(&raw.name)?,
            behaviour: behaviour.ok_or_else(|| {
                let known = Behaviour::ALL.map(Behaviour::name).join(", ");
                self.wrong("behaviour", &raw.behaviour, format!("one of {known}"))
            })?,
            count,
            connections: self.number("connections", &raw.connections, 1..of_each.max(1) + 1)?,
            expect: ExpectHostile {
                closed_min: self.bound("closed_min", &raw.expect.closed_min, None)?,
                rejected_min: self.bound("rejected_min", &raw.expect.rejected_min, None)?,
                open_max: self.bound("open_max", &raw.expect.open_max, None)?,
                receipts_max: self.bound("receipts_max", &raw.expect.receipts_max, None)?,
            },
        })
    }

    fn expect(&self, raw: &RawExpect, common: Expect) -> Result<Expect, ScenarioError> {
        Ok(Expect {
            p99_ms_max: self.bound("p99_ms_max", &raw.p99_ms_max, common.p99_ms_max)?,
            p999_ms_max: self.bound("p999_ms_max", &raw.p999_ms_max, common.p999_ms_max)?,
            without_receipt_max: self.bound(
                "without_receipt_max",
                &raw.without_receipt_max,
                common.without_receipt_max,
            )?,
            behind_max: self.bound("behind_max", &raw.behind_max, common.behind_max)?,
            refused_max: self.bound("refused_max", &raw.refused_max, common.refused_max)?,
            failed_max: self.bound("failed_max", &raw.failed_max, common.failed_max)?,
            reconnects_min: self.bound(
                "reconnects_min",
                &raw.reconnects_min,
                common.reconnects_min,
            )?,
            acknowledged_min: self.bound(
                "acknowledged_min",
                &raw.acknowledged_min,
                common.acknowledged_min,
            )?,
        })
    }

    fn laying(&self, found: Option<&Spanned<String>>) -> Result<Laying, ScenarioError> {
        let Some(found) = found else { return Ok(Laying::Frames(Codec::RAW)) };
        let laying = Laying::from_name(found.get_ref());
        laying.ok_or_else(|| self.wrong("codec", found, Laying::EXPECTED))
    }

    /// Plain, since reports make file names of it.
    fn name(&self, found: &Spanned<String>) -> Result<String, ScenarioError> {
        let name = found.get_ref();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=NAME_CHARACTERS_MAX).contains(&name.len()) && name.chars().all(is_plain) {
            return Ok(name.clone());
        }
        let expected = format!("1 to {NAME_CHARACTERS_MAX} characters of a-z 0-9 -");
        Err(self.wrong("name", found, expected))
    }

    fn check_names(&self, raw: &RawScenario) -> Result<(), ScenarioError> {
        let honest = raw.gateways.iter().map(|group| &group.name);
        let hostile = raw.hostile.iter().map(|group| &group.name);
        let mut seen = BTreeSet::new();
        let again = honest.chain(hostile).find(|name| !seen.insert(name.get_ref()));
        match again {
            Some(name) => Err(self.wrong("name", name, "each name once in a scenario")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
