//! What operators order of a whole node, over its socket.

use std::sync::{Arc, Mutex};

use model::{Action, ClaimKind, Clock as _, Party, RejectCode, Rule, RuleSlot, SystemClock};
use serde_json::{Value, json};
use statement::scope;

use super::alarms::{is_passed, scrape, value};
use super::around::{connect_wallet, wait_for};
use super::get;
use super::support::{Site, check_settled, close_and_settle, operation_item, stream_key};
use crate::clock::tests::TwoClocks;
use crate::doors::admin::{AdminError, ask};
use crate::doors::http::TellDesk;
use crate::doors::orders::{Order, Ordered};
use crate::folder::operator_log::{Line, OperatorLog};
use crate::folder::who::Who;
use crate::node::*;
use crate::stages::ledger::Answer;

const FEE: &str = "settle.fee_wei_max";

/// Orders it as anna.
async fn order(site: &Site, order: Order) -> Result<Value, String> {
    let name = Some("anna".to_owned());
    let who = Who { name, reason: Some("a test".into()), ..Who::default() };
    let request = Ordered { order, who }.request();
    match ask(&site.layout.admin_socket(), &request).await {
        Ok(answer) => Ok(answer),
        Err(AdminError::Refused(why)) => Err(why),
        Err(error) => panic!("{error}"),
    }
}

fn set(key: &str, value: &str) -> Order {
    Order::Set { key: key.into(), value: value.into() }
}

fn lines(site: &Site) -> Vec<Line> {
    OperatorLog::new(&site.layout.operator_log()).last().unwrap()
}

/// Orders and keys of the lines, in their order.
fn written(site: &Site) -> Vec<String> {
    let word = |line: Line| [Some(line.order), line.key].into_iter().flatten().collect::<Vec<_>>();
    lines(site).into_iter().map(|line| word(line).join(" ")).collect()
}

/// The row of a key.
async fn listed(site: &Site, key: &str) -> Value {
    let list = order(site, Order::List).await.unwrap();
    let keys = list["keys"].as_array().unwrap().clone();
    keys.into_iter().find(|row| row["key"] == key).unwrap()
}

/// The answer to `GET /desk`.
fn desk(node: &Node) -> Value {
    TellDesk::desk(node.watched(), 0)
}

/// Refused as unavailable, and not journaled.
async fn check_refused(node: &Node, item: Item) {
    let Err(NodeError::Refused(refusal)) = node.submit(item).await else { panic!("taken") };
    assert_eq!((refusal.code, refusal.position), (RejectCode::Unavailable, None));
    assert!(refusal.detail.contains("drains before a stop"), "{}", refusal.detail);
}

/// The monitor may collect once more.
fn permit(site: &Site) -> Item {
    let monitor = Party::Named(scope::device(&stream_key().device));
    let rule = Rule::widest(monitor, ClaimKind::Collect.only());
    operation_item(&site.change(Action::Write { slot: RuleSlot::Permit(1), rule }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_sends_nothing_and_says_what_it_delays_until_somebody_resumes() {
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    close_and_settle(&node).await;
    let answer = order(&site, Order::Pause).await.unwrap();
    assert_eq!(answer["paused"]["who"]["as"], "anna");
    assert_eq!(answer["paused"]["who"]["uid"], json!(rustix::process::getuid().as_raw()));
    wait_for(&node, "/readyz", "\"error\":\"paused\"").await;

    // A withdrawal is in force at once, and said to be late on the chain.
    let wallet = connect_wallet(&site, &node).await;
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let sent = wire::SignedOperation::new(revocation.to_bytes().to_vec()).unwrap();
    wallet.submit(sent).await.unwrap();
    wallet.close().await;
    node.submit(Item::Close).await.unwrap();
    // Proven as ever, and then looked at by a settler that sends nothing.
    wait_for(&node, "/metrics", "\nvitals_batch_assembled 2\n").await;
    wait_for(&node, "/metrics", "\nvitals_settle_lag_batches 1\n").await;
    wait_for(&node, "/metrics", "\nvitals_withdrawals_unsettled 1\n").await;
    let scraped = scrape(&node).await;
    assert!(is_passed("VitalsPaused", value(&scraped, "vitals_paused")));
    let late = value(&scraped, "vitals_paused") * value(&scraped, "vitals_withdrawals_unsettled");
    assert!(is_passed("VitalsPausedWithdrawals", late));
    assert_eq!(value(&scraped, "vitals_orders_total{order=\"pause\"}"), 1.0);

    // Whoever pauses twice is told who did first; a drain would never end.
    assert_eq!(order(&site, Order::Pause).await.unwrap()["paused"], answer["paused"]);
    let why = order(&site, Order::Drain).await.unwrap_err();
    assert!(why.contains("paused since") && why.contains("because a test"), "{why}");

    // A start that nobody asked for sends nothing either.
    drop(edge);
    node.stop().await.unwrap();
    let (node, edge) = site.start().await;
    wait_for(&node, "/readyz", "\"error\":\"paused\"").await;
    assert_eq!(desk(&node)["paused"], answer["paused"]);
    // And what it delays is known over the start as well.
    wait_for(&node, "/metrics", "\nvitals_withdrawals_unsettled 1\n").await;
    assert_eq!(edge.settled_batches().await.unwrap().len(), 1);

    let resumed = order(&site, Order::Resume).await.unwrap();
    assert_eq!(resumed["ended"]["pause"], answer["paused"]);
    node.wait_until_settled(2).await.unwrap();
    check_settled(&edge, node.store(), 2).await;
    assert!(!site.layout.paused().exists());
    wait_for(&node, "/metrics", "\nvitals_withdrawals_unsettled 0\n").await;
    assert_eq!(written(&site), ["pause", "pause", "resume"]);
    assert_eq!(lines(&site)[0].who.as_ref().unwrap().name.as_deref(), Some("anna"));
    assert_eq!(order(&site, Order::Resume).await.unwrap()["ended"]["pause"], Value::Null);
    wait_for(&node, "/metrics", "\nvitals_paused 0\n").await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_note_of_a_pause_is_one_until_somebody_resumes() {
    let site = Site::new().await;
    std::fs::write(site.layout.paused(), "{").unwrap();
    files::close(&site.layout.paused()).unwrap();
    let (node, _) = site.start().await;
    wait_for(&node, "/readyz", "\"error\":\"paused\"").await;
    order(&site, Order::Resume).await.unwrap();
    assert!(!site.layout.paused().exists());
    close_and_settle(&node).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_refuses_all_but_withdrawals_settles_what_is_there_and_says_so() {
    let mut site = Site::new().await;
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    let answer = order(&site, Order::Drain).await.unwrap();
    assert_eq!((&answer["closed"], &answer["open_window_is_empty"]), (&json!(1), &json!(true)));
    wait_for(&node, "/readyz", "\"error\":\"draining\"").await;
    assert!(is_passed("VitalsDraining", value(&scrape(&node).await, "vitals_draining")));
    check_refused(&node, site.frame(2)).await;
    check_refused(&node, permit(&site)).await;
    // What is stored already is acknowledged again, and a withdrawal takes effect.
    let again = node.submit(site.frame(1)).await.unwrap();
    assert!(matches!(again, Answer::FrameDuplicate { .. }), "{again:?}");
    let revocation = site.change(site.wallet.revocation(RuleSlot::Permit(0)).unwrap());
    let taken = node.submit(operation_item(&revocation)).await.unwrap();
    site.apply(&revocation, &taken);
    let looked = order(&site, Order::Look).await.unwrap();
    let columns = ["nothing_left", "open_window_is_empty", "withdrawals_unsettled"];
    assert_eq!(columns.map(|name| looked[name].clone()), [json!(false), json!(false), json!(1)]);

    // It is in a window of its own, which the clock closes, or whoever drains once more.
    order(&site, Order::Drain).await.unwrap();
    node.wait_until_settled(2).await.unwrap();
    wait_for(&node, "/metrics", "\nvitals_outbox_pending 0\n").await;
    let done = order(&site, Order::Look).await.unwrap();
    assert_eq!((&done["nothing_left"], &done["settled"]), (&json!(true), &json!(2)));
    check_settled(&edge, node.store(), 2).await;

    let ended = order(&site, Order::Resume).await.unwrap();
    assert_eq!(ended["ended"]["drain"]["who"]["as"], "anna");
    let taken = node.submit(permit(&site)).await.unwrap();
    assert!(matches!(taken, Answer::OperationApplied { .. }), "{taken:?}");
    // A look begins no drain that somebody ended.
    assert_eq!(order(&site, Order::Look).await.unwrap()["draining"], Value::Null);
    assert_eq!(written(&site), ["drain", "drain", "resume"]);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_holds_above_the_file_until_it_is_reset_or_the_node_starts_again() {
    let mut site = Site::new().await;
    let configured = site.config.settle.fee_wei_max;
    let (node, edge) = site.start().await;
    let answer = order(&site, set(FEE, "7_000_000_000")).await.unwrap();
    let change = &answer["changes"][0];
    assert_eq!((&change["from"], &change["to"]), (&json!(configured), &json!(7_000_000_000u64)));
    wait_for(&node, "/metrics", "\nvitals_settle_fee_max_wei 7000000000\n").await;
    wait_for(&node, "/metrics", "\nvitals_tuned_keys 1\n").await;
    let row = listed(&site, FEE).await;
    assert_eq!(
        (&row["configured"], &row["active"]),
        (&json!(configured), &json!(7_000_000_000u64))
    );
    assert_eq!((&row["applies"], &row["tuned"]["who"]["as"]), (&json!("now"), &json!("anna")));
    let tuned = &desk(&node)["tuned"][0];
    assert_eq!((&tuned["key"], &tuned["tuned"]), (&json!(FEE), &json!(7_000_000_000u64)));

    // A SIGHUP takes over everything else, and says what it does not.
    site.config.settle.fee_wei_max = configured + 1;
    site.config.settle.gas_max -= 1;
    let reloaded = node.reload(&site.config).unwrap();
    assert_eq!((reloaded.taken, reloaded.tuned), (vec!["settle.gas_max"], vec![FEE]));
    assert_eq!(listed(&site, FEE).await["configured"], json!(configured + 1));
    assert_eq!(listed(&site, FEE).await["active"], json!(7_000_000_000u64));

    order(&site, Order::Reset { key: None }).await.unwrap();
    let row = listed(&site, FEE).await;
    assert_eq!((&row["active"], &row["tuned"]), (&json!(configured + 1), &Value::Null));
    assert!(order(&site, Order::Reset { key: Some(FEE.into()) }).await.is_err(), "it is not set");
    assert_eq!(order(&site, Order::Reset { key: None }).await.unwrap()["changes"], json!([]));

    order(&site, set(FEE, "8_000_000_000")).await.unwrap();
    // By the same hand: no change, and no line.
    let again = order(&site, set(FEE, "8_000_000_000")).await.unwrap();
    assert_eq!(again["changes"], json!([]));
    drop(edge);
    node.stop().await.unwrap();
    let (node, _) = site.start().await;
    assert_eq!(listed(&site, FEE).await["active"], json!(configured + 1));
    let [set, reset, lapsed] = ["set", "reset", "lapsed"].map(|word| format!("{word} {FEE}"));
    let reload = "reload settle.gas_max".to_owned();
    assert_eq!(written(&site), [set.clone(), reload, reset, set, lapsed]);
    node.stop().await.unwrap();
}

/// Writes down every level it is told, in order.
#[derive(Default)]
struct Levels(Mutex<Vec<String>>);

impl SetLevel for Levels {
    fn refuses(&self) -> Option<&'static str> {
        None
    }

    fn set(&self, level: &str) {
        self.0.lock().unwrap().push(level.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_is_set_by_hand_outlives_a_sighup_and_takes_no_room() {
    const KEY: &str = "log.level";
    let mut site = Site::new().await;
    // As a development node on a small machine is: its limits may take more than there is.
    site.config.ingest.limits.connections_max = 100_000;
    let (node, _) = site.start().await;
    let levels = Arc::new(Levels::default());
    node.log_by(levels.clone());
    let last = || levels.0.lock().unwrap().last().cloned();
    order(&site, set(KEY, "debug")).await.unwrap();
    assert_eq!(last().as_deref(), Some("debug"));
    let why = order(&site, set("ingest.rates.keys_max", "1_000_000")).await.unwrap_err();
    assert!(why.contains("expected limits that together take at most"), "{why}");
    // As the program does on a SIGHUP, whose file has another one.
    site.config.log.level = "warn".into();
    assert_eq!(node.reload(&site.config).unwrap().tuned, [KEY]);
    node.apply_log_level();
    assert_eq!(last().as_deref(), Some("debug"));
    order(&site, Order::Reset { key: Some(KEY.into()) }).await.unwrap();
    assert_eq!(last().as_deref(), Some("warn"));
    node.apply_log_level();
    assert_eq!(levels.0.lock().unwrap().len(), 4);
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_file_may_not_hold_is_not_set_by_hand_either_and_leaves_no_line() {
    let site = Site::new().await;
    let (node, _) = site.start().await;
    for (order_, words) in [
        (set("settle.fee", "1"), "expected a key of the configuration"),
        (set("settle.batches_max", "65"), "expected settle.batches_max to be 1 to 64, found 65"),
        (set("settle.batches_max", "many"), "expected a value that settle.batches_max can have"),
        (set("ingest.listen", "127.0.0.1:1"), "which holds from the next start on"),
        (set("chain.rpc", "http://127.0.0.1:1"), "which holds from the next start on"),
        (set("batch.operations_shape", "c1-17"), "which goes into the contract"),
        (set("ingest.rates.opens_burst", "9999999999"), "expected a value that"),
        // Nobody who logs asked to be told.
        (set("log.level", "warn"), "the program around the node logs as it likes"),
        (Order::Reset { key: Some("settle.fee".into()) }, "expected a key of the configuration"),
    ] {
        let why = order(&site, order_).await.unwrap_err();
        assert!(why.contains(words), "expected {words:?}, found {why:?}");
    }
    let malformed = ask(&site.layout.admin_socket(), "order {\"order\":\"burn\"}").await;
    assert!(matches!(malformed, Err(AdminError::Refused(why)) if why.contains("unknown variant")));
    assert_eq!(lines(&site), []);

    // Without a line nothing is done.
    std::fs::create_dir(site.layout.operator_log()).unwrap();
    for refused in [set(FEE, "7"), Order::Drain, Order::Seal] {
        let why = order(&site, refused).await.unwrap_err();
        assert!(why.contains("cannot be written"), "{why}");
    }
    let told = desk(&node);
    let in_force = ["paused", "draining", "tuned"].map(|name| told[name].clone());
    assert_eq!(in_force, [Value::Null, Value::Null, json!([])]);
    assert_eq!((node.status().window.0, site.layout.paused().exists()), (1, false));
    // But for what stops everything, and for what ends a delay.
    let paused = order(&site, Order::Pause).await.unwrap();
    assert!(paused["not_written"].is_string() && paused["paused"].is_object(), "{paused}");
    assert!(site.layout.paused().exists());
    let resumed = order(&site, Order::Resume).await.unwrap();
    assert!(resumed["not_written"].is_string() && resumed["paused"].is_null(), "{resumed}");
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_ends_as_it_was_begun_and_the_next_one_as_it_is_tuned() {
    const KEY: &str = "batch.close_after_ms";
    let clocks = TwoClocks::at(SystemClock.now());
    let mut site = Site::with_clock(clocks.clone()).await;
    site.config.batch.close_after_ms = 3_600_000;
    let (node, _) = site.start().await;
    let before = node.status();
    let answer = order(&site, set(KEY, "600_000")).await.unwrap();
    assert_eq!(answer["changes"][0]["applies"], "at next window");
    let row = listed(&site, KEY).await;
    let columns = ["configured", "active", "next"].map(|column| row[column].clone());
    assert_eq!(columns, [json!(3_600_000), json!(3_600_000), json!(600_000)]);
    assert_eq!(node.status().due, before.due, "the open one ends as it was begun");

    let answer = order(&site, Order::Seal).await.unwrap();
    assert_eq!((&answer["sealed"], &answer["was_empty"]), (&json!(1), &json!(false)));
    let row = listed(&site, KEY).await;
    let columns = ["configured", "active", "next"].map(|column| row[column].clone());
    assert_eq!(columns, [json!(3_600_000), json!(600_000), Value::Null]);
    node.submit(site.frame(1)).await.unwrap();
    let open = node.status();
    assert_eq!((open.window.0, open.due), (2, open.t0.plus(600_000)));
    // Due by the new length: closed by the clock.
    clocks.pass(600_000 + 1_000);
    wait_for(&node, "/metrics", "\nvitals_batch_closed 2\n").await;
    assert_eq!(written(&site), [format!("set {KEY}"), "seal".to_owned()]);
    assert!(get(&node, "/metrics").await.unwrap().contains("\nvitals_tuned_keys 1\n"));
    node.stop().await.unwrap();
}
