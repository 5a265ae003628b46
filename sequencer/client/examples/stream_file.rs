//! Streams a file of readings to a node and waits until each has a verified receipt.
//!
//! `cargo run --release -p client --example stream_file -- HOST:PORT IDENTITY-DIR FILE`, where the
//! node has a device `m-1` of patient 7 at this gateway, and a line of the file is `time,value`
//! with a heart rate. The client's tests run it against a node in memory.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use client::{Connection, ConnectionConfig, Deployment, Identity};
use model::calendar::Instant;
use model::{Clock, DeviceId, PatientIndex, Sequence, SystemClock, signal_by_name};
use recordings::text::{Lines, Reader, Rules};
use wire::{Descriptor, DeviceTime, Lane, Reading, StreamKey};

/// Readings in one frame. A frame is what gets a sequence and a receipt.
const FRAME_READINGS: usize = 256;

/// Sends every reading of a file; returns the last sequence, which has a receipt by then.
pub(crate) async fn stream_file(
    node: SocketAddr,
    identity: &Path,
    file: &Path,
) -> Result<Sequence, Box<dyn Error>> {
    // The folder that the node's operator handed out says who this is and whom to expect.
    let (own, deployment) = (Identity::load(identity)?, Deployment::load(identity)?);
    let mut config = ConnectionConfig::new(node, "localhost", own, deployment);
    // What has no receipt is on disk before it is sent, so a crash of this program loses nothing.
    config.state = Some(identity.join("state"));
    let connection = Connection::connect(config).await?;

    let signal = signal_by_name("heart-rate")?;
    let (device, patient) = (DeviceId::new("m-1")?, PatientIndex::new(7)?);
    let key = StreamKey { device, patient, signal: signal.code };
    let epoch = connection.epoch(&key)?;
    let stream =
        connection.open_stream(Lane::Live, Descriptor { key, period: None, epoch }).await?;

    let mut lines = Lines::new(BufReader::new(File::open(file)?));
    let mut reader = Reader::new(Rules::new(signal));
    let mut readings = Vec::new();
    while let Some(line) = lines.read()? {
        // Nothing is taken for measured that lies ahead of the clock.
        let now = Instant::from_micros(SystemClock.now().get() * 1000)?;
        for measured in reader.read(&line, now)? {
            let at = DeviceTime::from_micros(measured.at.micros())?;
            readings.push(match measured.value {
                Some(value) => Reading::new(at, value),
                None => Reading::sensor_off(at),
            });
        }
    }
    for frame in readings.chunks(FRAME_READINGS) {
        stream.send(frame).await?; // waits while too much has no receipt
    }
    // Returns once the node's signed receipts cover everything: from here on it is durable there.
    stream.flush().await?;
    let last = stream.last_receipted();
    connection.close().await;
    Ok(last)
}

#[allow(dead_code, reason = "the tests call stream_file alone")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [node, identity, file] = arguments.as_slice() else {
        return Err("expected HOST:PORT, the folder of an identity, and a file".into());
    };
    let address = node.to_socket_addrs()?.next().ok_or("expected a host with an address")?;
    let last = stream_file(address, Path::new(identity), Path::new(file)).await?;
    println!("durable up to sequence {}", last.0);
    Ok(())
}
