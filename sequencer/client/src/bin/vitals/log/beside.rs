//! What stands beside the proven part of a log: what was refused, and what systems asked about.

use client::party::{Names, actor};
use model::calendar::Utc;
use model::{Category, Claim, ClaimKind, Party, Word};
use serde_json::{Value, json};
use statement::batch::{RefusedAccess, Requester};

/// One of them, for people and for programs.
pub(super) struct Told {
    pub(super) line: String,
    pub(super) entry: Value,
}

pub(super) fn describe(batch: u64, one: &RefusedAccess, names: &Names) -> Told {
    match &one.requester {
        Requester::Practitioner(_) => refused(batch, one, "practitioner", "was refused"),
        Requester::Gateway(_) => refused(batch, one, "gateway", "sent readings that were refused"),
        Requester::System { claim, .. } => question(batch, one, claim, names),
    }
}

fn refused(batch: u64, one: &RefusedAccess, kind: &str, verb: &str) -> Told {
    let RefusedAccess { position, time, requester, uncovered, count, digest } = one;
    let (at, times, name) = (Utc(*time), times(*count), requester.name());
    // What was refused always lacks something; the file was refused otherwise.
    let why = uncovered.map_or("", |why| why.sentence());
    let rule = uncovered.map_or_else(String::new, |why| why.rule().to_string());
    let line = format!("{at}  batch {batch}  {kind} {name} {verb}{times}: {why} ({rule})");
    let entry = json!({
        "batch": batch, "time": at.to_string(), kind: name,
        "why": why, "rule": rule, "count": count, "position": position.0,
        "digest": hex::encode(digest.0),
    });
    Told { line, entry }
}

/// A question of a system: whom it was about is a name if the wallet knows it.
fn question(batch: u64, one: &RefusedAccess, claim: &Claim, names: &Names) -> Told {
    let RefusedAccess { position, time, requester, uncovered, count, digest } = one;
    let (at, name) = (Utc(*time), requester.name());
    // Nobody but the asking organisation has its name beside its word.
    let of = match actor(&format!("organisation:{name}")) {
        Ok(own) if own == Party::Named(claim.organisation) => format!("organisation {name}"),
        _ => names.of(&Party::Named(claim.organisation)),
    };
    let who = match claim.individual {
        Word::NOBODY => "anybody".to_owned(),
        individual => names.of(&Party::Named(individual)),
    };
    let verb = match claim.kind {
        ClaimKind::Access => "read",
        ClaimKind::Collect => "collect",
        ClaimKind::BreakGlass => "break the glass and read",
    };
    let categories = Category::ALL.iter().filter(|one| claim.categories.contains(one.only()));
    let categories: Vec<_> = categories.map(|one| one.name()).collect();
    let (what, purpose) = (categories.join(", "), claim.purpose.name());
    // Questions beyond those that are listed are counted with the last one, and may be others.
    let more = match count.saturating_sub(1) {
        0 => String::new(),
        more => format!("; and {more} more questions that are not listed"),
    };
    let told = match uncovered {
        None => "yes".to_owned(),
        Some(why) => format!("no, {} ({})", why.sentence(), why.rule()),
    };
    let line = format!(
        "{at}  batch {batch}  organisation {name} asked whether {who} of {of} may {verb} \
         {what} for {purpose}: it was told {told}{more}"
    );
    let entry = json!({
        "batch": batch, "time": at.to_string(), "kind": "query", "organisation": name, "who": who,
        "of": of, "act": claim.kind.name(), "categories": categories, "purpose": purpose,
        "permitted": uncovered.is_none(), "why": uncovered.map(|why| why.sentence()),
        "rule": uncovered.map(|why| why.rule().to_string()), "count": count,
        "position": position.0, "digest": hex::encode(digest.0),
    });
    Told { line, entry }
}

fn times(count: u32) -> String {
    if count == 1 { String::new() } else { format!(", {count} times") }
}

#[cfg(test)]
mod tests {
    use model::{
        ClaimKind, Digest, Interval, Label, Millis, OrganisationId, PatientIndex, Position,
        Purpose, Uncovered,
    };

    use super::*;

    fn asked(uncovered: Option<Uncovered>, count: u32) -> RefusedAccess {
        let doctor = actor("practitioner:dr-001").unwrap().word();
        let at = Millis::from_unix_ms(1_777_624_200_000);
        let claim = Claim {
            patient: PatientIndex::new(7).unwrap(),
            kind: ClaimKind::Access,
            individual: doctor,
            organisation: actor("organisation:ward-3").unwrap().word(),
            care_team: Word::ZERO,
            source: Party::Any,
            categories: Category::Ecg.only(),
            purpose: Purpose::Treatment,
            labels: Label::Normal.only(),
            receipt: Interval::instant(at),
            measured: Interval::ALWAYS,
            position: Position(9),
            digest: Digest([1; 31]),
        };
        let organisation = OrganisationId::new("st-anne").unwrap();
        let requester = Requester::System { organisation, claim: Box::new(claim) };
        let (position, digest) = (Position(9), Digest([1; 31]));
        RefusedAccess { position, time: at, digest, requester, uncovered, count }
    }

    #[test]
    fn a_question_says_who_asked_whom_about_and_what_it_was_told() {
        let mut names = Names::default();
        for name in ["practitioner:dr-001", "organisation:ward-3"] {
            names.learn(name, &actor(name).unwrap());
        }
        let yes = describe(4, &asked(None, 1), &names);
        assert!(
            yes.line.ends_with(
                "batch 4  organisation st-anne asked whether practitioner dr-001 of organisation \
                 ward-3 may read ecg for treatment: it was told yes"
            ),
            "{}",
            yes.line
        );
        assert_eq!(yes.entry["permitted"], true);
        let no = describe(4, &asked(Some(Uncovered::PurposeNotCovered), 3), &names);
        assert!(
            no.line.ends_with(
                "told no, the rule does not cover this purpose (C2.9); and 2 more questions that \
                 are not listed"
            ),
            "{}",
            no.line
        );
        assert_eq!(no.entry["rule"], "C2.9");
        // The asking organisation needs no name of the wallet's.
        let mut anybody = asked(None, 1);
        if let Requester::System { claim, .. } = &mut anybody.requester {
            claim.individual = Word::NOBODY;
            claim.organisation = actor("organisation:st-anne").unwrap().word();
        }
        let told = describe(4, &anybody, &names);
        assert!(
            told.line.contains("asked whether anybody of organisation st-anne may read ecg"),
            "{}",
            told.line
        );
    }
}
