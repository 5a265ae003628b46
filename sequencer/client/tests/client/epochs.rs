//! A device whose epochs are nearly used up, at a bridge: it is told in time, and what comes behind
//! the last one is refused by name.

use std::path::Path;

use client::StreamError;
use wire::Lane;

use crate::command_line::folder_with_identities;
use crate::mllp::{Bridge, message};
use crate::node::{Behaviour, Node, descriptor, reading};

/// A state folder whose stream has a frame in an epoch.
async fn use_epoch(node: &Node, folder: &Path, epoch: u16) {
    let state = folder.join("state");
    let connection = node.connect_as(|config| config.state = Some(state)).await.unwrap();
    let stream = connection.open_stream(Lane::Live, descriptor(epoch)).await.unwrap();
    let sequence = stream.send(&[reading(720)]).await.unwrap();
    stream.wait_for_receipt(sequence).await.unwrap();
    drop(stream);
    connection.close().await;
}

#[tokio::test]
async fn a_device_that_comes_near_its_last_epoch_is_told_before_anything_is_refused() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    use_epoch(&node, folder.path(), 59_998).await;
    let mut bridge = Bridge::start(folder.path(), &node, "").await;
    // Each other patient begins another epoch.
    let other = message("2", 73).replace("4711", "4712");
    let answers = bridge.send(&[message("1", 72), other, message("3", 74)]).await;
    assert!(answers.iter().all(|one| one.starts_with("MSA|AA|")), "{answers:?}");
    let said = bridge.running.says("register another name").await;
    assert!(said.contains("m-1") && said.contains("in epoch 60000 of 65,535"), "{said}");
    assert_eq!(bridge.end().await["epochs_used_max"], 60_000);
}

#[tokio::test]
async fn behind_the_last_epoch_a_message_is_refused_by_name_and_the_same_patient_goes_on() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    use_epoch(&node, folder.path(), u16::MAX).await;
    let bridge = Bridge::start(folder.path(), &node, "").await;
    let other = message("2", 73).replace("4711", "4712");
    let answers = bridge.send(&[message("1", 72), other, message("3", 74)]).await;
    assert!(answers[0].starts_with("MSA|AA|1|"), "{answers:?}");
    assert!(answers[1].starts_with("MSA|AE|2|epochs-used"), "{answers:?}");
    assert!(answers[2].starts_with("MSA|AA|3|"), "{answers:?}");
    assert_eq!(bridge.end().await["epochs_used_max"], u16::MAX);
}

#[tokio::test]
async fn an_epoch_behind_the_nodes_last_one_is_none_instead_of_the_last_one_again() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    use_epoch(&node, folder.path(), u16::MAX).await;
    let connection = node.connect().await;
    let error = connection.epoch(&descriptor(1).key).unwrap_err();
    assert!(matches!(&error, StreamError::Spool(_)), "{error:?}");
    assert!(client_words(&error).contains("all 65,535 are used"), "{error:?}");
}

fn client_words(error: &StreamError) -> String {
    model::with_causes(error)
}
