//! What a signed request to read asks for, as the claim that it becomes (docs/wire.md, W.61).

use model::{ChainScope, Claim, Interval, Millis, Position, RequestWords, Word};

use crate::SignedAccessRequest;

/// Whether a signature is one of a key for a message.
pub type Verifies = fn(&[u8; 32], Word, &[u8; 64]) -> bool;

impl SignedAccessRequest {
    /// The claim of this request, decided at an instant and journaled at a position.
    pub fn claim(&self, words: RequestWords, position: Position, at: Millis) -> Claim {
        let request = self.request();
        Claim {
            patient: request.patient,
            kind: request.claim_kind(),
            individual: words.practitioner,
            organisation: words.organisation,
            // No registry says who belongs to a care team, so nobody may act for one.
            care_team: Word::ZERO,
            source: words.source,
            categories: request.categories,
            purpose: request.purpose,
            labels: request.labels,
            receipt: Interval::instant(at),
            measured: request.data,
            position,
            digest: self.digest(),
        }
    }

    /// Whether the key in it signed it, as `verifies` says of key, message and signature:
    /// `statement::eddsa::verify_bytes`, which this crate does without. Whose key it is, only the
    /// registry says.
    pub fn is_signed(&self, verifies: Verifies) -> bool {
        let hash = self.request().signing_hash();
        hash.is_ok_and(|hash| verifies(&self.public_key, hash.word(), &self.signature))
    }

    /// What a claim says otherwise than this request, which it names: another deployment, a field,
    /// or the signature; `None` if it is the claim of the request in this deployment.
    pub fn first_difference(
        &self,
        claim: &Claim,
        scope: ChainScope,
        words: RequestWords,
        verifies: Verifies,
    ) -> Option<&'static str> {
        let request = self.request();
        let asked = self.claim(words, claim.position, claim.receipt.from);
        let was_valid = claim.receipt.from < request.valid_until;
        let parts = [
            ("request", asked.digest == claim.digest),
            ("deployment", request.scope == scope),
            ("patient", asked.patient == claim.patient),
            ("kind", asked.kind == claim.kind),
            ("practitioner", asked.individual == claim.individual),
            ("organisation", asked.organisation == claim.organisation),
            ("care team", asked.care_team == claim.care_team && request.care_team.is_none()),
            ("source", asked.source == claim.source),
            ("categories", asked.categories == claim.categories),
            ("purpose", asked.purpose == claim.purpose),
            ("labels", asked.labels == claim.labels),
            ("data period", asked.measured == claim.measured),
            ("time", asked.receipt == claim.receipt && was_valid),
        ];
        let difference = parts.into_iter().find(|(_, same)| !same).map(|(part, _)| part);
        // Last: it costs more than all the rest.
        difference.or_else(|| (!self.is_signed(verifies)).then_some("signature"))
    }
}
