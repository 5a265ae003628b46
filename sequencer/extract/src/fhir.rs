//! The same record as a FHIR R4 Bundle of type `collection`.
//!
//! | line | resource |
//! |---|---|
//! | head | Patient, and Organization: the operator of the deployment |
//! | collection, gap | Observation, without a value where nobody has one |
//! | frame | Observation with its readings |
//! | access | AuditEvents of IHE BALP, by the crate `accounting` |
//! | refusal, question | AuditEvent |
//! | permit, deny, policy | Consent of IHE PCF, by the crate `pcf` |
//! | all others | none: what they say is of the resources above |
//!
//! Behind them stands a Provenance with the line that they were made from, proofs included: so the
//! Bundle alone is checked as the lines are, and every entry is made again from them and compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::named::Named;
use self::provenance::{Told, provenance};
use self::sink::{Compared, Sink, Written, check_length};
use crate::check::{CheckedRecord, Expected, check_record};
use crate::fault::Fault;
use crate::line::{ClaimLine, Line, OperationLine};

mod consent;
mod event;
mod found;
mod named;
mod observation;
mod provenance;
mod sink;

/// Most Observations that a collection refers to: more than an ECG of eight minutes whose times are
/// uneven, reading by reading. They are the one list that nothing else bounds: frames of equal
/// times have ten readings a byte. Memory: 100 MB.
const MEMBERS_MAX: usize = 1 << 17;

/// The Bundle of a record as a text: the only one that [`check_bundle`] takes for it.
///
/// # Errors
/// [`Fault`] for a line that is none of a record; that they hold is for [`check_record`]. Likewise
/// of a Bundle that is longer than any that is read, or refers to too many readings.
pub fn bundle_text(record: &str) -> Result<String, Fault> {
    let made = Lines::read(record)?;
    let mut to = Written::begin(&made.root)?;
    made.each(&mut to)?;
    Ok(to.finish())
}

/// Checks a Bundle: its lines as a record, each entry to be the one that its line makes, and the
/// text to be the one that is written of them. A text in which a member stands twice is one value
/// to this reader and another to the next. An entry is made, compared and forgotten.
///
/// # Errors
/// [`Fault`] that names the line; of an entry that no line makes, the number of the entry.
pub fn check_bundle(text: &str, expected: &Expected) -> Result<CheckedRecord, Fault> {
    check_length(text)?;
    let record = found::lines(text)?;
    let checked = check_record(&record, expected)?;
    let own = Lines::read(&record)?;
    let mut to = Compared::begin(text.trim_end(), &own.root)?;
    own.each(&mut to)?;
    to.finish()?;
    Ok(checked)
}

/// A record that is made into a Bundle.
struct Lines<'a> {
    lines: Vec<Numbered<'a>>,
    root: String,
}

impl Lines<'_> {
    fn read(record: &str) -> Result<Lines<'_>, Fault> {
        let mut lines = Vec::new();
        for (text, number) in record.split_inclusive('\n').zip(1..) {
            let (line, text) = crate::lines::read(text, number, "a line of a record")?;
            lines.push(Numbered { number, text, line });
        }
        let Some(Line::End(end)) = lines.last().map(|one| &one.line) else {
            return Err(Fault::new(0, "form", "a record with an end", "none"));
        };
        let root = hex::encode(end.root.0);
        Ok(Lines { lines, root })
    }

    /// Makes the entries one after the other.
    fn each(&self, to: &mut dyn Sink) -> Result<(), Fault> {
        let Some(Line::Head(head)) = self.lines.first().map(|one| &one.line) else {
            return Err(Fault::new(1, "form", "the head of a record", "another line"));
        };
        let named = Named::new(head, &self.root)
            .ok_or_else(|| Fault::new(1, "patient", "an index below 2^24", "another number"))?;
        let recorded = self.lines.iter().rev().find_map(|one| match &one.line {
            Line::Batch(batch) => Some(batch.until.clone()),
            _ => None,
        });
        let rules = Rules::of(&self.lines);
        let batch = Told::until(recorded.unwrap_or_default());
        let mut making = Making { named: &named, lines: &self.lines, rules, batch, claim: None };
        (0..self.lines.len()).try_for_each(|at| making.add(to, at))
    }
}

/// A line with its number and its exact text.
struct Numbered<'a> {
    number: usize,
    text: &'a str,
    line: Line,
}

/// What became of the rules that the lines write: none is live behind what ended it.
#[derive(Default)]
struct Rules {
    /// Number of the line that wrote a rule, and whether a later one ended it.
    written: BTreeMap<usize, bool>,
    /// Numbers of the lines that each revocation and stop ended the rules of.
    ended_by: BTreeMap<usize, Vec<usize>>,
}

impl Rules {
    fn of(lines: &[Numbered<'_>]) -> Rules {
        let mut rules = Rules::default();
        let mut live: BTreeMap<&str, usize> = BTreeMap::new();
        for Numbered { number, line, .. } in lines {
            let Line::Operation(one) = line else { continue };
            let ended = match (one.slot.as_deref(), one.what.as_str()) {
                (Some(slot), "revoke") => live.remove(slot).into_iter().collect(),
                (Some(slot), _) => {
                    rules.written.insert(*number, false);
                    live.insert(slot, *number).into_iter().collect()
                }
                (None, "stop") => std::mem::take(&mut live).into_values().collect(),
                (None, _) => Vec::new(),
            };
            for one in &ended {
                rules.written.insert(*one, true);
            }
            if !is_write(one) {
                rules.ended_by.insert(*number, ended);
            }
        }
        rules
    }
}

fn is_write(one: &OperationLine) -> bool {
    matches!(one.what.as_str(), "permit" | "deny" | "policy")
}

/// What every entry has in common.
struct Making<'a> {
    named: &'a Named<'a>,
    lines: &'a [Numbered<'a>],
    rules: Rules,
    /// Of the batch whose lines are made.
    batch: Told,
    /// The one that was made last: the collection of the frames behind it.
    claim: Option<&'a ClaimLine>,
}

impl<'a> Making<'a> {
    fn add(&mut self, to: &mut dyn Sink, at: usize) -> Result<(), Fault> {
        let lines: &'a [Numbered<'a>] = self.lines;
        let Numbered { number, text, line } = &lines[at];
        match line {
            Line::Batch(batch) => {
                self.batch.recorded.clone_from(&batch.until);
                self.batch.transaction = batch.transaction;
            }
            Line::Claim(claim) => self.claim = Some(claim),
            _ => {}
        }
        let mut targets = Vec::new();
        for (resource, at) in self.resources(at)?.zip(0..) {
            let url = self.named.url(*number, at);
            to.take(&json!({ "fullUrl": url, "resource": resource }))?;
            targets.push(url);
        }
        if let Some(ended) = self.rules.ended_by.get(number) {
            targets.extend(ended.iter().map(|number| self.named.url(*number, 0)));
        }
        let told = self.batch.of_line(line, text);
        let resource = provenance(self.named, &told, &targets);
        to.take(&json!({ "fullUrl": self.named.own_url(*number), "resource": resource }))
    }

    fn resources(&self, at: usize) -> Result<Resources<'a>, Fault> {
        let named = self.named;
        let Numbered { number, line, .. } = &self.lines[at];
        let unread = || Fault::new(*number, "proof", "a claim or operation that it opens", "other");
        let one = |made: Option<Value>| made.map(|made| vec![made]).ok_or_else(unread);
        let made = match line {
            Line::Head(_) => named.resources(),
            Line::Claim(claim) if claim.what == "collect" => {
                one(observation::collection(named, claim, &self.members(at)?))?
            }
            Line::Claim(claim) => {
                event::access(named, claim, self.batch.transaction).ok_or_else(unread)?
            }
            Line::Frame(frame) => {
                let readings = self.claim.and_then(|it| observation::readings(named, it, frame));
                return readings.ok_or_else(unread);
            }
            Line::Gap(gap) => vec![observation::gap(named, gap)],
            Line::Refused(refused) => vec![event::refusal(named, refused)],
            Line::Operation(rule) if is_write(rule) => {
                let is_ended = self.rules.written.get(number).is_some_and(|ended| *ended);
                one(consent::consent(named, rule, is_ended))?
            }
            Line::Operation(_) | Line::Batch(_) | Line::Record(_) | Line::End(_) => Vec::new(),
        };
        Ok(Box::new(made.into_iter()))
    }

    /// The Observations of the frames behind a collection.
    fn members(&self, at: usize) -> Result<Vec<String>, Fault> {
        let frames = self.lines[at + 1..].iter().map_while(|one| match &one.line {
            Line::Frame(frame) => Some((one.number, frame)),
            _ => None,
        });
        let mut members = Vec::new();
        for (number, frame) in frames {
            let count = observation::count(frame);
            if members.len() + count > MEMBERS_MAX {
                let expected = format!(
                    "at most {MEMBERS_MAX} Observations of one collection: leave the Bundle away, \
                     or its frames"
                );
                return Err(Fault::new(self.lines[at].number, "readings", expected, "more"));
            }
            members.extend((0..count).map(|at| self.named.url(number, at)));
        }
        Ok(members)
    }
}

/// The resources of a line, each made when it is asked for.
type Resources<'a> = Box<dyn Iterator<Item = Value> + 'a>;

#[cfg(test)]
mod tests {
    use model::{EpochNumber, Millis, Sequence, StreamHandle, signal_by_name};
    use wire::{DeviceTime, Frame, FramePlace, Quality, Reading};

    use super::*;
    use crate::frames::FrameBytes;
    use crate::line::{FrameLine, Head};
    use crate::names::Names;
    use crate::text::Hex;

    fn head() -> Head {
        Head {
            schema: String::new(),
            chain_id: 1,
            settlement: Hex([2; 20]),
            fingerprint: String::new(),
            patient: 7,
            batches: [1, 1],
            gap_over_ms: 1000,
            segment_key: None,
            names: Names::default(),
        }
    }

    /// Of equal times: each reading is an Observation of its own.
    fn frame(readings: usize) -> Line {
        let signal = signal_by_name("ecg").unwrap();
        let at = DeviceTime::from_millis(Millis::from_unix_ms(1_777_624_200_000));
        let reading = Reading { at, value: Some(1), quality: Quality::GOOD };
        let (handle, epoch, sequence) = (StreamHandle(0), EpochNumber(1), Sequence(1));
        let place = FramePlace { handle, epoch, sequence };
        let frame = Frame::encode_raw(place, signal, &vec![reading; readings]).unwrap();
        Line::Frame(FrameLine {
            batch: 1,
            signal: "ecg".to_owned(),
            unit: String::new(),
            readings: readings as u32,
            measured: [String::new(), String::new()],
            frame: Hex(FrameBytes(frame.as_bytes().to_vec())),
        })
    }

    #[test]
    fn a_collection_refers_to_no_more_readings_than_there_is_room_for() {
        let head = head();
        let named = Named::new(&head, "aa").unwrap();
        let members = |frames: usize| {
            let lines = [Line::Head(head.clone())].into_iter();
            let lines = lines.chain(std::iter::repeat_with(|| frame(4000)).take(frames));
            let numbered = lines.zip(1..).map(|(line, number)| Numbered { number, text: "", line });
            let lines: Vec<_> = numbered.collect();
            let (rules, batch) = (Rules::default(), Told::default());
            let making = Making { named: &named, lines: &lines, rules, batch, claim: None };
            let members = making.members(0);
            members.map(|all| all.len()).map_err(|fault| (fault.line, fault.part))
        };
        assert_eq!(members(2), Ok(8000));
        assert_eq!(members(MEMBERS_MAX / 4000 + 1), Err((1, "readings")));
    }
}
