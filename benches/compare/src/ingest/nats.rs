//! NATS JetStream with `sync_interval: always`: a message is acknowledged once it is synced.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use async_nats::jetstream::{self, stream};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::load::{Client, drive, runtime};
use super::program::{Program, free_port, version};
use super::store::{Loaded, Order, Store, Unstarted};

/// A stream keeps so much and drops what is older, so that a long run does not fill the disk.
const STREAM_BYTES_MAX: i64 = 4 << 30;

/// Streams that take turns, as this project's load has several.
const SUBJECTS: usize = 8;

pub(super) struct Nats {
    program: Program,
    version: String,
    runtime: Runtime,
    context: jetstream::Context,
    _folder: TempDir,
}

/// Starts the server on the disk.
pub(super) fn start(path: &Path, disk: &Path) -> Result<Box<dyn Store>, Unstarted> {
    let version = version(path)?;
    let folder = tempfile::tempdir_in(disk).context("a folder for NATS")?;
    let address = free_port()?;
    let config = format!(
        "host: 127.0.0.1\nport: {}\nmax_payload: 1048576\n\
         jetstream {{ store_dir: \"{}\", sync_interval: always, max_file_store: 8589934592 }}\n",
        address.port(),
        folder.path().join("store").display()
    );
    let file = folder.path().join("nats.conf");
    std::fs::write(&file, config).context("the configuration of NATS")?;
    let mut program = Program::start(path, &["-c".as_ref(), file.as_os_str()], folder.path())?;
    program.wait_for("Server is ready")?;
    let runtime = runtime()?;
    let context = runtime.block_on(connect(address))?;
    Ok(Box::new(Nats { program, version, runtime, context, _folder: folder }))
}

async fn connect(address: SocketAddr) -> anyhow::Result<jetstream::Context> {
    let client = async_nats::connect(address.to_string()).await.context("NATS's port")?;
    let context = jetstream::new(client);
    let config = stream::Config {
        name: "vitals".to_owned(),
        subjects: vec!["vitals.>".to_owned()],
        storage: stream::StorageType::File,
        max_bytes: STREAM_BYTES_MAX,
        discard: stream::DiscardPolicy::Old,
        ..stream::Config::default()
    };
    context.create_stream(config).await.context("a stream")?;
    Ok(context)
}

impl Store for Nats {
    fn load(&mut self, order: &Order) -> anyhow::Result<Loaded> {
        let payload = bytes::Bytes::from(order.payload.opaque()?);
        let mut number = 0;
        let (runtime, server) = (&self.runtime, &self.program);
        drive(&Client { runtime, server, batch: 1 }, order, || {
            number = (number + 1) % SUBJECTS;
            let (context, payload) = (self.context.clone(), payload.clone());
            let subject = format!("vitals.{number}");
            async move {
                let sent = context.publish(subject, payload).await.context("a publish")?;
                sent.await.context("an acknowledgement")?;
                Ok(())
            }
        })
    }

    fn version(&self) -> &str {
        &self.version
    }
}
