//! Which Observations a SMART scope lets whoever holds it create: all, or vital signs alone.
//!
//! A scope may be narrowed by a query of FHIR's search ([SMART App Launch 2.2, finer-grained
//! constraints](https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html)). One query is
//! known here, in its two forms; of every other one it is not known what it leaves out, so that it
//! grants nothing.

use crate::issue::{Fault, Issue};
use crate::observation::{Coding, Observation};

/// The code of what a scope is too narrow for.
pub const SCOPE_CATEGORY: &str = "scope-category";

/// FHIR's own code system of categories.
const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/observation-category";
const VITAL_SIGNS: &str = "vital-signs";

/// What may be created, the narrowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grant {
    /// Observations with the category *vital-signs* of FHIR's own code system.
    VitalSigns,
    /// Observations with a category of that code, of whatever system: so a search without a system
    /// reads.
    AnyVitalSigns,
    /// All Observations.
    All,
}

impl Grant {
    const ALL: [Grant; 3] = [Grant::VitalSigns, Grant::AnyVitalSigns, Grant::All];

    /// What a scope for creating Observations grants, by its query.
    ///
    /// ```
    /// use fhir::Grant;
    ///
    /// assert_eq!(Grant::of_query(None), Some(Grant::All));
    /// assert_eq!(Grant::of_query(Some("category=vital-signs")), Some(Grant::AnyVitalSigns));
    /// assert_eq!(Grant::of_query(Some("category=vital-signs,laboratory")), None);
    /// ```
    pub fn of_query(query: Option<&str>) -> Option<Grant> {
        Grant::ALL.into_iter().find(|grant| grant.scope().split_once('?').map(|it| it.1) == query)
    }

    /// The scope, as a token has it.
    pub fn scope(self) -> &'static str {
        match self {
            Grant::VitalSigns => {
                "system/Observation.c?category=\
                 http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
            }
            Grant::AnyVitalSigns => "system/Observation.c?category=vital-signs",
            Grant::All => "system/Observation.c",
        }
    }

    /// Whether this may be created.
    ///
    /// # Errors
    /// [`Issue`] at its category, which names the scope.
    pub fn check(self, observation: &Observation) -> Result<(), Issue> {
        let is_granted = |category: &Coding| {
            let is_own = self == Grant::AnyVitalSigns || category.system.as_deref() == Some(SYSTEM);
            category.code == VITAL_SIGNS && is_own
        };
        if self == Grant::All || observation.categories.iter().any(is_granted) {
            return Ok(());
        }
        let expression = format!("{}.category", observation.expression);
        Err(Issue { expression, fault: Fault::Scope { granted: self.scope() } })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn observation(category: Value) -> Observation {
        let posted = json!({
            "resourceType": "Observation", "status": "final", "category": category,
            "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4" }] },
            "subject": { "reference": "Patient/7" },
            "effectiveDateTime": "2026-05-01T08:30:00Z",
            "valueQuantity": { "value": 72, "code": "/min" },
        });
        Observation::parse(posted.to_string().as_bytes()).expect("an Observation")
    }

    #[test]
    fn one_query_is_known_in_two_forms_and_every_other_one_grants_nothing() {
        let granted = |query: &str| Grant::of_query(Some(query));
        let whole = format!("category={SYSTEM}|vital-signs");
        assert_eq!(granted(&whole), Some(Grant::VitalSigns));
        assert_eq!(granted("category=vital-signs"), Some(Grant::AnyVitalSigns));
        assert_eq!(Grant::of_query(None), Some(Grant::All));
        for other in [
            "",
            "category=",
            "category=laboratory",
            "category=|vital-signs",
            "category=Vital-Signs",
            "category=vital-signs,laboratory",
            "category=vital-signs&code=8867-4",
            "category=vital-signs&category=vital-signs",
            "category:in=vital-signs",
            "category=vital%2Dsigns",
            "category=http://example.org|vital-signs",
            "code=8867-4",
        ] {
            assert_eq!(granted(other), None, "{other}");
        }
    }

    #[test]
    fn a_narrow_scope_is_for_observations_that_say_its_category() {
        let of = |system: Option<&str>, code: &str| {
            let mut coding = json!({ "code": code });
            if let Some(system) = system {
                coding["system"] = system.into();
            }
            observation(json!([{ "text": "x" }, { "coding": [{ "code": "x" }, coding] }]))
        };
        let own = of(Some(SYSTEM), "vital-signs");
        let other = of(Some("http://example.org"), "vital-signs");
        let plain = of(None, "vital-signs");
        let laboratory = of(Some(SYSTEM), "laboratory");
        let checked =
            |grant: Grant| [&own, &other, &plain, &laboratory].map(|it| grant.check(it).is_ok());
        assert_eq!(checked(Grant::VitalSigns), [true, false, false, false]);
        assert_eq!(checked(Grant::AnyVitalSigns), [true, true, true, false]);
        assert_eq!(checked(Grant::All), [true; 4]);
    }

    #[test]
    fn what_says_no_category_that_can_be_read_is_refused_by_a_narrow_scope_alone() {
        for category in [
            Value::Null,
            json!([]),
            json!("vital-signs"),
            json!({ "coding": [{ "code": "vital-signs" }] }),
            json!([{ "coding": { "code": "vital-signs" } }]),
            json!([{ "text": "vital-signs" }]),
        ] {
            let it = observation(category.clone());
            assert_eq!(Grant::All.check(&it), Ok(()), "{category}");
            let issue = Grant::AnyVitalSigns.check(&it).expect_err("no category");
            assert_eq!(issue.expression, "Observation.category");
            assert_eq!((issue.fault.status(), issue.fault.code()), (403, SCOPE_CATEGORY.into()));
            let said = issue.fault.to_string();
            assert!(said.contains("system/Observation.c?category=vital-signs"), "{said}");
        }
    }
}
