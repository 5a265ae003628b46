//! What a document calls people, devices and purposes, and what this system does: said by whoever
//! imports, since no document knows it and nothing is guessed.

use std::collections::BTreeMap;

use model::{Label, Purpose};
use serde::Deserialize;
use thiserror::Error;

use crate::stated::Party;

/// Largest text of names, bytes: some 10,000 lines.
const NAMES_BYTES_MAX: usize = 1 << 20;

/// The names.
///
/// ```
/// let names = pcf::Names::parse(r#"
///     [patients]
///     "Patient/ex-patient" = 7
///     [actors]
///     "Practitioner/ex-practitioner" = "practitioner:dr-001"
///     "urn:oid:2.16.840.1|4711" = "organisation:st-anne"     # system|value of an identifier
///     [purposes]
///     "http://example.org/policies/purposeOfUse|FooBar" = "research"
///     [labels]
///     "http://terminology.hl7.org/CodeSystem/v3-ActCode|ETHUD" = "substance-use"
///     [document]
///     organization = "Organization/ex-organization"
///     policy = "https://hospital.example/policies/consent-2026"
/// "#)?;
/// # assert_ne!(names, pcf::Names::default());
/// # Ok::<(), pcf::NamesError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    pub(crate) patients: BTreeMap<String, u32>,
    pub(crate) actors: BTreeMap<String, Party>,
    pub(crate) purposes: BTreeMap<String, Purpose>,
    pub(crate) labels: BTreeMap<String, Label>,
    pub(crate) organization: Option<String>,
    pub(crate) policy: Option<String>,
}

/// A text that holds no names.
#[derive(Debug, Error)]
pub enum NamesError {
    /// Too large.
    #[error("expected at most {NAMES_BYTES_MAX} bytes of names, found {found}")]
    Size {
        /// The size found.
        found: usize,
    },
    /// No TOML of this form. Without the parser's words: they show the line, and whom it names.
    #[error(
        "line {line}: expected TOML with [patients], [actors], [purposes], [labels] and \
         [document], found something else"
    )]
    Form {
        /// Which line, from 1.
        line: usize,
    },
    /// A value that names nothing.
    #[error("expected {expected} in [{table}], found something else")]
    Value {
        /// In which table.
        table: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// Two codes for one purpose or label.
    #[error(
        "expected one code a {table}, found two that are written as one: which of them an export \
         should say is not known"
    )]
    Twice {
        /// Purpose or label.
        table: &'static str,
    },
}

impl Names {
    /// Reads TOML.
    ///
    /// # Errors
    /// [`NamesError`] that says which table is wrong; it holds none of its names.
    pub fn parse(text: &str) -> Result<Names, NamesError> {
        if text.len() > NAMES_BYTES_MAX {
            return Err(NamesError::Size { found: text.len() });
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            NamesError::Form { line: before.split('\n').count() }
        })?;
        let actors = file.actors.into_iter();
        let actors = actors.map(|(reference, name)| Some((reference, Party::parse(&name)?)));
        let purposes = file.purposes.into_iter();
        let purposes = purposes.map(|(code, name)| Some((code, Purpose::from_name(&name).ok()?)));
        let labels = file.labels.into_iter();
        let labels = labels.map(|(code, name)| Some((code, Label::from_name(&name).ok()?)));
        let wrong = |table, expected| move || NamesError::Value { table, expected };
        let form = "organisation:NAME, practitioner:NAME, care-team:NAME or device:NAME";
        let names = Names {
            patients: file.patients,
            actors: actors.collect::<Option<_>>().ok_or_else(wrong("actors", form))?,
            purposes: purposes.collect::<Option<_>>().ok_or_else(wrong("purposes", "a purpose"))?,
            labels: labels.collect::<Option<_>>().ok_or_else(wrong("labels", "a label"))?,
            organization: file.document.organization,
            policy: file.document.policy,
        };
        check_once(names.purposes.values(), "purpose")?;
        check_once(names.labels.values(), "label")?;
        Ok(names)
    }

    /// Names for a document of one patient: what it calls them and everybody whom its rules name,
    /// each as a reference or as `system|value`, and the organisation and policy that PCF asks for.
    pub fn of_document(
        patient: (u32, String),
        actors: impl IntoIterator<Item = (String, Party)>,
        [organization, policy]: [String; 2],
    ) -> Names {
        Names {
            patients: BTreeMap::from([(patient.1, patient.0)]),
            actors: actors.into_iter().collect(),
            organization: Some(organization),
            policy: Some(policy),
            ..Names::default()
        }
    }

    /// What an export calls a party: the reference of the names, if it has one.
    pub(crate) fn reference(&self, party: &Party) -> Option<&str> {
        // Several references may be of one person; the first by their order, so that one record
        // always makes one document.
        let found = self.actors.iter().find(|(_, known)| *known == party);
        found.map(|(reference, _)| reference.as_str())
    }

    /// What an export calls a patient.
    pub(crate) fn patient(&self, index: u32) -> Option<&str> {
        let found = self.patients.iter().find(|(_, known)| **known == index);
        found.map(|(reference, _)| reference.as_str())
    }

    /// The code of a hospital's own for a purpose: `system|code`.
    pub(crate) fn purpose_code(&self, purpose: Purpose) -> Option<&str> {
        let found = self.purposes.iter().find(|(_, known)| **known == purpose);
        found.map(|(code, _)| code.as_str())
    }

    /// The code of a hospital's own for a label: `system|code`.
    pub(crate) fn label_code(&self, label: Label) -> Option<&str> {
        let found = self.labels.iter().find(|(_, known)| **known == label);
        found.map(|(code, _)| code.as_str())
    }
}

/// A map that went one way only would not lead back from a record to its document.
fn check_once<'a, T: Ord + 'a>(
    values: impl Iterator<Item = &'a T>,
    table: &'static str,
) -> Result<(), NamesError> {
    let mut values: Vec<_> = values.collect();
    values.sort();
    if values.windows(2).any(|two| two[0] == two[1]) {
        return Err(NamesError::Twice { table });
    }
    Ok(())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    patients: BTreeMap<String, u32>,
    actors: BTreeMap<String, String>,
    purposes: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    document: DocumentTable,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct DocumentTable {
    organization: Option<String>,
    policy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_none_is_numbered_and_not_shown() {
        for (text, line) in [
            ("[patients]\n\"Patient/anna\" = \"seven\"\n", 2),
            ("[patients]\n\n\"Patient/anna\" =\n", 3),
            ("anna = 7\n", 1),
        ] {
            let error = Names::parse(text).expect_err(text);
            assert!(matches!(error, NamesError::Form { line: found } if found == line), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("anna") && !shown.contains("seven"), "{shown}");
        }
    }
}
