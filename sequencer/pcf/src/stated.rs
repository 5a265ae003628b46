//! What a document states: rules, before anybody says in which slots of a record they go.

use model::{DeviceId, OrganisationId, PractitionerId, Rule, Word};
use statement::scope::{self, ActorKind};

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Effect {
    /// A permit.
    Permit,
    /// A deny.
    Deny,
    /// A policy to break the glass.
    Policy,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Effect; 3] = [Effect::Permit, Effect::Deny, Effect::Policy];

    /// How people call such rules.
    pub const fn plural(self) -> &'static str {
        match self {
            Effect::Permit => "permits",
            Effect::Deny => "denies",
            Effect::Policy => "break-glass policies",
        }
    }

    /// How many of them a record holds.
    pub const fn slots(self) -> usize {
        let slots = match self {
            Effect::Permit => model::layout::PERMIT_SLOTS,
            Effect::Deny => model::layout::DENY_SLOTS,
            Effect::Policy => model::layout::POLICY_SLOTS,
        };
        slots.end - slots.start
    }
}

/// Somebody with a registered name, as people write it: `practitioner:dr-001`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Party {
    kind: PartyKind,
    name: String,
}

/// What a party is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum PartyKind {
    Organisation,
    Practitioner,
    CareTeam,
    Device,
    /// Somebody whose name nobody knows: the word of rules and claims stands for it.
    Unnamed,
}

impl PartyKind {
    /// Every kind that has names.
    pub(crate) const ALL: [PartyKind; 4] =
        [PartyKind::Organisation, PartyKind::Practitioner, PartyKind::CareTeam, PartyKind::Device];

    /// The word before the colon.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            PartyKind::Organisation => "organisation",
            PartyKind::Practitioner => "practitioner",
            PartyKind::CareTeam => "care-team",
            PartyKind::Device => "device",
            PartyKind::Unnamed => "word",
        }
    }

    /// The type of resource that an export says; none of what nobody can name.
    pub(crate) const fn resource(self) -> Option<&'static str> {
        Some(match self {
            PartyKind::Organisation => "Organization",
            PartyKind::Practitioner => "Practitioner",
            PartyKind::CareTeam => "CareTeam",
            PartyKind::Device => "Device",
            PartyKind::Unnamed => return None,
        })
    }

    /// What a type of resource names, if a rule can name it. A `PractitionerRole` is none: it is
    /// somebody in one of their posts, and a rule would name all of them.
    pub(crate) fn of_resource(resource: &str) -> Option<PartyKind> {
        match resource {
            "Group" => Some(PartyKind::CareTeam),
            _ => PartyKind::ALL.into_iter().find(|kind| kind.resource() == Some(resource)),
        }
    }

    /// The system of the registered names of this kind.
    pub(crate) fn system(self) -> String {
        format!("urn:vitals-rollup:{}", self.prefix())
    }
}

impl Party {
    /// Reads `organisation:NAME`, `practitioner:NAME`, `care-team:NAME` or `device:NAME`.
    pub fn parse(text: &str) -> Option<Party> {
        let (prefix, name) = text.split_once(':')?;
        let kind = PartyKind::ALL.into_iter().find(|kind| kind.prefix() == prefix)?;
        Party::new(kind, name)
    }

    /// Somebody whose name whoever exports does not know. What is written of it says the word, and
    /// no import reads it back: nobody is named.
    pub fn unnamed(word: Word) -> Party {
        Party { kind: PartyKind::Unnamed, name: word.to_hex() }
    }

    pub(crate) fn new(kind: PartyKind, name: &str) -> Option<Party> {
        let is_name = match kind {
            // A care team's name has the same form as an organisation's.
            PartyKind::Organisation | PartyKind::CareTeam => OrganisationId::new(name).is_ok(),
            PartyKind::Practitioner => PractitionerId::new(name).is_ok(),
            PartyKind::Device => DeviceId::new(name).is_ok(),
            PartyKind::Unnamed => Word::from_hex(name).is_ok(),
        };
        is_name.then(|| Party { kind, name: name.to_owned() })
    }

    pub(crate) fn kind(&self) -> PartyKind {
        self.kind
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The word that rules and claims use for it.
    pub fn word(&self) -> Word {
        let kind = match self.kind {
            PartyKind::Organisation => ActorKind::Organisation,
            PartyKind::Practitioner => ActorKind::Practitioner,
            PartyKind::CareTeam => ActorKind::CareTeam,
            PartyKind::Device => ActorKind::Device,
            // Written from a word, so it is one.
            PartyKind::Unnamed => return Word::from_hex(&self.name).unwrap_or(Word::NOBODY),
        };
        scope::actor(kind, &self.name)
    }
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind.prefix(), self.name)
    }
}

/// One rule of a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stated {
    /// What it does.
    pub effect: Effect,
    /// What it says.
    pub rule: Rule,
    /// Whom it names; nobody is anybody.
    pub actor: Option<Party>,
    /// Whose data it is about; nobody is anybody's.
    pub source: Option<Party>,
    /// The provision that it is of, as a path.
    pub element: String,
}
