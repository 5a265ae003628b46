//! A node whose base chain is away, behind, dear or wrong: it starts, collects and proves all the
//! same, and settles everything once, as soon as the trouble is over.

use std::sync::{Arc, Mutex, MutexGuard};

use devchain::DevChain;
use l1_contracts::{Edge, EdgeError};
use sequencer::node::setup::{BaseChain, Reach};
use sequencer::node::{Node, NodeError};
use sequencer::stages::ledger::{Answer, Item};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::degraded::get;
use crate::support::{Site, check_settled};

/// What the chain's node does wrong.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Trouble {
    /// It hangs up.
    away: bool,
    /// It answers with a page of its proxy.
    page: bool,
    /// Its chain id.
    chain_id: Option<u64>,
    /// Every second answer is of so many blocks before the head.
    behind: u64,
    /// The account's nonce is so much too high.
    nonce: u64,
    /// Receipts say the contrary.
    lies: bool,
    /// Receipts have no logs.
    bare: bool,
    /// Estimates end with a revert without words.
    reverts: bool,
    /// Estimates are too low.
    starves: bool,
    /// It asks a million times the fees, and takes nothing below.
    dear: bool,
    /// What it is sent is lost.
    loses: bool,
}

/// A door to the chain, over HTTP, with troubles.
struct Proxy {
    chain: DevChain,
    trouble: Mutex<Trouble>,
    /// Questions that were asked.
    asked: watch::Sender<u64>,
}

impl Proxy {
    /// Serves until the test ends; the address.
    async fn serve(chain: DevChain) -> (Arc<Proxy>, String) {
        let (trouble, asked) = (Mutex::default(), watch::Sender::new(0));
        let proxy = Arc::new(Proxy { chain, trouble, asked });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = served.clone();
                // A node that is stopped hangs up in the middle.
                tokio::spawn(async move { drop(proxy.answer_one(stream).await) });
            }
        });
        (proxy, url)
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap()
    }

    /// Waits until the node met the trouble so often.
    async fn meets(&self, questions: u64) {
        let mut asked = self.asked.subscribe();
        let enough = *asked.borrow_and_update() + questions;
        asked.wait_for(|asked| *asked >= enough).await.unwrap();
    }

    async fn answer_one(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while stream.read_line(&mut line).await? > 2 {
            let (name, value) = line.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        self.asked.send_modify(|asked| *asked += 1);
        let trouble = *self.trouble();
        if trouble.away {
            return Ok(());
        }
        let (status, body) = if trouble.page {
            ("500 Internal Server Error", "<html><body>502</body></html>".into())
        } else {
            let request = serde_json::from_slice(&body).unwrap();
            ("200 OK", self.answer(trouble, &request).to_string())
        };
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all((head + &body).as_bytes()).await?;
        stream.flush().await
    }

    fn answer(&self, trouble: Trouble, request: &Value) -> Value {
        let method = request["method"].as_str().unwrap();
        let params = request["params"].as_array().cloned().unwrap_or_default();
        let answer = match self.own_answer(trouble, method, &params) {
            Some(own) => own,
            None => self.chain_answer(method, &params),
        };
        let (key, value) = match answer {
            Ok(result) => ("result", result),
            Err(error) => ("error", error),
        };
        json!({ "jsonrpc": "2.0", "id": request["id"], key: value })
    }

    fn chain_answer(&self, method: &str, params: &[Value]) -> Result<Value, Value> {
        let answer = self.chain.handle(method, params);
        let payload = alloy::rpc::json_rpc::ErrorPayload::<Box<serde_json::value::RawValue>>::from;
        answer.map_err(|error| serde_json::to_value(payload(error)).unwrap())
    }

    /// The answer where it is not the chain's.
    fn own_answer(
        &self,
        trouble: Trouble,
        method: &str,
        params: &[Value],
    ) -> Option<Result<Value, Value>> {
        let refused = |code: i64, message: &str| json!({ "code": code, "message": message });
        let asked = || self.chain_answer(method, params);
        match method {
            "eth_chainId" => Some(Ok(hex(trouble.chain_id?))),
            "eth_getBlockByNumber" if params[0] == "latest" => {
                Some(self.chain_answer(method, &[hex(self.seen(trouble)), json!(false)]))
            }
            "eth_getTransactionCount" if trouble.nonce > 0 => {
                Some(asked().map(|nonce| hex(number(&nonce) + trouble.nonce)))
            }
            "eth_getTransactionReceipt" => self.receipt(trouble, params),
            "eth_estimateGas" if trouble.reverts => Some(Err(refused(3, "execution reverted"))),
            "eth_estimateGas" if trouble.starves => {
                Some(asked().map(|gas| hex(number(&gas) * 3 / 5)))
            }
            "eth_feeHistory" if trouble.dear => {
                let mut history = asked().unwrap();
                for fee in history["baseFeePerGas"].as_array_mut().unwrap() {
                    *fee = hex(number(fee) * 1_000_000);
                }
                Some(Ok(history))
            }
            "eth_sendRawTransaction" if trouble.dear => {
                Some(Err(refused(-32000, "max fee per gas less than block base fee")))
            }
            "eth_sendRawTransaction" if trouble.loses => {
                Some(Ok(json!(format!("0x{}", "11".repeat(32)))))
            }
            _ => None,
        }
    }

    /// The head, as this answer knows it.
    fn seen(&self, trouble: Trouble) -> u64 {
        let head = number(&self.chain.handle("eth_blockNumber", &[]).unwrap());
        head - if self.asked.borrow().is_multiple_of(2) { trouble.behind } else { 0 }
    }

    fn receipt(&self, trouble: Trouble, params: &[Value]) -> Option<Result<Value, Value>> {
        let mut receipt = self.chain_answer("eth_getTransactionReceipt", params).unwrap();
        if receipt.is_null() || number(&receipt["blockNumber"]) > self.seen(trouble) {
            return Some(Ok(Value::Null));
        }
        if trouble.bare {
            receipt["logs"] = json!([]);
        }
        if trouble.lies {
            let inverted = if receipt["status"] == "0x1" { "0x0" } else { "0x1" };
            receipt["status"] = json!(inverted);
        }
        Some(Ok(receipt))
    }
}

fn hex(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// A deployed folder whose chain is reached through a proxy.
struct Place {
    site: Site,
    proxy: Arc<Proxy>,
    /// The way to the chain without troubles.
    edge: Edge,
}

impl Place {
    async fn new() -> Place {
        let mut site = Site::new().await;
        let BaseChain { provider, reach } = site.chain();
        let edge = Edge::connect(provider, site.deployment.clone()).await.unwrap();
        let Reach::Embedded(chain) = reach else { panic!("the embedded chain") };
        // A node that is two blocks behind has the contract all the same.
        (0..4).for_each(|_| chain.mine_empty().unwrap());
        chain.set_finality(2);
        let (proxy, url) = Proxy::serve(chain).await;
        site.config.chain.rpc = Some(url.parse().unwrap());
        let settle = &mut site.config.settle;
        (settle.poll_ms, settle.doubt_ms) = (20, 200);
        settle.resend_after_ms = 300;
        (settle.retry_first_ms, settle.retry_max_ms) = (10, 50);
        settle.refused_retry_ms = 50;
        Place { site, proxy, edge }
    }

    async fn start(&self) -> Node {
        self.site.start_on(self.site.chain()).await.unwrap()
    }
}

/// A frame is stored and a window closed; what the node cannot settle for now it collects.
async fn collect(node: &Node, site: &Site, sequence: u64) {
    let answer = node.submit(site.frame(sequence)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    node.submit(Item::Close).await.unwrap();
}

/// Degraded stages are waited out: what they wait for is over.
async fn settles(node: &Node, place: &Place, number: u64) {
    loop {
        match node.wait_until_settled(number).await {
            Ok(()) => return,
            Err(NodeError::Degraded { .. }) => place.proxy.meets(1).await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_while_its_chain_is_away_or_another_one_and_settles_once_it_is_back() {
    let place = Place::new().await;
    *place.proxy.trouble() = Trouble { away: true, ..Trouble::default() };
    let node = place.start().await;
    collect(&node, &place.site, 1).await;
    place.proxy.meets(3).await;
    assert_eq!(get(&node, "/healthz").await.0, 200);
    let (status, body) = get(&node, "/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("chain-unreachable"), "{body}");

    // Somebody else's node answers under the same address.
    *place.proxy.trouble() = Trouble { chain_id: Some(1), ..Trouble::default() };
    place.proxy.meets(3).await;
    while !get(&node, "/readyz").await.1.contains("other-chain") {
        place.proxy.meets(1).await;
    }
    collect(&node, &place.site, 2).await;
    assert_eq!(node.watched().failure(), None);

    *place.proxy.trouble() = Trouble::default();
    settles(&node, &place, 2).await;
    check_settled(&place.edge, node.store(), 2).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_is_not_the_deployments_is_refused_at_the_start() {
    let place = Place::new().await;
    *place.proxy.trouble() = Trouble { chain_id: Some(1), ..Trouble::default() };
    let error = place.site.start_error().await;
    let expected = place.site.deployment.chain_id;
    let NodeError::Edge(EdgeError::WrongChain { expected: named, found: 1 }) = error else {
        panic!("expected the two chain ids, found {error}");
    };
    assert_eq!(named, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_lacks_what_a_chain_remembers_that_was_away_is_held_once_it_is_back() {
    let place = Place::new().await;
    let (site, early) = (&place.site, place.site.beside("early.log"));
    std::fs::copy(site.layout.journal(), &early).unwrap();
    let node = place.start().await;
    collect(&node, site, 1).await;
    settles(&node, &place, 1).await;
    node.stop().await.unwrap();
    // Nobody here remembers any more.
    std::fs::copy(&early, site.layout.journal()).unwrap();
    std::fs::remove_dir_all(site.layout.store()).unwrap();
    std::fs::remove_file(site.layout.witness()).unwrap();
    *place.proxy.trouble() = Trouble { away: true, ..Trouble::default() };
    let node = place.start().await;
    place.proxy.meets(3).await;
    assert_eq!(get(&node, "/healthz").await.0, 200);
    *place.proxy.trouble() = Trouble::default();
    let mut held = node.watched().hold().subscribe();
    held.wait_for(Option::is_some).await.unwrap();
    assert_eq!(get(&node, "/healthz").await.0, 503);
    drop(node.stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_too_long_is_an_alarm_until_it_is_settled() {
    let mut place = Place::new().await;
    place.site.config.settle.alarm_batches = 2;
    let node = place.start().await;
    *place.proxy.trouble() = Trouble { loses: true, ..Trouble::default() };
    for _ in 0..2 {
        node.submit(Item::Close).await.unwrap();
    }
    while !get(&node, "/readyz").await.1.contains("settlement-lags") {
        place.proxy.meets(1).await;
    }
    let (_, metrics) = get(&node, "/metrics").await;
    for line in ["vitals_settle_lagging 1", "vitals_settle_lag_batches 2"] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in {metrics}");
    }
    *place.proxy.trouble() = Trouble::default();
    settles(&node, &place, 2).await;
    while get(&node, "/readyz").await.0 != 200 {
        place.proxy.meets(1).await;
    }
    node.stop().await.unwrap();
}

/// One trouble after the other, and two at once, each over some rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_chains_node_does_collection_goes_on_and_all_settles_once_it_is_over() {
    let place = Place::new().await;
    let node = place.start().await;
    let none = Trouble::default();
    let troubles = [
        Trouble { away: true, ..none },
        Trouble { page: true, ..none },
        Trouble { behind: 2, ..none },
        Trouble { nonce: 3, ..none },
        Trouble { lies: true, ..none },
        Trouble { bare: true, ..none },
        Trouble { reverts: true, ..none },
        Trouble { starves: true, ..none },
        Trouble { dear: true, ..none },
        Trouble { loses: true, ..none },
        Trouble { behind: 2, lies: true, ..none },
        Trouble { nonce: 2, starves: true, ..none },
    ];
    let mut closed = 0;
    let answer = node.submit(place.site.frame(1)).await.unwrap();
    assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
    for trouble in troubles {
        *place.proxy.trouble() = trouble;
        node.submit(Item::Close).await.unwrap();
        closed += 1;
        place.proxy.meets(30).await;
        assert_eq!(node.watched().failure(), None, "{trouble:?}");
        assert_eq!(get(&node, "/healthz").await.0, 200, "{trouble:?}");
        *place.proxy.trouble() = none;
        settles(&node, &place, closed).await;
    }
    collect(&node, &place.site, 2).await;
    settles(&node, &place, closed + 1).await;
    check_settled(&place.edge, node.store(), closed + 1).await;
    node.stop().await.unwrap();
}
