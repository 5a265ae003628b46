//! The ward's gateways, with folders that outlive the node's disk, and what they have receipts for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use client::{Connection, ConnectionConfig, ConnectionError, Deployment, Identity, Stream};
use model::{Clock as _, Millis, RejectCode, SystemClock};
use wire::{Descriptor, DeviceTime, FrameEntry, Lane, Period, Reading, StreamKey};
use world::World;

use crate::demo::expect::{DemoError, Step};

/// How long before now the recordings are said to be measured: nothing is ahead of the clock.
const MEASURED_BEFORE_MS: u64 = 60 * 60 * 1000;

/// Readings by device, signal and time, and how often each is there.
#[derive(Default)]
pub(super) struct Ledger(BTreeMap<Measured, u32>);

/// One reading of one device.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Measured {
    device: String,
    signal: u32,
    at_us: u64,
}

impl Ledger {
    /// How many readings.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn note(&mut self, key: &StreamKey, readings: &[Reading]) {
        for reading in readings {
            let (device, at_us) = (key.device.to_string(), reading.at.micros());
            *self.0.entry(Measured { device, signal: key.signal, at_us }).or_default() += 1;
        }
    }

    /// Takes in a stored frame.
    pub(super) fn note_frame(&mut self, frame: &FrameEntry) {
        let readings = frame.key.signal().map(|signal| frame.frame().readings(signal));
        if let Some(Ok(readings)) = readings {
            self.note(&frame.key, &readings);
        }
    }

    /// Readings that stand here and not there.
    pub(super) fn lacking(&self, there: &Ledger) -> impl Iterator<Item = ()> {
        self.0.keys().filter(|one| !there.0.contains_key(one)).map(|_| ())
    }

    /// Readings that are here more than once.
    pub(super) fn twice(&self) -> usize {
        self.0.values().filter(|times| **times > 1).count()
    }
}

/// Who streams what, and how far.
pub(super) struct Ward {
    world: World,
    identities: PathBuf,
    states: PathBuf,
    /// When the next second of recording is said to be measured.
    next_ms: u64,
    /// How many were sent.
    second: u64,
}

impl Ward {
    pub(super) fn new(world: World, dir: &Path) -> Ward {
        let next_ms = SystemClock.now().get() - MEASURED_BEFORE_MS;
        let (identities, states) = (dir.join("identities"), dir.join("gateways"));
        Ward { world, identities, states, next_ms, second: 0 }
    }

    async fn dial(
        &self,
        name: &str,
        address: SocketAddr,
    ) -> Result<Result<Connection, ConnectionError>, DemoError> {
        let (step, folder) = (Step("gateway"), self.identities.join(name));
        let identity = step.ok(Identity::load(&folder))?;
        let deployment = step.ok(Deployment::load(&folder))?;
        let mut config = ConnectionConfig::new(address, "localhost", identity, deployment);
        config.state = Some(self.states.join(name));
        Ok(Connection::connect(config).await)
    }

    /// Connects every gateway, each with the folder that it always has.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Gateways, DemoError> {
        let mut connections = Vec::new();
        for gateway in &self.world.gateways {
            let dialled = self.dial(gateway.id.as_str(), address).await?;
            connections.push(Step("gateway").ok(dialled)?);
        }
        Ok(Gateways { streams: Vec::new(), connections })
    }

    /// Has every gateway dial a node that lacks what they have receipts for; how many were told.
    pub(super) async fn told_history(&self, address: SocketAddr) -> Result<usize, DemoError> {
        let mut told = 0;
        for gateway in &self.world.gateways {
            match self.dial(gateway.id.as_str(), address).await? {
                Err(ConnectionError::Closed { code: RejectCode::History }) => told += 1,
                Err(error) => return Step("held").ok(Err(error)),
                // Whoever has no newer receipt is heard, and refused with all that it sends.
                Ok(connection) => connection.close().await,
            }
        }
        match told {
            0 => Err(Step("held").failed("a gateway that shows what is missing", "none")),
            told => Ok(told),
        }
    }

    fn key(&self, patient: usize) -> StreamKey {
        let one = &self.world.patients[patient];
        let device = &self.world.devices[one.device];
        let signal = device.signals[0].code;
        StreamKey { device: device.id.clone(), patient: one.index, signal }
    }

    fn recording(&self, patient: usize) -> &'static world::Recording {
        let device = &self.world.devices[self.world.patients[patient].device];
        let name = device.signals[0].name;
        let all = world::recordings().iter().filter(|recording| recording.signal.name == name);
        let all: Vec<_> = all.collect();
        all[patient % all.len()]
    }

    /// The next second of a patient's recording.
    fn second_of(&self, patient: usize) -> Result<Vec<Reading>, DemoError> {
        let (step, recording) = (Step("stream"), self.recording(patient));
        let rate = (1_000_000_000 / recording.period_ns) as usize;
        let first = self.second as usize * rate % (recording.samples.len() - rate);
        let start = DeviceTime::from_millis(step.ok(Millis::new(self.next_ms))?).micros();
        let samples = recording.samples[first..first + rate].iter().zip(0..);
        let reading = |(value, n): (&i32, u64)| {
            let at = DeviceTime::from_micros(start + n * recording.period_ns / 1000);
            Ok(Reading::new(step.ok(at)?, *value))
        };
        samples.map(reading).collect()
    }
}

/// Gateways that are connected, and the streams of all patients.
pub(super) struct Gateways {
    // Before the connections, which they go through.
    streams: Vec<Stream>,
    connections: Vec<Connection>,
}

impl Gateways {
    /// Opens every patient's stream; what a gateway keeps of it and the node lacks goes again.
    pub(super) async fn open(&mut self, ward: &Ward) -> Result<(), DemoError> {
        let step = Step("stream");
        for patient in 0..ward.world.patients.len() {
            let device = &ward.world.devices[ward.world.patients[patient].device];
            let (connection, key) = (&self.connections[device.gateway], ward.key(patient));
            let epoch = step.ok(connection.epoch(&key))?;
            let period = step.ok(Period::new(ward.recording(patient).period_ns, 1))?;
            let descriptor = Descriptor { key, period: Some(period), epoch };
            self.streams.push(step.ok(connection.open_stream(Lane::Live, descriptor).await)?);
        }
        Ok(())
    }

    /// Sends seconds of everybody's recording, and notes them once all have receipts.
    pub(super) async fn send(
        &mut self,
        ward: &mut Ward,
        ledger: &mut Ledger,
        seconds: u64,
    ) -> Result<(), DemoError> {
        let mut sent = Vec::new();
        for _ in 0..seconds {
            for (patient, stream) in self.streams.iter().enumerate() {
                let readings = ward.second_of(patient)?;
                Step("stream").ok(stream.send(&readings).await)?;
                sent.push((ward.key(patient), readings));
            }
            ward.second += 1;
            ward.next_ms += 1_000;
        }
        self.flush().await?;
        sent.iter().for_each(|(key, readings)| ledger.note(key, readings));
        Ok(())
    }

    /// Waits until everything has a receipt.
    pub(super) async fn flush(&self) -> Result<(), DemoError> {
        for connection in &self.connections {
            Step("stream").ok(connection.flush().await)?;
        }
        Ok(())
    }

    /// Readings that had receipts and went again, because the node lost them.
    pub(super) fn sent_again(&self) -> u64 {
        self.connections.iter().map(|one| one.counts().readings_sent_again).sum()
    }

    /// Everybody says goodbye.
    pub(super) async fn leave(self) {
        drop(self.streams);
        for connection in self.connections {
            connection.close().await;
        }
    }
}
