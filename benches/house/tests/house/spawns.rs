//! Threads and tasks of the node are started where their end is noticed.

use crate::code;
use crate::source;

/// What starts something that runs beside its caller.
const STARTS: [&str; 4] = ["tokio::spawn(", "thread::spawn(", "thread::Builder::new(", "JoinSet::"];

/// Who may: the guard, and the server of connections, which counts the panics of each.
const MAY: [&str; 2] = ["/sequencer/src/guard.rs", "/sequencer/src/stages/ingest/server.rs"];

#[test]
fn threads_and_tasks_of_the_node_are_started_by_the_guard() {
    let mut wrong = Vec::new();
    for file in source::files(&["rs"]) {
        let own = file.path.strip_prefix("/sequencer/src/");
        let is_node = own.is_some_and(|own| !own.starts_with("demo/") && !own.contains("tests"));
        if !is_node || MAY.contains(&file.path.as_str()) {
            continue;
        }
        let code = code::production(&code::blanked(&file.text));
        for (n, line) in code.lines().enumerate() {
            if STARTS.iter().any(|start| line.contains(start)) {
                wrong.push(format!("{}:{}: {}", file.path, n + 1, line.trim()));
            }
        }
    }
    let wrong = wrong.join("\n");
    assert!(wrong.is_empty(), "expected `Guard` or `spawn_request` to start these:\n{wrong}");
}
