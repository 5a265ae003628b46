//! Who may post: whoever shows a token of the issuer, or this machine alone.

use fhir::{Grant, Interaction, Turned};
use model::Millis;
use tokens::{Context, Needed, Scopes, TokenError, Verb, bearer_of};

use super::keys::KeyFile;

/// What a token has to grant, for all Observations or for [some](Grant).
const NEEDED: Needed =
    Needed { context: Context::System, resource: "Observation", verb: Verb::Create };

/// Who is let in.
pub(crate) enum Door {
    /// Whoever reaches the address, which is one of this machine.
    Open,
    /// Whoever shows a token.
    Tokens(KeyFile),
}

impl Door {
    /// Lets a request in, or turns it away, and says what it may create. What is served may be asked
    /// for by anybody: whoever wants a token finds out there how to get one.
    pub(crate) fn admit(
        &self,
        interaction: Interaction,
        authorization: Option<&str>,
        now: Millis,
    ) -> Result<Grant, Turned> {
        let keys = match self {
            Door::Tokens(keys) if interaction != Interaction::Capabilities => keys,
            Door::Tokens(_) | Door::Open => return Ok(Grant::All),
        };
        let token = bearer_of(authorization.ok_or(Turned::TokenMissing)?);
        match token.and_then(|token| keys.check(token, now)) {
            Ok(bearer) => granted(&bearer.scopes).ok_or(Turned::ScopeMissing),
            Err(TokenError::NotBearer) => Err(Turned::TokenMissing),
            Err(_) => Err(Turned::TokenInvalid),
        }
    }
}

/// The widest of what scopes grant.
fn granted(scopes: &Scopes) -> Option<Grant> {
    let granted = scopes.granted(NEEDED).filter_map(|scope| match scope.query.as_deref() {
        None => Some(Grant::All),
        // A category of all types of resources is no query that is known.
        query => Grant::of_query(query).filter(|_| scope.resource == NEEDED.resource),
    });
    granted.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_scope_counts_and_one_with_an_unknown_query_grants_nothing() {
        let of = |scopes: &str| granted(&Scopes::parse(scopes));
        let narrow = "system/Observation.c?category=vital-signs";
        let narrower = Grant::VitalSigns.scope();
        assert_eq!(of(narrow), Some(Grant::AnyVitalSigns));
        assert_eq!(of(narrower), Some(Grant::VitalSigns));
        assert_eq!(of(&format!("{narrower} {narrow}")), Some(Grant::AnyVitalSigns));
        assert_eq!(of("system/Observation.cruds?category=vital-signs"), of(narrow));
        for all in ["system/Observation.c", "system/Observation.write", "system/*.*"] {
            assert_eq!(of(all), Some(Grant::All), "{all}");
            assert_eq!(of(&format!("{narrow} {all}")), Some(Grant::All), "{all}");
        }
        for none in [
            "",
            "system/Observation.rs",
            "user/Observation.c?category=vital-signs",
            "system/Observation.rs?category=vital-signs",
            "system/*.c?category=vital-signs",
            "system/Observation.c?category=laboratory",
            "system/Observation.c?category=vital-signs&code=x",
            "system/Observation.c?",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
