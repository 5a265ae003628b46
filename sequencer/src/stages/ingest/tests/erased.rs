//! A patient who was erased, and another who was not, over real sessions.

use model::{Category, Sequence, StreamHandle};
use wire::{ClientEvent, Frame, Lane, Page, Role, StreamKey};

use super::support::{
    Client, Node, body_keys, descriptor_of, now, readings, request_of, stream_of,
};

/// Of no other test: the keys are the whole process's.
const ERASED: u32 = 700;
const KEPT: u32 = 701;

/// Streams three frames of a patient, and waits for their receipts.
async fn stream(client: &mut Client, key: &StreamKey) -> (StreamHandle, Vec<Frame>) {
    let descriptor = descriptor_of(key.clone());
    let handle = client.session.open_stream(Lane::Live, descriptor, Sequence(0)).unwrap();
    client.until(|event| matches!(event, ClientEvent::StreamReady { .. }).then_some(())).await;
    let frames = (1..=3).map(|value| client.session.push(handle, &readings(value)).unwrap());
    let frames = frames.collect();
    durable(client, &[handle], 3).await;
    (handle, frames)
}

/// Waits until a sequence of each of these streams is durable, in whichever order.
async fn durable(client: &mut Client, of: &[StreamHandle], sequence: u64) {
    let mut waits = of.to_vec();
    let is_so = |event: &ClientEvent| {
        if let ClientEvent::Durable { handle, last } = event {
            waits.retain(|one| one != handle || last.0 < sequence);
        }
        waits.is_empty().then_some(())
    };
    client.until(is_so).await;
}

/// What a permitted request releases, and how many frames the end of it says there were.
async fn read(doctor: &mut Client, key: &StreamKey, nonce: u64) -> (Vec<Frame>, u64) {
    let request = request_of(key.patient, nonce, Category::Ecg);
    doctor.session.request_access(request, Page::FIRST).unwrap();
    let mut released = Vec::new();
    let ended = doctor.until(|event| {
        match event {
            ClientEvent::AccessAnswered(answer) => assert!(answer.permitted),
            ClientEvent::Released(one) => released.push(one.frame.clone()),
            ClientEvent::ReleaseEnded { frames, more, .. } => {
                assert!(!more, "nothing is left to ask for");
                return Some(*frames);
            }
            _ => {}
        }
        None
    });
    let said = ended.await;
    (released, said)
}

#[tokio::test]
async fn an_erased_patients_frames_are_released_to_nobody_and_acknowledged_again_all_the_same() {
    let node = Node::start().await;
    let keys = [ERASED, KEPT].map(stream_of);
    for key in &keys {
        node.admit_patient(key).await;
    }
    let mut client = node.gateway().await.welcomed().await;
    let (_, erased) = stream(&mut client, &keys[0]).await;
    let (_, kept) = stream(&mut client, &keys[1]).await;
    let mut doctor = node.client(Role::Practitioner, "dr").await.welcomed().await;
    let stored = |frames: &[Frame]| frames.iter().map(Frame::stored).collect::<Vec<_>>();
    for (nonce, (key, frames)) in (1..).zip(keys.iter().zip([&erased, &kept])) {
        assert_eq!(read(&mut doctor, key, nonce).await, (stored(frames), 3));
    }

    assert_eq!(body_keys().destroy(&[keys[0].patient], now()).unwrap().keys, 1);
    assert_eq!(read(&mut doctor, &keys[0], 3).await, (vec![], 0), "said to be none");
    assert_eq!(read(&mut doctor, &keys[1], 4).await, (stored(&kept), 3), "somebody else's");

    // A gateway that lost its receipts sends all of it again.
    let mut again = node.gateway().await;
    let open = |client: &mut Client, key: &StreamKey, frames: &[Frame]| {
        let descriptor = descriptor_of(key.clone());
        let handle = client.session.open_stream(Lane::Backfill, descriptor, Sequence(0)).unwrap();
        frames.iter().for_each(|frame| client.session.restore(handle, frame).unwrap());
        handle
    };
    let handles =
        [(&keys[0], &erased), (&keys[1], &kept)].map(|(key, frames)| open(&mut again, key, frames));
    durable(&mut again, &handles, 3).await;
    assert_eq!(again.receipts, client.receipts, "byte for byte");

    // What comes later is under a key of its own, and is read.
    again.session.push(handles[0], &readings(4)).unwrap();
    durable(&mut again, &handles[..1], 4).await;
    let (released, said) = read(&mut doctor, &keys[0], 5).await;
    assert_eq!((released.len(), said), (1, 1));
}
