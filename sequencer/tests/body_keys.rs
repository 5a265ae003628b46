//! The keys of readings, from outside: made, backed up and destroyed beside a running node, lost
//! with their disk and brought back.

use std::path::Path;
use std::process::{Command, Output};

use sequencer::node::NodeError;

use crate::support::{Site, check_output, opens};

fn keys(site: &Site, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    command.arg("keys").args(words);
    if words[0] != "recovery-key" {
        command.args(["--dir", &site.layout.folder().display().to_string()]);
    }
    command.output().unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_backed_up_and_destroyed_beside_a_running_node_and_brought_back_to_a_stopped_one()
{
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    check_output(
        &keys(&site, &["status"]),
        0,
        "1 keys of 1 patients in 1 epochs, 1 of them in no backup",
    );
    let [secret, backup] = ["recovery.key", "keys.backup"].map(|name| text(&site.beside(name)));
    let public = check_output(&keys(&site, &["recovery-key", &secret]), 0, "");
    let make = ["backup", &backup, "--to", public.trim(), "--expires", "1d"];
    check_output(&keys(&site, &make), 0, "1 keys in");
    check_output(&keys(&site, &make), 1, "found one");
    check_output(&keys(&site, &["status"]), 0, "0 of them in no backup");
    assert!(opens(&site, &node, 1).await);

    // The disk of the key folder is gone: the start says so, and what to do.
    drop(edge);
    node.stop().await.unwrap();
    std::fs::remove_dir_all(site.layout.body_keys()).unwrap();
    let refused = site.start_error().await;
    assert!(matches!(refused, NodeError::BodyKeys(_)), "{refused:?}");
    check_output(
        &keys(&site, &["restore", &backup, "--secret", &secret]),
        0,
        "1 keys brought back",
    );
    let (node, edge) = site.start().await;
    assert!(opens(&site, &node, 1).await);
    // In use: a restore is for a stopped node.
    check_output(
        &keys(&site, &["restore", &backup, "--secret", &secret]),
        3,
        "a node is running there",
    );

    let patient = crate::support::stream_key().patient.get().to_string();
    // The one that was brought back, and that of the epoch which began with it.
    let said =
        check_output(&keys(&site, &["destroy", "--patient", &patient]), 0, "2 keys of 1 patients");
    assert!(said.contains("a backup of keys may hold them until"), "{said}");
    assert!(!opens(&site, &node, 1).await, "erased");
    node.submit(site.frame(2)).await.unwrap();
    assert!(opens(&site, &node, 2).await, "what comes later has a key of its own");
    drop(edge);
    node.stop().await.unwrap();
    // Of a stopped node nobody knows whom a legal hold is on.
    check_output(&keys(&site, &["destroy", "--patient", &patient]), 3, "no node runs in");
    // Neither a restart nor the backup brings it back, and the node goes on.
    check_output(&keys(&site, &["restore", &backup, "--secret", &secret]), 0, "1 were destroyed");
    let (node, edge) = site.start().await;
    assert!(!opens(&site, &node, 1).await && opens(&site, &node, 2).await);
    node.submit(site.frame(3)).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();
    // Whoever checks the journal is told which frames nobody opens any more, and of no difference.
    let mut command = Command::new(env!("CARGO_BIN_EXE_sequencer"));
    let dir = site.layout.folder().display().to_string();
    let output = command.args(["journal", "check", "--full", "--dir", &dir]).output().unwrap();
    let said = check_output(&output, 0, "1 frames whose patients were erased");
    assert!(said.contains("all hold") && !said.contains("another state"), "{said}");
}
