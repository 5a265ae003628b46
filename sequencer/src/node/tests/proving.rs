//! The proving service in a node, and what workers elsewhere can and cannot do to it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Barrier, Mutex};

use ark_bn254::Fr;
use circuits::builder::Assignment;
use model::{BatchHeader, BatchNumber};
use prover::{Blinding, Engine, ProveError, ProvingKey};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use statement::proof::{Proof, VerifyError, verify};
use statement::scope::Circuit;

use super::get;
use super::support::{Site, check_settled};
use crate::folder::secrets::NodeSecret;
use crate::metrics::Metrics;
use crate::node::recover::recover;
use crate::node::*;
use crate::stages::batch::BatchBinding;
use crate::stages::prove::jobs::{
    Answer as JobAnswer, AnswerError, Around as JobsAround, InputHash, Jobs, LeaseError, LeasedJob,
    ProvingService, SetError, WorkerName,
};
use crate::stages::prove::{Planned, Planner, Progress, Wanted};
use crate::window::ClosedWindow;

const LEASE: Duration = Duration::from_secs(3600);

/// A window of two operations and one collection, laid out for a service that nobody works for: the
/// test is every worker. On the small shapes it has two chunks of operations and one of claims.
struct Bench {
    service: Arc<ProvingService>,
    metrics: Arc<Metrics>,
    planner: Planner,
    window: ClosedWindow,
    entropy: StdRng,
    _site: Site,
}

fn keys(site: &Site) -> ProverKeys {
    let keys = site.config.prover.keys.clone().unwrap();
    ProverKeys::open(&keys, Wanted::TEST, |_| {}).unwrap()
}

impl Bench {
    /// The service has `workers` local workers, none of which runs.
    async fn new(workers: usize) -> Bench {
        let site = Site::new().await;
        let mut desk = site.desk();
        desk.submit(site.frame(1));
        desk.submit(Item::Close);
        drop(desk);
        let (log, _) = site.open_log();
        let mut recovered = recover(&log, site.ledger_config(), BatchNumber(0)).unwrap();
        let binding = BatchBinding {
            scope: site.deployment.scope(),
            operations: *recovered.ledger.operation_scope(),
            key_version: BatchHeader::KEY_VERSION,
            edge_secret: *site.layout.secret(NodeSecret::Edge).unwrap(),
        };
        let metrics = Metrics::new();
        let around = JobsAround { metrics: metrics.clone(), tell: Box::new(|_| ()) };
        let service = ProvingService::new(workers, 7, around);
        let planner = Planner { binding, keys: keys(&site).into(), service: service.clone() };
        let (window, entropy) = (recovered.backlog.remove(0), StdRng::seed_from_u64(3));
        Bench { service, metrics, planner, window, entropy, _site: site }
    }

    fn plan(&self) -> Planned {
        self.planner.plan(&self.window).unwrap()
    }

    fn lease(&self, worker: &WorkerName) -> LeasedJob {
        self.service.lease(worker, LEASE).expect("a job")
    }

    /// What an honest worker answers.
    fn prove(&mut self, job: &LeasedJob, worker: &WorkerName) -> JobAnswer {
        let proof = job.work.prove(&job.work.assign().unwrap(), &mut self.entropy).unwrap();
        let (token, input_hash, worker) = (job.token, job.input_hash, worker.clone());
        JobAnswer { token, input_hash, worker, proof }
    }

    /// Does every job that is left.
    fn prove_rest(&mut self, worker: &WorkerName) {
        while let Some(job) = self.service.lease(worker, LEASE) {
            let answer = self.prove(&job, worker);
            self.service.answer(answer).unwrap();
        }
    }

    fn shows(&self, line: &str) {
        let text = self.metrics.text();
        assert!(text.lines().any(|found| found == line), "expected {line:?} in\n{text}");
    }
}

fn worker(name: &str) -> WorkerName {
    WorkerName::new(name).unwrap()
}

#[tokio::test]
async fn workers_elsewhere_prove_a_batch_in_any_order_and_it_is_assembled_in_its_own() {
    let mut bench = Bench::new(1).await;
    let planned = bench.plan();
    let (a, b) = (worker("a"), worker("b"));
    let jobs = [bench.lease(&a), bench.lease(&b), bench.lease(&a)];
    assert_eq!(bench.service.lease(&b, LEASE).map(|job| job.input_hash), None);
    // Operations before claims, in the order of the window.
    let circuits = jobs.each_ref().map(|job| job.work.shape().circuit());
    assert_eq!(circuits, [Circuit::C1, Circuit::C1, Circuit::C2]);
    bench.shows("vitals_prove_jobs{state=\"leased\"} 3");
    for job in jobs.iter().rev() {
        let answer = bench.prove(job, &a);
        bench.service.answer(answer).unwrap();
    }
    let proven = planned.wait(&|| true).unwrap();
    let proofs = proven.operation_proofs.iter().chain(&proven.claim_proofs);
    for (job, proof) in jobs.iter().zip(proofs) {
        assert_eq!(job.work.key_id(), proof.key_id);
        let proof = Proof::decode(&proof.proof).unwrap();
        verify(job.work.verifying_key(), job.work.inputs(), &proof).unwrap();
    }
    bench.shows("vitals_prove_answers_total{answer=\"taken\"} 3");
    bench.shows("vitals_prove_leases_total{worker=\"remote\"} 3");
    drop(planned);
    bench.shows("vitals_prove_jobs{state=\"proven\"} 0");
}

#[tokio::test]
async fn whatever_is_no_proof_of_the_job_is_refused_and_its_worker_is_not_given_it_again() {
    let mut bench = Bench::new(1).await;
    let planned = bench.plan();
    let honest = worker("honest");
    let (first, second) = (bench.lease(&honest), bench.lease(&honest));
    let (mine, foreign) = (bench.prove(&first, &honest), bench.prove(&second, &honest));
    bench.service.give_back(first.token).unwrap();
    let mut off_curve = mine.proof;
    off_curve[31] ^= 1;
    type IsTold = fn(&AnswerError) -> bool;
    let lies: [(&str, [u8; 256], IsTold); 4] = [
        ("zeros", [0; 256], |why| matches!(why, AnswerError::Unverified(_))),
        ("ones", [0xff; 256], |why| matches!(why, AnswerError::Malformed(_))),
        ("off-curve", off_curve, |why| matches!(why, AnswerError::Malformed(_))),
        ("foreign", foreign.proof, |why| *why == AnswerError::Unverified(VerifyError::Rejected)),
    ];
    for (name, proof, is_told) in lies {
        let liar = worker(name);
        let job = bench.lease(&liar);
        assert_eq!(job.input_hash, first.input_hash, "the most urgent one, again and again");
        let (token, input_hash) = (job.token, job.input_hash);
        let answer = JobAnswer { token, input_hash, worker: liar.clone(), proof };
        let why = bench.service.answer(answer).unwrap_err();
        assert!(is_told(&why), "{name}: {why}");
        let next = bench.service.lease(&liar, LEASE).expect("other jobs it may have");
        assert_ne!(next.input_hash, first.input_hash, "{name} failed this one");
        bench.service.give_back(next.token).unwrap();
    }
    // The right proof under a lease of another job, and for another statement.
    let job = bench.lease(&honest);
    assert_eq!(job.failed_on, BTreeSet::from(lies.map(|(name, ..)| worker(name))));
    let other = InputHash::from_bytes([1; 32]);
    let right = JobAnswer { token: job.token, ..mine };
    let wrong = bench.service.answer(JobAnswer { input_hash: other, ..right.clone() });
    assert!(matches!(wrong, Err(AnswerError::Lease(LeaseError::OtherInput { .. }))));
    bench.service.answer(right.clone()).unwrap();
    // Said twice, and once more with another blinding: it is proven already.
    for again in [right, bench.prove(&job, &honest)] {
        let late = bench.service.answer(again);
        assert!(matches!(late, Err(AnswerError::Lease(LeaseError::Late { .. }))), "{late:?}");
    }
    bench.service.answer(foreign).unwrap();
    bench.prove_rest(&honest);
    planned.wait(&|| true).unwrap();
    for (answer, count) in
        [("late", 2), ("other-input", 1), ("malformed", 2), ("unverified", 2), ("taken", 3)]
    {
        bench.shows(&format!("vitals_prove_answers_total{{answer=\"{answer}\"}} {count}"));
    }
    bench.shows("vitals_prove_attempts_failed_total{worker=\"remote\"} 4");
}

#[tokio::test]
async fn a_lease_that_is_over_moves_and_its_late_answer_is_refused_and_counted() {
    let mut bench = Bench::new(1).await;
    let planned = bench.plan();
    let (slow, quick) = (worker("slow"), worker("quick"));
    let lost = bench.service.lease(&slow, Duration::ZERO).unwrap();
    let answer = bench.prove(&lost, &slow);
    let moved = bench.lease(&quick);
    assert_eq!((moved.input_hash, moved.attempt), (lost.input_hash, 2));
    assert_eq!(moved.failed_on, BTreeSet::from([slow.clone()]));
    let late = bench.service.answer(answer);
    assert!(matches!(late, Err(AnswerError::Lease(LeaseError::Late { .. }))), "{late:?}");
    assert!(bench.service.beat(lost.token, &slow).is_err());
    bench.service.beat(moved.token, &quick).unwrap();
    let answer = bench.prove(&moved, &quick);
    bench.service.answer(answer).unwrap();
    bench.prove_rest(&quick);
    planned.wait(&|| true).unwrap();
    bench.shows("vitals_prove_leases_expired_total 1");
    bench.shows("vitals_prove_answers_total{answer=\"late\"} 1");
}

#[tokio::test]
async fn a_batch_that_nobody_wants_any_more_is_aborted_and_nothing_of_it_is_failed() {
    let mut bench = Bench::new(1).await;
    let planned = bench.plan();
    // Twice at once, as the batcher and whoever mends files may want it: one set of jobs.
    let again = bench.plan();
    bench.shows("vitals_prove_jobs{state=\"queued\"} 3");
    let a = worker("a");
    let job = bench.lease(&a);
    assert!(matches!(planned.wait(&|| false), Err(SetError::Stopped)));
    drop(planned);
    bench.shows("vitals_prove_jobs{state=\"leased\"} 1");
    drop(again);
    bench.shows("vitals_prove_jobs{state=\"aborted\"} 1");
    bench.shows("vitals_prove_jobs{state=\"queued\"} 0");
    let answer = bench.prove(&job, &a);
    let aborted = bench.service.answer(answer);
    assert!(matches!(aborted, Err(AnswerError::Lease(LeaseError::Aborted { .. }))));
    bench.shows("vitals_prove_answers_total{answer=\"aborted\"} 1");
    // A stop that is over gives nothing out and waits for nothing.
    let planned = bench.plan();
    bench.service.stop_at(std::time::Instant::now());
    assert!(bench.service.is_stopping());
    assert_eq!(bench.service.lease(&a, LEASE).map(|job| job.input_hash), None);
    assert!(matches!(planned.wait(&|| true), Err(SetError::Stopped)));
    assert!(bench.planner.plan_ahead(&bench.window).is_none());
}

#[tokio::test]
async fn what_a_worker_elsewhere_says_cannot_fail_a_job_for_good() {
    let mut bench = Bench::new(2).await;
    let planned = bench.plan();
    for name in ["a", "b", "c"] {
        let job = bench.lease(&worker(name));
        bench.service.fail(job.token, &worker(name), "out of memory").unwrap();
    }
    bench.shows("vitals_prove_jobs{state=\"failed\"} 0");
    bench.prove_rest(&worker("d"));
    planned.wait(&|| true).unwrap();
}

/// What a test has the engines of a node do before each proof.
type Before = Arc<dyn Fn(&Fr) -> Result<(), ProveError> + Send + Sync>;

struct Prepared {
    engine: Box<dyn Engine>,
    before: Before,
}

impl Engine for Prepared {
    fn name(&self) -> &'static str {
        "prepared"
    }

    fn key(&self) -> &ProvingKey {
        self.engine.key()
    }

    fn prove(&self, assignment: &Assignment, blinding: &Blinding) -> Result<Proof, ProveError> {
        (self.before)(&assignment.instance[1])?;
        self.engine.prove(assignment, blinding)
    }
}

/// A node whose engines do that first.
async fn start(
    site: &Site,
    before: impl Fn(&Fr) -> Result<(), ProveError> + Send + Sync + 'static,
) -> Node {
    let before: Before = Arc::new(before);
    let put = |engine| -> Box<dyn Engine> { Box::new(Prepared { engine, before: before.clone() }) };
    let keys = Arc::new(keys(site).behind(put));
    let (chain, clock) = (site.chain(), site.clock.clone());
    let provided = Provided { chain, keys, clock, space: None, poster: None };
    Node::start(site.layout.folder(), &site.config, provided).await.unwrap()
}

/// A door that a proof waits at. Each says that it came, and is let through once.
struct Door {
    came: Mutex<Receiver<()>>,
    opens: Sender<()>,
}

fn door() -> (Door, impl Fn(&Fr) -> Result<(), ProveError> + Send + Sync + 'static) {
    let ((come, came), (opens, opened)) = (channel(), channel());
    let (come, opened) = (Mutex::new(come), Mutex::new(opened));
    let wait = move |_: &Fr| {
        come.lock().unwrap().send(()).ok();
        // Whoever has dropped the other end lets everybody through.
        opened.lock().unwrap().recv().ok();
        Ok(())
    };
    (Door { came: came.into(), opens }, wait)
}

/// Blocks; not on the runtime's thread that the node needs.
async fn came(door: &Arc<Door>) {
    let door = door.clone();
    tokio::task::spawn_blocking(move || door.came.lock().unwrap().recv().unwrap()).await.unwrap();
}

async fn close(node: &Node, site: &Site, sequence: u64) {
    node.submit(site.frame(sequence)).await.unwrap();
    node.submit(Item::Close).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_leaves_what_is_not_proven_in_time_to_the_next_start() {
    let mut site = Site::new().await;
    (site.config.prover.workers, site.config.prover.stop_after_ms) = (1, 0);
    let (door, wait) = door();
    let door = Arc::new(door);
    let node = start(&site, wait).await;
    let watched = node.watched().clone();
    close(&node, &site, 1).await;
    close(&node, &site, 2).await;
    came(&door).await;
    // The proof is under way and goes on, and nobody waits for it.
    node.stop().await.unwrap();
    assert_eq!((watched.failure(), watched.degraded().stages().len()), (None, 0));
    drop(Arc::into_inner(door).unwrap().opens);
    let store = Store::open(&site.layout.store()).unwrap();
    assert_eq!(store.last_number().unwrap(), BatchNumber(0));
    drop(store);
    let (node, edge) = site.start().await;
    node.wait_until_settled(2).await.unwrap();
    check_settled(&edge, node.store(), 2).await;
    drop(edge);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_lets_the_proofs_that_run_end_within_its_time() {
    let mut site = Site::new().await;
    (site.config.prover.workers, site.config.prover.stop_after_ms) = (1, 3_600_000);
    let (door, wait) = door();
    let door = Arc::new(door);
    let node = start(&site, wait).await;
    close(&node, &site, 1).await;
    came(&door).await;
    // The first one waits; it and those behind it go through once the stop has begun.
    let opening = async { drop(Arc::into_inner(door).unwrap().opens) };
    let (stopped, ()) = tokio::join!(node.stop(), opening);
    stopped.unwrap();
    let store = Store::open(&site.layout.store()).unwrap();
    assert_eq!(store.last_number().unwrap(), BatchNumber(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_window_is_laid_out_while_the_one_before_it_is_proven() {
    let mut site = Site::new().await;
    site.config.prover.workers = 1;
    let (door, wait) = door();
    let node = start(&site, wait).await;
    let mut progress = node.watched().progress();
    let is_second =
        |step: &Option<Progress>| matches!(step, Some(Progress::Planned { number: 2, .. }));
    close(&node, &site, 1).await;
    close(&node, &site, 2).await;
    progress.wait_for(is_second).await.unwrap();
    assert_eq!(node.store().last_number().unwrap().0, 0, "no proof has been let through");
    drop(door.opens);
    node.wait_until_settled(2).await.unwrap();
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_are_proven_side_by_side_and_the_last_gets_all_cores() {
    let mut site = Site::new().await;
    site.config.prover.workers = 2;
    let (both, begun) = (Barrier::new(2), AtomicUsize::new(0));
    let node = start(&site, move |_| {
        // The first two wait for each other: one after the other they never would end.
        if begun.fetch_add(1, Ordering::SeqCst) < 2 {
            both.wait();
        }
        Ok(())
    });
    let node = node.await;
    close(&node, &site, 1).await;
    node.wait_until_settled(1).await.unwrap();
    let metrics = node.watched().metrics().text();
    assert!(metrics.contains("vitals_proofs_total{circuit=\"C1\"} 2"), "{metrics}");
    assert!(metrics.contains("vitals_prove_engine{engine=\"prepared\"} 1"), "{metrics}");
    let counted = |metrics: &str, cores: &str| {
        let line = format!("vitals_prove_cores_total{{cores=\"{cores}\"}} ");
        let mut found = metrics.lines().filter_map(|found| found.strip_prefix(&line));
        found.next().map_or(0, |count| count.parse::<u64>().unwrap())
    };
    assert!(counted(&metrics, "one") >= 2, "{metrics}");
    // A window of one chunk.
    let before = counted(&metrics, "all");
    close(&node, &site, 2).await;
    node.wait_until_settled(2).await.unwrap();
    assert_eq!(counted(&node.watched().metrics().text(), "all"), before + 1);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_proof_is_that_jobs_alone_and_another_worker_makes_it() {
    let mut site = Site::new().await;
    site.config.prover.workers = 2;
    let first = AtomicBool::new(true);
    let node = start(&site, move |_| {
        assert!(!first.swap(false, Ordering::SeqCst), "the test breaks the first proof");
        Ok(())
    });
    let node = node.await;
    close(&node, &site, 1).await;
    node.wait_until_settled(1).await.unwrap();
    assert_eq!(node.watched().failure(), None);
    let metrics = get(&node, "/metrics").await.unwrap();
    let line = "vitals_prove_attempts_failed_total{worker=\"local\"} 1";
    assert!(metrics.contains(line), "expected {line} in {metrics}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_panics_on_every_worker_degrades_the_stage_and_does_not_fail_it() {
    let mut site = Site::new().await;
    site.config.prover.workers = 2;
    (site.config.prover.retry_first_ms, site.config.prover.retry_max_ms) = (1, 1);
    let panics = Arc::new(AtomicBool::new(true));
    let asked = panics.clone();
    let node = start(&site, move |_| {
        assert!(!asked.load(Ordering::SeqCst), "the test breaks every proof");
        Ok(())
    });
    let node = node.await;
    close(&node, &site, 1).await;
    let found = node.wait_until_settled(1).await;
    let is_unprovable = |found: &Result<(), NodeError>| {
        matches!(found, Err(NodeError::Degraded { stage: Stage::Proving, cause: "unprovable" }))
    };
    assert!(is_unprovable(&found), "{found:?}");
    assert!(get(&node, "/healthz").await.unwrap().starts_with("HTTP/1.1 200"));
    node.submit(site.frame(2)).await.unwrap();
    panics.store(false, Ordering::SeqCst);
    let mut settled = node.wait_until_settled(1).await;
    while is_unprovable(&settled) {
        settled = node.wait_until_settled(1).await;
    }
    settled.unwrap();
    assert_eq!(node.watched().failure(), None);
    node.stop().await.unwrap();
}
