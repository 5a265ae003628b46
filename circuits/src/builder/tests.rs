use super::*;
use crate::gadgets::check::{check, rejected};
use ark_ff::AdditiveGroup;
use zeroize::{Zeroize, ZeroizeOnDrop};

fn fr(value: u64) -> Fr {
    Fr::from(value)
}

/// Every gadget of this module once, on values that steer it either way.
fn logic(b: &mut Builder, x: u64, y: u64) {
    let public = b.input(fr(x));
    let (x_num, y_num) = (b.alloc(fr(x)), b.alloc(fr(y)));
    b.rule("equal", |b| b.enforce_equal(&public, &x_num));
    let bits = b.bits(&x_num, 3);
    let within = b.bit_within(x & y & 1 == 1, &bits[0]);
    let items: Vec<Num> = (0..8).map(|i| &y_num * fr(i) + Num::from(i * i)).collect();
    let chosen = b.mux(&bits, &items);
    b.enforce_mux(&bits, &items, &chosen);
    let hot: Vec<Num> = b.one_hot(&bits).iter().map(Num::from).collect();
    let products: Vec<Num> = hot.iter().zip(&items).map(|(h, item)| b.product(h, item)).collect();
    b.enforce_equal(&Num::sum(&products), &chosen);
    let choice = b.choice(x as usize % 4, 4);
    let same = b.is_zero(&(&x_num - &y_num));
    let both = b.and(&same, &choice[0]);
    let picked = b.select(&same, &x_num, &y_num);
    let positive = picked + Num::pack([&within, &both]) + Num::from(1);
    b.quotient(&Num::one(), &positive);
    b.range(&y_num, 8);
    b.enforce_equal_if(&same, &x_num, &y_num);
    let small = b.private_bits(fr(y), 8);
    let small = Num::pack(&small);
    b.enforce_equal(&small, &y_num);
}

#[test]
fn both_runs_agree_on_every_branch_and_only_idle_inverse_hints_can_move() {
    for (x, y) in [(0, 0), (1, 1), (3, 200), (7, 7), (5, 0), (6, 255), (7, 2)] {
        let (r1cs, _, movable) = check(|b| logic(b, x, y));
        assert_eq!(movable, usize::from(x == y), "one inverse hint, idle where x = y");
        assert_eq!(r1cs.hash(), check(|b| logic(b, 2, 9)).0.hash());
    }
}

#[test]
fn a_violated_row_is_named_by_its_rule() {
    let violated = rejected(|b| {
        let num = b.alloc(fr(3));
        b.rule("outer", |b| {
            let zero = b.alloc(Fr::ZERO);
            b.enforce_zero(&zero);
            b.rule("inner", |b| b.enforce_equal(&num, &Num::from(4)));
        });
    });
    assert_eq!(violated, "inner");
}

#[test]
fn each_gadget_rejects_what_it_forbids() {
    let three = |b: &mut Builder| b.alloc(fr(3));
    rejected(|b| {
        let num = three(b);
        b.to_bit(&num);
    });
    rejected(|b| {
        let num = b.alloc(fr(8));
        b.range(&num, 3);
    });
    rejected(|b| {
        let bound = Bit::constant(false);
        b.bit_within(true, &bound);
    });
    rejected(|b| {
        let zero = b.alloc(Fr::ZERO);
        b.quotient(&Num::one(), &zero);
    });
    rejected(|b| {
        b.choice(4, 4);
    });
    rejected(|b| {
        let (num, bit) = (three(b), b.bit(true));
        b.enforce_mux(&[bit], &[Num::from(3), Num::from(4)], &num);
    });
    rejected(|b| {
        let bit = b.bit(true);
        b.enforce_zero_if(&bit, &Num::from(1));
    });
}

#[test]
fn parallel_parts_build_what_sequential_ones_do() {
    let items: Vec<u64> = (0..20).collect();
    let (_, assignment, _) = check(|b| {
        let base = b.alloc(fr(7));
        let squares = b.each(&items, |b, item| {
            let num = b.alloc(fr(*item));
            let sum = &num + &base;
            b.product(&sum, &sum)
        });
        let total = b.input((0..20u64).map(|i| fr((i + 7) * (i + 7))).sum());
        b.enforce_equal(&Num::sum(&squares), &total);
    });
    assert_eq!(assignment.witness.len(), 41);
}

#[test]
fn combinations_stay_sorted_and_drop_what_cancels() {
    let (r1cs, _, _) = check(|b| {
        let (x, y) = (b.alloc(fr(2)), b.alloc(fr(3)));
        let public = b.input(fr(5));
        let sum = &y + &x - Num::from(5) + (&x - &x) * fr(9);
        b.enforce(&sum, &(&public - Num::from(5)), &Num::zero());
        b.enforce_equal(&(x * fr(3) - y * fr(2)), &Num::zero());
    });
    assert_eq!(r1cs.a[0], [(-fr(5), 0), (fr(1), 2), (fr(1), 3)]);
    assert_eq!(r1cs.b[0], [(-fr(5), 0), (fr(1), 1)]);
    assert_eq!(r1cs.c[0], []);
    assert_eq!(r1cs.a[1], [(fr(3), 2), (-fr(2), 3)]);
    assert_eq!((r1cs.instances, r1cs.witnesses, r1cs.density()), (2, 2, 8));
}

#[test]
fn the_hash_names_the_matrices_and_not_the_values() {
    let circuit = |value: u64, factor: u64| {
        move |b: &mut Builder| {
            let num = b.alloc(fr(value));
            let square = b.alloc(fr(value * value * factor));
            b.enforce(&(&num * fr(factor)), &num, &square);
        }
    };
    let hash = |value, factor| matrices(circuit(value, factor)).0.hash();
    assert_eq!(hash(2, 3), hash(5, 3));
    assert_ne!(hash(2, 3), hash(2, 4));
}

#[test]
fn constants_fold_without_rows() {
    let (r1cs, _, _) = check(|b| {
        let num = b.alloc(fr(6));
        let scaled = b.product(&Num::from(2), &num);
        let constant = b.product(&Num::from(2), &Num::from(6));
        assert!(constant.is_constant() && !scaled.is_constant() && (&num * Fr::ZERO).is_constant());
        b.enforce_equal(&scaled, &constant);
    });
    assert_eq!(r1cs.a.len(), 1);
}

#[test]
fn an_assignment_is_zeroised_by_whoever_drops_it() {
    fn is_zeroised_on_drop<T: ZeroizeOnDrop>() {}
    is_zeroised_on_drop::<Assignment>();
    let mut assignment = witness(|b| {
        let x = b.alloc(fr(7));
        b.product(&x, &x);
    });
    assert!(!assignment.witness.is_empty() && !assignment.cz.is_empty());
    assignment.zeroize();
    let Assignment { instance, witness, az, bz, cz } = &assignment;
    assert_eq!(instance.len(), 1, "public");
    assert!([witness, az, bz, cz].iter().all(|secret| secret.is_empty()));
}

#[test]
fn the_hash_of_a_circuit_is_over_the_scalar_field_its_sizes_and_its_rows() {
    let (r1cs, _) = matrices(|b| {
        let public = b.input(fr(6));
        let two = b.alloc(fr(2));
        b.enforce(&two, &(&two + &Num::one()), &public);
    });
    // The order of the group as EIP-197 writes it: the base field's modulus begins with the same
    // sixteen bytes, and rows are numbers of the other.
    let mut order =
        hex::decode("30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001").unwrap();
    order.reverse();
    let number = |value: u64| value.to_le_bytes().to_vec();
    let cell =
        |factor: u64, column: u32| [&number(factor)[..], &[0; 24], &column.to_le_bytes()].concat();
    let rows = [
        [number(1), cell(1, 2)].concat(),
        [number(2), cell(1, 0), cell(1, 2)].concat(),
        [number(1), cell(1, 1)].concat(),
    ];
    let sizes = [number(2), number(1), number(1)].concat();
    let mut hasher = blake3::Hasher::new_derive_key("vitals r1cs v2");
    hasher.update(&order).update(&sizes).update(&rows.concat());
    assert_eq!(r1cs.hash(), *hasher.finalize().as_bytes());
}
