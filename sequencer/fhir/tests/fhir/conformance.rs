//! What FHIR R4 requires of a CapabilityStatement, of those elements that servers here have: what
//! has to be there, what is a list, the codes of required bindings, and the invariants.

use serde_json::Value;

use Form::{Code, Flag, Object, Text};

/// An element of a type.
struct Element {
    name: &'static str,
    /// Whether it has to be there.
    is_needed: bool,
    is_list: bool,
    form: Form,
}

/// What stands in an element.
enum Form {
    Text,
    Flag,
    Code(&'static [&'static str]),
    Object(&'static [Element]),
}

const fn one(name: &'static str, form: Form) -> Element {
    Element { name, is_needed: true, is_list: false, form }
}

const fn maybe(name: &'static str, form: Form) -> Element {
    Element { name, is_needed: false, is_list: false, form }
}

const fn several(name: &'static str, form: Form) -> Element {
    Element { name, is_needed: false, is_list: true, form }
}

const STATEMENT: &[Element] = &[
    one("resourceType", Code(&["CapabilityStatement"])),
    one("status", Code(&["draft", "active", "retired", "unknown"])),
    one("date", Text),
    one("kind", Code(&["instance", "capability", "requirements"])),
    maybe("software", Object(&[one("name", Text), maybe("version", Text)])),
    maybe("implementation", Object(&[one("description", Text), maybe("url", Text)])),
    one("fhirVersion", Code(&["4.0.1"])),
    Element { is_needed: true, ..several("format", Code(&["json", "xml"])) },
    several("rest", Object(REST)),
];

const REST: &[Element] = &[
    one("mode", Code(&["client", "server"])),
    maybe("documentation", Text),
    maybe("security", Object(SECURITY)),
    several("resource", Object(RESOURCE)),
    several("interaction", Object(&[one("code", Code(&["transaction", "batch"]))])),
];

const SECURITY: &[Element] =
    &[several("service", Object(CONCEPT)), maybe("description", Text), maybe("cors", Flag)];

const CONCEPT: &[Element] =
    &[several("coding", Object(&[maybe("system", Text), maybe("code", Text)]))];

const RESOURCE: &[Element] = &[
    one("type", Text),
    maybe("profile", Text),
    several("supportedProfile", Text),
    maybe("documentation", Text),
    several(
        "interaction",
        Object(&[one("code", Code(INTERACTIONS)), maybe("documentation", Text)]),
    ),
    maybe("versioning", Code(&["no-version", "versioned", "versioned-update"])),
    maybe("conditionalCreate", Flag),
    several("searchParam", Object(PARAMETER)),
];

const INTERACTIONS: &[&str] = &["read", "create", "update", "delete", "search-type"];

const PARAMETER: &[Element] = &[
    one("name", Text),
    one("type", Code(&["number", "date", "string", "token", "reference", "uri", "special"])),
    maybe("documentation", Text),
];

/// Everything that is wrong with a statement, each with its element.
pub(crate) fn faults(statement: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(statement, "CapabilityStatement", STATEMENT, &mut faults);
    let mut holds = |is_so: bool, rule: &str| {
        if !is_so {
            faults.push(rule.to_owned());
        }
    };
    let is_instance = statement["kind"] == "instance";
    holds(statement["rest"].is_array(), "cpb-1: a REST, messaging or document element");
    holds(!is_instance || statement["implementation"].is_object(), "cpb-14: an implementation");
    for rest in statement["rest"].as_array().into_iter().flatten() {
        let named = |list: &Value, name: &str| -> Vec<String> {
            let all = list.as_array().into_iter().flatten();
            all.map(|one| one[name].to_string()).collect()
        };
        let types = named(&rest["resource"], "type");
        holds(is_distinct(&types), "cpb-9: a resource type once");
        for resource in rest["resource"].as_array().into_iter().flatten() {
            let names = named(&resource["searchParam"], "name");
            holds(is_distinct(&names), "cpb-12: a search parameter once");
        }
    }
    faults
}

fn is_distinct(names: &[String]) -> bool {
    names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1)
}

fn check(value: &Value, at: &str, elements: &[Element], faults: &mut Vec<String>) {
    let Some(object) = value.as_object() else {
        return faults.push(format!("{at}: expected an object"));
    };
    for name in object.keys() {
        if !elements.iter().any(|element| element.name == *name) {
            faults.push(format!("{at}.{name}: expected an element of these tables"));
        }
    }
    for Element { name, is_needed, is_list, form } in elements {
        let at = format!("{at}.{name}");
        let Some(found) = object.get(*name) else {
            if *is_needed {
                faults.push(format!("{at}: expected, found none"));
            }
            continue;
        };
        let alone = std::slice::from_ref(found);
        let all = if *is_list { found.as_array().map(Vec::as_slice) } else { Some(alone) };
        // An empty list is none in FHIR, and may not stand there.
        let Some(all) = all.filter(|all| !all.is_empty()) else {
            faults.push(format!("{at}: expected a list with something in it"));
            continue;
        };
        for one in all {
            let is_good = match form {
                Text => one.as_str().is_some_and(|text| !text.is_empty()),
                Flag => one.is_boolean(),
                Code(codes) => one.as_str().is_some_and(|code| codes.contains(&code)),
                Object(below) => {
                    check(one, &at, below, faults);
                    true
                }
            };
            if !is_good {
                faults.push(format!("{at}: expected another value, found {one}"));
            }
        }
    }
}
