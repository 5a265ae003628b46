//! What an operator orders of the real program: tuning above the file and SIGHUP, a pause that a
//! start does not end, a window that is closed by hand, a drain that says when nothing is left.

use std::process::Output;

use serde_json::{Value, json};

use crate::reload::{Program, own_runtime, sequencer};
use crate::support::Site;

/// The object of a command that must do what it is asked.
fn told(site: &Site, words: &[&str]) -> Value {
    let Output { status, stdout, stderr } = sequencer(site, &[words, &["--json"]].concat());
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert!(status.success(), "{words:?}: {said}");
    serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{words:?}: {error}: {said}"))
}

/// What a command says that is refused, with its exit code.
fn refused(site: &Site, words: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = sequencer(site, words);
    assert!(!status.success() && stdout.is_empty(), "{words:?}");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn text(site: &Site, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = sequencer(site, words);
    assert!(status.success(), "{words:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

const KEY: &str = "settle.gas_max";

/// Sets a key above the file, has the file read again, and resets it.
fn tune(site: &mut Site, program: &mut Program) {
    let signed = ["--as", "anna", "--reason", "a \u{202e}test"];
    let set = told(site, &[&["tune", "set", KEY, "15_000_000"][..], &signed].concat());
    assert_eq!(
        set["changes"][0],
        json!({
            "key": KEY, "from": 16_000_000, "to": 15_000_000, "applies": "now",
        })
    );
    assert!(program.line("an operator tunes the node").contains(KEY));
    let (code, said) = refused(site, &["tune", "set", KEY, "1"]);
    assert_eq!(code, 1);
    assert!(said.contains("expected settle.gas_max to be 100000 to 1000000000, found 1"), "{said}");
    assert_eq!(refused(site, &["tune", "set", KEY, "1", "--as", "a\nb"]).0, 2);
    let (_, said) = refused(site, &["tune", "set", "http.listen", "127.0.0.1:1"]);
    assert!(said.contains("which holds from the next start on"), "{said}");

    site.config.settle.gas_max = 14_000_000;
    program.read_again(site);
    assert!(program.line("an operator set another value").contains(KEY));
    let listed = text(site, &["tune", "list", "--changed"]);
    let row = listed.lines().find(|line| line.starts_with(KEY)).expect(&listed);
    let columns: Vec<&str> = row.split_whitespace().take(4).collect();
    assert_eq!(columns, [KEY, "14000000", "15000000", "now;"], "{listed}");
    // What could turn the line round is written out.
    assert!(row.contains("by anna (user ") && !row.contains('\u{202e}'), "{row}");
    let all = told(site, &["tune", "list"]);
    assert!(all["keys"].as_array().unwrap().len() > 100, "every key is listed");

    // The log's level is the program's, and the node's door reaches it.
    assert_eq!(told(site, &["tune", "set", "log.level", "off"])["changes"][0]["to"], "off");
    assert_eq!(told(site, &["tune", "reset"])["changes"].as_array().unwrap().len(), 2);
    assert_eq!(told(site, &["tune", "list", "--changed", KEY])["keys"], json!([]));
}

#[test]
fn an_operator_tunes_pauses_seals_and_drains_a_node_and_each_order_is_written_down() {
    let runtime = own_runtime();
    let mut site = runtime.block_on(Site::new());
    let mut program = Program::start(&site);
    tune(&mut site, &mut program);

    let said = text(&site, &["pause", "--as", "anna"]);
    assert!(said.contains("nothing is sent to the chain") && said.contains("by anna"), "{said}");
    let sealed = told(&site, &["seal", "now"]);
    assert_eq!((&sealed["sealed"], &sealed["was_empty"]), (&json!(1), &json!(false)));
    let (code, said) = refused(&site, &["drain"]);
    assert!(code == 1 && said.contains("`sequencer resume` first"), "{said}");

    // A start does not end the pause, and says so.
    program.signal("-TERM");
    program.ended_well();
    let mut program = Program::start(&site);
    assert!(program.line("settling is paused").contains("by anna"));
    let status = text(&site, &["status"]);
    assert!(
        status.contains("\npaused       since ") && status.contains("not ready: paused"),
        "{status}"
    );
    assert_eq!(told(&site, &["status"])["batches"]["settled"], 0);
    let resumed = told(&site, &["resume"]);
    assert_eq!(resumed["ended"]["pause"]["who"]["as"], "anna");

    let drained = told(&site, &["drain", "--wait", "10m"]);
    assert_eq!((&drained["nothing_left"], &drained["settled"]), (&json!(true), &json!(1)));
    assert!(text(&site, &["drain"]).contains("nothing is left: 1 batches are settled"));
    assert!(text(&site, &["status"]).contains("\ndraining     since "));
    program.signal("-TERM");
    program.ended_well();
    assert_eq!(refused(&site, &["tune", "list"]).0, 3);

    let log = std::fs::read_to_string(site.layout.operator_log()).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: Vec<&str> = lines.iter().map(|line| line["order"].as_str().unwrap()).collect();
    let expected = ["set", "set", "reset", "reset", "pause", "seal", "resume", "drain", "drain"];
    assert_eq!(words, expected);
    assert!(lines.iter().all(|line| line["who"]["pid"].is_u64() && line["at"].is_string()));
}
