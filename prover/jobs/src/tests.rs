//! Canonical bytes, what is refused of them, and the seal.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};

use super::*;

/// Where the parts of [`sample`] begin: a name of 7 letters, three hashes, the address.
const TOKEN_AT: usize = 8 + 3 * 32 + 16;
const ATTEMPT_AT: usize = TOKEN_AT + 16;
const LASTS_AT: usize = ATTEMPT_AT + 4;
const FAILED_AT: usize = LASTS_AT + 4;
/// Behind two names of 4 letters.
const PUBLIC_AT: usize = FAILED_AT + 4 + 2 * 5;
const PRIVATE_AT: usize = PUBLIC_AT + 4 + 2 * 32;

fn sample() -> (JobHead, Vec<Fr>, Vec<Fr>) {
    let (public, private) = (vec![Fr::from(9), -Fr::from(1)], (1..6).map(Fr::from).collect());
    let key_id = [7; 32];
    let head = JobHead {
        shape: "c1-test".parse().unwrap(),
        circuit_hash: [6; 32],
        key_id,
        input_hash: input_hash(&key_id, &public),
        reply_to: [5; 16],
        lease: Lease { token: LeaseToken([4; 16]), attempt: 3, lasts_ms: 30_000 },
        failed_on: ["ward", "wing"].map(|name| name.parse().unwrap()).to_vec(),
    };
    (head, public, private)
}

fn bytes() -> Vec<u8> {
    let (head, public, private) = sample();
    encode(&head, &public, &private).unwrap().to_vec()
}

/// The sample with other bytes at a place.
fn with(at: usize, bytes_there: &[u8]) -> Result<JobHead, DecodeError> {
    let mut edited = bytes();
    edited[at..at + bytes_there.len()].copy_from_slice(bytes_there);
    decode(&edited).map(|(head, _)| head)
}

fn value(what: &str) -> impl Fn(Result<JobHead, DecodeError>) -> bool + '_ {
    move |found| matches!(found, Err(DecodeError::Value { what: named, .. }) if named == what)
}

#[test]
fn what_is_written_is_read_back() {
    let (head, public, private) = sample();
    let (read, columns) = decode(&bytes()).unwrap();
    assert_eq!((read, columns.public), (head, public));
    assert_eq!(*columns.private, private);
}

/// Other programs may be written against this: a change breaks the format.
#[test]
fn the_bytes_of_a_job_are_pinned() {
    assert_eq!(bytes().len(), PRIVATE_AT + 4 + 5 * 32);
    assert_eq!(
        blake3::hash(&bytes()).to_string(),
        "5759f827d200a183d535d454f004825f8a140497f4c048b25453dd4ad284dbdb"
    );
}

#[test]
fn a_job_cut_anywhere_is_refused_and_so_is_one_with_a_byte_more() {
    let whole = bytes();
    for len in 0..whole.len() {
        let cut = decode(&whole[..len]).err();
        assert!(matches!(cut, Some(DecodeError::Truncated { .. })), "{len} bytes: {cut:?}");
    }
    let longer = [&whole, &[0][..]].concat();
    assert_eq!(decode(&longer).err(), Some(DecodeError::Trailing { found: 1 }));
}

#[test]
fn one_job_has_one_form() {
    let whole = bytes();
    let mut read = 0;
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut edited = whole.clone();
            edited[at] ^= 1 << bit;
            // What can be read is another job, which is written as it was read.
            if let Ok((head, Columns { public, private })) = decode(&edited) {
                assert_eq!(*encode(&head, &public, &private).unwrap(), edited, "byte {at}");
                read += 1;
            }
        }
    }
    assert!(read > 100, "expected most edits of token and witness to be other jobs, found {read}");
}

#[test]
fn a_count_makes_room_for_no_more_than_is_there() {
    for (at, most) in
        [(FAILED_AT, FAILED_ON_MAX), (PUBLIC_AT, COLUMNS_MAX), (PRIVATE_AT, COLUMNS_MAX)]
    {
        let many = with(at, &u32::MAX.to_le_bytes());
        let found = u32::MAX as usize;
        assert!(
            matches!(many, Err(DecodeError::Count { most: limit, found: count, .. })
                if (limit, count) == (most, found)),
            "{many:?}"
        );
        let missing = with(at, &(most as u32).to_le_bytes());
        assert!(missing.is_err(), "expected no room to be made for what was not sent");
    }
    let missing = with(PRIVATE_AT, &(COLUMNS_MAX as u32).to_le_bytes());
    let (what, expected) = ("columns of the witness", 32 * COLUMNS_MAX);
    assert_eq!(missing, Err(DecodeError::Truncated { what, expected, found: 5 * 32 }));
    let (head, ..) = sample();
    let many = vec![Fr::from(0); COLUMNS_MAX];
    let refused = encode(&head, &[Fr::from(1)], &many).err();
    assert_eq!(refused, Some(TooManyColumns { found: COLUMNS_MAX + 1 }));
}

#[test]
fn values_outside_of_their_place_are_refused_by_its_name() {
    assert!(value("name of the shape")(with(1, b"C")));
    assert!(value("attempt")(with(ATTEMPT_AT, &[0; 4])));
    assert!(value("milliseconds of the lease")(with(LASTS_AT, &[0; 4])));
    assert!(value("milliseconds of the lease")(with(LASTS_AT, &3_600_001u32.to_le_bytes())));
    assert!(value("workers that failed")(with(FAILED_AT + 5, b"wing")), "one name twice");
    assert!(value("workers that failed")(with(FAILED_AT + 5, b"yard")), "another order");
    // A second name for a value: the modulus stands for zero.
    let modulus = Fr::MODULUS.to_bytes_le();
    assert!(value("public inputs")(with(PUBLIC_AT + 4, &modulus)));
    assert!(value("columns of the witness")(with(PRIVATE_AT + 4 + 64, &modulus)));
    // The name of what is proven is that of these inputs under this key.
    for at in [8 + 32, 8 + 64, PUBLIC_AT + 4] {
        assert!(value("hash of the inputs")(with(at, &[1])), "byte {at}");
    }
}

#[test]
fn the_seal_opens_as_it_was_closed_or_not_at_all() {
    let secret = WorkersSecret::draw();
    let job = bytes();
    let sealed = secret.public().seal(&job).unwrap();
    assert_eq!(*secret.open(&sealed).unwrap(), job);
    assert_ne!(secret.public().seal(&job).unwrap(), sealed, "the same job twice");
    for at in 0..sealed.len() {
        let mut edited = sealed.clone();
        edited[at] ^= 1;
        let Err(refused) = secret.open(&edited) else { panic!("one bit differs") };
        match at {
            0..8 => assert!(matches!(refused, OpenError::Frame(_))),
            8..16 => assert!(matches!(refused, OpenError::OtherKey { .. })),
            _ => assert_eq!(refused, OpenError::Broken, "byte {at}"),
        }
        assert!(secret.open(&sealed[..at]).is_err(), "cut after {at} bytes");
    }
    assert_eq!(secret.open(&[&sealed, &[0][..]].concat()).err(), Some(OpenError::Broken));
    let other = WorkersSecret::draw();
    assert!(matches!(other.open(&sealed), Err(OpenError::OtherKey { .. })));
}

/// Whoever carries jobs learns from their length no more than how many columns there are.
#[test]
fn the_length_of_a_sealed_job_does_not_depend_on_values() {
    let (secret, (head, public, private)) = (WorkersSecret::draw(), sample());
    let length = |values: &[Fr]| {
        secret.public().seal(&encode(&head, &public, values).unwrap()).unwrap().len()
    };
    assert_eq!(length(&private), length(&[Fr::from(0); 5]));
    assert_eq!(length(&private), length(&[-Fr::from(1); 5]));
}

#[test]
fn keys_to_which_nothing_can_be_sealed_are_refused_when_they_are_read() {
    let key = WorkersSecret::draw().public();
    assert_eq!(key.to_string().parse::<WorkersKey>().ok(), Some(key));
    let zeros = "0".repeat(64);
    assert!(matches!(zeros.parse::<WorkersKey>(), Err(SealError::Key)), "a point of low order");
    for text in ["", "00", &"g".repeat(64)] {
        assert!(matches!(text.parse::<WorkersKey>(), Err(SealError::Hex)), "{text:?}");
    }
}

#[test]
fn the_file_of_a_secret_is_its_owners_and_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workers.key");
    let made = WorkersSecret::create(&path).unwrap();
    assert_eq!(WorkersSecret::read(&path).unwrap().public(), made.public());
    assert!(matches!(WorkersSecret::create(&path), Err(SealError::File { .. })));
    let digits = fs::read_to_string(&path).unwrap();
    assert!(!format!("{made:?}").contains(digits.trim()));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(WorkersSecret::read(&path), Err(SealError::File { .. })));
    let other = folder.path().join("other");
    files::create(&other, b"no digits", files::Audience::Owner).unwrap();
    let Err(refused) = WorkersSecret::read(&other) else { panic!("no digits") };
    let refused = refused.to_string();
    assert!(!refused.contains("no digits"), "{refused}");
    let text = format!("{:?} {:?}", sample().0.lease.token, decode(&bytes()).unwrap().1);
    assert_eq!(text, "LeaseToken(..) Columns(2 public, 5 private)");
}

#[test]
fn messages_of_the_queue_are_read_back_and_their_promises_are_limited() {
    let stored = Envelope::Stored { object: [3; 16], bytes: 5 << 20 };
    for envelope in [stored.clone(), Envelope::Sealed(vec![1, 2, 3])] {
        assert_eq!(Envelope::decode(&envelope.encode()), Ok(envelope));
    }
    let whole = stored.encode();
    for len in 8..whole.len() {
        assert!(matches!(Envelope::decode(&whole[..len]), Err(DecodeError::Truncated { .. })));
    }
    let longer = [&whole, &[0][..]].concat();
    assert_eq!(Envelope::decode(&longer), Err(DecodeError::Trailing { found: 1 }));
    let mut huge = whole;
    huge[24..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Envelope::decode(&huge), Err(DecodeError::Count { .. })));
    // No envelope at all is a job that does not open.
    let secret = WorkersSecret::draw();
    let Ok(Envelope::Sealed(garbage)) = Envelope::decode(b"garbage") else { panic!("taken as is") };
    assert!(matches!(secret.open(&garbage), Err(OpenError::Frame(_))));
}

fn answers() -> Vec<Answer> {
    let proven = Outcome::Proven { proof: Box::new([8; 256]), took_ms: 1_234 };
    let failed = FailedBecause::ALL.map(Outcome::Failed);
    let (token, input_hash) = (LeaseToken([4; 16]), [9; 32]);
    let answer = |outcome| Answer { token, input_hash, worker: "wing".parse().unwrap(), outcome };
    failed.into_iter().chain([proven]).map(answer).collect()
}

#[test]
fn beats_answers_and_verdicts_have_one_form() {
    let beat = Beat { token: LeaseToken([4; 16]), worker: "wing".parse().unwrap() };
    assert_eq!(Beat::decode(&beat.encode()), Ok(beat.clone()));
    for verdict in [Verdict::Holds, Verdict::Over] {
        assert_eq!(Verdict::decode(&verdict.encode()), Ok(verdict));
    }
    assert!(Verdict::decode(&[2]).is_err() && Verdict::decode(&[]).is_err());
    assert_eq!(Verdict::decode(&[1, 1]), Err(DecodeError::Trailing { found: 1 }));
    for answer in answers() {
        let whole = answer.encode();
        assert_eq!(Answer::decode(&whole), Ok(answer));
        for len in 0..whole.len() {
            assert!(Answer::decode(&whole[..len]).is_err(), "{len} bytes");
        }
        let longer = [&whole, &[0][..]].concat();
        assert_eq!(Answer::decode(&longer), Err(DecodeError::Trailing { found: 1 }));
        for at in 0..whole.len() {
            let mut edited = whole.clone();
            edited[at] ^= 0x10;
            if let Ok(read) = Answer::decode(&edited) {
                assert_eq!(read.encode(), edited, "byte {at}");
            }
        }
        assert!(matches!(Beat::decode(&whole), Err(DecodeError::Magic { .. })));
    }
    let mut unknown = answers()[0].encode();
    *unknown.last_mut().unwrap() = 5;
    assert!(matches!(Answer::decode(&unknown), Err(DecodeError::Value { what: "outcome", .. })));
}
