//! `prover shapes`, and the `--shape` of other commands.

use circuits::shapes::{Capacity, SHAPES, Shape};
use clap::Args;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use prover::Setup;
use serde_json::{Value, json};

use super::report::{Failure, Report};

#[derive(Args)]
pub(crate) struct Shapes {}

/// Accepts the names of setups, and lists them in `--help`.
pub(crate) fn setup_parser() -> impl TypedValueParser<Value = Setup> {
    PossibleValuesParser::new(Setup::NAMES)
        .map(|name| name.parse::<Setup>().expect("only names of setups are possible values"))
}

/// Accepts the names of shapes, and lists them in `--help`.
pub(crate) fn parser() -> impl TypedValueParser<Value = &'static Shape> {
    PossibleValuesParser::new(SHAPES.iter().map(|shape| shape.name))
        .map(|name| Shape::named(&name).expect("only names of shapes are possible values"))
}

impl Shapes {
    pub(crate) fn run(self) -> Result<Report, Failure> {
        let lines: Vec<String> = SHAPES.iter().map(line).collect();
        let shapes: Vec<Value> = SHAPES.iter().map(entry).collect();
        let json = json!({ "schema": "prover.shapes.v1", "shapes": shapes });
        Ok(Report { text: lines.join("\n"), json })
    }
}

fn line(shape: &Shape) -> String {
    let purpose = if shape.test_only { "tests only" } else { "production" };
    let holds = match shape.capacity {
        Capacity::Operations(rows) => format!("{rows} operations"),
        Capacity::Claims(claims) => {
            format!("{} slots of {} claims", claims.slots, claims.claims_per_slot)
        }
    };
    format!("{:<10}2^{:<4}{holds}, {purpose}", shape.name, shape.domain_log2)
}

fn entry(shape: &Shape) -> Value {
    let holds = match shape.capacity {
        Capacity::Operations(rows) => json!({ "operations": rows }),
        Capacity::Claims(claims) => {
            json!({ "slots": claims.slots, "claims_per_slot": claims.claims_per_slot })
        }
    };
    json!({
        "name": shape.name,
        "circuit": format!("{:?}", shape.circuit()),
        "capacity": holds,
        "domain_log2": shape.domain_log2,
        "inputs": shape.input_count(),
        "test_only": shape.test_only,
    })
}
