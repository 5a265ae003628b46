//! The power is cut while frames are journaled, files of the journal are left, archived and made of
//! each other, and snapshots and the index of stored frames are written: both disks lose it
//! together, at any call.
//! What was acknowledged is there, the state is the one that the journal makes, and what the index
//! says is where it says.
//!
//! Two thousand images at each run of the tests; by command as many as somebody has time for:
//! ```text
//! VITALS_POWER_CUT_IMAGES=100000 cargo test --release -p sequencer --lib power_cut -- --nocapture
//! ```

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::Mutex;

use journal::fault::{Cut, FaultArchive, FaultMedium, Files, Power, salts};
use journal::{Admission as _, Genesis, Log};
use model::{BatchNumber, GatewayId, Interval, Millis};
use statement::journal::genesis;
use wire::StreamKey;

use super::snapshots::told;
use super::support::{Nowhere, Site};
use crate::folder::snapshots::fault::FaultySnapshots;
use crate::folder::snapshots::{Binding, INDEX, SnapshotMedium as _};
use crate::node::recover::Recovery;
use crate::node::snapshots::Snapshots;
use crate::node::snapshotter::{Behind, Frozen, Pace, SnapshotWriter, WhileAbsorbing};
use crate::node::*;
use crate::stages::ledger::{Answer, KeepState, Kept, LedgerAdmission, LedgerConfig};

/// Frames of the script: more than two nodes of the index hold.
const FRAMES: u64 = 150;
/// Frames of a group, one after the other.
const GROUPS: [u64; 4] = [1, 4, 2, 6];
/// Frames of a window.
const WINDOW: u64 = 40;
const GROUP_MS: u64 = 5_000;
/// Entries between two snapshots, and groups between two writes of the index alone.
const SNAPSHOT_EVERY: u64 = 24;
const INDEX_EVERY: u64 = 3;
/// Files of the journal are left after every few groups, and as long as each other.
const FILE_BYTES: (u64, u64) = (2_048, 2_048);

/// How many images there are in all.
fn images() -> u64 {
    std::env::var("VITALS_POWER_CUT_IMAGES").map_or(2_000, |images| images.parse().unwrap())
}

/// The disks of a node, which lose power together.
struct Disks {
    journal: FaultMedium,
    snapshots: FaultySnapshots,
    power: Power,
    /// Elsewhere: it has power.
    archive: FaultArchive,
}

impl Disks {
    fn of(journal: FaultMedium, snapshots: FaultySnapshots, archive: FaultArchive) -> Disks {
        let power = Power::default();
        let journal = journal.powered_by(&power).with_archive(Arc::new(archive.clone()));
        let snapshots = snapshots.powered_by(&power);
        Disks { journal, snapshots, power, archive }
    }

    /// With this journal, durably, and without snapshots.
    fn holding(journal: &Files) -> Disks {
        let journal = FaultMedium::holding(journal.clone());
        let journal = journal.with_lengths(FILE_BYTES.0, FILE_BYTES.1);
        Disks::of(journal, FaultySnapshots::default(), FaultArchive::default())
    }

    fn after_power_cut(&self, cut: Cut, seed: u64) -> Disks {
        let journal = self.journal.after_power_cut(cut, seed);
        let snapshots = self.snapshots.after_power_cut(cut, seed.wrapping_add(1 << 32));
        // What one image goes on to archive the others do not have.
        Disks::of(journal, snapshots, self.archive.copy())
    }
}

/// A frame, as it is submitted again and again.
struct Sent {
    gateway: GatewayId,
    key: StreamKey,
    frame: wire::Frame,
    measured: Interval,
}

impl Sent {
    fn item(&self) -> Item {
        let Sent { gateway, key, frame, measured } = self;
        let (gateway, key, frame) = (gateway.clone(), key.clone(), frame.clone());
        Item::Frame { gateway, key, frame, measured: *measured }
    }
}

/// What is scripted: a patient who consented, and frames of one monitor.
struct Script {
    /// Its folder goes with it.
    _site: Site,
    config: LedgerConfig,
    genesis: Genesis,
    store: Arc<Store>,
    /// The journal up to the first frame.
    begun: Files,
    frames: Vec<Sent>,
    begin: Millis,
    /// The state that a journal makes, by its last hash.
    states: Mutex<HashMap<[u8; 32], Arc<Vec<u8>>>>,
}

/// What somebody was promised.
#[derive(Clone, Default, Debug)]
struct Acknowledged {
    group: u64,
    /// Position of each frame, by its sequence.
    frames: BTreeMap<u64, u64>,
}

/// Writes snapshots where a node's thread would, but at once.
struct KeepNow {
    writer: SnapshotWriter,
    last: u64,
}

impl KeepState for KeepNow {
    fn look(&mut self, Kept { ledger, committed, close_group }: Kept<'_>) {
        let nodes = ledger.frame_nodes();
        if committed.last - self.last >= SNAPSHOT_EVERY {
            let (group, position) = (committed.group, committed.last);
            let journal_hash = committed.journal_hash;
            let place = Behind { group, position, journal_hash, close_group };
            self.writer.try_write(Frozen::of(ledger, place), nodes);
            self.last = position;
        } else if committed.group.is_multiple_of(INDEX_EVERY) {
            // What could not be written waits.
            drop(nodes.write_waiting());
        }
    }
}

/// Journal, ledger and snapshots of a node, without its threads.
struct Running {
    log: Log<FaultMedium>,
    admission: LedgerAdmission<Nowhere>,
    /// The position of the snapshot that it began with.
    from: u64,
    archive: FaultArchive,
}

impl Script {
    async fn new() -> Script {
        let site = Site::new().await;
        let (log, _) = site.open_log();
        let (config, log_id) = (site.ledger_config(), log.reader().log_id());
        let genesis = Genesis { log_id, journal_hash: genesis(site.deployment.scope()) };
        let medium = FaultMedium::default().with_lengths(FILE_BYTES.0, FILE_BYTES.1);
        let (mut copy, _) = Log::open(medium.clone(), genesis, salts()).unwrap();
        for group in 1..=log.head().group {
            copy.append(&log.reader().group(group).unwrap().entries).unwrap();
        }
        let store = Arc::new(Store::open(&site.beside("other store")).unwrap());
        let sent = |sequence| {
            let Item::Frame { gateway, key, frame, measured } = site.frame(sequence) else {
                unreachable!("the site makes frames")
            };
            Sent { gateway, key, frame, measured }
        };
        let frames = (1..=FRAMES).map(sent).collect();
        let (begun, begin, states) = (medium.files(), site.clock.now(), Mutex::default());
        Script { config, genesis, store, begun, frames, begin, states, _site: site }
    }

    /// Starts on these disks, as a node does.
    fn open(&self, disks: &Disks) -> Result<Running, Box<dyn Error>> {
        let (log, _) = Log::open(disks.journal.clone(), self.genesis, salts())?;
        let Genesis { log_id, journal_hash } = self.genesis;
        let binding = Binding { genesis: journal_hash, log_id };
        let snapshots = Snapshots::on(Arc::new(disks.snapshots.clone()), binding)?;
        let recovery = Recovery {
            log: &log,
            config: &self.config,
            snapshots: &snapshots,
            assembled: BatchNumber(0),
            assembled_group: Some(0),
            windows_max: 100,
            indexed: true,
        };
        let begun = recovery.start()?;
        let from = begun.position();
        let (store, seal) = (self.store.clone(), self.config.seal.clone());
        let mut writer = SnapshotWriter::new(snapshots.clone(), seal, store, told());
        writer.started_from(from)?;
        let mut absorbing =
            WhileAbsorbing::new(log.reader(), &mut writer, Pace::of(SNAPSHOT_EVERY));
        let recovered = recovery.absorb(begun, &mut |ledger, done| absorbing.look(ledger, done))?;
        let last = writer.position();
        let admission = LedgerAdmission::new(recovered.ledger, Nowhere, recovered.close_group);
        let admission = admission.kept_by(Some(KeepNow { writer, last }));
        Ok(Running { log, admission, from, archive: disks.archive.clone() })
    }

    /// Runs the script from its first frame on, until the power fails or it is at its end.
    fn run(&self, disks: &Disks) -> Acknowledged {
        let mut acknowledged = Acknowledged::default();
        // A start that fails has promised nothing.
        if let Ok(mut running) = self.open(disks) {
            self.go_on(&mut running, &mut acknowledged);
        }
        acknowledged
    }

    /// Goes on behind the last frame that was acknowledged; says whether it came to its end.
    fn go_on(&self, running: &mut Running, acknowledged: &mut Acknowledged) -> bool {
        let mut next = acknowledged.frames.keys().last().map_or(1, |last| last + 1);
        while next <= FRAMES {
            let step = running.log.head().group;
            if step.is_multiple_of(2) {
                // A failure is the writer's to meet, and the archive comes again.
                drop(running.log.make_ahead());
                drop(running.archive.put_files_away(&running.log.reader()));
            }
            let frames = next..=FRAMES.min(next + GROUPS[(step % 4) as usize] - 1);
            next = frames.end() + 1;
            if !self.append(running, frames, acknowledged) {
                return false;
            }
        }
        true
    }

    /// Submits frames as one group; says whether it is durable.
    fn append(
        &self,
        running: &mut Running,
        sequences: std::ops::RangeInclusive<u64>,
        acknowledged: &mut Acknowledged,
    ) -> bool {
        let Running { log, admission, .. } = running;
        let now = self.begin.get() + sequences.start() * GROUP_MS;
        let (mut group, mut stored) = (log.builder(now), BTreeMap::new());
        for sequence in sequences {
            let item = self.frames[sequence as usize - 1].item();
            let position = match admission.admit(group.now(), item, &mut group) {
                Answer::FrameStored => group.next_position() - 1,
                // Durable, and the power failed before anybody was told.
                Answer::FrameDuplicate { place, .. } => place.find().unwrap().0,
                other => panic!("frame {sequence}: {other:?}"),
            };
            stored.insert(sequence, position);
            if sequence.is_multiple_of(WINDOW) {
                admission.admit(group.now(), Item::Close, &mut group);
            }
        }
        if !group.is_empty() {
            let Ok(committed) = log.append_built(group) else { return false };
            admission.committed(&committed);
            acknowledged.group = committed.group;
        }
        acknowledged.frames.extend(stored);
        true
    }

    /// The state that a journal makes from its first entry on.
    fn state_of(&self, log: &Log<FaultMedium>) -> Arc<Vec<u8>> {
        let hash = log.head().journal_hash;
        if let Some(state) = self.states.lock().unwrap().get(&hash) {
            return state.clone();
        }
        let state = Arc::new(stepped::state_of(log, &self.config).unwrap());
        self.states.lock().unwrap().insert(hash, state.clone());
        state
    }

    /// Opens what a power cut left; all that was promised is there. Says what was begun with.
    fn check(&self, disks: &Disks, acknowledged: &Acknowledged) -> Result<Running, String> {
        let mut running = self.open(disks).map_err(|error| format!("does not start: {error}"))?;
        let Running { log, admission, .. } = &mut running;
        if log.head().group < acknowledged.group {
            return Err(format!("ends with group {}, {acknowledged:?}", log.head().group));
        }
        if admission.ledger().freeze().to_bytes() != *self.state_of(log) {
            return Err("another state than the journal makes".to_owned());
        }
        let mut group = log.builder(self.begin.get());
        for (sequence, position) in &acknowledged.frames {
            let item = self.frames[*sequence as usize - 1].item();
            let answer = admission.admit(group.now(), item, &mut group);
            let Answer::FrameDuplicate { place, .. } = answer else {
                return Err(format!("frame {sequence} is not stored: {answer:?}"));
            };
            let found = place.find().map_err(|error| format!("frame {sequence}: {error}"))?;
            if found != Position(*position) {
                return Err(format!("frame {sequence} at {found:?}, not {position}"));
            }
        }
        Ok(running)
    }

    /// Goes on to the end on what a power cut left; then all of it is durable.
    fn check_goes_on(&self, disks: &Disks, mut running: Running, acknowledged: &Acknowledged) {
        let mut all = acknowledged.clone();
        assert!(self.go_on(&mut running, &mut all) && all.frames.len() == FRAMES as usize);
        drop(running);
        self.check(&disks.after_power_cut(Cut::Drop, 0), &all).unwrap();
    }
}

/// Calls of the whole script.
fn calls_of(script: &Script) -> u64 {
    let disks = Disks::holding(&script.begun);
    let acknowledged = script.run(&disks);
    assert_eq!(acknowledged.frames.len(), FRAMES as usize);
    let files = disks.journal.files().len();
    assert!(files > 5, "expected a script that leaves files of the journal, found {files}");
    let archived = disks.archive.objects().len();
    assert!(archived > 5, "expected a script that archives files, found {archived}");
    disks.power.calls()
}

/// What images showed.
#[derive(Default, Debug)]
struct Seen {
    images: u64,
    from_a_snapshot: u64,
    cut_twice: u64,
    went_on: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_at_any_write_journal_snapshots_and_index_are_one_story() {
    let script = Script::new().await;
    let calls = calls_of(&script);
    let (each, mut seen) = (images().div_ceil(calls), Seen::default());
    for call in 1..=calls {
        let disks = Disks::holding(&script.begun);
        disks.power.off_at(call);
        let acknowledged = script.run(&disks);
        for number in 0..each {
            let seed = call * 1_000_003 + number;
            cut(&script, (&disks, seed), acknowledged.clone(), &mut seen)
                .unwrap_or_else(|error| panic!("call {call} of {calls}, seed {seed}: {error}"));
        }
    }
    println!("{calls} calls; {seen:?}");
    assert!(seen.images >= images() && seen.cut_twice > seen.images / 4, "{seen:?}");
    assert!(seen.from_a_snapshot > seen.images / 2, "{seen:?}");
}

/// One image; of every second one the power is cut again while it starts or goes on.
fn cut(
    script: &Script,
    (disks, seed): (&Disks, u64),
    mut acknowledged: Acknowledged,
    seen: &mut Seen,
) -> Result<(), String> {
    let mut image = disks.after_power_cut(Cut::ALL[(seed % 5) as usize], seed);
    if seed.is_multiple_of(2) {
        image.power.off_at(1 + seed / 2 % 48);
        // What fails is the power alone: a start without it says so, and one with it goes on.
        if let Ok(mut running) = script.open(&image) {
            script.go_on(&mut running, &mut acknowledged);
        } else if !image.power.is_off() {
            return Err("does not start".to_owned());
        }
        image = image.after_power_cut(Cut::ALL[(seed / 7 % 5) as usize], seed + 1);
        seen.cut_twice += 1;
    }
    let running = script.check(&image, &acknowledged)?;
    seen.images += 1;
    seen.from_a_snapshot += u64::from(running.from > 0);
    if seed.is_multiple_of(8) || seed % 8 == 3 {
        script.check_goes_on(&image, running, &acknowledged);
        seen.went_on += 1;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_call_of_either_disk_may_fail_and_nothing_that_was_acknowledged_is_lost() {
    let script = Script::new().await;
    for call in 1..=calls_of(&script) {
        let disks = Disks::holding(&script.begun);
        disks.power.fail_at(call);
        let mut acknowledged = script.run(&disks);
        // The writer's own failure ends it; one of a snapshot is only told.
        let running = script.check(&disks, &acknowledged);
        let mut running = running.unwrap_or_else(|error| panic!("call {call}: {error}"));
        assert!(script.go_on(&mut running, &mut acknowledged), "call {call}");
        drop(running);
        let again = script.check(&disks.after_power_cut(Cut::Drop, 0), &acknowledged);
        again.unwrap_or_else(|error| panic!("call {call}, after a power cut: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_byte_of_snapshots_and_index_is_another_no_frame_is_found_where_it_is_not() {
    let script = Script::new().await;
    let disks = Disks::holding(&script.begun);
    let acknowledged = script.run(&disks);
    let mut seen = (0, 0, 0);
    for name in disks.snapshots.names().unwrap() {
        // Of snapshots alone every byte is tried elsewhere.
        let step = if name == INDEX { 1 } else { 11 };
        for at in (0..disks.snapshots.len(&name).unwrap() as usize).step_by(step) {
            let (journal, archive) = (disks.journal.clone(), disks.archive.clone());
            let damaged = Disks::of(journal, disks.snapshots.copy(), archive);
            damaged.snapshots.flip(&name, at).unwrap();
            // A snapshot is passed over; the index is found out when it is read.
            match script.check(&damaged, &acknowledged) {
                Ok(running) if running.from == 0 => seen.0 += 1,
                Ok(_) => seen.1 += 1,
                Err(error) => {
                    assert!(name == INDEX && error.contains("were written"), "{name}: {error}");
                    seen.2 += 1;
                }
            }
        }
    }
    assert!(seen.0 > 0 && seen.1 > 0 && seen.2 > 0, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_and_freed_again_costs_no_frame() {
    let script = Script::new().await;
    for room in (0..20_000).step_by(500) {
        // Of the snapshots: the journal goes on, and the next start has longer to absorb.
        let disks = Disks::holding(&script.begun);
        script.open(&disks).unwrap();
        disks.snapshots.limit_room(64 + room);
        let acknowledged = script.run(&disks);
        assert_eq!(acknowledged.frames.len(), FRAMES as usize, "room for {room} bytes");
        disks.snapshots.limit_room(u64::MAX);
        script.check(&disks.after_power_cut(Cut::Tear, room), &acknowledged).unwrap();
        script.check(&disks, &acknowledged).unwrap();
        // Of the journal: nothing is acknowledged that it has no room for.
        let disks = Disks::holding(&script.begun);
        disks.journal.limit_room(4_000 + 3 * room);
        let acknowledged = script.run(&disks);
        disks.journal.limit_room(u64::MAX);
        let running = script.check(&disks, &acknowledged).unwrap();
        script.check_goes_on(&disks, running, &acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn these_tests_notice_disks_that_lie_about_syncing() {
    let script = Script::new().await;
    for lying_journal in [true, false] {
        let disks = Disks::holding(&script.begun);
        let disks = match lying_journal {
            true => Disks::of(disks.journal.lying(), disks.snapshots, disks.archive),
            false => {
                disks.snapshots.lie_about(INDEX);
                disks
            }
        };
        let acknowledged = script.run(&disks);
        assert_eq!(acknowledged.frames.len(), FRAMES as usize);
        // Nobody relies on snapshots: a start makes all of it again, whatever they lost, unless
        // nodes of the index are missing below a snapshot that is whole.
        let cuts = Cut::ALL.iter().flat_map(|cut| (0..8).map(move |seed| (*cut, seed)));
        let noticed = cuts.filter(|(cut, seed)| {
            script.check(&disks.after_power_cut(*cut, *seed), &acknowledged).is_err()
        });
        let noticed = noticed.count();
        let expected = if lying_journal { 16 } else { 1 };
        assert!(noticed >= expected, "{noticed} noticed, lying journal: {lying_journal}");
    }
}
