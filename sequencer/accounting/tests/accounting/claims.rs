//! Claims with their leaves, as a batch has them.

use accounting::{About, Document, Entry, ExportKind, Known, Purposes, Settled};
use model::{
    BatchNumber, Category, ChainScope, Claim, ClaimKind, DeviceId, Digest, Interval, Label, Millis,
    OrganisationId, Party, PatientIndex, Position, PractitionerId, Purpose, Word,
};
use statement::batch::ClaimOpening;
use statement::{claim, eddsa, field, scope};
use wire::{AccessKind, AccessRequest, Reason, SignedAccessRequest, Source};

const T0: u64 = 4_000_000_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
pub(crate) const TRANSACTION: [u8; 32] = [0xab; 32];

pub(crate) fn deployment() -> ChainScope {
    ChainScope { chain_id: 31337, contract: [0x5e; 20] }
}

pub(crate) fn patient() -> PatientIndex {
    PatientIndex::new(7).expect("24 bits")
}

pub(crate) fn at(day: u64) -> Millis {
    Millis::new(T0 + day * DAY_MS).expect("44 bits")
}

/// What somebody reads.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) day: u64,
    pub(crate) who: &'static str,
    pub(crate) purpose: Purpose,
    pub(crate) reason: &'static str,
    pub(crate) covered: bool,
    pub(crate) glass: bool,
}

pub(crate) const RESEARCH: Access = Access {
    day: 1,
    who: "dr-001",
    purpose: Purpose::Research,
    reason: "study 12",
    covered: true,
    glass: false,
};

impl Access {
    pub(crate) fn signed(&self) -> SignedAccessRequest {
        let reason = Reason::new(self.reason).expect("a reason");
        let at = at(self.day);
        let request = AccessRequest {
            scope: deployment(),
            patient: patient(),
            practitioner: PractitionerId::new(self.who).expect("a name"),
            organisation: OrganisationId::new("ward-3").expect("a name"),
            care_team: None,
            source: Source::Any,
            categories: Category::Ecg.only(),
            purpose: self.purpose,
            labels: Label::Normal.only(),
            data: Interval::instant(at),
            requested_at: at,
            valid_until: at.plus(1000),
            nonce: 1,
            kind: match self.glass {
                true => AccessKind::BreakGlass { reason },
                false => AccessKind::Access { reason },
            },
        };
        let signer = eddsa::SecretKey::from_bytes(&[9; 32]);
        let message = request.signing_hash().expect("a request").word();
        let signature = eddsa::sign(&signer, field::from_word(&message)).encode();
        SignedAccessRequest::new(request, signer.public().encode(), signature).expect("a request")
    }

    pub(crate) fn opening(&self) -> ClaimOpening {
        let signed = self.signed();
        let asked = signed.request();
        let words = scope::request_words(&asked.practitioner, &asked.organisation, None);
        ClaimOpening {
            chunk: 0,
            leaf: self.day as u32,
            covered: self.covered,
            claim: signed.claim(words, Position(self.day), at(self.day)),
            salt: Word::from_u64(900 + self.day),
            request: signed.to_bytes(),
        }
    }

    pub(crate) fn entry(&self) -> Entry {
        entry(self.opening())
    }
}

/// A collection by a device, which nobody asked for.
pub(crate) fn collection(day: u64) -> ClaimOpening {
    let device = DeviceId::new("monitor-1").expect("a name");
    let organisation = OrganisationId::new("ward-3").expect("a name");
    let claim = Claim {
        patient: patient(),
        kind: ClaimKind::Collect,
        individual: scope::device(&device),
        organisation: scope::organisation(&organisation),
        care_team: Word::ZERO,
        source: Party::Named(scope::device(&device)),
        categories: Category::Spo2.only(),
        purpose: Purpose::Treatment,
        labels: Label::Normal.only(),
        receipt: Interval::instant(at(day)),
        measured: Interval::instant(at(day)),
        position: Position(day),
        digest: Digest([day as u8; 31]),
    };
    let salt = Word::from_u64(800 + day);
    ClaimOpening { chunk: 0, leaf: day as u32, covered: true, claim, salt, request: Vec::new() }
}

pub(crate) fn known() -> Known {
    let named = |name: &str| Some(name.to_owned());
    Known { individual: named("monitor-1"), organisation: named("ward-3") }
}

pub(crate) fn entry(opening: ClaimOpening) -> Entry {
    Entry::new(BatchNumber(4), Some(TRANSACTION), opening, Known::default()).expect("an entry")
}

/// What the chain has of an opening.
pub(crate) fn settled(opening: &ClaimOpening) -> Settled {
    let ClaimOpening { claim, covered, salt, .. } = opening;
    let leaf = claim::leaf(claim, *covered, field::from_word(salt));
    Settled {
        scope: deployment(),
        committed: Some(field::to_word(&leaf)),
        transaction: Some(TRANSACTION),
    }
}

pub(crate) fn about(kind: ExportKind) -> About {
    About {
        kind,
        scope: deployment(),
        patient: patient(),
        from: at(0),
        until: at(1000),
        purposes: Purposes::Required,
        suspended_until: None,
    }
}

pub(crate) fn document(kind: ExportKind, accesses: &[Access]) -> Document {
    Document::new(about(kind), accesses.iter().map(Access::entry)).expect("few")
}
