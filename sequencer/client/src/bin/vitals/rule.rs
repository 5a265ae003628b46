//! A rule and a question on the command line.

use clap::Args;
use client::party;
use client::preview::{Question, answer_sentence};
use client::{Wallet, party::Names};
use model::calendar::{CalendarError, Instant, Utc, parse_length};
use model::{
    Categories, Category, ClaimKind, ClaimKinds, Interval, Label, Labels, MaskError, Millis, Party,
    Purpose, Purposes, Record, Rule,
};

use crate::known::Named;
use crate::node::now;
use crate::report::Usage;
use recordings::{When, Zone, ZoneError};

/// What a rule says.
#[derive(Args)]
pub(crate) struct RuleArgs {
    /// Who: organisation:NAME, practitioner:NAME, care-team:NAME, device:NAME, or any
    #[arg(long, value_name = "WHO")]
    actor: String,
    /// Which categories, as ecg,spo2, or all
    #[arg(long, value_name = "LIST")]
    categories: String,
    /// For which purposes, as treatment,research, or all
    #[arg(long, value_name = "LIST")]
    purposes: String,
    /// access (read), collect, break-glass, or all; by default access, of a deny all
    #[arg(long, value_name = "LIST")]
    kinds: Option<String>,
    /// Which sensitivity labels, or all; by default normal, of a deny all
    #[arg(long, value_name = "LIST")]
    labels: Option<String>,
    /// Whose data: device:NAME or any
    #[arg(long, value_name = "SOURCE", default_value = "any")]
    source: String,
    /// From when on it holds, as 2026-05-01, 2026-05-01T08:30 or now; never before the node has it
    #[arg(long, value_name = "TIME", default_value = "now")]
    from: When,
    /// Until when it holds, a date up to and including that day; by default for ever
    #[arg(long, value_name = "TIME", value_parser = parse_end, conflicts_with = "length")]
    until: Option<When>,
    /// How long it holds, as 24h
    #[arg(long = "for", value_name = "LENGTH", value_parser = parse_length)]
    length: Option<u64>,
    /// Data measured from this time on; by default since ever
    #[arg(long, value_name = "TIME")]
    data_from: Option<When>,
    /// Data measured until this time, a date up to and including that day; by default for ever
    #[arg(long, value_name = "TIME", value_parser = parse_end)]
    data_until: Option<When>,
    /// Where dates and times without a zone hold: UTC, +02:00, or a name as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: Zone,
    /// Slot, counted from 0 among those of its kind; by default a free one
    #[arg(long, value_name = "N")]
    pub(crate) slot: Option<u8>,
    /// Sign also where the registry does not know whom the rule names, which --yes alone does not
    #[arg(long)]
    pub(crate) allow_unknown: bool,
}

/// What a kind of rule covers unless the command line says otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) kinds: ClaimKinds,
    pub(crate) labels: Labels,
}

impl RuleArgs {
    /// Whom the rule names: each once, as the wallet knows them before it learns the rule's names.
    pub(crate) fn named(&self, names: &Names) -> anyhow::Result<Vec<Named>> {
        // The forms of a source are fewer: what is none is told before anybody is asked.
        party::source(&self.source)?;
        let source = (self.source != self.actor).then_some(&self.source);
        let words = [Some(&self.actor), source].into_iter().flatten();
        let named = words.map(|words| Named::of(words, names)).collect::<Result<Vec<_>, _>>()?;
        Ok(named.into_iter().flatten().collect())
    }

    /// The rule, whose names the wallet learns.
    pub(crate) fn to_rule(&self, defaults: Defaults, names: &mut Names) -> anyhow::Result<Rule> {
        let (actor, source) = (party::actor(&self.actor)?, party::source(&self.source)?);
        names.learn(&self.actor, &actor);
        names.learn(&self.source, &source);
        let now = now();
        let begin = |when: Option<When>| when.map(|when| when.begin(&self.zone, now)).transpose();
        let end =
            |when: Option<When>| when.map_or(Ok(End::NEVER), |when| End::of(when, &self.zone));
        let from = self.from.begin(&self.zone, now)?;
        let until = match self.length {
            Some(length) => End::after(from, length)?,
            None => end(self.until)?,
        };
        let kinds =
            self.kinds.as_deref().map(|text| list(text, ClaimKinds::ALL, ClaimKind::from_name));
        let labels = self.labels.as_deref().map(|text| list(text, Labels::ALL, Label::from_name));
        Ok(Rule {
            actor,
            source,
            categories: list(&self.categories, Categories::ALL, Category::from_name)?,
            purposes: list(&self.purposes, Purposes::ALL, Purpose::from_name)?,
            kinds: kinds.transpose()?.unwrap_or(defaults.kinds),
            labels: labels.transpose()?.unwrap_or(defaults.labels),
            access: period(["--from", "--until"], from, until)?,
            data: period(
                ["--data-from", "--data-until"],
                begin(self.data_from)?.unwrap_or(Millis::UNBOUNDED_PAST),
                end(self.data_until)?,
            )?,
        })
    }
}

/// A time that ends something. Many systems write 9999-12-31 for "no end", which no rule can say.
pub(crate) fn parse_end(text: &str) -> Result<When, String> {
    text.parse::<When>().map_err(|error: CalendarError| match error {
        CalendarError::Field { what: "year", found } if found > 2456 => {
            format!("{error}; without this option there is no end")
        }
        error => error.to_string(),
    })
}

/// An end as it is written and as it holds: of a day its first instant, and the first after it.
#[derive(Clone, Copy)]
pub(crate) struct End {
    begin: Millis,
    pub(crate) until: Millis,
}

impl End {
    pub(crate) const NEVER: End =
        End { begin: Millis::UNBOUNDED_FUTURE, until: Millis::UNBOUNDED_FUTURE };

    /// So long after a begin. What leads out of the calendar would be for ever, which is not said.
    fn after(from: Millis, length_ms: u64) -> Result<End, Usage> {
        let until = from.plus(length_ms);
        if until > Instant::LAST.millis() {
            let why =
                "expected --for to end by 2456, found an end beyond: without it there is none";
            return Err(Usage(why.to_owned()));
        }
        Ok(End { begin: until, until })
    }

    pub(crate) fn of(when: When, zone: &Zone) -> Result<End, ZoneError> {
        Ok(End { begin: when.begin(zone, now())?, until: when.end(zone, now())? })
    }
}

/// A period, whose options are named where nothing lies between them.
pub(crate) fn period(options: [&str; 2], from: Millis, end: End) -> Result<Interval, Usage> {
    Interval::new(from, end.until).map_err(|_| {
        let ([begins, ends], until) = (options, Utc(end.until));
        let whole = match end.begin == end.until {
            true => String::new(),
            false => format!("{} up to ", Utc(end.begin)),
        };
        Usage(format!("expected {ends} to lie after {begins} {}, found {whole}{until}", Utc(from)))
    })
}

/// Names separated by commas, or `all`.
pub(crate) fn list<T, S: FromIterator<T>>(
    text: &str,
    all: S,
    from_name: fn(&str) -> Result<T, MaskError>,
) -> Result<S, MaskError> {
    match text {
        "all" => Ok(all),
        text => text.split(',').map(|name| from_name(name.trim())).collect(),
    }
}

/// A question to the record: would somebody see something now?
#[derive(Args)]
pub(crate) struct QuestionArgs {
    /// Would this actor ...
    #[arg(long, value_name = "WHO", requires = "preview_category")]
    preview_actor: Option<String>,
    /// ... be permitted this category ...
    #[arg(long, value_name = "CATEGORY", requires = "preview_actor",
          value_parser = Category::from_name)]
    preview_category: Option<Category>,
    /// ... for this purpose ...
    #[arg(long, value_name = "PURPOSE", value_parser = Purpose::from_name,
          default_value = "treatment")]
    preview_purpose: Purpose,
    /// ... of this kind (access, collect, break-glass) ...
    #[arg(long, value_name = "KIND", value_parser = ClaimKind::from_name, default_value = "access")]
    preview_kind: ClaimKind,
    /// ... from this source, now?
    #[arg(long, value_name = "SOURCE", default_value = "any")]
    preview_source: String,
}

/// The answers before and after a change.
pub(crate) struct Answers {
    pub(crate) before: String,
    pub(crate) after: String,
}

impl QuestionArgs {
    /// The question, if one is asked.
    pub(crate) fn question(&self, at: Millis) -> anyhow::Result<Option<Question>> {
        let (Some(actor), Some(category)) = (&self.preview_actor, self.preview_category) else {
            return Ok(None);
        };
        let actor = party::actor(actor)?;
        // "Would anybody see it?" has no answer: a rule for one person makes it neither yes nor no.
        if actor == Party::Any {
            return Err(Usage("expected --preview-actor to name somebody".to_owned()).into());
        }
        let source = party::source(&self.preview_source)?;
        let (purpose, kind) = (self.preview_purpose, self.preview_kind);
        let measured = Interval::instant(at);
        Ok(Some(Question { actor, source, category, purpose, kind, at, measured }))
    }

    /// The answers of the wallet's record and of the record after the change, at an instant.
    pub(crate) fn ask(
        &self,
        wallet: &Wallet,
        after: Option<&Record>,
        at: Millis,
    ) -> anyhow::Result<Option<Answers>> {
        let Some(question) = self.question(at)? else {
            return Ok(None);
        };
        // A copy: to ask about somebody must not make the wallet remember them.
        let mut names = wallet.names.clone();
        if let Some(text) = &self.preview_actor {
            names.learn(text, &question.actor);
        }
        let answer = |record| answer_sentence(&question, question.ask(record), &names);
        let before = answer(wallet.record.as_ref());
        Ok(Some(Answers { before, after: answer(after) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_leads_out_of_the_calendar_is_not_for_ever() {
        let from = Millis::from_unix_ms(1_777_624_200_000);
        let until = End::after(from, 24 * 3_600_000).unwrap().until;
        assert_eq!(Utc(until).to_string(), "2026-05-02T08:30:00.000Z");
        for days in ["160000d", "999999d", "99999999999d"] {
            let refused = End::after(from, parse_length(days).unwrap()).err().unwrap();
            assert!(refused.to_string().contains("without it there is none"), "{days}");
        }
    }
}
