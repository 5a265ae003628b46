//! A rule and a question on the command line.

use clap::Args;
use client::party;
use client::preview::{Question, answer_sentence};
use client::{Wallet, party::Names};
use model::calendar::parse_length;
use model::{
    Categories, Category, ClaimKind, ClaimKinds, Interval, Label, Labels, MaskError, Millis, Party,
    Purpose, Purposes, Record, Rule,
};

use crate::node::parse_when;
use crate::report::Usage;

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
    /// From when on it holds; never before the node has it
    #[arg(long, value_name = "TIME", value_parser = parse_when, default_value = "now")]
    from: Millis,
    /// Until when it holds; by default for ever
    #[arg(long, value_name = "TIME", value_parser = parse_when, conflicts_with = "length")]
    until: Option<Millis>,
    /// How long it holds, as 24h
    #[arg(long = "for", value_name = "LENGTH", value_parser = parse_length)]
    length: Option<u64>,
    /// Data measured from this time on; by default since ever
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    data_from: Option<Millis>,
    /// Data measured before this time; by default for ever
    #[arg(long, value_name = "TIME", value_parser = parse_when)]
    data_until: Option<Millis>,
    /// Slot, counted from 0 among those of its kind; by default a free one
    #[arg(long, value_name = "N")]
    pub(crate) slot: Option<u8>,
}

/// What a kind of rule covers unless the command line says otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Defaults {
    pub(crate) kinds: ClaimKinds,
    pub(crate) labels: Labels,
}

impl RuleArgs {
    /// The rule, whose names the wallet learns.
    pub(crate) fn to_rule(&self, defaults: Defaults, names: &mut Names) -> anyhow::Result<Rule> {
        let (actor, source) = (party::actor(&self.actor)?, party::source(&self.source)?);
        names.learn(&self.actor, &actor);
        names.learn(&self.source, &source);
        let ends = self.length.map(|length| self.from.plus(length)).or(self.until);
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
            access: Interval::new(self.from, ends.unwrap_or(Millis::UNBOUNDED_FUTURE))?,
            data: Interval::new(
                self.data_from.unwrap_or(Millis::UNBOUNDED_PAST),
                self.data_until.unwrap_or(Millis::UNBOUNDED_FUTURE),
            )?,
        })
    }
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
