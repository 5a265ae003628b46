//! `auditor serve`: the verifying page, for the browser of whoever runs it.

use std::io;
use std::net::SocketAddr;

use anyhow::Context as _;
use auditor::Source;
use clap::Args;
use files::Audience;
use l1_contracts::{HttpUrl, Patience};
use model::{BatchNumber, ExitCode};
use page_server::{Files, Found, PageServer, Reach, Shown, Trust};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::given::{Given, PlaceArgs, Read};

/// Longest deployment file that is shown.
const DEPLOYMENT_BYTES_MAX: u64 = 1 << 20;

/// What a page looks at.
#[derive(Args)]
pub(crate) struct Looks {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// JSON-RPC address of a second node of the base chain: the page compares what both say, and so
    /// trusts neither alone.
    #[arg(long, value_name = "URL")]
    second_rpc: Option<String>,
}

/// [`Looks`], read: the deployment file as it is, because the page reads it once more.
pub(crate) struct Looked {
    pub(crate) deployment: Vec<u8>,
    pub(crate) chains: Vec<HttpUrl>,
    pub(crate) data: Source,
}

impl Looks {
    pub(crate) fn read(&self) -> anyhow::Result<Looked> {
        let Read { rpc, data, .. } = self.place.read()?;
        let second = self.second_rpc.as_deref().map(str::parse::<HttpUrl>).transpose();
        let second = second.context("reading --second-rpc")?;
        let path = &self.place.deployment;
        let deployment = files::read(path, DEPLOYMENT_BYTES_MAX, Audience::Public)
            .with_context(|| format!("the deployment file {}", path.display()))?;
        Ok(Looked { deployment, chains: [rpc].into_iter().chain(second).collect(), data })
    }
}

#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    looks: Looks,
    /// Where the page is served: a loopback address. Port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
}

/// Serves until the program is told to end.
pub(crate) async fn serve(args: &Serve) -> anyhow::Result<ExitCode> {
    let server = bind(args).await.map_err(Given)?;
    // Before the address is told: whoever reads it may stop the program at once.
    let stopped = stopped();
    let url = format!("http://{}/", server.local_addr());
    match args.looks.place.json {
        true => println!("{}", serde_json::json!({ "schema": "vitals-page-1", "url": url })),
        false => println!("{url} verifies in your browser; Ctrl-C ends it"),
    }
    server.serve(stopped).await;
    Ok(ExitCode::Ok)
}

async fn bind(args: &Serve) -> anyhow::Result<PageServer> {
    let Looked { deployment, chains, data } = args.looks.read()?;
    let files = Box::new(OfSource(data));
    let shown = Shown { trust: Trust::Verifier, deployment, chains, files, desk: None };
    Ok(PageServer::bind(args.listen, shown).await?)
}

/// Until SIGINT or SIGTERM. Both are caught from the call on, not from the first wait.
fn stopped() -> impl Future<Output = ()> {
    let caught = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async fn comes(caught: io::Result<Signal>) {
        match caught {
            Ok(mut signal) => _ = signal.recv().await,
            // Without a handler the signal ends the program by itself.
            Err(_) => std::future::pending().await,
        }
    }
    let [interrupt, terminate] = caught;
    async {
        tokio::select! {
            () = comes(interrupt) => {}
            () = comes(terminate) => {}
        }
    }
}

/// What `--data` names, as a page asks it.
struct OfSource(Source);

impl Files for OfSource {
    fn reach(&self) -> Found<'_, Reach> {
        Box::pin(async {
            self.0.reach(&Patience::short()).await.map_err(|fault| fault.to_string())
        })
    }

    fn public_file(&self, number: BatchNumber) -> Found<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let found = self.0.public_file(number, &Patience::short()).await;
            found.map(Some).map_err(|fault| fault.to_string())
        })
    }
}
