//! A small circuit with its assignment, for the tests of this crate.

use ark_bn254::Fr;
use prover::r1cs::{Assignment, R1cs, Row};

/// A chain `w[i+1] = w[i] * (w[i] + i)` of `rows - 2` links with the public inputs `w[0] + w[1]` and
/// `w[last]`. The last two columns do not occur in B.
pub(crate) fn chain(rows: usize, seed: u64) -> (R1cs, Assignment) {
    let links = rows - 2;
    let one = Fr::from(1);
    let column = |link: usize| (one, 3 + link as u32);
    let mut w = vec![Fr::from(seed)];
    let (mut a, mut b, mut c): (Vec<Row>, Vec<Row>, Vec<Row>) = Default::default();
    for link in 0..links {
        let constant = Fr::from(link as u64);
        w.push(w[link] * (w[link] + constant));
        a.push(vec![column(link)]);
        b.push(if link == 0 { vec![column(link)] } else { vec![(constant, 0), column(link)] });
        c.push(vec![column(link + 1)]);
    }
    a.extend([vec![column(0), column(1)], vec![column(links)]]);
    b.extend([vec![(one, 0)], vec![(one, 0)]]);
    c.extend([vec![(one, 1)], vec![(one, 2)]]);
    let instance = vec![one, w[0] + w[1], w[links]];
    let z = [instance.as_slice(), &w].concat();
    let times = |rows: &[Row]| -> Vec<Fr> {
        rows.iter().map(|row| row.iter().map(|(k, at)| *k * z[*at as usize]).sum()).collect()
    };
    let (az, bz, cz) = (times(&a), times(&b), times(&c));
    let r1cs = R1cs { instances: 3, witnesses: w.len(), a, b, c };
    (r1cs, Assignment { instance, witness: w, az, bz, cz })
}
