//! Names beside the words that stand for them, each checked to be that word's.

use std::collections::BTreeMap;

use model::{Party, Word};
use serde::{Deserialize, Serialize};
use statement::scope::{self, ActorKind};

use crate::text::Hex;

/// Names by word, as `practitioner:dr-001`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(BTreeMap<String, String>);

impl Names {
    /// Takes over a name if it is one: `organisation:`, `practitioner:`, `care-team:` or `device:`
    /// before it. Others are left out, and show as their word.
    pub fn learn(&mut self, text: &str) {
        if let Some(word) = word_of(text) {
            self.0.insert(word.to_hex(), text.to_owned());
        }
    }

    /// Whether every name is that of its word.
    pub(crate) fn hold(&self) -> bool {
        self.0.iter().all(|(word, text)| word_of(text).is_some_and(|own| own.to_hex() == *word))
    }

    /// Only the names of these words.
    pub(crate) fn retain(&mut self, words: &std::collections::BTreeSet<Word>) {
        self.0.retain(|word, _| Word::from_hex(word).is_ok_and(|word| words.contains(&word)));
    }

    /// The name of a word, or the word.
    pub(crate) fn of(&self, word: Word) -> String {
        let text = Hex(word).0.to_hex();
        self.0.get(&text).cloned().unwrap_or(text)
    }

    pub(crate) fn of_party(&self, party: Party) -> String {
        match party {
            Party::Any => "any".to_owned(),
            Party::Named(word) => self.of(word),
        }
    }
}

fn word_of(text: &str) -> Option<Word> {
    let (kind, name) = text.split_once(':')?;
    let kind = match kind {
        "organisation" => ActorKind::Organisation,
        "practitioner" => ActorKind::Practitioner,
        "care-team" => ActorKind::CareTeam,
        "device" => ActorKind::Device,
        _ => return None,
    };
    Some(scope::actor(kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_own_word_alone() {
        let mut names = Names::default();
        names.learn("practitioner:dr-001");
        names.learn("nobody");
        let doctor = scope::actor(ActorKind::Practitioner, "dr-001");
        assert_eq!(names.of(doctor), "practitioner:dr-001");
        let other = scope::actor(ActorKind::Organisation, "dr-001");
        assert_eq!(names.of(other), other.to_hex());
        assert!(names.hold());
        names.0.insert(other.to_hex(), "practitioner:dr-001".to_owned());
        assert!(!names.hold());
    }
}
