//! A door to the base chain that does what chains' nodes do wrong.

use std::sync::{Arc, Mutex, MutexGuard};

use devchain::DevChain;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the chain's node does wrong.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// It hangs up.
    pub(crate) away: bool,
    /// It takes the question and never answers.
    pub(crate) hangs: bool,
    /// It answers with a page of its proxy.
    pub(crate) page: bool,
    /// It is busy, and asks to be left alone for so many seconds.
    pub(crate) busy: Option<Pause>,
    /// It hangs up in the middle of each answer.
    pub(crate) cuts: bool,
    /// It answers that it was asked too much.
    pub(crate) spent: bool,
    /// It knows of no block.
    pub(crate) blockless: bool,
    /// Its chain id.
    pub(crate) chain_id: Option<u64>,
    /// Every second answer is of so many blocks before the head.
    pub(crate) behind: u64,
    /// The account's nonce is so much too high.
    pub(crate) nonce: u64,
    /// Receipts say the contrary.
    pub(crate) lies: bool,
    /// Receipts have no logs.
    pub(crate) bare: bool,
    /// Estimates end with a revert without words.
    pub(crate) reverts: bool,
    /// Estimates are too low.
    pub(crate) starves: bool,
    /// It asks a million times the fees, and takes nothing below.
    pub(crate) dear: bool,
    /// What it is sent is lost.
    pub(crate) loses: bool,
}

/// How long a busy node asks to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// It does not say.
    Unsaid,
    /// So many seconds.
    Seconds(u64),
}

/// A door to the chain, over HTTP, with troubles.
pub(crate) struct Proxy {
    chain: DevChain,
    trouble: Mutex<Trouble>,
    /// Questions that were asked.
    asked: watch::Sender<u64>,
}

impl Proxy {
    /// Serves until the test ends; the address.
    pub(crate) async fn serve(chain: DevChain) -> (Arc<Proxy>, String) {
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

    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap()
    }

    /// Waits until the node met the trouble so often.
    pub(crate) async fn meets(&self, questions: u64) {
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
        if length == 0 {
            // Whoever gives a question up may hang up before it is asked.
            return Ok(());
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        self.asked.send_modify(|asked| *asked += 1);
        let trouble = *self.trouble();
        if trouble.away {
            return Ok(());
        }
        if trouble.hangs {
            // Until whoever asks gives up, or the test ends.
            return std::future::pending().await;
        }
        let (head, body) = if trouble.page {
            ("500 Internal Server Error".into(), "<html><body>502</body></html>".into())
        } else if let Some(pause) = trouble.busy {
            let after = match pause {
                Pause::Unsaid => String::new(),
                Pause::Seconds(seconds) => format!("\r\nretry-after: {seconds}"),
            };
            (format!("429 Too Many Requests{after}"), "Too Many Requests".into())
        } else {
            let request = serde_json::from_slice(&body).unwrap();
            ("200 OK".into(), self.answer(trouble, &request).to_string())
        };
        let length = body.len();
        let head =
            format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        let sent = if trouble.cuts { length / 2 } else { length };
        stream.write_all((head + &body[..sent]).as_bytes()).await?;
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
            _ if trouble.spent => Some(Err(refused(-32005, "daily request count exceeded"))),
            "eth_getBlockByNumber" if trouble.blockless => Some(Ok(Value::Null)),
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
