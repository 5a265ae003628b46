use super::*;

const TEXT: &str = r#"# A test.
duration = "2s"

[expect]
p99_ms_max = 700

[[gateways]]
name = "monitors"
count = 3
codec = "grid"
readings = 90
rate = "natural"
backlog = 7
start_spread = "1s"
outage = { after = "1s", lasts = "100ms", every = "1s", stagger = "500ms" }
expect = { behind_max = 4 }

[[hostile]]
name = "noise"
behaviour = "garbage"
count = 2
connections = 5
expect = { closed_min = 1 }
"#;

#[track_caller]
fn refused(from: &str, to: &str, line: usize, words: &[&str]) {
    assert!(TEXT.contains(from), "{from}");
    let text = TEXT.replacen(from, to, 1);
    let error = Scenario::parse("dir/my.toml", &text).expect_err("a wrong scenario").to_string();
    let place = format!("dir/my.toml, line {line}: ");
    assert!(error.starts_with(&place), "expected `{place}` in: {error}");
    for word in words {
        assert!(error.contains(word), "expected `{word}` in: {error}");
    }
}

#[test]
fn a_scenario_says_who_sends_what_and_what_is_expected() {
    let scenario = Scenario::parse("dir/my.toml", TEXT).unwrap();
    let ms = Duration::from_millis;
    let outage =
        Outage { after: ms(1000), lasts: ms(100), every: Some(ms(1000)), stagger: ms(500) };
    let monitors = Group {
        name: "monitors".into(),
        count: 3,
        streams: None,
        laying: Laying::Frames(Codec::GRID),
        readings: 90,
        rate: Rate::Natural,
        in_flight: 1024,
        habits: Habits { start_spread: ms(1000), backlog_frames: 7, outage: Some(outage) },
        expect: Expect { p99_ms_max: Some(700), behind_max: Some(4), ..Expect::default() },
    };
    let noise = HostileGroup {
        name: "noise".into(),
        behaviour: Behaviour::Garbage,
        count: 2,
        connections: 5,
        expect: ExpectHostile { closed_min: Some(1), ..ExpectHostile::default() },
    };
    let expected = Scenario {
        name: "my".into(),
        duration: ms(2000),
        drain: ms(10_000),
        gateways: vec![monitors],
        hostile: vec![noise],
    };
    assert_eq!(scenario, expected);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_what_is_expected() {
    refused("duration = \"2s\"", "duration = 2", 2, &["string"]);
    refused("duration = \"2s\"", "duration = \"2\"", 2, &["duration", "500ms, 10s", "found 2"]);
    refused("duration = \"2s\"", "duration = \"2000m\"", 2, &["at most a day", "found 2000m"]);
    refused("p99_ms_max = 700", "p99_ms_max = -1", 5, &["p99_ms_max", "from 0", "found -1"]);
    refused("p99_ms_max", "p98_ms_max", 5, &["unknown field", "p98_ms_max", "p99_ms_max"]);
    refused("\"monitors\"", "\"Bed 1\"", 8, &["name", "a-z 0-9 -", "found Bed 1"]);
    refused("count = 3", "count = 0", 9, &["count", "1 to 10000", "found 0"]);
    refused(
        "codec = \"grid\"",
        "codec = \"zip\"",
        10,
        &["raw, columnar, grid or block", "found zip"],
    );
    refused("readings = 90", "readings = 4095", 11, &["1 to 4094", "found 4095"]);
    refused("readings = 90", "reading = 90", 11, &["unknown field"]);
    refused("\"natural\"", "\"quick\"", 12, &["rate", "250k or 4M", "found quick"]);
    refused("\"natural\"", "\"max\"", 13, &["backlog", "nothing is due", "found 7"]);
    refused("backlog = 7", "backlog = 100001", 13, &["0 to 100000"]);
    refused("every = \"1s\"", "every = \"100ms\"", 15, &["more than `lasts`", "found 100ms"]);
    refused("\"noise\"", "\"monitors\"", 19, &["each name once", "found monitors"]);
    refused("\"garbage\"", "\"rude\"", 20, &["only-handshake, slow-writer", "found rude"]);
    refused("connections = 5", "connections = 2049", 22, &["1 to 2048", "found 2049"]);
    refused("closed_min", "closed_most", 23, &["unknown field"]);
}

#[test]
fn a_scenario_has_an_honest_group_and_not_too_many() {
    let nobody = Scenario::parse("x.toml", "duration = \"1s\"").unwrap_err().to_string();
    assert!(nobody.contains("at least one [[gateways]]"), "{nobody}");
    let group = |number: usize| {
        format!("[[gateways]]\nname = \"g{number}\"\ncount = 1\nreadings = 1\nrate = \"1\"\n")
    };
    let groups = |count| (0..count).map(group).collect::<String>();
    let many = |count| Scenario::parse("x.toml", &format!("duration = \"1s\"\n{}", groups(count)));
    assert!(many(GROUPS_MAX).is_ok());
    assert!(matches!(many(GROUPS_MAX + 1), Err(ScenarioError::Whole { .. })));
    let long = format!("duration = \"1s\"\n{}", "#".repeat(SCENARIO_BYTES_MAX as usize));
    let long = Scenario::parse("x.toml", &long);
    assert!(matches!(long, Err(ScenarioError::TooLarge { .. })));
}

#[test]
fn every_scenario_that_ships_is_one_and_says_what_it_is_like_in_life() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| stem(file.unwrap().path().to_str().unwrap()));
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert_eq!(files, super::super::SHIPPED.map(|one| one.name), "every file ships");
    for shipped in &super::super::SHIPPED {
        let scenario = Scenario::read(Path::new(shipped.name)).unwrap();
        assert_eq!(scenario.name, shipped.name);
        assert!(shipped.text.starts_with("# ") && shipped.about().len() > 40, "{}", shipped.name);
    }
}

#[test]
fn what_is_neither_a_file_nor_ships_is_named_beside_what_does() {
    let error = Scenario::read(Path::new("no-such-ward")).unwrap_err().to_string();
    assert!(error.contains("no-such-ward") && error.contains("reconnect-storm, ward"), "{error}");
}
