use super::*;
use crate::gadgets::check::{check, rejected};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use statement::tree::{self as twin, CAP_DEPTH, DEPTH, Path, Tree};

const INDEX: u32 = 0o6543_2107;

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.set_many(&[(INDEX, fr(11)), (INDEX ^ 1, fr(12)), (5, fr(13)), (1 << 22, fr(14))]);
    tree
}

fn fr(value: u64) -> Fr {
    Fr::from(value)
}

fn index_bits(b: &mut Builder, index: u32, levels: usize) -> Vec<Bit> {
    b.private_bits(fr(index.into()), ARITY_BITS * levels)
}

fn open_whole(b: &mut Builder, root: Fr, leaf: Fr, index: u32, path: &Path) {
    let (root, leaf, place) = (b.input(root), b.alloc(leaf), b.input(fr(index.into())));
    let bits = index_bits(b, index, DEPTH);
    b.enforce_equal(&Num::pack(&bits), &place);
    let opened = open(b, &leaf, &bits, path);
    b.rule("root", |b| b.enforce_equal(&opened, &root));
}

#[test]
fn a_leaf_opens_to_the_root_in_the_pinned_number_of_rows() {
    let tree = tree();
    for (index, leaf) in [(INDEX, fr(11)), (5, fr(13)), (6, Fr::ZERO)] {
        let path = tree.path(index);
        assert!(twin::verify_path(tree.root(), leaf, index, &path));
        let (r1cs, _, movable) = check(|b| open_whole(b, tree.root(), leaf, index, &path));
        assert_eq!((r1cs.a.len(), movable), (24 + 1 + DEPTH * 409 + 1, 0));
    }
}

#[test]
fn another_leaf_index_child_or_root_is_rejected() {
    let tree = tree();
    let (root, path) = (tree.root(), tree.path(INDEX));
    rejected(|b| open_whole(b, root, fr(12), INDEX, &path));
    rejected(|b| open_whole(b, root, fr(11), INDEX ^ 1, &path));
    rejected(|b| open_whole(b, root, fr(11), INDEX ^ (1 << 23), &path));
    let other = |b: &mut Builder| open_whole(b, root + Fr::ONE, fr(11), INDEX, &path);
    assert_eq!(rejected(other), "root");
    for level in 0..DEPTH {
        let mut changed = path;
        changed[level][(level + 1) % ARITY] += Fr::ONE;
        rejected(|b| open_whole(b, root, fr(11), INDEX, &changed));
    }
}

#[test]
fn a_leaf_opens_to_its_node_of_the_cap() {
    let tree = tree();
    let path = tree.path(INDEX);
    let (r1cs, _, movable) = check(|b| {
        let cap = tree.cap().map(|node| b.alloc(node));
        let (leaf, root) = (b.alloc(fr(11)), b.input(tree.root()));
        let bits = index_bits(b, INDEX, DEPTH);
        let (low, high) = bits.split_at(ARITY_BITS * CAP_DEPTH);
        let opened = open(b, &leaf, low, &path[..CAP_DEPTH]);
        b.enforce_mux(high, &cap, &opened);
        let above = cap_root(b, &cap);
        b.enforce_equal(&above, &root);
    });
    assert_eq!((r1cs.a.len(), movable), (24 + 6 * 409 + 63 + 9 * 402 + 1, 0));
}

fn update_whole(b: &mut Builder, roots: (Fr, Fr), leaves: (Fr, Fr), path: &Path) {
    let (before, after) = (b.input(roots.0), b.input(roots.1));
    let (old, new) = (b.alloc(leaves.0), b.alloc(leaves.1));
    let bits = index_bits(b, INDEX, DEPTH);
    let (old_root, new_root) = update(b, &old, &new, &bits, path);
    b.rule("before", |b| b.enforce_equal(&old_root, &before));
    b.rule("after", |b| b.enforce_equal(&new_root, &after));
}

#[test]
fn an_update_moves_the_root_as_its_twin_does() {
    let tree = tree();
    let path = tree.path(INDEX);
    for new in [fr(99), fr(11), Fr::ZERO] {
        let leaves = (fr(11), new);
        let roots = twin::update(leaves.0, leaves.1, INDEX, &path).expect("the path opens");
        let (r1cs, _, movable) = check(|b| update_whole(b, roots, leaves, &path));
        assert_eq!((r1cs.a.len(), movable), (24 + DEPTH * 824 + 2, 0));
    }
    let roots = twin::update(fr(11), fr(99), INDEX, &path).expect("the path opens");
    rejected(|b| update_whole(b, roots, (fr(12), fr(99)), &path));
    let before = rejected(|b| update_whole(b, (roots.1, roots.1), (fr(11), fr(99)), &path));
    let after = rejected(|b| update_whole(b, (roots.0, roots.0), (fr(11), fr(99)), &path));
    assert_eq!((before, after), ("before", "after"));
}
