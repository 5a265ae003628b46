//! What follows the header: the points of a key, section by section.

use ark_bn254::{Bn254, G1Affine, G2Affine};
use ark_poly::EvaluationDomain;
use rayon::prelude::*;
use statement::proof::VerifyingKey;

use super::error::KeyFileError;
use super::header::KeyHeader;
use super::points::{G1_BYTES, G2_BYTES, g1, g2, push_g1, push_g2};
use crate::keys::key::{KeyError, ProvingKey};
use crate::qap;

/// The sections of the body, in the order of `docs/key-file.md`.
pub(super) fn encode(key: &ProvingKey) -> Vec<u8> {
    let vk = key.vk.ark();
    let mut body = Vec::new();
    push_g1(&mut body, &[vk.alpha_g1]);
    push_g2(&mut body, &[vk.beta_g2, vk.gamma_g2, vk.delta_g2]);
    push_g1(&mut body, &vk.gamma_abc_g1);
    push_g1(&mut body, &[key.beta_g1, key.delta_g1]);
    push_g1(&mut body, &key.a);
    body.extend(key.b_columns.iter().flat_map(|column| column.to_le_bytes()));
    push_g1(&mut body, &key.b_g1);
    push_g2(&mut body, &key.b_g2);
    push_g1(&mut body, &key.l);
    push_g1(&mut body, &key.h);
    body
}

/// The part of a body that is still to be read. Its length was compared with the header's.
pub(super) struct Body<'a> {
    pub(super) rest: &'a [u8],
    /// Whether every point is checked to be in its group.
    pub(super) checked: bool,
}

impl Body<'_> {
    /// Reads all sections.
    pub(super) fn key(mut self, header: &KeyHeader) -> Result<ProvingKey, KeyFileError> {
        let (instances, witnesses) = (header.instances as usize, header.witnesses as usize);
        let constraints = header.constraints as usize;
        let domain = qap::domain(constraints, instances).ok_or(KeyFileError::TooLarge)?;
        let used = header.b_columns as usize;
        let alpha_g1 = self.g1("alpha", 1)?[0];
        let fixed = self.g2("beta, gamma, delta", 3)?;
        let vk = ark_groth16::VerifyingKey::<Bn254> {
            alpha_g1,
            beta_g2: fixed[0],
            gamma_g2: fixed[1],
            delta_g2: fixed[2],
            gamma_abc_g1: self.g1("IC", instances)?,
        };
        let in_g1 = self.g1("beta, delta in G1", 2)?;
        Ok(ProvingKey {
            circuit_hash: header.circuit_hash,
            provenance: header.provenance,
            constraints,
            witnesses,
            vk: VerifyingKey::from_ark(vk).map_err(KeyError::from)?,
            beta_g1: in_g1[0],
            delta_g1: in_g1[1],
            a: self.g1("A", instances + witnesses)?,
            // Whether they ascend and exist is for `lint`, which asks it of every key.
            b_columns: self.columns(used),
            b_g1: self.g1("B in G1", used)?,
            b_g2: self.g2("B in G2", used)?,
            l: self.g1("L", witnesses)?,
            h: self.g1("H", domain.size())?,
        })
    }

    fn take(&mut self, bytes: usize) -> &[u8] {
        // In bounds: the header's counts, which every caller uses, add up to the length of the
        // body.
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn columns(&mut self, count: usize) -> Vec<u32> {
        let (columns, _) = self.take(4 * count).as_chunks::<4>();
        columns.iter().map(|column| u32::from_le_bytes(*column)).collect()
    }

    /// Points in G1.
    fn g1(&mut self, section: &'static str, count: usize) -> Result<Vec<G1Affine>, KeyFileError> {
        let checked = self.checked;
        let (points, _) = self.take(count * G1_BYTES).as_chunks::<G1_BYTES>();
        // On the curve is in the group: G1 has cofactor one.
        let point = |bytes| g1(bytes).filter(|point| !checked || point.is_on_curve());
        let read: Option<_> = points.par_iter().map(point).collect();
        read.ok_or(KeyFileError::Point { section })
    }

    /// Points in G2.
    fn g2(&mut self, section: &'static str, count: usize) -> Result<Vec<G2Affine>, KeyFileError> {
        let checked = self.checked;
        let (points, _) = self.take(count * G2_BYTES).as_chunks::<G2_BYTES>();
        // G2 has a cofactor: a crafted point on the curve but outside the group would leave a
        // remainder of the witness in what it is multiplied to.
        let in_group = |point: &G2Affine| {
            point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve()
        };
        let point = |bytes| g2(bytes).filter(|point| !checked || in_group(point));
        let read: Option<_> = points.par_iter().map(point).collect();
        read.ok_or(KeyFileError::Point { section })
    }
}
