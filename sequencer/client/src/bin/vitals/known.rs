//! Whether the registry knows whom a rule names, asked before anybody signs it.
//!
//! A record holds hashes of names, so one that is misspelt looks like any other and covers nobody,
//! or somebody else. The node is asked on a session of its own: none waits for a person to answer.

use std::time::Duration;

use client::RequestError;
use client::party::{self, Names, PartyError};
use model::{Party, with_causes};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use wire::{NamesQuestion, RegistryKey, Role};

use crate::node::{Node, runtime};

/// One name of a rule.
pub(crate) struct Named {
    /// As people say it.
    text: String,
    /// What the registry would know it by; none of a care team.
    key: Option<RegistryKey>,
    /// Whether the wallet names it for the first time.
    is_new: bool,
}

impl Named {
    /// What the words of a command line name; `None` for anybody.
    ///
    /// # Errors
    /// [`PartyError`] for words that name nobody.
    pub(crate) fn of(words: &str, names: &Names) -> Result<Option<Named>, PartyError> {
        let party = party::actor(words)?;
        if party == Party::Any {
            return Ok(None);
        }
        let (text, is_new) = (words.replacen(':', " ", 1), !names.knows(&party));
        Ok(Some(Named { text, key: party::registered(words)?, is_new }))
    }
}

/// What a node said of names that the registry could know.
pub(crate) enum Answer {
    /// Of each of them, in order.
    Said(Vec<bool>),
    /// Nothing, and why.
    Nothing(String),
}

/// How long a node may take to be reached and to say what it knows: somebody waits to sign, and a
/// connection would try for an hour.
const NAMES_WAIT: Duration = Duration::from_secs(5);

/// Asks a node, for [`NAMES_WAIT`] at most.
///
/// # Errors
/// Whatever keeps it from being asked; a node that is asked and does not say is no error.
pub(crate) fn ask(node: &Node, named: &[Named]) -> anyhow::Result<Answer> {
    let keys: Vec<_> = named.iter().filter_map(|one| one.key.clone()).collect();
    if keys.is_empty() {
        return Ok(Answer::Said(Vec::new()));
    }
    node.check_role(&[Role::Wallet, Role::Operator])?;
    let question = NamesQuestion::new(keys)?;
    runtime()?.block_on(async {
        let until = Instant::now() + NAMES_WAIT;
        let connection = node.connect_within(NAMES_WAIT).await?;
        let answer = said(until, connection.ask_names(question)).await;
        connection.close().await;
        answer
    })
}

/// What a node says by then.
async fn said(
    until: Instant,
    asked: impl Future<Output = Result<Vec<bool>, RequestError>>,
) -> anyhow::Result<Answer> {
    match timeout_at(until, asked).await {
        Ok(Ok(known)) => Ok(Answer::Said(known)),
        // Too old for the question, or asked too often: it takes operations all the same.
        Ok(Err(error @ (RequestError::Session(_) | RequestError::Rejected { .. }))) => {
            Ok(Answer::Nothing(with_causes(&error)))
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let seconds = NAMES_WAIT.as_secs();
            Ok(Answer::Nothing(format!("the node did not say within {seconds} s")))
        }
    }
}

/// Asks a node that what is signed does not go to: over HTTP no certificate is needed, and names
/// are told to whoever has one alone. A node that cannot be asked leaves them unchecked.
pub(crate) fn ask_beside(node: &Node, named: &[Named]) -> Answer {
    if !node.is_given() {
        let why = "over HTTP nobody is asked for names: --node HOST:PORT is, where the identity's \
                   folder has a certificate";
        return Answer::Nothing(why.to_owned());
    }
    ask(node, named).unwrap_or_else(|error| Answer::Nothing(format!("{error:#}")))
}

/// The names of a rule with what is known of each.
pub(crate) struct CheckedNames(Vec<(Named, Standing)>);

enum Standing {
    Known,
    Unknown,
    NotChecked(String),
}

impl CheckedNames {
    /// Puts the answer beside the names that were asked about.
    pub(crate) fn new(named: Vec<Named>, answer: Answer) -> CheckedNames {
        let (mut said, why) = match answer {
            Answer::Said(known) => (known.into_iter(), String::new()),
            Answer::Nothing(why) => (Vec::new().into_iter(), why),
        };
        let standing = |one: &Named| match one.key.as_ref().map(|_| said.next()) {
            None => Standing::NotChecked("the registry has no care teams".to_owned()),
            Some(None) => Standing::NotChecked(why.clone()),
            Some(Some(true)) => Standing::Known,
            Some(Some(false)) => Standing::Unknown,
        };
        let standings: Vec<_> = named.iter().map(standing).collect();
        CheckedNames(named.into_iter().zip(standings).collect())
    }

    /// Of an operation that names nobody, or whose names were asked about before.
    pub(crate) fn nobody() -> CheckedNames {
        CheckedNames(Vec::new())
    }

    /// The names that the registry does not know, for a sentence; `None` if there are none.
    pub(crate) fn unknown(&self) -> Option<String> {
        let unknown = self.of_standing(|one| matches!(one, Standing::Unknown));
        (!unknown.is_empty()).then(|| unknown.join(" and "))
    }

    /// A line for each name that whoever signs has to look at.
    pub(crate) fn in_words(&self) -> String {
        self.0.iter().map(|(named, standing)| line(named, standing)).collect()
    }

    /// Adds the names to the object of a report.
    pub(crate) fn tell(&self, json: &mut Value) {
        let names = self.0.iter().map(|(Named { text, is_new, .. }, standing)| {
            let (registry, why) = match standing {
                Standing::Known => ("known", None),
                Standing::Unknown => ("unknown", None),
                Standing::NotChecked(why) => ("not-checked", Some(why)),
            };
            json!({ "name": text, "registry": registry, "why": why, "new": is_new })
        });
        json["names"] = names.collect();
        json["names_unknown"] = self.of_standing(|one| matches!(one, Standing::Unknown)).into();
        json["names_not_checked"] =
            self.of_standing(|one| matches!(one, Standing::NotChecked(_))).into();
    }

    fn of_standing(&self, wanted: fn(&Standing) -> bool) -> Vec<&str> {
        let found = self.0.iter().filter(|(_, standing)| wanted(standing));
        found.map(|(named, _)| named.text.as_str()).collect()
    }
}

fn line(Named { text, is_new, .. }: &Named, standing: &Standing) -> String {
    const COMPARE: &str = "compare it with what you were told, letter by letter";
    let first = if *is_new { ", which this wallet names for the first time" } else { "" };
    match standing {
        Standing::Known if *is_new => format!("\nthe registry knows {text}{first}"),
        // Named before and known now: nothing that anybody has to look at.
        Standing::Known => String::new(),
        Standing::Unknown => {
            format!(
                "\nTHE REGISTRY DOES NOT KNOW {text}{first}: as things are, this covers nobody \
                     by that name; {COMPARE}"
            )
        }
        Standing::NotChecked(why) => {
            format!("\nwhether the registry knows {text}{first} is not checked ({why}): {COMPARE}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_answer_leaves_names_unchecked_and_nobody_waiting() {
        let began = Instant::now();
        let found = said(began + NAMES_WAIT, std::future::pending()).await.unwrap();
        let Answer::Nothing(why) = found else { panic!("nobody said anything") };
        assert_eq!(
            (why.as_str(), began.elapsed()),
            ("the node did not say within 5 s", NAMES_WAIT)
        );
        let found = said(Instant::now() + NAMES_WAIT, async { Ok(vec![true]) }).await.unwrap();
        assert!(matches!(found, Answer::Said(known) if known == [true]));
    }
}
