//! `vitals receipt`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use client::batches::Batches;
use client::{Compared, compare, headers, read_receipt};
use model::{BatchHeader, BatchNumber, ChainScope};
use serde_json::{Value, json};
use wire::{Address, GroupIdentity, SignedReceipt};

use crate::node::{Expected, let_pass, tell_deployment};
use crate::report::{Outcome, Report, Usage};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Check who signed a receipt and whether its journal is the one that was settled
    ///
    /// For its holder, and for whoever is shown one as evidence. The receipt's journal hash is
    /// compared with the settled one only with --headers and --data; without them, or if it is not
    /// settled yet, the command says so and ends with code 5. A receipt that was signed for another
    /// journal than was settled ends with code 1 and shows both hashes: keep it.
    ///
    ///   vitals receipt check receipts/00000000000000000012.receipt --identity DIR \
    ///       --headers headers.json --data http://HOST:PORT
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
        #[command(flatten)]
        expected: Expected,
        /// Headers that an auditor saved
        #[arg(long, value_name = "FILE")]
        headers: Option<PathBuf>,
        /// Batch files: a folder with NNNNNN/public.bin, or `http[s]://HOST[:PORT]`
        #[arg(long, value_name = "DIR|URL", requires = "headers")]
        data: Option<String>,
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
        let Command::Check { file, signer, identity, expected, headers, data } = self;
        let receipt = read_receipt(&file).with_context(|| format!("reading {}", file.display()))?;
        let deployment = identity.as_deref().map(|folder| expected.load(folder)).transpose()?;
        let signer = signer.or(deployment.map(|deployment| deployment.receipt_signer));
        let signer = signer.ok_or_else(|| {
            Usage("expected --signer ADDRESS, or --identity DIR that says it".to_owned())
        })?;
        let scope = receipt.receipt.group.scope;
        let finding = match deployment {
            Some(deployment) if deployment.scope != scope => {
                Finding::Broken("the receipt is of another chain or contract".to_owned())
            }
            // A wrong signature is a finding with its own report and exit code, not a failure to
            // run.
            _ => match receipt.verify(signer) {
                Err(error) => Finding::Broken(error.to_string()),
                Ok(()) => look(&receipt, scope, headers.as_deref(), data.as_deref())?,
            },
        };
        let report = finding.report(&receipt);
        Ok(match deployment {
            Some(deployment) => tell_deployment(deployment.fingerprint, report),
            None => report,
        })
    }
}

/// What was found of a receipt.
enum Finding {
    /// It is no promise of this deployment.
    Broken(String),
    /// It is signed, and no header was given.
    NoHeaders,
    /// It is signed, and its last position is settled by this batch; nothing else was compared.
    ByPosition(BatchNumber),
    /// It is signed, and its last position is later than the headers, or before them.
    OutsideHeaders,
    /// It was compared with batch files.
    Compared(Compared),
}

fn look(
    receipt: &SignedReceipt,
    scope: ChainScope,
    headers_file: Option<&Path>,
    data: Option<&str>,
) -> anyhow::Result<Finding> {
    let Some(path) = headers_file else { return Ok(Finding::NoHeaders) };
    let headers: Vec<BatchHeader> = headers::read(path, scope)?;
    let Some(data) = data else {
        // All that the receipt names is at or before its last entry.
        let last = receipt.receipt.items().last_position();
        let settling = headers::find_settling(&headers, last);
        return Ok(match settling {
            Some(header) => Finding::ByPosition(header.number),
            None => Finding::OutsideHeaders,
        });
    };
    let batches = Batches::parse(data)?;
    Ok(Finding::Compared(compare(&batches, &headers, receipt, &let_pass)?))
}

impl Finding {
    fn report(self, receipt: &SignedReceipt) -> Report {
        let mut json = describe(receipt);
        let says = self.describe_comparison(&mut json);
        let text = format!("{}\n{says}", self.first_line(receipt));
        match self {
            Finding::Broken(why) => {
                json["holds"] = false.into();
                json["why"] = why.into();
                Report::failure(text, json)
            }
            Finding::Compared(Compared::Settled { .. }) => {
                json["holds"] = true.into();
                Report::success(text, json)
            }
            Finding::Compared(Compared::OtherHash { .. } | Compared::Missing { .. }) => {
                json["holds"] = false.into();
                json["why"] = says.into();
                Report::failure(text, json)
            }
            _ => {
                json["holds"] = true.into();
                Report::not_compared(text, json)
            }
        }
    }

    fn first_line(&self, receipt: &SignedReceipt) -> String {
        match self {
            Finding::Broken(why) => format!("the receipt does not hold: {why}"),
            _ => format!("the receipt is signed as expected: {}", words(receipt)),
        }
    }

    /// A sentence for people; for programs a word and what it is about.
    fn describe_comparison(&self, json: &mut Value) -> String {
        let hex = |hash: &[u8; 32]| format!("0x{}", hex::encode(hash));
        let (word, says) = match self {
            Finding::Broken(_) => ("no", "NOT COMPARED with what is settled".to_owned()),
            Finding::NoHeaders => {
                ("no", "NOT COMPARED with what is settled: give --headers and --data".to_owned())
            }
            Finding::ByPosition(BatchNumber(batch)) => {
                json["position_settled_by_batch"] = (*batch).into();
                let says = format!(
                    "NOT COMPARED with what is settled: its positions are those of batch {batch} \
                     or before, but whether its journal is the settled one is not known; give \
                     --data"
                );
                ("no", says)
            }
            Finding::OutsideHeaders | Finding::Compared(Compared::NotSettled) => {
                ("not-settled", "NOT COMPARED: not settled yet by these headers".to_owned())
            }
            Finding::Compared(Compared::BeforeHeaders) => (
                "no",
                "NOT COMPARED: the headers begin at or after its batch; take them from batch 1 on"
                    .to_owned(),
            ),
            Finding::Compared(Compared::Settled { batch }) => {
                json["batch"] = batch.0.into();
                ("settled", format!("settled in batch {}, in the same journal", batch.0))
            }
            Finding::Compared(Compared::Missing { batch }) => {
                json["batch"] = batch.0.into();
                let says = format!(
                    "NOT THE SETTLED JOURNAL: its positions are settled by batch {}, and no batch \
                     has its group; keep the receipt: it is evidence",
                    batch.0
                );
                ("missing", says)
            }
            Finding::Compared(Compared::OtherHash { batch, receipted, settled }) => {
                json["batch"] = batch.0.into();
                json["settled_journal_hash"] = hex(settled).into();
                let says = format!(
                    "NOT THE SETTLED JOURNAL: after its group the receipt has journal hash {}, \
                     batch {} has {}; keep the receipt and the batch file: they are evidence",
                    hex(receipted),
                    batch.0,
                    hex(settled)
                );
                ("other-journal", says)
            }
        };
        json["compared"] = word.into();
        says
    }
}

fn words(receipt: &SignedReceipt) -> String {
    let items = receipt.receipt.items();
    let GroupIdentity { group, term, .. } = receipt.receipt.group;
    format!(
        "group {group} of term {term}, up to journal position {}: {} runs of frames, {} operations, {} accesses, \
         {} refusals",
        receipt.receipt.items().last_position().0,
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
        "term": group.term,
        // The key of schema 1, which others may read by name.
        "chain_hash": hex::encode(group.journal_hash),
        "last_position": receipt.receipt.items().last_position().0,
        "frames": items.frames.len(),
        "operations": items.operations.len(),
        "accesses": items.accesses.len(),
        "refusals": items.refusals.len(),
    })
}
