//! The rows of every shape are pinned.

use circuits::shapes::{Capacity, SHAPES, Shape};
use serde_json::{Value, json};
use statement::batch::{self, Layout};

const PINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pins/shapes.json");

fn pin(shape: &Shape) -> Value {
    let r1cs = shape.matrices();
    assert_eq!(r1cs.instances, shape.input_count() + 1, "{}", shape.name);
    let columns = r1cs.a.len() + r1cs.instances;
    assert!(columns <= 1 << shape.domain_log2, "{} needs {columns}", shape.name);
    json!({
        "constraints": r1cs.a.len(),
        "witnesses": r1cs.witnesses,
        "inputs": shape.input_count(),
        "density": r1cs.density(),
        "matrices": hex::encode(r1cs.hash()),
    })
}

#[test]
fn every_shape_fits_its_domain_and_has_the_pinned_rows() {
    let found: Value = SHAPES.iter().map(|shape| (shape.name.to_owned(), pin(shape))).collect();
    let found = serde_json::to_string_pretty(&found).expect("JSON") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PINS, &found).expect("the pins can be written");
    }
    let pinned = std::fs::read_to_string(PINS).expect("the pins can be read");
    assert_eq!(found, pinned, "rows moved: UPDATE=1 writes the new pins, the commit says why");
}

/// What does not fit costs proofs: a shape with room for one slot more is not the largest.
#[test]
fn no_production_shape_of_claims_has_room_for_another_slot() {
    for shape in SHAPES.iter().filter(|shape| !shape.test_only) {
        let Capacity::Claims(mut capacity) = shape.capacity else { continue };
        capacity.slots += 1;
        let larger = Shape { capacity: Capacity::Claims(capacity), ..*shape }.matrices();
        let columns = larger.a.len() + larger.instances;
        assert!(columns > 1 << shape.domain_log2, "{} leaves {columns} unused", shape.name);
    }
}

#[test]
fn the_layout_of_each_shape_is_the_one_that_readers_of_batch_files_know() {
    for shape in &SHAPES {
        let expected = match shape.capacity {
            Capacity::Operations(rows) => Layout::Operations(rows),
            Capacity::Claims(capacity) => Layout::Claims(capacity),
        };
        assert_eq!(Layout::of_shape(shape.name), Some(expected), "{}", shape.name);
    }
    assert_eq!(batch::SHAPES.len(), SHAPES.len());
}
