//! Redis streams with `appendfsync always`: a command is answered once its part of the log is
//! synced.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::load::{Client, drive, runtime};
use super::program::{Program, free_port, version};
use super::store::{Loaded, Order, Store, Unstarted};

/// Commands of a pipeline: one sync is for as many of them as came at once.
const PIPELINE: usize = 64;

/// Streams that take turns, as this project's load has several.
const STREAMS: usize = 8;

/// Entries that a stream keeps, about: memory holds all of them.
const ENTRIES_MAX: usize = 4096;

pub(super) struct Redis {
    program: Program,
    version: String,
    runtime: Runtime,
    connection: MultiplexedConnection,
    _folder: TempDir,
}

/// Starts the server on the disk.
pub(super) fn start(path: &Path, disk: &Path) -> Result<Box<dyn Store>, Unstarted> {
    let version = version(path)?;
    let folder = tempfile::tempdir_in(disk).context("a folder for Redis")?;
    let address = free_port()?;
    let port = address.port().to_string();
    let arguments = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--auto-aof-rewrite-percentage",
        "0",
    ];
    let mut program = Program::start(path, &arguments, folder.path())?;
    program.wait_for("Ready to accept connections")?;
    let runtime = runtime()?;
    let connection = runtime.block_on(connect(address))?;
    Ok(Box::new(Redis { program, version, runtime, connection, _folder: folder }))
}

async fn connect(address: SocketAddr) -> anyhow::Result<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://{address}/")).context("Redis's address")?;
    // By default it gives up after half a second, which is no time where every answer is synced.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let connected = client.get_multiplexed_async_connection_with_config(&patient).await;
    let mut connection = connected.context("Redis's port")?;
    // What it was started with, as it understood it: the table is void without.
    let mut asked = redis::cmd("CONFIG");
    asked.arg("GET").arg("appendfsync");
    let found: Vec<String> = asked.query_async(&mut connection).await.context("CONFIG GET")?;
    anyhow::ensure!(
        found.iter().any(|one| one == "always"),
        "expected Redis with appendfsync always, found {found:?}"
    );
    Ok(connection)
}

impl Store for Redis {
    fn load(&mut self, order: &Order) -> anyhow::Result<Loaded> {
        let payload = order.payload.opaque()?;
        let mut pipeline = redis::pipe();
        for number in 0..PIPELINE {
            let command = pipeline.cmd("XADD").arg(format!("vitals.{}", number % STREAMS));
            command.arg("MAXLEN").arg("~").arg(ENTRIES_MAX).arg("*").arg("d").arg(&payload[..]);
            command.ignore();
        }
        let (runtime, server) = (&self.runtime, &self.program);
        drive(&Client { runtime, server, batch: PIPELINE }, order, || {
            let (mut connection, pipeline) = (self.connection.clone(), pipeline.clone());
            async move {
                pipeline.query_async::<()>(&mut connection).await.context("a pipeline")?;
                Ok(())
            }
        })
    }

    fn version(&self) -> &str {
        &self.version
    }
}
