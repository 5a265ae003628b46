//! Messages as monitors and their servers send them, what they become and what is answered.

use bridge::{Cause, Charset, Fate, Map, Measurement};
use model::Millis;
use model::calendar::{Utc, parse_instant};

use crate::{Fault, Header, Outcome, Own, Report, answers, read};

mod profile;

const MAP: &str = r#"
version = 1
zone = "Europe/Berlin"

[[patient]]
authority = "HOSP"
identifier = "4711"
patient = 7

[[patient]]
authority = "1.2.3"
identifier = "99"
patient = 8

[[device]]
authority = "PV1-3"
identifier = "ICU^201^A"
device = "monitor-0001"

[[device]]
authority = "EUI-64"
identifier = "0003B10000000001"
device = "monitor-0002"
channels = { "131329" = "monitor-0002-i", "131330" = "monitor-0002-ii" }

[[code]]
system = "MDC"
code = "131329"
signal = "ecg"
rate-hz = "250"

[[code]]
system = "MDC"
code = "131330"
signal = "ecg"
unit = "mV"
factor = "0.005"

[[signal]]
name = "spo2"
off = ["0"]
"#;

/// A monitor's server: numbers of one patient in one bed.
const NUMBERS: &str = "\
MSH|^~\\&|PIC|WARD^2|EHR|HOSP|20260501103001||ORU^R01^ORU_R01|M1|P|2.6|||NE|AL||UNICODE UTF-8
PID|||X^^^OTHER~4711^^^HOSP&1.2.9&ISO^MR||M\u{fc}ller^Anna
PV1||I|ICU^201^A
OBR|1|||VITALS|||20260501103000
OBX|1|NM|147842^MDC_ECG_HEART_RATE^MDC||72|264864^MDC_DIM_BEAT_PER_MIN^MDC|||||R
OBX|2|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC^SpO2^^L||97.5|262688^MDC_DIM_PERCENT^MDC|||||R
OBX|3|NM|8310-5^Temp^LN||98.6|[degF]^^UCUM|||||F|||20260501082959.5+0000
OBX|4|SN|85354-9^BP^LN||^120^/^80|mm[Hg]|||||F
OBX|5|ST|PATPOS^Position^L||supine||||||F
OBX|6|NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|2|0|%|||||R|||20260501103001
";

fn lines(text: &str) -> Vec<u8> {
    text.replace('\n', "\r").into_bytes()
}

fn take(text: &str) -> Result<Report, Vec<Fault>> {
    let (bytes, map) = (lines(text), Map::parse(MAP).expect("a map"));
    let header = Header::read(&bytes);
    header.check().map_err(|fault| vec![fault])?;
    read(&bytes, &header, &map)
}

fn shown(reading: &Measurement) -> String {
    let Measurement { device, patient, signal, at, value } = reading;
    let value = value.map_or_else(|| "off".to_owned(), |value| value.to_string());
    format!("{} {} {device} {} {value}", Utc(at.millis()), patient.get(), signal.name)
}

/// A message of one observation.
fn of(obx: &str) -> String {
    format!(
        "MSH|^~\\&|PIC|WARD|EHR|HOSP|20260501||ORU^R01|1|P|2.5\nPID|||4711^^^HOSP\n\
         PV1||I|ICU^201^A\nOBR|1||||||20260501103000+0200\n{obx}\n"
    )
}

#[test]
fn a_monitors_numbers_are_readings_of_the_patient_and_device_of_the_map() {
    let report = take(NUMBERS).unwrap();
    let found: Vec<_> = report.readings.iter().map(shown).collect();
    assert_eq!(
        found,
        [
            "2026-05-01T08:30:00.000Z 7 monitor-0001 heart-rate 720",
            "2026-05-01T08:30:00.000Z 7 monitor-0001 spo2 9750",
            "2026-05-01T08:29:59.500Z 7 monitor-0001 temperature 3700",
            "2026-05-01T08:30:00.000Z 7 monitor-0001 bp-systolic 1200",
            "2026-05-01T08:30:00.000Z 7 monitor-0001 bp-diastolic 800",
            "2026-05-01T08:30:01.000Z 7 monitor-0001 spo2 off",
        ]
    );
    let left: Vec<_> = report.left_out.iter().map(|one| one.refusal().element).collect();
    assert_eq!((left, report.left_out_count), (vec!["OBX[5]-3".to_owned()], 1));
}

#[test]
fn samples_have_the_rate_that_stands_beside_them_or_in_the_map() {
    let equipment = "^^0003B10000000001^EUI-64";
    let rate = "67981^MDC_ATTR_SAMP_RATE^MDC";
    let text = of(&format!(
        "OBX|1|NA|131330^MDC_ECG_ELEC_POTL_II^MDC|1.1.2.1|10^-20^^30||||||R|||||||{equipment}\n\
         OBX|2|NM|{rate}|1.1.2.1.1|500|264608^MDC_DIM_X_PER_SEC^MDC|||||R\n\
         OBX|3|NA|131329^MDC_ECG_ELEC_POTL_I^MDC|1.1.2.2|0.1^-0.2|mV|||||R|||||||{equipment}"
    ));
    let report = take(&text).unwrap();
    let found: Vec<_> = report.readings.iter().map(shown).collect();
    assert_eq!(
        found,
        [
            "2026-05-01T08:30:00.000Z 7 monitor-0002-ii ecg 50",
            "2026-05-01T08:30:00.002Z 7 monitor-0002-ii ecg -100",
            "2026-05-01T08:30:00.004Z 7 monitor-0002-ii ecg off",
            "2026-05-01T08:30:00.006Z 7 monitor-0002-ii ecg 150",
            "2026-05-01T08:30:00.000Z 7 monitor-0002-i ecg 100",
            "2026-05-01T08:30:00.004Z 7 monitor-0002-i ecg -200",
        ]
    );
    assert_eq!(report.left_out_count, 0, "an attribute is no observation");
}

#[test]
fn every_patient_of_a_message_is_its_own() {
    let second = "PID|||99^^^&1.2.3&ISO\nPV1||I|ICU^201^A\nOBX|2|NM|8867-4^^LN||60|/min|||||F|||\
                  20260501083100+0000";
    let text = of(&format!("OBX|1|NM|8867-4^^LN||72|/min|||||F\n{second}"));
    let patients: Vec<_> =
        take(&text).unwrap().readings.iter().map(|one| one.patient.get()).collect();
    assert_eq!(patients, [7, 8]);
    // What the first one's order says is not the second one's.
    let late = text.replace("|||20260501083100+0000", "");
    assert_eq!(take(&late).unwrap_err()[0].cause, Cause::TimeMissing);
}

#[test]
fn a_row_without_authority_is_only_of_identifiers_that_say_none() {
    let map = format!("{MAP}\n[[patient]]\nidentifier = \"55\"\npatient = 9\n");
    let map = Map::parse(&map).unwrap();
    let patient = |pid: &str| {
        let text = of("OBX|1|NM|8867-4^^LN||72|/min|||||F").replace("4711^^^HOSP", pid);
        let bytes = lines(&text);
        let report = read(&bytes, &Header::read(&bytes), &map);
        report.map(|report| report.readings[0].patient.get()).map_err(|all| all[0].cause.clone())
    };
    assert_eq!(patient("55"), Ok(9));
    for said in ["55^^^&1.2.9&ISO", "55^^^OTHER", "55^^^OTHER&1.2.9&ISO"] {
        assert_eq!(patient(said), Err(Cause::PatientUnknown), "{said}");
    }
}

#[test]
fn a_device_that_says_its_own_name_is_never_taken_for_the_bed() {
    let map = format!("{MAP}\n[[device]]\nidentifier = \"X\"\ndevice = \"other\"\n");
    let map = Map::parse(&map).unwrap();
    let device = |equipment: &str| {
        let bytes = lines(&of(&format!("OBX|1|NM|8867-4^^LN||72|/min|||||F|||||||{equipment}")));
        let report = read(&bytes, &Header::read(&bytes), &map);
        let device = |report: Report| report.readings[0].device.as_str().to_owned();
        report.map(device).map_err(|all| all[0].cause.clone())
    };
    assert_eq!(device("").as_deref(), Ok("monitor-0001"));
    assert_eq!(device("X").as_deref(), Ok("other"));
    assert_eq!(device("^^0003B10000000001^EUI-64").as_deref(), Ok("monitor-0002"));
    for unknown in ["^^0003B1000000FFFF^EUI-64", "INFUSOMAT^BRAUN", "X^BRAUN", "X^^1.2.9^ISO"] {
        assert_eq!(device(unknown), Err(Cause::DeviceUnknown), "{unknown}");
    }
}

#[test]
fn a_second_message_in_a_frame_is_refused_with_the_first() {
    let one = of("OBX|1|NM|8867-4^^LN||72|/min|||||F");
    let fault = &take(&format!("{one}{one}")).unwrap_err()[0];
    assert_eq!(fault.cause, Cause::Malformed { expected: "one message in a frame" });
}

#[test]
fn a_status_or_flag_says_whether_a_value_is_one() {
    let obx = |status: &str, flag: &str, value: &str| {
        let warm = "OBX|2|NM|8310-5^^LN||37|Cel|||||F";
        let heart = format!("OBX|1|NM|8867-4^^LN||{value}|/min||{flag}|||{status}");
        let reading = take(&of(&format!("{heart}\n{warm}")));
        match reading {
            Err(faults) => faults[0].refusal().element,
            Ok(report) => {
                match report.readings.iter().find(|one| one.signal.name == "heart-rate") {
                    Some(one) => one.value.map_or("off".to_owned(), |value| value.to_string()),
                    None => format!("left out {}", report.left_out[0].refusal().element),
                }
            }
        }
    };
    for (status, flag, value, expected) in [
        ("F", "", "72", "720"),
        ("R", "H~\"\"", "72", "720"),
        ("F", "", "", "off"),
        ("X", "", "", "off"),
        ("X", "", "72", "off"),
        ("F", "INV", "72", "off"),
        ("F", "N~CAL", "72", "left out OBX[1]-8"),
        ("F", "QUES", "72", "left out OBX[1]-8"),
        ("P", "", "72", "left out OBX[1]-11"),
        ("I", "", "72", "left out OBX[1]-11"),
        ("C", "", "72", "OBX[1]-11"),
        ("D", "", "72", "OBX[1]-11"),
        ("W", "", "72", "OBX[1]-11"),
        ("", "", "72", "OBX[1]-11"),
        ("?", "", "72", "OBX[1]-11"),
    ] {
        assert_eq!(obx(status, flag, value), expected, "status {status} flag {flag}");
    }
}

#[test]
fn what_is_no_reading_is_refused_at_its_field_and_says_nothing_of_the_patient() {
    let number = "OBX|1|NM|8867-4^^LN||7253|/min|||||F";
    let heart = of(number);
    let changed = |from: &str, to: &str| {
        assert!(heart.contains(from), "{from}");
        heart.replacen(from, to, 1)
    };
    for (text, place, code) in [
        (changed("MSH|", "MSX|"), "MSH[1]", "malformed"),
        (changed("ORU^R01", "ADT^A01"), "MSH[1]-9", "unsupported"),
        (changed("ORU^R01", "ORU^R30"), "MSH[1]-9", "unsupported"),
        (changed("ORU^R01|1|", "ORU^R01||"), "MSH[1]-10", "malformed"),
        (changed("|P|2.5", "|T|2.5"), "MSH[1]-11", "unsupported"),
        (changed("|P|2.5", "|P|3.0"), "MSH[1]-12", "unsupported"),
        (changed("|P|2.5", "|P|2.5|||al"), "MSH[1]-15", "unsupported"),
        (changed("|P|2.5", "|P|2.5||||Y"), "MSH[1]-16", "unsupported"),
        (changed("|P|2.5", "|P|2.5||||||ISO IR87"), "MSH[1]-18", "unsupported"),
        (changed("4711^^^HOSP", "4712^^^HOSP"), "PID[1]-3", "patient-unknown"),
        (changed("4711^^^HOSP", "4711"), "PID[1]-3", "patient-unknown"),
        (changed("4711^^^HOSP", "4711^^^HOSP~99^^^1.2.3"), "PID[1]-3", "patient-ambiguous"),
        (changed("PID|||4711^^^HOSP\n", ""), "OBX[1]", "patient-missing"),
        (changed("ICU^201^A", "ICU^202^A"), "OBX[1]-18", "device-unknown"),
        (changed("20260501103000+0200", ""), "OBX[1]-14", "time-missing"),
        (changed("20260501103000+0200", "20260501"), "OBX[1]-14", "time-malformed"),
        (changed("20260501103000+0200", "20261025023000"), "OBX[1]-14", "zone-time"),
        (changed("|NM|", "|TX|"), "OBX[1]-2", "value-type"),
        (changed("7253", "high"), "OBX[1]-5", "not-a-number"),
        (changed("7253", "72~73"), "OBX[1]-5", "not-one-value"),
        (changed("7253", "7\\Q\\2"), "OBX[1]-5", "malformed"),
        (heart.clone(), "OBX[1]-5", "value-range"),
        (changed("7253", "0"), "OBX[1]-5", "value-sentinel"),
        (changed("|/min|", "||"), "OBX[1]-6", "unit-missing"),
        (changed("|/min|", "|mmHg|"), "OBX[1]-6", "unit-unknown"),
        (changed("|8867-4^^LN|", "||"), "OBX[1]-3", "code-missing"),
        (changed("|8867-4^^LN|", "|8867-4^^LN^8310-5^^LN|"), "OBX[1]-3", "code-ambiguous"),
        (changed("|8867-4^^LN|", "|8478-0^^LN|"), "message", "nothing-taken"),
        (of("OBX|1|NA|131330^^MDC||1^2|mV|||||F"), "OBX[1]-5", "rate-missing"),
        (of("OBX|1|SN|15074-8^^LN||>^500|mg/dL|||||F"), "OBX[1]-5", "not-one-value"),
        (
            of("OBX|1|NM|8310-5^^LN||37|Cel|||||F\nOBX|2|NM|8331-1^^LN||37|Cel|||||F"),
            "OBX[2]-3",
            "codes-meet",
        ),
        // Before the duct and behind it: of one code and device nobody could tell which was which.
        (
            of("OBX|1|NM|150456^^MDC|1.1.1.150456|97|%|||||F\n\
                OBX|2|NM|150456^^MDC|1.2.1.150456|85|%|||||F"),
            "OBX[2]-3",
            "codes-meet",
        ),
    ] {
        let faults = take(&text).map(|_| ()).unwrap_err();
        let first = faults[0].refusal();
        assert_eq!((first.element.as_str(), first.cause.code().as_str()), (place, code), "{text}");
        assert_eq!(first.fate(), Fate::Never);
        let words = format!("{first} {first:?}");
        assert!(!["4711", "4712", "7253", "HOSP", "201"].iter().any(|one| words.contains(one)));
    }
}

/// The message of one observation as bytes of a character set, with what MSH-18 says, by a map.
fn take_bytes(text: &str, charset: Charset, map: &str) -> Result<Report, Vec<Fault>> {
    let bytes = charset.encode(&text.replace('\n', "\r"));
    let map = Map::parse(map).expect("a map");
    let header = Header::read(&bytes);
    header.check().map_err(|fault| vec![fault])?;
    read(&bytes, &header, &map)
}

#[test]
fn names_are_read_in_the_character_set_that_the_header_names_and_in_no_other() {
    let map = MAP.replace("ICU^201^A", "ICU^Z\u{fc}rich");
    let text = of("OBX|1|NM|8867-4^^LN||72|/min|||||F").replace("201^A", "Z\u{fc}rich");
    let named = |name: &str| text.replacen("|P|2.5", &format!("|P|2.5||||||{name}"), 1);
    let sets = [("UNICODE UTF-8", Charset::Utf8), ("8859/1", Charset::Latin1)];
    for (name, own) in sets {
        for (_, sent) in sets {
            let taken = take_bytes(&named(name), sent, &map);
            assert_eq!(taken.is_ok(), sent == own, "{name}: {taken:?}");
        }
        // Without a name no device is guessed, unless the map says how they are sent here.
        let faults = take_bytes(&text, own, &map).unwrap_err();
        let first = faults[0].refusal();
        assert_eq!((&*first.element, &*first.cause.code()), ("PV1[1]-3", "malformed"));
        let by_map = map.replacen("version = 1", &format!("version = 1\ncharset = \"{name}\""), 1);
        assert!(take_bytes(&text, own, &by_map).is_ok(), "{name}");
        let other = sets.into_iter().find(|(other, _)| *other != name).unwrap().0;
        // What the message says itself goes before the map.
        let wrong = by_map.replacen(name, other, 1);
        assert!(take_bytes(&named(name), own, &wrong).is_ok(), "{name}");
    }
}

#[test]
fn a_sign_of_private_use_is_a_name_like_another_in_a_message_of_utf_8() {
    let map = MAP.replace("ICU^201^A", "ICU^\u{f7fc}^A");
    let text = of("OBX|1|NM|8867-4^^LN||72|/min|||||F").replace("201^A", "\u{f7fc}^A");
    let named = text.replacen("|P|2.5", "|P|2.5||||||UNICODE UTF-8", 1);
    assert_eq!(take_bytes(&named, Charset::Utf8, &map).unwrap().readings.len(), 1);
    // Where no set is named its bytes mean nothing.
    let faults = take_bytes(&text, Charset::Utf8, &map).unwrap_err();
    assert_eq!(faults[0].refusal().element, "PV1[1]-3");
}

#[test]
fn an_observation_that_stands_there_twice_is_taken_once_and_told() {
    for (obx, readings) in [
        ("OBX|1|NM|8867-4^^LN||72|/min|||||F", 1),
        ("OBX|1|NM|8867-4^^LN|||/min|||||F", 1),
        ("OBX|1|SN|85354-9^^LN||^120^/^80|mm[Hg]|||||F", 2),
        ("OBX|1|NA|131329^^MDC||100^200^300|uV|||||F", 3),
    ] {
        let once = take(&of(obx)).unwrap();
        let twice = take(&of(&format!("{obx}\n{obx}"))).unwrap();
        assert!(twice.readings == once.readings, "{obx}");
        assert_eq!((twice.readings.len(), twice.left_out_count), (readings, readings as u64));
        let told: Vec<_> = twice.left_out.iter().map(Fault::refusal).collect();
        assert!(told.iter().all(|one| one.element == "OBX[2]-3"), "{told:?}");
        assert!(told.iter().all(|one| one.cause.code() == "repeated"), "{told:?}");
    }
}

#[test]
fn a_byte_of_an_unknown_set_is_refused_where_it_is_read_and_nowhere_else() {
    let read = "OBX|1|NM|8867-4^^LN||72|/min|||||F|||20260501103000+0200";
    let text = of(read).replace("4711^^^HOSP", "4711^^^HOSP||M\u{fc}ller^J\u{fc}rgen");
    let text = text.replace("8867-4^^LN", "8867-4^K\u{f6}rper^LN");
    let text = format!("{text}OBX|2|ST|X^Lage^L||R\u{fc}cken\nNTE|1||\u{fc}\n");
    let text = text.replace("|PIC|WARD|", "|PIC|Geb\u{e4}ude|");
    for set in [Charset::Latin1, Charset::Utf8] {
        let report = take_bytes(&text, set, MAP).unwrap();
        assert_eq!((report.readings.len(), report.left_out_count), (1, 1));
        for (from, to, place) in [
            ("4711^^^HOSP", "4711^^^H\u{d6}SP", "PID[1]-3"),
            ("4711^^^HOSP", "47\u{fc}11^^^HOSP", "PID[1]-3"),
            ("ICU^201^A", "ICU^2\u{fc}^A", "PV1[1]-3"),
            ("|8867-4^", "|8867-4\u{fc}^", "OBX[1]-3"),
            ("|72|", "|7\u{fc}|", "OBX[1]-5"),
            ("|/min|", "|\u{b5}V|", "OBX[1]-6"),
            ("||||F|||2026", "||||\u{fc}|||2026", "OBX[1]-11"),
            ("F|||20260501103000", "F|||2026050110300\u{b2}", "OBX[1]-14"),
        ] {
            assert!(text.contains(from), "{from}");
            let faults = take_bytes(&text.replacen(from, to, 1), set, MAP).unwrap_err();
            assert_eq!(faults[0].refusal().element, place, "{to}");
        }
    }
}

#[test]
fn what_stands_in_a_header_of_an_unknown_set_goes_back_as_the_bytes_that_came() {
    let text = of("").replace("|WARD|", "|\u{c4}\u{c5}\u{fc}|").replace("R01|1|", "R01|\u{c4}1|");
    for set in [Charset::Latin1, Charset::Utf8] {
        let bytes = set.encode(&text.replace('\n', "\r"));
        let own = Own { control: "A1", at: Millis::new(0).unwrap() };
        let answer = answers(&Header::read(&bytes), &stored(), own).remove(0).bytes;
        let there = |part: &str| {
            let part = set.encode(part);
            answer.windows(part.len()).any(|found| found == part)
        };
        assert!(there("|PIC|\u{c4}\u{c5}\u{fc}|") && there("MSA|AA|\u{c4}1|"), "{set:?}");
    }
}

#[test]
fn empty_lines_before_the_header_are_passed_over() {
    let text = of("OBX|1|NM|8867-4^^LN||72|/min|||||F");
    for before in ["\r", "\n", "\r\n\r\n"] {
        let bytes = [before.as_bytes(), &lines(&text)].concat();
        let (header, map) = (Header::read(&bytes), Map::parse(MAP).unwrap());
        assert_eq!(header.check(), Ok(()), "{before:?}");
        assert_eq!(read(&bytes, &header, &map), take(&text), "{before:?}");
    }
}

#[test]
fn a_translation_beside_the_code_of_a_device_is_passed_over_within_its_category() {
    let of_codes = |codes: &str| {
        let taken = take(&of(&format!("OBX|1|NM|{codes}||72|/min|||||F")));
        taken.map(|report| report.readings[0].signal.name).map_err(|all| all[0].cause.clone())
    };
    for codes in ["149530^^MDC^8867-4^^LN", "8867-4^^LN^149530^^MDC"] {
        assert_eq!(of_codes(codes), Ok("pulse-rate"), "{codes}");
    }
    assert_eq!(of_codes("149530^^MDC^9279-1^^LN"), Err(Cause::CodeAmbiguous));
}

fn answered(text: &str, outcome: &Outcome) -> Vec<String> {
    let header = Header::read(&lines(text));
    let own = Own { control: "A1", at: parse_instant("2026-05-01T08:30:00Z").unwrap().millis() };
    let all = answers(&header, outcome, own);
    all.into_iter().map(|one| String::from_utf8_lossy(&one.bytes).replace('\r', "\n")).collect()
}

fn stored() -> Outcome {
    Outcome::Stored { receipts: "receipt 12 0a1b2c3d4e5f6071".to_owned(), left_out: Vec::new() }
}

#[test]
fn an_answer_goes_back_with_the_identifier_the_receipt_and_the_senders_own_separators() {
    let text = of("").replace("|1|P|2.5", "|m-1|P|2.5.1||||||8859/1");
    assert_eq!(
        answered(&text, &stored()),
        ["MSH|^~\\&|EHR|HOSP|PIC|WARD|20260501083000.000+0000||ACK^R01|A1|P|2.5.1||||||8859/1\n\
          MSA|AA|m-1|receipt 12 0a1b2c3d4e5f6071\n"]
    );
    let own = text.replace('|', "#").replace('^', "*");
    let answer = &answered(&own, &stored())[0];
    assert!(answer.starts_with("MSH#*~\\&#EHR#HOSP#PIC#WARD#"), "{answer}");
    assert!(answer.contains("MSA#AA#m-1#receipt 12"), "{answer}");
    // Whatever comes is answered.
    let answer = &answered("GET / HTTP/1.1", &stored())[0];
    assert!(answer.starts_with("MSH|^~\\&|||||20260501083000.000+0000||ACK^R01|A1|P|2.5.1\n"));
}

#[test]
fn enhanced_mode_answers_what_is_asked_for() {
    let node = |code| Fault::of_message(Cause::Node(code));
    let again = Outcome::Refused(vec![Fault::of_message(Cause::Away)]);
    let consent = Outcome::Refused(vec![node(model::RejectCode::NotPermitted)]);
    let never =
        Outcome::Refused(vec![node(model::RejectCode::Stream), Fault::of_message(Cause::Away)]);
    for (accept, application, expected) in [
        ("", "", ["AA", "AE", "AE", "AR"]),
        ("AL", "NE", ["CA", "CE", "CE", "CR"]),
        ("NE", "AL", ["AA", "AE", "AE", "AR"]),
        ("AL", "AL", ["CA AA", "CE AE", "CE AE", "CR AR"]),
        ("NE", "NE", ["", "", "", ""]),
        ("ER", "", ["", "CE", "CE", "CR"]),
        ("", "SU", ["AA", "", "", ""]),
        ("AL ", " NE", ["CA", "CE", "CE", "CR"]),
        ("\"\"", "\"\"", ["AA", "AE", "AE", "AR"]),
        // Refused for it, and never left without an answer.
        ("al", "", ["CA", "CE", "CE", "CR"]),
        ("NE", "Y", ["AA", "AE", "AE", "AR"]),
        ("?", "?", ["CA AA", "CE AE", "CE AE", "CR AR"]),
    ] {
        let text = of("").replace("|P|2.5", &format!("|P|2.5|||{accept}|{application}"));
        let header = Header::read(&lines(&text));
        let own = Own { control: "A1", at: Millis::new(0).unwrap() };
        let codes = [&stored(), &again, &consent, &never].map(|outcome| {
            let all = answers(&header, outcome, own);
            all.iter().map(|one| one.code).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(codes, expected, "{accept}/{application}");
    }
}

#[test]
fn an_answer_names_place_reason_and_code_of_each_fault() {
    let text = of("OBX|1|NM|8867-4^^LN||72|mmHg|||||F\nOBX|2|NM|8310-5^^LN||||||||F");
    let faults = take(&text).unwrap_err();
    let answer = &answered(&text, &Outcome::Refused(faults))[0];
    let lines: Vec<_> = answer.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "MSA|AR|1|unit-unknown: OBX[1]-6: expected heart-rate in one of /min, /s, found \
             another unit: [[unit]] names others",
            "ERR||OBX^1^6|103^Table value not found^HL70357|E|unit-unknown^^L|||expected \
             heart-rate in one of /min, /s, found another unit: [[unit]] names others",
        ]
    );
    let left = take(NUMBERS).unwrap().left_out;
    let outcome = Outcome::Stored { receipts: "receipt 1".to_owned(), left_out: left };
    let answer = &answered(NUMBERS, &outcome)[0];
    assert!(answer.contains("MSA|AA|M1|receipt 1\nERR||OBX^5^3|103^"), "{answer}");
    assert!(answer.contains("|W|code-unknown^^L|"), "{answer}");
}

#[test]
fn a_message_that_is_cut_or_changed_anywhere_is_answered() {
    let whole = lines(NUMBERS);
    let map = Map::parse(MAP).unwrap();
    let (mut taken, mut silent) = (0, 0);
    for at in 0..whole.len() {
        let changed = [&whole[..at], &[whole[at] ^ 0x15], &whole[at + 1..]].concat();
        for bytes in [&whole[..at], &changed] {
            let header = Header::read(bytes);
            let report = header.check().map_err(|fault| vec![fault]);
            let report = report.and_then(|()| read(bytes, &header, &map));
            taken += usize::from(report.is_ok());
            let faults = report.map_or_else(|faults| faults, |report| report.left_out);
            let own = Own { control: "A1", at: Millis::new(0).unwrap() };
            let answers = answers(&header, &Outcome::Refused(faults), own);
            assert_eq!(answers.is_empty(), asks_for_none(bytes), "{at}");
            silent += usize::from(answers.is_empty());
            for answer in answers {
                assert!(answer.bytes.starts_with(b"MSH") && answer.bytes.ends_with(b"\r"));
                assert!(!answer.bytes.contains(&0x0b) && !answer.bytes.contains(&0x1c));
            }
        }
    }
    assert!(taken > 100, "most changes leave a message: {taken}");
    assert!((1..20).contains(&silent), "few ask for no answer: {silent}");
}

/// Whether a message says that a refusal is not answered: both of its fields say that, or one does
/// and the other nothing.
fn asks_for_none(bytes: &[u8]) -> bool {
    let fields: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default()
        .split(|byte| *byte == b'|')
        .collect();
    let [accept, application] =
        [14, 15].map(|at| fields.get(at).copied().unwrap_or_default().trim_ascii());
    let is_silent = |field: &[u8]| matches!(field, b"" | b"NE" | b"SU");
    let is_said = !accept.is_empty() || !application.is_empty();
    bytes.starts_with(b"MSH|^~\\&|") && is_said && is_silent(accept) && is_silent(application)
}
