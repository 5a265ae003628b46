//! `vitals access`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use client::{AccessOutcome, BodyKey, Key, KeyKind, date_back, party};
use files::Audience;
use model::calendar::{self, Utc};
use model::{
    Categories, Category, DeviceId, ExitCode, Label, Labels, OrganisationId, PatientIndex,
    Position, PractitionerId, Purpose,
};
use recordings::{When, Zone};
use serde_json::{Value, json};
use statement::batch::{ReleasedFrame, ReleasedFrames};
use statement::{eddsa, field, scope};
use wire::{
    AccessKind, AccessRequest, CareTeamId, Reason, Released, Role, SignedAccessRequest,
    SignedReceipt, Source,
};

use self::pages::{Answered, Asking, Ended, Opening};
use self::readings::{Chosen, Wanted};
use crate::node::{Node, Standing, now, runtime};
use crate::report::{Outcome, Report, Usage};
use crate::rule::{End, list, parse_end, period};

mod pages;
mod readings;

/// Ask to read a patient's data
///
/// For a practitioner's system. The node decides by the patient's rules, signs what it decided, and
/// releases the readings if it permits; the patient's log shows who read what.
///
/// All that is asked for comes, page after page under one signed request, which is one line of the
/// patient's log. If the node's window closes meanwhile, the rest needs a further request, which is
/// signed and told (never to break the glass a second time: then the answer ends there). An answer
/// that is cut off is not complete, says so, and ends with another code than 0; one that --limit or
/// --latest shortened says so, and ends with 0. Readings are released by whole frames: one that
/// lies only partly in the period is counted and not released, and the answer is not complete, so
/// that the period is widened.
///
///   vitals access --key dr-001.key --identity DIR --organisation ward-3 --patient 7 \
///       --categories ecg --purpose treatment --data-from 2026-05-01 --data-until now \
///       --node HOST:PORT --out ecg.csv
///   vitals access ... --break-glass --reason "unconscious on arrival"
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Access {
    /// Key of the practitioner, whose id is the common name of the identity's certificate
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    node: Node,
    /// Whose data
    #[arg(long, value_name = "N")]
    patient: PatientIndex,
    /// For which organisation
    #[arg(long, value_name = "NAME")]
    organisation: String,
    /// As a member of which care team
    #[arg(long, alias = "group", value_name = "NAME")]
    care_team: Option<String>,
    /// Which categories, as ecg,spo2, or all
    #[arg(long, value_name = "LIST")]
    categories: String,
    /// For which purpose
    #[arg(long, value_name = "PURPOSE", value_parser = Purpose::from_name)]
    purpose: Purpose,
    /// Up to which sensitivity labels, or all
    #[arg(long, value_name = "LIST", default_value = "normal")]
    labels: String,
    /// Of which device: device:NAME or any
    #[arg(long, value_name = "SOURCE", default_value = "any")]
    source: String,
    /// Measured from, as 2026-05-01, 2026-05-01T08:30 or now
    #[arg(long, value_name = "TIME")]
    data_from: When,
    /// Measured until, a date up to and including that day
    #[arg(long, value_name = "TIME", value_parser = parse_end)]
    data_until: When,
    /// Where dates and times without a zone hold: UTC, +02:00, or a name as Europe/Berlin
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: Zone,
    /// Break the glass: needs a reason, is counted publicly, and the patient sees it
    #[arg(long, requires = "reason")]
    break_glass: bool,
    /// Why, in words; the patient sees it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// How long the request is good for, at most 1h
    #[arg(long, value_name = "LENGTH", value_parser = calendar::parse_length, default_value = "5m")]
    valid_for: u64,
    /// At most so many readings, in the order in which they are stored
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// The latest readings, so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..),
          conflicts_with_all = ["limit", "after"])]
    latest: Option<u64>,
    /// Go on behind the frame at this journal position, as an answer that is not complete says
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    after: Option<u64>,
    /// Write the readings there, as device,signal,time,value,unit, which vitals stream reads (a
    /// value that devices write where there is none, as 0 or 32767, with --keep VALUE); an answer
    /// that is not complete, unless --limit or --latest asked for no more, goes to FILE.csv.part
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Keep the frames as they are stored, to be held against the settled digests with the
    /// patient's opening (vitals log --frames, auditor verify --frames)
    #[arg(long, value_name = "FILE.frames")]
    frames: Option<PathBuf>,
    /// Open frames that their gateway encrypted with this key (vitals stream --encrypt); what it
    /// does not open is counted, and the answer is not complete
    #[arg(long, value_name = "KEYFILE")]
    decrypt: Option<PathBuf>,
    /// Replace the files of --out and --frames, and their .part, if they are there
    #[arg(long)]
    overwrite: bool,
}

impl Access {
    pub(crate) fn run(self) -> Outcome {
        let key = Key::read(&self.key, KeyKind::Practitioner)?;
        // Before anything is asked, which the patient sees.
        let body_key = self.decrypt.as_deref().map(BodyKey::read).transpose()?;
        self.check_new(self.out.as_deref(), "out")?;
        self.check_new(self.frames.as_deref(), "frames")?;
        let request = self.request()?;
        let wanted = match (self.limit, self.latest) {
            (Some(most), _) => Wanted::First(most),
            (_, Some(most)) => Wanted::Latest(most),
            (None, None) => Wanted::All,
        };
        let (answered, standing) = runtime()?.block_on(async {
            self.node.check_role(&[Role::Practitioner])?;
            let connection = self.node.connect().await?;
            let asking = Asking {
                connection: &connection,
                sign: &|| self.sign(&key, &request),
                page: wanted.page(self.after.map(Position)),
                wanted,
                opening: Opening { key: body_key.as_ref(), patient: self.patient },
                signs_anew: !self.break_glass,
            };
            let answered = pages::ask(asking).await?;
            let standing = Standing::of(&self.node, &connection)?;
            connection.close().await;
            anyhow::Ok((answered, standing))
        })?;
        let report = match answered.first.permitted {
            true => {
                let begun = self.after.map(Position);
                self.report(&request, &answered, &wanted.choose(&answered.clear, begun)?)
            }
            false => refused(&answered.first),
        };
        Ok(standing.tell(report))
    }

    /// What was released before is not written over unless somebody says so.
    fn check_new(&self, path: Option<&Path>, option: &str) -> Result<(), Usage> {
        let Some(path) = path.filter(|_| !self.overwrite) else { return Ok(()) };
        let both = [path.to_owned(), part_of(path)];
        let Some(path) = both.iter().find(|path| path.is_file()) else { return Ok(()) };
        let path = path.display();
        Err(Usage(format!(
            "expected no file at {path}, found one: name another with --{option}, or --overwrite"
        )))
    }

    /// Each time a request of its own: now, for as long as it is good, with a new nonce.
    fn sign(&self, key: &Key, request: &AccessRequest) -> anyhow::Result<SignedAccessRequest> {
        let now = now();
        let request = AccessRequest {
            requested_at: date_back(now),
            valid_until: now.plus(self.valid_for),
            // Two requests alike in one millisecond are two, and each has its own receipt.
            nonce: getrandom::u64().map_err(|error| Usage(error.to_string()))?,
            ..request.clone()
        };
        // The certificate says who asks on this connection; the signature is what the patient and a
        // court can check without the node.
        let hash = field::from_word(&request.signing_hash()?.word());
        let signature = eddsa::sign(&key.signer(), hash).encode();
        Ok(SignedAccessRequest::new(request, key.public().encode(), signature)?)
    }

    fn request(&self) -> anyhow::Result<AccessRequest> {
        let identity = self.node.identity()?;
        if identity.role() != Role::Practitioner {
            return Err(Usage("expected the identity of a practitioner".to_owned()).into());
        }
        let reason = Reason::new(&self.reason)?;
        let now = now();
        Ok(AccessRequest {
            scope: self.node.deployment()?.scope,
            patient: self.patient,
            practitioner: PractitionerId::new(identity.name())?,
            organisation: OrganisationId::new(&self.organisation)?,
            care_team: self.care_team.as_deref().map(CareTeamId::new).transpose()?,
            source: parse_source(&self.source)?,
            categories: list(&self.categories, Categories::ALL, Category::from_name)?,
            purpose: self.purpose,
            labels: list(&self.labels, Labels::ALL, Label::from_name)?,
            data: period(
                ["--data-from", "--data-until"],
                self.data_from.begin(&self.zone, now)?,
                End::of(self.data_until, &self.zone)?,
            )?,
            requested_at: date_back(now),
            valid_until: now.plus(self.valid_for),
            nonce: 0,
            kind: match self.break_glass {
                true => AccessKind::BreakGlass { reason },
                false => AccessKind::Access { reason },
            },
        })
    }

    fn report(&self, request: &AccessRequest, answered: &Answered, chosen: &Chosen) -> Report {
        let (mut text, mut json) = delivered(answered, chosen);
        let exit = tell_end(answered, chosen, (&mut text, &mut json));
        let receipt = &answered.first.receipt;
        let named = |path: &Path| match exit {
            ExitCode::Ok => path.to_owned(),
            // What is not all that was asked for never stands under the name of it.
            _ => part_of(path),
        };
        if let Some(path) = self.out.as_deref().map(named) {
            // It is journaled and in the patient's log by now: whoever asked has the receipt,
            // whatever becomes of the file.
            if let Err(error) = write_csv(&path, answered, chosen) {
                let why = format!("{error:#}");
                text += &not_written(receipt, "out", &why);
                json["out_error"] = why.into();
                return Report::failure(text, json);
            }
            text += &format!("\nwritten to {}", path.display());
            json["out"] = path.display().to_string().into();
        }
        if let Some(path) = self.frames.as_deref().map(named) {
            let bytes = kept_frames(request, &answered.released).to_bytes();
            if let Err(error) = files::replace(&path, &[&bytes], Audience::Owner) {
                text += &not_written(receipt, "frames", &error.to_string());
                json["frames_error"] = error.to_string().into();
                return Report::failure(text, json);
            }
            text += &format!("\nkept as stored in {}", path.display());
            json["kept_frames"] = path.display().to_string().into();
        }
        Report { text, json, exit, after: None }
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// Whoever is refused learns nothing of the rules, not even which one is missing.
fn refused(outcome: &AccessOutcome) -> Report {
    let text = format!(
        "refused {}; the reason is the patient's and operator's: ask the patient for a permit, or \
         in an emergency --break-glass with --reason",
        receipted(outcome)
    );
    Report::failure(text, decided(outcome))
}

fn receipted(outcome: &AccessOutcome) -> String {
    let AccessOutcome { time, position, receipt, .. } = outcome;
    let group = receipt.receipt.group.group;
    format!("at {}, journal position {}, receipt of group {group}", Utc(*time), position.0)
}

fn decided(outcome: &AccessOutcome) -> Value {
    let AccessOutcome { permitted, time, position, receipt, .. } = outcome;
    json!({
        "schema": "vitals-access-1", "permitted": permitted, "time": Utc(*time).to_string(),
        "position": position.0, "group": receipt.receipt.group.group,
        "receipt": hex::encode(receipt.to_bytes()), "frames": 0, "readings": 0,
    })
}

fn delivered(answered: &Answered, chosen: &Chosen) -> (String, Value) {
    let (frames, readings) = (answered.released.len(), chosen.rows.len());
    let claims = answered.receipts.len();
    let mut text = format!(
        "permitted {}: {frames} frames with {readings} readings",
        receipted(&answered.first)
    );
    if claims > 1 {
        text += &format!(
            "\nunder {claims} signed requests, each a claim of its own in the patient's log: the \
             window of the one before had ended"
        );
    }
    let mut json = decided(&answered.first);
    let receipts = answered.receipts.iter().map(|receipt| hex::encode(receipt.to_bytes()));
    json["frames"] = frames.into();
    json["readings"] = readings.into();
    json["claims"] = claims.into();
    json["frames_partly_in_period"] = answered.partly.into();
    json["receipts"] = receipts.collect::<Vec<_>>().into();
    json["last_reading"] = chosen.rows.last().map(|row| readings::time(row.at)).into();
    (text, json)
}

/// Says whether it is all that was asked for, and if not how to go on.
fn tell_end(answered: &Answered, chosen: &Chosen, to: (&mut String, &mut Value)) -> ExitCode {
    let (text, json) = to;
    let is_short = chosen.is_cut || !matches!(answered.ended, Ended::Whole);
    let mut why = Vec::new();
    match &answered.ended {
        Ended::Cut { why: cut, .. } => why.push(cut.clone()),
        _ if is_short => why.push("as many readings as were asked for".to_owned()),
        _ => {}
    }
    if answered.partly > 0 {
        why.push(format!(
            "{} frames lie only partly in the period: widen --data-from/--data-until",
            answered.partly
        ));
    }
    let encrypted = answered.clear.iter().filter(|one| one.frame.is_encrypted()).count();
    json["frames_encrypted"] = encrypted.into();
    if encrypted > 0 {
        why.push(format!(
            "{encrypted} frames are encrypted by their gateway and were not opened: name their key \
             with --decrypt (--frames keeps them as they are)"
        ));
    }
    json["complete"] = why.is_empty().into();
    if why.is_empty() {
        return ExitCode::Ok;
    }
    let why = why.join("; ");
    *text += &format!("\nNOT COMPLETE: {why}");
    if let Some(last) = chosen.rows.last() {
        *text += &format!("; the latest of those that came is of {}", readings::time(last.at));
    }
    json["why_incomplete"] = why.into();
    if let Some(after) = chosen.after.filter(|_| is_short) {
        *text += &format!("; go on with --after {}", after.0);
        json["after"] = after.0.into();
    }
    if chosen.is_within_a_frame {
        *text += "; no frame is in it whole: ask with a larger --limit";
    }
    match &answered.ended {
        Ended::Cut { exit, .. } => *exit,
        _ if answered.partly > 0 || encrypted > 0 => ExitCode::Failed,
        // It was asked for in so many words.
        Ended::Whole | Ended::Enough => ExitCode::Ok,
    }
}

/// Whoever asked has the receipt, whatever becomes of a file.
fn not_written(receipt: &SignedReceipt, option: &str, why: &str) -> String {
    let receipt = hex::encode(receipt.to_bytes());
    format!(
        "\nreceipt {receipt}\nbut what was released is not written ({why}): correct --{option} and \
         ask again"
    )
}

/// What was asked for and got, as others compare it.
fn kept_frames(request: &AccessRequest, released: &[Released]) -> ReleasedFrames {
    let mut frames: Vec<_> = released.iter().map(kept_frame).collect();
    frames.sort_by_key(|frame| frame.position);
    ReleasedFrames {
        scope: request.scope,
        patient: request.patient,
        categories: request.categories,
        data: request.data,
        source: scope::source(request.device()),
        frames,
    }
}

fn kept_frame(released: &Released) -> ReleasedFrame {
    let bytes = released.frame.as_bytes().to_vec();
    ReleasedFrame { position: released.position, device: released.stream.device.clone(), bytes }
}

fn parse_source(text: &str) -> anyhow::Result<Source> {
    party::source(text)?;
    Ok(match text.split_once(':') {
        Some((_, name)) => Source::Device(DeviceId::new(name)?),
        None => Source::Any,
    })
}

fn write_csv(path: &Path, answered: &Answered, chosen: &Chosen) -> anyhow::Result<()> {
    let text = readings::csv(&answered.released, &chosen.rows)?;
    files::replace(path, &[text.as_bytes()], Audience::Owner)
        .with_context(|| format!("writing {}", path.display()))
}
