//! Proofs for the Solidity tests: a scripted settlement under circuits that accept any inputs.
//!
//! What the contract must compute (domains, public inputs, commitments, hashes) is computed here a
//! second time, from the interface's words alone. `UPDATE=1 cargo test` rewrites the file.

use std::{fs, path::PathBuf};

use alloy::primitives::{Address, B256, Bytes, U256, address, keccak256, uint};
use alloy::sol_types::{SolCall, SolValue};
use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{BigInteger, Field, PrimeField, Zero};
use ark_groth16::{Groth16, Proof, ProvingKey, VerifyingKey};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError,
};
use ark_snark::SNARK;
use ark_std::rand::{SeedableRng, rngs::StdRng};

mod bindings {
    #![allow(missing_docs)]
    alloy::sol!(Settlement, "artifacts/Settlement.json");
}
use bindings::{
    ISettlement::{Batch, ClaimsChunk, Forced, Header, OperationsChunk},
    Settlement::settleCall,
};

const CHAIN_ID: u64 = 31337;
const CONTRACT: Address = address!("00000000000000000000000000000000005e771e");
/// 2027-01-15T08:00:00Z in milliseconds since 1900.
const GENESIS_TIME: u64 = 2_208_988_800_000 + 1_800_000_000_000;
/// The root of the tree without a record: no contract begins with another.
const EMPTY_ROOT: U256 =
    uint!(0x14ab1c98aa2c26c256fec2608c5af37a119811c92b4632f2270de7bdce375e62_U256);
/// Of the header and of the circuits.
const VERSION: u64 = 2;
const REGISTRAR: u64 = 424_242;
const WINDOW_MS: u64 = 60_000;
/// "vitals-dev": the scalar whose multiple of the G1 generator is DEV_ALPHA.
const DEV_ALPHA: u128 = 0x7669_7461_6c73_2d64_6576;

#[test]
fn the_fixture_of_the_solidity_tests_is_what_this_program_makes() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("test/fixtures/groth16.json");
    let made = fixture();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).expect("the fixture is writable");
    }
    let found = fs::read_to_string(&path).expect("the fixture is committed");
    assert!(found == made, "{} differs; run with UPDATE=1", path.display());
}

fn fixture() -> String {
    let keys = Keys::new();
    let mut script = Script::genesis();
    let steps = script_steps(&keys);
    let batches: Vec<Batch> = steps.iter().map(|step| script.batch(step)).collect();
    let wide = Script::genesis().batch(&wide_step(&keys));
    let json = serde_json::json!({
        "operations": hex_words(&keys.operations.words()),
        "operationsLarge": hex_words(&keys.operations_large.words()),
        "claims": hex_words(&keys.claims.words()),
        "otherSetup": hex_words(&Key::new(12, 1, 1, 5).words()),
        "ownAlpha": hex_words(&Key::new(12, 1, 0, 6).words()),
        "ownAlphaClaims": hex_words(&Key::new(13, 1, 0, 7).words()),
        "script": calldata(batches),
        "wide": calldata(vec![wide]),
        "twins": hex_words(&[keys.operations.twin(), keys.claims.twin()].concat()),
        "outsideGroup": hex_words(&g2_words(&outside_group())),
    });
    serde_json::to_string_pretty(&json).expect("JSON of strings") + "\n"
}

// ------------------------------------------------------------------------------------- circuits

/// Accepts any inputs: x * x = y for each, with more rows of the first to make another shape.
struct AnyInputs {
    inputs: Vec<Fr>,
    rows: usize,
}

impl ConstraintSynthesizer<Fr> for AnyInputs {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let mut variables = Vec::new();
        for value in &self.inputs {
            variables.push((cs.new_input_variable(|| Ok(*value))?, *value));
        }
        let more = vec![variables[0]; self.rows];
        for (x, value) in variables.into_iter().chain(more) {
            let y = cs.new_witness_variable(|| Ok(value.square()))?;
            let lc = LinearCombination::from;
            cs.enforce_r1cs_constraint(|| lc(x), || lc(x), || lc(y))?;
        }
        Ok(())
    }
}

struct Key {
    secrets: Secrets,
    inputs: usize,
    rows: usize,
    proving: ProvingKey<Bn254>,
}

/// What a ceremony would destroy.
struct Secrets {
    alpha: Fr,
    beta: Fr,
    gamma: Fr,
    delta: Fr,
}

impl Key {
    /// Keys of one `setup` share alpha, beta and gamma; setup 0 has an alpha of its own.
    fn new(inputs: usize, rows: usize, setup: u64, delta: u64) -> Self {
        let alpha = if setup == 0 { Fr::from(99_991_u64) } else { Fr::from(DEV_ALPHA) };
        let beta = Fr::from(1_000_003_u64);
        let gamma = field("gamma", if delta == 5 { 1 } else { 0 });
        let secrets = Secrets { alpha, beta, gamma, delta: field("delta", delta) };
        let circuit = AnyInputs { inputs: vec![Fr::zero(); inputs], rows };
        let proving = Groth16::<Bn254>::generate_parameters_with_qap(
            circuit,
            alpha,
            beta,
            gamma,
            secrets.delta,
            G1Projective::generator(),
            G2Projective::generator(),
            &mut StdRng::seed_from_u64(delta),
        )
        .expect("the circuit synthesises");
        Self { secrets, inputs, rows, proving }
    }

    fn words(&self) -> Vec<U256> {
        let key: &VerifyingKey<Bn254> = &self.proving.vk;
        let mut words = g1_words(&key.alpha_g1);
        for point in [&key.beta_g2, &key.gamma_g2, &key.delta_g2] {
            words.extend(g2_words(point));
        }
        words.extend(key.gamma_abc_g1.iter().flat_map(g1_words));
        words
    }

    fn id(&self) -> B256 {
        keccak256(bytes_of(&self.words()))
    }

    fn prove(&self, inputs: &[U256]) -> [U256; 8] {
        assert_eq!(inputs.len(), self.inputs);
        let inputs: Vec<Fr> = inputs.iter().map(to_field).collect();
        let circuit = AnyInputs { inputs: inputs.clone(), rows: self.rows };
        let mut rng = StdRng::seed_from_u64(1);
        let proof = Groth16::<Bn254>::prove(&self.proving, circuit, &mut rng).expect("provable");
        let holds = Groth16::<Bn254>::verify(&self.proving.vk, &inputs, &proof);
        assert!(holds.expect("as many inputs as the key has"));
        proof_words(&proof)
    }

    /// Inputs and a proof, made from the secrets, whose B is the same under every key.
    fn twin(&self) -> Vec<U256> {
        let inputs: Vec<Fr> = (0..self.inputs).map(|i| field("twin", i as u64)).collect();
        let points = &self.proving.vk.gamma_abc_g1;
        let mut sum = points[0].into_group();
        for (x, point) in inputs.iter().zip(&points[1..]) {
            sum += *point * x;
        }
        let Secrets { alpha, beta, gamma, delta } = &self.secrets;
        let (a, b) = (field("twin a", self.inputs as u64), field("twin b", 0));
        let one = G1Projective::generator();
        let c = (one * (a * b - alpha * beta) - sum * gamma) * delta.inverse().expect("not zero");
        let proof = Proof {
            a: (one * a).into_affine(),
            b: (G2Projective::generator() * b).into_affine(),
            c: c.into_affine(),
        };
        assert!(Groth16::<Bn254>::verify(&self.proving.vk, &inputs, &proof).expect("counted"));
        inputs.iter().map(from_field).chain(proof_words(&proof)).collect()
    }
}

struct Keys {
    operations: Key,
    operations_large: Key,
    claims: Key,
}

impl Keys {
    fn new() -> Self {
        Self {
            operations: Key::new(12, 1, 1, 1),
            operations_large: Key::new(12, 40, 1, 2),
            claims: Key::new(13, 1, 1, 3),
        }
    }
}

/// A point of the twisted curve that is not in the group of order r.
fn outside_group() -> G2Affine {
    (1_u64..)
        .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
        .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
        .expect("nearly every point of the curve is outside")
}

// --------------------------------------------------------------------------------------- script

/// Chunks of one batch: key and counters of each.
struct Step<'a> {
    operations: Vec<(&'a Key, [u64; 2])>,
    claims: Vec<(&'a Key, [u64; 4])>,
}

/// One chunk of each kind, none, several under three keys, claims only, operations only.
fn script_steps(keys: &Keys) -> Vec<Step<'_>> {
    let (small, large, claims) = (&keys.operations, &keys.operations_large, &keys.claims);
    vec![
        Step { operations: vec![(small, [3, 1])], claims: vec![(claims, [2, 5, 1, 0])] },
        Step { operations: vec![], claims: vec![] },
        Step {
            operations: vec![(small, [2, 0]), (large, [40, 2])],
            claims: vec![(claims, [1, 1, 0, 1]), (claims, [0, 9, 2, 0])],
        },
        Step { operations: vec![], claims: vec![(claims, [0, 4, 0, 4])] },
        Step { operations: vec![(large, [1, 0])], claims: vec![] },
    ]
}

fn wide_step(keys: &Keys) -> Step<'_> {
    Step {
        operations: (1..5).map(|n| (&keys.operations, [n, 0])).collect(),
        claims: (1..5).map(|n| (&keys.claims, [n, 2, 0, 0])).collect(),
    }
}

/// The state that batches move, as the contract keeps it.
struct Script {
    number: u64,
    root: U256,
    head: B256,
    t1: u64,
    position: u64,
}

impl Script {
    fn genesis() -> Self {
        let genesis = (U256::from(CHAIN_ID), CONTRACT, EMPTY_ROOT, U256::from(GENESIS_TIME));
        Self {
            number: 0,
            root: EMPTY_ROOT,
            head: keccak256(genesis.abi_encode()),
            t1: GENESIS_TIME,
            position: 0,
        }
    }

    fn batch(&mut self, step: &Step<'_>) -> Batch {
        let mut header = self.header(step);
        let operations = self.operations(&header, step);
        header.rootOut = operations.last().map_or(self.root, |chunk| chunk.rootOut);
        header.operationsRoot = commitment(operations.iter().map(|chunk| chunk.operationsRoot));
        let claims = self.claims(&header, step);
        header.claimsRoot = commitment(claims.iter().map(|chunk| chunk.claimsRoot));
        self.number += 1;
        self.t1 += WINDOW_MS;
        self.position += 100;
        self.root = header.rootOut;
        self.head = keccak256(header.abi_encode());
        Batch { header, operations, claims, attestation: Bytes::new() }
    }

    /// All words that do not depend on the chunks' roots.
    fn header(&self, step: &Step<'_>) -> Header {
        let number = self.number + 1;
        let operations = |i: usize| U256::from(step.operations.iter().map(|c| c.1[i]).sum::<u64>());
        let claims = |i: usize| U256::from(step.claims.iter().map(|c| c.1[i]).sum::<u64>());
        Header {
            version: U256::from(VERSION),
            number: U256::from(number),
            previous: self.head,
            t0: U256::from(self.t1),
            t1: U256::from(self.t1 + WINDOW_MS),
            rootIn: self.root,
            operations: operations(0),
            enrolments: operations(1),
            access: claims(0),
            collect: claims(1),
            breakGlass: claims(2),
            excluded: claims(3),
            dataRoot: word("data", number).into(),
            journalPosition: U256::from(self.position + 100),
            journalHash: word("journal", number).into(),
            ciphertextHash: word("ciphertext", number).into(),
            ciphertextLength: U256::from(4096),
            keyVersion: U256::from(VERSION),
            rootOut: U256::ZERO,
            forced: Forced { first: U256::ZERO, count: U256::ZERO, outcomes: U256::ZERO },
            operationsRoot: B256::ZERO,
            claimsRoot: B256::ZERO,
            registryRoot: B256::ZERO,
            dataSource: U256::ZERO,
        }
    }

    fn operations(&self, header: &Header, step: &Step<'_>) -> Vec<OperationsChunk> {
        let (mut root, mut time) = (self.root, header.t0);
        let mut chunks = Vec::new();
        for (i, (key, [operations, enrolments])) in step.operations.iter().enumerate() {
            let tag = (self.number + 1) * 16 + i as u64;
            let mut chunk = OperationsChunk {
                keyId: key.id(),
                rootOut: word("root", tag),
                timeOut: time + U256::from(1_000),
                operations: U256::from(*operations),
                enrolments: U256::from(*enrolments),
                operationsRoot: word("operations", tag),
                proof: [U256::ZERO; 8],
            };
            chunk.proof = key.prove(&operations_inputs(header, &chunk, root, time));
            (root, time) = (chunk.rootOut, chunk.timeOut);
            chunks.push(chunk);
        }
        chunks
    }

    fn claims(&self, header: &Header, step: &Step<'_>) -> Vec<ClaimsChunk> {
        let mut edge = U256::ZERO;
        let mut chunks = Vec::new();
        for (i, (key, counters)) in step.claims.iter().enumerate() {
            let tag = (self.number + 1) * 16 + i as u64;
            let [access, collect, break_glass, excluded] = counters.map(U256::from);
            let mut chunk = ClaimsChunk {
                keyId: key.id(),
                claimsRoot: word("claims", tag),
                access,
                collect,
                breakGlass: break_glass,
                excluded,
                edgeOut: word("edge", tag),
                proof: [U256::ZERO; 8],
            };
            let position = U256::from(self.position);
            chunk.proof = key.prove(&claims_inputs(header, &chunk, edge, position));
            edge = chunk.edgeOut;
            chunks.push(chunk);
        }
        chunks
    }
}

fn operations_inputs(h: &Header, c: &OperationsChunk, root: U256, time: U256) -> [U256; 12] {
    [
        root,
        c.rootOut,
        h.t0,
        h.t1,
        time,
        c.timeOut,
        domain(1, h),
        signature_domain(),
        U256::from(REGISTRAR),
        c.operations,
        c.enrolments,
        c.operationsRoot,
    ]
}

fn claims_inputs(h: &Header, c: &ClaimsChunk, edge: U256, position: U256) -> [U256; 13] {
    [
        h.rootOut,
        h.t0,
        h.t1,
        c.claimsRoot,
        c.access,
        c.collect,
        c.breakGlass,
        c.excluded,
        edge,
        c.edgeOut,
        position,
        h.journalPosition,
        domain(2, h),
    ]
}

fn domain(circuit: u64, header: &Header) -> U256 {
    let (chain, circuit) = (U256::from(CHAIN_ID), U256::from(circuit));
    reduced(&(chain, CONTRACT, circuit, header.keyVersion, header.number).abi_encode())
}

fn signature_domain() -> U256 {
    let tag = keccak256("vitals operation v1");
    reduced(&(tag, U256::from(CHAIN_ID), CONTRACT).abi_encode())
}

fn commitment(roots: impl Iterator<Item = U256>) -> B256 {
    let roots: Vec<U256> = roots.collect();
    if roots.is_empty() { B256::ZERO } else { keccak256(bytes_of(&roots)) }
}

// ---------------------------------------------------------------------------------------- words

/// A field element that stands for the `index`-th thing called `name`.
fn word(name: &str, index: u64) -> U256 {
    reduced(&(name.to_owned(), U256::from(index)).abi_encode())
}

fn field(name: &str, index: u64) -> Fr {
    to_field(&word(name, index))
}

fn reduced(bytes: &[u8]) -> U256 {
    from_field(&Fr::from_be_bytes_mod_order(keccak256(bytes).as_slice()))
}

fn to_field(word: &U256) -> Fr {
    Fr::from_be_bytes_mod_order(&word.to_be_bytes::<32>())
}

fn from_field<F: PrimeField>(value: &F) -> U256 {
    U256::from_be_slice(&value.into_bigint().to_bytes_be())
}

fn g1_words(point: &G1Affine) -> Vec<U256> {
    vec![from_field::<Fq>(&point.x), from_field::<Fq>(&point.y)]
}

fn g2_words(point: &G2Affine) -> Vec<U256> {
    let limbs = [point.x.c1, point.x.c0, point.y.c1, point.y.c0];
    limbs.iter().map(from_field).collect()
}

fn proof_words(proof: &Proof<Bn254>) -> [U256; 8] {
    let words = [g1_words(&proof.a), g2_words(&proof.b), g1_words(&proof.c)].concat();
    words.try_into().expect("2 + 4 + 2 words")
}

fn bytes_of(words: &[U256]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect()
}

/// The argument of `settle`, without the selector.
fn calldata(batches: Vec<Batch>) -> String {
    format!("0x{}", hex::encode(&settleCall { batches }.abi_encode()[4..]))
}

fn hex_words(words: &[U256]) -> String {
    format!("0x{}", hex::encode(bytes_of(words)))
}
