//! Questions to the base chain that a page may have passed on.

use alloy::rpc::client::RpcClient;
use alloy::transports::RpcError;
use l1_contracts::is_answer_too_large;
use serde_json::{Value, json};

/// Methods of JSON-RPC that are passed on: they read, and are all that the page asks. A node may
/// hold keys or answer an administrator, and whoever reaches the page is neither.
pub const READS: [&str; 7] = [
    "eth_chainId",
    "eth_getCode",
    "eth_getBlockByNumber",
    "eth_call",
    "eth_getLogs",
    "eth_getTransactionReceipt",
    "eth_getTransactionByHash",
];

/// Longest question, bytes.
pub(crate) const QUESTION_BYTES_MAX: usize = 64 * 1024;

/// What an answer says of a question that a node refuses, but for a call that reverts: what nodes
/// say besides may quote the key of who asks.
const REFUSED: &str = "the node refuses the question";
/// The code of a call that reverts.
const REVERTED: i64 = 3;

/// Why a question is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// It is no single question in JSON-RPC 2.0.
    Malformed,
    /// It is not among [`READS`], or of another contract.
    Method,
    /// The node does not answer.
    Unreachable,
    /// It answers with more than is read.
    TooLarge,
}

/// One question of the page.
#[derive(Debug)]
pub(crate) struct Question {
    id: Value,
    method: &'static str,
    params: Value,
}

impl Question {
    /// Reads a question about this contract; lists of them are none.
    pub(crate) fn read(bytes: &[u8], contract: &str) -> Result<Question, Unasked> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else {
            return Err(Unasked::Malformed);
        };
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(Unasked::Malformed);
        }
        let id = fields.remove("id").filter(|id| id.is_u64()).ok_or(Unasked::Malformed)?;
        let params = fields.remove("params").unwrap_or_else(|| json!([]));
        if !params.is_array() {
            return Err(Unasked::Malformed);
        }
        let method = fields.get("method").and_then(Value::as_str).ok_or(Unasked::Malformed)?;
        let method = READS.into_iter().find(|read| *read == method).ok_or(Unasked::Method)?;
        // Whoever reaches the page asks with the operator's account at the node: what only the page
        // asks, and not what would cost that account most.
        if !is_of_contract(method, &params, contract) {
            return Err(Unasked::Method);
        }
        Ok(Question { id, method, params })
    }

    /// Asks a node; what it refuses is an answer, too.
    pub(crate) async fn ask(self, node: &RpcClient) -> Result<String, Unasked> {
        let Question { id, method, params } = self;
        let answer = match node.request::<Value, Value>(method, params).await {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(RpcError::ErrorResp(error)) => {
                let message = if error.code == REVERTED { &*error.message } else { REFUSED };
                let error = json!({ "code": error.code, "message": message });
                json!({ "jsonrpc": "2.0", "id": id, "error": error })
            }
            Err(error) if is_answer_too_large(&error) => return Err(Unasked::TooLarge),
            // The address may hold a key, so that nothing of the cause is told.
            Err(_) => return Err(Unasked::Unreachable),
        };
        Ok(answer.to_string())
    }
}

/// Whether a call or a search for events is of the contract, with nothing besides.
fn is_of_contract(method: &str, params: &Value, contract: &str) -> bool {
    let (of, fields, most) = match method {
        "eth_call" => ("to", &["to", "data", "input"][..], 2),
        "eth_getLogs" => ("address", &["address", "topics", "fromBlock", "toBlock"][..], 1),
        _ => return true,
    };
    let Some([Value::Object(first), rest @ ..]) = params.as_array().map(Vec::as_slice) else {
        return false;
    };
    let is_ours = first.get(of).and_then(Value::as_str);
    is_ours.is_some_and(|found| found.eq_ignore_ascii_case(contract))
        && first.keys().all(|name| fields.contains(&name.as_str()))
        && rest.len() < most
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "0x5fbdb2315678afecb367f032d93f642f64180aa3";

    #[test]
    fn one_question_that_reads_is_passed_on_and_nothing_else() {
        let read = |text: &str| Question::read(text.as_bytes(), CONTRACT);
        let ask = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        for method in
            READS.into_iter().filter(|method| !["eth_call", "eth_getLogs"].contains(method))
        {
            assert_eq!(read(&ask(method)).unwrap().method, method);
        }
        for method in ["eth_sendRawTransaction", "eth_accounts", "debug_traceCall", "ETH_CALL", ""]
        {
            assert_eq!(read(&ask(method)).unwrap_err(), Unasked::Method, "{method}");
        }
        for text in [
            "",
            "7",
            "[]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}]"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}"#,
            r#"{"jsonrpc":"2.0","method":"eth_chainId"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
        ] {
            assert_eq!(read(text).unwrap_err(), Unasked::Malformed, "{text}");
        }
    }

    #[test]
    fn calls_and_events_are_of_the_contract_alone() {
        let read = |method: &str, params: Value| {
            let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
            Question::read(question.to_string().as_bytes(), CONTRACT).map(|asked| asked.method)
        };
        let ours = CONTRACT.to_uppercase().replace("0X", "0x");
        let call = read("eth_call", json!([{ "to": ours, "data": "0x" }, "latest"]));
        assert_eq!(call, Ok("eth_call"));
        let logs = json!([{ "address": CONTRACT, "fromBlock": "0x1", "toBlock": "0x9" }]);
        assert_eq!(read("eth_getLogs", logs), Ok("eth_getLogs"));
        let other = "0x0000000000000000000000000000000000000001";
        for (method, params) in [
            ("eth_call", json!([])),
            ("eth_call", json!([{ "to": other, "data": "0x" }, "latest"])),
            ("eth_call", json!([{ "to": CONTRACT, "gas": "0xffffff" }, "latest"])),
            ("eth_call", json!([{ "to": CONTRACT }, "latest", { "0x1": { "code": "0x" } }])),
            ("eth_getLogs", json!([{ "fromBlock": "0x0" }])),
            ("eth_getLogs", json!([{ "address": [CONTRACT, other] }])),
            ("eth_getLogs", json!([{ "address": CONTRACT, "blockHash": "0x" }])),
        ] {
            assert_eq!(read(method, params.clone()), Err(Unasked::Method), "{method} {params}");
        }
    }
}
