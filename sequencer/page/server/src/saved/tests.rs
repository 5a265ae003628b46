//! A saved page of a node that is played: what is asked, what is kept, and why nothing is.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::tests::{any, node_that};

const CONTRACT: &str = "0x5FbDB2315678afecb367f032d93F642f64180aa3";

fn saving(chains: &[std::net::SocketAddr]) -> Saving {
    let deployment = json!({
        "settlement": CONTRACT, "block": 1, "keys": [{ "id": format!("0x{}", "AB".repeat(32)) }],
    });
    Saving {
        number: BatchNumber(2),
        deployment: deployment.to_string().into_bytes(),
        chains: chains.iter().map(|at| format!("http://{at}").parse().unwrap()).collect(),
        files: BTreeMap::from([(BatchNumber(2), b"foobar".to_vec())]),
        at: Millis::from_unix_ms(1_790_000_000_000),
    }
}

/// A chain of three blocks, with a batch in each of the last two.
fn sound(question: &Value) -> Value {
    let params = &question["params"];
    let log = |number: u64| {
        json!({
            "address": params[0]["address"],
            "blockNumber": format!("{number:#x}"),
            "transactionHash": format!("0xaa{number}"),
            "topics": ["0x<event>", format!("0x{:064x}", number - 1)],
        })
    };
    let number = |at: &Value| u64::from_str_radix(&at.as_str().unwrap()[2..], 16).unwrap();
    let result = match question["method"].as_str().unwrap() {
        "eth_getBlockByNumber" => {
            let which = params[0].as_str().unwrap();
            let number = if which.starts_with("0x") { which } else { "0x3" };
            json!({ "number": number, "hash": format!("0xbb{}", &number[2..]) })
        }
        "eth_getLogs" => {
            let (from, to) = (number(&params[0]["fromBlock"]), number(&params[0]["toBlock"]));
            if to > from {
                return refused(question);
            }
            let logs: Vec<_> = (2..=3).filter(|at| (from..=to).contains(at)).map(log).collect();
            json!(logs)
        }
        "eth_call" => json!(format!("0x{}{}", "00".repeat(12), "Cd".repeat(52))),
        _ => json!("0x7a69"),
    };
    json!({ "jsonrpc": "2.0", "id": question["id"], "result": result })
}

fn refused(question: &Value) -> Value {
    let error = json!({ "code": -32005, "message": "key hunter2 may not" });
    json!({ "jsonrpc": "2.0", "id": question["id"], "error": error })
}

#[tokio::test]
async fn a_file_is_the_page_and_one_line_with_every_answer_under_its_question() {
    let chains = [node_that(sound).await, node_that(sound).await];
    let page = saved_page(saving(&chains)).await.unwrap();
    let data = page.strip_prefix(page::SAVED.bytes).unwrap();
    let text = std::str::from_utf8(data).unwrap();
    assert!(!text.contains('<') && text.find('\n') == Some(text.len() - 1), "{text}");
    let data: Value = serde_json::from_str(text).unwrap();
    assert_eq!(data["files"], json!({ "2": "Zm9vYmFy" }));
    assert_eq!((&data["number"], &data["savedAt"]), (&json!(2), &json!(1_790_000_000_000_u64)));
    assert_eq!(data["nodes"][1], format!("http://{}", chains[1]));
    let asked = |chain: usize| {
        let answers = data["chains"][chain]["answers"].as_array().unwrap();
        answers.iter().map(|pair| pair[0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let contract = CONTRACT.to_lowercase();
    for question in [
        "[\"eth_chainId\",[]]".to_owned(),
        format!("[\"eth_getCode\",[\"{contract}\",\"latest\"]]"),
        format!("[\"eth_getCode\",[\"0x{}\",\"latest\"]]", "cd".repeat(20)),
        "[\"eth_getBlockByNumber\",[\"finalized\",false]]".to_owned(),
        "[\"eth_getBlockByNumber\",[\"0x2\",false]]".to_owned(),
        "[\"eth_getTransactionByHash\",[\"0xaa3\"]]".to_owned(),
    ] {
        assert!(asked(0).contains(&question), "{question}: {:?}", asked(0));
    }
    let views = asked(0).iter().filter(|question| question.starts_with("[\"eth_call")).count();
    assert_eq!(views, CONSTANTS.len() + STATE.len() + 1);
    // Logs are refused for more than one block, and all of them are there.
    let logs = |chain: usize| data["chains"][chain]["logs"].as_array().unwrap().len();
    assert_eq!((logs(0), logs(1)), (2, 1));
    assert!(!asked(1).iter().any(|question| question.contains("Transaction")));
}

#[tokio::test]
async fn a_head_that_is_another_by_the_end_is_read_again_and_at_last_given_up() {
    // Other hashes for the first so many questions about blocks.
    let moving = |moves: u64| {
        let asked = AtomicU64::new(0);
        node_that(move |question| {
            let mut answer = sound(question);
            if question["method"] == "eth_getBlockByNumber" {
                let count = asked.fetch_add(1, Ordering::Relaxed).min(moves);
                answer["result"]["hash"] = json!(format!("0x{count:x}"));
            }
            answer
        })
    };
    // Each reading asks for five blocks: the head, two of batches, the head again, the final one.
    assert!(saved_page(saving(&[moving(5).await])).await.is_ok());
    let moved = saved_page(saving(&[moving(u64::MAX).await])).await.unwrap_err();
    assert!(matches!(moved, SaveError::Moved), "{moved}");
}

#[tokio::test]
async fn what_is_not_there_is_named_and_nothing_is_said_of_keys() {
    let mut other = saving(&[node_that(sound).await]);
    other.number = BatchNumber(3);
    let missing = saved_page(other).await.unwrap_err();
    assert!(matches!(missing, SaveError::NotSettled(BatchNumber(3))), "{missing}");
    let away = tokio::net::TcpListener::bind(any()).await.unwrap().local_addr().unwrap();
    let away = saved_page(saving(&[away])).await.unwrap_err();
    assert!(matches!(away, SaveError::Chain { .. }), "{away}");
    let odd = |question: &Value| json!({ "jsonrpc": "2.0", "id": question["id"], "result": [] });
    let odd = saved_page(saving(&[node_that(odd).await])).await.unwrap_err();
    assert!(matches!(odd, SaveError::Malformed { method: "eth_call", .. }), "{odd}");
    let nothing = Saving { deployment: b"{}".to_vec(), ..saving(&[]) };
    let nothing = saved_page(nothing).await.unwrap_err();
    assert!(matches!(nothing, SaveError::Deployment("a contract")), "{nothing}");
}
