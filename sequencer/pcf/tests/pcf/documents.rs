//! The example documents, the names of what stands in them, and records of what they state.

use std::path::PathBuf;

use model::{Record, RuleSlot, Word};
use pcf::{Effect, InUtc, Names, Reading, Stated};

/// Registered names for everybody in the examples. Every code has one purpose and no purpose two
/// codes, so that what is read leads back.
pub(crate) const NAMES: &str = r#"
    [patients]
    "Patient/ex-patient" = 7
    [actors]
    "Practitioner/ex-practitioner" = "practitioner:dr-001"
    "Organization/ex-org-researcher" = "organisation:research-lab"
    "Group/ex-privilegedUsers" = "care-team:emergency"
    [purposes]
    "http://example.org/policies/purposeOfUse|FooBar" = "public-health"
    [document]
    organization = "Organization/ex-organization"
    policy = "http://example.org/policies/basePrivacyConsentPolicy.txt"
"#;

pub(crate) fn names() -> Names {
    Names::parse(NAMES).expect("names that can be read")
}

/// A file of the examples.
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Every document of a folder, by name.
pub(crate) fn examples(folder: &str) -> Vec<Example> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data").join(folder);
    let files = std::fs::read_dir(folder).expect("a folder of examples");
    let mut examples: Vec<_> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            Example { name, bytes: std::fs::read(&path).expect("a document") }
        })
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    examples
}

pub(crate) fn example(name: &str) -> Vec<u8> {
    let found = examples("ihe-pcf").into_iter().find(|one| one.name == name);
    found.expect("an example of this name").bytes
}

/// What a document states, whether or not it is refused.
pub(crate) fn reading(bytes: &[u8]) -> Reading {
    pcf::read(bytes, &names(), Some(&InUtc)).expect("a Consent")
}

/// A record with these rules and no other.
pub(crate) fn record(stated: &[Stated]) -> Record {
    let [key, view, salt] = [1, 2, 3].map(Word::from_u64);
    let mut record = Record::enrolled(key, view, salt);
    for effect in Effect::ALL {
        let rules = stated.iter().filter(|one| one.effect == effect);
        for (number, one) in rules.enumerate() {
            let slot = match effect {
                Effect::Permit => RuleSlot::Permit(number as u8),
                Effect::Deny => RuleSlot::Deny(number as u8),
                Effect::Policy => RuleSlot::Policy(number as u8),
            };
            record.rules[usize::from(slot.number())] = Some(one.rule);
        }
    }
    record
}
