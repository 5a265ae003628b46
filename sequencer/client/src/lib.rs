//! The gateway, wallet and access client, and the `vitals` command line.
//!
//! A gateway opens a [`Connection`] and streams frames until every one has a verified receipt; a
//! wallet signs operations of a patient's record; a practitioner's system asks to read. All of it
//! compiles without the node, the prover and the base chain.
//!
//! # Reading order
//! 1. [`Identity`] and [`Deployment`]: who a client is, and whom it expects.
//! 2. [`Connection`] and [`Stream`]: from readings (crate `recordings`) to receipts, over lost
//!    connections and restarts, and [`Backlogs`] before there is a node. Behind them a state is fed
//!    with events, and a shell has QUIC and time.
//! 3. [`Key`], [`Wallet`], [`preview`], [`rule_slot`], [`party`]: what a patient signs, and what it
//!    means in words.
//! 4. [`log`] with [`batches`] and [`headers`]: who read what, checked against the base chain.
//!
//! # Stream
//! A whole program that streams a file stands in `examples/stream_file.rs`.
//! ```no_run
//! use client::{Connection, ConnectionConfig, Deployment, Identity};
//! use model::{Clock, DeviceId, PatientIndex, SystemClock, signal_by_name};
//! use wire::{Descriptor, DeviceTime, Lane, Reading, StreamKey};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::path::Path::new("gateways/gw-01");
//! let (identity, deployment) = (Identity::load(folder)?, Deployment::load(folder)?);
//! let config =
//!     ConnectionConfig::new("127.0.0.1:4433".parse()?, "localhost", identity, deployment);
//! let connection = Connection::connect(config).await?;
//!
//! let (device, patient) = (DeviceId::new("monitor-1")?, PatientIndex::new(7)?);
//! let key = StreamKey { device, patient, signal: signal_by_name("heart-rate")?.code };
//! let epoch = connection.epoch(&key)?;
//! let stream = connection.open_stream(Lane::Live, Descriptor { key, period: None, epoch }).await?;
//! let at = DeviceTime::from_millis(SystemClock.now());
//! let sequence = stream.send(&[Reading::new(at, 720)]).await?; // tenths
//! stream.wait_for_receipt(sequence).await?; // durable, and a signed receipt says so
//! connection.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Preview and sign a rule
//! Nothing of this asks a node: the wallet's copy of the record says what a rule would change.
//! ```
//! use client::preview::{Question, answer_sentence, operation_sentence};
//! use client::{Key, KeyKind, Wallet, party};
//! use model::{
//!     Action, Category, ChainScope, ClaimKind, Interval, Labels, Millis, Party,
//!     PatientIndex, Purpose, Rule, RuleSlot,
//! };
//! use statement::operation::SignedOperation;
//! use statement::scope;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const HOUR_MS: u64 = 3_600_000;
//! let now = Millis::from_unix_ms(1_777_624_200_000);
//! let deployment = ChainScope { chain_id: 31337, contract: [9; 20] };
//! let domain = scope::sig_domain(deployment);
//! let patient = Key::generate(KeyKind::Patient)?;
//! let registrar = Key::generate(KeyKind::Registrar)?;
//!
//! // The registrar signs the enrolment. A node would answer with a receipt and its time.
//! let mut wallet = Wallet::new(deployment, PatientIndex::new(7)?);
//! let enrolment = wallet.enrolment(&patient, now, HOUR_MS);
//! let enrolment = SignedOperation::sign(enrolment, domain, &registrar.signer());
//! wallet.apply(&enrolment, now, registrar.key_hash())?;
//!
//! // A rule: Dr 001 may read ECGs for treatment, for a day.
//! let doctor = party::actor("practitioner:dr-001")?;
//! wallet.names.learn("practitioner:dr-001", &doctor);
//! let rule = Rule {
//!     actor: doctor,
//!     source: Party::Any,
//!     categories: Category::Ecg.only(),
//!     purposes: Purpose::Treatment.only(),
//!     kinds: ClaimKind::Access.only(),
//!     labels: Labels::ALL,
//!     access: Interval::new(now, now.plus(24 * HOUR_MS))?,
//!     data: Interval::ALWAYS,
//! };
//! let slot = wallet.free_slot(RuleSlot::Permit, now)?;
//! let operation = wallet.change(Action::Write { slot, rule }, now, HOUR_MS)?;
//!
//! // What the patient sees before signing: the rule in words, and what it changes.
//! assert_eq!(
//!     operation_sentence(&operation, &wallet.names),
//!     "writes permit:0: permits practitioner dr-001 to read ecg for treatment, from \
//!      2026-05-01T08:30:00.000Z until 2026-05-02T08:30:00.000Z"
//! );
//! let question = Question {
//!     actor: doctor,
//!     source: Party::Any,
//!     category: Category::Ecg,
//!     purpose: Purpose::Treatment,
//!     kind: ClaimKind::Access,
//!     at: now,
//!     measured: Interval::instant(now),
//! };
//! let after = wallet.effect(&operation, now)?;
//! let answer = |record| answer_sentence(&question, question.ask(Some(record)), &wallet.names);
//! assert!(answer(wallet.record()?).starts_with("no, practitioner dr-001 could not read ecg"));
//! assert!(answer(&after).starts_with("yes, practitioner dr-001 could read ecg"));
//!
//! // Signed, it goes to `Connection::submit`; the receipt's time is when it takes effect.
//! let signed = SignedOperation::sign(operation, domain, &patient.signer());
//! wallet.apply(&signed, now, registrar.key_hash())?;
//! assert_eq!(wallet.record()?.rule(slot), Some(&rule));
//! # Ok(())
//! # }
//! ```

mod at_door;
mod backlog;
pub mod batches;
mod connection;
pub mod copy;
mod encryption;
pub mod erasure;
pub mod erasure_door;
pub mod hand_in;
pub mod headers;
mod http;
mod identity;
mod input;
mod key;
mod layouts;
pub mod log;
pub mod party;
pub mod patience;
pub mod preview;
pub mod promised;
mod receipts;
mod renewing;
mod room;
pub mod rule_slot;
mod spool;
mod tls;
mod transport;
mod wallet;

pub use backlog::{Backlog, Backlogs, NewFrame, Pushed};
pub use connection::{
    AccessOutcome, Again, Applied, Connection, ConnectionConfig, ConnectionError, Counts, Delay,
    DelayListener, Delayed, Loss, LossListener, ReceiptListener, RefusalListener, ReleasedPage,
    Renewal, RenewalError, RenewalListener, RequestError, Stream, StreamError, Waits,
};
pub use encryption::{BodyKey, OpenError};
pub use identity::{
    Deployment, DeploymentDamage, Identity, IdentityError, RequestIdentityError, request_identity,
};
pub use input::InputMark;
pub use key::{Key, KeyError, KeyKind};
pub use layouts::{LayoutsError, layouts_from_json, read_layouts};
pub use receipts::{CompareError, Compared, compare, keep_operation, keep_receipt, read_receipt};
pub use renewing::RenewalFileError;
pub use room::{StateBounds, WhenFull};
pub use spool::{Gap, GapCause, SegmentRead, SpoolError, checked_record, read_segment};
pub use statement::fingerprint::{DeploymentFacts, Fingerprint, KeyFact, OtherDeployment};
pub use transport::settings as quic_settings;
pub use wallet::{Wallet, WalletError, date_back};
