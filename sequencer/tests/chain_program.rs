//! The real program behind a chain's node that does one thing wrong after the other, and several
//! at once: it starts, collects, tells of the trouble, never ends, and once the trouble is over
//! everything that it assembled is settled once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::providers::Provider as _;
use client::{Connection, Stream};
use devchain::DevChain;
use l1_contracts::Edge;
use model::{Clock, Millis, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sequencer::folder::store::Store;
use sequencer::node::setup::{self, BaseChain, Reach};
use wire::{DeviceTime, Reading};

use crate::chain_trouble::hurry;
use crate::degraded::get_from;
use crate::kill::{Gateway, Program};
use crate::proxy::{Pause, Proxy, Trouble};
use crate::support::{Site, check_settled};

const SEED: u64 = 1;
/// A stall is a failure, not a hang. Some twenty seconds are usual.
const STALLED_AFTER: Duration = Duration::from_secs(300);
const HOUR_MS: u64 = 3_600_000;

/// The clock of the deployment, and then of the chain: the system's, and so much behind.
struct LateClock {
    behind_ms: AtomicU64,
}

impl Clock for LateClock {
    fn now(&self) -> Millis {
        let behind_ms = self.behind_ms.load(Ordering::SeqCst);
        Millis::new(SystemClock.now().get() - behind_ms).unwrap()
    }
}

/// How somebody learns of a trouble while it lasts.
#[derive(Clone, Copy)]
enum Told {
    /// `/readyz` answers 503 and says so.
    NotReady(&'static str),
    /// This metric grows.
    Counted(&'static str),
    /// Not at all: everything settles meanwhile.
    SettlesMeanwhile,
}

/// What a chain's node does wrong that answers, and what it does as well.
type Fault = (fn(&mut Trouble), Told);

/// Whoever is asked does not answer, or not what was asked.
const SILENT: [Fault; 7] = [
    (|it| it.away = true, Told::NotReady("chain-unreachable")),
    (|it| it.hangs = true, Told::NotReady("chain-unreachable")),
    (|it| it.page = true, Told::NotReady("chain-unreachable")),
    (|it| it.busy = Some(Pause::Unsaid), Told::NotReady("chain-unreachable")),
    (|it| it.busy = Some(Pause::Seconds(1)), Told::NotReady("chain-unreachable")),
    (|it| it.cuts = true, Told::NotReady("chain-unreachable")),
    (|it| it.spent = true, Told::NotReady("chain-unreachable")),
];

/// The answer is behind, wrong, or not to the operator's liking.
const ANSWERING: [Fault; 9] = [
    (|it| it.blockless = true, Told::NotReady("chain-fails")),
    (|it| it.behind = 2, Told::SettlesMeanwhile),
    (|it| it.nonce = 3, Told::NotReady("not-taken")),
    (|it| it.lies = true, Told::Counted("vitals_settle_doubts_total")),
    (|it| it.bare = true, Told::SettlesMeanwhile),
    (|it| it.reverts = true, Told::NotReady("refused")),
    (|it| it.starves = true, Told::Counted("vitals_settle_failed_total")),
    (|it| it.dear = true, Told::NotReady("fee-limit")),
    (|it| it.loses = true, Told::NotReady("settlement-lags")),
];

/// A deployed folder, its chain, and the program that reaches the chain through the proxy.
struct Ward {
    site: Site,
    chain: DevChain,
    clock: Arc<LateClock>,
    /// The way to the chain without troubles.
    edge: Edge,
    /// Blocks of the deployment, an hour old.
    deployed: u64,
    proxy: Arc<Proxy>,
    program: Program,
}

impl Ward {
    /// The program is started while nobody answers for the chain.
    async fn open() -> Ward {
        let clock = Arc::new(LateClock { behind_ms: HOUR_MS.into() });
        let mut site = Site::with_clock(clock.clone()).await;
        let opened = setup::open_chain(&site.layout, &site.config, clock.clone()).unwrap();
        let BaseChain { provider, reach } = opened;
        let edge = Edge::connect(provider, site.deployment.clone()).await.unwrap();
        let Reach::Embedded(chain) = reach else { panic!("the embedded chain") };
        // A node that is two blocks behind has the contract all the same.
        (0..4).for_each(|_| chain.mine_empty().unwrap());
        let deployed = edge.provider().get_block_number().await.unwrap();
        clock.behind_ms.store(0, Ordering::SeqCst);
        chain.set_finality(2);
        let (proxy, url) = Proxy::serve(chain.clone()).await;
        site.config.chain.rpc = Some(url.parse().unwrap());
        site.config.batch.close_after_ms = 200;
        hurry(&mut site.config.settle);
        site.config.settle.round_max_ms = 1_000;
        site.config.settle.alarm_after_ms = 1_000;
        write_config(&site);
        SILENT[0].0(&mut proxy.trouble());
        let program = Program::start(&site).await;
        Ward { site, chain, clock, edge, deployed, proxy, program }
    }

    async fn metric(&self, name: &str) -> f64 {
        let (_, text) = get_from(self.program.http, "/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    async fn wait_for_metric(&self, name: &str, holds: impl Fn(f64) -> bool) {
        while !holds(self.metric(name).await) {
            self.proxy.meets(1).await;
        }
    }

    async fn readyz(&self) -> (u16, String) {
        get_from(self.program.http, "/readyz").await
    }

    async fn wait_until_not_ready(&self, why: &str) {
        loop {
            let (status, body) = self.readyz().await;
            if status == 503 && body.contains(why) {
                return;
            }
            self.proxy.meets(1).await;
        }
    }

    /// Everything that is assembled is settled, recorded, and on the chain once.
    /// Waits until the open window is empty and those before it are settled: of what settles after
    /// the node has stopped its store knows nothing.
    async fn wait_until_nothing_is_open(&self) {
        let mut before = f64::INFINITY;
        loop {
            let age = self.metric("vitals_window_age_seconds").await;
            // One in which something happens is closed after 0.2 s; a second look says that the
            // first one did not close it.
            if age > before {
                break;
            }
            before = if age > 1.0 { age } else { f64::INFINITY };
            self.proxy.meets(1).await;
        }
        // Proving may take longer than the two looks did.
        let closed = self.metric("vitals_batch_closed").await;
        self.wait_for_metric("vitals_batch_assembled", |assembled| assembled >= closed).await;
        self.wait_until_settled().await;
    }

    async fn wait_until_settled(&self) {
        let assembled = self.metric("vitals_batch_assembled").await;
        self.wait_for_metric("vitals_batch_settled", |settled| settled >= assembled).await;
        // Measured by the store, which learns it last.
        self.wait_for_metric("vitals_settle_lag_batches", |lag| lag == 0.0).await;
        while self.readyz().await.0 != 200 {
            self.proxy.meets(1).await;
        }
        let settled = self.edge.settled_batches().await.unwrap();
        let numbers: Vec<u64> = settled.iter().map(|batch| batch.header.number.0).collect();
        // A further one may have been made since.
        let last = numbers.len() as u64;
        assert!(last >= assembled as u64, "{numbers:?} of {assembled}");
        assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    }

    /// Blocks come as on any chain, and all settles by and by.
    async fn settle_meanwhile(&self) {
        let assembled = self.metric("vitals_batch_assembled").await;
        while self.metric("vitals_batch_settled").await < assembled
            || self.metric("vitals_settle_lag_batches").await > 0.0
        {
            self.chain.mine_empty().unwrap();
            self.proxy.meets(10).await;
        }
    }

    /// One trouble, from its begin until everything is settled after its end.
    async fn outlives(&self, monitor: &Monitor, (change, told): Fault) {
        let before = match told {
            Told::Counted(name) => self.metric(name).await,
            Told::NotReady(_) | Told::SettlesMeanwhile => 0.0,
        };
        let mut trouble = Trouble::default();
        change(&mut trouble);
        println!("{trouble:?}");
        *self.proxy.trouble() = trouble;
        self.collect(monitor).await;
        match told {
            Told::NotReady(why) => self.wait_until_not_ready(why).await,
            Told::Counted(name) => self.wait_for_metric(name, |count| count > before).await,
            Told::SettlesMeanwhile => self.settle_meanwhile().await,
        }
        assert_eq!(get_from(self.program.http, "/healthz").await.0, 200, "{trouble:?}");
        *self.proxy.trouble() = Trouble::default();
        self.wait_until_settled().await;
    }

    /// A reading is taken in and acknowledged, and its window is closed and proven.
    async fn collect(&self, monitor: &Monitor) {
        let assembled = self.metric("vitals_batch_assembled").await;
        monitor.send().await;
        self.wait_for_metric("vitals_batch_assembled", |count| count > assembled).await;
    }

    /// SIGHUP, and the settler goes by this limit of fees.
    async fn limit_fees(&mut self, fee_wei_max: u64) {
        self.site.config.settle.fee_wei_max = fee_wei_max;
        write_config(&self.site);
        self.program.signal("-HUP").await;
        let taken = |limit: f64| limit == fee_wei_max as f64;
        self.wait_for_metric("vitals_settle_fee_max_wei", taken).await;
    }
}

fn write_config(site: &Site) {
    std::fs::write(site.layout.config(), site.config.to_toml()).unwrap();
}

/// A gateway's connection with the stream of one monitor.
struct Monitor {
    connection: Connection,
    stream: Stream,
}

impl Monitor {
    async fn connect(ward: &Ward) -> Monitor {
        let gateway = Gateway { site: &ward.site, receipts: Arc::default() };
        let (connection, stream, _) = gateway.connect(ward.program.ingest).await;
        Monitor { connection, stream }
    }

    async fn send(&self) {
        let reading = Reading::new(DeviceTime::from_millis(SystemClock.now()), 72);
        let sequence = self.stream.send(&[reading]).await.unwrap();
        self.stream.wait_for_receipt(sequence).await.unwrap();
    }
}

/// Nothing is lost, whatever happened: the store knows it as well.
async fn end(ward: Ward, monitor: Monitor) {
    monitor.connection.close().await;
    ward.wait_until_nothing_is_open().await;
    let Ward { site, edge, program, .. } = ward;
    program.terminate().await;
    let count = edge.settled_batches().await.unwrap().len() as u64;
    let store = Store::open(&site.layout.store()).unwrap();
    check_settled(&edge, &store, count).await;
}

async fn tell_in_time(story: impl Future<Output = ()>) {
    let told = tokio::time::timeout(STALLED_AFTER, story).await;
    told.expect("a receipt, a word about a trouble or a settlement never came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_outlives_each_trouble_of_its_chain_and_tells_of_it() {
    tell_in_time(async {
        let (ward, monitor) = begin().await;
        for fault in SILENT.into_iter().chain(ANSWERING) {
            ward.outlives(&monitor, fault).await;
        }
        end(ward, monitor).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_settles_anew_what_its_chain_takes_back_and_waits_for_its_clock() {
    tell_in_time(async {
        let (ward, monitor) = begin().await;
        *ward.proxy.trouble() = Trouble::default();
        for _ in 0..3 {
            ward.collect(&monitor).await;
            ward.wait_until_settled().await;
        }
        taken_back(&ward).await;
        late_clock(&ward, &monitor).await;
        end(ward, monitor).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_fees_that_is_raised_by_a_hangup_ends_the_stall() {
    tell_in_time(async {
        let (mut ward, monitor) = begin().await;
        *ward.proxy.trouble() = Trouble::default();
        highest_fee(&mut ward, &monitor).await;
        end(ward, monitor).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_outlives_several_troubles_at_once() {
    tell_in_time(async {
        let (ward, monitor) = begin().await;
        several_at_once(&ward, &monitor).await;
        end(ward, monitor).await;
    })
    .await;
}

async fn begin() -> (Ward, Monitor) {
    let ward = Ward::open().await;
    let monitor = Monitor::connect(&ward).await;
    (ward, monitor)
}

/// A block with settled batches goes away for good, and another comes again otherwise.
async fn taken_back(ward: &Ward) {
    let doubts = "vitals_settle_doubts_total";
    let before = ward.metric(doubts).await;
    assert_eq!(ward.chain.remove_blocks(1).unwrap().len(), 1, "the last block holds a batch");
    ward.wait_for_metric(doubts, |count| count > before).await;
    ward.wait_until_settled().await;
    ward.chain.reorganise(1).unwrap();
    ward.wait_until_settled().await;
}

/// The chain's clock steps back, and every block since the deployment is gone: nothing is over for
/// it, and everything waits until the clock is right.
async fn late_clock(ward: &Ward, monitor: &Monitor) {
    let head = ward.edge.provider().get_block_number().await.unwrap();
    ward.clock.behind_ms.store(HOUR_MS, Ordering::SeqCst);
    ward.chain.remove_blocks(head - ward.deployed).unwrap();
    ward.collect(monitor).await;
    ward.wait_until_not_ready("settlement-lags").await;
    ward.clock.behind_ms.store(0, Ordering::SeqCst);
    ward.wait_until_settled().await;
}

/// A limit of fees that an operator lowers too far stalls settling, and one that is raised ends
/// that, without a restart.
async fn highest_fee(ward: &mut Ward, monitor: &Monitor) {
    let allowed = ward.site.config.settle.fee_wei_max;
    ward.limit_fees(1).await;
    ward.collect(monitor).await;
    ward.wait_until_not_ready("fee-limit").await;
    ward.limit_fees(allowed).await;
    ward.wait_until_settled().await;
}

async fn several_at_once(ward: &Ward, monitor: &Monitor) {
    println!("seed {SEED}");
    let mut random = StdRng::seed_from_u64(SEED);
    for _ in 0..5 {
        let mut trouble = Trouble::default();
        for _ in 0..3 {
            ANSWERING[random.gen_range(0..ANSWERING.len())].0(&mut trouble);
        }
        println!("{trouble:?}");
        *ward.proxy.trouble() = trouble;
        ward.collect(monitor).await;
        // Blocks that nobody saw settle anything go away under it.
        ward.chain.remove_blocks(random.gen_range(0..2)).unwrap();
        ward.proxy.meets(30).await;
        assert_eq!(get_from(ward.program.http, "/healthz").await.0, 200, "{trouble:?}");
        *ward.proxy.trouble() = Trouble::default();
        ward.wait_until_settled().await;
    }
}
