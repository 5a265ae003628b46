//! `sequencer pause | resume | seal now | drain`: what an operator orders of a running node.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use model::{calendar, escape_lines};
use sequencer::doors::admin::ask;
use sequencer::doors::orders::{Order, Ordered};
use sequencer::folder::layout::Layout;
use sequencer::folder::who::Who;
use sequencer::node::orders::Since;
use serde::Deserialize;
use serde_json::Value;

use super::outcome::{Asked, Outcome, failed, runtime, usage};
use super::status::unanswered;

/// Between two looks of a drain.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Who orders, and why: kept in `operator.log` and shown beside what is in force.
#[derive(Args, Clone, Default)]
pub(crate) struct Signed {
    /// Who orders it: several people work as one user. The user and process are kept anyway.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Why, in a few words, for whoever asks later.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Subcommand)]
pub(crate) enum SealCommand {
    /// Ends the open window at once: what is in it is proven and settled next.
    ///
    /// Also one in which nothing happened, which costs a transaction. At a fixed cadence its time
    /// shows on the chain that somebody asked for it.
    Now(OrderArgs),
}

#[derive(Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    asked: Asked,
    /// How long to wait until nothing is left, as 90s or 10m; 0s asks once.
    #[arg(long, value_name = "TIME", default_value = "30m")]
    wait: String,
}

/// How windows and batches stand, as the node answers an order.
#[derive(Deserialize)]
struct Standing {
    paused: Option<Since>,
    draining: Option<Since>,
    open_window_is_empty: bool,
    settled: u64,
    windows_to_prove: u64,
    batches_to_settle: u64,
    transactions_not_final: u64,
    withdrawals_unsettled: u64,
    nothing_left: bool,
    #[serde(default)]
    was_empty: bool,
    #[serde(default)]
    sealed: u64,
    ended: Option<Ended>,
}

/// What a resume ended.
#[derive(Deserialize)]
struct Ended {
    pause: Option<Since>,
    drain: Option<Since>,
}

/// Orders it; the node's answer.
pub(super) fn order(asked: &Asked, order: Order, signed: Signed) -> Outcome<Value> {
    let layout = Layout::new(&asked.node.dir);
    let request = request(order, signed)?;
    let answer = runtime()?.block_on(ask(&layout.admin_socket(), &request));
    answer.map_err(|error| unanswered(error, &layout))
}

/// What was done and could not be kept, as the node tells it.
pub(super) fn warn(answer: &Value) {
    for (key, what) in [
        ("not_written", "it is done, and no line in operator.log says so"),
        ("not_kept", "it is done, and the next start will not know of it"),
    ] {
        if let Some(why) = answer[key].as_str() {
            eprintln!("warning: {what}: {}", escape_lines(why));
        }
    }
}

fn request(order: Order, Signed { name, reason }: Signed) -> Outcome<String> {
    // User and process are what the system says at the other end.
    let who = Who { name, reason, ..Who::default() };
    who.check().map_err(usage)?;
    Ok(Ordered { order, who }.request())
}

fn standing(answer: &Value) -> Outcome<Standing> {
    serde_json::from_value(answer.clone()).map_err(failed)
}

pub(crate) fn pause(OrderArgs { signed, asked }: OrderArgs) -> Outcome {
    let answer = order(&asked, Order::Pause, signed)?;
    let Standing { paused, withdrawals_unsettled, .. } = standing(&answer)?;
    let since = paused.map(|since| since.words()).unwrap_or_default();
    warn(&answer);
    let text = format!(
        "settling is paused {since}: nothing is sent to the chain, over starts too, until \
         `sequencer resume`\nreadings, accesses and operations are taken in; withdrawals are in \
         force at once and late on the chain: {withdrawals_unsettled} wait for it now"
    );
    asked.print(&text, &answer);
    Ok(())
}

pub(crate) fn resume(OrderArgs { signed, asked }: OrderArgs) -> Outcome {
    let answer = order(&asked, Order::Resume, signed)?;
    warn(&answer);
    let Standing { ended, batches_to_settle, .. } = standing(&answer)?;
    let lines = ended.map(|Ended { pause, drain }| {
        let pause = pause.map(|since| {
            let since = since.words();
            let then = match batches_to_settle {
                0 => "nothing waited for the chain".to_owned(),
                waited => format!("{waited} batches that waited go to the chain now"),
            };
            format!("the pause {since}, is over: {then}")
        });
        let drain = drain
            .map(|since| format!("the drain {}, is over: the node takes in again", since.words()));
        pause.into_iter().chain(drain).collect::<Vec<_>>()
    });
    let lines = lines.filter(|lines| !lines.is_empty());
    let text = lines.map_or("nothing was paused or drained".to_owned(), |lines| lines.join("\n"));
    asked.print(&text, &answer);
    Ok(())
}

pub(crate) fn seal(SealCommand::Now(OrderArgs { signed, asked }): SealCommand) -> Outcome {
    let answer = order(&asked, Order::Seal, signed)?;
    let Standing { sealed, was_empty, paused, .. } = standing(&answer)?;
    let held = if was_empty { "; a batch proves nothing of it" } else { "" };
    let then = match paused {
        None => "it is proven and settled next".to_owned(),
        Some(since) => format!("it is proven; settling is paused {}", since.words()),
    };
    asked.print(&format!("window {sealed} is closed{held}: {then}"), &answer);
    Ok(())
}

/// Has the node drained, and waits until nothing is left. Ordered once: what somebody ends
/// meanwhile stays ended.
pub(crate) fn drain(DrainArgs { signed, asked, wait }: DrainArgs) -> Outcome {
    let wait = Duration::from_millis(calendar::parse_length(&wait).map_err(usage)?);
    let layout = Layout::new(&asked.node.dir);
    let (begin, look) = (request(Order::Drain, signed)?, request(Order::Look, Signed::default())?);
    let begun = Instant::now();
    let (answer, last) = runtime()?.block_on(async {
        let (mut asks, mut drain, mut told) = (&begin, None, String::new());
        loop {
            let answer = ask(&layout.admin_socket(), asks).await;
            let answer = answer.map_err(|error| unanswered(error, &layout))?;
            let now = standing(&answer)?;
            go_on(&now, drain.as_ref()).map_err(failed)?;
            if now.nothing_left || begun.elapsed() >= wait {
                return Ok((answer, now));
            }
            let left = left(&now);
            if left != told {
                eprintln!("drain: {left}");
                told = left;
            }
            (asks, drain) = (&look, now.draining);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })?;
    let said = match last.nothing_left {
        true => format!("nothing is left: {} batches are settled; stop the node", last.settled),
        false => format!("left: {}; the node goes on draining", left(&last)),
    };
    asked.print(&said, &answer);
    match last.nothing_left {
        true => Ok(()),
        false => Err(failed(anyhow!("expected nothing to be left within the wait, {said}"))),
    }
}

/// Whether the drain that was seen before goes on.
fn go_on(now: &Standing, before: Option<&Since>) -> anyhow::Result<()> {
    if let Some(paused) = &now.paused {
        let since = paused.words();
        return Err(anyhow!("expected a node that settles, found one that is paused {since}"));
    }
    match (&now.draining, before) {
        (Some(now), before) if before.is_none_or(|before| before == now) => Ok(()),
        (Some(now), _) => {
            let since = now.words();
            Err(anyhow!("the drain was ended by somebody, and another one began {since}"))
        }
        (None, _) => Err(anyhow!("the drain was ended by a resume or a start: the node takes in")),
    }
}

/// What is left, in words.
fn left(standing: &Standing) -> String {
    let Standing { windows_to_prove, batches_to_settle, transactions_not_final, .. } = standing;
    let open = if standing.open_window_is_empty { "" } else { "the open window, " };
    format!(
        "{open}{windows_to_prove} windows to prove, {batches_to_settle} batches to settle, \
         {transactions_not_final} transactions not final"
    )
}

#[cfg(test)]
mod tests {
    use model::ExitCode;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_of_a_drain_is_told_as_it_is() {
        let answer = json!({
            "schema": "vitals-orders-1", "paused": null, "draining": null,
            "open_window_is_empty": false, "closed": 7, "assembled": 5, "settled": 4,
            "windows_to_prove": 2, "batches_to_settle": 1, "transactions_not_final": 3,
            "withdrawals_unsettled": 0, "nothing_left": false,
        });
        let Ok(found) = standing(&answer) else { panic!("it is of this form") };
        assert_eq!(
            left(&found),
            "the open window, 2 windows to prove, 1 batches to settle, 3 transactions not final"
        );
    }

    #[test]
    fn a_drain_that_somebody_ended_is_not_begun_again_and_ends_the_command() {
        let at = |since_unix_ms| Since { since_unix_ms, who: Who::default() };
        let now = |paused: Option<Since>, draining: Option<Since>| {
            let mut answer = json!({
                "paused": null, "draining": null, "open_window_is_empty": true, "settled": 1,
                "windows_to_prove": 0, "batches_to_settle": 0, "transactions_not_final": 0,
                "withdrawals_unsettled": 0, "nothing_left": true,
            });
            (answer["paused"], answer["draining"]) = (json!(paused), json!(draining));
            let Ok(now) = standing(&answer) else { panic!("it is of this form") };
            now
        };
        assert!(go_on(&now(None, Some(at(5))), None).is_ok(), "as it was begun");
        assert!(go_on(&now(None, Some(at(5))), Some(&at(5))).is_ok());
        let why = |now: Standing| go_on(&now, Some(&at(5))).unwrap_err().to_string();
        assert!(why(now(None, None)).contains("takes in"));
        assert!(why(now(None, Some(at(9)))).contains("another one began"));
        assert!(why(now(Some(at(7)), Some(at(5)))).contains("is paused since"));
    }

    #[test]
    fn words_that_are_not_kept_are_refused_before_anybody_is_asked() {
        let signed = Signed { name: Some("a\u{1b}[2J".into()), reason: None };
        let refused = request(Order::Pause, signed).err().map(|failure| failure.code);
        assert_eq!(refused, Some(ExitCode::Usage));
        assert!(request(Order::Pause, Signed::default()).is_ok());
    }
}
