//! `sequencer tune list | set | reset`: what holds of the configuration of a running node.

use std::fmt::Write as _;

use clap::Subcommand;
use sequencer::doors::orders::Order;
use sequencer::node::orders::Since;
use serde::Deserialize;
use serde_json::Value;

use super::orders::{Signed, order, warn};
use super::outcome::{Asked, Outcome, failed};

#[derive(Subcommand)]
pub(crate) enum TuneCommand {
    /// Lists every key: what the configuration says, what holds, and when a change of it does.
    ///
    /// `now`: with `tune set`, or SIGHUP after an edit of the file. `at next window`: likewise,
    /// with the window that begins next (`sequencer seal now` begins it). `needs restart` and the
    /// rest: in the file alone.
    ///
    ///   sequencer tune list settle
    ///   sequencer tune list --changed
    #[command(verbatim_doc_comment)]
    List {
        /// Keys that begin with this.
        #[arg(value_name = "BEGIN", default_value = "")]
        begin: String,
        /// Only those that hold otherwise than the configuration says, or soon will.
        #[arg(long)]
        changed: bool,
        #[command(flatten)]
        asked: Asked,
    },
    /// Sets a live key, checked as the file is: until `tune reset` or the next start, above the
    /// file and above SIGHUP. Each change is a line in `operator.log`, with who and when.
    ///
    /// To keep a value, write it into the configuration as well.
    ///
    ///   sequencer tune set settle.fee_wei_max 2_000_000_000_000 --as anna --reason "fees are high"
    ///   sequencer tune set batch.close_after_ms 600_000
    #[command(verbatim_doc_comment)]
    Set {
        /// Sections and key, as `settle.fee_wei_max`.
        key: String,
        /// As it stands in the file; quotes around a word may be left out.
        value: String,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        asked: Asked,
    },
    /// Has a key, or every one without KEY, hold what the configuration says.
    Reset {
        /// Sections and key; every one that was set without it.
        key: Option<String>,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        asked: Asked,
    },
}

/// A key as the node tells it.
#[derive(Deserialize)]
struct Row {
    key: String,
    configured: Value,
    active: Value,
    why: Option<String>,
    applies: String,
    next: Option<Value>,
    tuned: Option<Since>,
}

/// What became of a key.
#[derive(Deserialize)]
struct Changed {
    key: String,
    from: Value,
    to: Value,
    applies: String,
}

pub(crate) fn run(command: TuneCommand) -> Outcome {
    match command {
        TuneCommand::List { begin, changed, asked } => {
            let mut answer = order(&asked, Order::List, Signed::default())?;
            let keys = answer["keys"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let rows: Vec<Row> = serde_json::from_value(keys.clone().into()).map_err(failed)?;
            let is_meant = |row: &&Row| row.key.starts_with(&begin) && (!changed || row.differs());
            let rows: Vec<&Row> = rows.iter().filter(is_meant).collect();
            let is_shown = |key: &Value| rows.iter().any(|row| key["key"] == row.key.as_str());
            answer["keys"] = keys.into_iter().filter(is_shown).collect();
            asked.print(&table(&rows), &answer);
            Ok(())
        }
        TuneCommand::Set { key, value, signed, asked } => {
            tell(&asked, order(&asked, Order::Set { key, value }, signed)?)
        }
        TuneCommand::Reset { key, signed, asked } => {
            tell(&asked, order(&asked, Order::Reset { key }, signed)?)
        }
    }
}

impl Row {
    fn differs(&self) -> bool {
        self.tuned.is_some() || self.next.is_some() || self.configured != self.active
    }
}

/// A value for a column: a list as the file has it, nothing as a word.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    }
}

fn table(rows: &[&Row]) -> String {
    let widest = |of: &dyn Fn(&Row) -> usize| rows.iter().map(|row| of(row)).max().unwrap_or(0);
    let key = widest(&|row| row.key.len()).max(3);
    let configured = widest(&|row| shown(&row.configured).len()).clamp(10, 32);
    let active = widest(&|row| shown(&row.active).len()).clamp(6, 32);
    let mut text =
        format!("{:key$}  {:configured$}  {:active$}  applies", "key", "configured", "active");
    for row in rows {
        // Writing to a string cannot fail, here and below.
        let _ = write!(
            text,
            "\n{:key$}  {:configured$}  {:active$}  {}",
            row.key,
            shown(&row.configured),
            shown(&row.active),
            row.applies
        );
        if let Some(next) = &row.next {
            let _ = write!(text, "; {} from the next window on", shown(next));
        } else if let Some(why) = &row.why {
            let _ = write!(text, "; {why}");
        }
        if let Some(since) = &row.tuned {
            let _ = write!(text, "; set {}", since.words());
        }
    }
    if rows.iter().any(|row| row.tuned.is_some()) {
        text += "\nwhat is set holds until `sequencer tune reset` or the next start; to keep it, \
                 write it into the configuration";
    }
    text
}

/// What became of each key.
fn tell(asked: &Asked, answer: Value) -> Outcome {
    let changes: Vec<Changed> =
        serde_json::from_value(answer["changes"].clone()).map_err(failed)?;
    let line = |Changed { key, from, to, applies }: &Changed| {
        let (from, to) = (shown(from), shown(to));
        format!("{key} = {to} (before {from}), {applies}")
    };
    let text = match changes.is_empty() {
        true => "nothing changes".to_owned(),
        false => changes.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    warn(&answer);
    asked.print(&text, &answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use sequencer::folder::who::Who;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_has_three_columns_and_says_what_waits_and_who_set_it() {
        let row = |key: &str, configured: Value, active: Value| Row {
            key: key.to_owned(),
            configured,
            active,
            why: None,
            applies: "now".to_owned(),
            next: None,
            tuned: None,
        };
        let plain = row("log.level", json!("info"), json!("info"));
        assert!(!plain.differs());
        let who = Who { uid: 7, name: Some("anna".into()), ..Who::default() };
        let since = Since { since_unix_ms: 1_800_000_000_000, who };
        let set = Row { tuned: Some(since), ..row("settle.gas_max", json!(1), json!(2)) };
        let waits = Row {
            next: Some(json!(600_000)),
            applies: "at next window".to_owned(),
            ..row("batch.close_after_ms", json!(60_000), json!(60_000))
        };
        let none = Row {
            applies: "needs restart".to_owned(),
            ..row("web.listen", Value::Null, Value::Null)
        };
        assert!(set.differs() && waits.differs() && !none.differs());
        assert_eq!(
            table(&[&plain, &set, &waits, &none]),
            "key                   configured  active  applies\n\
             log.level             \"info\"      \"info\"  now\n\
             settle.gas_max        1           2       now; set since 2027-01-15T08:00:00.000Z, by \
             anna (user 7)\n\
             batch.close_after_ms  60000       60000   at next window; 600000 from the next \
             window on\n\
             web.listen            none        none    needs restart\n\
             what is set holds until `sequencer tune reset` or the next start; to keep it, \
             write it into the configuration"
        );
    }
}
