//! A leased job: what is proven, under which lease, and the values of all columns.

use std::fmt;

use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};
use zeroize::Zeroizing;

use crate::codec::{DecodeError, Reader, push_count, push_name};
use crate::name::{EXPECTED, ShapeName, WorkerName};

/// Most columns of a job, 2^21: a circuit of 2^20 rows has not many more columns than rows.
pub const COLUMNS_MAX: usize = 1 << 21;

/// Most names of workers on which a job failed; a node gives up on other machines before.
pub const FAILED_ON_MAX: usize = 16;

/// Most milliseconds that a lease lasts: an hour.
const LASTS_MS_MAX: u32 = 3_600_000;

/// Bytes of a value: its number, little-endian, as `.wtns` has it.
pub(crate) const VALUE: usize = 32;

/// Most bytes of all that stands before the values.
pub(crate) const HEAD_BYTES_MAX: usize = 1024;

/// 16 random bytes that a node draws for a lease. Only whoever opened the job knows them, so they
/// stand in no log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken(pub [u8; 16]);

/// For how long and for the how manieth time a job is given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub token: LeaseToken,
    /// How often the job was given away, this time included: from 1.
    pub attempt: u32,
    /// Milliseconds that it holds after each beat: at most an hour.
    pub lasts_ms: u32,
}

/// All of a job but its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobHead {
    /// Which circuit, of which size.
    pub shape: ShapeName,
    /// Hash of its matrices, so that a worker with other matrices refuses and does not prove in
    /// vain.
    pub circuit_hash: [u8; 32],
    /// Name of the verifying key: the proof must verify under it.
    pub key_id: [u8; 32],
    /// Name of what is proven, [`input_hash`]; the same for every lease of it.
    pub input_hash: [u8; 32],
    /// Where the node listens for beats and the answer: random, drawn at its start.
    pub reply_to: [u8; 16],
    /// Under which lease.
    pub lease: Lease,
    /// Workers that failed at it, ascending, at most [`FAILED_ON_MAX`]: they leave it to others.
    pub failed_on: Vec<WorkerName>,
}

/// The values of all columns but the constant one.
#[derive(PartialEq, Eq)]
pub struct Columns {
    /// The public inputs, in the contract's order.
    pub public: Vec<Fr>,
    /// The witness.
    pub private: Zeroizing<Vec<Fr>>,
}

/// There are more columns than a job may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {COLUMNS_MAX} columns, found {found}")]
pub struct TooManyColumns {
    /// How many there are.
    pub found: usize,
}

/// Name of what is proven: the verifying key and the public inputs. Two jobs of one name prove the
/// same; the witness does not enter, so that the name tells nothing of it.
pub fn input_hash(key_id: &[u8; 32], public: &[Fr]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("vitals 2026 proving job");
    hasher.update(key_id);
    for input in public {
        hasher.update(&input.into_bigint().to_bytes_be());
    }
    *hasher.finalize().as_bytes()
}

/// The canonical bytes of a job: the witness in the clear, zeroised when dropped. They are to be
/// sealed before they leave.
///
/// # Errors
/// [`TooManyColumns`].
///
/// # Panics
/// If more than [`FAILED_ON_MAX`] workers failed.
pub fn encode(
    head: &JobHead,
    public: &[Fr],
    private: &[Fr],
) -> Result<Zeroizing<Vec<u8>>, TooManyColumns> {
    let found = public.len() + private.len();
    if found > COLUMNS_MAX {
        return Err(TooManyColumns { found });
    }
    assert!(head.failed_on.len() <= FAILED_ON_MAX, "a node gives up on other machines before");
    // Room for all of it from the start: a vector that grows leaves its old buffer as it is.
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD_BYTES_MAX + VALUE * found));
    push_name(&mut bytes, head.shape.as_str());
    for digest in [&head.circuit_hash, &head.key_id, &head.input_hash] {
        bytes.extend(digest);
    }
    bytes.extend(head.reply_to);
    bytes.extend(head.lease.token.0);
    bytes.extend(head.lease.attempt.to_le_bytes());
    bytes.extend(head.lease.lasts_ms.to_le_bytes());
    push_count(&mut bytes, head.failed_on.len());
    for name in &head.failed_on {
        push_name(&mut bytes, name.as_str());
    }
    // Every value has the same width: a length that followed from values would tell whoever carries
    // the bytes something of them.
    for values in [public, private] {
        push_count(&mut bytes, values.len());
        for value in values {
            for limb in value.into_bigint().0 {
                bytes.extend(limb.to_le_bytes());
            }
        }
    }
    Ok(bytes)
}

/// Reads a job. Whether the numbers of columns are the shape's, whoever knows the shape has to ask.
///
/// # Errors
/// [`DecodeError`] for every byte string that [`encode`] does not write.
pub fn decode(bytes: &[u8]) -> Result<(JobHead, Columns), DecodeError> {
    let mut reader = Reader::new(bytes);
    let head = JobHead {
        shape: reader.name("name of the shape", EXPECTED)?,
        circuit_hash: reader.array("hash of the circuit")?,
        key_id: reader.array("id of the key")?,
        input_hash: reader.array("hash of the inputs")?,
        reply_to: reader.array("address of the node")?,
        lease: read_lease(&mut reader)?,
        failed_on: read_failed_on(&mut reader)?,
    };
    let public = read_values(&mut reader, "public inputs")?.to_vec();
    let private = read_values(&mut reader, "columns of the witness")?;
    reader.end()?;
    let found = public.len() + private.len();
    if found > COLUMNS_MAX {
        return Err(DecodeError::Count { what: "columns", most: COLUMNS_MAX, found });
    }
    if head.input_hash != input_hash(&head.key_id, &public) {
        let expected = "that of the key's id and the public inputs";
        return Err(DecodeError::Value { what: "hash of the inputs", expected });
    }
    Ok((head, Columns { public, private }))
}

fn read_lease(reader: &mut Reader<'_>) -> Result<Lease, DecodeError> {
    let token = LeaseToken(reader.array("token of the lease")?);
    let attempt = reader.u32("attempt")?;
    if attempt == 0 {
        return Err(DecodeError::Value { what: "attempt", expected: "a number from 1" });
    }
    let lasts_ms = reader.u32("milliseconds of the lease")?;
    if !(1..=LASTS_MS_MAX).contains(&lasts_ms) {
        let what = "milliseconds of the lease";
        return Err(DecodeError::Value { what, expected: "1 to 3600000" });
    }
    Ok(Lease { token, attempt, lasts_ms })
}

fn read_failed_on(reader: &mut Reader<'_>) -> Result<Vec<WorkerName>, DecodeError> {
    let what = "workers that failed";
    let mut names: Vec<WorkerName> = Vec::new();
    for _ in 0..reader.count(what, FAILED_ON_MAX, 2)? {
        let name = reader.name(what, EXPECTED)?;
        // One order, and nobody twice: one set has one form.
        if names.last().is_some_and(|last| *last >= name) {
            return Err(DecodeError::Value { what, expected: "ascending names" });
        }
        names.push(name);
    }
    Ok(names)
}

fn read_values(
    reader: &mut Reader<'_>,
    what: &'static str,
) -> Result<Zeroizing<Vec<Fr>>, DecodeError> {
    let count = reader.count(what, COLUMNS_MAX, VALUE)?;
    let bytes = reader.take(what, VALUE * count)?;
    let mut values = Zeroizing::new(Vec::with_capacity(count));
    for value in bytes.as_chunks::<VALUE>().0 {
        let (limbs, _) = value.as_chunks::<8>();
        let number = BigInt::new(std::array::from_fn(|i| u64::from_le_bytes(limbs[i])));
        let expected = "numbers below the field's modulus";
        let value = Fr::from_bigint(number).ok_or(DecodeError::Value { what, expected });
        values.push(value?);
    }
    Ok(values)
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(..)")
    }
}

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Columns({} public, {} private)", self.public.len(), self.private.len())
    }
}
