//! Questions to the base chain that a page may have passed on.

use alloy::rpc::client::RpcClient;
use alloy::transports::RpcError;
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

/// Why a question is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// It is no single question in JSON-RPC 2.0.
    Malformed,
    /// It is not among [`READS`].
    Method,
    /// The node does not answer.
    Unreachable,
}

/// One question of the page.
#[derive(Debug)]
pub(crate) struct Question {
    id: Value,
    method: &'static str,
    params: Value,
}

impl Question {
    /// Reads a question; lists of them are none.
    pub(crate) fn read(bytes: &[u8]) -> Result<Question, Unasked> {
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
        Ok(Question { id, method, params })
    }

    /// Asks a node; what it refuses is an answer, too.
    pub(crate) async fn ask(self, node: &RpcClient) -> Result<String, Unasked> {
        let Question { id, method, params } = self;
        let answer = match node.request::<Value, Value>(method, params).await {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(RpcError::ErrorResp(error)) => {
                let error = json!({ "code": error.code, "message": error.message });
                json!({ "jsonrpc": "2.0", "id": id, "error": error })
            }
            // The address may hold a key, so that nothing of the cause is told.
            Err(_) => return Err(Unasked::Unreachable),
        };
        Ok(answer.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_that_reads_is_passed_on_and_nothing_else() {
        let read = |text: &str| Question::read(text.as_bytes());
        let ask = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        for method in READS {
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
}
