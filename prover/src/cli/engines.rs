//! `prover engines`.

use clap::Args;
use kernel::{FEATURES, Ifma};
use serde_json::json;

use super::report::{Failure, Report};

#[derive(Args)]
pub(crate) struct Engines {}

impl Engines {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let lacks = Ifma::detect().err().map(|missing| missing.features).unwrap_or_default();
        let (needs, auto) =
            (FEATURES.join(", "), if lacks.is_empty() { "accelerated" } else { "portable" });
        let accelerated = if lacks.is_empty() {
            format!("runs here (needs {needs})")
        } else {
            format!("does not run here: the processor lacks {}", lacks.join(", "))
        };
        let text = format!(
            "accelerated   {accelerated}\n\
             portable      runs everywhere\n\
             auto          {auto}"
        );
        let json = json!({
            "schema": "prover.engines.v1",
            "auto": auto,
            "engines": [
                { "name": "accelerated", "runs": lacks.is_empty(), "needs": FEATURES, "lacks": lacks },
                { "name": "portable", "runs": true, "needs": [], "lacks": [] },
            ],
        });
        Ok(Report { text, json })
    }
}
