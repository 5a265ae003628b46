//! A bridge whose state folder is one of before: restored from a backup, after more was sent.

use std::path::Path;

use crate::command_line::folder_with_identities;
use crate::mllp::{Bridge, message};
use crate::node::{Behaviour, HEART_RATE, Node};

/// Copies what stands in a folder to one that takes its place.
fn copy(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).ok();
    ::files::make_folder(to, ::files::Audience::Owner).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|one| (one.path(), one.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => {
                let bytes = std::fs::read(&path).unwrap();
                ::files::replace(&to.join(name), &[&bytes], ::files::Audience::Owner).unwrap();
            }
        }
    }
}

/// The values that the node has, in order.
fn values(node: &Node) -> Vec<i32> {
    let signal = model::signal_by_code(HEART_RATE).unwrap();
    let log = node.log();
    let frames = log.frames.values().flat_map(|frames| frames.values());
    let readings = frames.flat_map(|(frame, ..)| frame.readings(signal).unwrap());
    let mut values: Vec<_> = readings.filter_map(|reading| reading.value).collect();
    values.sort_unstable();
    values
}

/// What a message is answered, sent again for as long as it is told so.
async fn settled(bridge: &Bridge, message: &str) -> String {
    let begin = std::time::Instant::now();
    loop {
        let answer = bridge.send(&[message.to_owned()]).await.remove(0);
        if !answer.starts_with("MSA|AE|") {
            return answer;
        }
        assert!(begin.elapsed().as_secs() < 60, "for ever: {answer}");
    }
}

#[tokio::test]
async fn from_a_folder_of_before_the_device_goes_on_and_the_output_says_what_may_come_twice() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let [state, backup] = ["state", "backup"].map(|name| folder.path().join(name));
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let first = bridge.send(&[message("1", 72)]).await;
    bridge.end().await;
    copy(&state, &backup);
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let since = bridge.send(&[message("2", 73), message("3", 74)]).await;
    assert!(since.iter().all(|one| one.starts_with("MSA|AA|")), "{since:?}");
    bridge.end().await;
    copy(&backup, &state);
    let mut bridge = Bridge::start(folder.path(), &node, "").await;
    // What it knows of is answered as before; what comes now goes behind what the node has.
    assert_eq!(bridge.send(&[message("1", 72)]).await, first);
    assert!(settled(&bridge, &message("4", 75)).await.starts_with("MSA|AA|4|"));
    assert_eq!(values(&node), [720, 730, 740, 750]);
    let said = bridge.running.says("than this state folder knows of").await;
    assert!(said.contains("may be stored twice"), "{said}");
    // What it does not know any more is taken for new.
    assert!(settled(&bridge, &message("3", 74)).await.starts_with("MSA|AA|3|"));
    assert_eq!(values(&node), [720, 730, 740, 740, 750]);
    bridge.end().await;
}

#[tokio::test]
async fn what_waited_in_a_folder_of_before_is_neither_sent_under_another_frames_place_nor_twice() {
    // It stores the first one, and says nothing.
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let folder = folder_with_identities(&node);
    let [state, backup] = ["state", "backup"].map(|name| folder.path().join(name));
    let bridge = Bridge::start(folder.path(), &node, "--answer-within 1s").await;
    let away = bridge.send(&[message("1", 72)]).await;
    assert!(away[0].starts_with("MSA|AE|1|node-away"), "{away:?}");
    node.stored(1).await;
    bridge.end().await;
    copy(&state, &backup);
    node.behave(Behaviour::default());
    let bridge = Bridge::start(folder.path(), &node, "").await;
    assert!(settled(&bridge, &message("1", 72)).await.starts_with("MSA|AA|1|"));
    assert!(settled(&bridge, &message("2", 73)).await.starts_with("MSA|AA|2|"));
    bridge.end().await;
    copy(&backup, &state);
    let mut bridge = Bridge::start(folder.path(), &node, "").await;
    let said = bridge.running.says("than this state folder knows of").await;
    assert!(said.contains("restored from a backup"), "{said}");
    // The folder does not know its receipt, and the node has it: nobody decides it anew.
    let again = settled(&bridge, &message("1", 72)).await;
    assert!(again.starts_with("MSA|AR|1|may-be-stored"), "{again}");
    assert!(settled(&bridge, &message("3", 74)).await.starts_with("MSA|AA|3|"));
    bridge.end().await;
    assert_eq!(values(&node), [720, 730, 740]);
}
