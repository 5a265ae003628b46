//! `sequencer status`: the running node's own words.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use model::{Millis, calendar, escape_lines, with_causes};
use sequencer::doors::admin::{AdminError, ask_within};
use sequencer::folder::layout::Layout;
use sequencer::folder::validity;
use sequencer::forecast::{Compared, PlanErrors};
use sequencer::node::desk::{Figures, RejectCount};
use sequencer::node::orders::InForce;
use sequencer::node::recent_rejects::RecentReject;
use sequencer::node::status::{Batches, Certificates, NodeStatus, StageStatus};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::listed::{Registered, now};
use super::outcome::{Asked, Expected, Failure, Outcome, failed, runtime, unavailable};

/// How long the node may take to say how it stands: it has that in memory.
const WAIT: Duration = Duration::from_secs(15);

/// Reasons for rejects on the line that says them; `--json` has all.
const REJECTS_SHOWN: usize = 3;

/// Between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    expected: Expected,
    /// Ask again every two seconds until Ctrl-C; with `--json` one object a line.
    #[arg(long)]
    watch: bool,
}

/// Asks the node; the file that says where it is outlives one that was killed.
pub(crate) fn status(args: &StatusArgs) -> Outcome {
    let (asked, layout) = (&args.asked, Layout::new(&args.asked.node.dir));
    if !layout.endpoints().try_exists().map_err(failed)? {
        return Err(unavailable(anyhow!(gone(&layout))));
    }
    args.expected.check(&layout)?;
    let runtime = runtime()?;
    if args.watch {
        return runtime.block_on(watch(&layout, asked));
    }
    let (answer, status) = runtime.block_on(ask(&layout))?;
    let warnings = warnings(&layout, asked);
    let mut json = answer;
    json["warnings"] = json!(warnings);
    asked.print(&text(&status), &json);
    for warning in warnings {
        eprintln!("warning: {}", escape_lines(&warning));
    }
    Ok(())
}

/// The node's answer, as it is and as it is read.
async fn ask(layout: &Layout) -> Outcome<(Value, NodeStatus)> {
    let answer = ask_within(&layout.admin_socket(), "status", WAIT).await;
    let answer = answer.map_err(|error| unanswered(error, layout))?;
    let status: NodeStatus = serde_json::from_value(answer.clone())
        .context("reading the node's status: is it of this release?")
        .map_err(failed)?;
    Ok((answer, status))
}

/// Prints how the node stands again and again. The first answer must come; that it is gone later is
/// shown, and it may come back.
async fn watch(layout: &Layout, asked: &Asked) -> Outcome {
    // Listened to from before the first look on: one that comes during a look would be lost.
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut answer: Outcome<_> = Ok(ask(layout).await?);
    loop {
        match &answer {
            Ok((json, status)) => show(asked, &text(status), json),
            Err(failure) => {
                let why = format!("{:#}", failure.error);
                show(asked, &why, &json!({ "schema": NodeStatus::SCHEMA, "error": why }));
            }
        }
        let next = async {
            tokio::time::sleep(WATCH_EVERY).await;
            ask(layout).await
        };
        answer = tokio::select! {
            _ = interrupted.recv() => return Ok(()),
            answer = next => answer,
        };
    }
}

/// Over what was printed before, where that is a terminal.
fn show(asked: &Asked, text: &str, json: &Value) {
    if !asked.json && std::io::stdout().is_terminal() {
        print!("\u{1b}[H\u{1b}[J");
    }
    asked.print(text, json);
}

/// Why there is no answer: a node that is gone is started again, one that is stuck is looked at.
pub(super) fn unanswered(error: AdminError, layout: &Layout) -> Failure {
    let folder = layout.folder().display();
    let words = match &error {
        AdminError::Socket { .. } | AdminError::NoAnswer => gone(layout),
        AdminError::Late { .. } => {
            format!("the node in {folder} is stopped, stuck or overloaded: look at its log")
        }
        AdminError::Malformed(_) | AdminError::Refused(_) => return failed(error),
    };
    unavailable(anyhow::Error::new(error).context(words))
}

/// Why no node runs there: where nothing stands, the folder is another one; what a node that stops
/// in order removes says whether the last one did.
fn gone(layout: &Layout) -> String {
    let (folder, config) = (layout.folder().display(), layout.config());
    if !layout.folder().is_dir() {
        return format!("no node runs in {folder}, where no folder is: --dir says which is its");
    }
    let how = match layout.endpoints().exists() {
        true => "the one that ran there ended without a word, as when it is killed; start it again",
        false => "it was stopped, or not started yet; start it",
    };
    format!("no node runs in {folder}: {how} (`sequencer run --config {}`)", config.display())
}

/// Certificates that end soon or ended: the node's own, and those that it registered. What cannot
/// be looked at is a warning too: whether the node runs stands above.
fn warnings(layout: &Layout, asked: &Asked) -> Vec<String> {
    let now = now();
    let own = match validity::endings(layout) {
        Ok(endings) => endings.iter().filter_map(|ending| ending.warning(now)).collect(),
        Err(error) => vec![with_causes(&error)],
    };
    let registered = match Registered::ask(&asked.node) {
        Ok(registered) => registered.endings(now),
        Err(failure) => vec![format!("the registry is not read: {:#}", failure.error)],
    };
    [own, registered].concat()
}

/// How far a plan is from what happened: a line, where there is one.
fn plan(errors: &PlanErrors) -> String {
    let one = |name: &str, compared: &Compared| {
        let Compared { expected_a_day, happened_a_day, error_permille } = compared;
        let error = error_permille.map_or("nothing yet".to_owned(), |permille| {
            format!("{:+.1} %", permille as f64 / 10.0)
        });
        format!("{name} {happened_a_day} a day, {expected_a_day} planned ({error})")
    };
    let PlanErrors { batches, proofs, gas } = errors;
    let all = [one("batches", batches), one("proofs", proofs), one("gas", gas)];
    format!("plan         {}", all.join("; "))
}

fn text(status: &NodeStatus) -> String {
    let NodeStatus { endpoints, batches, .. } = status;
    let Batches { closed, assembled, settled, backlog, outbox, waiting_to_be_proven } = batches;
    let state = match &status.not_ready {
        None => "ready".to_owned(),
        Some(why) => format!("not ready: {why} (docs/codes.md)"),
    };
    let chain = if status.chain_reachable { "answers" } else { "does not answer" };
    let balance = match status.balance_wei {
        Some(wei) => format!("{} ether{}", ether(wei), lasts(status.figures.as_ref())),
        None => "an amount that was not looked at yet".to_owned(),
    };
    let not_running = |one: &&StageStatus| one.state != "runs";
    let troubled: Vec<String> = status.stages.iter().filter(not_running).map(trouble).collect();
    let stages = match troubled.is_empty() {
        true => format!("all {} run", status.stages.len()),
        false => troubled.join("; "),
    };
    let mib = |bytes: u64| bytes >> 20;
    [
        format!("state        {state}, running for {}", length(status.running_ms)),
        format!("ingest       {} (QUIC)", endpoints.ingest),
        format!("http         http://{}", endpoints.http),
        format!("base chain   {}, {chain}; settling account holds {balance}", endpoints.rpc),
        format!("deployment   {}", endpoints.fingerprint),
        format!("stages       {stages}"),
        format!(
            "batches      {closed} closed, {assembled} proven and assembled, {settled} settled"
        ),
        format!(
            "backlog      {backlog} closed and not settled: {waiting_to_be_proven} wait to be \
             proven, {outbox} transactions under way"
        ),
        format!("clients      {} connections, {} patients", status.connections, status.patients),
        certificates(&status.certificates),
        format!(
            "disk         {} MiB free, of which frames leave {}",
            mib(status.free_bytes),
            mib(status.reserve_bytes)
        ),
        format!("clock        {} ms ahead of the boot-time clock", status.clock_ahead_ms),
    ]
    .into_iter()
    .chain(erasures(status))
    .chain(in_force(status))
    .chain(status.plan.as_ref().map(plan))
    .chain(figures(status.figures.as_ref()))
    .chain([rejected(&status.rejects, status.recent_rejects.first())])
    .collect::<Vec<_>>()
    .join("\n")
}

/// Who waits for the operator to erase their readings: a line where somebody does.
fn erasures(status: &NodeStatus) -> Option<String> {
    let asked = status.erasure_requests;
    let line = || format!("erasure      {asked} patients ask to be erased (`sequencer hold list`)");
    (asked > 0).then(line)
}

/// What operators ordered: lines where there is something.
fn in_force(status: &NodeStatus) -> Vec<String> {
    let InForce { paused, draining, tuned } = &status.in_force;
    let waiting = status.withdrawals_unsettled;
    let paused = paused.as_ref().map(|since| {
        let since = since.words();
        format!("paused       {since}: nothing is sent to the chain; {waiting} withdrawals wait")
    });
    let draining = draining
        .as_ref()
        .map(|since| format!("draining     {}: only withdrawals are taken in", since.words()));
    let tuned = (!tuned.is_empty()).then(|| {
        let keys: Vec<&str> = tuned.iter().map(|one| one.key.as_str()).collect();
        format!("set by hand  {} (`sequencer tune list --changed`)", keys.join(", "))
    });
    paused.into_iter().chain(draining).chain(tuned).collect()
}

/// What the desk shows, of the last seconds: as many lines before the first point is taken.
fn figures(figures: Option<&Figures>) -> [String; 6] {
    let Some(figures) = figures else {
        let names = ["taken in", "receipts", "queues", "proving", "withdrawals", "memory"];
        return names.map(|name| format!("{name:<13}not counted in the first ten seconds"));
    };
    let ms = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("{:.1} ms", seconds * 1000.0),
        None => "-".to_owned(),
    };
    let seconds = |seconds: Option<f64>| seconds.map_or("-".into(), |s| format!("{s:.1} s"));
    let mib = |bytes: i64| bytes >> 20;
    [
        format!(
            "taken in     {:.0} readings/s in {:.0} frames/s, {:.0} rejects/s, {:.1} operations/s",
            figures.readings_per_second,
            figures.frames_per_second,
            figures.rejects_per_second,
            figures.operations_per_second
        ),
        format!(
            "receipts     p50 {}, p99 {}",
            ms(figures.receipt_p50_seconds),
            ms(figures.receipt_p99_seconds)
        ),
        queues(figures),
        format!(
            "proving      {} a proof, {:.0} % of the places left empty",
            seconds(figures.proof_mean_seconds),
            figures.padding_ratio * 100.0
        ),
        format!(
            "withdrawals  effective within {} (p99), settled within {} (p90)",
            seconds(figures.withdrawal_effective_p99_seconds),
            seconds(figures.withdrawal_settled_p90_seconds)
        ),
        format!(
            "memory       {} MiB in use, {} that all limits may take, {} of the machine",
            mib(figures.resident_bytes),
            mib(figures.limits_bytes),
            mib(figures.machine_bytes)
        ),
    ]
}

/// What was rejected, by reason, most often first: the first ones on a line, and whoever was told
/// last.
fn rejected(rejects: &[RejectCount], last: Option<&RecentReject>) -> String {
    let mut rejects: Vec<_> = rejects.iter().collect();
    rejects.sort_by_key(|one| std::cmp::Reverse(one.count));
    let one = |one: &&RejectCount| {
        let RejectCount { code, meaning, count, per_second } = one;
        format!("{count} of code {code} ({meaning}), {per_second:.1}/s")
    };
    let mut words: Vec<String> = rejects.iter().take(REJECTS_SHOWN).map(one).collect();
    match rejects.len().saturating_sub(REJECTS_SHOWN) {
        0 => {}
        more => words.push(format!("and of {more} codes more")),
    }
    // It is known at once, and counted with the next point.
    words.extend(last.map(|RecentReject { until_unix_ms, code, peer, gateway, .. }| {
        let at = calendar::Utc(Millis::from_unix_ms(*until_unix_ms));
        let whom = gateway.as_ref().map_or(peer.clone(), |name| format!("{peer} {name}"));
        format!("last code {code} to {whom}, {at}")
    }));
    let words = if words.is_empty() { "nothing in this run".to_owned() } else { words.join("; ") };
    format!("rejected     {words}")
}

fn queues(figures: &Figures) -> String {
    format!(
        "queues       {} of {} connections, {} of {} items before the journal, {} of {} groups \
         before the signer",
        figures.connections,
        figures.connections_max,
        figures.journal_queue_items,
        figures.journal_queue_items_max,
        figures.receipt_groups_waiting,
        figures.receipt_groups_max
    )
}

/// How long the settling account lasts.
fn lasts(figures: Option<&Figures>) -> String {
    let days = figures.and_then(|figures| figures.balance_days);
    days.map_or(String::new(), |days| format!(", which lasts {days:.1} days"))
}

fn certificates(Certificates { ending, waiting }: &Certificates) -> String {
    let remedy = if *waiting > 0 { " (`sequencer identity renew --all`)" } else { "" };
    format!("certificates {waiting} asked for{remedy}, {ending} beyond two thirds of their life")
}

fn trouble(StageStatus { stage, state, cause }: &StageStatus) -> String {
    match cause {
        Some(cause) => format!("{stage} is {state}: {cause}"),
        None => format!("{stage} {state}"),
    }
}

/// With four digits behind the point, rounded down.
fn ether(wei: u128) -> String {
    let whole = wei / 10_u128.pow(18);
    let rest = wei % 10_u128.pow(18) / 10_u128.pow(14);
    format!("{whole}.{rest:04}")
}

fn length(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_stuck_is_told_from_one_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(&folder.path().join("node"));
        let said = |error| {
            let Failure { code, error } = unanswered(error, &layout);
            assert_eq!(code, model::ExitCode::Unavailable);
            format!("{error:#}")
        };
        assert!(said(AdminError::NoAnswer).contains("where no folder is"));
        std::fs::create_dir(layout.folder()).unwrap();
        assert!(said(AdminError::NoAnswer).contains("it was stopped, or not started yet"));
        std::fs::write(layout.endpoints(), "{}").unwrap();
        assert!(said(AdminError::NoAnswer).contains("as when it is killed"));
        let stuck = said(AdminError::Late { waited: WAIT });
        assert!(stuck.contains("did not answer within 15 s"), "{stuck}");
        assert!(!stuck.contains("no node runs"), "{stuck}");
    }

    #[test]
    fn figures_are_lines_of_the_same_names_before_and_after_they_are_counted() {
        let counted = Figures { receipt_p50_seconds: Some(0.0023), ..Figures::default() };
        let [before, after] = [None, Some(&counted)].map(figures);
        let names = |lines: &[String; 6]| lines.clone().map(|line| line[..13].to_owned());
        assert_eq!(names(&before), names(&after));
        assert_eq!(after[1], "receipts     p50 2.3 ms, p99 -");
        let lasting = Figures { balance_days: Some(6.94), ..counted };
        assert_eq!(lasts(Some(&lasting)), ", which lasts 6.9 days");
        assert_eq!((lasts(Some(&counted)), lasts(None)), (String::new(), String::new()));
    }

    #[test]
    fn rejects_are_a_line_with_what_came_most_often_first() {
        assert_eq!(rejected(&[], None), "rejected     nothing in this run");
        let of = |code, count| {
            let meaning = format!("m{code}");
            RejectCount { code, meaning, count, per_second: 0.25 }
        };
        let last = |peer: &str, gateway: Option<&str>| RecentReject {
            at_unix_ms: 1_800_000_000_000,
            until_unix_ms: 1_800_000_007_000,
            count: 3,
            code: 7,
            meaning: "m7".to_owned(),
            peer: peer.to_owned(),
            gateway: gateway.map(str::to_owned),
        };
        assert_eq!(
            rejected(&[], Some(&last("gateway", Some("gw-1")))),
            "rejected     last code 7 to gateway gw-1, 2027-01-15T08:00:07.000Z"
        );
        assert!(
            rejected(&[of(7, 1)], Some(&last("wallet", None)))
                .ends_with("to wallet, 2027-01-15T08:00:07.000Z")
        );
        let said = rejected(&[of(3, 1), of(7, 9), of(11, 2), of(12, 40)], None);
        let expected = "rejected     40 of code 12 (m12), 0.2/s; 9 of code 7 (m7), 0.2/s; 2 of code \
                        11 (m11), 0.2/s; and of 1 codes more";
        assert_eq!(said, expected);
    }

    #[test]
    fn a_plan_stands_beside_what_happened() {
        let one = |expected_a_day, happened_a_day, error_permille| Compared {
            expected_a_day,
            happened_a_day,
            error_permille,
        };
        let said = plan(&PlanErrors {
            batches: one(1_500, 1_440, Some(42)),
            proofs: one(90, 100, Some(-100)),
            gas: one(7, 0, None),
        });
        assert_eq!(
            said,
            "plan         batches 1440 a day, 1500 planned (+4.2 %); proofs 100 a day, 90 planned \
             (-10.0 %); gas 0 a day, 7 planned (nothing yet)"
        );
    }

    #[test]
    fn amounts_are_rounded_down_and_lengths_read_at_a_glance() {
        assert_eq!(ether(1_999_999_999_999_999_999), "1.9999");
        assert_eq!(ether(5), "0.0000");
        let lengths = [1_999, 121_000, 7_200_000, 172_800_000].map(length);
        assert_eq!(lengths, ["1 s", "2 min", "2 h", "2 days"]);
    }
}
