//! A document in words, as it stands there: of a Consent that leaves open what it means, the words
//! leave it open as well.

use crate::element::{Element, NotJson};
use crate::finding::Findings;
use crate::read::document;

/// Longest text of the document's own that is shown, characters.
const SHOWN_MAX: usize = 64;
/// Most lines.
const LINES_MAX: usize = 200;

/// One line for each provision, in order, from the root.
///
/// # Errors
/// [`NotJson`] for bytes that are no Consent.
pub fn in_words(bytes: &[u8]) -> Result<Vec<String>, NotJson> {
    let value = document(bytes)?;
    let document = Element::root(&value).ok_or(NotJson::Resource)?;
    let mut unread = Findings::default();
    let mut lines = Vec::new();
    if let Some(decision) = document.text("decision", &mut unread) {
        lines.push(format!("decision: {}", short(decision)));
    }
    if let Some(rule) = document.object("policyRule", &mut unread) {
        lines.push(format!("policyRule: {}", codes(&rule.list("coding", &mut unread))));
    }
    // One object in R4, a list in R5.
    let mut waiting = match document.object("provision", &mut unread) {
        Some(root) => vec![root],
        None => document.list("provision", &mut unread),
    };
    waiting.reverse();
    while let Some(one) = waiting.pop().filter(|_| lines.len() < LINES_MAX) {
        lines.push(format!("{}: {}", one.path, says(&one)));
        let mut below = one.list("provision", &mut unread);
        below.reverse();
        waiting.extend(below);
    }
    Ok(lines)
}

fn says(of: &Element<'_>) -> String {
    let mut unread = Findings::default();
    let mut parts = vec![match of.text("type", &mut unread) {
        Some("permit") => "permits".to_owned(),
        Some("deny") => "forbids".to_owned(),
        Some(_) => "says neither permit nor deny".to_owned(),
        None => "does not say whether it permits or forbids".to_owned(),
    }];
    for (name, called) in [("period", "held"), ("dataPeriod", "of data of the time")] {
        if let Some(period) = of.object(name, &mut unread) {
            let end = |name, open: &str, unread: &mut Findings| {
                period.text(name, unread).map_or_else(|| open.to_owned(), short)
            };
            let from = end("start", "the beginning", &mut unread);
            let until = end("end", "for ever", &mut unread);
            parts.push(format!("{called} from {from} to {until}"));
        }
    }
    for (name, called) in [
        ("purpose", "purpose"),
        ("securityLabel", "label"),
        ("class", "class"),
        ("resourceType", "type of resource"),
    ] {
        let codings = of.list(name, &mut unread);
        if !codings.is_empty() {
            parts.push(format!("{called} {}", codes(&codings)));
        }
    }
    for (name, called) in [("action", "action"), ("code", "code")] {
        for concept in of.list(name, &mut unread) {
            let codings = concept.list("coding", &mut unread);
            parts.push(format!("{called} {}", codes(&codings)));
        }
    }
    for actor in of.list("actor", &mut unread) {
        let role = actor.object("role", &mut unread);
        let role = role.map(|role| codes(&role.list("coding", &mut unread)));
        let who = referenced(&actor);
        parts.push(format!("actor {who} as {}", role.as_deref().unwrap_or("nothing named")));
    }
    for data in of.list("data", &mut unread) {
        let meaning = data.text("meaning", &mut unread).map_or_else(String::new, short);
        parts.push(format!("data {meaning} {}", referenced(&data)));
    }
    parts.join(", ")
}

fn referenced(of: &Element<'_>) -> String {
    let mut unread = Findings::default();
    let reference = of.object("reference", &mut unread);
    let text = reference.and_then(|reference| reference.text("reference", &mut unread));
    text.map_or_else(|| "by an identifier".to_owned(), short)
}

fn codes(codings: &[Element<'_>]) -> String {
    let mut unread = Findings::default();
    let codes = codings.iter().filter_map(|coding| coding.text("code", &mut unread));
    codes.map(short).collect::<Vec<_>>().join(" and ")
}

/// Text of the document's own: it must not begin a line that reads as somebody else's.
fn short(text: &str) -> String {
    model::escape(&text.chars().take(SHOWN_MAX).collect::<String>())
}
