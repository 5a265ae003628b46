//! The bytes of a file: what stands there, what acts on nobody, and that a changed word is noticed.

use accounting::{About, Document, Export, ExportKind, Format, ReadError};

use crate::claims::{Access, RESEARCH, about, at, collection, document, entry};

const TABLES: [ExportKind; 2] = [ExportKind::Disclosures, ExportKind::AccessLog];
const FORMATS: [Format; 3] = [Format::Csv, Format::Json, Format::Html];

fn export(kind: ExportKind, format: Format) -> Export {
    let of = |day| Access { day, ..RESEARCH };
    let glass = Access { day: 4, glass: true, covered: false, ..RESEARCH };
    Export { document: document(kind, &[of(1), of(3), glass]), format }
}

fn all() -> Vec<Export> {
    let tables = TABLES.into_iter().flat_map(|kind| FORMATS.map(|format| export(kind, format)));
    tables.chain([export(ExportKind::AuditEvents, Format::Json)]).collect()
}

#[test]
fn a_file_is_read_back_as_what_was_written() {
    for export in all() {
        let text = export.to_text();
        assert_eq!(Export::read(text.as_bytes()), Ok(export.clone()), "{text}");
        assert_eq!(text, export.to_text(), "twice the same");
    }
    for format in FORMATS {
        let document = Document::new(about(ExportKind::Disclosures), []).expect("none");
        let empty = Export { document, format };
        assert_eq!(Export::read(empty.to_text().as_bytes()), Ok(empty));
    }
}

#[test]
fn an_accounting_has_what_the_law_asks_for_in_each_line() {
    let text = export(ExportKind::Disclosures, Format::Csv).to_text();
    let lines: Vec<_> = text.split("\r\n").filter(|line| line.starts_with("line,")).collect();
    let transaction = "ab".repeat(32);
    let expected = "line,1,2026-10-04T07:06:40.000Z,practitioner dr-001 of organisation ward-3,\
                    \"ecg, measured 2026-10-04T07:06:40.000Z to 2026-10-04T07:06:40.001Z\",\
                    research (HRESCH),study 12,\"covered by a rule of the patient, proven\",\
                    2,2026-10-06T07:06:40.000Z,4.0.1 4.0.3,0x";
    assert_eq!(lines.first(), Some(&format!("{expected}{transaction}").as_str()));
    let broken = lines.get(1).expect("a second line");
    assert!(broken.contains("emergency access (break-glass), NO RULE covered it"), "{broken}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn each_changed_line_is_named() {
    for export in all() {
        let text = export.to_text();
        let line = |part: &str| {
            1 + text.split('\n').position(|line| line.contains(part)).expect("a line with it")
        };
        let changed = text.replacen("2026-10-04", "2026-10-05", 1);
        let found = Export::read(changed.as_bytes());
        let lines = vec![line("2026-10-04")];
        assert_eq!(found, Err(ReadError::Different { lines }), "{text}");
    }
}

#[test]
fn a_line_that_is_taken_out_put_in_or_moved_is_noticed() {
    for export in all() {
        let text = export.to_text();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let mut shorter = lines.clone();
            let taken = shorter.remove(at);
            let read = Export::read(shorter.concat().as_bytes());
            assert!(read.as_ref() != Ok(&export), "without {taken}");
            let mut longer = lines.clone();
            longer.insert(at, taken);
            let read = Export::read(longer.concat().as_bytes());
            // An opening that stands twice is one; the file is not as it is written, though.
            assert!(read.is_err(), "twice {taken}");
        }
    }
}

#[test]
fn foreign_words_act_on_no_spreadsheet_page_or_reader() {
    let hostile = [
        "=HYPERLINK(\"http://evil\",\"x\")",
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "<script>alert(1)</script>",
        "</td></tr><li>00</li>",
        "a\u{2028}opening,00\u{202e}<li>00</li>",
        "\",\"openings\":[\"00\"],\"x\":\"",
        "it's \"quoted\", twice",
    ];
    for reason in hostile {
        for (kind, format) in TABLES.into_iter().flat_map(|kind| FORMATS.map(|one| (kind, one))) {
            let access = Access { reason, ..RESEARCH };
            let export = Export { document: document(kind, &[access]), format };
            let text = export.to_text();
            assert_eq!(Export::read(text.as_bytes()), Ok(export), "{text}");
            match format {
                Format::Html => assert!(!text.contains("<script") && !text.contains("<a ")),
                Format::Csv => check_cells(&text),
                Format::Json => {}
            }
        }
    }
}

/// Every cell that a spreadsheet shows begins with something else than a formula does.
fn check_cells(text: &str) {
    for line in text.split("\r\n") {
        let mut rest = line;
        while !rest.is_empty() {
            let (cell, behind) = match rest.strip_prefix('"') {
                Some(quoted) => split_quoted(quoted),
                None => rest.split_once(',').unwrap_or((rest, "")),
            };
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell} in {line}");
            rest = behind;
        }
    }
}

/// The quoted cell and what is behind it.
fn split_quoted(text: &str) -> (&str, &str) {
    let mut from = 0;
    loop {
        let end = from + text[from..].find('"').expect("the end of a quoted cell");
        match text[end + 1..].strip_prefix('"') {
            Some(_) => from = end + 2,
            None => {
                let behind = &text[end + 1..];
                return (&text[..end], behind.strip_prefix(',').unwrap_or(behind));
            }
        }
    }
}

#[test]
fn a_page_is_one_file_without_scripts_and_for_paper() {
    let text = export(ExportKind::AccessLog, Format::Html).to_text();
    for part in ["http://", "https://", "<script", "<link", "<img", "url(", "src="] {
        assert!(!text.contains(part), "{part}");
    }
    assert!(text.contains("@media print") && text.contains("default-src 'none'"));
}

#[test]
fn a_suspension_is_said_and_hides_no_line() {
    let suspended_until = Some(at(40));
    let suspended = About { suspended_until, ..about(ExportKind::Disclosures) };
    let document = Document::new(suspended, [RESEARCH.entry()]).expect("one");
    let export = Export { document, format: Format::Csv };
    let text = export.to_text();
    assert!(
        text.contains("suspension under 164.528(a)(2) was declared until 2026-11-12"),
        "{text}"
    );
    assert_eq!(text.matches("\r\nline,").count(), 1);
}

#[test]
fn what_is_no_export_is_refused() {
    let events = export(ExportKind::AuditEvents, Format::Json);
    let as_table = events.to_text().replace("kind=audit-events", "kind=access-log");
    assert!(matches!(Export::read(as_table.as_bytes()), Err(ReadError::Different { .. })));
    let table = export(ExportKind::AccessLog, Format::Csv).to_text();
    let as_events = table.replace("kind=access-log", "kind=audit-events");
    assert_eq!(Export::read(as_events.as_bytes()), Err(ReadError::Form));
    for other in ["", "{}", "<html>", "a,b\r\n", "{\"about\":7}", "\u{fffd}"] {
        assert!(matches!(Export::read(other.as_bytes()), Err(ReadError::Form)), "{other}");
    }
    assert_eq!(Export::read(&[0xff, 0xfe]), Err(ReadError::Form));
    let text = export(ExportKind::AccessLog, Format::Csv).to_text();
    let broken = text.replacen("opening,01", "opening,02", 1);
    assert!(matches!(Export::read(broken.as_bytes()), Err(ReadError::Opening { number: 1, .. })));
    let broken = text.replacen("opening,01", "opening,0x", 1);
    assert_eq!(Export::read(broken.as_bytes()), Err(ReadError::Hex { number: 1 }));
}

/// What each kind looks like, for whoever reads one: `UPDATE=1` writes them.
#[test]
fn samples_are_as_they_are_written() {
    let glass = Access { day: 4, glass: true, covered: false, ..RESEARCH };
    let collected = entry(collection(5));
    let entries =
        [RESEARCH.entry(), Access { day: 3, ..RESEARCH }.entry(), glass.entry(), collected];
    let samples = [
        ("disclosures.csv", ExportKind::Disclosures, Format::Csv),
        ("access-log.html", ExportKind::AccessLog, Format::Html),
        ("access-log.json", ExportKind::AccessLog, Format::Json),
        ("events.json", ExportKind::AuditEvents, Format::Json),
    ];
    for (name, kind, format) in samples {
        let document = Document::new(about(kind), entries.clone()).expect("few");
        let expected = Export { document, format }.to_text();
        let path = format!("{}/tests/accounting/samples/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &expected).expect("a file that can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{name}: expected what UPDATE=1 writes");
    }
}
