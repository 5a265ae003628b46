//! One chunk: learning the rows, the native check, the assignment, the proof (with its
//! verification). `VITALS_BENCH_SHAPES=c1-17,c2-17` measures the production shapes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::chunks::Honest;
use benches::machine;
use circuits::shapes::{SHAPES, Shape};
use criterion::{Criterion, criterion_group, criterion_main};
use prover::{Blinding, Choice, ProvingKey};
use rand::rngs::OsRng;

const SHAPES_VARIABLE: &str = "VITALS_BENCH_SHAPES";

/// The shapes asked for; those for tests unless any is.
fn shapes() -> Vec<&'static Shape> {
    let Ok(names) = std::env::var(SHAPES_VARIABLE) else {
        return SHAPES.iter().filter(|shape| shape.test_only).collect();
    };
    let named = |name: &str| {
        let known: Vec<_> = SHAPES.iter().map(|shape| shape.name).collect();
        let shape = Shape::named(name.trim());
        shape.unwrap_or_else(|| panic!("{SHAPES_VARIABLE}: expected some of {known:?}"))
    };
    names.split(',').map(named).collect()
}

fn prove(criterion: &mut Criterion) {
    eprintln!("{}", machine());
    for shape in shapes() {
        let honest = Honest::filling(shape);
        let rows = shape.matrices();
        let key = ProvingKey::dev_insecure(&rows).expect("a key for a shape of the table");
        eprintln!("{}: {} constraints, development key", shape.name, key.constraints());
        let key = Arc::new(key);
        let choices = [Choice::Accelerated, Choice::Portable];
        let engines = choices.map(|choice| choice.open(key.clone()));
        let assignment = shape.assign(honest.statement()).expect("a chunk of the shape");

        let mut group = criterion.benchmark_group(format!("prove/{}", shape.name));
        group.sample_size(10).measurement_time(Duration::from_secs(5));
        group.bench_function("synthesise", |b| b.iter(|| black_box(shape.matrices())));
        group.bench_function("native-check", |b| b.iter(|| honest.check()));
        group.bench_function("assign", |b| {
            b.iter(|| black_box(shape.assign(honest.statement())).is_ok());
        });
        for engine in engines {
            let Ok(engine) = engine.inspect_err(|missing| eprintln!("not measured: {missing}"))
            else {
                continue;
            };
            group.bench_function(format!("prove-{}", engine.name()), |b| {
                b.iter(|| {
                    let proof = engine.prove(&assignment, &Blinding::draw(&mut OsRng));
                    black_box(proof.expect("the honest chunk is proven"))
                });
            });
        }
        group.finish();
    }
    eprintln!("{}", machine());
}

criterion_group!(benches, prove);
criterion_main!(benches);
