//! Which codecs travel between a client and a server of other versions.

use model::{RejectCode, Sequence, StreamHandle};
use wire::*;

use crate::machines::*;
use crate::samples::{self, ECG};

/// Connects a client with a server of such features, which has nothing of its stream yet; gives
/// the frames that it then sends.
fn frames_for(client: &mut ClientSession, handle: StreamHandle, features: Features) -> Vec<Frame> {
    client.connected();
    let opened = ServerMessage::StreamOpened { handle, next: Sequence(1) };
    for message in [welcome(features), opened] {
        client.handle_bytes(Lane::Control, &message.encode(), now());
    }
    assert!(client.is_open(), "the welcome is taken");
    let sent = std::iter::from_fn(|| client.poll_transmit(Lane::Live));
    let frames = sent.skip(1).map(|bytes| match ClientMessage::decode(bytes) {
        Ok(ClientMessage::Frame(frame)) => frame,
        other => panic!("expected a frame, found {other:?}"),
    });
    frames.collect()
}

fn stream(client: &mut ClientSession) -> StreamHandle {
    let descriptor = samples::descriptor("monitor-1", ECG, 1);
    client.open_stream(Lane::Live, descriptor, Sequence(0)).expect("a new stream")
}

#[test]
fn a_server_gets_each_frame_in_a_codec_that_it_speaks_and_no_reading_is_lost() {
    let signal = model::signal_by_code(ECG).expect("ecg is known");
    let readings = samples::steady_readings(100);
    let mut client = new_client();
    let handle = stream(&mut client);
    // Before anybody knows what the server speaks.
    let made = client.push(handle, &readings).expect("room");
    assert_eq!(made.header().codec, Codec::GRID);
    let held = client.held_bytes();
    // Sent, and perhaps stored: the same bytes again.
    for _ in 0..2 {
        let sent = frames_for(&mut client, handle, Features::SPOKEN);
        assert_eq!(sent, std::slice::from_ref(&made));
    }
    for features in [Features::RAW, Features(Features::RAW.0 | Features::COLUMNAR.0)] {
        let [raw] = &frames_for(&mut client, handle, features)[..] else { panic!("one frame") };
        assert_eq!((raw.header().codec, raw.sequence()), (Codec::RAW, made.sequence()));
        assert_eq!(raw.readings(signal), Ok(readings.clone()));
        let under_way = client.under_way().bytes;
        assert_eq!(under_way, raw.as_bytes().len() as u64, "as the server counts it");
        assert_eq!(client.held_bytes(), held, "as it was made");
    }
    while client.poll_event().is_some() {}
    let mut pair = Pair::connect(client, ServerLimits::default());
    assert!(matches!(pair.up()[..], [ServerEvent::OpenStream(_)]));
    pair.server.open_stream(handle, Sequence(0));
    pair.down();
    assert!(matches!(pair.up()[..], [ServerEvent::Frame { .. }]));
    pair.server.acknowledge(receipt_for(1, 1));
    pair.down();
    assert_eq!((pair.client.held_bytes(), pair.client.under_way()), (0, Credit::default()));
}

#[test]
fn a_codec_that_the_hello_did_not_say_closes_the_session_and_one_that_it_did_is_taken() {
    let ClientMessage::Hello(current) = hello() else { unreachable!("a hello") };
    let open_with = |features| {
        let mut server = server_with(ServerLimits::default());
        tell(&mut server, ClientMessage::Hello(Hello { features, ..current.clone() }));
        server.welcome(Vec::new(), STANDING, now());
        tell(&mut server, open(5, "monitor-1"));
        server.open_stream(StreamHandle(5), Sequence(0));
        said(&mut server);
        heard(&mut server);
        server
    };
    for (codec, feature) in [(Codec::COLUMNAR, Features::COLUMNAR), (Codec::GRID, Features::GRID)] {
        let frame = samples::laid_out(codec, 1, &samples::steady_readings(70));
        let mut server = open_with(Features(Features::RAW.0 | feature.0));
        tell(&mut server, ClientMessage::Frame(frame.clone()));
        assert!(matches!(heard(&mut server)[..], [ServerEvent::Frame { .. }]), "{codec:?}");
        let others = Features(Features::CODECS.0 & !feature.0);
        let mut server = open_with(others);
        tell(&mut server, ClientMessage::Frame(frame));
        closes_with(&mut server, RejectCode::Version);
    }
}

#[test]
fn whoever_asks_to_read_speaks_every_codec_that_may_be_stored() {
    let ClientMessage::Hello(current) = hello() else { unreachable!("a hello") };
    let mut server = server_with(ServerLimits::default());
    tell(&mut server, ClientMessage::Hello(Hello { features: Features::RAW, ..current }));
    server.welcome(Vec::new(), STANDING, now());
    said(&mut server);
    heard(&mut server);
    let signed = Box::new(samples::signed_request());
    let request = RequestId(1);
    tell(&mut server, ClientMessage::Access { request, signed, page: Page::FIRST });
    let (code, concern) = (RejectCode::Version, Concern::Request { request });
    let told = ServerMessage::Reject(Reject { code, concern, count: 1 });
    assert_eq!((said(&mut server), heard(&mut server)), (vec![told], vec![]));
}

#[test]
fn a_body_that_breaks_its_codec_is_rejected_like_a_reading_out_of_range() {
    let mut server = ready(ServerLimits::default());
    tell(&mut server, open(5, "monitor-1"));
    server.open_stream(StreamHandle(5), Sequence(0));
    said(&mut server);
    heard(&mut server);
    let frame = samples::laid_out(Codec::GRID, 1, &samples::steady_readings(70));
    let mut bytes = frame.as_bytes().to_vec();
    // A phase of 65,535 ns.
    bytes[HEADER_BYTES + 12..][..2].copy_from_slice(&[0xff; 2]);
    server.handle_bytes(Lane::Live, &bytes, now());
    let heard = heard(&mut server);
    let [ServerEvent::FrameRejected { code: RejectCode::Malformed, .. }] = &heard[..] else {
        panic!("expected a rejected frame, found {heard:?}")
    };
    assert!(!server.is_closed(), "other streams go on");
}
