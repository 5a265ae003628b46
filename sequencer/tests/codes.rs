//! The page of every code that a person can meet. Each section is made of the table that the
//! programs themselves answer from, so that page and program cannot differ.

use devchain::RpcCode;
use l1_contracts::errors::ContractError;
use model::{ExitCode, RULES, RejectCode};
use sequencer::doors::codes::{ADMIN, HTTP, Unserved};
use sequencer::node::Stage;
use sequencer::stages::standing::Cause;

use crate::pinned;

/// What each program ends with, by number from 0.
const EXITS: [(&str, [&str; 5]); 25] = [
    (
        "`sequencer init`",
        [
            "done",
            "folder, keys or certificates cannot be read or written",
            "the configuration that is there is wrong",
            "",
            "",
        ],
    ),
    (
        "`sequencer config check`",
        [
            "the configuration holds",
            "its limits may take more memory than the machine has",
            "it is missing or breaks a limit",
            "",
            "",
        ],
    ),
    (
        "`sequencer deploy`",
        [
            "deployed",
            "the chain is not reachable or refuses; proving keys cannot be had",
            "`--registrar` or the configuration is wrong; a deployment file is there already",
            "",
            "",
        ],
    ),
    (
        "`sequencer run`",
        [
            "stopped by SIGINT or SIGTERM",
            "the chain is not reachable or another; the deployment has another fingerprint than was \
             expected; the node does not start; a stage failed",
            "the configuration is missing or wrong, or its limits may take more memory than the \
             machine has; `RUST_LOG` is no filter",
            "the folder has no deployment file",
            "",
        ],
    ),
    (
        "`sequencer journal check`, `recover`, `convert`",
        [
            "the journal holds; it lacks nothing; the loss is accepted; it is converted, or there is \
             nothing to convert",
            "it is damaged or of the first version, or there are two; it lacks what somebody \
             remembers; the loss cannot be accepted; the deployment has another fingerprint than \
             was expected",
            "an argument or the configuration is wrong; `--accept-loss` has no reason; the folder \
             of `--receipts` is missing, too full or has none of this node",
            "there is no journal, or a node has it open",
            "",
        ],
    ),
    (
        "`sequencer journal inspect`",
        [
            "printed",
            "the journal is damaged, as the message says with file and offset; the node is of \
             another release",
            "an argument is wrong",
            "there is no journal, or no such group or position",
            "",
        ],
    ),
    (
        "`sequencer backup`",
        [
            "taken, with its end record; what is left out is named",
            "node or disk do not answer; a file is damaged; there is no room; the deployment has \
             another fingerprint than was expected",
            "an argument is wrong; the folder holds files already, or lies within the node's",
            "there is no node's folder, or a node that starts has it open",
            "",
        ],
    ),
    (
        "`sequencer restore`",
        [
            "restored",
            "the backup was cut off or is damaged; what it holds does not hold (`--verify`); what \
             a cut restore left is there; there is no room",
            "an argument is wrong; the node's folder holds files; the two backups are of other \
             nodes or in each other's place",
            "there is no backup",
            "",
        ],
    ),
    (
        "`sequencer keys`",
        [
            "done; printed",
            "the keys or a file cannot be read or written; the backup is damaged, expired, of \
             another node or sealed to another key; there is a file of that name",
            "an argument is wrong",
            "a node runs where a stopped one is needed, or does not answer; no key was ever made",
            "",
        ],
    ),
    (
        "`sequencer status`",
        [
            "printed; with `--watch`, Ctrl-C",
            "the deployment has another fingerprint than was expected; node and program are of \
             other releases",
            "",
            "no node runs in the folder",
            "",
        ],
    ),
    (
        "`sequencer tune`, `pause`, `resume`, `seal now`",
        [
            "done; listed; there was nothing to end",
            "the node refuses: no key, not live, a value that the file may not hold, `operator.log` \
             that cannot be written",
            "an argument is wrong, or `--as` or `--reason` is none to print",
            "no node runs in the folder, or its socket does not answer",
            "",
        ],
    ),
    (
        "`sequencer erase`, `hold`",
        [
            "erased, or it was already at this request; set, cleared; listed",
            "the node refuses: a legal hold, a stop that is not settled, a request that is not the \
             patient's or over; keys are left; the receipt cannot be written",
            "an argument is wrong; the request is none; there is a file of the receipt's name",
            "no node runs in the folder, or its socket does not answer",
            "",
        ],
    ),
    (
        "`sequencer drain`",
        [
            "nothing is left",
            "something is left after `--wait`, which is said, and the node goes on draining; it is \
             paused",
            "an argument is wrong",
            "no node runs in the folder, or its socket does not answer",
            "",
        ],
    ),
    (
        "`sequencer org`, `device`, `identity`",
        [
            "done",
            "the node refuses; authority or deployment file cannot be read; the identity folder \
             cannot be written",
            "an argument is wrong; `--out` holds keys already",
            "no node runs in the folder, or its socket does not answer",
            "",
        ],
    ),
    (
        "`sequencer demo`",
        ["`DEMO OK`", "a step found something else than expected", "", "", "Ctrl-C"],
    ),
    (
        "`sequencer drill`",
        [
            "`DRILL OK`: nothing that was acknowledged is lost, nothing is stored or settled twice",
            "a step found something else than expected",
            "",
            "",
            "Ctrl-C",
        ],
    ),
    (
        "`vitals`",
        [
            "done; a check holds; `vitals wallet`: closed, stopped or idle",
            "the node refuses or breaks the protocol; TLS refuses a certificate; a check does not \
             hold; a question was answered with no, or `--yes` given for a name that the registry \
             does not know; `vitals stream` gave readings up, which it lists; something in \
             `vitals wallet` failed",
            "an argument is wrong; a file or folder named there is missing or malformed",
            "the node does not answer, was lost, or closed with a code to retry; a batch file is \
             not there or not served; another program signs with the key",
            "`vitals stream`: Ctrl-C or SIGTERM; it says what is kept",
        ],
    ),
    (
        "`auditor`",
        [
            "everything holds",
            "something is broken; the deployment has another fingerprint than was expected",
            "an argument is wrong; the deployment file, an opening or a receipt is missing, \
             malformed or open to others; a folder given holds none of its kind; the saved headers \
             are malformed or cannot be written; `page`: the file is there already, \
             the batch has not settled, or is too large for one",
            "the chain or a batch file is not reachable",
            "",
        ],
    ),
    (
        "`prover`",
        [
            "done; the answer is yes",
            "the answer is no; a file is malformed; a file or key cannot be made",
            "an argument is wrong",
            "a file to read is not there",
            "",
        ],
    ),
    (
        "`prover worker`",
        [
            "stopped by SIGINT or SIGTERM; the key is shown",
            "it cannot run: no thread, no certificate of the authority",
            "an argument, the file of the secret or of the login is wrong",
            "the program `prover-worker` is not beside it",
            "a second signal, in the middle of a proof",
        ],
    ),
    (
        "`loadgen run`",
        [
            "frames were acknowledged, and all that were sent",
            "none was, one has no receipt, or a stream was refused or failed",
            "an argument, assignments, an identity or the ledger's file is wrong",
            "a gateway cannot connect",
            "Ctrl-C",
        ],
    ),
    (
        "`loadgen scenario`",
        [
            "it was played, and every expectation holds; a list or a file is printed",
            "an expectation does not hold",
            "an argument, the scenario, assignments, an identity or a report's file is wrong",
            "a gateway cannot connect",
            "Ctrl-C",
        ],
    ),
    (
        "`loadgen idle`",
        [
            "every connection was welcomed and stayed",
            "a connection went",
            "an argument or an identity is wrong, or the process is not there",
            "the node welcomes fewer",
            "",
        ],
    ),
    (
        "`loadgen verify`",
        [
            "everything in the ledger is durable",
            "a frame is lost",
            "an argument, the ledger or an identity is missing or malformed",
            "a gateway cannot connect, or the node does not open one of its streams",
            "",
        ],
    ),
    ("every program", ["`--help`", "", "the arguments do not parse", "", ""]),
];

/// Programs that end with 5, and when.
const NOT_COMPARED: [(&str, &str); 3] = [
    (
        "`sequencer journal check`, `recover`, `convert`",
        "`check`, `recover`: the journal holds, and the witness beside it is missing",
    ),
    (
        "`vitals`",
        "`receipt check`: the signature holds, and the receipt is not compared with what is \
         settled; `log`: it holds, and of the wallet's copy, receipts or released frames some were \
         compared with nothing, as the last line says",
    ),
    (
        "`auditor`",
        "everything holds, and of the openings, receipts or released frames that were given some \
         were compared with nothing, as the verdict says; of `--bundle` and `--study`, the headers \
         were",
    ),
];

const INTRODUCTION: &str = "\
# Codes

Generated by `UPDATE=1 cargo test --release -p sequencer --test main codes` from the tables that the
programs answer from; what each program ends with is listed by hand in that test. Every code that a
person can meet, what it means and what to do about it.
";

/// Who meets a code, where, and the headings that explain it.
const MET: [(&str, &str, &[&str]); 8] = [
    ("gateway, wallet, practitioner", "`vitals`, the wire, metrics", &["Reject codes"]),
    ("anybody at a shell", "`$?` of every program", &["Exit codes"]),
    (
        "patient, operator, auditor",
        "refusals in the journal, `vitals log`, `auditor`, metrics",
        &["Rules of operations", "Rules of claims"],
    ),
    (
        "operator",
        "the log, `/healthz`, `/readyz`, exit code 1 of `sequencer run`",
        &["Failed stages", "Degraded stages"],
    ),
    ("operator, auditor", "HTTP of the node", &["HTTP"]),
    ("operator", "`sequencer org`, `device`, `identity`, `tune`, `drain`", &["Admin socket"]),
    ("operator", "`sequencer deploy`, the stage `settlement`", &["Contract"]),
    ("developer", "JSON-RPC", &["Embedded chain", "Refused transactions"]),
];

fn way_finder() -> String {
    let rows = MET.map(|(who, place, headings)| {
        let link =
            |heading: &&str| format!("[{heading}](#{})", heading.to_lowercase().replace(' ', "-"));
        let links: Vec<_> = headings.iter().map(link).collect();
        [who.to_owned(), place.to_owned(), links.join(", ")]
    });
    section("Who meets what", "", ["who", "where", "section"], rows)
}

#[test]
fn codes_page_lists_what_the_programs_answer() {
    let page = [
        INTRODUCTION.to_owned(),
        way_finder(),
        reject_codes(),
        exit_codes(),
        operation_rules(),
        claim_rules(),
        failed_stages(),
        degraded_stages(),
        doors("HTTP", "Of the node's HTTP service; `error` of the JSON answer.", HTTP),
        doors("Admin socket", "Of the owner-only socket; `error` of the JSON answer.", ADMIN),
        contract_errors(),
        chain_codes(),
        chain_refusals(),
    ];
    let page = page.join("\n");
    pinned::check("docs/codes.md", &page);
}

/// A section: heading, a sentence, and a table.
fn section<const N: usize>(
    heading: &str,
    said: &str,
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let said = if said.is_empty() { String::new() } else { format!("{said}\n\n") };
    format!("## {heading}\n{said}") + &table(columns, rows)
}

fn table<const N: usize>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = format!("| {} |\n", columns.join(" | "));
    text += &format!("|{}\n", " --- |".repeat(N));
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

fn reject_codes() -> String {
    let said = "What a peer is told, on the wire and by `vitals`. *Retry*: trying again can \
                succeed; *do* says how.";
    let columns = ["code", "name", "means", "retry", "do"];
    let rows = RejectCode::ALL.iter().map(|code| {
        let retry = if code.retry() { "yes" } else { "no" };
        let (name, number) = (format!("{code:?}"), code.number().to_string());
        [number, name, code.meaning().into(), retry.into(), code.remedy().into()]
    });
    section("Reject codes", said, columns, rows)
}

fn exit_codes() -> String {
    let said = "The six numbers, then what each program gives them for; those of the node's own \
                commands are given in [`node.rs`](../src/cli/node.rs#run). 101 is a panic (Rust's \
                own number).";
    let rows = ExitCode::ALL.map(|exit| {
        let (name, means, remedy) = (format!("{exit:?}"), exit.meaning(), exit.remedy());
        [exit.number().to_string(), name, means.into(), remedy.into()]
    });
    let codes = section("Exit codes", said, ["code", "name", "means", "do"], rows);
    let programs = EXITS.map(|(program, ends)| {
        let [ok, failed, usage, unavailable, interrupted] = ends.map(str::to_owned);
        let not_compared = NOT_COMPARED.iter().find(|(of, _)| *of == program);
        let not_compared = not_compared.map(|(_, when)| (*when).to_owned()).unwrap_or_default();
        [program.to_owned(), ok, failed, usage, unavailable, interrupted, not_compared]
    });
    let columns = ["program", "0", "1", "2", "3", "4", "5"];
    codes + "\n" + &table(columns, programs)
}

fn operation_rules() -> String {
    let said = "Rules that a signed change of a record keeps (`circuits/SPEC.md`, section 9). An \
                operation that breaks one is refused and journaled as a refusal, with reject code \
                16 for C1.4 and C1.5, 14 for C1.6, 13 for C1.7, C1.8 and C1.27, else 15.";
    section("Rules of operations", said, ["rule", "says", "do"], rules(1))
}

fn claim_rules() -> String {
    let said = "Rules that a collection or an access keeps (`circuits/SPEC.md`, section 10). A \
                requester learns only that it was refused; the rule stands in the node's log and \
                metrics, the reason in its journal. A refused request is no claim: `vitals log` \
                shows it first, as the operator's word.";
    section("Rules of claims", said, ["rule", "says", "do"], rules(2))
}

fn rules(statement: u8) -> impl Iterator<Item = [String; 3]> {
    let own = RULES.iter().filter(move |rule| rule.number.statement == statement);
    own.map(|rule| [rule.number.to_string(), rule.sentence.into(), rule.remedy.into()])
}

fn failed_stages() -> String {
    let said = "The log says `a stage failed` with the causes, `/healthz` answers 503, and the \
                process stops in order and ends with exit code 1.";
    let rows = Stage::ALL
        .map(|stage| [stage.name().into(), stage.meaning().into(), stage.what_to_do().into()]);
    section("Failed stages", said, ["stage", "means", "do"], rows)
}

fn degraded_stages() -> String {
    let said = "A stage that runs and does not get on: the log says `a stage is degraded` with the \
                causes, `/readyz` answers 503 `stage-degraded`, `vitals_stage_degraded` is 1. \
                `/healthz` stays 200: collection, journal, receipts and accesses go on, and the \
                stage tries again by itself, `proving` after 5 s to 10 min, `settlement` after \
                `retry_first_ms` to `retry_max_ms` or after `refused_retry_ms`.";
    let rows = Cause::ALL
        .map(|cause| [cause.name().into(), cause.meaning().into(), cause.what_to_do().into()]);
    section("Degraded stages", said, ["cause", "means", "do"], rows)
}

fn doors(heading: &str, said: &str, answers: &[Unserved]) -> String {
    let rows = answers.iter().map(|answer| {
        let requests: Vec<_> = answer.requests.iter().map(|one| format!("`{one}`")).collect();
        let status = match answer.status {
            0 => String::from("-"),
            status => status.to_string(),
        };
        let (means, remedy) = (answer.meaning.to_owned(), answer.what_to_do.to_owned());
        [requests.join(", "), status, answer.code.to_owned(), means, remedy]
    });
    section(heading, said, ["request", "status", "error", "means", "do"], rows)
}

fn contract_errors() -> String {
    let said = "Custom errors of the settlement contract. A refusal while settling degrades the \
                stage `settlement` (`refused`) and is tried again every `refused_retry_ms`; \
                `WindowNotOver` is waited for.";
    let rows = l1_contracts::errors::ALL.iter().map(|error| {
        let ContractError { signature, selector, meaning, remedy, .. } = *error;
        let selector = format!("`0x{}`", hex::encode(selector));
        [format!("`{signature}`"), selector, meaning.into(), remedy.into()]
    });
    section("Contract", said, ["error", "selector", "means", "do"], rows)
}

fn chain_codes() -> String {
    let said = "Of the embedded development chain's JSON-RPC. A body above 2 MiB is answered with \
                HTTP status 413 and no JSON.";
    let rows = devchain::CODES.iter().map(|row| {
        let RpcCode { code, meaning, remedy } = *row;
        [code.to_string(), meaning.into(), remedy.into()]
    });
    section("Embedded chain", said, ["code", "means", "do"], rows)
}

fn chain_refusals() -> String {
    let said = "How the message of a refused transaction (code -32000) begins.";
    let rows = devchain::REFUSALS.iter().map(|row| [row.begin.into(), row.remedy.into()]);
    section("Refused transactions", said, ["message begins", "do"], rows)
}

#[test]
fn a_journal_of_the_first_version_is_refused_in_the_words_of_everything_else() {
    // The journal has no edge to the model, so it has the sentence once more.
    assert_eq!(journal::FIRST_VERSION, model::FIRST_VERSION);
}
