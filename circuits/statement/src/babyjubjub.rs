//! The curve of circomlib's signatures: `168700 x^2 + y^2 = 1 + 168696 x^2 y^2` over BN254's scalar
//! field (iden3's form of BabyJubJub, EIP-2494).
//!
//! arkworks' `ark-ed-on-bn254` has an isomorphic curve with another generator. Only its scalar
//! field is used here: the integers modulo the order of the large subgroup.

use crate::field::{self, FieldError};
use ark_bn254::Fr;
use ark_ec::{
    AffineRepr, CurveConfig, CurveGroup,
    twisted_edwards::{Affine, MontCurveConfig, Projective, TECurveConfig},
};
use ark_ff::{AdditiveGroup, Field, MontFp, PrimeField};

/// The parameters of the curve. The generator is circomlib's `Base8`, of prime order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BabyJubJub;

/// A point of the curve, not necessarily of the subgroup.
pub type Point = Affine<BabyJubJub>;
/// A point in the coordinates that add without division.
pub type PointSum = Projective<BabyJubJub>;
/// An integer modulo the order `l` of the subgroup.
pub type Scalar = ark_ed_on_bn254::Fr;

impl CurveConfig for BabyJubJub {
    type BaseField = Fr;
    type ScalarField = Scalar;
    const COFACTOR: &'static [u64] = &[8];
    const COFACTOR_INV: Scalar =
        MontFp!("2394026564107420727433200628387514462817212225638746351800188703329891451411");
}

impl TECurveConfig for BabyJubJub {
    const COEFF_A: Fr = MontFp!("168700");
    const COEFF_D: Fr = MontFp!("168696");
    const GENERATOR: Point = Affine::new_unchecked(
        MontFp!("5299619240641551281634865583518297030282874472190772894086521144482721001553"),
        MontFp!("16950150798460657717958625567821834550301663161624707787222815936182638968203"),
    );
    type MontCurveConfig = Self;
}

/// `v^2 = u^3 + 168698 u^2 + u`, by `u = (1 + y) / (1 - y)` and `v = u / x`.
impl MontCurveConfig for BabyJubJub {
    const COEFF_A: Fr = MontFp!("168698");
    const COEFF_B: Fr = MontFp!("1");
    type TECurveConfig = Self;
}

/// Why coordinates or bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// A coordinate is not below the modulus.
    #[error("expected a canonical coordinate")]
    NotCanonical(#[from] FieldError),
    /// No point of the curve has these coordinates, or this y.
    #[error("expected a point of the curve")]
    NotOnCurve,
    /// The sign bit is set although x is zero.
    #[error("expected no sign bit beside an x of zero")]
    SignOfZero,
    /// The point is not in the subgroup of prime order.
    #[error("expected a point of the prime-order subgroup")]
    OutsideSubgroup,
    /// The neutral element, which is nobody's key.
    #[error("expected a key, found the neutral element")]
    Identity,
}

/// circomlib's `Base8`, which generates the subgroup of prime order `l`.
pub fn base() -> Point {
    BabyJubJub::GENERATOR
}

/// The point with these coordinates.
///
/// # Errors
/// [`PointError::NotOnCurve`].
pub fn point(x: Fr, y: Fr) -> Result<Point, PointError> {
    let point = Point::new_unchecked(x, y);
    point.is_on_curve().then_some(point).ok_or(PointError::NotOnCurve)
}

/// Whether a point of the curve is in the subgroup of prime order.
pub fn in_subgroup(point: &Point) -> bool {
    // The curve has 8 l points, of which exactly those of the subgroup have an order that divides
    // l.
    point.mul_bigint(Scalar::MODULUS) == PointSum::ZERO
}

/// `scalar` times `point`. Takes a time that depends on the scalar.
pub fn multiply(point: &Point, scalar: &Scalar) -> PointSum {
    point.mul_bigint(scalar.into_bigint())
}

/// Circomlibjs's `packPoint`: y in little-endian order, the top bit set if x is above `(r - 1) /
/// 2`.
pub fn pack(point: &Point) -> [u8; 32] {
    let mut bytes = field::to_bytes_le(&point.y);
    bytes[31] |= u8::from(field::is_upper_half(&point.x)) << 7;
    bytes
}

/// Reads a packed point of the curve; it need not be in the subgroup. Every point has one packing.
///
/// # Errors
/// A [`PointError`] if y is not reduced, no point has this y, or the sign is that of no point.
pub fn unpack(bytes: &[u8; 32]) -> Result<Point, PointError> {
    let mut bytes = *bytes;
    let negative = bytes[31] >> 7 == 1;
    bytes[31] &= 0x7f;
    // Refused and not reduced: y and y + r would be two packings of one point.
    let y = field::from_bytes_le(&bytes)?;
    let x = x_of(&y).ok_or(PointError::NotOnCurve)?;
    // -0 is 0: with the sign taken as well, two packings would be one point.
    if negative && x == Fr::ZERO {
        return Err(PointError::SignOfZero);
    }
    let x = if field::is_upper_half(&x) == negative { x } else { -x };
    Ok(Point::new_unchecked(x, y))
}

/// One of the two x with this y. The denominator has no zero, as `a / d` is not a square.
pub fn x_of(y: &Fr) -> Option<Fr> {
    let y2 = y.square();
    ((Fr::ONE - y2) / (BabyJubJub::COEFF_A_EDWARDS - BabyJubJub::COEFF_D * y2)).sqrt()
}

/// Affine points of sums, with one division for all.
pub fn normalize(sums: &[PointSum]) -> Vec<Point> {
    PointSum::normalize_batch(sums)
}

impl BabyJubJub {
    /// The coefficient of `x^2`. (Both curve traits have a `COEFF_A`.)
    pub const COEFF_A_EDWARDS: Fr = <Self as TECurveConfig>::COEFF_A;
    /// The coefficient of `u^2`.
    pub const COEFF_A_MONTGOMERY: Fr = <Self as MontCurveConfig>::COEFF_A;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{bytes, element, primitives, text};

    #[test]
    fn the_base_point_has_prime_order_and_the_curve_is_of_cofactor_eight() {
        assert!(base().is_on_curve() && in_subgroup(&base()));
        assert_eq!(BabyJubJub::COFACTOR_INV * Scalar::from(8u8), Scalar::ONE);
        let [a, d] = [BabyJubJub::COEFF_A_EDWARDS, BabyJubJub::COEFF_D];
        assert!(a.legendre().is_qr() && d.legendre().is_qnr(), "the addition law is complete");
        assert_eq!(BabyJubJub::COEFF_A_MONTGOMERY, Fr::from(2u8) * (a + d) / (a - d));
    }

    #[test]
    fn packing_equals_circomlibjs_and_comes_back() {
        for case in primitives()["signatures"].as_array().expect("a list") {
            for (coordinates, packed) in [
                (&case["key"], bytes(&case["key"]["packed"])),
                (
                    &case["signature"]["r8"],
                    bytes::<64>(&case["signature"]["packed"])[..32]
                        .try_into()
                        .expect("the first half"),
                ),
            ] {
                let point = point(element(&coordinates["x"]), element(&coordinates["y"]));
                let point = point.expect("on the curve");
                assert_eq!(pack(&point), packed);
                assert_eq!(unpack(&packed), Ok(point));
                assert_eq!(unpack(&pack(&-point)), Ok(-point));
            }
        }
    }

    #[test]
    fn a_packing_of_no_point_is_refused() {
        let vectors = primitives();
        let found = |why: &str| {
            let cases = vectors["rejected_keys"].as_array().expect("a list");
            let case = cases.iter().find(|case| text(&case["why"]) == why).expect("such a case");
            unpack(&bytes(&case["packed"]))
        };
        let not_canonical = Err(PointError::NotCanonical(FieldError::NotCanonical));
        assert_eq!(found("no point has this y"), Err(PointError::NotOnCurve));
        assert_eq!(found("the identity with a sign"), Err(PointError::SignOfZero));
        for why in ["y not reduced", "y is the modulus", "bit 254 of y set", "all ones"] {
            assert_eq!(found(why), not_canonical);
        }
        let low = found("a point of low order").expect("a point of the curve");
        assert!(!in_subgroup(&low));
    }
}
