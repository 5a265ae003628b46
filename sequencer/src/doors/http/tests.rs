use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use model::{BatchNumber, Millis, Window, Word};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::doors::codes;
use crate::doors::reach::{OpenWindow, TellWindows, Windows};
use crate::folder::store::tests::empty_batch;
use crate::folder::store::{BatchArchive, BroughtBatch, FileDigest, NotBrought, Settled, Store};
use crate::guard::Failures;
use crate::metrics::Metrics;
use crate::window::Assembled;

#[derive(Clone, Default)]
struct Stages(Arc<AtomicBool>, Arc<AtomicBool>);

impl Health for Stages {
    fn failed_stage(&self) -> Option<&'static str> {
        self.0.load(Ordering::SeqCst).then_some("prove")
    }

    fn reasons(&self) -> Vec<Unready> {
        let detail = serde_json::json!({ "free_bytes": 5 });
        let low = Unready::new(&codes::DISK_LOW, detail);
        self.1.load(Ordering::SeqCst).then_some(low).into_iter().collect()
    }

    fn stages(&self) -> Vec<StageHealth> {
        vec![StageHealth {
            stage: "journal",
            state: "runs",
            cause: None,
            queue_holds: Some("items"),
            queue_items: Some(3),
            queue_items_max: Some(5_120),
            progress_in: Some("groups"),
            progress_count: Some(77),
            progress_seconds_ago: None,
        }]
    }
}

impl TellWindows for Stages {
    fn windows(&self) -> Windows {
        let open = Some(OpenWindow { number: 3, since_unix_ms: 7 });
        Windows { closed: 2, open, ..Windows::default() }
    }
}

impl TellDesk for Stages {
    fn desk(&self, since_unix_ms: u64) -> serde_json::Value {
        serde_json::json!({ "since": since_unix_ms })
    }

    fn erasures(&self) -> serde_json::Value {
        serde_json::json!({ "waiting": 1 })
    }
}

struct Bench {
    service: HttpService,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    stages: Stages,
    batch: Assembled,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let at = |ms| Millis::new(ms).unwrap();
        let window = Window::new(at(1000), at(2000)).unwrap();
        let batch = empty_batch(1, [0; 32], Word::from_u64(7), window);
        store.save_batch(&batch, at(2000)).unwrap();
        let (metrics, stages) = (Metrics::new(), Stages::default());
        let health = Arc::new(stages.clone());
        let wrong = WrongTokens::new(metrics.desk_tokens_wrong_total.clone());
        let (desk, access) = (Arc::new(stages.clone()), Access::read(None, wrong).unwrap());
        let windows = desk.clone();
        let (operations, forwarded) = (DoorPlace::default(), false);
        let shown = Shown {
            store: store.clone(),
            metrics: metrics.clone(),
            health,
            desk,
            access,
            windows,
            consult: None,
            operations,
            forwarded,
            audit_events: None,
            notices: None,
        };
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let service = HttpService::start(any, shown, &Guard::new(Failures::new())).await.unwrap();
        Bench { service, store, metrics, stages, batch, folder }
    }

    async fn send(&self, request: &str) -> (u16, String, Vec<u8>) {
        send(self.service.local_addr(), request).await
    }

    async fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        get(self.service.local_addr(), path).await
    }

    fn settle(&self) {
        let settled = Settled { transaction: [1; 32], block: 1, lateness_ms: 1, gas: 1 };
        self.store.mark_settled(&[(BatchNumber(1), Some(settled))]).unwrap();
    }

    /// When the database was written last, and its bytes.
    fn written(&self) -> (std::time::SystemTime, Vec<u8>) {
        let path = self.folder.path().join("store.redb");
        let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
        (changed, std::fs::read(path).unwrap())
    }

    async fn check_json(&self, path: &str, status: u16, body: &str) {
        let (found, _, bytes) = self.get(path).await;
        assert_eq!((found, String::from_utf8(bytes).unwrap().as_str()), (status, body), "{path}");
    }
}

async fn send(address: SocketAddr, request: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String, Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    send(address, &request).await
}

#[tokio::test]
async fn nobody_asks_about_consent_where_it_is_not_configured() {
    let bench = Bench::new().await;
    let post = "POST /fhir/$consent-decision HTTP/1.1\r\nhost: node\r\ncontent-length: 2\r\n\r\n{}";
    let (status, _, body) = bench.send(post).await;
    assert_eq!(status, 404);
    assert!(String::from_utf8(body).unwrap().contains("path-unknown"));
    let (status, head, body) = bench.get("/fhir/metadata").await;
    assert_eq!(status, 404, "nothing of FHIR is stated where nothing is answered");
    assert!(head.contains("content-type: application/fhir+json"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("path-unknown"));
}

#[tokio::test]
async fn nobody_subscribes_to_notices_where_no_host_is_configured() {
    let bench = Bench::new().await;
    let posted = "POST /fhir/Subscription HTTP/1.1\r\nhost: node\r\ncontent-length: 2\r\n\r\n{}";
    let ended = "DELETE /fhir/Subscription/7 HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
    for request in [posted, ended] {
        let (status, _, body) = bench.send(request).await;
        let body = String::from_utf8(body).unwrap();
        assert!(status == 404 && body.contains("path-unknown"), "{status} {body}");
    }
    for path in ["/fhir/Subscription", "/fhir/Subscription/7"] {
        assert_eq!(bench.get(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn files_are_served_and_immutable_once_settled() {
    let bench = Bench::new().await;
    let (status, head, body) = bench.get("/batches/1").await;
    assert_eq!((status, body), (200, bench.batch.public.to_bytes()));
    assert!(head.contains("content-type: application/octet-stream"), "{head}");
    assert!(head.contains("cache-control: no-cache"), "{head}");
    let under_way = r#"{"batch":2,"state":"closed"},{"batch":3,"since_unix_ms":7,"state":"open"}"#;
    let told = |settled: u64, first: &str| {
        let numbers = format!(r#""assembled":1,"schema":"vitals-batches-1","settled":{settled}"#);
        format!("{{{numbers},\"under_way\":[{first}{under_way}],\"under_way_left_out\":0}}")
    };
    let assembled = r#"{"batch":1,"state":"assembled"},"#;
    bench.check_json("/batches", 200, &told(0, assembled)).await;
    bench.settle();
    let (status, head, body) = bench.get("/batches/1/private").await;
    assert_eq!((status, body), (200, bench.batch.private.to_bytes()));
    assert!(head.contains("cache-control: public, max-age=31536000, immutable"), "{head}");
    bench.check_json("/batches", 200, &told(1, "")).await;
}

#[tokio::test]
async fn what_is_not_there_is_named_in_json() {
    let bench = Bench::new().await;
    let unknown = r#"{"detail":{"number":2},"error":"batch-unknown"}"#;
    bench.check_json("/batches/2", 404, unknown).await;
    bench.check_json("/batches/2/private", 404, unknown).await;
    let malformed = r#"{"detail":"expected a batch number","error":"number-malformed"}"#;
    for path in ["/batches/..%2Fkey", "/batches/+1", "/batches/%2B1", "/batches/01/private"] {
        bench.check_json(path, 400, malformed).await;
    }
    bench.check_json("/other", 404, r#"{"detail":null,"error":"path-unknown"}"#).await;
    let post =
        "POST /batches HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(bench.send(post).await.0, 405);
}

#[tokio::test]
async fn a_damaged_file_is_reported_and_not_served() {
    let bench = Bench::new().await;
    let mut bytes = bench.batch.public.to_bytes();
    bytes[50] ^= 1;
    std::fs::write(bench.folder.path().join("batches/000001/public.bin"), bytes).unwrap();
    let corrupt = r#"{"detail":null,"error":"corrupt"}"#;
    bench.check_json("/batches/1", 500, corrupt).await;
}

#[tokio::test]
async fn health_and_readiness_follow_stages_and_chain() {
    let bench = Bench::new().await;
    bench.check_json("/healthz", 200, r#"{"status":"ok"}"#).await;
    let unreachable = r#"{"detail":null,"error":"chain-unreachable"}"#;
    bench.check_json("/readyz", 503, unreachable).await;
    bench.metrics.chain_reachable.set(1);
    bench.check_json("/readyz", 200, r#"{"status":"ready"}"#).await;
    let written = bench.written();
    bench.stages.1.store(true, Ordering::SeqCst);
    let low = r#"{"detail":{"free_bytes":5},"error":"disk-low"}"#;
    bench.check_json("/readyz", 503, low).await;
    bench.check_json("/healthz", 200, r#"{"status":"ok"}"#).await;
    bench.stages.1.store(false, Ordering::SeqCst);
    bench.check_json("/readyz", 200, r#"{"status":"ready"}"#).await;
    assert_eq!(bench.written(), written, "asking writes nothing");
    bench.stages.0.store(true, Ordering::SeqCst);
    let failed = r#"{"detail":{"stage":"prove"},"error":"stage-failed"}"#;
    bench.check_json("/healthz", 503, failed).await;
    bench.check_json("/readyz", 503, failed).await;
}

#[tokio::test]
async fn metrics_are_served_as_text() {
    let bench = Bench::new().await;
    bench.metrics.receipts_total.inc_by(5);
    let (status, head, body) = bench.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("\nvitals_receipts_total 5\n"));
}

#[tokio::test]
async fn whoever_asks_for_json_is_told_every_reason_and_every_stage() {
    let bench = Bench::new().await;
    let all = async |path: &str| {
        let (status, head, body) = bench.get(path).await;
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    };
    let codes = |told: &serde_json::Value| -> Vec<String> {
        let reasons = told["reasons"].as_array().unwrap().iter();
        reasons.map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
    };
    bench.stages.1.store(true, Ordering::SeqCst);
    let (status, told) = all("/readyz?format=json").await;
    assert_eq!(status, 503);
    assert_eq!(codes(&told), ["disk-low", "chain-unreachable"], "{told}");
    assert_eq!(told["reasons"][0]["detail"], serde_json::json!({ "free_bytes": 5 }));
    let todo = told["reasons"][0]["what_to_do"].as_str().unwrap();
    assert_eq!(todo, codes::DISK_LOW.what_to_do);
    assert_eq!((&told["ready"], &told["healthy"]), (&false.into(), &true.into()));
    let stage = &told["stages"][0];
    assert_eq!((&stage["queue_items"], &stage["queue_items_max"]), (&3.into(), &5_120.into()));
    assert_eq!(stage["progress_seconds_ago"], serde_json::Value::Null);
    // What does not keep it from being healthy is told all the same.
    let (status, told) = all("/healthz?format=json").await;
    assert_eq!((status, codes(&told).len()), (200, 2));
    assert_eq!(told["schema"], "vitals-health-1");

    bench.stages.0.store(true, Ordering::SeqCst);
    let accepts = "GET /healthz HTTP/1.1\r\nhost: x\r\naccept: application/json\r\n\
                   connection: close\r\n\r\n";
    let (status, _, body) = bench.send(accepts).await;
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &told["healthy"]), (503, &false.into()));
    assert_eq!(codes(&told), ["stage-failed", "disk-low", "chain-unreachable"]);

    bench.stages.0.store(false, Ordering::SeqCst);
    bench.stages.1.store(false, Ordering::SeqCst);
    bench.metrics.chain_reachable.set(1);
    let (status, told) = all("/readyz?format=json").await;
    assert_eq!((status, &told["ready"]), (200, &true.into()));
    assert_eq!(told["reasons"], serde_json::json!([]));
}

#[tokio::test]
async fn the_desk_is_told_to_whoever_asks_this_machine_by_its_own_name() {
    let bench = Bench::new().await;
    let ask = |path: &str, head: &str| {
        format!("GET {path} HTTP/1.1\r\n{head}\r\nconnection: close\r\n\r\n")
    };
    let (status, head, body) = bench.send(&ask("/desk?since=7", "host: localhost:8080")).await;
    // Who asks to be erased is for whoever has the token, and there is none.
    assert_eq!((status, body), (200, br#"{"erasures":null,"since":7}"#.to_vec()));
    assert!(head.contains("cache-control: no-store"), "{head}");
    for (path, head, status, code) in [
        ("/desk", "host: node.example.org", 403, "desk-elsewhere"),
        ("/desk", "host: localhost\r\nx-forwarded-for: 10.0.0.1", 403, "desk-elsewhere"),
        ("/desk?since=x", "host: localhost", 400, "since-malformed"),
    ] {
        let (found, _, body) = bench.send(&ask(path, head)).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!((found, body), (status, format!("{{\"detail\":null,\"error\":\"{code}\"}}")));
    }
}

#[tokio::test]
async fn a_request_head_beyond_the_limit_is_refused() {
    let bench = Bench::new().await;
    let long = "y".repeat(20 * 1024);
    let request = format!("GET /batches HTTP/1.1\r\nhost: x\r\nlong: {long}\r\n\r\n");
    assert_eq!(bench.send(&request).await.0, 431);
    let many: String = (0..40).map(|n| format!("h{n}: v\r\n")).collect();
    let request = format!("GET /batches HTTP/1.1\r\n{many}\r\n");
    assert_eq!(bench.send(&request).await.0, 431);
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_takes_no_more() {
    let bench = Bench::new().await;
    let address = bench.service.local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    // Answered, so that the connection is known to be served.
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut begun = [0; 12];
    idle.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    bench.service.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// Connections that never finish a request, and some that never read their answer.
async fn strangers(bench: &Bench, count: usize) -> Vec<TcpStream> {
    let mut strangers = Vec::new();
    for n in 0..count {
        let mut stream = TcpStream::connect(bench.service.local_addr()).await.unwrap();
        let begun: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET /healthz HTTP/1.1\r\nhost:",
            _ => b"GET /batches/1 HTTP/1.1\r\nhost: x\r\n\r\n",
        };
        // One that had to give way already has closed its end.
        drop(stream.write_all(begun).await);
        strangers.push(stream);
    }
    strangers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_strangers_keep_nobody_from_health_and_metrics() {
    let bench = Bench::new().await;
    bench.metrics.chain_reachable.set(1);
    for count in [64, 300] {
        let strangers = strangers(&bench, count).await;
        for path in ["/healthz", "/readyz", "/metrics", "/batches/1"] {
            // Far below the ten seconds after which a slow head is given up.
            let answer = tokio::time::timeout(Duration::from_secs(5), bench.get(path)).await;
            assert_eq!(answer.expect("in time").0, 200, "{path} beside {count}");
        }
        drop(strangers);
    }
}

#[tokio::test]
async fn what_is_signed_is_bytes_of_a_bounded_length_and_waits_for_the_node() {
    let bench = Bench::new().await;
    let post = |path: &str, kind: &str, length: usize| {
        let body = "x".repeat(length);
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    };
    for (path, most) in [("/operations", 1024), ("/erasures", wire::SignedErasure::BYTES)] {
        for (kind, length, status, code) in [
            ("text/plain", 100, 415, "operation-type"),
            ("application/octet-stream", most + 1, 413, "operation-long"),
            ("application/octet-stream", most, 503, "operations-closed"),
        ] {
            let (found, _, body) = bench.send(&post(path, kind, length)).await;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((found, body["error"].as_str()), (status, Some(code)), "{path} {length}");
        }
        assert_eq!(bench.get(path).await.0, 405, "{path}");
    }
}

/// An archive that says nothing before it is told what to.
#[derive(Debug, Default)]
struct Hanging {
    asked: watch::Sender<usize>,
    says: Mutex<Option<fn() -> Brought>>,
    told: Condvar,
}

type Brought = Result<Box<dyn BroughtBatch>, NotBrought>;

impl Hanging {
    fn tell(&self, says: fn() -> Brought) {
        *self.says.lock().unwrap() = Some(says);
        self.told.notify_all();
    }
}

impl BatchArchive for Hanging {
    fn bring(&self, _: &FileDigest, wait: Duration) -> Brought {
        assert!(wait <= Duration::from_secs(10), "{wait:?}");
        self.asked.send_modify(|asked| *asked += 1);
        let says = self.says.lock().unwrap();
        let says = self.told.wait_while(says, |says| says.is_none()).unwrap();
        says.expect("somebody said")()
    }
}

/// The file that the archive has, which it gives at last.
struct Given;

impl BroughtBatch for Given {
    fn read(&self) -> Result<Vec<u8>, NotBrought> {
        Ok(b"as it was archived".to_vec())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_hangs_keeps_nobody_from_a_file_that_is_here() {
    let bench = Bench::new().await;
    bench.settle();
    assert!(bench.store.put_away_public(BatchNumber(1)).unwrap());
    let archive = Arc::new(Hanging::default());
    let mut asked = archive.asked.subscribe();
    bench.store.read_from(archive.clone());
    let address = bench.service.local_addr();
    // As many as may wait for it, of which four do and the others for their turn.
    let away: Vec<_> = (0..16).map(|_| tokio::spawn(get(address, "/batches/1"))).collect();
    asked.wait_for(|asked| *asked == 4).await.unwrap();
    for _ in 0..2 * FILES_MAX {
        let (status, _, body) = bench.get("/batches/1/private").await;
        assert_eq!((status, body), (200, bench.batch.private.to_bytes()));
    }
    assert_eq!(*asked.borrow(), 4, "no further one, as long as it hangs");
    archive.tell(|| Err(NotBrought::Later("it takes longer".into())));
    let busy = br#"{"detail":null,"error":"archive-busy"}"#;
    for answer in away {
        let (status, head, body) = answer.await.unwrap();
        assert_eq!((status, &body[..]), (503, &busy[..]));
        assert!(head.contains("retry-after: 10"), "{head}");
    }
    archive.tell(|| Err(NotBrought::Unavailable("no such object".into())));
    let (_, head, _) = bench.get("/batches/1").await;
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 10"), "{head}");
    bench.check_json("/batches/1", 503, r#"{"detail":null,"error":"archive-unavailable"}"#).await;
    archive.tell(|| Ok(Box::new(Given)));
    let (status, head, body) = bench.get("/batches/1").await;
    assert_eq!((status, &body[..]), (200, &b"as it was archived"[..]));
    assert!(head.contains("immutable"), "{head}");
}
