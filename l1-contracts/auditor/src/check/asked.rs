//! The signed request behind a claim: what a reader asked for, held against what the node claimed.

use model::{ChainScope, Claim, Party};
use statement::eddsa::{self, PublicKey, Signature};
use statement::{field, scope};
use wire::{AccessRequest, RequestWords, SignedAccessRequest, Source};

/// What is wrong with a request that the claim names: another deployment, a field that the claim
/// has otherwise, or the signature; `None` if all of it agrees.
pub(super) fn first_difference(
    signed: &SignedAccessRequest,
    claim: &Claim,
    scope: ChainScope,
) -> Option<&'static str> {
    let difference = signed.first_difference(claim, scope, words(signed.request()));
    difference.or_else(|| (!verifies(signed)).then_some("signature"))
}

fn words(request: &AccessRequest) -> RequestWords {
    RequestWords {
        practitioner: scope::practitioner(&request.practitioner),
        organisation: scope::organisation(&request.organisation),
        source: match &request.source {
            Source::Any => Party::Any,
            Source::Device(device) => Party::Named(scope::device(device)),
        },
    }
}

/// Whether the key in it signed it. Whose key that is, only the registry says.
fn verifies(signed: &SignedAccessRequest) -> bool {
    let parts = || {
        let key = PublicKey::decode(&signed.public_key).ok()?;
        let signature = Signature::decode(&signed.signature).ok()?;
        let message = field::from_word(&signed.request().signing_hash().ok()?.word());
        Some(eddsa::verify(&key, message, &signature))
    };
    parts().unwrap_or(false)
}
