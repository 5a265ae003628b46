//! Says what a journal holds, for whoever looks: its files, its entries by kind, one group, one
//! entry. Nothing of it is changed, and whoever writes it goes on.
//!
//! Patients, devices, readings and names are left out unless somebody asks for bodies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bodies::{BodyKeys, EntryPlace};
use journal::{
    Archive, EntryKind, FolderView, Genesis, Group, Log, OpenError, Placement, ReadError, Reader,
    Salts, ViewEnd,
};
use model::{Millis, calendar};
use serde::Serialize;
use thiserror::Error;
use wire::{Entry, FrameEntry, FrameError, FrameHeader, SealedFrame, SignedErasure};

use crate::folder::old_journal;
use crate::stages::ledger::BodySeal;

/// Why a journal cannot be looked at. What is damaged is named with its file and offset.
#[derive(Debug, Error)]
pub enum InspectError {
    /// There is none.
    #[error("expected a journal in {path}, found none")]
    Absent {
        /// The folder.
        path: PathBuf,
    },
    /// It does not open.
    #[error("the journal {path} does not open")]
    Open {
        /// The folder.
        path: PathBuf,
        /// Why not, with file and offset.
        source: Box<OpenError>,
    },
    /// A group or entry is damaged, or not there.
    #[error("the journal cannot be read")]
    Read(#[from] ReadError),
    /// An entry does not decode.
    #[error("the entry at position {position}, in {file}, does not decode")]
    Decode {
        /// Where.
        position: u64,
        /// In which file, from which offset on.
        file: String,
        /// Why not.
        source: FrameError,
    },
}

/// A journal that is open for a look.
pub struct Inspected {
    log: Log<FolderView>,
    /// Bytes that a start would cut.
    torn_bytes: u64,
    bodies: BodySeal,
}

/// A file of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSummary {
    /// Its number.
    pub number: u64,
    /// Whether it was left and is sealed.
    pub sealed: bool,
    /// Groups in it.
    pub groups: u64,
    /// Entries of them.
    pub entries: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// First and last group; none in one without.
    pub first_group: Option<u64>,
    /// The last one.
    pub last_group: Option<u64>,
    /// Append time of the first entry, milliseconds since 1970.
    pub first_ms: Option<u64>,
    /// Append time of the last one.
    pub last_ms: Option<u64>,
}

/// Entries of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// How many.
    pub entries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// Frames of one codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CodecSummary {
    /// How many.
    pub frames: u64,
    /// Readings in them.
    pub readings: u64,
    /// Bytes of them, headers included.
    pub bytes: u64,
}

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    /// Name and version of the format.
    pub schema: &'static str,
    /// Its files, the first one first.
    pub files: Vec<FileSummary>,
    /// Its entries by kind.
    pub kinds: BTreeMap<String, Counted>,
    /// Its frames by codec.
    pub codecs: BTreeMap<String, CodecSummary>,
    /// Readings in all frames.
    pub readings: u64,
    /// Bytes of all records, for each reading.
    pub bytes_per_reading: Option<f64>,
    /// Bytes of a write that was never acknowledged: a start cuts them.
    pub torn_bytes: u64,
}

/// A group, without its entries' bodies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupSummary {
    /// Its number.
    pub group: u64,
    /// The file that it stands in.
    pub file: u64,
    /// Where its record begins.
    pub offset: u64,
    /// Bytes of the record.
    pub bytes: u64,
    /// Position of its first entry.
    pub first: u64,
    /// Position of its last one.
    pub last: u64,
    /// Append time of the first, milliseconds since 1970.
    pub first_ms: u64,
    /// Append time of the last.
    pub last_ms: u64,
    /// Journal hash after it.
    pub journal_hash: String,
    /// Keyed blake3 of its entries.
    pub digest: String,
    /// Whether numbers before it were given up.
    pub given_up_before: bool,
    /// Its entries by kind.
    pub kinds: BTreeMap<String, Counted>,
}

/// One entry: names and values of its fields, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryFields {
    /// Its position.
    pub position: u64,
    /// What it is.
    pub kind: String,
    /// The fields.
    pub fields: Vec<Field>,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value, for people.
    pub value: String,
}

/// Whether bodies are shown, with patients, devices and readings in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// They are.
    Shown,
    /// They are not.
    Hidden,
}

impl Inspected {
    /// Opens the journal in this folder: up to `end`, if a node that runs says that it ends there;
    /// files that are in an archive are read from it.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn open(
        folder: &Path,
        end: Option<ViewEnd>,
        archive: Option<Arc<dyn Archive>>,
    ) -> Result<Inspected, InspectError> {
        let path = folder.to_owned();
        if !old_journal::has_files(folder).unwrap_or(false) {
            return Err(InspectError::Absent { path });
        }
        let open = |journal_hash| {
            let none = Salts::new(|| Err(std::io::ErrorKind::Unsupported.into()));
            let genesis = Genesis { log_id: [0; 16], journal_hash };
            let view = FolderView::new(folder, end);
            let view = match archive.clone() {
                Some(archive) => view.with_archive(archive),
                None => view,
            };
            Log::open(view, genesis, none)
        };
        // Of whichever deployment: it says itself of which.
        let opened = match open([0; 32]) {
            Err(OpenError::Genesis { found, .. }) => open(found),
            opened => opened,
        };
        let (log, recovery) =
            opened.map_err(|source| InspectError::Open { path, source: source.into() })?;
        let bodies = BodySeal::keyless(log.reader().log_id());
        Ok(Inspected { log, torn_bytes: recovery.cut_bytes, bodies })
    }

    /// Opens readings with these keys; without any only what stands beside them is shown.
    pub fn with_keys(self, keys: Option<BodyKeys>) -> Inspected {
        let bodies = keys.map(|keys| BodySeal::new(keys, self.reader().log_id()));
        Inspected { bodies: bodies.unwrap_or(self.bodies), ..self }
    }

    /// The entry, with readings in the clear if they open.
    fn opened(&self, group: &Group, position: u64, entry: Entry) -> Entry {
        let Entry::SealedFrame(sealed) = &entry else { return entry };
        let index = position.saturating_sub(group.first);
        let time = group.entries.get(index as usize).map_or(0, |entry| entry.time);
        let place = EntryPlace { salt: group.salt, index: index as u32, time };
        self.bodies.open(sealed, &place).map_or(entry, Entry::Frame)
    }

    fn reader(&self) -> Reader<FolderView> {
        self.log.reader()
    }

    /// Reads all of it, each group checked.
    ///
    /// # Errors
    /// [`InspectError`] for the first thing that does not hold.
    pub fn all(&self) -> Result<Inspection, InspectError> {
        let (reader, last) = (self.reader(), self.log.head().file);
        let mut found = Inspection { schema: "vitals-journal-1", ..Inspection::default() };
        found.torn_bytes = self.torn_bytes;
        let mut number = 0;
        while let Some(next) = reader.group_after(number) {
            number = next;
            let (group, placed) = (reader.group(number)?, reader.placement(number)?);
            found.files_up_to(placed.file);
            found.take(&group, &placed)?;
        }
        found.files_up_to(last);
        found.files.iter_mut().for_each(|file| file.sealed = file.number < last);
        let bytes: u64 = found.files.iter().map(|file| file.bytes).sum();
        found.bytes_per_reading =
            (found.readings > 0).then(|| bytes as f64 / found.readings as f64);
        Ok(found)
    }

    /// Shows every frame whose readings open, the first one first.
    ///
    /// # Errors
    /// [`InspectError`] for the first thing that does not hold.
    pub fn frames(&self, see: &mut dyn FnMut(&FrameEntry)) -> Result<(), InspectError> {
        let (reader, mut number) = (self.reader(), 0);
        while let Some(next) = reader.group_after(number) {
            number = next;
            let (group, placed) = (reader.group(number)?, reader.placement(number)?);
            for (entry, position) in group.entries.iter().zip(group.first..) {
                if entry.kind != EntryKind::FRAME {
                    continue;
                }
                let decoded = decode(entry, position, &placed)?;
                if let Entry::Frame(frame) = self.opened(&group, position, decoded) {
                    see(&frame);
                }
            }
        }
        Ok(())
    }

    /// One group.
    ///
    /// # Errors
    /// [`InspectError::Read`] if there is none, or if it is damaged.
    pub fn group(&self, number: u64) -> Result<GroupSummary, InspectError> {
        let reader = self.reader();
        let (group, placed) = (reader.group(number)?, reader.placement(number)?);
        let mut kinds = BTreeMap::new();
        count(&mut kinds, &group);
        let time = |entry: Option<&journal::Entry>| entry.map_or(0, |entry| unix_ms(entry.time));
        Ok(GroupSummary {
            group: number,
            file: placed.file,
            offset: placed.offset,
            bytes: placed.bytes,
            first: group.first,
            last: group.last,
            first_ms: time(group.entries.first()),
            last_ms: time(group.entries.last()),
            journal_hash: hex::encode(group.journal_hash),
            digest: hex::encode(group.digest),
            given_up_before: group.given_up_before,
            kinds,
        })
    }

    /// One entry.
    ///
    /// # Errors
    /// [`InspectError`] if there is none, or if it is damaged.
    pub fn entry(&self, position: u64, bodies: Bodies) -> Result<EntryFields, InspectError> {
        let reader = self.reader();
        let number = reader.group_of(position)?;
        let (group, placed) = (reader.group(number)?, reader.placement(number)?);
        let entry = reader.read(position)?;
        let decoded = self.opened(&group, position, decode(&entry, position, &placed)?);
        let mut fields = Fields::default();
        fields.add("group", number);
        fields.add("file", journal::FileName::Log(placed.file));
        fields.add("group's offset", placed.offset);
        fields.add("appended", instant(entry.time));
        fields.add("bytes of the body", entry.body.len());
        describe(&decoded, bodies, &mut fields);
        if bodies == Bodies::Shown {
            fields.add("body", hex::encode(&entry.body));
        }
        let kind = kind_name(entry.kind);
        Ok(EntryFields { position, kind, fields: fields.0 })
    }
}

impl Inspection {
    /// Files without a group, too, have their row.
    fn files_up_to(&mut self, file: u64) {
        for number in self.files.len() as u64 + 1..=file {
            self.files.push(FileSummary {
                number,
                sealed: false,
                groups: 0,
                entries: 0,
                bytes: 0,
                first_group: None,
                last_group: None,
                first_ms: None,
                last_ms: None,
            });
        }
    }

    fn take(&mut self, group: &Group, placed: &Placement) -> Result<(), InspectError> {
        if let Some(file) = self.files.last_mut() {
            file.groups += 1;
            file.entries += group.entries.len() as u64;
            file.bytes += placed.bytes;
            file.first_group = file.first_group.or(Some(group.number));
            file.last_group = Some(group.number);
            let time = |entry: Option<&journal::Entry>| entry.map(|entry| unix_ms(entry.time));
            file.first_ms = file.first_ms.or(time(group.entries.first()));
            file.last_ms = time(group.entries.last());
        }
        count(&mut self.kinds, group);
        let frames = group.entries.iter().zip(group.first..);
        for (entry, position) in frames.filter(|(entry, _)| entry.kind == EntryKind::FRAME) {
            match decode(entry, position, placed)? {
                Entry::Frame(frame) => {
                    self.take_frame(frame.frame().header(), frame.frame().as_bytes());
                }
                Entry::SealedFrame(frame) => self.take_frame(frame.header(), frame.stored()),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_frame(&mut self, header: &FrameHeader, stored: &[u8]) {
        let codec = self.codecs.entry(header.codec.name().to_owned()).or_default();
        codec.frames += 1;
        codec.readings += u64::from(header.count);
        codec.bytes += stored.len() as u64;
        self.readings += u64::from(header.count);
    }
}

fn decode(
    entry: &journal::Entry,
    position: u64,
    placed: &Placement,
) -> Result<Entry, InspectError> {
    Entry::from_bytes(entry.kind.code(), &entry.body).map_err(|source| {
        let file = journal::FileName::Log(placed.file);
        let file = format!("{file} from byte {} on", placed.offset);
        InspectError::Decode { position, file, source }
    })
}

fn count(kinds: &mut BTreeMap<String, Counted>, group: &Group) {
    for entry in &group.entries {
        let counted = kinds.entry(kind_name(entry.kind)).or_default();
        counted.entries += 1;
        counted.bytes += entry.body.len() as u64;
    }
}

/// As the page about the journal names it.
fn kind_name(kind: EntryKind) -> String {
    let name = match kind {
        EntryKind::FRAME => "Frame",
        EntryKind::OPERATION => "Operation",
        EntryKind::ACCESS_REQUEST => "AccessRequest",
        EntryKind::REFUSAL => "Refusal",
        EntryKind::REGISTRY_CHANGE => "RegistryChange",
        EntryKind::CLOSE => "Close",
        EntryKind::STREAM_OPEN => "StreamOpen",
        EntryKind::GAP => "Gap",
        EntryKind::REFUSAL_COUNT => "RefusalCount",
        EntryKind::ERASURE => "Erasure",
        EntryKind::HOLD => "Hold",
        EntryKind::QUERY => "Query",
        _ => return format!("kind {}", kind.code()),
    };
    name.to_owned()
}

fn unix_ms(time: journal::Millis) -> u64 {
    Millis::new(time).map_or(0, Millis::unix_ms)
}

/// An append time for people; its number where it is none.
fn instant(time: journal::Millis) -> String {
    Millis::new(time).map_or_else(|_| time.to_string(), |at| calendar::Utc(at).to_string())
}

/// Fields that are being listed.
#[derive(Default)]
struct Fields(Vec<Field>);

impl Fields {
    fn add(&mut self, name: &'static str, value: impl ToString) {
        self.0.push(Field { name, value: value.to_string() });
    }
}

/// What an entry says. Its own forms for a log hide patients, devices and names; those are shown
/// with the body.
fn describe(entry: &Entry, bodies: Bodies, fields: &mut Fields) {
    match entry {
        Entry::Frame(frame) => describe_frame(frame, bodies, fields),
        Entry::SealedFrame(frame) => describe_sealed(frame, bodies, fields),
        Entry::Operation { operation, .. } => {
            let form = match operation {
                wire::StoredOperation::Plain(_) => "as it was signed",
                wire::StoredOperation::Sealed(_) => "sealed, of an enrolment",
            };
            fields.add("operation", form);
        }
        Entry::AccessRequest { decision, .. } => fields.add("decision", format!("{decision:?}")),
        Entry::Refusal(refusal) => {
            fields.add("refused", format!("{:?}", refusal.what));
            fields.add("code", format!("{:?}", refusal.code));
            fields.add("reason", format!("{:?}", refusal.reason));
        }
        Entry::RegistryChange(change) => fields.add("change", format!("{change:?}")),
        Entry::Close { batch, t1 } => {
            fields.add("batch", batch.0);
            fields.add("window ends before", calendar::Utc(*t1));
        }
        Entry::StreamOpen { gateway, descriptor } => {
            fields.add("gateway", gateway);
            fields.add("signal", descriptor.key.signal);
            fields.add("epoch", descriptor.epoch.0);
            if bodies == Bodies::Shown {
                fields.add("device", &descriptor.key.device);
                fields.add("patient", descriptor.key.patient.get());
            }
        }
        Entry::Gap(gap) => {
            fields.add("term", gap.term);
            fields.add("lost from group", gap.lost.group);
            fields.add("lost from position", gap.lost.position);
            fields.add("known up to group", gap.known.group);
            fields.add("known up to position", gap.known.position);
            if bodies == Bodies::Shown {
                fields.add("reason", gap.reason.as_str());
            }
        }
        Entry::RefusalCount(counted) => fields.add("counted", format!("{counted:?}")),
        Entry::Erasure(erasure) => describe_erasure(&erasure.request, bodies, fields),
        Entry::Query(query) => {
            fields.add("asked by", query.organisation.as_str());
            fields.add("told", format!("{:?}", query.answer));
            if bodies == Bodies::Shown {
                fields.add("patient", query.claim.patient.get());
            }
        }
        Entry::Hold(hold) => {
            fields.add("legal hold", format!("{:?}", hold.change));
            if bodies == Bodies::Shown {
                fields.add("patient", hold.patient.get());
                fields.add("reason", hold.reason.as_str());
                fields.add("by", hold.who.as_str());
            }
        }
    }
}

fn describe_erasure(signed: &SignedErasure, bodies: Bodies, fields: &mut Fields) {
    let request = signed.request;
    fields.add("requested", calendar::Utc(request.requested_at));
    fields.add("valid before", calendar::Utc(request.valid_until));
    if let Ok(digest) = signed.digest() {
        fields.add("request", hex::encode(digest.0));
    }
    if bodies == Bodies::Shown {
        fields.add("patient", request.patient.get());
    }
}

fn describe_sealed(frame: &SealedFrame, bodies: Bodies, fields: &mut Fields) {
    let header = frame.header();
    fields.add("gateway", &frame.gateway);
    fields.add("signal", frame.key.signal);
    fields.add("epoch", header.epoch.0);
    fields.add("sequence", header.sequence.0);
    fields.add("codec", header.codec.name());
    fields.add("readings", format!("{}, sealed", header.count));
    fields.add("body epoch", frame.sealing.body_epoch);
    fields.add("bytes of the frame", frame.stored().len());
    if bodies == Bodies::Shown {
        fields.add("device", &frame.key.device);
        fields.add("patient", frame.key.patient.get());
    }
}

fn describe_frame(frame: &FrameEntry, bodies: Bodies, fields: &mut Fields) {
    let header = frame.frame().header();
    fields.add("gateway", &frame.gateway);
    fields.add("signal", frame.key.signal);
    fields.add("epoch", header.epoch.0);
    fields.add("sequence", header.sequence.0);
    fields.add("codec", header.codec.name());
    fields.add("readings", header.count);
    fields.add("bytes of the frame", frame.frame().as_bytes().len());
    if bodies == Bodies::Hidden {
        return;
    }
    fields.add("device", &frame.key.device);
    fields.add("patient", frame.key.patient.get());
    let readings = frame.key.signal().map(|signal| frame.frame().readings(signal));
    if frame.frame().is_encrypted() {
        fields.add("reading", "encrypted by its gateway: only its key opens it");
    }
    if let Some(Ok(readings)) = readings {
        for reading in readings {
            let at = reading.at.micros();
            let value = reading.value.map_or("off".to_owned(), |value| value.to_string());
            fields.add("reading", format!("{value} at {at} us since 1900"));
        }
    }
}
