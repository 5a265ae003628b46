//! What the filler says of a command line that is none.

use std::process::Command;

#[test]
fn a_command_line_that_is_none_exits_with_2_and_a_log_that_fails_with_1() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("none").join("log");
    let exit_code = |args: &[&str]| {
        let mut filler = Command::new(env!("CARGO_BIN_EXE_journal-fill"));
        let ended = filler.arg(&path).args(args).output().expect("the filler starts");
        ended.status.code()
    };
    for args in [&[][..], &["1", "1"], &["1", "1", "many"], &["1", "1", "1", "ack"]] {
        assert_eq!(exit_code(args), Some(2), "{args:?}");
    }
    assert_eq!(exit_code(&["1", "1", "1"]), Some(1), "there is no such folder");
}
