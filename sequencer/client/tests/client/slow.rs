//! Senders that are slow, on purpose or not, at a bridge's MLLP: each gives its place back in time,
//! and the others are answered meanwhile.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::command_line::folder_with_identities;
use crate::mllp::{Bridge, message};
use crate::node::{Behaviour, Node};
use crate::tls::{self, Sender, Ward};

/// Until the other side ends the connection; what it said before.
async fn ended(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // Ended with bytes that nobody read, it is a reset.
    drop(stream.read_to_end(&mut said).await);
    said
}

/// Sends one on a connection that stays open, and waits for its answer.
async fn exchange(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(format!("\x0b{text}\x1c\r").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.contains(&0x1c) {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "it stays open");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_message_that_never_ends_gives_its_place_back() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    // Were the second one let in, it would be closed after a while, and not be counted.
    let options = "--max-connections 1 --message-within 2s --idle 10s";
    let bridge = Bridge::start(folder.path(), &node, options).await;
    let mut slow = TcpStream::connect(&bridge.address).await.unwrap();
    // Answered once, so that it has the place for sure.
    exchange(&mut slow, &message("1", 72)).await;
    slow.write_all(b"\x0bMSH|^~\\&|").await.unwrap();
    let mut refused = TcpStream::connect(&bridge.address).await.unwrap();
    assert_eq!(ended(&mut refused).await, b"");
    assert_eq!(ended(&mut slow).await, b"");
    // Its place is free a moment after it hears of it.
    let begin = std::time::Instant::now();
    while !first_answer(&bridge, &message("2", 73)).await.contains("MSA|AA|2|") {
        assert!(begin.elapsed().as_secs() < 60, "its place is never free");
    }
    let said = bridge.end().await;
    assert!(said["connections_refused"].as_u64() >= Some(1), "{said}");
}

/// What a message is answered on a connection of its own; nothing where that is refused.
async fn first_answer(bridge: &Bridge, message: &str) -> String {
    let mut stream = TcpStream::connect(&bridge.address).await.unwrap();
    drop(stream.write_all(format!("\x0b{message}\x1c").as_bytes()).await);
    let mut answer = Vec::new();
    while !answer.contains(&0x1c) && stream.read_buf(&mut answer).await.unwrap_or(0) > 0 {}
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_message_that_comes_drop_by_drop_has_its_time_from_its_first_byte_on() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "--message-within 1s").await;
    let mut slow = TcpStream::connect(&bridge.address).await.unwrap();
    let mut other = TcpStream::connect(&bridge.address).await.unwrap();
    slow.write_all(b"\x0bMSH|").await.unwrap();
    let begin = std::time::Instant::now();
    let mut count = 0;
    // A drop for each message of another sender that is answered.
    loop {
        let answer = exchange(&mut other, &message("1", 72)).await;
        assert!(answer.contains("MSA|AA|1|"), "{answer}");
        count += 1;
        let is_written = slow.write_all(b"x").await.is_ok();
        let heard = slow.try_read(&mut [0; 8]);
        let is_open = heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        if !is_written || !is_open {
            break;
        }
        assert!(begin.elapsed().as_secs() < 60, "it keeps its place for ever");
    }
    assert!(count > 1 && begin.elapsed().as_millis() >= 900, "{count}: it has its time");
    bridge.end().await;
}

#[tokio::test]
async fn a_sender_that_never_reads_its_answers_gives_its_place_back() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "--message-within 1s").await;
    let mut deaf = TcpStream::connect(&bridge.address).await.unwrap();
    let many = "\x0bMSH|^~\\&|a||||||ORU^R01|1|T|2.6\x1c".repeat(1000);
    let begin = std::time::Instant::now();
    // Until nothing more fits between them, and then the bridge has waited for long enough.
    while deaf.write_all(many.as_bytes()).await.is_ok() {
        assert!(begin.elapsed().as_secs() < 60, "it keeps its place for ever");
    }
    let answer = bridge.send(&[message("1", 72)]).await;
    assert!(answer[0].starts_with("MSA|AA|1|"), "{answer:?}");
    bridge.end().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_ends_as_idle_says() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let bridge = Bridge::start(folder.path(), &node, "--idle 1s").await;
    let mut silent = TcpStream::connect(&bridge.address).await.unwrap();
    assert_eq!(ended(&mut silent).await, b"");
    // Between messages, too.
    let mut once = TcpStream::connect(&bridge.address).await.unwrap();
    exchange(&mut once, &message("1", 72)).await;
    assert_eq!(ended(&mut once).await, b"");
    bridge.end().await;
}

#[tokio::test]
async fn a_greeting_of_tls_that_never_comes_gives_its_place_back() {
    let node = Node::start(Behaviour::default());
    let folder = folder_with_identities(&node);
    let ward = Ward::new();
    ward.write(folder.path());
    let options = format!("--message-within 1s {}", tls::OPTIONS);
    let bridge = Bridge::start(folder.path(), &node, &options).await;
    let mut silent = TcpStream::connect(&bridge.address).await.unwrap();
    assert_eq!(ended(&mut silent).await, b"");
    let framed = format!("\x0b{}\x1c\r", message("1", 72));
    let taken = ward.exchange(&bridge.address, Sender::Of(&ward), framed.as_bytes()).await;
    assert!(taken.expect("let in").contains("MSA|AA|1|"));
    bridge.end().await;
}
