//! One patient's part of a batch, with what was proven of it.

use std::fmt::Write as _;

use model::calendar::Utc;
use model::{Action, Claim, ClaimKind, Labels, Millis};
use serde::Serialize;
use statement::batch::PatientOpening;
use statement::c2::covers;
use statement::operation::SignedOperation;

use crate::broken::{Broken, Fault, Item};
use crate::check::{self, NamedOpening, SoundBatch};
use crate::followed::Followed;
use crate::place::Place;
use crate::report::{Colour, red};

/// A claim as its patient reads it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OpenedClaim {
    /// `collect`, `access` or `break-glass`.
    pub kind: &'static str,
    /// Whether it was proven that a rule covers it and no deny does.
    pub covered: bool,
    /// The rule that covers it, or why none does.
    pub reason: String,
    /// When it happened, from and until.
    pub receipt: [String; 2],
    /// When the data was measured, from and until.
    pub measured: [String; 2],
    /// Names of the categories.
    pub categories: Vec<&'static str>,
    /// Name of the purpose.
    pub purpose: &'static str,
    /// Names of the labels.
    pub labels: Vec<&'static str>,
    /// Why it was asked for, as signed; none of a collection or where the request is withheld.
    pub asked_because: Option<String>,
    /// Word of the practitioner or device.
    pub individual: String,
    /// Word of the organisation.
    pub organisation: String,
    /// Word of the source.
    pub source: String,
    /// Journal position.
    pub position: u64,
    /// Digest of the segment or request.
    pub digest: String,
    /// Chunk and leaf where it is committed.
    pub place: [u32; 2],
}

/// An operation as its patient reads it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OpenedOperation {
    /// What it did.
    pub action: String,
    /// When it took effect.
    pub at: String,
    /// Chunk and row where it is committed.
    pub place: [u32; 2],
}

/// What one patient opened; JSON schema `vitals-opening-1`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Opening {
    /// Always `vitals-opening-1`.
    pub schema: &'static str,
    /// What tells the deployment from every other.
    pub fingerprint: String,
    /// Which batch.
    pub batch: u64,
    /// The batch's window, from and until.
    pub window: [String; 2],
    /// Whether the proofs are worth nothing, because anybody can make them.
    pub dev_insecure: bool,
    /// By position.
    pub claims: Vec<OpenedClaim>,
    /// By time.
    pub operations: Vec<OpenedOperation>,
}

/// Checks the batch of an opening, then the opening, and shows it.
///
/// # Errors
/// [`Fault`] if something of chain, file or opening is broken or missing.
pub async fn open(place: Place<'_>, named: &NamedOpening) -> Result<Opening, Fault> {
    let NamedOpening { name, opening } = named;
    let followed = Followed::read(place).await?;
    let context = &followed.context;
    let Some(settled) = followed.batch(opening.batch.0) else {
        let item = Item::Opening { file: name.to_owned(), part: "batch" };
        let expected = format!("a settled batch, 1 to {}", followed.history.state.number);
        return Err(Broken::outside(item, expected, opening.batch.0.to_string()).into());
    };
    let header = &settled.batch.header;
    let file = &followed.public_file(header).await?;
    check::opening(SoundBatch { context, header, file }, named)?;
    Ok(Opening {
        schema: "vitals-opening-1",
        fingerprint: context.fingerprint.to_string(),
        batch: header.number.0,
        window: [header.window.t0(), header.window.t1()].map(utc),
        dev_insecure: context.dev_insecure,
        claims: opening.claims.iter().map(|opened| show_claim(opening, opened)).collect(),
        operations: opening.operations.iter().map(show_operation).collect(),
    })
}

fn show_claim(opening: &PatientOpening, opened: &statement::batch::ClaimOpening) -> OpenedClaim {
    let claim: &Claim = &opened.claim;
    // Agrees with `covered`: the opening was checked, and that compares the two.
    let reason = match covers(Some(&opening.record), claim) {
        Ok(slot) => format!("{slot:?}"),
        Err(refusal) => format!("{} ({})", refusal.sentence(), refusal.rule()),
    };
    let categories = model::Category::ALL.iter();
    let categories = categories.filter(|c| claim.categories.contains(c.only())).map(|c| c.name());
    OpenedClaim {
        kind: claim.kind.name(),
        covered: opened.covered,
        reason,
        receipt: [claim.receipt.from, claim.receipt.until].map(utc),
        measured: [claim.measured.from, claim.measured.until].map(utc),
        categories: categories.collect(),
        purpose: claim.purpose.name(),
        labels: name_labels(claim.labels),
        individual: claim.individual.to_hex(),
        organisation: claim.organisation.to_hex(),
        source: claim.source.word().to_hex(),
        position: claim.position.0,
        digest: hex::encode(claim.digest.0),
        asked_because: reason_of(opened),
        place: [opened.chunk, opened.leaf],
    }
}

/// The opening was checked: a request that is there is the one that the claim names.
fn reason_of(opened: &statement::batch::ClaimOpening) -> Option<String> {
    let signed = wire::SignedAccessRequest::from_bytes(&opened.request).ok()?;
    Some(signed.request().reason().as_str().to_owned())
}

fn name_labels(labels: Labels) -> Vec<&'static str> {
    let all = model::Label::ALL.iter();
    all.filter(|label| labels.contains(label.only())).map(|label| label.name()).collect()
}

/// RFC 3339, or the name of an end of time.
fn utc(time: Millis) -> String {
    Utc(time).to_string()
}

fn show_operation(opened: &statement::batch::OperationOpening) -> OpenedOperation {
    // The opening was checked before it is shown, so its operations decode.
    let action = match SignedOperation::from_bytes(&opened.signed).map(|s| s.operation.action) {
        Ok(Action::Enrol { .. }) => "enrol".to_owned(),
        Ok(Action::Write { slot, .. }) => format!("write {slot:?}"),
        Ok(Action::Revoke { slot, .. }) => format!("revoke {slot:?}"),
        Ok(Action::Stop) => "stop".to_owned(),
        Err(error) => error.to_string(),
    };
    OpenedOperation { action, at: utc(opened.t_op), place: [opened.chunk, opened.row] }
}

/// Why it was asked for, in the words that were signed: foreign ones.
fn reason_line(claim: &OpenedClaim) -> Option<String> {
    let is_collection = claim.kind == ClaimKind::Collect.name();
    match claim.asked_because.as_deref() {
        // Nobody asks for a collection.
        None if is_collection => None,
        None => Some("reason unknown: the operator withholds the signed request".to_owned()),
        Some("") => Some("no reason given".to_owned()),
        Some(reason) => Some(format!("reason \"{}\"", model::escape(reason))),
    }
}

impl Opening {
    /// A few lines a claim.
    pub fn text(&self, colour: Colour) -> String {
        let [from, until] = &self.window;
        let (batch, fingerprint) = (self.batch, &self.fingerprint);
        let mut out =
            format!("deployment {fingerprint}\nbatch {batch}, {from} until {until}: holds\n");
        // Writing to a string cannot fail.
        for operation in &self.operations {
            let _ = writeln!(out, "{}  {}, signed and proven", operation.at, operation.action);
        }
        for claim in &self.claims {
            let OpenedClaim { kind, reason, purpose, individual, organisation, .. } = claim;
            let proven = match claim.covered {
                true => format!("proven covered by {reason}, no deny applies"),
                false => red(colour, &format!("excluded: {reason}")),
            };
            let _ = writeln!(out, "{}  {kind} for {purpose}: {proven}", claim.receipt[0]);
            let _ = writeln!(out, "  categories {}", claim.categories.join(", "));
            let _ = writeln!(out, "  measured {} until {}", claim.measured[0], claim.measured[1]);
            let _ = writeln!(out, "  by {individual} of {organisation} (declared)");
            let _ = writeln!(out, "  digest {}", claim.digest);
            if let Some(line) = reason_line(claim) {
                let _ = writeln!(out, "  {line}");
            }
        }
        if self.dev_insecure {
            let loud = "DEV-INSECURE KEYS: ANYBODY CAN FORGE THESE PROOFS";
            let _ = writeln!(out, "{}", red(colour, loud));
        }
        out
    }
}
