//! Both machines back to back under cuts, reconnects, restarts, refusals and stale queues, against
//! the simplest possible node. Seeds are fixed and printed; equal seeds give equal logs.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use model::{Millis, Position, RejectCode, Sequence, StreamHandle};
use wire::*;

use crate::samples::{self, ECG, Seeded};

/// Device, lane of each stream.
const STREAMS: [(&str, Lane); 3] =
    [("alarm", Lane::Control), ("live", Lane::Live), ("old", Lane::Backfill)];

/// A node that appends what comes next, in groups, and answers duplicates from its log.
#[derive(Default)]
struct Node {
    groups: Vec<Vec<PlacedEntry>>,
    stored: BTreeMap<(StreamName, Sequence), (usize, Frame)>,
    marks: BTreeMap<StreamName, Sequence>,
    queue: VecDeque<(StreamName, Frame)>,
    position: u64,
}

impl Node {
    fn receipt(&self, group: usize) -> SignedReceipt {
        let number = group as u64 + 1;
        let identity = GroupIdentity {
            scope: samples::scope(),
            group: number,
            term: 0,
            journal_hash: [number as u8; 32],
        };
        let mut receipts = receipts_of_group(identity, &self.groups[group]).expect("few items");
        let receipt = receipts.remove(&holder()).expect("one gateway only");
        receipt.sign(&samples::key())
    }

    fn mark(&self, stream: &StreamName) -> Sequence {
        self.marks.get(stream).copied().unwrap_or_default()
    }

    /// Appends some of the queue as one group; gives the groups to acknowledge, oldest first.
    fn commit(&mut self, count: usize, now: Millis) -> Vec<usize> {
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        for (stream, frame) in self.queue.drain(..count.min(self.queue.len())) {
            let mark = self.marks.entry(stream.clone()).or_default();
            if frame.sequence() <= *mark {
                answers.push(self.stored[&(stream, frame.sequence())].0);
            } else if frame.sequence().0 == mark.0 + 1 {
                *mark = frame.sequence();
                self.position += 1;
                let place = (self.groups.len(), frame.stored());
                assert!(self.stored.insert((stream.clone(), *mark), place).is_none());
                let key = samples::stream_key(stream.device.as_str(), ECG);
                let entry = Entry::Frame(FrameEntry::new(samples::gateway(), key, &frame));
                let position = Position(self.position);
                group.push(PlacedEntry { position, time: now, entry });
            }
        }
        if !group.is_empty() {
            answers.push(self.groups.len());
            self.groups.push(group);
        }
        answers.dedup();
        answers
    }
}

fn holder() -> Holder {
    Holder::gateway(&samples::gateway())
}

fn client() -> ClientSession {
    ClientSession::new(ClientConfig {
        scope: samples::scope(),
        signer: signer_address(&samples::key()),
        holder: holder(),
        name: ClientName::new("simulated").expect("short"),
        codec: None,
        limits: ClientLimits {
            retry_after_ms: 50,
            reopen_after_ms_max: 200,
            ..ClientLimits::default()
        },
    })
}

fn server() -> ServerSession {
    let limits = ServerLimits {
        unacknowledged_frames_max: 16,
        unacknowledged_bytes_max: 160 << 10,
        ..ServerLimits::default()
    };
    let (scope, signer) = (samples::scope(), signer_address(&samples::key()));
    ServerSession::new(ServerConfig { scope, signer, limits })
}

/// What a gateway keeps on disk of one stream.
#[derive(Default)]
struct Spool {
    receipted: Sequence,
    frames: VecDeque<Frame>,
    pushed: Vec<Frame>,
}

type Wires = [VecDeque<Bytes>; 3];

struct World {
    random: Seeded,
    now: Millis,
    client: ClientSession,
    server: Option<ServerSession>,
    handles: BTreeMap<StreamHandle, usize>,
    spools: [Spool; STREAMS.len()],
    names: BTreeMap<StreamHandle, StreamName>,
    up: Wires,
    down: Wires,
    node: Node,
    delivered: u64,
    receipts: u64,
    postponed: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let mut world = World {
            random: Seeded(seed),
            now: samples::at(1 << 30),
            client: client(),
            server: None,
            handles: BTreeMap::new(),
            spools: Default::default(),
            names: BTreeMap::new(),
            up: Wires::default(),
            down: Wires::default(),
            node: Node::default(),
            delivered: 0,
            receipts: 0,
            postponed: 0,
        };
        world.restart();
        world
    }

    /// The gateway's program starts again and reads its spool.
    fn restart(&mut self) {
        self.cut();
        self.client = client();
        self.handles.clear();
        for (i, (device, lane)) in STREAMS.into_iter().enumerate() {
            let (spool, descriptor) = (&self.spools[i], samples::descriptor(device, ECG, 1));
            let handle =
                self.client.open_stream(lane, descriptor, spool.receipted).expect("a new stream");
            for frame in &spool.frames {
                self.client.restore(handle, frame).expect("the spool is in order");
            }
            self.handles.insert(handle, i);
        }
    }

    /// The connection is lost with everything on it; the node's queue is not.
    fn cut(&mut self) {
        self.client.disconnected();
        (self.server, self.up, self.down) = (None, Wires::default(), Wires::default());
        self.names.clear();
    }

    fn step(&mut self) {
        self.now = self.now.plus(self.random.below(20) as u64);
        match self.random.below(1000) {
            0..2 => self.restart(),
            2..8 => self.cut(),
            8..200 => self.push(),
            200..480 => (0..self.random.below(6)).for_each(|_| self.upload()),
            480..740 => (0..self.random.below(6)).for_each(|_| self.download()),
            740..790 => self.refuse(),
            790..880 => self.commit(),
            _ => self.turn(),
        }
    }

    fn push(&mut self) {
        let chosen = self.random.below(STREAMS.len());
        let (handle, i) = self.handles.iter().nth(chosen).expect("three streams");
        let spool = &mut self.spools[*i];
        if spool.frames.len() < 20 {
            let readings = samples::readings(self.random.next() % 1000, 1 + chosen * 300);
            let frame = self.client.push(*handle, &readings).expect("room for twenty");
            spool.pushed.push(frame.stored());
            spool.frames.push_back(frame);
        }
    }

    /// Reconnects, lets the client send and both sides handle events.
    fn turn(&mut self) {
        if self.server.is_none() {
            self.client.connected();
            self.server = Some(server());
        }
        if self.client.wakeup().is_some_and(|at| at <= self.now) {
            self.client.handle_timeout(self.now);
        }
        for lane in Lane::ALL {
            while let Some(bytes) = self.client.poll_transmit(lane) {
                self.up[lane as usize].push_back(bytes);
            }
        }
    }

    fn upload(&mut self) {
        let lane = Lane::ALL[self.random.below(3)];
        let Some(part) = cut_off(&mut self.up[lane as usize], &mut self.random) else {
            return;
        };
        if let Some(server) = &mut self.server {
            server.handle_bytes(lane, &part, self.now);
        }
        self.serve();
    }

    fn download(&mut self) {
        let lane = Lane::ALL[self.random.below(3)];
        let Some(part) = cut_off(&mut self.down[lane as usize], &mut self.random) else {
            return;
        };
        self.client.handle_bytes(lane, &part, self.now);
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Durable { handle, last } => {
                    let spool = &mut self.spools[self.handles[&handle]];
                    assert!(last > spool.receipted, "progress");
                    let count = (last.0 - spool.receipted.0) as usize;
                    spool.frames.drain(..count);
                    spool.receipted = last;
                }
                ClientEvent::Receipt(_) => self.receipts += 1,
                ClientEvent::Welcomed { .. }
                | ClientEvent::StreamReady { .. }
                | ClientEvent::Delayed { .. } => {}
                ClientEvent::StreamPostponed { .. } => self.postponed += 1,
                other => panic!("an honest server gives no {other:?}"),
            }
        }
    }

    /// The node's side of the connection.
    fn serve(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Hello(hello) => {
                    // The node's journal is whole: it has whatever it gave a receipt for.
                    let head_group = self.node.groups.len() as u64;
                    let newest = hello.newest.map_or(0, |newest| newest.receipt.group.group);
                    assert!(newest <= head_group, "the client shows a receipt of this node");
                    let standing = Standing { term: 0, head_group };
                    server.welcome(Vec::new(), standing, self.now);
                }
                // Short of something for a while, as a node without room or without a clock is.
                ServerEvent::OpenStream(open) if self.random.chance(40) => {
                    server.refuse_stream(open.handle, RejectCode::Unavailable);
                }
                ServerEvent::StreamEnded { handle } => drop(self.names.remove(&handle)),
                ServerEvent::OpenStream(open) => {
                    let name = open.descriptor.name();
                    server.open_stream(open.handle, self.node.mark(&name));
                    self.names.insert(open.handle, name);
                }
                ServerEvent::Frame { handle, frame, .. } => {
                    self.delivered += 1;
                    self.node.queue.push_back((self.names[&handle].clone(), frame));
                }
                ServerEvent::Duplicate { handle, frame } => {
                    let key = (self.names[&handle].clone(), frame.sequence());
                    if let Some((group, stored)) = self.node.stored.get(&key) {
                        assert_eq!(*stored, frame.stored(), "the same identity, the same bytes");
                        server.acknowledge(self.node.receipt(*group));
                    }
                }
                other => panic!("an honest client causes no {other:?}"),
            }
        }
        self.send();
    }

    fn commit(&mut self) {
        let count = self.random.below(12);
        for group in self.node.commit(count, self.now) {
            let receipt = self.node.receipt(group);
            if let Some(server) = &mut self.server {
                server.acknowledge(receipt);
            }
        }
        self.send();
    }

    /// The node has no room for a frame in its queue, and may or may not drop it and what follows.
    fn refuse(&mut self) {
        if self.node.queue.is_empty() || self.server.is_none() {
            return;
        }
        let chosen = self.random.below(self.node.queue.len());
        let (stream, frame) = self.node.queue[chosen].clone();
        let Some(handle) = self.names.iter().find(|(_, name)| **name == stream) else {
            return;
        };
        // Sometimes what is rejected is stored all the same, as a copy from before a cut is.
        let (keep, from) = (self.random.chance(50), frame.sequence());
        self.node
            .queue
            .retain(|(other, frame)| *other != stream || frame.sequence() < from || keep);
        if let Some(server) = &mut self.server {
            server.reject_frames(*handle.0, from, RejectCode::Busy);
        }
        self.send();
    }

    fn send(&mut self) {
        for lane in Lane::ALL {
            while let Some(bytes) = self.server.as_mut().and_then(|s| s.poll_transmit(lane)) {
                self.down[lane as usize].push_back(bytes);
            }
        }
    }

    /// No more faults: everything pushed must become receipted.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            if self.spools.iter().all(|spool| spool.frames.is_empty()) {
                return;
            }
            self.now = self.now.plus(10);
            self.turn();
            self.upload();
            self.download();
            self.commit();
        }
        panic!("expected every frame to be receipted");
    }

    /// Every pushed frame stands in the log exactly once and in order, and nothing else does.
    fn check(&self) {
        let mut logged: BTreeMap<StreamName, Vec<Frame>> = BTreeMap::new();
        for PlacedEntry { entry, .. } in self.node.groups.iter().flatten() {
            let Entry::Frame(entry) = entry else { panic!("only frames were sent") };
            let list = logged.entry(entry.stream()).or_default();
            assert_eq!(entry.sequence().0, list.len() as u64 + 1, "no hole, no repetition");
            list.push(entry.frame().stored());
        }
        for (i, (device, _)) in STREAMS.into_iter().enumerate() {
            let name = samples::descriptor(device, ECG, 1).name();
            let spool = &self.spools[i];
            let logged = logged.remove(&name).unwrap_or_default();
            let known = spool.receipted.0 as usize;
            assert!(known <= logged.len(), "acknowledged means stored");
            assert_eq!(logged[..], spool.pushed[..logged.len()], "{device}: bytes and order");
        }
    }

    fn trace(&self) -> Vec<u8> {
        let groups = self.node.groups.iter().flatten();
        groups.flat_map(|placed| placed.entry.to_bytes().expect("valid")).collect()
    }
}

/// A random part of what is on a wire.
fn cut_off(wire: &mut VecDeque<Bytes>, random: &mut Seeded) -> Option<Bytes> {
    let mut first = wire.pop_front()?;
    if first.len() > 1 && random.chance(30) {
        let part = first.split_to(1 + random.below(first.len() - 1));
        wire.push_front(first);
        return Some(part);
    }
    Some(first)
}

fn run(seed: u64) -> World {
    let mut world = World::new(seed);
    for _ in 0..3000 {
        world.step();
        if world.random.chance(5) {
            world.check();
        }
    }
    world.settle();
    world.check();
    world
}

#[test]
fn every_frame_is_stored_exactly_once_and_no_acknowledged_prefix_has_a_hole() {
    let (mut stored, mut delivered, mut receipts, mut postponed) = (0, 0, 0, 0);
    for seed in 0..12 {
        println!("seed {seed}");
        let world = run(seed);
        for (i, spool) in world.spools.iter().enumerate() {
            assert_eq!(spool.receipted.0 as usize, spool.pushed.len(), "stream {i}");
        }
        assert_eq!(world.client.held_bytes(), 0);
        assert_eq!(world.client.under_way(), Credit::default());
        stored += world.node.position;
        delivered += world.delivered;
        receipts += world.receipts;
        postponed += world.postponed;
    }
    // The runs visited what they are for: progress, redelivery after refusals, many receipts, and
    // streams that opened only when they were asked for again.
    println!("stored {stored}, delivered {delivered}, receipts {receipts}, postponed {postponed}");
    assert!(stored > 2000 && delivered > stored + 200 && receipts > 1000 && postponed > 100);
}

#[test]
fn equal_seeds_give_equal_logs() {
    let trace = run(99).trace();
    assert_eq!(trace, run(99).trace());
    assert_ne!(trace, run(100).trace());
}

/// A random message of a server, some of them signed as it should be.
fn lie(random: &mut Seeded, request: RequestId) -> ServerMessage {
    let handle = StreamHandle(1 + random.below(4) as u32);
    let sequence = Sequence(1 + random.next() % 9);
    let (device, _) = STREAMS[random.below(3)];
    let stream = samples::descriptor(device, ECG, 1).name();
    let code = RejectCode::ALL[random.below(RejectCode::ALL.len())];
    let reject = |concern| ServerMessage::Reject(Reject { code, concern, count: 1 });
    match random.below(9) {
        0 => ServerMessage::StreamOpened { handle, next: sequence },
        1 => ServerMessage::Credit(Credit { bytes: random.next() % 100_000, frames: 8 }),
        2 => reject(Concern::Frames { handle, from: sequence }),
        3 if random.chance(10) => reject(Concern::Stream { handle }),
        4 if random.chance(10) => reject(Concern::Request { request }),
        5 if random.chance(10) => ServerMessage::ReleaseEnd(ReleaseEnd {
            request,
            frames: random.next() % 3,
            more: random.next().is_multiple_of(2),
            partly: random.next() % 3,
        }),
        6 if random.chance(10) => ServerMessage::AccessAnswer(AccessAnswer {
            request,
            digest: samples::signed_request().digest(),
            group: 1,
            position: Position(1),
            time: samples::at(0),
            permitted: random.chance(50),
        }),
        7 if random.chance(10) => {
            let (index, frame) = (random.next() % 2, samples::frame(0, 1, 1));
            let position = Position(1);
            ServerMessage::Released(Released { request, index, position, stream, frame })
        }
        _ => {
            let first = Sequence(1 + random.next() % sequence.0);
            let positions = (Position(100), Position(200));
            let (sequences, appended) = ((first, sequence), samples::at(0));
            let frames = vec![FramesItem { stream, sequences, positions, appended }];
            let scope = samples::scope();
            let group =
                GroupIdentity { scope, group: random.next(), term: 0, journal_hash: [0; 32] };
            let items = Items { frames, ..Items::default() };
            let receipt = Receipt::new(group, holder(), items).expect("valid items");
            let receipt = Box::new(receipt.sign(&samples::key()));
            ServerMessage::Receipt { receipt, credit: Credit { bytes: 90_000, frames: 9 } }
        }
    }
}

/// Messages that no honest server sends: the client never panics, counts what is under way and
/// held rightly, and takes nothing for durable that it did not send.
#[test]
fn a_lying_server_meets_only_checks() {
    let mut survived = 0;
    for seed in 0..150 {
        let mut world = World::new(seed);
        world.turn();
        let welcome = samples::server_messages().remove(0);
        world.client.handle_bytes(Lane::Control, &welcome.encode(), world.now);
        let asked = world.client.request_access(samples::signed_request(), wire::Page::FIRST);
        let request = asked.expect("the session is open");
        for round in 0..60 {
            for handle in world.handles.keys() {
                let _ = world.client.push(*handle, &samples::readings(round, 2));
            }
            for lane in Lane::ALL {
                while world.client.poll_transmit(lane).is_some() {}
            }
            let message = lie(&mut world.random, request);
            world.client.handle_bytes(Lane::Control, &message.encode(), world.now);
            world.now = world.now.plus(40);
            world.client.handle_timeout(world.now);
            while let Some(event) = world.client.poll_event() {
                if let ClientEvent::Durable { last, .. } = event {
                    assert!(last.0 <= round + 1, "seed {seed}: at most what was pushed");
                }
            }
            let held = world.client.held_bytes() as u64;
            assert!(world.client.under_way().bytes <= held, "seed {seed}");
        }
        survived += usize::from(world.client.is_open());
    }
    // Some lies are caught, and some runs tell none that a client can know for one.
    assert!(survived < 150, "survived {survived}");
}

/// Operations on the server's machine that no honest client makes: it never panics, never delivers
/// a sequence twice or out of order, and stays within its budget.
#[test]
fn a_hostile_client_meets_only_limits() {
    for seed in 0..200 {
        let mut random = Seeded(seed);
        let mut server = server();
        let mut next: BTreeMap<StreamHandle, u64> = BTreeMap::new();
        let now = samples::at(1 << 30);
        for lane in Lane::ALL {
            server.handle_bytes(lane, &lane.preamble(), now);
        }
        let valid: Vec<_> = samples::client_messages().iter().map(ClientMessage::encode).collect();
        let hello = valid[0].clone();
        server.handle_bytes(Lane::Control, &hello, now);
        for _ in 0..300 {
            let lane = Lane::ALL[if random.chance(70) { 1 } else { random.below(3) }];
            let bytes = match random.below(10) {
                0 => valid[random.below(valid.len())].clone(),
                1 => samples::frame(random.below(4) as u32, 1 + random.next() % 9, 2)
                    .as_bytes()
                    .clone(),
                2 => ClientMessage::OpenStream(OpenStream {
                    handle: StreamHandle(1 + random.below(4) as u32),
                    lane: Lane::Live,
                    descriptor: samples::descriptor(["a", "b", "c"][random.below(3)], ECG, 1),
                })
                .encode(),
                _ => {
                    let handle = 1 + random.below(4) as u32;
                    let due = next.get(&StreamHandle(handle)).copied().unwrap_or(1);
                    samples::frame(handle, due, 2).as_bytes().clone()
                }
            };
            let control = matches!(bytes[4], 0x20..0x40);
            server.handle_bytes(if control { Lane::Control } else { lane }, &bytes, now);
            while let Some(event) = server.poll_event() {
                match event {
                    ServerEvent::Hello(_) => server.welcome(Vec::new(), Standing::default(), now),
                    ServerEvent::OpenStream(open) => {
                        next.insert(open.handle, 1);
                        server.open_stream(open.handle, Sequence(0));
                    }
                    ServerEvent::StreamEnded { handle } => drop(next.remove(&handle)),
                    ServerEvent::Frame { handle, frame, .. } => {
                        let due = next.get_mut(&handle).expect("only of open streams");
                        assert_eq!(frame.sequence().0, *due, "seed {seed}");
                        *due += 1;
                    }
                    ServerEvent::Duplicate { handle, frame } => {
                        assert!(frame.sequence().0 < next[&handle], "seed {seed}");
                    }
                    _ => {}
                }
            }
            let held = server.unacknowledged().sum();
            assert!(held.frames <= 16 && held.bytes <= 160 << 10, "seed {seed}");
            if server.is_closed() {
                break;
            }
        }
    }
}
