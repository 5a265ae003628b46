//! A process that is killed while it appends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use journal::fault::salts;
use journal::{FileMedium, Genesis, Log};

#[test]
fn what_a_killed_process_acknowledged_is_there_with_the_same_journal_hash() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("log");
    let genesis = Genesis { log_id: *b"journal-fill-log", journal_hash: [0; 32] };
    let mut acknowledged = Vec::new();
    for acks in [1, 20, 7] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_journal-fill"))
            .arg(&path)
            .args(["1000000", "3", "700", "acks"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the filler starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        acknowledged.extend(lines.take(acks).map(|line| line.expect("a line")));
        child.kill().expect("kill");
        child.wait().expect("wait");
    }
    assert_eq!(acknowledged.len(), 28);
    let (log, _) =
        Log::open(FileMedium::open(&path).expect("unlocked"), genesis, salts()).expect("open");
    for line in acknowledged {
        let (last, tag) = line.split_once(' ').expect("two words");
        let number = log.reader().group_of(last.parse().expect("a position")).expect("present");
        let group = log.group(number).expect("readable");
        assert_eq!(group.last.to_string(), last);
        assert_eq!(
            group.journal_hash[..8].iter().map(|b| format!("{b:02x}")).collect::<String>(),
            tag
        );
    }
}
