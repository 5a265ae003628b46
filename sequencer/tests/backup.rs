//! A node that is backed up while it takes readings, and what becomes of the backup: restored, cut,
//! damaged, old.

use std::convert::Infallible;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use model::{BatchNumber, EpochNumber, RejectCode, Sequence, StreamHandle};
use sequencer::disk::FreeSpace;
use sequencer::doors::admin::ask;
use sequencer::folder::backup::{BackupFolder, EndRecord, Line, Lines};
use sequencer::folder::layout::Layout;
use sequencer::folder::store::FileDigest;
use sequencer::node::Node;
use sequencer::node::backup::{
    BackupError, JournalEnd, Pace, Pin, Prepared, RestoreError, RestoreTerms, Source, Stopped,
    Terms, restore,
};
use sequencer::node::loss::{AcceptedLoss, LossError, LossTerms, Shown};
use sequencer::stages::ledger::{Answer, Item};
use wire::{DeviceTime, Entry, Frame, FramePlace, Reading, SignedReceipt};

use crate::loss::{Gateway, check_held, offline, terms};
use crate::support::{Site, check_settled, close_and_settle, gateway, stream_key};

fn sequencer(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sequencer")).args(args).output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, words: &str) {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "expected {words:?} in {said:?}");
}

/// As [`terms`], for a backup of which nobody has a later receipt.
fn waived() -> LossTerms<'static> {
    LossTerms { shown: Shown::Waived, ..terms() }
}

/// The folders of a backup beside a site.
struct Folders {
    node: String,
    to: String,
    secrets: String,
    restored: String,
}

impl Folders {
    fn of(site: &Site) -> Folders {
        let text = |path: PathBuf| path.display().to_string();
        Folders {
            node: text(site.layout.folder().to_owned()),
            to: text(site.beside("backup")),
            secrets: text(site.beside("secrets")),
            restored: text(site.beside("restored")),
        }
    }

    fn backup(&self) -> Vec<&str> {
        let Folders { node, to, secrets, .. } = self;
        vec!["backup", to, "--dir", node, "--secrets-to", secrets, "--rate", "0"]
    }

    fn restore(&self, more: &[&str]) -> Output {
        let Folders { to, secrets, restored, .. } = self;
        let args = ["restore", to, "--dir", restored, "--secrets", secrets];
        let output = sequencer(&[&args, more].concat());
        if output.status.success() {
            self.attach_keys();
        }
        output
    }

    /// The disk of the key folder is another one, and is put beside what was restored.
    fn attach_keys(&self) {
        let lost = Path::new(&self.to).with_file_name("lost");
        let there = [Path::new(&self.node), &lost].map(|it| it.join("body-keys"));
        let from = there.iter().find(|folder| folder.exists()).expect("a key folder");
        let to = Path::new(&self.restored).join("body-keys");
        std::fs::DirBuilder::new().mode(0o700).create(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }

    fn end(&self) -> EndRecord {
        let to = BackupFolder::new(Path::new(&self.to));
        EndRecord::read(&to.end()).unwrap().expect("a backup that is whole")
    }

    fn lines(&self) -> Vec<Line> {
        let manifest = BackupFolder::new(Path::new(&self.to)).manifest();
        Lines::new(std::fs::read(manifest).unwrap().as_slice()).map(Result::unwrap).collect()
    }

    /// Nothing of a restore is left, neither under its name nor beside it.
    #[track_caller]
    fn check_nothing_restored(&self) {
        let beside = format!("{}.restoring", self.restored);
        for path in [&self.restored, &beside] {
            assert!(!Path::new(path).exists(), "{path}");
        }
    }
}

/// Submits one frame after the other.
async fn load(site: &Site, node: &Node, from: u64) -> Infallible {
    let mut sequence = from;
    loop {
        let answer = node.submit(site.frame(sequence)).await.unwrap();
        assert!(matches!(answer, Answer::FrameStored), "{answer:?}");
        sequence += 1;
    }
}

/// A site with one settled batch and an open window.
async fn used_site() -> (Site, Node) {
    let site = Site::new().await;
    let (node, edge) = site.start().await;
    node.submit(site.frame(1)).await.unwrap();
    close_and_settle(&node).await;
    drop(edge);
    node.submit(site.frame(2)).await.unwrap();
    (site, node)
}

/// A backup of a stopped node with one settled batch.
async fn backed_up() -> (Site, Folders) {
    let (site, node) = used_site().await;
    node.stop().await.unwrap();
    let folders = Folders::of(&site);
    check(&sequencer(&folders.backup()), 0, "up to group");
    (site, folders)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_backed_up_while_it_takes_readings_and_goes_on_from_there_in_a_new_term() {
    let (mut site, node) = used_site().await;
    let folders = Folders::of(&site);
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_sequencer"));
    program.args(folders.backup()).arg("--json");
    let output = tokio::select! {
        never = load(&site, &node, 3) => match never {},
        output = program.output() => output.unwrap(),
    };
    check(&output, 0, "vitals-backup-taken-1");
    assert!(!site.layout.store().join("pinned.redb").exists(), "the copy of the rows is taken");
    // What is settled after the backup stands on the chain of the backup no more: it is embedded.
    node.stop().await.unwrap();
    let end = folders.end();
    let (log, _) = site.open_log();
    assert!(log.head().group >= end.group);
    assert_eq!(log.group(end.group).unwrap().journal_hash, end.journal_hash);
    drop(log);

    let restored = folders.restore(&["--verify"]);
    check(&restored, 0, "1 batches are of this journal, 0 closed windows");
    check(&restored, 0, "--accept-loss");
    let checked = sequencer(&["journal", "check", "--dir", &folders.restored]);
    check(&checked, 1, "all hold");
    check(&checked, 1, "this folder was restored from a backup");
    site.layout = Layout::new(Path::new(&folders.restored));
    let (node, edge) = site.start().await;
    let ends = format!("a backup that ends at group {}, position {}", end.group, end.position);
    check_held(&site, &node, &ends).await;
    drop(edge);
    node.stop().await.unwrap();
    let refused = offline(&site).await.accept_loss(terms(), site.clock.clone()).await;
    assert!(matches!(refused, Err(LossError::NoneShown)), "nobody came: {refused:?}");
    // Of a folder that waits for this no backup is taken: it would not know what it lacks.
    let other = site.beside("other").display().to_string();
    check(&sequencer(&["backup", &other, "--dir", &folders.restored]), 1, "mend that first");
    let accepted = offline(&site).await.accept_loss(waived(), site.clock.clone()).await.unwrap();
    assert_eq!(accepted.gap.term, 1);
    assert!(accepted.place.group > end.group + (1 << 24), "{:?}", accepted.place);
    assert!(!site.layout.restored().exists());
    let (node, edge) = site.start().await;
    let last = node.submit(site.frame(2)).await.unwrap();
    assert!(matches!(last, Answer::FrameDuplicate { .. }), "it is in the backup: {last:?}");
    // The window that holds the gap closed at the first item behind it.
    assert_eq!(close_and_settle(&node).await, 3);
    check_settled(&edge, node.store(), 3).await;
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_send_again_what_an_old_backup_lacks() {
    let mut site = Site::new().await;
    let folders = Folders::of(&site);
    let (node, edge) = site.start().await;
    drop(edge);
    let receipts = Arc::default();
    let before = {
        let gateway = Gateway { site: &site, receipts: Arc::clone(&receipts) };
        let connection = gateway.connect(&node).await.unwrap();
        gateway.send(&connection, 1, 3).await;
        check(&sequencer(&folders.backup()), 0, "up to group");
        let before = gateway.newest().receipt.group.group;
        gateway.send(&connection, 2, 5).await;
        connection.close().await;
        before
    };
    node.stop().await.unwrap();
    let end = folders.end();
    assert!(end.group >= before);
    std::fs::rename(site.layout.folder(), site.beside("lost")).unwrap();
    check(&folders.restore(&[]), 0, "up to group");
    site.layout = Layout::new(Path::new(&folders.restored));

    let gateway = Gateway { site: &site, receipts };
    let lost = gateway.newest().receipt.group;
    assert!(lost.group > end.group);
    let (node, edge) = site.start().await;
    let told = gateway.connect(&node).await.map(drop);
    let code = client::ConnectionError::Closed { code: RejectCode::History };
    assert_eq!(format!("{:?}", told.unwrap_err()), format!("{code:?}"));
    drop(edge);
    node.stop().await.unwrap();
    assert_eq!(std::fs::read_dir(site.layout.evidence()).unwrap().count(), 1, "it is kept");
    let accepted = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!(accepted.gap.known.group, lost.group, "the receipt says how far it went");
    assert_eq!(accepted.lacked.len(), 2, "the mark and the receipt");

    let (node, edge) = site.start().await;
    let connection = gateway.connect(&node).await.unwrap();
    assert_eq!((connection.counts().term, connection.counts().losses_accepted), (1, 1));
    // Opened again, the stream goes on behind what the backup has of it: nothing.
    gateway.send(&connection, 2, 1).await;
    assert_eq!(connection.counts().readings_restored, 5, "what had receipts goes again");
    connection.close().await;
    drop(edge);
    node.stop().await.unwrap();
    let (log, _) = site.open_log();
    let stored = site.entries(&log).into_iter().filter_map(|(_, entry)| match entry {
        Entry::Frame(frame) => Some((frame.epoch().0, frame.sequence().0)),
        _ => None,
    });
    let stored: Vec<_> = stored.collect();
    let each_once = (1..=3).map(|n| (1, n)).chain((1..=6).map(|n| (2, n)));
    assert_eq!(stored, each_once.collect::<Vec<_>>());
    drop(log);

    let receipts = gateway.receipts;
    check_restored_again(Restored { site, folders, receipts }, &accepted).await;
}

/// A node that was restored, and who has its receipts.
struct Restored {
    site: Site,
    folders: Folders,
    receipts: Arc<Mutex<Vec<SignedReceipt>>>,
}

/// The same backup once more: only receipts know of the term that began meanwhile.
async fn check_restored_again(restored: Restored, accepted: &AcceptedLoss) {
    let Restored { mut site, folders, receipts } = restored;
    let again = site.beside("again").display().to_string();
    let args = ["restore", &folders.to, "--dir", &again, "--secrets", &folders.secrets];
    check(&sequencer(&args), 0, "up to group");
    site.layout = Layout::new(Path::new(&again));
    let gateway = Gateway { site: &site, receipts };
    let (node, edge) = site.start().await;
    gateway.connect(&node).await.map(drop).unwrap_err();
    drop(edge);
    node.stop().await.unwrap();
    let second = offline(&site).await.accept_loss(terms(), site.clock.clone()).await.unwrap();
    assert_eq!(second.gap.term, 2, "no receipt of the first one is contradicted");
    assert!(second.place.group > accepted.place.group + (1 << 24));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_grew_past_its_backup_is_told_from_one_that_did_not() {
    let (mut site, folders) = backed_up().await;
    check(&folders.restore(&[]), 0, "up to group");
    site.layout = Layout::new(Path::new(&folders.restored));
    // Somebody takes the mark away, lets the node run, and puts it back.
    let (mark, kept) = (site.layout.restored(), site.beside("mark"));
    files::rename(&mark, &kept).unwrap();
    let (node, edge) = site.start().await;
    node.submit(site.frame(3)).await.unwrap();
    drop(edge);
    node.stop().await.unwrap();
    files::rename(&kept, &mark).unwrap();
    let (node, edge) = site.start().await;
    check_held(&site, &node, "or the journal has grown past it since").await;
    drop(edge);
    node.stop().await.unwrap();
    let other = Site::new().await;
    let foreign = other.beside("foreign");
    files::rename(&mark, &foreign).unwrap();
    files::rename(&foreign, &other.layout.restored()).unwrap();
    let error = other.start_error().await.to_string();
    assert!(error.contains("found another's"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_settled_behind_a_backup_cannot_be_given_up() {
    let (mut site, folders) = backed_up().await;
    let (node, edge) = site.start().await;
    close_and_settle(&node).await;
    drop(edge);
    node.stop().await.unwrap();
    check(&folders.restore(&[]), 0, "up to group");
    // The chain outlives the node's disk, as every chain but the embedded one does.
    let restored = Layout::new(Path::new(&folders.restored));
    std::fs::copy(site.layout.chain_journal(), restored.chain_journal()).unwrap();
    site.layout = restored;
    let (node, edge) = site.start().await;
    check_held(&site, &node, "the contract's last settled header names").await;
    drop(edge);
    node.stop().await.unwrap();
    let refused = offline(&site).await.accept_loss(terms(), site.clock.clone()).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("what is settled cannot be given up"), "{said}");
    assert!(site.layout.restored().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_a_missing_file_and_a_cut_are_found_wherever_they_are() {
    let (_site, folders) = backed_up().await;
    let copies = BackupFolder::new(Path::new(&folders.to));
    let lines = folders.lines();
    let journal = lines.iter().filter(|line| line.name.as_str().starts_with("journal/"));
    assert!(journal.count() >= 1 && lines.len() >= 6, "{lines:?}");
    let secrets = BackupFolder::new(Path::new(&folders.secrets));
    let mut files: Vec<_> = lines.iter().map(|line| line.name.below(&copies.node())).collect();
    files.extend([copies.manifest(), copies.end(), secrets.manifest(), secrets.end()]);
    files.push(secrets.node().join("keys/journal.key"));
    for file in files {
        let whole = std::fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 0x10;
        let longer = [&whole[..], b"x"].concat();
        for image in [&changed[..], &whole[..whole.len() / 2], &longer] {
            std::fs::write(&file, image).unwrap();
            check(&folders.restore(&[]), 1, name);
            folders.check_nothing_restored();
        }
        std::fs::remove_file(&file).unwrap();
        check(&folders.restore(&[]), 1, if name == "end.json" { "was cut off" } else { name });
        folders.check_nothing_restored();
        files::replace(&file, &[&whole], files::Audience::Owner).unwrap();
    }
    check(&folders.restore(&["--verify"]), 0, "verified: ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_belong_together_is_refused_and_nothing_is_written_over() {
    let (site, folders) = backed_up().await;
    let (other, others) = backed_up().await;
    let Folders { node, to, secrets, restored } = &folders;
    let restore_from = |from: &str, dir: &str, secrets: &str| {
        sequencer(&["restore", from, "--dir", dir, "--secrets", secrets])
    };
    check(&restore_from(to, restored, &others.secrets), 2, "found those of another");
    check(&restore_from(secrets, restored, secrets), 2, "expected a backup of the node");
    check(&restore_from(to, restored, to), 2, "expected a backup of the secrets");
    check(
        &restore_from(&other.beside("nothing").display().to_string(), restored, secrets),
        3,
        "none",
    );
    folders.check_nothing_restored();
    check(&restore_from(to, node, secrets), 2, "writes over nothing");
    check(&sequencer(&["restore", to, "--dir", restored, "--verify"]), 2, "--secrets");
    // What is made beside a name cannot take these.
    let link = site.beside("link");
    std::os::unix::fs::symlink(site.beside("led"), &link).unwrap();
    check(&restore_from(to, &link.display().to_string(), secrets), 2, "it is a link");
    check(&restore_from(to, ".", secrets), 2, "no name of its own");
    check(&restore_from(to, "/proc/self/fdinfo/..", secrets), 2, "no name of its own");
    check(&restore_from(to, "/proc", secrets), 2, "a disk is mounted there");
    // What a restore leaves that is killed.
    let leftover = site.beside("restored.restoring");
    files::make_folder(&leftover, files::Audience::Owner).unwrap();
    check(&folders.restore(&[]), 1, "cut off: remove that folder");
    std::fs::remove_dir(&leftover).unwrap();

    check(&sequencer(&folders.backup()), 2, "expected a new or empty folder");
    let within = format!("{node}/backup");
    check(&sequencer(&["backup", &within, "--dir", node]), 2, "within each other");
    let absent = site.beside("absent").display().to_string();
    check(&sequencer(&["backup", &absent, "--dir", &absent]), 3, "expected a node's folder");
    let own = site.deployment.fingerprint.to_string();
    let wrong = format!("{}{}", if own.starts_with('0') { '1' } else { '0' }, &own[1..]);
    let told = sequencer(&["backup", &absent, "--dir", node, "--fingerprint", &wrong]);
    check(&told, 1, &own);
    // Locked by a node that has no socket yet.
    let (log, _) = site.open_log();
    check(&sequencer(&["backup", &absent, "--dir", node]), 3, "stop it first");
    drop(log);

    // Without the secrets it is restored, and says what is missing.
    let with_slash = format!("{restored}/");
    let without = sequencer(&["restore", to, "--dir", &with_slash]);
    check(&without, 0, "put keys/, authority/ and server/ into");
    assert!(!Path::new(restored).join("keys").exists());
    assert!(!lines_of(to).iter().any(|line| line.name.as_str().starts_with("keys")));
}

fn lines_of(folder: &str) -> Vec<Line> {
    let manifest = BackupFolder::new(Path::new(folder)).manifest();
    Lines::new(std::fs::read(manifest).unwrap().as_slice()).map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_file_is_left_out_by_name_and_made_again_by_the_restored_node() {
    let (mut site, node) = used_site().await;
    node.stop().await.unwrap();
    let public = site.layout.store().join("batches/000001/public.bin");
    let whole = std::fs::read(&public).unwrap();
    std::fs::write(&public, b"damaged").unwrap();
    std::fs::write(site.layout.folder().join("notes.txt"), b"of the operator").unwrap();
    let folders = Folders::of(&site);
    let output = sequencer(&folders.backup());
    check(&output, 0, "left out: store/batches/000001/public.bin (is copied, and not as its row");
    check(&output, 0, "left out: notes.txt (is nothing of a node's)");
    check(&folders.restore(&["--verify"]), 0, "0 batches are of this journal");
    site.layout = Layout::new(Path::new(&folders.restored));
    offline(&site).await.accept_loss(waived(), site.clock.clone()).await.unwrap();
    let (node, edge) = site.start().await;
    node.watched().follow_scrubs().wait_for(|rounds| *rounds > 0).await.unwrap();
    let healed = site.layout.store().join("batches/000001/public.bin");
    // The window that holds the gap closes at the first item behind it.
    node.submit(site.frame(3)).await.unwrap();
    assert_eq!(close_and_settle(&node).await, 3);
    check_settled(&edge, node.store(), 3).await;
    node.stop().await.unwrap();
    assert_eq!(std::fs::read(healed).unwrap(), whole);
}

/// A disk with so many bytes free.
struct Room(u64);

impl FreeSpace for Room {
    fn free_bytes(&self) -> std::io::Result<u64> {
        Ok(self.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_before_or_while_it_is_copied_leaves_no_whole_backup() {
    let (site, node) = used_site().await;
    node.stop().await.unwrap();
    let folders = Folders::of(&site);
    let source = Source::Stopped(Box::new(Stopped::open(&site.layout).unwrap()));
    let first = site.beside("first");
    let terms = Terms {
        layout: &site.layout,
        to: &first,
        secrets_to: None,
        pace: Pace::new(None),
        space: &Room(1 << 20),
        now: site.clock.now(),
    };
    let refused = Prepared::new(terms).unwrap().take(source, &mut |_| ());
    assert!(matches!(refused, Err(BackupError::NoRoom { free, .. }) if free == 1 << 20));

    // No file grows beyond what the shell allows, in blocks of 512 or 1024 bytes: the journal's
    // first file does.
    let script = "trap '' XFSZ; ulimit -f 900; exec \"$0\" \"$@\"";
    let mut program = Command::new("sh");
    program.args(["-c", script, env!("CARGO_BIN_EXE_sequencer")]).args(folders.backup());
    check(&program.output().unwrap(), 1, "cannot be");
    assert_ne!(folders.restore(&[]).status.code(), Some(0), "it has no end record");
    folders.check_nothing_restored();
    // The node is as it was.
    let (node, edge) = site.start().await;
    assert_eq!(node.store().last_settled().unwrap(), BatchNumber(1));
    drop(edge);
    node.stop().await.unwrap();
}

/// A frame of a thousand readings: a hundred of them are more than a file of a megabyte.
fn large_frame(site: &Site, sequence: u64) -> Item {
    let key = stream_key();
    let signal = key.signal().unwrap();
    let (handle, epoch) = (StreamHandle(1), EpochNumber(1));
    let place = FramePlace { handle, epoch, sequence: Sequence(sequence) };
    let start = DeviceTime::from_millis(site.clock.now()).micros() - 10_000_000;
    let reading = |n: u64| Reading::new(DeviceTime::from_micros(start + n * 1_000).unwrap(), 72);
    let readings: Vec<_> = (0..1_000).map(reading).collect();
    let frame = Frame::encode_raw(place, signal, &readings).unwrap();
    let measured = frame.check(signal).unwrap();
    Item::Frame { gateway: gateway(), key, frame, measured }
}

async fn journal_file(site: &Site) -> u64 {
    let answer = ask(&site.layout.admin_socket(), "end").await.unwrap();
    JournalEnd::of_answer(&answer).unwrap().file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_were_left_are_copied_whole_and_the_last_one_up_to_the_pin() {
    let mut site = Site::new().await;
    site.config.journal.file_bytes_max = 1 << 20;
    let (node, edge) = site.start().await;
    drop(edge);
    let mut sequence = 1;
    while journal_file(&site).await < 3 {
        node.submit(large_frame(&site, sequence)).await.unwrap();
        sequence += 1;
    }
    let pin = Pin::of_answer(&ask(&site.layout.admin_socket(), "pin").await.unwrap()).unwrap();
    // The file that it ends in is left before it is copied, and so is the next one.
    while journal_file(&site).await < pin.file + 2 {
        node.submit(large_frame(&site, sequence)).await.unwrap();
        sequence += 1;
    }
    let folders = Folders::of(&site);
    let (to, secrets) = (site.beside("backup"), site.beside("secrets"));
    let terms = Terms {
        layout: &site.layout,
        to: &to,
        secrets_to: Some(&secrets),
        pace: Pace::new(None),
        space: &Room(u64::MAX),
        now: site.clock.now(),
    };
    let prepared = Prepared::new(terms).unwrap();
    let taken = prepared.take(Source::Running(pin.clone()), &mut |_| ()).unwrap();
    assert_eq!((taken.end.group, taken.end.journal_hash), (pin.group, pin.journal_hash));
    node.stop().await.unwrap();
    let last = format!("journal/{:08}.log", pin.file);
    let lines = folders.lines();
    assert!(lines.iter().any(|line| line.name.as_str() == last));
    for line in lines.iter().filter(|line| line.name.as_str().starts_with("journal/")) {
        assert!(line.name.as_str() <= last.as_str(), "neither later files nor its index: {line}");
    }
    check(&folders.restore(&["--verify"]), 0, "verified");
    let (source, _) = site.open_log();
    let restored = Layout::new(Path::new(&folders.restored));
    let (copy, recovery) = site.open_log_at(&restored.journal());
    assert_eq!((copy.head().group, copy.head().file, recovery.cut_bytes), (pin.group, pin.file, 0));
    assert!(source.head().group > pin.group && source.head().file > pin.file);
    for number in 1..=pin.group {
        assert_eq!(copy.group(number).unwrap(), source.group(number).unwrap());
    }
}

/// Makes a backup that was changed whole again by its own words.
fn vouch(folders: &Folders, change: impl FnOnce(&mut EndRecord)) {
    let to = BackupFolder::new(Path::new(&folders.to));
    let mut text = String::new();
    for line in folders.lines() {
        let found = std::fs::read(line.name.below(&to.node())).unwrap();
        text += &Line { digest: FileDigest::of(&found), name: line.name }.to_string();
    }
    std::fs::write(to.manifest(), &text).unwrap();
    let mut end = folders.end();
    end.manifest = FileDigest::of(text.as_bytes()).blake3;
    change(&mut end);
    end.write(&to.end()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hashes_do_not_show_is_found_by_reading_all_of_it() {
    let (_site, folders) = backed_up().await;
    let end = folders.end();
    vouch(&folders, |end| end.group += 1);
    check(&folders.restore(&["--verify"]), 1, "expected the journal to end at group");
    folders.check_nothing_restored();
    vouch(&folders, |found| found.group = end.group);
    let file = Path::new(&folders.to).join("node/journal/00000001.log");
    let whole = std::fs::read(&file).unwrap();
    let mut rotten = whole.clone();
    rotten[200] ^= 1;
    std::fs::write(&file, &rotten).unwrap();
    vouch(&folders, |_| ());
    check(&folders.restore(&["--verify"]), 1, "is corrupt");
    folders.check_nothing_restored();
    std::fs::write(&file, &whole).unwrap();
    vouch(&folders, |_| ());
    let (from, layout) = (Path::new(&folders.to), Layout::new(Path::new(&folders.restored)));
    let space = &Room(1);
    let terms = RestoreTerms { from, secrets: None, layout: &layout, verify: false, space };
    let refused = restore(&terms, &mut |_| ());
    assert!(matches!(refused, Err(RestoreError::NoRoom { free: 1, .. })), "{refused:?}");
    folders.check_nothing_restored();
    check(&folders.restore(&["--verify"]), 0, "verified");
}
