//! One provision: what it says, element by element, and the rules that say the same.
//!
//! How a provision is read, in full:
//! * A claim meets a provision if it meets every element that the provision has.
//! * A permit below the root takes from the root each element that it does not have. (It is an
//!   exception to the root, which is about what the root is about; and it permits less so.)
//! * A deny takes nothing from the root: an element that it does not have leaves nothing out.
//! * What a deny meets is refused, whatever permits it; what no permit meets is refused.
//! * PCF is about reading. A provision without purposes, if it is a permit, permits to read for
//!   every purpose and not to break the glass, which has to be named; if a deny, it forbids both.
//! * BTG is the kind *break-glass* for the purpose *emergency-treatment* if permitted, and for
//!   every purpose if it is denied.

use model::{
    Categories, Category, ClaimKind, ClaimKinds, Interval, Label, Labels, Millis, Purpose,
    Purposes, Rule,
};

use crate::codes::{
    self, ACT_REASON, BREAK_THE_GLASS, CATEGORIES_EXTENSION, KINDS_EXTENSION, PARTICIPATION,
    RECIPIENT,
};
use crate::element::Element;
use crate::finding::{Findings, Reason};
use crate::instant::{self, NoInstant, PlaceDay};
use crate::names::Names;
use crate::stated::{Effect, Party, PartyKind, Stated};

/// What a document is read with.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) names: &'a Names,
    /// Where dates hold, if anybody said it.
    pub(crate) zone: Option<&'a dyn PlaceDay>,
}

/// Elements of a provision that are read, or that say nothing of what it means.
const READ: &[&str] = &[
    "id",
    "extension",
    "modifierExtension",
    "type",
    "period",
    "actor",
    "securityLabel",
    "purpose",
    "dataPeriod",
    "data",
    "provision",
    "action",
    "class",
    "code",
];

/// Of those, what PCF forbids.
const FORBIDDEN: &[&str] = &["action", "class", "code"];

/// Permit or deny.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    Permit,
    Deny,
}

/// What a provision says; nothing where it has no such element.
#[derive(Clone, Default, Debug)]
pub(crate) struct Said {
    period: Option<Interval>,
    data_period: Option<Interval>,
    actors: Option<Vec<Party>>,
    sources: Option<Vec<Party>>,
    labels: Option<Labels>,
    categories: Option<Categories>,
    acts: Option<Acts>,
}

/// What is done, and why: one element here, since BTG is a purpose there and a kind here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Acts {
    purposes: Purposes,
    breaks_glass: bool,
    /// Of the extension, if there is one; the purposes are then those of each kind.
    kinds: Option<ClaimKinds>,
}

impl Reader<'_> {
    /// Whether it permits or denies.
    pub(crate) fn type_of(&self, of: &Element<'_>, findings: &mut Findings) -> Option<Type> {
        match of.text("type", findings)? {
            "permit" => Some(Type::Permit),
            "deny" => Some(Type::Deny),
            _ => {
                findings.add(&of.at("type"), Reason::TypeUnknown);
                None
            }
        }
    }

    /// Everything else that it says.
    pub(crate) fn said(&self, of: &Element<'_>, findings: &mut Findings) -> Said {
        of.only(READ, findings);
        of.without(FORBIDDEN, findings);
        let (categories, kinds) = extensions(of, findings);
        Said {
            period: self.period(of, "period", findings),
            data_period: self.period(of, "dataPeriod", findings),
            actors: self.actors(of, findings),
            sources: self.sources(of, findings),
            labels: self.labels(of, findings),
            categories,
            acts: self.acts(of, kinds, findings),
        }
    }

    fn period(&self, of: &Element<'_>, name: &str, findings: &mut Findings) -> Option<Interval> {
        let period = of.object(name, findings)?;
        period.only(&["id", "extension", "start", "end"], findings);
        let (start, end) = (period.text("start", findings), period.text("end", findings));
        if start.is_none() && end.is_none() {
            findings.add(&period.path, Reason::Form("a start or an end"));
            return None;
        }
        let from = start.map_or(Ok(Millis::UNBOUNDED_PAST), |at| instant::begin(at, self.zone));
        let until = end.map_or(Ok(Millis::UNBOUNDED_FUTURE), |at| instant::end(at, self.zone));
        for (name, at) in [("start", from), ("end", until)] {
            match at {
                Err(NoInstant::Zone) => findings.add(&period.at(name), Reason::Zone),
                Err(NoInstant::Form) => findings.add(&period.at(name), Reason::Time),
                Ok(_) => {}
            }
        }
        let interval = Interval::new(from.ok()?, until.ok()?);
        if interval.is_err() {
            findings.add(&period.path, Reason::Period);
        }
        interval.ok()
    }

    fn actors(&self, of: &Element<'_>, findings: &mut Findings) -> Option<Vec<Party>> {
        if !of.has("actor") {
            return None;
        }
        let mut parties = Vec::new();
        for actor in of.list("actor", findings) {
            actor.only(&["id", "extension", "role", "reference"], findings);
            self.check_role(&actor, findings);
            if let Some(party) = self.party(&actor, findings) {
                if party.kind() == PartyKind::CareTeam {
                    findings.add(&actor.path, Reason::CareTeam);
                }
                push_once(&mut parties, party);
            }
        }
        Some(parties)
    }

    fn check_role(&self, actor: &Element<'_>, findings: &mut Findings) {
        let role = actor.object("role", findings);
        let codings = role.map(|role| role.list("coding", findings)).unwrap_or_default();
        let code = |coding: &Element<'_>, findings: &mut Findings| {
            let (system, code) = (coding.text("system", findings), coding.text("code", findings));
            (system, code) == (Some(PARTICIPATION), Some(RECIPIENT))
        };
        // All of them: a concept of two roles is somebody in both.
        let is_recipient =
            !codings.is_empty() && codings.iter().all(|coding| code(coding, findings));
        if !is_recipient {
            findings.add(&actor.at("role"), Reason::Role);
        }
    }

    fn sources(&self, of: &Element<'_>, findings: &mut Findings) -> Option<Vec<Party>> {
        if !of.has("data") {
            return None;
        }
        let mut parties = Vec::new();
        for data in of.list("data", findings) {
            data.only(&["id", "extension", "meaning", "reference"], findings);
            match data.text("meaning", findings) {
                Some("authoredby") => {}
                Some("instance") => findings.add(&data.at("meaning"), Reason::DataById),
                Some(_) => findings.add(&data.at("meaning"), Reason::DataRelationship),
                None => findings.add(&data.at("meaning"), Reason::Form("a meaning")),
            }
            if data.text("meaning", findings) != Some("authoredby") {
                continue;
            }
            if let Some(party) = self.party(&data, findings) {
                if party.kind() != PartyKind::Device {
                    findings.add(&data.path, Reason::SourceIsNoDevice);
                }
                push_once(&mut parties, party);
            }
        }
        Some(parties)
    }

    /// Whom the reference of an actor or of an author names.
    fn party(&self, of: &Element<'_>, findings: &mut Findings) -> Option<Party> {
        let Some(reference) = of.object("reference", findings) else {
            findings.add(&of.at("reference"), Reason::Form("a reference"));
            return None;
        };
        self.referenced(&reference, findings)
    }

    /// Whom a reference names: by the names, or by an identifier of this system.
    fn referenced(&self, of: &Element<'_>, findings: &mut Findings) -> Option<Party> {
        of.only(&["id", "extension", "reference", "type", "identifier", "display"], findings);
        let by_reference = of.text("reference", findings);
        let identifier = of.object("identifier", findings);
        let (text, is_of) = match (by_reference, &identifier) {
            (Some(text), None) => (text.to_owned(), resource_of(text)),
            (None, Some(identifier)) => {
                let system = identifier.text("system", findings)?;
                let value = identifier.text("value", findings)?;
                if let Some(kind) = PartyKind::ALL.into_iter().find(|kind| kind.system() == system)
                {
                    let party = Party::new(kind, value);
                    if party.is_none() {
                        findings.add(&identifier.at("value"), Reason::ActorUnknown);
                    }
                    return party;
                }
                (format!("{system}|{value}"), of.text("type", findings))
            }
            // Of two nobody knows which is meant, and whether they differ is in no document.
            _ => {
                findings.add(&of.path, Reason::Form("either a reference or an identifier"));
                return None;
            }
        };
        let expected = is_of.map(PartyKind::of_resource);
        let found = self.names.actors.get(&text);
        let reason = match (expected, found) {
            (Some(None), _) => Reason::ActorType,
            (_, None) => Reason::ActorUnknown,
            (Some(Some(kind)), Some(party)) if party.kind() != kind => Reason::ActorOther,
            (_, Some(party)) => return Some(party.clone()),
        };
        findings.add(&of.path, reason);
        None
    }

    fn labels(&self, of: &Element<'_>, findings: &mut Findings) -> Option<Labels> {
        if !of.has("securityLabel") {
            return None;
        }
        let mut labels = Labels::NONE;
        for coding in of.list("securityLabel", findings) {
            let Some((system, code)) = read_coding(&coding, findings) else { continue };
            let mapped = self.names.labels.get(&format!("{system}|{code}")).copied();
            match codes::label(system, code).or(mapped) {
                Some(label) => labels = labels.with(label.only()),
                None => findings.add(&coding.path, Reason::Label(codes::shown(code))),
            }
            if let Some(label) = mapped.filter(|_| codes::label(system, code).is_none()) {
                findings.add(&coding.path, Reason::ReadAs(Label::name(label)));
            }
        }
        Some(labels)
    }

    fn acts(
        &self,
        of: &Element<'_>,
        kinds: Option<ClaimKinds>,
        findings: &mut Findings,
    ) -> Option<Acts> {
        if !of.has("purpose") {
            // Kinds without purposes are kinds for every purpose.
            return kinds.map(|_| Acts { purposes: Purposes::ALL, breaks_glass: false, kinds });
        }
        let (mut purposes, mut breaks_glass) = (Purposes::NONE, false);
        for coding in of.list("purpose", findings) {
            let Some((system, code)) = read_coding(&coding, findings) else { continue };
            // With kinds, breaking the glass is one of them, and no purpose beside.
            if system == ACT_REASON && code == BREAK_THE_GLASS && kinds.is_none() {
                breaks_glass = true;
                continue;
            }
            let mapped = self.names.purposes.get(&format!("{system}|{code}")).copied();
            match codes::purpose(system, code).or(mapped) {
                Some(purpose) => purposes = purposes.with(purpose.only()),
                None => findings.add(&coding.path, Reason::Purpose(codes::shown(code))),
            }
            if let Some(purpose) = mapped.filter(|_| codes::purpose(system, code).is_none()) {
                findings.add(&coding.path, Reason::ReadAs(Purpose::name(purpose)));
            }
        }
        Some(Acts { purposes, breaks_glass, kinds })
    }
}

/// The modifier extensions that are this system's own. Any other one changes the meaning of the
/// provision in a way that nobody here knows, as FHIR says of all of them.
fn extensions(
    of: &Element<'_>,
    findings: &mut Findings,
) -> (Option<Categories>, Option<ClaimKinds>) {
    let (mut categories, mut kinds) = (None, None);
    for extension in of.list("modifierExtension", findings) {
        extension.only(&["url", "valueCode"], findings);
        let url = extension.text("url", findings);
        let Some(code) = extension.text("valueCode", findings) else {
            findings.add(&extension.path, Reason::Unread);
            continue;
        };
        match url {
            Some(CATEGORIES_EXTENSION) => match codes::category(code).map(Category::only) {
                Some(one) => categories = Some(categories.unwrap_or(Categories::NONE).with(one)),
                None => findings.add(&extension.path, Reason::Category(codes::shown(code))),
            },
            Some(KINDS_EXTENSION) => match codes::kind(code).map(ClaimKind::only) {
                Some(one) => kinds = Some(kinds.unwrap_or(ClaimKinds::NONE).with(one)),
                None => findings.add(&extension.path, Reason::ClaimKind(codes::shown(code))),
            },
            _ => findings.add(&extension.path, Reason::Unread),
        }
    }
    (categories, kinds)
}

/// The type of resource of a literal reference: the part before the id, also of a version of it.
fn resource_of(reference: &str) -> Option<&str> {
    let parts: Vec<_> = reference.split('/').collect();
    let parts = match parts.as_slice() {
        [before @ .., "_history", _] => before,
        all => all,
    };
    // A reference of one part (`#contained`, `urn:uuid:`) has no type in it.
    parts.len().checked_sub(2).and_then(|at| parts.get(at).copied())
}

/// A coding's system and code. Without a system a code is a word of nobody's.
fn read_coding<'a>(of: &Element<'a>, findings: &mut Findings) -> Option<(&'a str, &'a str)> {
    of.only(&["id", "extension", "system", "version", "code", "display", "userSelected"], findings);
    let read = of.text("system", findings).zip(of.text("code", findings));
    if read.is_none() {
        findings.add(&of.path, Reason::Form("a system and a code"));
    }
    read
}

fn push_once(parties: &mut Vec<Party>, party: Party) {
    if !parties.contains(&party) {
        parties.push(party);
    }
}

impl Said {
    /// Whether an actor is a care team.
    pub(crate) fn names_a_care_team(&self) -> bool {
        let mut actors = self.actors.iter().flatten();
        actors.any(|actor| actor.kind() == PartyKind::CareTeam)
    }

    /// What a permit below the root says: its own, and of the root what it does not have.
    pub(crate) fn or(self, root: &Said) -> Said {
        Said {
            period: self.period.or(root.period),
            data_period: self.data_period.or(root.data_period),
            actors: self.actors.or_else(|| root.actors.clone()),
            sources: self.sources.or_else(|| root.sources.clone()),
            labels: self.labels.or(root.labels),
            categories: self.categories.or(root.categories),
            acts: self.acts.or(root.acts),
        }
    }

    /// Whether something is said of what is collected, too: only the extension can.
    pub(crate) fn names_kinds(&self) -> bool {
        self.acts.is_some_and(|acts| acts.kinds.is_some())
    }

    /// Whether a permit of it lets glass be broken by the word BTG.
    pub(crate) fn breaks_glass(&self) -> bool {
        self.acts.is_some_and(|acts| acts.breaks_glass)
    }

    /// Most rules that it becomes.
    pub(crate) fn rule_count(&self) -> usize {
        let each = |parties: &Option<Vec<Party>>| parties.as_ref().map_or(1, Vec::len);
        // Of each list two: one that reads and one that breaks the glass.
        2 * each(&self.actors) * each(&self.sources)
    }

    /// The rules that say the same. A rule names one actor and one source, so that a list of them
    /// becomes a rule each.
    pub(crate) fn rules(&self, of: Type, element: &str) -> Vec<Stated> {
        let each = |parties: &Option<Vec<Party>>| match parties {
            None => vec![None],
            Some(parties) => parties.iter().cloned().map(Some).collect(),
        };
        let (actors, sources) = (each(&self.actors), each(&self.sources));
        let mut rules = Vec::new();
        for act in acts(of, self.acts) {
            for actor in &actors {
                for source in &sources {
                    let rule = self.rule(&act, actor.as_ref(), source.as_ref());
                    let (actor, source) = (actor.clone(), source.clone());
                    let element = element.to_owned();
                    rules.push(Stated { effect: act.effect, rule, actor, source, element });
                }
            }
        }
        rules
    }

    fn rule(&self, act: &Act, actor: Option<&Party>, source: Option<&Party>) -> Rule {
        let named = |party: Option<&Party>| {
            party.map_or(model::Party::Any, |party| model::Party::Named(party.word()))
        };
        Rule {
            actor: named(actor),
            source: named(source),
            categories: self.categories.unwrap_or(Categories::ALL),
            purposes: act.purposes,
            kinds: act.kinds,
            labels: self.labels.unwrap_or(Labels::ALL),
            access: self.period.unwrap_or(Interval::ALWAYS),
            data: self.data_period.unwrap_or(Interval::ALWAYS),
        }
    }
}

/// What one rule is about.
struct Act {
    effect: Effect,
    kinds: ClaimKinds,
    purposes: Purposes,
}

/// The purposes and kinds of the rules of a provision.
fn acts(of: Type, said: Option<Acts>) -> Vec<Act> {
    let (access, breaking) = (ClaimKind::Access.only(), ClaimKind::BreakGlass.only());
    let act = |effect, kinds, purposes| Act { effect, kinds, purposes };
    let Some(Acts { purposes, breaks_glass, kinds }) = said else {
        return vec![match of {
            Type::Permit => act(Effect::Permit, access, Purposes::ALL),
            Type::Deny => act(Effect::Deny, access.with(breaking), Purposes::ALL),
        }];
    };
    let mut acts = Vec::new();
    match (of, kinds) {
        (Type::Deny, Some(kinds)) => acts.push(act(Effect::Deny, kinds, purposes)),
        // A permit has no kind break-glass and a policy no other (C1.18).
        (Type::Permit, Some(kinds)) => {
            let others = ClaimKind::ALL.iter().filter(|one| **one != ClaimKind::BreakGlass);
            let others = others.filter(|one| kinds.contains(one.only()));
            let others: ClaimKinds = others.copied().collect();
            if !others.is_empty() {
                acts.push(act(Effect::Permit, others, purposes));
            }
            if kinds.contains(breaking) {
                acts.push(act(Effect::Policy, breaking, purposes));
            }
        }
        (_, None) => {
            if !purposes.is_empty() {
                let effect = if of == Type::Permit { Effect::Permit } else { Effect::Deny };
                acts.push(act(effect, access, purposes));
            }
            if breaks_glass {
                acts.push(match of {
                    Type::Permit => {
                        let only = Purpose::EmergencyTreatment.only();
                        act(Effect::Policy, breaking, only)
                    }
                    Type::Deny => act(Effect::Deny, breaking, Purposes::ALL),
                });
            }
        }
    }
    acts
}
