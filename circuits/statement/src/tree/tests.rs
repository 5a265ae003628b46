use super::*;
use ark_ff::Field;
use ark_std::{
    UniformRand,
    rand::{Rng, SeedableRng, rngs::StdRng},
};

fn leaves(count: usize, seed: u64) -> Vec<Fr> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..count).map(|_| Fr::rand(&mut rng)).collect()
}

/// The root of a list of `8^depth` leaves, hashed level by level.
fn dense_root(mut nodes: Vec<Fr>) -> Fr {
    while nodes.len() > 1 {
        nodes = nodes.as_chunks::<ARITY>().0.iter().map(node).collect();
    }
    nodes[0]
}

#[test]
fn the_constant_is_the_root_of_the_tree_without_a_record() {
    assert_eq!(Tree::new().root(), EMPTY_ROOT);
}

#[test]
fn the_sparse_root_is_that_of_the_dense_tree() {
    let low: Vec<Fr> = leaves(64, 1);
    let mut tree = Tree::new();
    let numbered: Vec<(u32, Fr)> = (0..).zip(low.iter().copied()).collect();
    tree.set_many(&numbered);
    let mut expected = dense_root(low);
    for empty in &empty_nodes()[2..DEPTH] {
        let mut children = [*empty; ARITY];
        children[0] = expected;
        expected = node(&children);
    }
    assert_eq!(tree.root(), expected);
}

#[test]
fn writing_many_equals_writing_one_after_the_other() {
    let mut rng = StdRng::seed_from_u64(2);
    let (mut many, mut one) = (Tree::new(), Tree::new());
    let batch: Vec<(u32, Fr)> = (0..40)
        .map(|i| (rng.gen_range(0..LEAVES) >> (i % 3 * 8), Fr::rand(&mut rng)))
        .chain([(7, Fr::from(1u8)), (7, Fr::from(2u8))])
        .collect();
    many.set_many(&batch);
    batch.iter().for_each(|(index, leaf)| one.set(*index, *leaf));
    assert_eq!(many.root(), one.root());
    assert_eq!(many.get(7), Fr::from(2u8));
    assert_eq!(many.cap(), one.cap());
    assert_eq!(cap_root(&many.cap()), many.root());
}

#[test]
fn writing_zero_gives_back_the_empty_tree() {
    let mut tree = Tree::new();
    let empty = tree.root();
    tree.set(LEAVES - 1, Fr::ONE);
    assert_ne!(tree.root(), empty);
    tree.set(LEAVES - 1, Fr::ZERO);
    assert_eq!(tree.root(), empty);
    tree.set_many(&[]);
    assert_eq!(tree.root(), empty);
}

#[test]
fn a_path_opens_its_leaf_and_nothing_else() {
    let mut tree = Tree::new();
    let index = 0o7654_3210;
    tree.set_many(&[(index, Fr::from(5u8)), (index ^ 1, Fr::from(6u8)), (3, Fr::from(7u8))]);
    let path = tree.path(index);
    assert!(verify_path(tree.root(), Fr::from(5u8), index, &path));
    assert!(!verify_path(tree.root(), Fr::from(6u8), index, &path));
    assert!(!verify_path(tree.root(), Fr::from(5u8), index ^ 1, &path));
    assert!(!verify_path(tree.root(), Fr::from(5u8), index + LEAVES, &path));
    for level in 0..DEPTH {
        for child in 0..ARITY {
            let mut changed = path;
            changed[level][child] += Fr::ONE;
            assert!(!verify_path(tree.root(), Fr::from(5u8), index, &changed));
        }
    }
    let cap_node = open(Fr::from(5u8), index, &path[..CAP_DEPTH]).expect("opens");
    assert_eq!(cap_node, tree.cap()[index as usize >> (ARITY_BITS * CAP_DEPTH)]);
    assert_eq!(tree.get(index), Fr::from(5u8));
    assert_eq!(tree.get(index + 2), Fr::ZERO);
}

#[test]
fn an_update_gives_the_roots_before_and_after() {
    let mut tree = Tree::new();
    tree.set(9, Fr::from(1u8));
    let (path, before) = (tree.path(10), tree.root());
    tree.set(10, Fr::from(2u8));
    assert_eq!(update(Fr::ZERO, Fr::from(2u8), 10, &path), Some((before, tree.root())));
    assert_eq!(update(Fr::ONE, Fr::from(2u8), 10, &path), None);
}

#[test]
#[should_panic(expected = "a leaf's index has 24 bits")]
fn an_index_of_25_bits_is_refused() {
    Tree::new().set(LEAVES, Fr::ONE);
}

#[test]
fn a_tree_is_made_again_from_the_nodes_above_its_leaves() {
    let mut rng = StdRng::seed_from_u64(5);
    for count in [0, 1, 2, 50] {
        let mut tree = Tree::new();
        let indices: BTreeMap<u32, Fr> =
            (0..count).map(|_| (rng.gen_range(0..LEAVES), Fr::rand(&mut rng))).collect();
        // One after the other, as operations set them.
        indices.iter().for_each(|(index, leaf)| tree.set(*index, *leaf));
        let indices: Vec<u32> = indices.into_keys().collect();
        let mut values = Vec::new();
        tree.save(&indices, |value| values.push(*value));
        let mut next = values.iter().copied();
        let mut again = Tree::restore(&indices, || next.next().ok_or(())).unwrap();
        assert_eq!((again.root(), next.next()), (tree.root(), None));
        for index in indices.iter().copied().chain([7, LEAVES - 1]) {
            assert_eq!(again.path(index), tree.path(index));
        }
        // It goes on as the other one does.
        tree.set(12_345, Fr::ONE);
        again.set(12_345, Fr::ONE);
        assert_eq!((again.root(), again.cap()), (tree.root(), tree.cap()));
        if let Some(short) = values.len().checked_sub(1) {
            let mut next = values[..short].iter().copied();
            assert!(Tree::restore(&indices, || next.next().ok_or(())).is_err());
        }
    }
}
