//! A second reading: the document as a tree, asked directly. It shares no line with the crate, and
//! knows claims by FHIR's words alone.

use serde_json::Value;

/// Somebody who wants to read something, in the words of the document.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// A reference.
    pub(crate) actor: &'static str,
    pub(crate) purpose: &'static str,
    pub(crate) label: &'static str,
    /// As `2022-06-15T12:00:00Z`: such texts compare as their times do.
    pub(crate) at: &'static str,
    pub(crate) measured: &'static str,
    /// A reference to the author.
    pub(crate) author: &'static str,
}

/// Whether the document permits it.
pub(crate) fn permits(document: &Value, asked: &Asked) -> bool {
    let root = &document["provision"];
    let below = root["provision"].as_array().cloned().unwrap_or_default();
    let of = |kind: &'static str| below.iter().filter(move |one| one["type"] == kind);
    // An exception that forbids outweighs one that permits; an exception outweighs the root.
    if of("deny").any(|one| meets(one, &Value::Null, asked, true)) {
        return false;
    }
    if of("permit").any(|one| meets(one, root, asked, false)) {
        return true;
    }
    root["type"] == "permit" && meets(root, &Value::Null, asked, false)
}

/// Whether a provision is about what is asked, by its own elements, else by those of the one above.
fn meets(one: &Value, above: &Value, asked: &Asked, denies: bool) -> bool {
    let element = |name: &str| match one.get(name) {
        Some(own) => own.clone(),
        None => above.get(name).cloned().unwrap_or(Value::Null),
    };
    let is_in = |list: Value, found: &dyn Fn(&Value) -> bool| {
        list.as_array().is_none_or(|list| list.iter().any(found))
    };
    let purpose = element("purpose");
    let purpose_is_met = match purpose.is_null() {
        // Glass that may be broken has to be said to be.
        true => denies || asked.purpose != "BTG",
        false => is_in(purpose, &|one| one["code"] == asked.purpose),
    };
    purpose_is_met
        && is_in(element("actor"), &|one| one["reference"]["reference"] == asked.actor)
        && is_in(element("securityLabel"), &|one| one["code"] == asked.label)
        && is_in(element("data"), &|one| one["reference"]["reference"] == asked.author)
        && is_within(&element("period"), asked.at)
        && is_within(&element("dataPeriod"), asked.measured)
}

/// By texts: a day includes what begins with it.
fn is_within(period: &Value, at: &str) -> bool {
    let start = period["start"].as_str().is_none_or(|start| &at[..start.len()] >= start);
    let end = period["end"].as_str().is_none_or(|end| &at[..end.len()] <= end);
    start && end
}
