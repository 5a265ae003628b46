//! The pages that each reader begins with: what stands there is what happens.

use crate::walker::Walker;

/// Where every reader begins: a node runs, and a patient is enrolled.
const UNTIL: &str = "## Stream and read";

/// In the order in which one needs the other: readings, a log of who read them, an audit of both,
/// their erasure, and the next release. Each with the least number of commands that it has.
const PAGES: [(&str, usize); 6] = [
    ("guides/gateway.md", 8),
    ("guides/integrators.md", 20),
    ("guides/patient.md", 8),
    ("guides/auditor.md", 8),
    // Of the patient who stopped their record on the first of these.
    ("erasure.md", 8),
    ("guides/operator.md", 8),
];

#[test]
fn each_readers_page_is_walked_by_its_own_commands() {
    let mut reader = Walker::new();
    reader.walk("operate.md", Some(UNTIL));
    for (page, least) in PAGES {
        let before = reader.commands;
        reader.walk(page, None);
        let found = reader.commands - before;
        assert!(found >= least, "{page}: expected {least} commands and more, found {found}");
    }
}
