//! Each layer against arkworks.

#![cfg(target_arch = "x86_64")]

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{BigInt, PrimeField, UniformRand, Zero};
use ark_std::rand::{Rng, SeedableRng, rngs::StdRng};

use crate::addition::{Added, Gathered, Lined, Passes, Step, copy};
use crate::buckets::{Segments, Workers};
use crate::field::{Below, Fq as KernelFq, Numbers, Raw, Wide};
use crate::multiexp::{Curve, Digits, G1, G2, Points, Table, Windows};
use crate::points::{Coordinate, Lanes, Memory};
use crate::transform::Quotients;
use crate::turns::TURNS;
use crate::{FEATURES, Ifma};

/// The token, or `None` with a line that says what was not tested.
fn cpu() -> Option<Ifma> {
    Ifma::detect().inspect_err(|missing| eprintln!("not tested: {missing}")).ok()
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

#[test]
fn what_a_processor_lacks_is_named() {
    let missing = crate::Missing { features: vec!["avx512ifma"] }.to_string();
    assert!(missing.contains(FEATURES[0]) && missing.ends_with("lacks avx512ifma"), "{missing}");
}

/// Numbers at the ends of their range, and others.
fn numbers(rng: &mut StdRng) -> [Fq; 8] {
    let minus = |n: u64| -Fq::from(n);
    let sparse = Fq::from(BigInt::new([0, 0, 1, 0]));
    let (a, b) = (Fq::rand(rng), Fq::rand(rng));
    [Fq::zero(), Fq::from(1), minus(1), minus(2), sparse, -sparse, a, b]
}

fn lanes<const N: u32>(cpu: Ifma, numbers: [Fq; 8], multiple: u64) -> Below<KernelFq, N> {
    // Further from zero by a multiple of p, which is another form of the same number.
    Below::from_words(
        cpu,
        numbers.map(|number| {
            let mut words = BigInt::new(KernelFq::to_kernel(number));
            for _ in 0..multiple {
                ark_ff::BigInteger::add_with_carry(&mut words, &Fq::MODULUS);
            }
            words.0
        }),
    )
}

fn read<const N: u32>(cpu: Ifma, lanes: Below<KernelFq, N>) -> [Fq; 8] {
    lanes.to_words(cpu).map(KernelFq::from_kernel)
}

#[test]
fn eight_numbers_at_once_are_the_numbers_one_by_one() {
    let Some(cpu) = cpu() else { return };
    let mut rng = rng();
    for round in 0..200 {
        let (a, mut b) = (numbers(&mut rng), numbers(&mut rng));
        b.rotate_left(round % 8);
        let each = |f: &dyn Fn(Fq, Fq) -> Fq| std::array::from_fn::<Fq, 8, _>(|i| f(a[i], b[i]));
        let (near_a, near_b) = (lanes::<2>(cpu, a, 1), lanes::<2>(cpu, b, 1));
        assert_eq!(read(cpu, near_a.mul(cpu, near_b)), each(&|a, b| a * b));
        assert_eq!(read(cpu, near_a.square(cpu)), each(&|a, _| a * a));
        let (far_a, far_b) = (lanes::<4>(cpu, a, 3), lanes::<4>(cpu, b, 2));
        assert_eq!(read(cpu, far_a.mul(cpu, far_b)), each(&|a, b| a * b));
        let product: Wide<KernelFq, 4> = near_a.wide(cpu, near_b);
        let square: Wide<KernelFq, 4> = near_a.wide(cpu, near_a);
        let twice: Wide<KernelFq, 8> = product.minus(cpu, square);
        assert_eq!(read(cpu, twice.reduce(cpu)), each(&|a, b| a * b - a * a));
        assert_eq!(read(cpu, product.less(cpu, product).reduce(cpu)), [Fq::zero(); 8]);
        let sum: Raw<KernelFq, 4> = near_a.raw().plus(cpu, near_b);
        assert_eq!(read(cpu, sum.carry(cpu)), each(&|a, b| a + b));
        assert_eq!(read(cpu, sum.reduce(cpu)), each(&|a, b| a + b));
        let less: Raw<KernelFq, 4> = near_a.raw().minus(cpu, near_b);
        assert_eq!(read(cpu, less.carry(cpu)), each(&|a, b| a - b));
        let less: Raw<KernelFq, 6> = less.minus(cpu, near_b);
        let reduced = less.reduce(cpu);
        assert_eq!(read(cpu, reduced), each(&|a, b| a - b - b));
        // The bound that the type states, and a tighter one that the reduction keeps.
        for words in reduced.to_words(cpu) {
            let mut most = Fq::MODULUS;
            ark_ff::BigInteger::mul2(&mut most);
            assert!(BigInt::new(words) < most, "{words:x?}");
        }
        let zero: Raw<KernelFq, 4> = near_a.raw().minus(cpu, near_a);
        assert_eq!(zero.carry(cpu).is_zero(cpu), u8::MAX);
        let expected = (0..8).fold(0, |mask, i| mask | u8::from(a[i].is_zero()) << i);
        assert_eq!(near_a.is_zero(cpu), expected);
        assert_eq!(lanes::<2>(cpu, a, 0).is_zero_exactly(cpu), expected);
    }
}

/// Points whose sums meet every case: distinct, equal, opposite, infinite.
fn odd_points<C: Curve>(rng: &mut StdRng, count: usize) -> Vec<C::Affine> {
    let few: Vec<C::Affine> =
        (0..3).map(|_| (C::Group::generator() * Fr::rand(rng)).into_affine()).collect();
    (0..count)
        .map(|_| match rng.gen_range(0..8) {
            0 => C::Affine::zero(),
            1 | 2 => few[rng.gen_range(0..3)],
            3 => (-few[rng.gen_range(0..3)].into_group()).into_affine(),
            _ => (C::Group::generator() * Fr::rand(rng)).into_affine(),
        })
        .collect()
}

fn check_additions<C: Curve>(infinite: bool) {
    let Some(cpu) = cpu() else { return };
    let mut rng = rng();
    for _ in 0..5 {
        let mut points = odd_points::<C>(&mut rng, 60);
        if !infinite {
            points.retain(|point| !point.is_zero());
        }
        let stored: Vec<C::Stored> = points.iter().map(C::store).collect();
        // No multiple of what passes take at a time.
        let count = 13;
        let pick = |rng: &mut StdRng| -> Vec<[u32; 8]> {
            let reference = |rng: &mut StdRng| rng.gen_range(0..2 * points.len() as u32);
            (0..count).map(|_| std::array::from_fn(|_| reference(rng))).collect()
        };
        let (left, right) = (pick(&mut rng), pick(&mut rng));
        let masks = [0, 0, 0b1010_0001, u8::MAX];
        let steps: Vec<Step> = (0..count)
            .map(|step| Step { into: (count - 1 - step) as u32, alone: masks[step % 4] })
            .collect();
        let point = |reference: u32| {
            let point = points[(reference >> 1) as usize].into_group();
            if reference & 1 == 1 { -point } else { point }
        };
        let expected = |step: usize, lane: usize| {
            let left = point(left[step][lane]);
            let alone = steps[step].alone >> lane & 1 == 1;
            if alone { left } else { left + point(right[step][lane]) }.into_affine()
        };
        let check = |sums: &[Lanes<C::Coordinate>]| {
            let mut any = false;
            for (step, Step { into, .. }) in steps.iter().enumerate() {
                let mut found = [C::Stored::INFINITY; 8];
                C::save(cpu, sums[*into as usize], &mut found);
                for (lane, found) in found.iter().enumerate() {
                    assert_eq!(C::restore(found), expected(step, lane), "step {step}, lane {lane}");
                }
                any |= found.contains(&C::Stored::INFINITY);
            }
            any
        };
        let zero = Lanes { x: C::Coordinate::zero(cpu), y: C::Coordinate::zero(cpu) };
        let source = Gathered::<C> { points: &stored, left: &left, right: &right };
        let mut sums = vec![zero; count];
        let found =
            Passes::<C>::default().add(cpu, Added { source, steps: &steps, infinite }, &mut sums);
        assert!(!check(&sums) || found, "a sum is infinite");

        // The same points in their lanes.
        let mut lined = vec![zero; 2 * count];
        let left_at: Vec<u32> = (0..count as u32).collect();
        let right_at: Vec<u32> = (count as u32..2 * count as u32).collect();
        let only = |left| Gathered::<C> { points: &stored, left, right: &[] };
        copy(cpu, only(&left), &left_at, &mut lined);
        copy(cpu, only(&right), &right_at, &mut lined);
        let places: Vec<[u32; 2]> =
            left_at.iter().zip(&right_at).map(|(left, right)| [*left, *right]).collect();
        let source = Lined::<C> { points: &lined, places: &places };
        let mut again = vec![zero; count];
        let found =
            Passes::<C>::default().add(cpu, Added { source, steps: &steps, infinite }, &mut again);
        assert!(!check(&again) || found, "a sum is infinite");
    }
}

#[test]
fn points_of_g1_are_added_whatever_they_are() {
    check_additions::<G1>(true);
    check_additions::<G1>(false);
}

#[test]
fn points_of_g2_are_added_whatever_they_are() {
    check_additions::<G2>(true);
    check_additions::<G2>(false);
}

fn expected<C: Curve>(points: &[C::Affine], scalars: &[Fr]) -> C::Affine {
    points
        .iter()
        .zip(scalars)
        .map(|(point, scalar)| *point * scalar)
        .sum::<C::Group>()
        .into_affine()
}

fn check_sums<C: Curve>(points: &[C::Affine], scalars: &[Fr], bits: u32) {
    let Some(cpu) = cpu() else { return };
    let numbers: Vec<BigInt<4>> = scalars.iter().map(|scalar| scalar.into_bigint()).collect();
    let expected = expected::<C>(points, scalars);
    let sum = Points::<C>::new(cpu, points).sum(&Digits::sort(&numbers, bits, Windows::Apart));
    assert_eq!(sum.into_affine(), expected);
    let table = Table::<C>::build(cpu, points, bits, &|| true).unwrap();
    let digits = Digits::sort(&numbers, bits, Windows::Merged);
    assert_eq!(table.sum(&digits).into_affine(), expected);
    let mut bytes = Vec::new();
    table.write(&mut bytes).unwrap();
    assert_eq!(bytes.len(), Table::<C>::size(points.len(), bits));
    let read = Table::<C>::read(cpu, points, bits, &mut &bytes[..]).unwrap();
    assert_eq!(read.sum(&digits).into_affine(), expected);
}

fn check_all_sums<C: Curve>() {
    let mut rng = rng();
    let points = odd_points::<C>(&mut rng, 300);
    let one = points.iter().find(|point| !point.is_zero()).copied().unwrap();
    let random: Vec<Fr> = (0..300).map(|_| Fr::rand(&mut rng)).collect();
    let ends = [Fr::zero(), Fr::from(1), -Fr::from(1), -Fr::from(2), Fr::from(1u64 << 12)];
    let mixed: Vec<Fr> = (0..300).map(|i| ends[i % 5]).collect();
    for (bits, scalars) in [(2, &random), (7, &random), (13, &random), (7, &mixed), (13, &mixed)] {
        check_sums::<C>(&points, scalars, bits);
        // The same point throughout: each bucket doubles, and cancels with the opposite.
        check_sums::<C>(&[one; 300], scalars, bits);
    }
    check_sums::<C>(&points, &[random[0]; 300], 7);
    check_sums::<C>(&[C::Affine::zero(); 4], &random[..4], 7);
    check_sums::<C>(&points[..1], &random[..1], 7);
    check_sums::<C>(&[], &[], 7);
    // One bucket, whose sum is infinite half way and in the end.
    let both = [one, (-one.into_group()).into_affine()];
    let cancelling: Vec<C::Affine> = (0..300).map(|i| both[i % 2]).collect();
    check_sums::<C>(&cancelling, &[Fr::from(3); 300], 7);
}

#[test]
fn sums_in_g1_are_arkworks_whatever_points_and_scalars() {
    check_all_sums::<G1>();
}

#[test]
fn sums_in_g2_are_arkworks_whatever_points_and_scalars() {
    check_all_sums::<G2>();
}

/// How often a thread gives way while it adds points into buckets, how many additions that is, and
/// how often it does in a quotient.
fn turns(cpu: Ifma, is_told: bool) -> [usize; 3] {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let mut rng = rng();
        let scalars: Vec<Fr> = (0..2048).map(|_| Fr::rand(&mut rng)).collect();
        let numbers: Vec<_> = scalars.iter().map(|scalar| scalar.into_bigint()).collect();
        let points = vec![G1::store(&G1Affine::generator()); scalars.len()];
        // Before it is told: what sorts gives way, too.
        let Digits { references, starts, .. } = &Digits::sort(&numbers, 7, Windows::Apart);
        if is_told {
            crate::set_gives_way();
        }
        let segments = Segments { points: &points, references, starts, infinite: false };
        let sums = Workers::<G1>::default().sum(cpu, segments);
        assert_eq!(sums.len(), starts.len() - 1);
        let in_sums = TURNS.get();
        let quotients = Quotients::new(cpu, scalars.len()).unwrap();
        assert_eq!(quotients.quotient(&scalars, &scalars).len(), scalars.len());
        [in_sums, references.len(), TURNS.get() - in_sums]
    })
}

#[test]
fn a_thread_that_is_told_to_gives_way_between_parts_and_no_other_does() {
    let Some(cpu) = cpu() else { return };
    let [in_sums, _, in_quotient] = turns(cpu, false);
    assert_eq!((in_sums, in_quotient), (0, 0));
    let [in_sums, additions, in_quotient] = turns(cpu, true);
    // A block of 4,096 is one part.
    assert!(in_sums >= additions / 4096, "{in_sums} turns in {additions} additions");
    // Three transforms there and back, each with its zeros, spread and gather.
    assert!(in_quotient >= 3 * 3, "{in_quotient} turns in a quotient");
}

#[test]
fn a_table_is_built_for_its_own_points_and_only_while_it_is_wanted() {
    let Some(cpu) = cpu() else { return };
    let points: Vec<G1Affine> = (0..9).map(|_| G1Affine::rand(&mut rng())).collect();
    let left = std::cell::Cell::new(3);
    let go_on = || left.replace(left.get() - 1) > 0;
    assert!(Table::<G1>::build(cpu, &points, 10, &go_on).is_none());
    assert_eq!(left.get(), -1, "it stops at the first no");

    let mut bytes = Vec::new();
    Table::<G1>::build(cpu, &points, 10, &|| true).unwrap().write(&mut bytes).unwrap();
    let read = |points: &[G1Affine], bytes: &[u8]| {
        Table::<G1>::read(cpu, points, 10, &mut &bytes[..]).map(|_| ()).unwrap_err().kind()
    };
    let cut = &bytes[..bytes.len() - 1];
    assert_eq!(read(&points, cut), std::io::ErrorKind::UnexpectedEof);
    let others = [&points[..8], &[-points[8]]].concat();
    assert_eq!(read(&others, &bytes), std::io::ErrorKind::InvalidData);
}

#[test]
fn long_segments_are_cut() {
    let mut rng = rng();
    // More than a block in one bucket, some of it cancelling.
    let points = odd_points::<G1>(&mut rng, 20_000);
    check_sums::<G1>(&points, &vec![Fr::from(1); 20_000], 13);
}

#[test]
fn points_come_back_from_memory() {
    let mut rng = rng();
    for _ in 0..20 {
        let point = G1Affine::rand(&mut rng);
        assert_eq!(G1::restore(&G1::store(&point)), point);
        let point = G2Affine::rand(&mut rng);
        assert_eq!(G2::restore(&G2::store(&point)), point);
    }
    let zero = Fq2::zero();
    assert!(zero.is_zero() && G2::restore(&G2::store(&G2Affine::zero())).is_zero());
    assert!(G1::restore(&Memory::INFINITY).is_zero());
}

#[test]
fn quotients_are_arkworks() {
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
    let Some(cpu) = cpu() else { return };
    let mut rng = rng();
    for bits in [6, 7, 8, 9, 12, 15] {
        let size = 1usize << bits;
        let domain = Radix2EvaluationDomain::<Fr>::new(size).unwrap();
        let a: Vec<Fr> = (0..size).map(|_| Fr::rand(&mut rng)).collect();
        // Fewer rows than the domain has, and numbers at the end of the range.
        let b: Vec<Fr> = (0..size - 9)
            .map(|i| if i % 3 == 0 { -Fr::from(1) } else { Fr::rand(&mut rng) })
            .collect();
        let odd = domain
            .get_coset(<Fr as ark_ff::FftField>::get_root_of_unity(2 * size as u64).unwrap())
            .unwrap();
        let mut all = [a.clone(), b.clone(), a.iter().zip(&b).map(|(a, b)| *a * b).collect()];
        for values in &mut all {
            domain.ifft_in_place(values);
            odd.fft_in_place(values);
        }
        let [x, y, z] = all;
        let expected = (0..size).map(|i| (x[i] * y[i] - z[i]).into_bigint());
        let found = Quotients::new(cpu, size).unwrap().quotient(&a, &b);
        assert!(found.iter().copied().eq(expected), "size {size}");
    }
}

#[test]
fn a_point_of_no_curve_gives_a_wrong_sum_and_no_panic() {
    let Some(cpu) = cpu() else { return };
    // Of order two, if it were on the curve: its tangent is upright.
    let damaged = G1Affine::new_unchecked(Fq::from(3), Fq::zero());
    let points = [G1::store(&damaged)];
    let source = Gathered::<G1> { points: &points, left: &[[0; 8]], right: &[[0; 8]] };
    let mut sums = [Lanes { x: Coordinate::zero(cpu), y: Coordinate::zero(cpu) }];
    let added = Added { source, steps: &[Step { into: 0, alone: 0 }], infinite: false };
    Passes::<G1>::default().add(cpu, added, &mut sums);
}
