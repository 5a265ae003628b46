//! One batch as a file that opens from disk: the page for it, and behind it the answers to what the
//! page asks.
//!
//! The questions are those of the page's `session.js`, spelled as it spells them, because the saved
//! page finds answers by their questions. Whether one is missing shows where such a file is opened
//! (`tools/journeys/journeys-real-node.mjs`). Nothing is checked here: the page in the file does.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{hex, keccak256};
use alloy::rpc::client::RpcClient;
use alloy::sol_types::SolEvent as _;
use alloy::transports::{RpcError, TransportError};
use l1_contracts::{
    HttpClientError, HttpUrl, LogRange, Settlement, answer_in_words, is_answer_too_large,
    rpc_client, suggested_blocks,
};
use model::{BatchNumber, Millis};
use serde_json::{Value, json};
use thiserror::Error;

use crate::base64;

#[cfg(test)]
mod tests;

/// What a saved page is made of.
pub struct Saving {
    /// The batch that it is of.
    pub number: BatchNumber,
    /// The deployment file, as JSON.
    pub deployment: Vec<u8>,
    /// Nodes of the base chain: the first one's word, and others to be compared with it.
    pub chains: Vec<HttpUrl>,
    /// Public files: the batch's own, and those before it up to one that holds a journal group.
    pub files: BTreeMap<BatchNumber, Vec<u8>>,
    /// When it is saved, as the file says.
    pub at: Millis,
}

/// Most characters of the answers in a saved page, as the page itself saves and reads them.
const ANSWERS_CHARS_MAX: usize = 64 << 20;
/// Most bytes of the public files in it, together.
pub const FILES_BYTES_MAX: usize = 64 << 20;
/// Most blocks that are searched: a head beyond them is no chain's.
const BLOCKS_MAX: u64 = 1_000_000_000;
/// How often the chain is read because its head was reorganised away meanwhile.
const ATTEMPTS: u32 = 5;
const SCHEMA: &str = "vitals-saved-batch-1";
const LATEST: &str = "\"latest\"";

/// What the contract never changes.
const CONSTANTS: [&str; 4] = ["sequencer()", "registrar()", "receiptSigner()", "genesisTime()"];
/// What it stores after a block.
const STATE: [&str; 6] =
    ["number()", "root()", "headHash()", "lastT1()", "journalPosition()", "latenessMax()"];

/// Why a batch is not saved.
#[derive(Debug, Error)]
pub enum SaveError {
    /// The deployment file does not say what is asked for.
    #[error("expected the deployment file to have {0}")]
    Deployment(&'static str),
    /// No node can be asked.
    #[error("a node of the base chain cannot be asked")]
    Client(#[from] HttpClientError),
    /// A node does not answer, or refuses.
    #[error("the chain's node at {node} is not available for {method}: {why}")]
    Chain {
        /// Its address, as it may be shown.
        node: String,
        /// What it was asked.
        method: &'static str,
        /// Its words.
        why: String,
    },
    /// An answer is none.
    #[error("the chain's node at {node} gives no answer to {method}: expected {expected}")]
    Malformed {
        /// Its address, as it may be shown.
        node: String,
        /// What it was asked.
        method: &'static str,
        /// What an answer has.
        expected: &'static str,
    },
    /// The chain has no event of it.
    #[error("expected batch {} to be settled on the chain, found no event of it", .0.0)]
    NotSettled(BatchNumber),
    /// Two answers are of two pasts each time.
    #[error("the chain was read {ATTEMPTS} times, and its head was reorganised away each time")]
    Moved,
    /// It is no file for a browser.
    #[error("expected answers of the chain of at most {ANSWERS_CHARS_MAX} characters, found more")]
    TooLarge,
}

/// The bytes of a file that opens from disk, asks nobody, and checks the batch in the browser.
///
/// Memory: up to 64 MiB of files and as many characters of answers, three times.
///
/// # Errors
/// [`SaveError`].
pub async fn saved_page(saving: Saving) -> Result<Vec<u8>, SaveError> {
    let file: Value = serde_json::from_slice(&saving.deployment)
        .map_err(|_| SaveError::Deployment("JSON in it"))?;
    let of = Terms::read(&file)?;
    let nodes: Vec<_> = saving.chains.iter().map(HttpUrl::to_string).collect();
    let mut chains = Vec::new();
    let mut settled = None;
    for url in &saving.chains {
        let mut recording = Recording::of(url, &of)?;
        match &settled {
            None => settled = Some(recording.everything(&of, saving.number).await?),
            Some(place) => recording.about(&of, place).await?,
        }
        chains.push(recording.into_json());
    }
    let last = settled.map_or(0, |place| place.last);
    let reach = json!({ "schema": "vitals-batches-1", "assembled": last, "settled": last });
    let files: BTreeMap<_, _> =
        saving.files.iter().map(|(number, bytes)| (number.0, base64::encode(bytes))).collect();
    let data = json!({
        "schema": SCHEMA,
        "number": saving.number.0,
        "savedAt": saving.at.unix_ms(),
        "nodes": nodes,
        "documents": {
            "/deployment.json": String::from_utf8_lossy(&saving.deployment),
            "/batches": reach.to_string(),
        },
        "chains": chains,
        "files": files,
    });
    // One line that can be no markup, as the page's own saving writes it.
    let data = data.to_string().replace('<', "\\u003c");
    Ok([page::SAVED.bytes, data.as_bytes(), b"\n"].concat())
}

/// What of a deployment the questions are about.
struct Terms {
    contract: String,
    first_block: u64,
    key_ids: Vec<String>,
}

impl Terms {
    fn read(file: &Value) -> Result<Terms, SaveError> {
        let missing = SaveError::Deployment;
        let contract = file["settlement"].as_str().ok_or(missing("a contract"))?.to_lowercase();
        let first_block = file["block"].as_u64().ok_or(missing("a block"))?;
        let keys = file["keys"].as_array().ok_or(missing("keys"))?;
        let ids = keys.iter().map(|key| key["id"].as_str().map(str::to_lowercase));
        let key_ids = ids.collect::<Option<_>>().ok_or(missing("an id of each key"))?;
        Ok(Terms { contract, first_block, key_ids })
    }
}

/// Where a batch settled, and how many did.
struct Settled {
    block: String,
    last: u64,
}

/// One node, and what it said.
struct Recording {
    node: RpcClient,
    name: String,
    contract: String,
    answers: BTreeMap<String, Value>,
    logs: Vec<Value>,
    chars: usize,
    /// How many blocks of logs the node serves at once, as far as it said.
    range: LogRange,
}

impl Recording {
    fn of(url: &HttpUrl, terms: &Terms) -> Result<Recording, SaveError> {
        Ok(Recording {
            node: rpc_client(url.clone())?,
            name: url.to_string(),
            contract: terms.contract.clone(),
            answers: BTreeMap::new(),
            logs: Vec::new(),
            range: LogRange::default(),
            chars: 0,
        })
    }

    /// All that a page asks of the node whose word counts.
    async fn everything(&mut self, of: &Terms, number: BatchNumber) -> Result<Settled, SaveError> {
        for _ in 0..ATTEMPTS {
            self.answers.clear();
            self.logs.clear();
            self.chars = 0;
            self.constants(of).await?;
            if self.history(of.first_block).await? {
                return self.settled(number).await;
            }
        }
        Err(SaveError::Moved)
    }

    /// All that it asks of another one, about the batch alone.
    async fn about(&mut self, of: &Terms, place: &Settled) -> Result<(), SaveError> {
        self.constants(of).await?;
        self.block(LATEST).await?;
        let block = self.number(&place.block, "eth_getLogs")?;
        self.read_logs(block, block).await?;
        self.block(&quoted(&place.block)).await?;
        Ok(())
    }

    async fn constants(&mut self, of: &Terms) -> Result<(), SaveError> {
        self.ask("eth_chainId", "[]").await?;
        self.code(&of.contract).await?;
        for view in CONSTANTS {
            self.view(view, "", LATEST).await?;
        }
        for id in &of.key_ids {
            let answer = self.view("keys(bytes32)", id.trim_start_matches("0x"), LATEST).await?;
            let account = answer.as_str().and_then(|words| words.get(26..66));
            let account = account.ok_or_else(|| self.malformed("eth_call", "two words"))?;
            self.code(&format!("0x{}", account.to_lowercase())).await?;
        }
        Ok(())
    }

    /// Events, their blocks and what the contract stores, as of one block; whether it stayed.
    async fn history(&mut self, first: u64) -> Result<bool, SaveError> {
        let head = self.block(LATEST).await?;
        let hash = self.text(&head["hash"], "eth_getBlockByNumber")?;
        let last = self.text(&head["number"], "eth_getBlockByNumber")?;
        for view in STATE {
            self.view(view, "", &format!(r#"{{"blockHash":"{hash}"}}"#)).await?;
        }
        let end = self.number(&last, "eth_getBlockByNumber")?;
        self.read_logs(first, end).await?;
        let blocks = self.logs.iter().map(|log| self.text(&log["blockNumber"], "eth_getLogs"));
        for block in blocks.collect::<Result<BTreeSet<_>, _>>()? {
            self.block(&quoted(&block)).await?;
        }
        let still = self.block(&quoted(&last)).await?;
        self.finalized().await?;
        Ok(still["hash"] == head["hash"])
    }

    async fn settled(&mut self, number: BatchNumber) -> Result<Settled, SaveError> {
        let topic = format!("0x{:064x}", number.0);
        let is_it = |log: &&Value| log["topics"][1].as_str() == Some(&topic);
        let log = self.logs.iter().find(is_it).ok_or(SaveError::NotSettled(number))?;
        let block = self.text(&log["blockNumber"], "eth_getLogs")?;
        let transaction = self.text(&log["transactionHash"], "eth_getLogs")?;
        let params = format!(r#"["{transaction}"]"#);
        self.ask("eth_getTransactionReceipt", &params).await?;
        self.ask("eth_getTransactionByHash", &params).await?;
        Ok(Settled { block, last: self.logs.len() as u64 })
    }

    async fn code(&mut self, account: &str) -> Result<Value, SaveError> {
        self.ask("eth_getCode", &format!(r#"["{account}",{LATEST}]"#)).await
    }

    /// The answer of a view to words in hexadecimal digits.
    async fn view(&mut self, signature: &str, words: &str, at: &str) -> Result<Value, SaveError> {
        let selector = hex::encode(&keccak256(signature)[..4]);
        let call = format!(r#"{{"to":"{}","data":"0x{selector}{words}"}}"#, self.contract);
        self.ask("eth_call", &format!("[{call},{at}]")).await
    }

    async fn block(&mut self, which: &str) -> Result<Value, SaveError> {
        self.ask("eth_getBlockByNumber", &format!("[{which},false]")).await
    }

    /// Not every node knows the word: what it refuses is an answer, too.
    async fn finalized(&mut self) -> Result<(), SaveError> {
        let (method, params) = ("eth_getBlockByNumber", "[\"finalized\",false]");
        match self.request(method, params).await {
            Ok(result) => self.keep(method, params, json!({ "result": result })),
            Err(RpcError::ErrorResp(error)) => {
                let error = json!({ "code": error.code, "message": "the node refuses it" });
                self.keep(method, params, json!({ "error": error }))
            }
            Err(error) => Err(self.away(method, &error)),
        }
    }

    /// Every event of the contract from one block to another, in ranges that the node serves.
    async fn read_logs(&mut self, first: u64, last: u64) -> Result<(), SaveError> {
        let method = "eth_getLogs";
        let topic = Settlement::BatchSettled::SIGNATURE_HASH;
        if last.saturating_sub(first) > BLOCKS_MAX {
            return Err(self.malformed(method, "a head within a billion blocks of the deployment"));
        }
        let mut from = first;
        while from <= last {
            let to = last.min(from.saturating_add(self.range.blocks() - 1));
            let asked = to - from + 1;
            let params = format!(
                r#"[{{"address":"{}","topics":["{topic}"],"fromBlock":"{from:#x}","toBlock":"{to:#x}"}}]"#,
                self.contract
            );
            match self.request(method, &params).await {
                Ok(Value::Array(mut logs)) => {
                    self.range.served(asked);
                    // Some nodes know no filter, and what others say there is not about batches.
                    logs.retain(|log| self.is_of_contract(log));
                    self.chars += logs.iter().map(|log| log.to_string().len()).sum::<usize>();
                    self.logs.extend(logs);
                    self.expect_small()?;
                    let Some(behind) = to.checked_add(1) else { break };
                    from = behind;
                }
                Ok(_) => return Err(self.malformed(method, "a list of logs")),
                Err(error) if asked > 1 && may_be_too_much(&error) => {
                    let words = error.as_error_resp().map(|refusal| &*refusal.message);
                    self.range.refused(asked, words.and_then(suggested_blocks));
                }
                Err(error) => return Err(self.away(method, &error)),
            }
        }
        Ok(())
    }

    fn is_of_contract(&self, log: &Value) -> bool {
        log["address"].as_str().is_some_and(|address| address.eq_ignore_ascii_case(&self.contract))
    }

    /// Asks, and keeps the answer under its question.
    async fn ask(&mut self, method: &'static str, params: &str) -> Result<Value, SaveError> {
        let result = self.request(method, params).await;
        let result = result.map_err(|error| self.away(method, &error))?;
        self.keep(method, params, json!({ "result": result }))?;
        Ok(result)
    }

    async fn request(&self, method: &'static str, params: &str) -> Result<Value, TransportError> {
        // Written above or by the node, which may have put anything where a hash stands.
        let params: Value = serde_json::from_str(params).map_err(RpcError::SerError)?;
        self.node.request::<Value, Value>(method, params).await
    }

    fn keep(&mut self, method: &str, params: &str, answer: Value) -> Result<(), SaveError> {
        self.chars += answer.to_string().len();
        self.answers.insert(format!(r#"["{method}",{params}]"#), answer);
        self.expect_small()
    }

    fn expect_small(&self) -> Result<(), SaveError> {
        if self.chars > ANSWERS_CHARS_MAX { Err(SaveError::TooLarge) } else { Ok(()) }
    }

    /// Digits as the page writes them.
    fn text(&self, value: &Value, method: &'static str) -> Result<String, SaveError> {
        let is_hex = |text: &&str| {
            let digits = text.strip_prefix("0x");
            digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let text = value.as_str().filter(is_hex).map(str::to_lowercase);
        text.ok_or_else(|| self.malformed(method, "hexadecimal digits"))
    }

    fn number(&self, text: &str, method: &'static str) -> Result<u64, SaveError> {
        let number = u64::from_str_radix(text.trim_start_matches("0x"), 16);
        number.map_err(|_| self.malformed(method, "a number below 2^64"))
    }

    fn away(&self, method: &'static str, error: &TransportError) -> SaveError {
        SaveError::Chain { node: self.name.clone(), method, why: answer_in_words(error) }
    }

    fn malformed(&self, method: &'static str, expected: &'static str) -> SaveError {
        SaveError::Malformed { node: self.name.clone(), method, expected }
    }

    fn into_json(self) -> Value {
        let answers: Vec<_> =
            self.answers.into_iter().map(|(key, answer)| json!([key, answer])).collect();
        json!({ "answers": answers, "logs": self.logs })
    }
}

fn may_be_too_much(error: &TransportError) -> bool {
    is_answer_too_large(error) || matches!(error, RpcError::ErrorResp(_))
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
