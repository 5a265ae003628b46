//! A node that cannot take a stream now: told each time, and the stream goes on by itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::{Connection, Delay, Delayed, StreamError};
use model::{RejectCode, Sequence};
use tokio::sync::mpsc;
use wire::Lane;

use crate::node::{Behaviour, Node, descriptor, reading};

fn postponing(postpone_opens: usize) -> Behaviour {
    Behaviour { postpone_opens, ..Behaviour::default() }
}

/// A connection whose delays are collected, and told.
async fn listening(node: &Node) -> (Connection, mpsc::UnboundedReceiver<Delay>) {
    let (sender, told) = mpsc::unbounded_channel();
    let on_delay = move |delay: &Delay| drop(sender.send(delay.clone()));
    let connection = node.connect_as(|config| config.on_delay = Some(Arc::new(on_delay))).await;
    (connection.unwrap(), told)
}

#[tokio::test]
async fn a_stream_that_is_postponed_opens_by_itself_and_each_delay_is_told() {
    let node = Node::start(postponing(3));
    let told = Arc::new(Mutex::new(Vec::new()));
    let listened = told.clone();
    let on_delay = move |delay: &Delay| listened.lock().unwrap().push(delay.clone());
    let connection = node.connect_as(|config| config.on_delay = Some(Arc::new(on_delay)));
    let connection = connection.await.unwrap();
    let stream = connection.open_stream(Lane::Live, descriptor(1)).await.unwrap();
    let sequence = stream.send(&[reading(60)]).await.unwrap();
    stream.wait_for_receipt(sequence).await.unwrap();
    assert_eq!((connection.counts().streams_delayed, connection.counts().frames_delayed), (3, 0));
    let told = told.lock().unwrap();
    let (what, code) = (Delayed::Opening, RejectCode::Unavailable);
    let expected =
        |one: &Delay| (one.what, one.code) == (what, code) && one.stream == descriptor(1).name();
    assert!(told.len() == 3 && told.iter().all(expected), "{told:?}");
}

#[tokio::test]
async fn a_stream_goes_on_after_a_reconnect_at_which_the_node_could_not_open_it() {
    let node = Node::start(Behaviour { silent: true, ..Behaviour::default() });
    let (connection, mut told) = listening(&node).await;
    let stream = connection.open_stream(Lane::Live, descriptor(1)).await.unwrap();
    stream.send(&[reading(60)]).await.unwrap();
    node.stored(1).await;
    node.behave(postponing(2));
    node.hang_up();
    for _ in 0..2 {
        let delay = told.recv().await.expect("a delay");
        assert_eq!((delay.what, delay.code), (Delayed::Opening, RejectCode::Unavailable));
    }
    // What is sent meanwhile waits, and what had no receipt gets it.
    stream.send(&[reading(61)]).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(stream.last_receipted(), Sequence(2));
    assert_eq!(connection.counts().reconnects, 1);
}

#[tokio::test]
async fn a_stream_that_never_opens_is_an_error_that_says_what_the_node_said() {
    let node = Node::start(postponing(usize::MAX));
    let connection = node.connect_as(|config| config.waits.open = Duration::from_millis(50)).await;
    let connection = connection.unwrap();
    let refused = connection.open_stream(Lane::Live, descriptor(1)).await;
    let Err(StreamError::Postponed { code, .. }) = refused else { panic!("opened") };
    assert_eq!(code, RejectCode::Unavailable);
    // Nothing of it is left: the same stream can be opened once the node is well again.
    node.behave(Behaviour::default());
    connection.open_stream(Lane::Live, descriptor(1)).await.unwrap();
}

#[tokio::test]
async fn frames_that_come_again_are_told_as_such() {
    let reject_frame = Some(RejectCode::Busy);
    let node = Node::start(Behaviour { reject_frame, ..Behaviour::default() });
    let (connection, mut told) = listening(&node).await;
    let stream = connection.open_stream(Lane::Live, descriptor(1)).await.unwrap();
    stream.send(&[reading(60)]).await.unwrap();
    stream.flush().await.unwrap();
    let delay = told.recv().await.expect("a delay");
    assert_eq!((delay.what, delay.code), (Delayed::Frames, RejectCode::Busy));
}
