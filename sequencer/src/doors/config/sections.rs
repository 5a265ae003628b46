//! What each section of the file declares; sections of other modules stand with what they bound.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use accounting::notices::{Limits, Pace};
use journal::FileLengths;
use l1_contracts::HttpUrl;
use model::limits::WINDOW_MS_MAX;

use crate::setting::{Allowed, range, settings};
use crate::stages::ingest::{IngestConfig, RateConfig};
use crate::window::WindowLimits;

settings! {
    /// `[ingest]`
    pub struct IngestSection in "ingest" {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 4433));
        "address", Allowed::Words("address and port; port 0 takes a free one") => {
            sets: "Where the QUIC endpoint listens.",
        }
        server_names: Vec<String> = vec!["localhost".into(), "127.0.0.1".into()];
        "names", Allowed::Words("at least one name or address") => {
            sets: "Names in the server's certificate.",
            applies: Init,
        }
        clock_skew_ms_max: u64 = 60_000; "milliseconds", range(0, 3_600_000) => {
            sets: "How far ahead of the node's clock a reading or signature may be.",
            at_limit: "What is further ahead is refused.",
        }
        released_frames_max: usize = 1024; "frames", range(1, 65_536) => {
            sets: "Most frames that one page of an access releases.",
            memory: "8 bytes each, for one page of a connection at a time.",
            at_limit: "The page says that there is more, and its client asks for the next.",
        }
        limits: IngestConfig = IngestConfig::default(); "section", SECTION => {
            sets: "Limits of the QUIC server and of each connection.",
        }
        rates: RateConfig = RateConfig::default(); "section", SECTION => {
            sets: "How often each source may ask.",
        }
    }
}

settings! {
    /// `[journal]`
    pub struct JournalSection in "journal" {
        queue_items_max: usize = 5120; "items", range(64, 1 << 20) => {
            sets: "Items that may wait for the writer, on three lanes: of the places that are not \
                   reserved (`ingest.limits.reserved_items`) an eighth is for control alone \
                   (alarms, operations, requests), three eighths for live readings, an eighth for \
                   backfill, and the rest for whoever comes. With the default each lane has more \
                   than `ingest.limits.credit_frames_total` gives it.",
            memory: "That many frames of up to 64 KiB, twice.",
            at_limit: "A further one is refused as busy.",
        }
        file_bytes_max: u64 = 256 << 20; "bytes", range(1 << 20, 16 << 30) => {
            sets: "Length of the journal's files. The first is 1 MiB, each further one as long as \
                   all before it together, up to this; the next one is made while there is room \
                   above the reserve.",
            at_limit: "The journal goes on in the next file.",
        }
        snapshot_every_entries: u64 = 250_000; "entries", range(1, 1 << 32) => {
            sets: "Entries of the journal between two snapshots of the state behind it, or half a \
                   gigabyte of it: so much is absorbed at a start, and at most four times as much \
                   where hundreds of segments are open. A snapshot is written at a stop, too. \
                   While one is written it takes three times its length of memory, whatever \
                   stands here (`vitals_snapshot_bytes`).",
            at_limit: "The next snapshot is written.",
        }
        reserve_bytes: u64 = 1 << 30; "bytes", range(0, 1 << 40) => {
            sets: "Free space, under the node's folder, its journal and its store, that frames \
                   leave to operations, accesses, closes and batches; 0 keeps none. The greater of \
                   what an hour of batches takes and a quarter of a gigabyte, which is what may be \
                   under way between two measurements.",
            at_limit: "Frames and new streams are refused as unavailable until an eighth more is \
                       free.",
            applies: Live,
        }
    }
}

impl JournalSection {
    /// How long the journal's files are made.
    pub fn file_lengths(&self) -> FileLengths {
        FileLengths { most: self.file_bytes_max, ..FileLengths::default() }
    }
}

settings! {
    /// `[keys]`
    pub struct KeysSection in "keys" {
        folder: PathBuf = PathBuf::from("body-keys");
        "folder", Allowed::Words("a folder that is the node's alone") => {
            sets: "Where the keys stand that readings are sealed under at rest, below the node's \
                   folder or anywhere: on another disk whoever takes one of the two reads nothing \
                   ([at rest](at-rest.md)).",
            memory: "200 bytes a key, and a patient has one for each epoch.",
        }
        epoch_days: u64 = 30; "days", range(1, 3_660) => {
            sets: "How long a patient's readings are sealed under one key. A change holds for the \
                   epochs that begin after it.",
        }
    }
}

impl KeysSection {
    /// How long an epoch lasts, milliseconds.
    pub fn epoch_ms(&self) -> u64 {
        self.epoch_days * 24 * 3_600_000
    }
}

/// Slots of four claims, of two and of one, in one domain: patients have as many devices.
const CLAIMS_SHAPES: [&str; 3] = ["c2-17", "c2-17-2", "c2-17-1"];

settings! {
    /// `[batch]`
    pub struct BatchSection in "batch" {
        close_after_ms: u64 = 60_000; "milliseconds", range(100, WINDOW_MS_MAX - 1000) => {
            sets: "Age at which a window is closed in which something happens. Shorter windows \
                   cost proving and gas, and make a withdrawal visible on chain sooner.",
            applies: Window,
        }
        idle_settle_after_ms: u64 = 3_600_000; "milliseconds", range(100, WINDOW_MS_MAX - 1000) => {
            sets: "Age at which a window is closed in which nothing happens; never less than \
                   `close_after_ms`. The first reading, operation or access in it ends it at the \
                   next multiple of `close_after_ms`, so that nobody waits longer for a batch. A \
                   node without a patient sends 24 transactions a day by default, instead of 1,440.",
            applies: Window,
        }
        fixed_cadence: bool = false; "yes or no", Allowed::Words("`true` or `false`") => {
            sets: "Whether every window is closed after `close_after_ms`, also if nothing happens \
                   in it: who sees only that the node settles then learns nothing of when \
                   something happens. [Which to choose](windows.md).",
            applies: Window,
        }
        operations_max: usize = WindowLimits::default().operations_max;
        "operations", range(1, 65_536) => {
            sets: "Most operations of a window; lowered to what the shapes settle in one \
                   transaction (`limits::BATCH_PROOFS_MAX`).",
            at_limit: "The window is closed early.",
            applies: Window,
        }
        claims_max: usize = WindowLimits::default().claims_max; "claims", range(1, 65_536) => {
            sets: "Most claims of a window, open segments included; lowered likewise. Whatever \
                   stands here, a window closes at 4,756 of as many patients, or else nobody could \
                   read its private file (`limits::WINDOW_PRIVATE_BYTES_MAX`).",
            memory: "18 KiB for each segment that is open: one for each device that sends.",
            at_limit: "The window is closed early.",
            applies: Window,
        }
        operations_shape: String = "c1-17".into();
        "name", Allowed::Words("a shape of C1 (`prover shapes`)") => {
            sets: "Shape of the proofs of operations.",
            applies: Deploy,
        }
        #[serde(alias = "claims_shape", deserialize_with = "super::names::one_or_more")]
        claims_shapes: Vec<String> = CLAIMS_SHAPES.map(String::from).into();
        "names", Allowed::Words("one or more shapes of C2 (`prover shapes`)") => {
            sets: "Shapes of the proofs of claims: each window takes the mix that costs least \
                   (`vitals_prove_padding_ratio` says what it left empty). A single name, and the \
                   key `claims_shape` of older files, are read as well.",
            memory: "A key each: 128 MiB at 2^17.",
            applies: Deploy,
        }
    }
}

settings! {
    /// `[prover]`
    pub struct ProverSection in "prover" {
        keys: Option<PathBuf> = None; "path", Allowed::Words("a folder") => {
            sets: "Folder of proving keys; without it `proving-keys` in the node's folder.",
        }
        setup: String = "dev-insecure".into();
        "word", Allowed::Words("`dev-insecure` or `ceremony`") => {
            sets: "Which keys prove: development keys, under which anybody can forge and which only \
                   development chains accept, are made where they are missing; a ceremony's are \
                   taken over before, with `prover import-zkey`.",
            applies: Deploy,
        }
        engine: String = "auto".into();
        "word", Allowed::Words("`auto`, `accelerated` or `portable` (see `prover engines`)") => {
            sets: "What proves: `auto` takes the accelerated engine where the processor runs it, \
                   else the portable one; `accelerated` refuses to start on another processor.",
        }
        table_bytes_max: u64 = 2 << 30; "bytes", range(0, 1 << 40) => {
            sets: "Room for tables that make proofs of 2^16 rows and more faster; a shape of 2^17 \
                   rows has 0.65 GiB of them. They are built once, while nothing is proven, and \
                   kept beside the keys.",
            memory: "as much",
            at_limit: "The tables that find no room are left out, those of operations first.",
        }
        workers: usize = 0; "threads", range(0, 256) => {
            sets: "Chunks that are proven at once on this machine, each on one core while there are \
                   several, on all of them when it is alone; 0 for one a core, 8 at most.",
            memory: "1 KiB for each row of the largest shape (128 MiB at 2^17): witness, products \
                     and sums of the one proof that each makes.",
        }
        priority: String = "background".into();
        "word", Allowed::Words("`background` or `normal`") => {
            sets: "How the proofs of this machine compete with everything else on it: in the \
                   `background` they take what it leaves, so that receipts do not wait for a core; \
                   `normal` makes them its equals.",
            at_limit: "On a machine that is never idle, proofs in the background come late: \
                       `vitals_prove_queue` grows.",
        }
        stop_after_ms: u64 = 10_000; "milliseconds", range(0, 3_600_000) => {
            sets: "How long a stop lets proofs go on. Within it the windows that are closed are \
                   proven, the oldest first; 0 leaves all of them to the next start.",
            at_limit: "No proof is begun or waited for any more. What is not assembled is proven \
                       after the next start.",
        }
        jobs: String = "local".into(); "word or URL",
        Allowed::Words("`local`, `nats://HOST:PORT` or `tls://HOST:PORT`") => {
            sets: "Where chunks are proven: by this machine alone, or also by workers elsewhere, \
                   which take jobs from a NATS server with JetStream \
                   ([jobs](../../prover/docs/jobs.md)).",
            memory: "With a server, 256 bytes for each row of the largest shape (32 MiB at 2^17): \
                     one job is assigned and sealed at a time.",
        }
        workers_key: String = String::new(); "hexadecimal digits",
        Allowed::Words("what `prover worker key` says; needed with a server in `jobs`") => {
            sets: "The workers' public key, to which jobs are sealed: whoever has its secret reads \
                   what a batch proves.",
        }
        jobs_login: Option<PathBuf> = None; "path", Allowed::Words("a file") => {
            sets: "File with one line `USER:PASSWORD` for that server, closed to others.",
        }
        jobs_authority: Option<PathBuf> = None; "path", Allowed::Words("a file") => {
            sets: "Certificates of the authority behind a `tls://` server; without it the \
                   machine's.",
        }
        jobs_at_once: usize = 8; "jobs", range(1, 256) => {
            sets: "Most jobs at workers elsewhere at once.",
            at_limit: "Further jobs wait, or are proven here.",
        }
        jobs_lease_ms: u64 = 30_000; "milliseconds", range(1_000, 300_000) => {
            sets: "How long a worker elsewhere may be silent before its job is given to another; \
                   it says that it is at work three times as often.",
            at_limit: "The job is queued again, and a late answer is refused.",
        }
        retry_first_ms: u64 = 5_000; "milliseconds", range(1, 3_600_000) => {
            sets: "First pause before a window that could not be proven or stored is tried again; \
                   it doubles with each further failure.",
        }
        retry_max_ms: u64 = 600_000; "milliseconds", range(1, 86_400_000) => {
            sets: "Longest such pause.",
            at_limit: "The pause grows no more.",
        }
    }
}

impl ProverSection {
    /// Threads that prove, each one chunk at a time.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if self.workers == 0 { cores().min(8) } else { self.workers }
    }
}

settings! {
    /// `[chain]`
    pub struct ChainSection in "chain" {
        rpc: Option<HttpUrl> = None; "URL", Allowed::Words("`http://...` or `https://...`") => {
            sets: "JSON-RPC of an EVM node; without it the embedded development chain is used. \
                   Its user, password, path and query are never shown.",
        }
        embedded_port: u16 = 0; "port", range(0, 65_535) => {
            sets: "Port of the embedded chain's JSON-RPC on loopback; 0 takes a free one.",
        }
    }
}

settings! {
    /// `[store]`
    pub struct StoreSection in "store" {
        scrub_every_ms: u64 = 21_600_000; "milliseconds", range(1_000, 2_592_000_000) => {
            sets: "Pause between two passes of the scrub, which reads every stored batch file again \
                   and makes damaged ones anew. The first pass is at the start.",
        }
    }
}

settings! {
    /// `[archive]`
    pub struct ArchiveSection in "archive" {
        url: String = "off".into();
        "word or URL", Allowed::Words("`off`, `file:///FOLDER` or `s3://BUCKET/PREFIX`") => {
            sets: "Where sealed files of the journal and public files of settled batches are \
                   archived ([archive](archive.md)). A place is one node's. Switched off again, \
                   what was archived and is no longer here is not found any more.",
        }
        endpoint: Option<HttpUrl> = None;
        "URL", Allowed::Words("`https://...`, or `http://...` of this machine") => {
            sets: "What speaks S3, for an `s3://` place; without it Amazon's, of the region.",
        }
        region: String = "us-east-1".into(); "name", Allowed::Words("a region's name") => {
            sets: "The region that requests to a bucket are signed for.",
        }
        login: Option<PathBuf> = None; "path", Allowed::Words("a file") => {
            sets: "File with one line `KEY_ID:SECRET` for the bucket, closed to others; without \
                   it `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` of the \
                   environment are read. Credentials stand in no configuration.",
        }
        every_ms: u64 = 600_000; "milliseconds", range(1_000, 86_400_000) => {
            sets: "Pause between two rounds; after one that failed a shorter one, which doubles.",
        }
        keep_local_ms: u64 = 2_592_000_000; "milliseconds", range(0, 1 << 42) => {
            sets: "How long after its last entry a sealed file stays in the node's folder. The \
                   public files of batches that it holds the windows of leave with it.",
            at_limit: "It is removed there, once it is in the archive, read back and compared, \
                       two snapshots stand behind it, and what it holds is settled.",
        }
        keep_local_bytes: u64 = 1 << 40; "bytes", range(0, 1 << 50) => {
            sets: "Most bytes of sealed files in the node's folder.",
            at_limit: "The first ones are removed there before their time, under the same \
                       conditions; until these hold they stay, however many they are.",
        }
        cache_bytes: u64 = 1 << 30; "bytes", range(1 << 20, 1 << 40) => {
            sets: "Most bytes on the disk of archived files that were fetched again. A file that \
                   is longer is not fetched: not less than `journal.file_bytes_max`.",
            at_limit: "The file that was used the longest time ago is given up.",
        }
    }
}

settings! {
    /// `[plan]`
    pub struct PlanSection in "plan" {
        expected: Option<PathBuf> = None; "path", Allowed::Words("a file of `sequencer plan --save`") => {
            sets: "What was planned, to be held against what happens: `vitals_plan_error_batches` \
                   and its like, and `sequencer status`, say how far they are apart \
                   ([plan](plan.md)).",
        }
    }
}

settings! {
    /// `[http]`
    pub struct HttpSection in "http" {
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080));
        "address", Allowed::Words("a loopback address; port 0 takes a free one") => {
            sets: "Where batch files, metrics and health are served, and signed operations taken; \
                   a proxy before it adds TLS.",
        }
        forwarded: bool = false; "yes or no", Allowed::Words("`true` or `false`") => {
            sets: "Whether the last address of `x-forwarded-for` says where a signed operation \
                   comes from, which its rate is charged to. Without it what a proxy passes on is \
                   refused; with it and no proxy, everybody chooses a source.",
        }
    }
}

settings! {
    /// `[web]`
    pub struct WebSection in "web" {
        listen: Option<SocketAddr> = None; "address", Allowed::Words("a loopback address") => {
            sets: "Where the operator's page is served, which shows batches and checks them in the \
                   browser, and beside it [the desk](watching.md#the-desk); port 0 takes a free \
                   one. Without it there is no page.",
            memory: "512 MiB while four of the largest files and four answers of the chain are \
                     shown at once.",
        }
        token_file: Option<PathBuf> = None; "path", Allowed::Words("a file") => {
            sets: "File with a token of 32 to 512 signs, closed to others: `GET /desk` is answered \
                   to whoever sends it as `Authorization: Bearer`, and the page shows the desk in \
                   a browser that was given it. Without one the page shows none, and the HTTP \
                   service answers on this machine alone ([who sees \
                   it](watching.md#who-sees-it)).",
        }
    }
}

settings! {
    /// `[tokens]`
    pub struct TokensSection in "tokens" {
        jwks_file: Option<PathBuf> = None; "path", Allowed::Words("a file") => {
            sets: "The public keys of the issuer whose bearer tokens are taken below `/fhir`, as a \
                   JWKS (RS384, ES384; [what is checked](../tokens/README.md)). SIGHUP reads the \
                   file again: keys are rolled without a restart. Without it no token is good.",
        }
        issuer: String = String::new(); "URL", Allowed::Words("exactly what `iss` is") => {
            sets: "Whose tokens are taken: the hospital's SMART server.",
        }
        audience: String = String::new(); "URL", Allowed::Words("exactly what `aud` is") => {
            sets: "The address of the FHIR routes as clients have it: what tokens are for, and \
                   what links begin with.",
        }
        token_ms_max: u64 = tokens::LIFETIME_MS_MAX; "milliseconds",
        range(1_000, 86_400_000) => {
            sets: "How long a token may still be good: nobody asks the issuer whether it took one \
                   back.",
            at_limit: "The token is refused (`token-lasting`).",
        }
        requires_fhir_user: bool = true; "yes or no", Allowed::Words("`true` or `false`") => {
            sets: "Whether a token with `patient/` scopes has to name by `fhirUser` who sits in \
                   front of it. A clinician's app that is opened from a record gets such scopes, \
                   too: with `false` a token without `fhirUser` counts as the patient's, so set \
                   it only where the issuer grants `patient/AuditEvent` and \
                   `patient/Subscription` to apps of patients alone ([who sees \
                   what](audit-events.md#who-sees-what)).",
        }
    }
}

impl TokensSection {
    /// What a token has to say.
    pub fn expected(&self) -> tokens::Expected {
        tokens::Expected {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            skew_ms: tokens::SKEW_MS,
            lifetime_ms_max: self.token_ms_max,
        }
    }
}

settings! {
    /// `[fhir]`
    pub struct FhirSection in "fhir" {
        audit_events: bool = false; "yes or no", Allowed::Words("`true` or `false`") => {
            sets: "Whether `GET /fhir/AuditEvent` is answered to whoever has a token of `[tokens]` \
                   that grants it ([to whom](audit-events.md)).",
        }
        per_minute: u64 = 60; "requests", range(1, 100_000) => {
            sets: "Most pages of AuditEvents and new Subscriptions of one `sub` of tokens in a \
                   minute of the clock, together; each is a line of `audit-reads.log`, which ends \
                   at 64 MiB.",
            at_limit: "Refused with 429.",
        }
    }
}

settings! {
    /// `[decisions]`
    pub struct DecisionsSection in "decisions" {
        systems: Vec<String> = Vec::new();
        "texts", Allowed::Words("`SUBJECT=ORGANISATION` each") => {
            sets: "Which systems with a token of `[tokens]` may ask [whether consent would allow \
                   something](decisions.md), by the `sub` of their tokens, and for which \
                   registered organisation: its name stands in the patient's log. Without one \
                   nobody may.",
        }
        names_file: Option<PathBuf> = None; "path", Allowed::Words("a file") => {
            sets: "What these systems call patients, actors, purposes and labels: TOML, as [for \
                   consents](../client/docs/consents.md#names).",
        }
        per_minute: u64 = 600; "questions", range(1, 100_000) => {
            sets: "Most questions of one system in a minute of the clock; each is an entry of the \
                   journal.",
            at_limit: "Refused with 429.",
        }
    }
}

settings! {
    /// `[notices]`
    pub struct NoticesSection in "notices" {
        hosts: Vec<String> = Vec::new();
        "texts", Allowed::Words("`NAME` or `NAME:PORT` each, with a dot in the name; no address") => {
            sets: "Hosts that patients may have told, by https, that somebody read their data \
                   ([notices](notices.md)); 443 where no port is said. Without one nobody is told, \
                   and there is no such path.",
            memory: "256 MiB while a settled batch is looked at, and 8 KiB a subscription.",
        }
        of_patient_max: usize = 4; "subscriptions", range(1, 64) => {
            sets: "Most subscriptions of one patient.",
            at_limit: "Refused with 409 until one is deleted.",
        }
        subscriptions_max: usize = 1_000; "subscriptions", range(1, 2_000) => {
            sets: "Most subscriptions in all; the file of all of them is written anew with each \
                   notice.",
            at_limit: "Refused with 409 until one is deleted.",
        }
        retry_first_ms: u64 = 5_000; "milliseconds", range(100, 3_600_000) => {
            sets: "First pause before a notice that was not taken is sent again; it doubles with \
                   each further failure, and is drawn from the upper half of what it would be.",
        }
        retry_max_ms: u64 = 3_600_000; "milliseconds", range(100, 86_400_000) => {
            sets: "Longest such pause.",
            at_limit: "The pause grows no more.",
        }
        give_up_after_ms: u64 = 259_200_000; "milliseconds", range(1_000, 2_592_000_000) => {
            sets: "How long a notice is tried, and three times at least since the start of the node; \
                   likewise how long a batch that cannot be read is waited for.",
            at_limit: "Its subscription says `error` and why, and its receiver is told nothing more; \
                       such a batch is passed over, and later ones are told.",
        }
    }
}

impl NoticesSection {
    /// How many subscriptions there may be.
    pub fn limits(&self) -> Limits {
        Limits { of_patient: self.of_patient_max, of_all: self.subscriptions_max }
    }

    /// When a notice that was not taken is sent again.
    pub fn pace(&self) -> Pace {
        Pace {
            first_ms: self.retry_first_ms,
            most_ms: self.retry_max_ms,
            give_up_after_ms: self.give_up_after_ms,
        }
    }
}

settings! {
    /// `[memory]`
    pub struct MemorySection in "memory" {
        over: String = "refuse".into();
        "word", Allowed::Words("`refuse` or `warn`") => {
            sets: "What `sequencer run` does where all limits together may take more memory than \
                   the machine has, or its control group allows.",
        }
    }
}

settings! {
    /// `[log]`
    pub struct LogSection in "log" {
        level: String = "info".into();
        "filter", Allowed::Words("a level, or levels by module: `info,sequencer::stages=debug`") => {
            sets: "What is logged to stderr. The environment's `RUST_LOG` is read before it.",
            applies: Live,
        }
        format: String = "text".into(); "word", Allowed::Words("`text` or `json`") => {
            sets: "How: lines for eyes, or one JSON object a line ([its keys](watching.md#the-log)).",
        }
    }
}

/// A row for a section within a section: its keys have rows of their own.
pub(super) const SECTION: Allowed = Allowed::Words("the keys below");
