//! Bodies that only a key opens which the node does not have.

use model::{RejectCode, Sequence, Signal, StreamHandle};
use wire::*;

use crate::machines::*;
use crate::samples::{self, ECG};

/// A cipher that hides nothing: this crate knows where the parts stand, and no cipher.
fn seal(bound: &[u8; BOUND_BYTES], body: &[u8]) -> Sealed {
    let mut sealed: Vec<u8> = body.iter().map(|byte| !byte).collect();
    sealed.extend(&bound[..TAG_BYTES]);
    Sealed { nonce: [7; NONCE_BYTES], sealed }
}

fn open(frame: &Frame) -> Frame {
    let sealed = frame.encrypted().expect("encrypted").sealed;
    let body: Vec<u8> = sealed[..sealed.len() - TAG_BYTES].iter().map(|byte| !byte).collect();
    frame.decrypted(&body).expect("the body of its header")
}

fn ecg() -> &'static Signal {
    model::signal_by_code(ECG).expect("it is known")
}

fn encrypted(frame: &Frame) -> Frame {
    frame.encrypt(ecg(), seal).expect("sound")
}

fn with_byte(frame: &Frame, at: usize, value: u8) -> Result<Frame, FrameError> {
    let mut bytes = frame.as_bytes().to_vec();
    bytes[at] = value;
    Frame::from_bytes(bytes.into())
}

/// A server with one open stream, of an operator who takes such bodies.
fn taking() -> ServerSession {
    streaming(ServerLimits { takes_encrypted: true, ..ServerLimits::default() })
}

#[test]
fn what_is_encrypted_says_whose_and_when_and_gives_the_same_frame_back() {
    let steady = samples::steady_readings(70);
    for codec in Codec::SPOKEN {
        let clear = samples::laid_out(codec, 3, &steady);
        let hidden = encrypted(&clear);
        assert_eq!(hidden.as_bytes().len(), clear.as_bytes().len() + ENCRYPTION_BYTES);
        assert!(hidden.is_encrypted() && !clear.is_encrypted());
        assert_eq!(hidden.check(ecg()), clear.check(ecg()), "the same period");
        assert_eq!(hidden.readings(ecg()), Err(FrameError::Encrypted));
        assert_eq!(FrameError::Encrypted.code(), RejectCode::Version);
        assert_eq!(open(&hidden), clear);
        let read = Frame::from_bytes(hidden.as_bytes().clone());
        assert_eq!(read.as_ref(), Ok(&hidden));
        let Encrypted { bound, nonce, .. } = hidden.encrypted().expect("encrypted");
        assert_eq!(bound, hidden.stored().encrypted().expect("encrypted").bound, "of no session");
        assert_eq!((bound[4], nonce), (codec.number() | 0x80, [7; NONCE_BYTES]));
        assert!(clear.encrypted().is_none() && clear.decrypted(&[]).is_err());
        assert_eq!(hidden.encrypt(ecg(), seal), Err(FrameError::Encrypted));
    }
}

#[test]
fn lengths_and_times_outside_of_the_body_are_looked_at() {
    let raw = encrypted(&samples::frame(1, 1, 2));
    // One reading more or fewer than the header says.
    assert!(with_byte(&raw, 6, 1).is_err() && with_byte(&raw, 6, 3).is_err());
    let columns = encrypted(&samples::laid_out(Codec::COLUMNAR, 1, &samples::readings(1, 1)));
    for bytes in HEADER_BYTES..=columns.as_bytes().len() {
        let mut cut = columns.as_bytes()[..bytes].to_vec();
        cut[..4].copy_from_slice(&(bytes as u32).to_le_bytes());
        let is_whole = bytes == columns.as_bytes().len();
        assert_eq!(Frame::from_bytes(cut.into()).is_ok(), is_whole, "{bytes} bytes");
    }
    // One reading has one time.
    let late = with_byte(&columns, HEADER_BYTES, 1).expect("its lengths are right");
    assert_eq!(late.check(ecg()), Err(FrameError::Order { index: 0 }));
    // The last of two lies beyond every time.
    for (at, value) in [(HEADER_BYTES + 6, 0xff), (HEADER_BYTES + 7, 0xff)] {
        let beyond = with_byte(&raw, at, value).expect("its lengths are right");
        assert!(beyond.check(ecg()).is_err(), "byte {at}");
    }
}

#[test]
fn a_server_takes_them_only_where_its_operator_says_so() {
    let frame = encrypted(&samples::frame(1, 1, 2));
    let mut server = streaming(ServerLimits::default());
    tell(&mut server, ClientMessage::Frame(frame.clone()));
    closes_with(&mut server, RejectCode::Version);
    let mut server = taking();
    tell(&mut server, ClientMessage::Frame(frame.clone()));
    let heard = heard(&mut server);
    let [ServerEvent::Frame { frame: taken, measured, .. }] = &heard[..] else {
        panic!("expected a frame, found {heard:?}")
    };
    assert_eq!((taken, *measured), (&frame.stored(), frame.check(ecg()).expect("plausible")));
    // A client that did not say that it knows of them is not taken at its word later.
    let ClientMessage::Hello(current) = hello() else { unreachable!("a hello") };
    let limits = ServerLimits { takes_encrypted: true, ..ServerLimits::default() };
    let mut server = server_with(limits);
    let features = Features::SPOKEN.without(Features::ENCRYPTED);
    tell(&mut server, ClientMessage::Hello(Hello { features, ..current }));
    server.welcome(Vec::new(), STANDING, now());
    let told = said(&mut server);
    let [ServerMessage::Welcome(welcome)] = &told[..] else { panic!("found {told:?}") };
    assert_eq!(welcome.features, features);
    tell(&mut server, ClientMessage::Frame(frame));
    closes_with(&mut server, RejectCode::Version);
}

#[test]
fn a_time_ahead_is_refused_and_an_encrypted_body_under_a_plain_codec_is_no_reading() {
    let frame = encrypted(&samples::frame(1, 1, 2));
    // Some 200 days after the first one.
    let ahead = with_byte(&frame, HEADER_BYTES + 5, 0x10).expect("its lengths are right");
    let mut server = taking();
    tell(&mut server, ClientMessage::Frame(ahead));
    assert_eq!(said(&mut server), [rejected(RejectCode::Clock, 1, 1)]);
    let columns = samples::laid_out(Codec::COLUMNAR, 1, &samples::steady_readings(70));
    let place = FramePlace { handle: HANDLE, epoch: columns.header().epoch, sequence: Sequence(1) };
    let columns = encrypted(&columns.at_place(place));
    let mut server = taking();
    let plain = with_byte(&columns, 4, 2).expect("its lengths are right");
    tell(&mut server, ClientMessage::Frame(plain));
    let events = heard(&mut server);
    assert!(matches!(events[..], [ServerEvent::FrameRejected { .. }]), "{events:?}");
    // Rows have a length of their own, so a server finds no frame there.
    assert!(with_byte(&frame, 4, 0).is_err());
}

#[test]
fn the_same_readings_in_the_clear_are_not_the_same_frame() {
    let clear = samples::laid_out(Codec::COLUMNAR, 1, &samples::steady_readings(70));
    let hidden = encrypted(&clear);
    assert!(hidden.says_same(&hidden.stored(), ecg()));
    assert!(!hidden.says_same(&clear, ecg()) && !clear.says_same(&hidden, ecg()));
    let grid = encrypted(&samples::laid_out(Codec::GRID, 1, &samples::steady_readings(70)));
    assert!(!hidden.says_same(&grid, ecg()), "nobody can tell");
}

#[test]
fn a_client_sends_them_as_they_are_and_never_in_the_clear() {
    let mut client = new_client();
    let descriptor = samples::descriptor("monitor-1", ECG, 1);
    let handle = client.open_stream(Lane::Live, descriptor, Sequence(0)).expect("a new stream");
    let made = client.make(handle, &samples::steady_readings(70)).expect("sound");
    assert_eq!(client.held_bytes(), 0, "it holds none yet");
    let hidden = encrypted(&made);
    client.queue(handle, &hidden).expect("the next one");
    for features in [Features::SPOKEN, Features::RAW] {
        client.connected();
        let welcome = welcome(features);
        let opened = ServerMessage::StreamOpened { handle, next: Sequence(1) };
        for message in [welcome, opened] {
            client.handle_bytes(Lane::Control, &message.encode(), now());
        }
        assert!(client.is_open(), "the welcome is taken");
        drop(client.poll_transmit(Lane::Live));
        assert_eq!(client.poll_transmit(Lane::Live), Some(hidden.as_bytes().clone()));
    }
}

#[test]
fn whoever_does_not_know_of_them_is_not_handed_one() {
    let ClientMessage::Hello(current) = hello() else { unreachable!("a hello") };
    let stream = samples::descriptor("monitor-1", ECG, 1).name();
    let one = |frame: Frame| Released {
        request: RequestId(1),
        index: 0,
        position: model::Position(9),
        stream: stream.clone(),
        frame: frame.stored(),
    };
    let clear = samples::frame(5, 1, 2);
    for (knows, features) in
        [(true, Features::SPOKEN), (false, Features::SPOKEN.without(Features::ENCRYPTED))]
    {
        // Whether or not this server takes any now: there may be some from before.
        let mut server = server_with(ServerLimits::default());
        tell(&mut server, ClientMessage::Hello(Hello { features, ..current.clone() }));
        server.welcome(Vec::new(), STANDING, now());
        said(&mut server);
        heard(&mut server);
        server.release_frame(one(clear.clone())).expect("room");
        server.release_frame(one(encrypted(&clear))).expect("room");
        let told = said(&mut server);
        if knows {
            assert!(matches!(told[..], [ServerMessage::Released(_), ServerMessage::Released(_)]));
        } else {
            let code = RejectCode::Version;
            assert_eq!(
                told,
                [ServerMessage::Closing { code }, ServerMessage::Released(one(clear.clone()))]
            );
        }
    }
}

#[test]
fn they_travel_in_blocks_like_others() {
    let at = |handle: u32| FramePlace {
        handle: StreamHandle(handle),
        epoch: model::EpochNumber(1),
        sequence: Sequence(1),
    };
    let frames = [1, 2].map(|one| encrypted(&samples::frame(1, 1, 2).at_place(at(one))));
    let block = Block::new(&frames).expect("two small ones");
    let message = ClientMessage::Block(block.clone());
    assert_eq!(ClientMessage::decode(message.encode()), Ok(message));
    assert!(block.frames().iter().all(|one| one.frame.is_encrypted()));
}
