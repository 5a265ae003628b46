//! A client of the node's own protocol: what one receipt takes, without a state folder and with
//! one, as bridges have it.

use std::path::PathBuf;
use std::time::Duration;

use client::{Connection, ConnectionConfig, Deployment, Identity, Stream};
use model::calendar::Instant;
use model::{Clock, DeviceId, PatientIndex, SystemClock, signal_by_name};
use wire::{Descriptor, DeviceTime, Lane, Reading, StreamKey};

use crate::load::{Loaded, Until, runtime, send_each};
use crate::ward::{Bed, Ward};

/// So many streams, each of which sends a frame of one reading when the one before has its receipt.
pub(crate) fn load(ward: &Ward, streams: usize, time: Duration, state: Option<PathBuf>) -> Loaded {
    runtime().block_on(async {
        let identity = Identity::load(&ward.identity).expect("the gateway's identity");
        let deployment = Deployment::load(&ward.identity).expect("the deployment");
        let mut config = ConnectionConfig::new(ward.address, "127.0.0.1", identity, deployment);
        config.state = state;
        let connection = Connection::connect(config).await.expect("a node that listens");
        let mut open = Vec::new();
        for bed in ward.others.iter().take(streams) {
            open.push(begin(&connection, bed).await);
        }
        let until = Until::At(std::time::Instant::now() + time);
        let senders = open.into_iter().map(|stream| send_each_reading(stream, until));
        let loaded = Loaded::of(senders).await;
        connection.close().await;
        loaded
    })
}

async fn begin(connection: &Connection, bed: &Bed) -> Stream {
    let key = StreamKey {
        device: DeviceId::new(&bed.device).expect("a device of the node"),
        patient: PatientIndex::new(bed.patient as u32).expect("a patient of the node"),
        signal: signal_by_name("ppg").expect("a signal of the table").code,
    };
    let epoch = connection.epoch(&key).expect("an epoch");
    let opened = connection.open_stream(Lane::Live, Descriptor { key, period: None, epoch });
    opened.await.expect("a device with permits")
}

async fn send_each_reading(stream: Stream, until: Until) -> Vec<Duration> {
    send_each(until, async |n| {
        let sequence = stream.send(&[Reading::new(now(), n as i32 % 1000)]).await;
        let sequence = sequence.expect("a stream that stands");
        stream.wait_for_receipt(sequence).await.expect("a receipt");
    })
    .await
}

fn now() -> DeviceTime {
    let now = Instant::from_micros(SystemClock.now().get() * 1000).expect("a time of this century");
    DeviceTime::from_micros(now.micros()).expect("a time of this century")
}
