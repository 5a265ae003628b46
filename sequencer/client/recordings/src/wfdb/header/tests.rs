//! Forms of headers that are found in archives.

use super::*;

fn parse(text: &str) -> Header {
    Header::parse("a.hea", text).unwrap()
}

fn error(text: &str) -> String {
    Header::parse("a.hea", text).unwrap_err().to_string()
}

fn start(line: &str) -> String {
    match parse(&format!("a 1 125 10 {line}\na.dat 16\n")).start {
        Ok(Written::Local(local)) => {
            let at = local.at_offset(0).unwrap();
            format!("{} {}", model::calendar::Utc(at.millis()), at.micros() % 1000)
        }
        Ok(other) => panic!("{other:?}"),
        Err(reason) => reason.to_string(),
    }
}

#[test]
fn comments_and_blank_lines_stand_anywhere() {
    let header = parse(
        "# one\n100 2 360 650000\r\na.dat 212 200 11 1024 995 -22131 0 MLII\n\n# x\n\
                        a.dat 212 200 11 1024 1011 20052 0 V5\n# 69 M\n",
    );
    assert_eq!((header.frames, header.start), (Some(650_000), Err(NoStart::Missing)));
    let signal = &header.signals[0];
    assert_eq!((signal.baseline, signal.initial), (1024, Some(995)));
    assert_eq!(signal.checksum, Some((65_536 - 22_131) as u16));
    assert_eq!((signal.name.as_str(), signal.unit.as_str()), ("MLII", ""));
}

#[test]
fn every_field_of_a_signal_is_read_and_may_be_left_out() {
    let header = parse(
        "a 4\na.mat 16x4:3+24 1.052e+04(-5)/mV 16 0 -7 40000 0 left  arm \n\
                        a.mat 16+24\na.mat 16 0(3)/NU\n~ 0 0.833333/mmHg 8 0 0 0 0 ABP\n",
    );
    let [first, bare, uncalibrated, null] = &header.signals[..] else { panic!("four") };
    assert_eq!((first.per_frame, first.skew, first.offset), (4, 3, 24));
    assert_eq!((first.gain, first.baseline), (Decimal::from_integer(10_520), -5));
    assert_eq!((first.checksum, first.name.as_str()), (Some(40_000), "left  arm"));
    assert_eq!((bare.gain, bare.baseline), (Decimal::from_integer(200), 0));
    assert_eq!((bare.initial, bare.checksum, bare.name.as_str()), (None, None, ""));
    assert_eq!((uncalibrated.gain, uncalibrated.baseline), (Decimal::from_integer(200), 3));
    assert_eq!((null.code, null.name.as_str()), (None, "ABP"));
    assert_eq!(header.period, Period::from_rate("250").unwrap());
}

#[test]
fn a_rounded_rate_is_the_fraction_that_it_was() {
    for (rate, length) in [
        ("0.0166666666667/125", "60s"),
        ("0.016666667", "60s"),
        ("0.333333", "3s"),
        ("0.0011111111111111", "900s"),
        ("1", "1s"),
        ("0.5", "2s"),
        ("360/720(10)", "1/360"),
        ("62.4725/999.56", "10000/624725"),
        ("0.3", "10/3"),
    ] {
        let header = parse(&format!("a 1 {rate} 10\na.dat 16\n"));
        assert_eq!(Ok(header.period), Period::from_length(length), "{rate}");
    }
}

#[test]
fn a_start_has_a_true_date_or_says_why_not() {
    assert_eq!(start("8:26:04 26/10/1994"), "1994-10-26T08:26:04.000Z 0");
    assert_eq!(start("31:25.8941 01/02/2026"), "2026-02-01T00:31:25.894Z 100");
    assert_eq!(start("7 1/2/2026"), "2026-02-01T00:00:07.000Z 0");
    assert!(start("10:44:18.529 04/05/2704").contains("the year 2704"));
    assert!(start("10:44:18 04/05/0001").contains("the year 1"));
    assert!(start("8:39:12.811").contains("not on which date"));
    assert!(start("").contains("does not say when"));
}

#[test]
fn segments_have_names_or_are_gaps() {
    let header = parse("a/3 7 125 2000 8:26:04 26/10/1994\na_layout 0\n~ 500\na_1 1500\n");
    let segments: Vec<_> =
        header.segments.iter().map(|one| (one.name.as_deref(), one.frames)).collect();
    assert_eq!(segments, [(Some("a_layout"), 0), (None, 500), (Some("a_1"), 1500)]);
}

#[test]
fn what_does_not_read_is_named_by_its_line() {
    for (text, expected) in [
        ("", "a.hea, line 0: expected a record line"),
        ("# a\n", "a.hea, line 1: expected a record line"),
        ("a\n", "a.hea, line 1: expected a name and a number of signals"),
        ("a 0\n", "a.hea, line 1: expected 1 to 1024 signals"),
        ("a 9999999\n", "a.hea, line 1: expected 1 to 1024 signals"),
        ("a/0 1\n", "a.hea, line 1: expected 1 to 65536 segments behind the name"),
        ("a 1 0\n", "a.hea, line 1: expected a number of frames a second above 0"),
        ("a 1 1 -4\n", "a.hea, line 1: expected a number of samples a signal"),
        ("a 1 1 4 25:00:00\n", "a.hea, line 1: expected a time of day as 08:30:00.5"),
        ("a 1 1 4 0:0:0 1994\n", "a.hea, line 1: expected a date as 31/12/1999"),
        ("a 1 1 4 0:0:0 31/02/1994\n", "a.hea, line 1: expected a date as 31/12/1999"),
        ("a 2\n\na.dat 16\n", "a.hea, line 3: expected as many lines as the record line says"),
        ("a 1\na.dat\n", "a.hea, line 2: expected a format behind the file's name"),
        ("a 1\na.dat 16x0\n", "a.hea, line 2: expected a format as 212, 16+24, 80x4 or 212:3"),
        ("a 1\na.dat 16 5(1/mV\n", "a.hea, line 2: expected a gain as 200(-5)/mV"),
        ("a 1\na.dat 16 5 x\n", "a.hea, line 2: expected bits of the converter"),
        (
            "a 1\na.dat 310\n",
            "a.hea: expected samples in format 16, 24, 61, 80 or 212, found format 310",
        ),
        ("a/1 1\nb\n", "a.hea, line 2: expected a segment's name and number of samples"),
    ] {
        assert_eq!(error(text), expected, "{text:?}");
    }
}
