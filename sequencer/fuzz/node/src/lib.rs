//! Decoders of the node alone, as functions of bytes. They panic only where something that must
//! hold does not.

use std::path::Path;

use ::archive::{Chain, Manifest};
use model::{ChainScope, Millis, Word, with_causes};
use sequencer::doors::config::Config;
use sequencer::doors::memory::Memory;
use sequencer::stages::ledger::{BodySeal, EnrolmentSeal, FrameNodes, Ledger, LedgerConfig};
use sequencer::window::{Cadence, WindowLimits};

/// What stands in samples where an address holds a key.
pub const SECRET: &str = "k3y-of-a-provider";
/// What is shown in place of such a key.
const HIDDEN: &str = "<hidden>";

/// The text of a configuration.
///
/// # Panics
/// If one that is accepted is another one once it is written and read again, if the sum of its
/// limits cannot be told, or if an error or what is written shows the key of a chain's address.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = Path::new("sequencer.toml");
    match Config::parse(path, text) {
        Ok(config) => {
            let written = config.to_toml();
            // What is hidden is read back by nobody.
            if written.contains(HIDDEN) {
                assert!(!written.contains(SECRET), "{written}");
            } else {
                let again = Config::parse(path, &written);
                assert_eq!(again.expect("what is accepted is accepted as it is written"), config);
            }
            let _ = (Memory::of(&config).check(), config.effective(), config.cadence());
        }
        Err(error) => {
            // In a line of another key it is no secret, and the error may say what it found.
            let at_home = |line: &str| !line.contains(SECRET) || line.starts_with("rpc = ");
            let said = with_causes(&error);
            assert!(!said.contains(SECRET) || !text.lines().all(at_home), "{said}");
        }
    }
}

/// What a ledger is bound to: nothing that a state says.
pub fn ledger_config() -> LedgerConfig {
    LedgerConfig {
        scope: ChainScope { chain_id: 31_337, contract: [7; 20] },
        registrar_key_hash: Word::from_u64(1),
        genesis_time: Millis::default(),
        limits: WindowLimits::default(),
        cadence: Cadence::new(60_000, 3_600_000),
        released_frames_max: 100,
        clock_skew_ms_max: 60_000,
        seal: EnrolmentSeal::new(&[9; 32]),
        bodies: BodySeal::keyless([8; 16]),
    }
}

/// The state of a ledger, as a snapshot holds it once it is opened.
///
/// # Panics
/// If one that is read has another encoding than its bytes.
pub fn ledger_state(bytes: &[u8]) {
    if let Ok(ledger) = Ledger::restore(ledger_config(), bytes, FrameNodes::forgotten) {
        let again = ledger.freeze().to_bytes();
        // A state of the version before is written as one of this.
        if bytes.first() == again.first() {
            assert_eq!(again, bytes, "one state, one encoding");
        }
    }
}

/// Where a manifest names the journal that it is of.
const GENESIS_AT: std::ops::Range<usize> = 12..44;

/// A manifest of an archive: the bytes as they are, and with a right hash behind them, as the first
/// of an archive that is of the journal which they name.
///
/// # Panics
/// If one that is read has another encoding than its bytes, or if a row takes one in that does not
/// begin it, or takes it twice.
pub fn archive_manifest(bytes: &[u8]) {
    check_manifest(bytes);
    let hash = blake3::hash(bytes);
    let whole = [bytes, hash.as_bytes()].concat();
    check_manifest(&whole);
    let named = bytes.get(GENESIS_AT).and_then(|genesis| genesis.try_into().ok());
    let Some(genesis) = named else { return };
    let (before, mut chain) = (Chain::new(genesis), Chain::new(genesis));
    let Ok(manifest) = chain.take(&whole) else {
        assert_eq!(chain, before, "what is refused changes nothing");
        return;
    };
    let last = manifest.files.last().map_or(0, |file| file.file);
    assert_eq!((chain.number(), last), (1, manifest.files.len() as u64), "from 1, without a gap");
    assert_eq!(chain.last_batch(), manifest.batches.len() as u64, "from 1, without a gap");
    assert!(chain.take(&whole).is_err(), "it is taken once");
    let next = chain.next(Vec::new(), Vec::new()).to_bytes();
    assert!(chain.take(&next).is_ok(), "a row goes on");
}

fn check_manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::from_bytes(bytes) {
        assert_eq!(manifest.to_bytes(), bytes, "one manifest, one encoding");
    }
}
