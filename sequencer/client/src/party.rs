//! Whom rules name, as people write it: `practitioner:dr-001`, `organisation:`, `care-team:`,
//! `device:`, or `any`. A record holds only hashes of names, so a wallet keeps the names it used.

use std::collections::BTreeMap;

use model::{DeviceId, IdError, OrganisationId, Party, PractitionerId, Word};
use statement::scope::{self, ActorKind};
use thiserror::Error;
use wire::{CareTeamId, RegistryKey};

/// Text that names nobody.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PartyError {
    /// Another form.
    #[error("expected {expected}, found something else")]
    Form {
        /// The forms read.
        expected: &'static str,
    },
    /// The name after the colon is malformed.
    #[error("the name is malformed")]
    Name(#[from] IdError),
}

/// Names by the words that stand for them in records and claims.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names(pub(crate) BTreeMap<Word, String>);

/// Most names kept: beyond it the smallest word is forgotten, and shows as a hash.
const NAMES_MAX: usize = 1024;

impl Names {
    /// Remembers the name of a party.
    pub fn learn(&mut self, text: &str, party: &Party) {
        // Anybody has no word, and needs no name.
        if let Party::Named(word) = party {
            self.0.insert(*word, text.to_owned());
        }
        // Which one goes hardly matters: words are hashes, so the smallest is any of them.
        while self.0.len() > NAMES_MAX {
            self.0.pop_first();
        }
    }

    /// Whether a party was named before; anybody needs no name.
    pub fn knows(&self, party: &Party) -> bool {
        match party {
            Party::Any => true,
            Party::Named(word) => self.0.contains_key(word),
        }
    }

    /// Every name that is remembered, as people write it.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// How to call a party: its name, or the begin of its word.
    pub fn of(&self, party: &Party) -> String {
        match party {
            Party::Any => "anybody".to_owned(),
            Party::Named(word) => match self.0.get(word) {
                Some(text) => text.replacen(':', " ", 1),
                // Enough of the word to see that two are the same; all of it says nothing more.
                None => format!("somebody unnamed ({}..)", &word.to_hex()[..10]),
            },
        }
    }
}

/// Who acts.
///
/// # Errors
/// [`PartyError`] that says which forms are read.
pub fn actor(text: &str) -> Result<Party, PartyError> {
    if text == "any" {
        return Ok(Party::Any);
    }
    let expected = "organisation:NAME, practitioner:NAME, care-team:NAME, device:NAME or any";
    let (kind, name) = text.split_once(':').ok_or(PartyError::Form { expected })?;
    // Each kind hashes under its own tag: a ward and a doctor of one name are two parties.
    Ok(Party::Named(match kind {
        "organisation" => scope::organisation(&OrganisationId::new(name)?),
        "practitioner" => scope::practitioner(&PractitionerId::new(name)?),
        // `group` is what a care team was called before: scripts may still say so.
        "care-team" | "group" => scope::actor(ActorKind::CareTeam, CareTeamId::new(name)?.as_str()),
        "device" => scope::device(&DeviceId::new(name)?),
        _ => return Err(PartyError::Form { expected }),
    }))
}

/// What the registry would know a party by. It has no care teams, and anybody has no name.
///
/// # Errors
/// As [`actor`].
pub fn registered(text: &str) -> Result<Option<RegistryKey>, PartyError> {
    // The one reader of such words decides what they are; here only where to look is added.
    actor(text)?;
    Ok(match text.split_once(':') {
        Some(("organisation", name)) => Some(RegistryKey::Organisation(OrganisationId::new(name)?)),
        Some(("practitioner", name)) => Some(RegistryKey::Practitioner(PractitionerId::new(name)?)),
        Some(("device", name)) => Some(RegistryKey::Device(DeviceId::new(name)?)),
        _ => None,
    })
}

/// Whose data.
///
/// # Errors
/// [`PartyError`] that says which forms are read.
pub fn source(text: &str) -> Result<Party, PartyError> {
    // A claim names the device as its source: a rule about a person as source would never match.
    match text.split_once(':') {
        None if text == "any" => Ok(Party::Any),
        Some(("device", _)) => actor(text),
        _ => Err(PartyError::Form { expected: "device:NAME or any" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words_and_come_back() {
        let mut names = Names::default();
        let doctor = actor("practitioner:dr-001").unwrap();
        assert_ne!(doctor, actor("organisation:dr-001").unwrap());
        assert!(names.of(&doctor).starts_with("somebody unnamed (0x") && !names.knows(&doctor));
        names.learn("practitioner:dr-001", &doctor);
        assert!(names.knows(&doctor) && names.knows(&Party::Any));
        assert_eq!(names.of(&doctor), "practitioner dr-001");
        assert_eq!(names.of(&actor("any").unwrap()), "anybody");
    }

    #[test]
    fn the_registry_knows_people_places_and_devices_and_no_care_team() {
        let ward = RegistryKey::Organisation(OrganisationId::new("ward-3").unwrap());
        assert_eq!(registered("organisation:ward-3").map(|found| found == Some(ward)), Ok(true));
        for named in ["practitioner:dr-001", "device:m-1"] {
            assert!(registered(named).unwrap().is_some(), "{named}");
        }
        for without in ["any", "care-team:night", "group:night"] {
            assert!(registered(without).unwrap().is_none(), "{without}");
        }
        assert!(registered("nurse:anna").is_err() && registered("practitioner:Dr X").is_err());
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "dr-001", "nurse:anna", "everybody"] {
            assert!(matches!(actor(text), Err(PartyError::Form { .. })), "{text}");
        }
        assert!(matches!(actor("practitioner:Dr X"), Err(PartyError::Name(_))));
        assert!(source("practitioner:dr-001").is_err());
        assert_eq!(source("device:m-1"), actor("device:m-1"));
    }
}
