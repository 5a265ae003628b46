//! Files as people have them, and what is refused rather than guessed.

use model::calendar::{Utc, parse_instant};
use model::signal_by_name;

use super::*;

fn rules(signal: &str) -> Rules {
    Rules::new(signal_by_name(signal).unwrap())
}

/// What a file gave up to its first error.
struct Found {
    /// Time and value of each reading.
    readings: Vec<(String, Option<i32>)>,
    error: Option<LineError>,
    counts: Counts,
}

impl Found {
    fn values(&self) -> Vec<Option<i32>> {
        self.readings.iter().map(|one| one.1).collect()
    }
}

fn read(text: &str, rules: Rules) -> Found {
    let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
    let (mut lines, mut reader) = (Lines::new(text.as_bytes()), Reader::new(rules));
    let mut found = Found { readings: Vec::new(), error: None, counts: Counts::default() };
    while let (None, Some(line)) = (&found.error, lines.read().unwrap()) {
        match reader.read(&line, now) {
            Ok(readings) => {
                let shown = |one: &Measured| (Utc(one.at.millis()).to_string(), one.value);
                found.readings.extend(readings.iter().map(shown));
            }
            Err(error) => found.error = Some(error),
        }
    }
    found.counts = reader.counts();
    found
}

fn values(text: &str, rules: Rules) -> Vec<Option<i32>> {
    let found = read(text, rules);
    assert_eq!(found.error, None, "{text:?}");
    found.values()
}

fn fault(text: &str, rules: Rules) -> LineError {
    read(text, rules).error.unwrap_or_else(|| panic!("{text:?} was read"))
}

const AT: &str = "2026-11-28T11:00:00Z";

#[test]
fn one_reading_in_every_form_of_file() {
    for text in [
        "2026-11-28T11:00:00Z,72",
        "2026-11-28T11:00:00Z,72.0\n",
        "\u{feff}time,value\n2026-11-28T11:00:00Z,72\n",
        "\"time\",\"value\"\r\n\"2026-11-28T11:00:00Z\",\"72\"\r\n",
        "# exported today\n\ntime,value\n2026-11-28 11:00:00 +0000,72\n",
        "time,value\r2026-11-28T11:00:00Z,72\r",
        "Timestamp\tHeart Rate (bpm)\n2026-11-28T12:00:00+01:00\t72\n",
        "Date;Time;HR\n2026-11-28;11:00:00Z;72\n",
        "device,signal,time,value\nd1,heart-rate,2026-11-28T11:00:00.000Z,72\n",
        "device,signal,time,value\nd1,spo2,2026-11-28T11:00:00Z,97.5\nd1,147842,1795863600000,72\n",
        "heart_rate [/min] , startDate\n 72 , 2026-11-28 11:00:00 +0000\n",
        "time,value,\n2026-11-28T11:00:00Z,72,\n",
    ] {
        let Found { readings, error, counts } = read(text, rules("heart-rate"));
        assert_eq!(error, None, "{text:?}");
        assert_eq!(readings, [("2026-11-28T11:00:00.000Z".to_owned(), Some(720))], "{text:?}");
        assert_eq!(counts.values, 1);
    }
}

#[test]
fn columns_are_named_where_they_cannot_be_told() {
    let text = "when,who,hr_a,hr_b\n2026-11-28T11:00:00Z,anna,72,73\n";
    let error = fault(text, rules("heart-rate")).to_string();
    assert_eq!(
        error,
        "line 1: expected one column of time, found when, who, hr_a, hr_b: say which with \
         --column time=NAME"
    );
    let mapped = |mappings: &[&str]| Rules {
        columns: mappings.iter().map(|one| one.parse().unwrap()).collect(),
        ..rules("heart-rate")
    };
    let error = fault(text, mapped(&["time=when"])).to_string();
    assert!(error.contains("--column heart-rate=NAME"), "{error}");
    assert_eq!(values(text, mapped(&["time=when", "heart-rate=hr_b"])), [Some(730)]);
    assert_eq!(values(text, mapped(&["time=1", "value=3"])), [Some(720)]);
    let error = fault(text, mapped(&["time=when", "value=5"])).to_string();
    assert!(error.contains("expected a column 5"), "{error}");
    let bare = "anna,2026-11-28T11:00:00Z,72";
    assert_eq!(values(bare, mapped(&["time=2", "value=3"])), [Some(720)]);
    assert!(fault(bare, rules("heart-rate")).to_string().contains("3 columns without names"));
    assert!("pulse=3".parse::<Mapping>().is_err());
}

#[test]
fn several_signals_stand_in_one_file() {
    let signals = ["heart-rate", "spo2"].map(|name| signal_by_name(name).unwrap());
    let text = "time,HR,SpO2(%)\n2026-11-28T11:00:00Z,72,97.5\n2026-11-28T11:00:01Z,73,\n";
    let both = Rules { signals: signals.to_vec(), ..rules("heart-rate") };
    assert_eq!(values(text, both), [Some(720), Some(9750), Some(730), None]);
}

#[test]
fn times_are_never_guessed() {
    let said = |text: &str| fault(&format!("{text},72"), rules("heart-rate")).to_string();
    assert!(said("1795863600").contains("seconds since 1970"), "{}", said("1795863600"));
    assert!(said("1795863600000000").contains("microseconds since 1970"));
    assert!(said("0.008").contains("--elapsed-since"));
    assert!(said("2026-11-28 11:00:00").contains("--zone"));
    assert!(said("28.11.2026 11:00").starts_with("line 1: expected a time"));
    assert!(said("2026").contains("whole day or year"), "{}", said("2026"));
    assert!(said("20261128").contains("whole day or year"));
    assert!(said("now").starts_with("line 1: expected a time"));
    assert_eq!(
        said("2096-11-28T12:00:00Z"),
        "line 1: expected a time that has been, found one 2209075200 s ahead of this machine's \
         clock"
    );
    let in_lines = |unit: Option<TimeUnit>, since: Option<&str>, zone: Option<&str>| Rules {
        times: Times::InLines {
            unit,
            since: since.map(|text| parse_instant(text).unwrap()),
            zone: zone.map(|text| text.parse().unwrap()),
            allow_before: false,
        },
        ..rules("heart-rate")
    };
    let at = |text: &str, rules| read(&format!("{text},72"), rules).readings.pop().map(|one| one.0);
    let expected = Some("2026-11-28T11:00:00.000Z".to_owned());
    assert_eq!(at("1795863600", in_lines(Some(TimeUnit::Seconds), None, None)), expected);
    assert_eq!(at("1795863600.0004", in_lines(Some(TimeUnit::Seconds), None, None)), expected);
    assert_eq!(
        at("1795863600000000", in_lines(Some(TimeUnit::Microseconds), None, None)),
        expected
    );
    assert_eq!(at("2026-11-28 12:00:00", in_lines(None, None, Some("Europe/Berlin"))), expected);
    let elapsed = in_lines(Some(TimeUnit::Seconds), Some("2026-11-28T10:59:58Z"), None);
    assert_eq!(at("2.000", elapsed), expected);
    // A wrong unit lands before anybody streamed readings.
    let early = in_lines(Some(TimeUnit::Milliseconds), None, None);
    let error = fault("1795863600,72", early).to_string();
    assert!(error.contains("found one of 1970"), "{error}");
}

#[test]
fn a_steady_rate_counts_blank_lines_as_lost_samples() {
    let start = parse_instant("2026-11-28T11:00:00Z").unwrap();
    let period = Period::from_rate("1").unwrap();
    let steady =
        |missing| Rules { times: Times::Steady { start, period }, missing, ..rules("heart-rate") };
    let text = "\nvalue\n\n70\n\n71\nnan\n72\n\n\n";
    assert_eq!(values(text, steady(Missing::Off)), [Some(700), None, Some(710), None, Some(720)]);
    let Found { readings, counts, .. } = read(text, steady(Missing::Skip));
    assert_eq!(readings.last(), Some(&("2026-11-28T11:00:04.000Z".to_owned(), Some(720))));
    assert_eq!((counts.values, counts.skipped), (3, 2));
    assert!(fault(text, steady(Missing::Error)).to_string().contains("--missing"));
}

#[test]
fn rates_and_periods_are_any_fraction() {
    let start = parse_instant("2026-11-28T00:00:00Z").unwrap();
    let after = |period: Period, count| period.times(count).unwrap();
    assert_eq!(after(Period::from_rate("360").unwrap(), 3600), 10_000_000);
    assert_eq!(after(Period::from_rate("62.5").unwrap(), 125), 2_000_000);
    assert_eq!(Period::from_rate("1/60"), Period::from_length("60s"));
    assert_eq!(Period::from_length("1/360"), Period::from_rate("360"));
    assert_eq!(Period::from_length("5m"), Period::from_length("300"));
    assert_eq!(after(Period::from_rate("0.0166666666667").unwrap(), 1), 59_999_999);
    for text in ["0", "", "-1", "1/0", "fast", "1e-30", "1/2/3"] {
        assert!(Period::from_rate(text).is_err() && Period::from_length(text).is_err(), "{text}");
    }
    assert!(times::at_row(start, Period::from_length("1000h").unwrap(), u64::MAX).is_err());
}

#[test]
fn absence_is_stated_and_counted() {
    let text = format!("{AT},off\n{AT},nan\n{AT},\n{AT},NA\n{AT},---\n{AT},null\n{AT},72");
    let Found { readings, error, counts } = read(&text, rules("heart-rate"));
    assert_eq!((readings.len(), error), (7, None));
    assert_eq!((counts.values, counts.absent), (1, 6));
    let skip = Rules { missing: Missing::Skip, ..rules("heart-rate") };
    let Found { readings, counts, .. } = read(&text, skip);
    // What the file calls off is a reading that says so.
    assert_eq!((readings.len(), counts.absent, counts.skipped), (2, 1, 5));
    let error = Rules { missing: Missing::Error, ..rules("heart-rate") };
    assert_eq!(fault(&text, error).line, 2);
}

#[test]
fn a_sentinel_is_asked_about_and_never_rewritten() {
    let text = format!("{AT},255\n{AT},0\n{AT},72");
    let error = fault(&text, rules("heart-rate"));
    assert!(error.to_string().contains("--sentinel VALUE"), "{error}");
    let told = Rules {
        sentinels: vec!["255".parse().unwrap()],
        keep: vec!["0".parse().unwrap()],
        ..rules("heart-rate")
    };
    let found = read(&text, told);
    assert_eq!((found.error.as_ref(), found.counts.sentinels), (None, 1));
    assert_eq!(found.values(), [None, Some(0), Some(720)]);
    // No sentinel, but no heart either.
    let error = fault(&format!("{AT},32767"), rules("heart-rate")).to_string();
    assert!(error.contains("within 0.0 to 400.0 /min") && error.contains("--sentinel"), "{error}");
}

#[test]
fn numbers_keep_their_value_or_say_what_they_lose() {
    let text = format!("{AT},72.25");
    let error = fault(&text, rules("heart-rate")).to_string();
    assert!(error.contains("at most 1 decimals, found 2: --round"), "{error}");
    let found = read(&text, Rules { round: true, ..rules("heart-rate") });
    assert_eq!((found.values()[0], found.counts.rounded), (Some(723), 1));
    let comma = Rules { decimal: DecimalMark::Comma, ..rules("spo2") };
    assert_eq!(values(&format!("{AT};97,5"), comma), [Some(9750)]);
    let unit = Rules { unit: Some("fraction".into()), ..rules("spo2") };
    let found = read(&format!("{AT},0.975"), unit);
    assert_eq!((found.values()[0], found.counts.converted), (Some(9750), 1));
    assert_eq!(values(&format!("time,Temp (degF)\n{AT},98.6"), rules("temperature")), [Some(3700)]);
    let error = fault(&format!("time,Temp (mmHg)\n{AT},98.6"), rules("temperature")).to_string();
    assert!(error.contains("--unit") && error.contains("[degF]"), "{error}");
}

#[test]
fn a_row_that_says_no_unit_has_that_of_the_header() {
    let rows = format!("{AT},98.6,\n2026-11-28T11:00:01Z,37.0,Cel\n");
    let found = values(&format!("time,Temp (degF),unit\n{rows}"), rules("temperature"));
    assert_eq!(found, [Some(3700), Some(3700)]);
    // In a unit that is not known no value is taken as it stands.
    let found = read(&format!("time,Temp (raw),unit\n{rows}"), rules("temperature"));
    assert!(found.error.is_some() && found.readings.is_empty(), "{:?}", found.readings);
}

#[test]
fn the_step_of_a_voltage_is_asked_for() {
    let start = parse_instant("2026-11-28T11:00:00Z").unwrap();
    let times = Times::Steady { start, period: Period::from_rate("360").unwrap() };
    let steady = Rules { times, ..rules("ecg") };
    assert!(fault("-0.145", steady.clone()).to_string().contains("--unit"));
    let said = Rules { unit: Some("mV".into()), ..steady.clone() };
    assert_eq!(values("-0.145\n0", said), [Some(-145), Some(0)]);
    assert_eq!(values("ECG (mV)\n-0.145", steady), [Some(-145)]);
    assert_eq!(fault("72", rules("heart-rate")).fault, Fault::Columns(ColumnError::NoTime));
}

#[test]
fn a_file_in_another_unit_has_no_usual_value() {
    let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
    let mut reader = Reader::new(rules("spo2"));
    let mut lines = Lines::new("2026-11-28T11:00:00Z,1.0\n2026-11-28T11:00:01Z,0.97\n".as_bytes());
    while let Some(line) = lines.read().unwrap() {
        reader.read(&line, now).unwrap();
    }
    let tally = reader.tallies()[0];
    assert_eq!((tally.values, tally.usual), (2, 0));
}

#[test]
fn a_bad_line_is_named_without_its_value_and_the_next_is_read() {
    let now = parse_instant("2026-11-28T12:00:00Z").unwrap();
    let mut reader = Reader::new(rules("heart-rate"));
    let line =
        |number, text: &str| Line { number, text: text.into(), is_ended: true, ..Line::default() };
    assert!(reader.read(&line(1, &format!("{AT},72")), now).is_ok());
    for (number, text) in [(2, "oops"), (3, "2026-11-28T11:00:00Z,secret"), (4, "\"open,1")] {
        let error = reader.read(&line(number, text), now).unwrap_err();
        assert_eq!(error.line, number);
        assert!(!error.to_string().contains("secret") && !error.fault.is_final(), "{error}");
    }
    assert_eq!(reader.read(&line(5, &format!("{AT},73")), now).unwrap()[0].value, Some(730));
    let utf16 = "\u{fffd}\u{fffd}t\0i\0m\0e\0";
    assert!(fault(utf16, rules("heart-rate")).fault.is_final());
}
