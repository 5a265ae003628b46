use crate::support::{Ledger, chain, deploy, fingerprint, genesis, keep, signer};
use alloy::{
    network::EthereumWallet,
    primitives::U256,
    providers::{Provider, ProviderBuilder},
};
use devchain::{
    BATCH_MAX, DevChain, HttpServer, Limits, REQUEST_BYTES_MAX, REQUESTS_AT_ONCE_MAX, serve_http,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, mpsc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Posts `body` as it is and returns the status and the text of the answer.
async fn post(server: &HttpServer, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses a body need not read all of it.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
}

async fn post_json(server: &HttpServer, body: Value) -> Value {
    let (status, text) = post(server, body.to_string().as_bytes()).await;
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn both_transports_give_equal_answers() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    for value in [4, 5] {
        keep(&ledger, value).await;
    }
    let server = serve_http(chain.clone(), 0).await.unwrap();
    assert!(server.address().ip().is_loopback());
    let http = ProviderBuilder::new().connect_http(server.url().parse().unwrap());
    assert_eq!(fingerprint(&http).await, fingerprint(ledger.provider()).await);
    let remote = Ledger::new(*ledger.address(), http);
    assert_eq!(remote.kept().call().await.unwrap(), U256::from(5));
    let (here, there) = (ledger.Kept_filter().from_block(0), remote.Kept_filter().from_block(0));
    assert_eq!(logs(here.query().await.unwrap()), logs(there.query().await.unwrap()));
    let too_large = U256::from(1_001);
    let (here, there) = (ledger.keep(too_large).call().await, remote.keep(too_large).call().await);
    let (here, there) = (here.map(|_| ()).unwrap_err(), there.map(|_| ()).unwrap_err());
    assert_eq!(here.as_revert_data().unwrap(), there.as_revert_data().unwrap());
    assert_eq!(here.to_string(), there.to_string());
    server.shut_down().await.unwrap();
}

fn logs(found: Vec<(Ledger::Kept, alloy::rpc::types::Log)>) -> Vec<alloy::rpc::types::Log> {
    found.into_iter().map(|(_, log)| log).collect()
}

#[tokio::test]
async fn a_transaction_sent_over_http_is_seen_in_process() {
    let chain = chain();
    let ledger = deploy(&chain).await;
    let server = serve_http(chain.clone(), 0).await.unwrap();
    let wallet = EthereumWallet::from(signer(1));
    let http = ProviderBuilder::new().wallet(wallet).connect_http(server.url().parse().unwrap());
    http.client().set_poll_interval(std::time::Duration::from_millis(5));
    let remote = Ledger::new(*ledger.address(), http.erased());
    assert_eq!(keep(&remote, 77).await, 2);
    assert_eq!(ledger.kept().call().await.unwrap(), U256::from(77));
}

#[tokio::test]
async fn a_batch_is_answered_in_order_with_an_error_where_it_belongs() {
    let server = serve_http(chain(), 0).await.unwrap();
    let request = |id: u64, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method});
    let batch = json!([request(1, "eth_chainId"), request(2, "eth_nothing"), {"id": 3}]);
    let answers = post_json(&server, batch).await;
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": 1, "result": "0x7a69"}));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!(2), &json!(-32601)));
    assert_eq!((&answers[2]["id"], &answers[2]["error"]["code"]), (&json!(3), &json!(-32600)));
    let many: Vec<Value> = (0..=BATCH_MAX as u64).map(|id| request(id, "eth_chainId")).collect();
    assert_eq!(post_json(&server, many.into()).await["error"]["code"], json!(-32005));
    assert_eq!(post_json(&server, json!([])).await["error"]["code"], json!(-32600));
}

#[tokio::test]
async fn what_is_not_json_is_a_parse_error_and_what_is_too_large_is_refused() {
    let server = serve_http(chain(), 0).await.unwrap();
    let (status, text) = post(&server, b"{").await;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32700)));
    let (status, _) = post(&server, &vec![b' '; REQUEST_BYTES_MAX + 1]).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn a_server_that_was_shut_down_listens_no_more() {
    let server = serve_http(chain(), 0).await.unwrap();
    let address = server.address();
    server.shut_down().await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// The clock stands still for whoever asks it, so that every request stays in progress.
#[tokio::test]
async fn one_request_too_many_at_once_is_told_so() {
    let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let clock = Arc::new(move || {
        entered.send(()).expect("the test waits");
        // Ends with an error when the test drops the other side.
        let _ = released.lock().unwrap().recv();
        1
    });
    let chain = DevChain::in_memory(genesis(), Limits::default(), clock);
    let server = Arc::new(serve_http(chain, 0).await.unwrap());
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"});
    let mut waiting = Vec::new();
    for _ in 0..REQUESTS_AT_ONCE_MAX {
        let (server, request) = (server.clone(), request.clone());
        waiting.push(tokio::spawn(async move { post_json(&server, request).await }));
        entries.recv().await.unwrap();
    }
    assert_eq!(post_json(&server, request).await["error"]["code"], json!(-32005));
    drop(release);
    for answer in waiting {
        assert_eq!(answer.await.unwrap()["result"], json!("0x0"));
    }
}
