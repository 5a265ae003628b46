use crate::support::{Hand, Ledger, deploy, fingerprint, genesis, keep, signer};
use alloy::providers::Provider;
use devchain::{DevChain, Genesis, Limits, OpenError, Replayed};
use std::os::unix::fs::PermissionsExt;
use std::{
    fs,
    path::Path,
    sync::{Arc, Barrier},
};

fn open(path: &Path) -> Result<(DevChain, Replayed), OpenError> {
    DevChain::open(path, genesis(), Limits::default(), Hand::new().clock())
}

/// The history here: a deployment, three calls, an empty block, a reorganisation of two blocks.
/// The journal is copied before it is opened again, because a provider's poller may still hold
/// the first chain for a moment.
#[tokio::test]
async fn a_reopened_chain_has_the_same_blocks_and_balances_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("chain"), folder.path().join("copy"));
    let (chain, replayed) = open(&path).unwrap();
    assert_eq!(replayed, Replayed::default());
    let ledger = deploy(&chain).await;
    for value in [5, 0, 6] {
        keep(&ledger, value).await;
    }
    chain.mine_empty().unwrap();
    assert_eq!(chain.reorganise(2).unwrap(), 1);
    let before = fingerprint(ledger.provider()).await;
    fs::copy(&path, &copy).unwrap();
    let (chain, replayed) = open(&copy).unwrap();
    assert_eq!(replayed, Replayed { records: 7, cut_bytes: 0 });
    let ledger = Ledger::new(*ledger.address(), chain.provider(signer(0)));
    assert_eq!(fingerprint(ledger.provider()).await, before);
    assert_eq!(ledger.kept().call().await.unwrap().to::<u64>(), 6);
    assert_eq!(keep(&ledger, 9).await, 5);
}

#[test]
fn a_torn_last_record_is_cut_at_any_byte_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let (chain, _) = open(&path).unwrap();
    let mut ends = vec![fs::metadata(&path).unwrap().len()];
    for _ in 0..2 {
        chain.mine_empty().unwrap();
        ends.push(fs::metadata(&path).unwrap().len());
    }
    drop(chain);
    let whole = fs::read(&path).unwrap();
    for length in ends[1] + 1..ends[2] {
        fs::write(&path, &whole[..length as usize]).unwrap();
        let (chain, replayed) = open(&path).unwrap();
        assert_eq!(replayed, Replayed { records: 1, cut_bytes: length - ends[1] });
        chain.mine_empty().unwrap();
        drop(chain);
        assert_eq!(open(&path).unwrap().1, Replayed { records: 2, cut_bytes: 0 });
    }
}

#[test]
fn a_genesis_beyond_the_limit_is_refused_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let account =
        |number: u64| alloy::primitives::Address::left_padding_from(&number.to_be_bytes());
    let crowd = Genesis::funding((0..140_000).map(account));
    let refused = DevChain::open(&path, crowd, Limits::default(), Hand::new().clock()).err();
    let Some(OpenError::GenesisTooLarge { max, found, .. }) = refused else {
        panic!("expected a refusal for its size")
    };
    assert!(max == 8 << 20 && found > max);
    assert!(!path.exists(), "what is refused leaves nothing behind");
}

#[test]
fn a_torn_header_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    drop(open(&path).unwrap());
    let whole = fs::read(&path).unwrap();
    for length in [1, 8, 15, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(open(&path).unwrap().1, Replayed { records: 0, cut_bytes: length as u64 });
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_record_names_that_record_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let (chain, _) = open(&path).unwrap();
    let mut ends = vec![fs::metadata(&path).unwrap().len() as usize];
    for _ in 0..3 {
        chain.mine_empty().unwrap();
        ends.push(fs::metadata(&path).unwrap().len() as usize);
    }
    drop(chain);
    let whole = fs::read(&path).unwrap();
    for at in ends[0]..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 1 << (at % 8);
        fs::write(&path, &broken).unwrap();
        let expected = ends.iter().filter(|end| **end <= at).count();
        match open(&path).map(|_| ()).unwrap_err() {
            OpenError::Record { record, offset, .. } => {
                assert_eq!((record as usize, offset as usize), (expected, ends[expected - 1]));
            }
            other => panic!("byte {at}: {other}"),
        }
        assert_eq!(fs::read(&path).unwrap(), broken);
    }
}

#[test]
fn a_record_that_does_not_fit_the_chain_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let (chain, _) = open(&path).unwrap();
    let start = fs::metadata(&path).unwrap().len() as usize;
    chain.mine_empty().unwrap();
    drop(chain);
    let mut twice = fs::read(&path).unwrap();
    twice.extend_from_within(start..);
    fs::write(&path, &twice).unwrap();
    let error = open(&path).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Record { record: 2, .. }), "{error}");
    assert!(error.to_string().contains("expected block 0x"), "{error}");
}

#[test]
fn a_file_that_is_refused_keeps_its_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let (chain, _) = open(&path).unwrap();
    let start = fs::metadata(&path).unwrap().len() as usize;
    chain.mine_empty().unwrap();
    drop(chain);
    let whole = fs::read(&path).unwrap();
    // The block again, which does not follow itself, and the begin of a third record.
    let torn = [&whole[..], &whole[start..], &whole[start..start + 7]].concat();
    fs::write(&path, &torn).unwrap();
    let error = open(&path).map(|_| ()).unwrap_err();
    assert!(matches!(error, OpenError::Record { record: 2, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), torn, "nothing is cut from what is refused");
    // The same of another genesis.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let other = Genesis { chain_id: 1_337, ..genesis() };
    let opened = DevChain::open(&path, other, Limits::default(), Hand::new().clock());
    assert!(matches!(opened.map(|_| ()), Err(OpenError::Genesis { .. })));
    assert_eq!(fs::read(&path).unwrap(), whole[..whole.len() - 1]);
}

#[test]
fn a_journal_of_another_genesis_is_refused_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    drop(open(&path).unwrap());
    let other = Genesis { chain_id: 1_337, ..genesis() };
    let opened = DevChain::open(&path, other, Limits::default(), Hand::new().clock());
    match opened.map(|_| ()).unwrap_err() {
        OpenError::Genesis { expected, found, .. } => {
            assert!(expected.contains("\"chain_id\":1337,"), "{expected}");
            assert!(found.contains("\"chain_id\":31337,"), "{found}");
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    fs::write(&path, "somebody's notes").unwrap();
    // Before a byte is read: a file that others may read is not taken for the chain's.
    assert!(matches!(open(&path).map(|_| ()).unwrap_err(), OpenError::Io { .. }));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(open(&path).map(|_| ()).unwrap_err(), OpenError::Header { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"somebody's notes");
}

#[test]
fn a_journal_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let first = open(&path).unwrap();
    assert!(matches!(open(&path).map(|_| ()).unwrap_err(), OpenError::Busy { .. }));
    drop(first);
    open(&path).unwrap();
}

/// A caller that gives up leaves its request running. The clock holds that request until it is
/// known to run, and again until somebody waits for it.
#[tokio::test]
async fn a_request_that_was_given_up_is_waited_for_before_the_chain_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain");
    let gate = Arc::new(Barrier::new(2));
    let held = gate.clone();
    let clock = Arc::new(move || {
        held.wait();
        held.wait();
        1_700_000_000
    });
    let (chain, _) = DevChain::open(&path, genesis(), Limits::default(), clock).unwrap();
    let provider = chain.provider(signer(0));
    let request = tokio::spawn(async move { provider.get_block_number().await });
    let runs = gate.clone();
    tokio::task::spawn_blocking(move || runs.wait()).await.unwrap();
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());

    let mut answered = Box::pin(chain.answered());
    tokio::select! {
        biased;
        () = &mut answered => panic!("expected it to wait for the request"),
        () = std::future::ready(()) => {}
    }
    tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
    answered.await;
    drop(chain);
    open(&path).unwrap();
}
