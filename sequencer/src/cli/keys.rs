//! `sequencer keys`: the keys that readings are sealed under.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use bodies::{KeyBackup, KeyStoreError, RecoveryKey, RecoverySecret, restore};
use clap::{Args, Subcommand};
use files::Audience;
use model::{Clock as _, Millis, SystemClock, calendar};
use sequencer::doors::admin::ask;
use sequencer::doors::key_desk::KeyDesk;
use sequencer::doors::orders::Order;
use sequencer::folder::body_keys;
use sequencer::folder::layout::Layout;
use sequencer::node::survey::key_folder;
use serde_json::{Value, json};

use super::erase::ends;
use super::orders::{Signed, order};
use super::outcome::{Asked, Outcome, failed, runtime, unavailable, usage};

/// Largest backup that is read.
const BACKUP_BYTES_MAX: u64 = 256 << 20;

#[derive(Subcommand)]
pub(crate) enum KeysCommand {
    /// How many keys there are, how many of them are in no backup, and until when the last copy
    /// exists.
    Status(Asked),
    /// Draws the secret that opens backups of keys, into a new file, and prints the recovery key to
    /// seal them to. The file belongs where neither node nor backups are.
    RecoveryKey {
        /// The file, which must not exist yet.
        file: PathBuf,
    },
    /// Writes a backup of all keys, of a running or stopped node, sealed to a recovery key.
    Backup(BackupArgs),
    /// Makes the key folder of a stopped node whole from a backup; what was destroyed stays so.
    Restore(RestoreArgs),
    /// Destroys every key of patients, of a running node, without a request of theirs, and says
    /// until when a copy may exist; none of a patient on whom a legal hold is.
    Destroy(DestroyArgs),
}

#[derive(Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    asked: Asked,
    /// The backup, which must not exist yet.
    file: PathBuf,
    /// The recovery key that `sequencer keys recovery-key` printed.
    #[arg(long, value_name = "HEX")]
    to: String,
    /// When its holder deletes it: a length of time as 90d, or an instant with its zone. It is
    /// refused from then on, and an erasure is complete only once every copy has expired.
    #[arg(long, value_name = "TIME")]
    expires: String,
}

#[derive(Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    asked: Asked,
    /// The backup of keys.
    #[arg(required_unless_present = "none")]
    file: Option<PathBuf>,
    /// The file of the recovery secret.
    #[arg(long, value_name = "FILE", required_unless_present = "none")]
    secret: Option<PathBuf>,
    /// There is no backup: go on with the keys that are whole, and give up the bodies of all
    /// others.
    #[arg(long, conflicts_with_all = ["file", "secret"], requires = "accept_loss")]
    none: bool,
    /// What is sealed under keys that are not there is lost for good; with --none.
    #[arg(long)]
    accept_loss: bool,
}

#[derive(Args)]
pub(crate) struct DestroyArgs {
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    asked: Asked,
    /// The patient's index; as often as there are patients.
    #[arg(long = "patient", value_name = "INDEX", required = true)]
    patients: Vec<u32>,
}

pub(crate) fn run(command: KeysCommand) -> Outcome {
    match command {
        KeysCommand::Status(asked) => status(&asked),
        KeysCommand::RecoveryKey { file } => {
            let secret = RecoverySecret::create(&file).map_err(failed)?;
            println!("{}", secret.public());
            Ok(())
        }
        KeysCommand::Backup(args) => backup(&args),
        KeysCommand::Restore(args) => restore_keys(&args),
        KeysCommand::Destroy(args) => destroy(args),
    }
}

/// The node's answer if one runs there, else that of its key folder.
fn answer(asked: &Asked, request: &str) -> Outcome<Value> {
    let layout = Layout::new(&asked.node.dir);
    let folder = key_folder(&layout).map_err(failed)?;
    if !layout.body_ledger().exists() && !body_keys::path(&layout, &folder).exists() {
        let folder = asked.node.dir.display();
        return Err(unavailable(anyhow!("no key was ever made in {folder}: start the node first")));
    }
    // How long an epoch lasts says nothing to whoever seals nothing.
    match body_keys::open(&layout, &folder, 1) {
        Ok(keys) => {
            let answer = KeyDesk::new(keys, layout.snapshots()).answer(request);
            answer
                .unwrap_or_else(|| Err("no request about keys".into()))
                .map_err(|said| failed(anyhow!(said)))
        }
        Err(KeyStoreError::Locked) => {
            runtime()?.block_on(ask(&layout.admin_socket(), request)).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn status(asked: &Asked) -> Outcome {
    let found = answer(asked, "keys")?;
    let mut text = format!(
        "{} keys of {} patients in {} epochs, {} of them in no backup\npatients destroyed: {}",
        found["keys"],
        found["patients"],
        found["epochs"],
        found["keys_in_no_backup"],
        found["patients_destroyed"]
    );
    text += &match (time(&found, "last_backup_ms"), time(&found, "last_backup_expires_ms")) {
        (Some(made), Some(expires)) => format!("\nlast backup of {made}, expires {expires}"),
        _ => "\nno backup of keys: make one (sequencer keys backup)".to_owned(),
    };
    asked.print(&text, &found);
    Ok(())
}

/// A time of an answer, for people.
fn time(found: &Value, field: &str) -> Option<String> {
    let at = found[field].as_u64()?;
    Some(calendar::Utc(Millis::from_unix_ms(at)).to_string())
}

fn backup(args: &BackupArgs) -> Outcome {
    let BackupArgs { asked, file, to, expires } = args;
    let key = to.parse::<RecoveryKey>().context("reading --to").map_err(usage)?;
    let expires = match calendar::parse_length(expires) {
        Ok(ms) => SystemClock.now().plus(ms),
        Err(_) => {
            let at = calendar::parse_instant(expires);
            at.context("reading --expires, no length of time either").map_err(usage)?.millis()
        }
    };
    // Of this program's folder, also where the node writes it.
    let path = std::path::absolute(file).map_err(failed)?;
    let request = format!("backup-keys {key} {} {}", expires.unix_ms(), path.display());
    let found = answer(asked, &request)?;
    let text = format!(
        "{} keys in {}, sealed to {key}; delete it by {}",
        found["keys"],
        file.display(),
        calendar::Utc(expires)
    );
    asked.print(&text, &found);
    Ok(())
}

/// Asks the node and never its folder: it knows whom a legal hold is on, and writes down who asked.
fn destroy(DestroyArgs { signed, asked, patients }: DestroyArgs) -> Outcome {
    let found = order(&asked, Order::DestroyKeys { patients }, signed)?;
    let ends = ends(&found);
    let text =
        format!("{} keys of {} patients destroyed; {ends}", found["keys"], found["patients"]);
    asked.print(&text, &found);
    Ok(())
}

fn restore_keys(args: &RestoreArgs) -> Outcome {
    let RestoreArgs { asked, file, secret, .. } = args;
    let (layout, now) = (Layout::new(&asked.node.dir), SystemClock.now());
    let backup = match (file, secret) {
        (Some(file), Some(secret)) => {
            let secret = RecoverySecret::read(secret).map_err(failed)?;
            let bytes = files::read(file, BACKUP_BYTES_MAX, Audience::Owner);
            let bytes = bytes.with_context(|| format!("reading {}", file.display()));
            Some(KeyBackup::open(&bytes.map_err(failed)?, &secret, now).map_err(failed)?)
        }
        _ => None,
    };
    let folder = key_folder(&layout).map_err(failed)?;
    let places = body_keys::places(&layout, &folder).map_err(|error| match error {
        KeyStoreError::Locked => unavailable(error),
        error => failed(error),
    })?;
    let found = restore(&places, backup, now).map_err(failed)?;
    let text = format!(
        "{} keys brought back, {} were there; {} were destroyed and stay so; {} damaged files given \
         up",
        found.brought_back, found.kept, found.destroyed, found.given_up
    );
    let json = json!({
        "schema": "vitals-keys-restored-1",
        "keys_brought_back": found.brought_back,
        "keys_kept": found.kept,
        "keys_destroyed": found.destroyed,
        "files_given_up": found.given_up,
    });
    asked.print(&text, &json);
    Ok(())
}
