//! How whole numbers are read where they come from outside.
//!
//! `str::parse` takes `+7` and `007` for 7, so that one patient, batch or port has several names.
//! `model::whole_number` takes one text for each. Whether a `parse()` is of a number nobody sees
//! who does not infer types: so it says its type here, and that is none of the language's numbers.

use crate::code;
use crate::functions::production_files;
use crate::source::File;

/// Where texts from outside are read: doors, bridges, maps, commands and the wire.
const DOORS: &[&str] = &[
    "/circuits/model/src/id.rs",
    "/circuits/model/src/signal.rs",
    "/l1-contracts/auditor/src/",
    "/loadgen/src/",
    "/prover/workers/src/",
    "/sequencer/accounting/src/",
    "/sequencer/client/bridge/src/",
    "/sequencer/client/hl7/src/",
    "/sequencer/client/payloads/src/",
    "/sequencer/client/src/bin/",
    "/sequencer/client/src/http.rs",
    "/sequencer/client/src/rule_slot.rs",
    "/sequencer/extract/src/",
    "/sequencer/fhir/src/",
    "/sequencer/page/server/src/",
    "/sequencer/pcf/src/",
    "/sequencer/src/cli/",
    "/sequencer/src/doors/",
    "/sequencer/tokens/src/",
    "/sequencer/wire/src/",
];

/// Files of these that read otherwise, and why they may.
const EXCUSED: &[(&str, &str)] = &[
    ("/loadgen/src/idle.rs", "the kernel's own status of a process"),
    ("/loadgen/src/report.rs", "the kernel's own load average"),
    ("/sequencer/client/src/bin/vitals/mqtt/session.rs", "the address of a broker"),
    ("/sequencer/fhir/src/request.rs", "a length of HTTP, which may have zeros before it"),
    ("/sequencer/src/doors/http/decisions.rs", "a header of an answer"),
    ("/sequencer/src/doors/http/handed_in.rs", "the address of a sender"),
    ("/sequencer/src/doors/http/subscriptions.rs", "a header of an answer"),
];

#[test]
fn a_whole_number_from_outside_is_read_from_its_digits_alone() {
    let is_door = |file: &File| {
        let is_excused = EXCUSED.iter().any(|(path, _)| file.path == *path);
        !is_excused && DOORS.iter().any(|door| file.path.starts_with(door))
    };
    let mut wrong = Vec::new();
    for file in production_files().into_iter().filter(is_door) {
        for (n, line) in loose(&file.text) {
            wrong.push(format!("{}:{n}: {line}", file.path));
        }
    }
    let wrong = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "expected `model::whole_number`, or `parse` with a type that is no number of the \
         language:\n{wrong}"
    );
}

/// Number and text of the lines of production code that may read a number loosely.
fn loose(text: &str) -> Vec<(usize, &str)> {
    let code = code::production(&code::blanked(text));
    let lines = code.lines().zip(text.lines()).enumerate();
    let is_loose =
        |code: &str| code.contains(".parse()") || code.split("parse::<").skip(1).any(is_number);
    let found = lines.filter(|(_, (code, _))| is_loose(code));
    found.map(|(n, (_, text))| (n + 1, text.trim())).collect()
}

/// Whether what stands behind `parse::<` begins with a number's type.
fn is_number(rest: &str) -> bool {
    let name = rest.split('>').next().unwrap_or_default();
    let is_width = |width: &str| ["8", "16", "32", "64", "128", "size"].contains(&width);
    name.starts_with("NonZero") || name.strip_prefix(['u', 'i']).is_some_and(is_width)
}

#[test]
fn a_loose_number_is_found_and_another_type_is_not() {
    let text = "let a: u32 = text.parse().ok()?;\nlet b = text.parse::<u64>();\n\
                let c = text.parse::<Zone>();\nlet d = text.map(str::parse::<usize>);\n\
                let e = text.parse::<NonZeroU32>();\nlet f = Cli::parse();\n// g.parse()\n\
                let h = whole_number(text)?;\nlet i = text.parse::<usizes::Own>();\n";
    let found: Vec<_> = loose(text).iter().map(|(n, _)| *n).collect();
    assert_eq!(found, [1, 2, 4, 5]);
}
