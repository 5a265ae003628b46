//! Who may post: whoever shows a token of the issuer, or this machine alone.

use fhir::{Interaction, Turned};
use model::Millis;
use tokens::{Context, Needed, TokenError, Verb, bearer_of};

use super::keys::KeyFile;

/// What a token has to grant.
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
    /// Lets a request in, or turns it away. What is served may be asked for by anybody: whoever
    /// wants a token finds out there how to get one.
    pub(crate) fn admit(
        &self,
        interaction: Interaction,
        authorization: Option<&str>,
        now: Millis,
    ) -> Result<(), Turned> {
        let keys = match self {
            Door::Tokens(keys) if interaction != Interaction::Capabilities => keys,
            Door::Tokens(_) | Door::Open => return Ok(()),
        };
        let token = bearer_of(authorization.ok_or(Turned::TokenMissing)?);
        let checked = token.and_then(|token| keys.check(token, now));
        match checked.and_then(|bearer| bearer.require(NEEDED)) {
            Ok(()) => Ok(()),
            Err(TokenError::NotBearer) => Err(Turned::TokenMissing),
            Err(TokenError::Scope { .. }) => Err(Turned::ScopeMissing),
            Err(_) => Err(Turned::TokenInvalid),
        }
    }
}
