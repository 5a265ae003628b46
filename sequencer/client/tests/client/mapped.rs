//! The page of everything that is mapped: each table is made of the one that the programs read by,
//! or of what they answer to each code of a standard's table, so that page and program cannot
//! differ.

use bridge::codes::{KNOWN, PRESSURE_PANELS, SYSTEMS, written};
use bridge::units::KNOWN_UNITS;
use bridge::{Cause, Fate, Map, Measurement};
use fhir::{Defaults, Observation, map_observation};
use model::{Category, Label, Millis, Purpose, RejectCode, Signal, signals};
use payloads::{OMH, SCHEMAS};
use recordings::decimal::to_decimal;
use recordings::{ZoneError, suspicion, unit};
use serde_json::json;

use crate::pinned;

const INTRODUCTION: &str = "\
# Everything that is mapped

Which code, unit, flag, purpose and label of HL7, LOINC, IEEE 11073, UCUM, Open mHealth and FHIR \
means something here without a row of [a map](../bridge/docs/map.md), and what it means. A test \
writes this page from the tables that the programs read by: \
`UPDATE=1 cargo test --release -p client mapped`.

What is not on it is left out, or refused, as the map says. A row of the map adds a code or a \
unit, or says that a known code is another signal at this hospital.
";

/// A table of the page: heading, what is to be known of it, columns and rows.
fn section<const N: usize>(
    heading: &str,
    said: &str,
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let said = if said.is_empty() { String::new() } else { format!("{said}\n\n") };
    let mut text = format!("## {heading}\n\n{said}| {} |\n", columns.join(" | "));
    text += &format!("|{}\n", " --- |".repeat(N));
    for row in rows {
        text += &format!("| {} |\n", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn codes<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    all.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

fn signals_table() -> String {
    let said = "What can be stored at all. *Step* is what a value is kept in: one that is finer is \
                refused, or rounded by `round` of the map; what is beyond the range is refused. \
                *Category* is what a patient permits or denies: it follows from the signal and is \
                never sent. *Means none* is what devices write where there is no value: it is \
                refused until `off` or `keep` of the map's `[[signal]]` says which it is, since a \
                zero may be asystole, or a cable that hangs. *Written* are the codes that a \
                patient's record has of it in FHIR: of LOINC the one that says no more than the \
                signal does, and that of MDC, by which it is stored.";
    let columns = ["signal", "written", "unit", "step", "least", "most", "category", "means none"];
    let rows = signals().iter().map(|signal| {
        let value = |number| to_decimal(number, signal.decimals);
        // A sentinel is a whole number, and stands in files as that.
        let none = suspicion::sentinels(signal).filter_map(|one| one.scaled(SAME, 0));
        let none: Vec<_> = none.map(|one| one.nearest().to_string()).collect();
        [
            code(signal.name),
            codes(written(signal).map(|one| one.code)),
            code(signal.unit),
            value(1),
            value(signal.min),
            value(signal.max),
            code(signal.category.name()),
            none.join(", "),
        ]
    });
    section("Signals", said, columns, rows)
}

const SAME: recordings::decimal::Linear = recordings::decimal::Linear::SAME;

fn systems_table() -> String {
    let said = "How HL7 v2 (OBX-3.3), FHIR (`coding.system`) and the topics of MQTT (`system`) name \
                a system of codes; a code without its system is none. Codes of any other system \
                need a row of the map.";
    let rows = SYSTEMS.iter().map(|system| [code(system.name), codes(system.called.to_vec())]);
    section("Systems of codes", said, ["system", "called"], rows)
}

fn codes_table() -> String {
    let said = "Only codes that mean no more than the signal, or a special case of it. Of MDC the \
                reference identifier stands for the code, too. Of the codes of one value that of \
                MDC says what it is: codes beside it are translations, which are coarser, and \
                refused only if they are of another category of consent. Codes that name several \
                signals without one of MDC are refused. \
                8889-8 is named a heart rate and is a pulse rate, because an oximeter counts \
                pulses. An invasive pressure, one lead of several and glucose of plasma or serum \
                have no row: they are other quantities, and the map says what they shall be.";
    let known = KNOWN
        .iter()
        .map(|one| [one.system.into(), code(one.code), one.name.into(), code(one.signal)]);
    let panels = PRESSURE_PANELS.iter().map(|one| {
        let both = "`bp-systolic` and `bp-diastolic`, where one value has both numbers (SN \
                    `^120^/^80`); else a heading, and left out";
        [one.system.into(), code(one.code), one.name.into(), both.into()]
    });
    section("Codes of measurements", said, ["system", "code", "name", "is"], known.chain(panels))
}

fn units_table() -> String {
    let said = "Of each unit the UCUM code, read by its letters (`mV` is no `MV`), and other \
                spellings, read without case and blanks, those with the micro or degree sign of \
                Unicode included; annotations of UCUM (`{beats}/min`) are \
                passed over in FHIR. `x` becomes the signal's own unit as *becomes* says: exactly, \
                no number passes through a float, and the result is rounded once to the step. \
                Glucose has 180.156 g/mol, a millimetre of mercury 133.322 Pa.";
    let mut seen = Vec::new();
    let mut rows = Vec::new();
    for signal in signals() {
        if seen.contains(&signal.unit) {
            continue;
        }
        seen.push(signal.unit);
        let of: Vec<_> = signals().iter().filter(|one| one.unit == signal.unit).collect();
        let of = codes(of.iter().map(|one| one.name));
        for row in unit::rows(signal) {
            let becomes = format!("`{}` {}", row.to_own, signal.unit);
            let names = row.names.iter().filter(|name| name.is_ascii()).copied();
            rows.push([code(row.code), codes(names), of.clone(), becomes]);
        }
    }
    section("Units", said, ["unit", "also written", "of", "becomes"], rows)
}

fn mdc_units_table() -> String {
    let said = "Codes and reference identifiers of ISO/IEEE 11073-10101, each for the unit of UCUM \
                above. A unit that the signal does not have is refused all the same.";
    let rows = KNOWN_UNITS.iter().map(|one| [code(one.code), code(one.name), code(one.ucum)]);
    section("Units of MDC", said, ["code", "identifier", "is"], rows)
}

fn open_mhealth_table() -> String {
    let said = "What `vitals mqtt` reads of data points. A field that makes another quantity of the \
                value (*unless*) stands behind the code, as `heart-rate/average`, which then needs \
                a row of the map with the system `omh`.";
    let rows = SCHEMAS.iter().flat_map(|schema| {
        schema.fields.iter().map(|field| {
            let unless = schema.qualifiers.iter().map(|one| match one.plain {
                [] => format!("`{}` is given", one.field),
                plain => format!("`{}` is none of {}", one.field, plain.join(", ")),
            });
            [
                code(&format!("{OMH}:{}", schema.name)),
                code(field.name),
                code(&field.code()),
                code(field.signal),
                unless.collect::<Vec<_>>().join("; "),
            ]
        })
    });
    section("Open mHealth", said, ["schema", "field", "code", "signal", "unless"], rows)
}

/// A map for the probes below, by which everything that is left is by the code alone.
const MAP: &str = "version = 1\n[[patient]]\nidentifier = \"p\"\npatient = 7\n\
    [[device]]\nauthority = \"MSH-3\"\nidentifier = \"m\"\ndevice = \"monitor\"\n\
    [[device]]\nidentifier = \"m\"\ndevice = \"monitor\"\n";

/// What becomes of a heart rate among the readings.
fn became(readings: &[Measurement]) -> &'static str {
    let rate = readings.iter().find(|one| one.signal.name == "heart-rate");
    match rate.map(|one| one.value) {
        Some(Some(_)) => "taken",
        Some(None) => "a reading without a value, or as `missing` of the map says",
        None => "left out, with a warning",
    }
}

/// Of a message with a good saturation beside a heart rate of these flags and this status.
fn hl7_observation(flags: &str, status: &str) -> &'static str {
    let message = format!(
        "MSH|^~\\&|m||||20260501||ORU^R01|1|P|2.6\rPID|||p\r\
         OBX|1|NM|8867-4^^LN||72|/min||{flags}|||{status}|||202605010830+0000\r\
         OBX|2|NM|59408-5^^LN||97|%|||||F|||202605010830+0000\r"
    );
    let (map, header) = (Map::parse(MAP).unwrap(), hl7::Header::read(message.as_bytes()));
    match hl7::read(message.as_bytes(), &header, &map) {
        Ok(report) => became(&report.readings),
        Err(_) => "the message is refused (AR)",
    }
}

fn fhir_observation(status: &str, absent: Option<&str>) -> String {
    let mut posted = json!({
        "resourceType": "Observation", "status": status,
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": "p"}, "device": {"reference": "m"},
        "effectiveDateTime": "2026-05-01T08:30:00Z",
    });
    match absent {
        None => posted["valueQuantity"] = json!({"value": 72, "code": "/min"}),
        Some(reason) => posted["dataAbsentReason"] = json!({"coding": [{"code": reason}]}),
    }
    let map = Map::parse(MAP).unwrap();
    let mapped = Observation::parse(posted.to_string().as_bytes())
        .and_then(|read| map_observation(&read, &map, &Defaults::default()));
    match mapped {
        Ok(mapped) if mapped.measurements.is_empty() => "nothing is stored".to_owned(),
        Ok(mapped) => became(&mapped.measurements).to_owned(),
        Err(issue) => format!("refused (`{}`)", issue.fault.code()),
    }
}

/// HL7 table 0085, with its meanings.
const STATUSES: &[[&str; 2]] = &[
    ["F", "final"],
    ["R", "not verified"],
    ["X", "cannot be obtained"],
    ["P", "preliminary"],
    ["S", "partial"],
    ["I", "pending"],
    ["O", "order detail"],
    ["N", "not asked"],
    ["U", "status changed to final"],
    ["B", "appended"],
    ["V", "verified later"],
    ["C", "correction"],
    ["D", "deleted"],
    ["W", "wrong"],
];

/// The flags of a measurement that IHE PCD-01 has in OBX-8.
const FLAGS: &[[&str; 2]] = &[
    ["", "none"],
    ["INV", "invalid"],
    ["NAV", "not available"],
    ["QUES", "questionable"],
    ["CAL", "calibration under way"],
    ["TEST", "test data"],
    ["DEMO", "demonstration data"],
    ["EARLY", "early estimate"],
    ["H", "above the normal range"],
    ["LL", "below the lower panic limit"],
];

/// `Observation.status` of FHIR R4.
const FHIR_STATUSES: &[&str] = &[
    "final",
    "preliminary",
    "registered",
    "amended",
    "corrected",
    "cancelled",
    "entered-in-error",
    "unknown",
];

/// `dataAbsentReason` of FHIR R4.
const ABSENT: &[&str] = &[
    "unknown",
    "asked-unknown",
    "temp-unknown",
    "not-asked",
    "asked-declined",
    "masked",
    "not-applicable",
    "unsupported",
    "as-text",
    "error",
    "not-a-number",
    "negative-infinity",
    "positive-infinity",
    "not-performed",
    "not-permitted",
];

fn conditions() -> String {
    let said = "What is stored is never taken back or replaced, so whatever corrects something that \
                was sent before is refused, and whatever will be said again is left out until it is.";
    let name = |text: &str| if text.is_empty() { "(empty)".to_owned() } else { code(text) };
    let statuses = STATUSES.iter().map(|[status, means]| {
        ["OBX-11".into(), name(status), (*means).into(), hl7_observation("", status).into()]
    });
    let flags = FLAGS.iter().map(|[flag, means]| {
        ["OBX-8".into(), name(flag), (*means).into(), hl7_observation(flag, "F").into()]
    });
    let fhir = FHIR_STATUSES.iter().map(|status| {
        let becomes = fhir_observation(status, None);
        ["`Observation.status`".into(), name(status), String::new(), becomes]
    });
    let absent = ABSENT.iter().map(|reason| {
        let becomes = fhir_observation("final", Some(reason));
        ["`dataAbsentReason`".into(), name(reason), String::new(), becomes]
    });
    let rows = statuses.chain(flags).chain(fhir).chain(absent);
    section("Status, flags, absent values", said, ["element", "code", "means", "becomes"], rows)
}

fn purposes_table() -> String {
    let said = "Read in Consents and in questions about consent, written in Consents and \
                AuditEvents. Each stands for one purpose and nothing wider: a code that is broader \
                or narrower is refused, and `[purposes]` of the names adds one. To break the glass \
                is a kind of access here, counted in public, and no purpose: of a provision that \
                permits it becomes a policy for `emergency-treatment`, of one that denies it a \
                deny for every purpose.";
    let system = pcf::ACT_REASON;
    let purposes = Purpose::ALL
        .iter()
        .map(|purpose| [code(system), code(pcf::purpose_code(*purpose)), code(purpose.name())]);
    let glass = [code(system), code(pcf::BREAK_THE_GLASS), "the kind `break-glass`".into()];
    let rows = purposes.chain([glass]);
    section("Purposes", said, ["system", "code", "is"], rows)
}

fn labels_table() -> String {
    let said = "`security-label`s of a Consent. `ETHUD` and `OPIOIDUD` are narrower than \
                `substance-use` and refused, since a permit would be wider than what was signed; \
                `[labels]` of the names may say that they shall be it.";
    let rows = Label::ALL.iter().map(|label| {
        let pcf::Code { system, code: own } = pcf::label_code(*label);
        [code(system), code(own), code(label.name())]
    });
    section("Labels", said, ["system", "code", "is"], rows)
}

fn categories_table() -> String {
    let said = format!(
        "What a Consent says by a modifier extension `{}` with a `valueCode`, and what a question \
         about consent has as `category`. One without signals is reserved: a rule may name it, and \
         nothing is stored under it yet.",
        pcf::CATEGORIES_EXTENSION
    );
    let rows = Category::ALL.iter().map(|category| {
        let is_of = |signal: &&Signal| signal.category == *category;
        let own = signals().iter().filter(is_of).map(|signal| signal.name);
        [code(category.name()), codes(own)]
    });
    section("Categories of consent", &said, ["category", "signals"], rows)
}

/// The cause behind another one, so that a new one has to be given a place.
fn cause_behind(before: Option<&Cause>) -> Option<Cause> {
    let (signal, expected, own) = ("ecg", "..", signals().first());
    let next = match before {
        None => Cause::PatientMissing,
        Some(Cause::PatientMissing) => Cause::PatientUnknown,
        Some(Cause::PatientUnknown) => Cause::PatientAmbiguous,
        Some(Cause::PatientAmbiguous) => Cause::PatientsMeet { signal },
        Some(Cause::PatientsMeet { .. }) => Cause::DeviceMissing,
        Some(Cause::DeviceMissing) => Cause::DeviceUnknown,
        Some(Cause::DeviceUnknown) => Cause::CodeMissing,
        Some(Cause::CodeMissing) => Cause::CodeUnknown,
        Some(Cause::CodeUnknown) => Cause::CodeAmbiguous,
        Some(Cause::CodeAmbiguous) => Cause::CodesMeet { signal },
        Some(Cause::CodesMeet { .. }) => Cause::Repeated { signal },
        Some(Cause::Repeated { .. }) => Cause::UnitMissing { signal },
        Some(Cause::UnitMissing { .. }) => Cause::UnitUnknown { signal, expected: "..".into() },
        Some(Cause::UnitUnknown { .. }) => Cause::ValueMissing,
        Some(Cause::ValueMissing) => Cause::NotNumber,
        Some(Cause::NotNumber) => Cause::NotOne,
        Some(Cause::NotOne) => Cause::Type { expected },
        Some(Cause::Type { .. }) => Cause::Finer { signal, decimals: 0 },
        Some(Cause::Finer { .. }) => Cause::Range(own?),
        Some(Cause::Range(_)) => Cause::Sentinel { signal },
        Some(Cause::Sentinel { .. }) => Cause::TimeMissing,
        Some(Cause::TimeMissing) => Cause::TimeMalformed { expected },
        Some(Cause::TimeMalformed { .. }) => Cause::TimeAhead { seconds: 240 },
        Some(Cause::TimeAhead { .. }) => Cause::TimeFar { hours: 24 },
        Some(Cause::TimeFar { .. }) => Cause::ZoneMissing,
        Some(Cause::ZoneMissing) => {
            Cause::Zone(ZoneError::Repeated { zone: "Europe/Berlin".into() })
        }
        Some(Cause::Zone(_)) => Cause::RateMissing,
        Some(Cause::RateMissing) => Cause::Status { expected },
        Some(Cause::Status { .. }) => Cause::Unsupported { expected },
        Some(Cause::Unsupported { .. }) => Cause::Malformed { expected },
        Some(Cause::Malformed { .. }) => Cause::TooMany { what: "..", limit: 1 },
        Some(Cause::TooMany { .. }) => Cause::Nothing,
        Some(Cause::Nothing) => Cause::Reused,
        Some(Cause::Reused) => Cause::Unsure,
        Some(Cause::Unsure) => Cause::Away,
        Some(Cause::Away) => Cause::Busy,
        Some(Cause::Busy) => Cause::EpochsUsed,
        Some(Cause::EpochsUsed) => Cause::NotKept,
        Some(Cause::NotKept) => Cause::Node(RejectCode::NotPermitted),
        Some(Cause::Node(_)) => return None,
    };
    Some(next)
}

/// MSA-1 and ERR-3.1 of the answer to a message that is refused for a cause.
fn answered_by_hl7(cause: &Cause) -> [String; 2] {
    let header = hl7::Header::read(b"MSH|^~\\&|m||||20260501||ORU^R01|1|P|2.6");
    let refused = hl7::Outcome::Refused(vec![hl7::Fault::of_message(cause.clone())]);
    let own = hl7::Own { control: "1", at: Millis::new(1_777_000_000_000).unwrap() };
    let answer = &hl7::answers(&header, &refused, own)[0];
    let text = String::from_utf8(answer.bytes.clone()).unwrap();
    let fault = text.split('\r').find_map(|segment| segment.strip_prefix("ERR|||")).unwrap();
    [answer.code.to_owned(), fault.split('^').next().unwrap_or_default().to_owned()]
}

fn refusals_table() -> String {
    let said = "What a bridge says of what it does not take: in HL7 v2 MSA-1, the begin of MSA-3, \
                ERR-3 (table 0357) and ERR-5; in FHIR the status and `details.coding`. Those of a \
                message as a whole and of single elements are the same. *Again*: the same may be \
                taken later as it is. `node-9` stands for every `node-N` with a code N of [the \
                node](../../docs/codes.md#reject-codes), which says which may be sent again. What \
                stands for a name or number of the moment is `..` or an example.";
    let causes = std::iter::successors(cause_behind(None), |cause| cause_behind(Some(cause)));
    let rows = causes.map(|cause| {
        let [told, number] = answered_by_hl7(&cause);
        let again = match cause.fate() {
            Fate::Again => "yes",
            Fate::Consent => "if consent changes",
            Fate::Never => "",
        };
        let status = fhir::Fault::Map(cause.clone()).status().to_string();
        [code(&cause.code()), told, number, status, again.into(), cause.to_string()]
    });
    let columns = ["code", "MSA-1", "ERR-3", "FHIR", "again", "says"];
    section("Refusals", said, columns, rows)
}

const ELSEWHERE: &str = "\
## What has no table

* **Names** of patients, devices and beds, of any authority: [the map](../bridge/docs/map.md).
* **Names** of practitioners, organisations and care teams, and purposes and labels of a \
hospital's own: [the names of consents](consents.md#names).
* **MQTT**: topics and pointers mean what the [file of topics](mqtt.md#topics) says; its `system` \
and `code` are those above.
* **What else a sender is told**: codes of [FHIR itself and of HTTP](fhir.md#what-is-refused).
* **What is written out**: [AuditEvents](accounting.md#auditevents), [answers about \
consent](../../docs/decisions.md).
";

#[test]
fn the_page_of_what_is_mapped_is_made_of_the_tables_that_are_read_by() {
    let page = [
        INTRODUCTION.to_owned(),
        signals_table(),
        systems_table(),
        codes_table(),
        units_table(),
        mdc_units_table(),
        open_mhealth_table(),
        conditions(),
        purposes_table(),
        labels_table(),
        categories_table(),
        refusals_table(),
        ELSEWHERE.to_owned(),
    ];
    let page = page.join("\n");
    pinned::check("docs/mapped.md", &page);
}

#[test]
fn a_purpose_is_the_same_code_in_a_consent_and_in_an_audit_event() {
    for purpose in Purpose::ALL {
        assert_eq!(pcf::purpose_code(*purpose), accounting::act_reason(*purpose));
    }
}

#[test]
fn every_code_and_unit_of_the_page_is_one_of_a_signal_that_is_stored() {
    for known in KNOWN {
        assert!(signals().iter().any(|signal| signal.name == known.signal), "{}", known.code);
    }
    for field in SCHEMAS.iter().flat_map(|schema| schema.fields) {
        assert!(signals().iter().any(|signal| signal.name == field.signal), "{}", field.name);
    }
    // What the probes above rely on: a message in which nothing is wrong is taken.
    assert_eq!(hl7_observation("", "F"), "taken");
    assert_eq!(fhir_observation("final", None), "taken");
}
