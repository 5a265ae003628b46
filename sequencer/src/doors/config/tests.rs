//! What is read, what is refused, and that every key is declared once.

use std::collections::BTreeSet;

use journal::Lane;
use serde_json::Value;
use wire::Credit;

use super::*;
use crate::setting::Allowed;

mod page;

fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
    config.check().map(|()| config).map_err(|error| error.to_string())
}

#[test]
fn the_default_is_valid_and_round_trips() {
    let text = Config::default().to_toml();
    assert_eq!(parse(&text), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn unknown_keys_and_values_out_of_limits_are_named() {
    let cases = [
        ("[batch]\nclose_after = 5", "close_after"),
        ("[batch]\nclose_after_ms = 5", "batch.close_after_ms"),
        ("[batch]\nidle_settle_after_ms = 5", "batch.idle_settle_after_ms"),
        ("[batch]\nfixed_cadence = 60", "fixed_cadence"),
        ("[batch]\noperations_shape = \"c2-17\"", "batch.operations_shape"),
        ("[batch]\nclaims_shape = \"c9\"", "batch.claims_shapes"),
        ("[batch]\nclaims_shapes = []", "at least one"),
        ("[batch]\nclaims_shapes = [\"c2-17\", \"c2-17\"]", "distinct"),
        ("[batch]\nclaims_shapes = [\"c2-17\", \"c1-17\"]", "of C2"),
        ("[batch]\nclaims_shapes = 17", "a name or a list of names"),
        ("[batch]\nclaims_shapes = [\"c2-17\"]\nclaims_shape = \"c2-17\"", "claims_shape"),
        ("[http]\nlisten = \"0.0.0.0:80\"", "http.listen"),
        ("[ingest]\nserver_names = []", "ingest.server_names"),
        ("[ingest.limits]\nkeep_alive_ms = 30000", "ingest.limits.keep_alive_ms"),
        ("[ingest.limits]\nreserved_items = 2561", "ingest.limits.reserved_items"),
        ("[journal]\nqueue_items_max = 127", "ingest.limits.reserved_items"),
        ("[journal]\nqueue_items_max = 127", "at most 63, a half of journal.queue_items_max"),
        ("[admission]\nevaluations_max = 64", "admission.evaluations_reserved"),
        ("[settle]\nbatches_max = 0", "settle.batches_max"),
        ("[deliver]\nwindows_max = 0", "deliver.windows_max"),
        ("[deliver]\ngroups_max = 65537", "deliver.groups_max"),
        ("[prover]\nengine = \"fast\"", "prover.engine"),
        ("[prover]\nsetup = \"trusted\"", "prover.setup"),
        ("[prover]\npriority = \"low\"", "prover.priority"),
        ("[memory]\nover = \"perhaps\"", "memory.over"),
        ("[archive]\nurl = \"s3://key:geheim@bucket\"", "archive.url"),
        ("[archive]\nurl = \"/srv/archive\"", "archive.url"),
        ("[archive]\ncache_bytes = 1", "archive.cache_bytes"),
        ("[archive]\nurl = \"file:///a\"\ncache_bytes = 1048576", "archive.cache_bytes"),
        ("[archive]\nurl = \"s3://a\"\nendpoint = \"https://key:geheim@host\"", "archive.endpoint"),
        ("[archive]\nurl = \"s3://a\"\nendpoint = \"https://host/geheim\"", "archive.endpoint"),
        ("[archive]\nurl = \"s3://a\"\nendpoint = \"https://host/?a=b\"", "archive.endpoint"),
        ("[archive]\nurl = \"s3://a\"\nendpoint = \"http://s3.ward:9000\"", "archive.endpoint"),
        ("[tokens]\njwks_file = \"a\"\nissuer = \"b\"", "tokens.issuer and tokens.audience"),
        ("[tokens]\ntoken_ms_max = 1", "tokens.token_ms_max"),
        ("[fhir]\naudit_events = true", "fhir.audit_events to be set together with tokens"),
        ("[decisions]\nsystems = [\"ehr=a\"]", "decisions.systems to be set together with tokens"),
        ("[log]\nlevel = \"loud\"", "log.level"),
        ("[log]\nlevel = \"info,sequencer=\"", "log.level"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("[notices]\nhosts = [\"app.example.org\"]", "fhir.audit_events"),
        ("[notices]\nhosts = [\"127.0.0.1\"]", "notices.hosts"),
        ("[notices]\nsubscriptions_max = 0", "notices.subscriptions_max"),
        ("[nonsense]", "nonsense"),
    ];
    for (text, named) in cases {
        let error = parse(text).expect_err(text);
        assert!(error.contains(named), "{error} does not name {named}");
    }
}

#[test]
fn a_token_has_to_name_its_user_unless_the_operator_says_what_the_guide_shows() {
    assert!(Config::default().tokens.requires_fhir_user);
    let page = include_str!("../../../docs/audit-events.md");
    let (_, example) = page.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    assert!(!parse(example).expect("a configuration").tokens.requires_fhir_user);
}

#[test]
fn a_key_that_stands_elsewhere_now_is_refused_with_its_place() {
    let parse = |text: &str| Config::parse(Path::new("node.toml"), text).unwrap_err();
    for (text, found, instead) in [
        ("[fhir]\nissuer = \"\"", "fhir.issuer", "tokens.issuer"),
        ("[fhir]\nbase = \"a\"", "fhir.base", "tokens.audience"),
        ("[decisions]\naudience = \"a\"\nper_minute = 7", "decisions.audience", "tokens.audience"),
    ] {
        let error = parse(text);
        let ConfigError::Moved { key, instead: place, .. } = &error else { panic!("{error}") };
        assert_eq!((*key, *place), (found, instead));
        assert!(error.to_string().contains("node.toml"), "{error}");
    }
    // What was never a key is no key of a version before.
    let other = parse("[decisions]\nissuers = \"a\"");
    assert!(matches!(other, ConfigError::Format { line: 2, .. }), "{other}");
}

#[test]
fn values_that_hold_otherwise_than_they_stand_in_the_file_are_named() {
    let found = Config::default().effective();
    let found: Vec<_> = found.iter().map(|one| (one.key, one.configured, one.effective)).collect();
    let expected = [
        ("batch.operations_max", 512, 383),
        ("batch.claims_max", 4096, 2015),
        ("settle.poll_ms", 2000, 50),
        ("settle.doubt_ms", 24_000, 0),
    ];
    assert_eq!(found, expected);
    let mut config = Config::default();
    (config.batch.operations_max, config.batch.claims_max) = (10, 10);
    config.chain.rpc = Some("http://127.0.0.1:8545".parse().unwrap());
    assert_eq!(config.effective(), []);
    // The idle time is never below a window's length, and none at a fixed cadence.
    for (close, fixed, held) in [(5_000_000, false, 5_000_000), (1_000, true, 1_000)] {
        (config.batch.close_after_ms, config.batch.fixed_cadence) = (close, fixed);
        let found = config.effective();
        let [idle] = &found[..] else { panic!("expected one value, found {found:?}") };
        assert_eq!(idle.key, "batch.idle_settle_after_ms");
        assert_eq!((idle.configured, idle.effective), (3_600_000, held));
    }
}

#[test]
fn one_shape_of_claims_is_read_as_older_files_have_it() {
    let shapes = |text: &str| parse(&format!("[batch]\n{text}")).map(|c| c.batch.claims_shapes);
    for one in ["claims_shape = \"c2-17\"", "claims_shapes = \"c2-17\""] {
        assert_eq!(shapes(one), Ok(vec!["c2-17".to_owned()]), "{one}");
    }
    let two = shapes("claims_shapes = [\"c2-17-1\", \"c2-17\"]");
    assert_eq!(two, Ok(vec!["c2-17-1".to_owned(), "c2-17".to_owned()]));
    // With the slots of the largest shape a window holds most.
    let held = |text: &str| parse(text).unwrap().effective_window_limits().claims_max;
    let alone = |shape| held(&format!("[batch]\nclaims_shape = \"{shape}\""));
    assert_eq!((alone("c2-17"), alone("c2-17-1"), held("")), (1343, 2015, 2015));
}

/// Sections and keys in backticks on pages for whoever is on call.
#[test]
fn the_pages_of_alerts_and_watching_name_settings_that_there_are() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let is_key = |text: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        text.chars().all(plain) && text.contains('.') && !text.ends_with(".rs")
    };
    let settings = Config::settings();
    let mut named = 0;
    for page in ["runbook.md", "watching.md"] {
        let text = std::fs::read_to_string(docs.join(page)).unwrap();
        for key in text.split('`').skip(1).step_by(2).filter(|text| is_key(text)) {
            // A file, and not a key.
            if ["alerts.yml", "subscriptions.json"].contains(&key) {
                continue;
            }
            let is_there = |row: &Setting| {
                row.path == key || row.path.strip_prefix(key).is_some_and(|r| r.starts_with('.'))
            };
            assert!(settings.iter().any(is_there), "{page}: expected a setting, found {key}");
            named += 1;
        }
    }
    assert!(named > 8, "the pages are read: {named}");
}

#[test]
fn levels_are_accepted_as_the_log_reads_them() {
    for level in ["off", "warn", "DEBUG", "info,sequencer::stages::settle=trace,quinn=error"] {
        assert!(parse(&format!("[log]\nlevel = \"{level}\"")).is_ok(), "{level}");
    }
}

/// Whoever keeps to its credit finds a place: on each lane as many items may wait, beside what is
/// the other lanes' own, as the lane has of all credit together.
#[test]
fn each_lane_has_a_place_for_every_frame_that_credit_is_given_for() {
    let config = Config::default();
    let places = config.journal.queue_items_max - config.ingest.limits.reserved_items;
    let frames = config.ingest.limits.credit_frames_total;
    let credit =
        |eighths: u32| Credit { bytes: 0, frames }.without_eighths(8 - eighths).frames as usize;
    let own = |lane: Lane| lane.own_places(places);
    assert!(credit(1) <= own(Lane::Control), "alarms have an eighth of it alone");
    assert!(credit(7) <= places - own(Lane::Control) - own(Lane::Backfill));
    assert!(credit(4) <= places - own(Lane::Control) - own(Lane::Live));
    assert!(credit(8) <= places);
}

/// Every number with a range is refused one beside it: no section is left unchecked.
#[test]
fn every_range_holds_on_both_sides() {
    let default = serde_json::to_value(Config::default()).unwrap();
    let is_refused = |path: &str, found: u64| {
        let mut config = default.clone();
        let pointer = format!("/{}", path.replace('.', "/"));
        *config.pointer_mut(&pointer).expect(path) = found.into();
        let config = serde_json::from_value::<Config>(config);
        // What does not fit the field's type is refused when it is read.
        config.map_or(true, |config| config.check().is_err())
    };
    for row in Config::settings() {
        let Allowed::Range { least, most } = row.allowed else { continue };
        let outside = [least.checked_sub(1), most.checked_add(1)];
        for found in outside.into_iter().flatten() {
            assert!(is_refused(row.path, found), "{} = {found}", row.path);
        }
        // A keep-alive is further bounded by the idle timeout, reserved places by all places.
        let bounded = [
            "ingest.limits.keep_alive_ms",
            "ingest.limits.reserved_items",
            "admission.evaluations_reserved",
        ];
        if !bounded.contains(&row.path) {
            assert!(!is_refused(row.path, most), "{} = {most}", row.path);
        }
    }
}

/// Paths and values of everything below `value` that is no section.
fn keys(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    let Value::Object(section) = value else {
        return found.push((path.to_owned(), value.clone()));
    };
    for (key, value) in section {
        let dot = if path.is_empty() { "" } else { "." };
        keys(&format!("{path}{dot}{key}"), value, found);
    }
}

fn defaults() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    keys("", &serde_json::to_value(Config::default()).unwrap(), &mut found);
    found
}

#[test]
fn every_key_of_the_file_has_a_row_and_every_row_a_key() {
    let file: BTreeSet<String> = defaults().into_iter().map(|(key, _)| key).collect();
    let rows = Config::settings();
    let named: BTreeSet<String> = rows.iter().map(|row| row.path.to_owned()).collect();
    assert_eq!(file, named);
    assert_eq!(named.len(), rows.len(), "a key has two rows");
}
