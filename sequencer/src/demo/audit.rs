//! The auditor as a process of its own, on the truth and on a copy with one byte flipped.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use files::Audience;
use serde_json::Value;
use tokio::process::Command;

use super::expect::{DemoError, Step};
use super::options::beside_program;
use super::report::Report;
use crate::node::Node;

/// Audits over HTTP, then a tampered copy of the batch files.
pub(super) async fn audit(node: &Node, dir: &Path, report: &mut Report) -> Result<(), DemoError> {
    let step = Step("audit");
    let program = program(step, report).await?;
    let begun = Instant::now();
    let url = format!("http://{}", node.endpoints().http);
    let (code, found) = verify(step, &program, node, &url).await?;
    report.seconds.audit = begun.elapsed().as_secs_f64();
    step.equal("exit code", Some(0), code)?;
    take(step, &found, report)?;
    let text = format!(
        "OK: {} batches, {} proofs, all roots (own process, chain and public files only)",
        report.batches_settled, report.proofs_verified
    );
    report.line("audit", &text);
    tamper(&program, node, dir, report).await
}

/// The auditor beside this program; built in the open if it is not there.
async fn program(step: Step, report: &Report) -> Result<PathBuf, DemoError> {
    // A process of its own, found as a user would find it: it shares nothing with the node.
    let path = beside_program("auditor")
        .ok_or_else(|| step.failed("the folder of this program", "none"))?;
    if path.exists() {
        return Ok(path);
    }
    // Together with `-p sequencer`, so that cargo chooses the features that are built already.
    let command = "cargo build --release -p sequencer -p auditor";
    report.line("build", command);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "-p", "sequencer", "-p", "auditor"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stdout(Stdio::null())
        .status()
        .await;
    match built {
        Ok(status) if status.success() && path.exists() => Ok(path),
        Ok(status) => Err(step.failed(format!("`{command}` to make {}", path.display()), status)),
        Err(error) => Err(step.failed(format!("to run `{command}`"), error)),
    }
}

async fn verify(
    step: Step,
    program: &Path,
    node: &Node,
    data: &str,
) -> Result<(Option<i32>, Value), DemoError> {
    let output = Command::new(program)
        .args(["verify", "--json", "--rpc", &node.endpoints().rpc, "--data", data])
        .arg("--deployment")
        .arg(node.layout().deployment())
        .stderr(Stdio::piped())
        .output()
        .await;
    let output = step.ok(output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    // The object is the last line, or all of it if it is printed over several.
    let parsed = serde_json::from_str(last).or_else(|_| serde_json::from_str(&text));
    let found = parsed.map_err(|_| {
        step.failed("one JSON object", String::from_utf8_lossy(&output.stderr).trim())
    })?;
    Ok((output.status.code(), found))
}

fn take(step: Step, found: &Value, report: &mut Report) -> Result<(), DemoError> {
    let count = |key: &str| {
        found[key].as_u64().ok_or_else(|| step.failed(format!("a count `{key}`"), &found[key]))
    };
    let verdict = found["verdict"].as_str().unwrap_or_default();
    step.equal("verdict", "holds", verdict)?;
    step.equal("audited batches", report.batches_settled, count("batches")?)?;
    report.proofs_verified = count("proofs_verified")?;
    report.operations = count("operations")?;
    report.claims.access = count("access")?;
    report.claims.collect = count("collect")?;
    report.claims.break_glass = count("break_glass")?;
    step.equal("excluded claims", 0, count("excluded")?)?;
    report.auditor.verdict = verdict.to_owned();
    Ok(())
}

/// Flips one byte of a leaf in a copy of the last batch: the auditor must name it.
async fn tamper(
    program: &Path,
    node: &Node,
    dir: &Path,
    report: &mut Report,
) -> Result<(), DemoError> {
    let step = Step("tamper");
    let copy = dir.join("tampered");
    for number in 1..=report.batches_settled {
        let bytes = step.ok(node.store().public_bytes(model::BatchNumber(number)))?;
        let mut bytes = bytes.ok_or_else(|| step.failed("a stored batch", "none"))?;
        if number == report.batches_settled {
            // The last byte is of the content hash of the last journal group.
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
        }
        let folder = copy.join(format!("{number:06}"));
        step.io(&folder, files::make_folder(&folder, Audience::Owner))?;
        let file = folder.join("public.bin");
        step.io(&file, files::create(&file, &bytes, Audience::Owner))?;
    }
    let (code, found) = verify(step, program, node, &copy.display().to_string()).await?;
    step.equal("exit code", Some(1), code)?;
    let broken = &found["broken"];
    step.equal("broken batch", Some(report.batches_settled), broken["batch"].as_u64())?;
    let text = |key: &str| broken[key].as_str().unwrap_or_default().to_owned();
    let item = text("item");
    if item.is_empty() {
        return Err(step.failed("the name of what is broken", broken));
    }
    report.auditor.first_broken_after_tamper = format!("batch {}: {item}", broken["batch"]);
    let line = format!(
        "one byte flipped in a copy: BROKEN at batch {}, {item} (expected {}, found {})",
        broken["batch"],
        text("expected"),
        text("found")
    );
    report.line("tamper", &line);
    Ok(())
}
