//! The drill, as an operator runs it.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_node_that_lost_its_disk_comes_back_with_everything_that_was_acknowledged() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sequencer")).args(["drill", "--json"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{found}"));
    let acknowledged = &found["acknowledged"];
    for part in ["before_backup", "during_backup", "after_backup", "in_new_term"] {
        assert!(number(&acknowledged[part]) > 0, "{part}: {found}");
    }
    // What came after the backup was gone with the disk, and all of it came again.
    assert!(number(&found["lost_with_disk"]) >= number(&acknowledged["after_backup"]), "{found}");
    assert!(number(&found["sent_again"]) >= number(&found["lost_with_disk"]), "{found}");
    assert_eq!((number(&found["lost"]), number(&found["stored_twice"])), (0, 0));
    assert_eq!(found["stored"], acknowledged["all"]);
    assert!(number(&found["batches_settled"]) > 1);
}
