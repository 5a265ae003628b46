//! SMART scopes: `<patient|user|system>/<resource>.<cruds>?<query>` (SMART App Launch 2), and the
//! `read`, `write` and `*` of version 1.

use std::fmt;

/// Most scopes of a token that are read.
pub(crate) const SCOPES_MAX: usize = 64;

/// On whose behalf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Context {
    /// Of one patient, whom the token names.
    Patient,
    /// Of a user, whom the token names.
    User,
    /// Of a system, with no user in front of it.
    System,
}

/// What is done to a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Make one.
    Create,
    /// Read one by its id.
    Read,
    /// Change one.
    Update,
    /// Delete one.
    Delete,
    /// Search.
    Search,
}

/// A scope that was granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// On whose behalf.
    pub context: Context,
    /// Type of resource; `*` is any.
    pub resource: String,
    /// Bits of the verbs, see [`Scope::has`].
    verbs: u8,
    /// What it is narrowed to (`category=vital-signs`), as it stands.
    pub query: Option<String>,
}

/// What a question needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Needed {
    /// On whose behalf.
    pub context: Context,
    /// Type of resource.
    pub resource: &'static str,
    /// What is done to it.
    pub verb: Verb,
}

/// The scopes of a token; those that are none of these grant nothing and are not kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scopes {
    granted: Vec<Scope>,
}

impl Context {
    const ALL: [Context; 3] = [Context::Patient, Context::User, Context::System];

    /// As scopes write it.
    pub fn name(self) -> &'static str {
        match self {
            Context::Patient => "patient",
            Context::User => "user",
            Context::System => "system",
        }
    }
}

impl Verb {
    /// In the order in which a scope has them.
    const ALL: [Verb; 5] = [Verb::Create, Verb::Read, Verb::Update, Verb::Delete, Verb::Search];

    fn letter(self) -> char {
        match self {
            Verb::Create => 'c',
            Verb::Read => 'r',
            Verb::Update => 'u',
            Verb::Delete => 'd',
            Verb::Search => 's',
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Scope {
    /// Whether it grants a verb.
    pub fn has(&self, verb: Verb) -> bool {
        self.verbs & verb.bit() != 0
    }

    fn parse(text: &str) -> Option<Scope> {
        let (context, rest) = text.split_once('/')?;
        let context = Context::ALL.into_iter().find(|one| one.name() == context)?;
        let (granted, query) = match rest.split_once('?') {
            Some((granted, query)) => (granted, Some(query.to_owned())),
            None => (rest, None),
        };
        let (resource, verbs) = granted.rsplit_once('.')?;
        let is_type = !resource.is_empty() && resource.bytes().all(|b| b.is_ascii_alphabetic());
        let verbs = if is_type || resource == "*" { parse_verbs(verbs)? } else { return None };
        Some(Scope { context, resource: resource.to_owned(), verbs, query })
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.context.name(), self.resource, self.verb.letter())
    }
}

impl Scopes {
    /// Reads scopes, separated by spaces; those beyond the first 64 are not read, and so grant
    /// nothing.
    pub fn parse(text: &str) -> Scopes {
        let granted = text.split(' ').filter(|one| !one.is_empty()).take(SCOPES_MAX);
        Scopes { granted: granted.filter_map(Scope::parse).collect() }
    }

    /// Whether something is granted without a query. One with a query grants less than it names:
    /// who asks for it takes it from [`Scopes::granted`] and applies its query.
    pub fn grants(&self, needed: Needed) -> bool {
        self.granted(needed).any(|scope| scope.query.is_none())
    }

    /// The scopes that grant something, narrowed or not.
    pub fn granted(&self, needed: Needed) -> impl Iterator<Item = &Scope> {
        self.granted.iter().filter(move |scope| {
            let resource = scope.resource == "*" || scope.resource == needed.resource;
            resource && scope.context == needed.context && scope.has(needed.verb)
        })
    }
}

/// Bits of `cruds` in this order, or of a word of version 1.
fn parse_verbs(text: &str) -> Option<u8> {
    let (all, read) = (0b11111, Verb::Read.bit() | Verb::Search.bit());
    match text {
        "*" => return Some(all),
        "read" => return Some(read),
        "write" => return Some(all & !read),
        _ => {}
    }
    let mut letters = text.chars().peekable();
    let mut verbs = 0;
    for verb in Verb::ALL {
        if letters.next_if_eq(&verb.letter()).is_some() {
            verbs |= verb.bit();
        }
    }
    // A letter that is left is unknown, out of order or there twice: the scope grants nothing.
    (verbs != 0 && letters.next().is_none()).then_some(verbs)
}

#[cfg(test)]
mod tests {
    use super::{Context, Needed, Scopes, Verb};

    fn grants(scopes: &str, context: Context, verb: Verb) -> bool {
        Scopes::parse(scopes).grants(Needed { context, resource: "Observation", verb })
    }

    #[test]
    fn a_scope_grants_its_context_resource_and_verbs_and_no_others() {
        let system = Context::System;
        assert!(grants("openid system/Observation.cs", system, Verb::Create));
        assert!(grants("openid system/Observation.cs", system, Verb::Search));
        assert!(!grants("system/Observation.cs", system, Verb::Read));
        assert!(!grants("system/Observation.cs", Context::User, Verb::Create));
        assert!(!grants("system/Patient.cruds", system, Verb::Create));
        assert!(grants("system/*.cruds", system, Verb::Delete));
        assert!(grants("system/Observation.read", system, Verb::Search));
        assert!(!grants("system/Observation.read", system, Verb::Create));
        assert!(grants("system/Observation.write", system, Verb::Create));
        assert!(!grants("system/Observation.write", system, Verb::Read));
        assert!(grants("system/*.*", system, Verb::Read));
    }

    #[test]
    fn what_is_no_scope_grants_nothing() {
        let wrong = [
            "system/Observation.sc",
            "system/Observation.cc",
            "system/Observation.",
            "system/Observation.x",
            "system/Observation",
            "system/.c",
            "Observation.c",
            "systems/Observation.c",
            "system/Obser%76ation.c",
            "system/Observation/x.c",
        ];
        for scope in wrong {
            assert!(!grants(scope, Context::System, Verb::Create), "{scope}");
        }
    }

    #[test]
    fn a_narrowed_scope_grants_by_its_query_alone() {
        let scopes = Scopes::parse("system/Observation.c?category=vital-signs");
        let needed =
            Needed { context: Context::System, resource: "Observation", verb: Verb::Create };
        assert!(!scopes.grants(needed));
        let queries: Vec<_> = scopes.granted(needed).map(|one| one.query.as_deref()).collect();
        assert_eq!(queries, [Some("category=vital-signs")]);
        assert_eq!(needed.to_string(), "system/Observation.c");
    }

    #[test]
    fn scopes_beyond_the_limit_are_not_read() {
        let many = "openid ".repeat(64) + "system/Observation.c";
        assert!(!grants(&many, Context::System, Verb::Create));
    }
}
