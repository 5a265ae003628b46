//! `vitals receipt`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use client::{Deployment, headers, read_receipt};
use model::{BatchNumber, Position};
use serde_json::{Value, json};
use wire::{Address, SignedReceipt};

use crate::report::{Outcome, Report, Usage};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check who signed a receipt and, with headers, whether what it acknowledges is settled
    ///
    /// For its holder, and for whoever is shown one as evidence.
    ///
    ///   vitals receipt check receipts/00000000000000000012.receipt --identity DIR
    ///   vitals receipt check FILE --signer 0xADDRESS
    #[command(verbatim_doc_comment)]
    Check {
        /// The receipt file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Who must have signed; by default the receipt signer of the identity's deployment
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        signer: Option<Address>,
        /// Folder with deployment.json: chain, contract and signer must be its own
        #[arg(long, env = "VITALS_IDENTITY", value_name = "DIR")]
        identity: Option<PathBuf>,
        /// Headers that an auditor saved
        #[arg(long, value_name = "FILE")]
        headers: Option<PathBuf>,
    },
}

fn address(text: &str) -> Result<Address, String> {
    let mut bytes = [0; 20];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
        .map_err(|_| "expected an address of 20 bytes in hex".to_owned())?;
    Ok(Address(bytes))
}

impl Command {
    pub(crate) fn run(self) -> Outcome {
        let Command::Check { file, signer, identity, headers } = self;
        let receipt = read_receipt(&file).with_context(|| format!("reading {}", file.display()))?;
        let deployment = identity.as_deref().map(Deployment::load).transpose()?;
        let signer = signer.or(deployment.map(|deployment| deployment.receipt_signer));
        let expected = signer.ok_or_else(|| {
            Usage("expected --signer ADDRESS, or --identity DIR that says it".to_owned())
        })?;
        let scope = receipt.receipt.group.scope;
        if deployment.is_some_and(|deployment| deployment.scope != scope) {
            return Ok(report_failure("the receipt is of another chain or contract", &receipt));
        }
        // A wrong signature is a finding with its own report and exit code, not a failure to run.
        if let Err(error) = receipt.verify(expected) {
            return Ok(report_failure(&error.to_string(), &receipt));
        }
        let settlement = match headers {
            None => Settlement::NotAsked,
            Some(path) => {
                let headers = headers::read(&path, scope)?;
                // All that the receipt names is settled once its last entry is.
                match headers::find_settling(&headers, last_position(&receipt)) {
                    Some(header) => Settlement::By(header.number),
                    None => Settlement::NotYet,
                }
            }
        };
        Ok(report_success(&receipt, settlement))
    }
}

/// What headers say of a receipt.
enum Settlement {
    /// None were given.
    NotAsked,
    /// The batch that settles the last of it.
    By(BatchNumber),
    NotYet,
}

/// The last journal position that the receipt names.
fn last_position(receipt: &SignedReceipt) -> Position {
    let items = receipt.receipt.items();
    let frames = items.frames.iter().map(|item| item.positions.1);
    let operations = items.operations.iter().map(|item| item.position);
    let accesses = items.accesses.iter().map(|item| item.position);
    let refusals = items.refusals.iter().map(|item| item.position);
    frames.chain(operations).chain(accesses).chain(refusals).max().unwrap_or_default()
}

fn report_success(receipt: &SignedReceipt, settlement: Settlement) -> Report {
    let mut json = describe(receipt);
    json["holds"] = true.into();
    let mut text = format!("the receipt holds: {}", words(receipt));
    match settlement {
        Settlement::NotAsked => {}
        Settlement::By(BatchNumber(batch)) => {
            text += &format!("\nsettled in batch {batch} or before");
            json["settled_by_batch"] = batch.into();
        }
        Settlement::NotYet => {
            text += "\nnot settled yet by these headers";
            json["settled_by_batch"] = Value::Null;
        }
    }
    Report::success(text, json)
}

fn report_failure(why: &str, receipt: &SignedReceipt) -> Report {
    let mut json = describe(receipt);
    json["holds"] = false.into();
    json["why"] = why.into();
    Report::failure(format!("the receipt does not hold: {why}"), json)
}

fn words(receipt: &SignedReceipt) -> String {
    let (items, group) = (receipt.receipt.items(), receipt.receipt.group.group);
    format!(
        "group {group}, up to journal position {}: {} runs of frames, {} operations, {} accesses, \
         {} refusals",
        last_position(receipt).0,
        items.frames.len(),
        items.operations.len(),
        items.accesses.len(),
        items.refusals.len()
    )
}

fn describe(receipt: &SignedReceipt) -> Value {
    let (items, group) = (receipt.receipt.items(), receipt.receipt.group);
    json!({
        "schema": "vitals-receipt-report-1",
        "chain_id": group.scope.chain_id,
        "contract": format!("0x{}", hex::encode(group.scope.contract)),
        "group": group.group,
        // The key of schema 1, which others may read by name.
        "chain_hash": hex::encode(group.journal_hash),
        "last_position": last_position(receipt).0,
        "frames": items.frames.len(),
        "operations": items.operations.len(),
        "accesses": items.accesses.len(),
        "refusals": items.refusals.len(),
    })
}
