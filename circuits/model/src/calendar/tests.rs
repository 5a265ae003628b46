//! Every form of a time, and every text that is refused rather than guessed.

use super::*;

fn unix(ms: u64) -> Millis {
    Millis::from_unix_ms(ms)
}

/// The first instant and the first after it, in UTC.
fn whole(text: &str) -> Option<(String, String)> {
    let Ok(Written::Whole { begin, end }) = Written::parse(text) else { return None };
    let utc = |local: Local| Utc(local.at_offset(0).unwrap().millis()).to_string();
    Some((utc(begin), utc(end)))
}

#[test]
fn every_form_of_one_instant_is_read() {
    let instant = unix(1_777_624_200_250);
    for text in [
        "2026-05-01T08:30:00.25Z",
        "2026-05-01t08:30:00.2509z",
        "2026-05-01 08:30:00.250 UTC",
        "2026-05-01 10:30:00.250+02:00",
        "2026-05-01 10:30:00.250 +0200",
        "2026-05-01T10:30:00,250+02",
        "2026/05/01 08:30:00.250Z",
        "20260501T083000.250Z",
        "2026-04-30T20:30:00.250-12:00",
        "1777624200250",
    ] {
        assert_eq!(parse_instant(text).map(Instant::millis), Ok(instant), "{text}");
    }
    assert_eq!(parse_instant("2024-02-29T00:00Z"), parse_instant("20240229T0000Z"));
    // What the clock of a device says to the microsecond stays.
    let micros = parse_instant("2026-05-01T08:30:00.1234567Z").unwrap().micros();
    assert_eq!(micros % 1_000_000, 123_456);
}

#[test]
fn a_year_a_month_and_a_day_are_whole_and_in_no_zone() {
    let day = |date: &str| format!("{date}T00:00:00.000Z");
    for (text, begin, end) in [
        ("2025", "2025-01-01", "2026-01-01"),
        ("2025-12", "2025-12-01", "2026-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2027-12-31", "2027-12-31", "2028-01-01"),
        ("20250101", "2025-01-01", "2025-01-02"),
        ("2025/01/01", "2025-01-01", "2025-01-02"),
    ] {
        assert_eq!(whole(text), Some((day(begin), day(end))), "{text}");
    }
    for (text, what) in [("2025", "year"), ("2025-02", "month"), ("2025-02-03", "day")] {
        assert_eq!(parse_instant(text), Err(CalendarError::NoClock { what }), "{text}");
    }
}

#[test]
fn a_time_of_day_without_a_zone_stays_without_one() {
    for text in ["2026-05-01T08:30", "2026-05-01 08:30:00.5", "20260501083000"] {
        assert!(matches!(Written::parse(text), Ok(Written::Local(_))), "{text}");
        assert_eq!(parse_instant(text), Err(CalendarError::NoZone), "{text}");
    }
    let Ok(Written::Local(local)) = Written::parse("2026-05-01T08:30") else { panic!("local") };
    assert_eq!(local.at_offset(7200), parse_instant("2026-05-01T06:30Z"));
    assert_eq!(Written::parse("now"), Ok(Written::Now));
    assert_eq!(parse_instant("now"), Err(CalendarError::Time));
}

#[test]
fn digits_that_may_be_several_things_are_refused_with_their_count() {
    // Seconds, minutes of a compact date, microseconds, nanoseconds, a device's own count.
    for text in ["1777624200", "202605010830", "1777624200250000", "1777624200250000000", "42"] {
        let found = text.len();
        assert_eq!(Written::parse(text), Err(CalendarError::Digits { found }), "{text}");
    }
}

#[test]
fn a_leap_second_is_the_second_after_it_and_no_other_minute_has_sixty_one() {
    for text in ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "20150630T235960Z"] {
        let read = parse_instant(text).map(|at| Utc(at.millis()).to_string()).unwrap();
        assert!(read.ends_with("-01T00:00:00.000Z"), "{text}: {read}");
    }
    for text in ["2016-12-31T23:58:60Z", "2016-12-30T23:59:60Z", "2016-12-31T23:59:60+01:00"] {
        assert_eq!(parse_instant(text), Err(CalendarError::NoLeapSecond), "{text}");
    }
    for text in ["2016-12-31T23:59:60", "20161231235960", "2016-12-31 23:59:60.5"] {
        assert_eq!(parse_instant(text), Err(CalendarError::LeapWithoutZone), "{text}");
    }
}

#[test]
fn times_are_printed_in_utc_and_the_ends_in_words() {
    for (unix_ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_123, "2000-02-29T00:00:00.123Z"),
        (1_777_624_200_250, "2026-05-01T08:30:00.250Z"),
        (1_795_339_801_000, "2026-11-22T09:30:01.000Z"),
    ] {
        assert_eq!(Utc(unix(unix_ms)).to_string(), text);
    }
    assert_eq!(Utc(Millis::new(1).unwrap()).to_string(), "1900-01-01T00:00:00.001Z");
    assert_eq!(Utc(Millis::UNBOUNDED_PAST).to_string(), "the beginning");
    assert_eq!(Utc(Millis::UNBOUNDED_FUTURE).to_string(), "for ever");
}

#[test]
fn days_that_do_not_exist_and_other_text_are_refused() {
    for text in ["2025-02-29", "2025-13-01", "2025-00-01", "2025-04-31", "2025-01-00", "20251301"] {
        let refused = Written::parse(text);
        assert!(matches!(refused, Err(CalendarError::Field { .. })), "{text}: {refused:?}");
    }
    for text in [
        "",
        "yesterday",
        "2025-1-01",
        "2025-01-01T10",
        "2025-05T10:00Z",
        "-5",
        "+5",
        "2025-01-01T",
        "2025-01-01T10:00:00.Z",
        "2025-01-01T10:00.5Z",
        "2025-01-01T+1:00:00Z",
        "2025-01-01T10:00+",
        "2025-01-01T10:00+2",
        "2025-01-01T10:00Z and more",
        "2025-01-01-01",
    ] {
        assert_eq!(Written::parse(text), Err(CalendarError::Time), "{text}");
    }
    for text in ["01/05/2026", "1-5-2026", "31/12/2026 10:00"] {
        assert_eq!(Written::parse(text), Err(CalendarError::YearLast), "{text}");
    }
    let year = |found| Err(CalendarError::Field { what: "year", found });
    assert_eq!(Written::parse("1899-12-31"), year(1899));
    assert_eq!(Written::parse("9999-12-31"), year(9999));
    assert_eq!(Written::parse("2457-01-01"), year(2457));
}

#[test]
fn a_zone_does_not_lead_out_of_the_range() {
    for text in ["1900-01-01T00:00:00+02:00", "2456-12-31T23:59:59.9-00:01"] {
        assert_eq!(parse_instant(text), Err(CalendarError::Beyond), "{text}");
    }
    let last = parse_instant("2456-12-31T23:59:59.999999Z").unwrap();
    assert_eq!(last, Instant::LAST);
    assert_eq!(Instant::from_micros(last.micros() + 1), Err(CalendarError::Beyond));
}

#[test]
fn text_of_every_day_reads_back() {
    for day in (0..203_000).step_by(97) {
        let at = Millis::new(day * DAY_MS + 86_399_999).unwrap();
        assert_eq!(parse_instant(&Utc(at).to_string()).map(Instant::millis), Ok(at));
    }
}

/// A sequence of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    /// Below `bound`.
    fn next(&mut self, bound: u64) -> u64 {
        // An LCG of Knuth; its high bits are good enough to pick forms of text.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.next(of.len() as u64) as usize]
    }
}

/// A text that is nearly always a time, at both ends of the range more often than between.
fn written(numbers: &mut Numbers) -> String {
    let year = match numbers.next(4) {
        0 => 1900,
        1 => 2456,
        _ => 1899 + numbers.next(560),
    };
    let month = numbers.pick(&["01", "06", "12", "02", "07"]);
    let day = numbers.pick(&["01", "30", "31", "28"]);
    let between = numbers.pick(&["T", " ", "t"]);
    let clock = numbers.pick(&[
        "00:00",
        "23:59:59.999999",
        "23:59:60",
        "00:59:60",
        "12:30:00,5",
        "000000",
        "235960",
    ]);
    let zone = numbers.pick(&["Z", " UTC", "+00:01", "-00:01", "+1400", "-12", "+23:59", "-23:59"]);
    format!("{year}-{month}-{day}{between}{clock}{zone}")
}

#[test]
fn whatever_is_read_is_in_the_range_and_what_is_printed_of_it_reads_back() {
    let (mut numbers, mut read) = (Numbers(7), 0);
    for _ in 0..20_000 {
        let mut text = written(&mut numbers);
        if numbers.next(4) == 0 {
            // Something is lost or changed, as on the way through a spreadsheet.
            let at = numbers.next(text.len() as u64) as usize;
            text.replace_range(at..at + 1, numbers.pick(&["", "0", ":", "-", "+", "9"]));
        }
        let Ok(at) = parse_instant(&text) else { continue };
        read += 1;
        assert!(at <= Instant::LAST, "{text}");
        let printed = Utc(at.millis()).to_string();
        // The very first millisecond is the unbounded begin, and printed in words.
        if at.millis() != Millis::UNBOUNDED_PAST {
            assert_eq!(parse_instant(&printed).map(Instant::millis), Ok(at.millis()), "{text}");
        }
    }
    assert!(read > 5_000, "most of them are times: {read}");
}

#[test]
fn an_error_names_the_range_of_what_it_is_about() {
    let said = |text| parse_instant(text).unwrap_err().to_string();
    assert_eq!(said("9999-12-31"), "expected a year from 1900 to 2456, found 9999");
    assert_eq!(said("2025-02-30T10:00Z"), "expected a day that exists, found 30");
}

#[test]
fn lengths_have_one_unit() {
    assert_eq!(parse_length("24h"), Ok(DAY_MS));
    assert_eq!(parse_length("90s"), Ok(90_000));
    for text in ["", "h", "24", "1w", "-1h", "+1h", "1.5h", "99999999999999999999d"] {
        assert_eq!(parse_length(text), Err(CalendarError::Length), "{text}");
    }
}
