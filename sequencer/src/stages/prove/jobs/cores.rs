//! How many cores a proof gets.

use std::time::Duration;

/// How many cores a proof gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cores {
    One,
    All,
}

/// What a worker finds when it takes a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Company<'a> {
    /// Whether another job is there, or to come soon.
    pub(super) follows: bool,
    /// For how long each other worker of this machine has had its job.
    pub(super) others: &'a [Duration],
    /// How long the last proof of this machine took.
    pub(super) usual: Option<Duration>,
}

/// A proof alone gets all cores, so that it is there soonest; where there are more, each gets one,
/// so that most are there soonest. What a proof does on several cores it does in pieces that wait
/// for each other: with the accelerated engine at 2^17 it took 0.52 CPU seconds on one core and
/// 0.60 on two, at 2^14 0.10 and 0.13 (medians of five, an AMD EPYC with IFMA, two busy cores): a
/// core each makes 15 % more proofs. `cargo run --release -p prover --example cores` measures it
/// anew.
///
/// The last job of all is alone too if the others end long before it. An odd number of chunks on
/// two cores is taken so: one is left when the first ends, and its neighbour ends next. Until then
/// the two share the cores, and from then on the last has both.
pub(super) fn cores(company: Company<'_>) -> Cores {
    let Company { follows, others, usual } = company;
    // By how far they are and not by whether they run: two that begin together end together, and
    // share the cores best with one each. Of two cores, `f` done by the other, the last proof is
    // there after `0.575 + 0.5 (1 - f)` of what it takes on one: sooner from a sixth on. A quarter,
    // because proofs differ.
    let ends_before = |had: &Duration| usual.is_some_and(|usual| *had >= usual / 4);
    match !follows && others.iter().all(ends_before) {
        true => Cores::All,
        false => Cores::One,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_millis(800);

    fn given(follows: bool, others: &[u64]) -> Cores {
        let others: Vec<Duration> = others.iter().copied().map(Duration::from_millis).collect();
        cores(Company { follows, others: &others, usual: Some(USUAL) })
    }

    #[test]
    fn a_proof_alone_gets_all_cores_and_one_that_another_follows_gets_one() {
        assert_eq!(given(false, &[]), Cores::All);
        assert_eq!(given(true, &[]), Cores::One);
        assert_eq!(given(true, &[799]), Cores::One);
    }

    #[test]
    fn the_last_of_an_odd_number_gets_all_cores_and_two_that_begin_together_one_each() {
        assert_eq!(given(false, &[790]), Cores::All, "its neighbour is all but done");
        assert_eq!(given(false, &[200]), Cores::All, "a quarter");
        assert_eq!(given(false, &[199]), Cores::One);
        assert_eq!(given(false, &[0]), Cores::One, "the other half of a pair");
        assert_eq!(given(false, &[790, 3, 780]), Cores::One, "one of three has just begun");
        assert_eq!(given(false, &[790, 795, 780]), Cores::All);
    }

    #[test]
    fn before_the_first_proof_nobody_is_believed_to_end_soon() {
        let hour = [Duration::from_secs(3600)];
        let company = Company { follows: false, others: &hour, usual: None };
        assert_eq!(cores(company), Cores::One);
        assert_eq!(cores(Company { others: &[], ..company }), Cores::All);
    }
}
