//! `vitals access`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use client::{AccessOutcome, Key, KeyKind, date_back, party};
use files::Audience;
use model::calendar::{self, Utc};
use model::{
    Categories, Category, DeviceId, Label, Labels, OrganisationId, Party, PatientIndex,
    PractitionerId, Purpose, signal_by_code,
};
use recordings::decimal::to_decimal;
use recordings::{When, Zone};
use serde_json::json;
use statement::batch::{ReleasedFrame, ReleasedFrames};
use statement::{eddsa, field, scope};
use wire::{
    AccessKind, AccessRequest, CareTeamId, Reason, Released, Role, SignedAccessRequest,
    SignedReceipt, Source,
};

use crate::consent::parse_patient;
use crate::node::{Node, Standing, now, runtime};
use crate::report::{Outcome, Report, Usage};
use crate::rule::{End, list, parse_end, period};

/// Ask to read a patient's data
///
/// For a practitioner's system. The node decides by the patient's rules, signs what it decided, and
/// releases the readings if it permits; the patient's log shows who read what.
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
    #[arg(long, value_name = "N", value_parser = parse_patient)]
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
    /// Write the readings there, as device,signal,time,value
    #[arg(long, value_name = "FILE.csv")]
    out: Option<PathBuf>,
    /// Keep the frames as they are stored, to be held against the settled digests with the
    /// patient's opening (vitals log --frames, auditor verify --frames)
    #[arg(long, value_name = "FILE.frames")]
    frames: Option<PathBuf>,
}

impl Access {
    pub(crate) fn run(self) -> Outcome {
        let key = Key::read(&self.key, KeyKind::Practitioner)?;
        let request = self.request()?;
        // The certificate says who asks on this connection; the signature is what the patient and a
        // court can check without the node.
        let hash = field::from_word(&request.signing_hash()?.word());
        let signature = eddsa::sign(&key.signer(), hash).encode();
        let signed = SignedAccessRequest::new(request.clone(), key.public().encode(), signature)?;
        let (outcome, standing) = runtime()?.block_on(async {
            self.node.check_role(&[Role::Practitioner])?;
            let connection = self.node.connect().await?;
            let outcome = connection.access(signed).await?;
            let standing = Standing::of(&self.node, &connection)?;
            connection.close().await;
            anyhow::Ok((outcome, standing))
        })?;
        Ok(standing.tell(self.report(&request, &outcome)?))
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
            // Two requests alike in one millisecond are two, and each has its own receipt.
            nonce: getrandom::u64().map_err(|error| Usage(error.to_string()))?,
            kind: match self.break_glass {
                true => AccessKind::BreakGlass { reason },
                false => AccessKind::Access { reason },
            },
        })
    }

    fn report(&self, request: &AccessRequest, outcome: &AccessOutcome) -> Outcome {
        let AccessOutcome { permitted, time, position, receipt, released } = outcome;
        let (at, position, group) = (Utc(*time), position.0, receipt.receipt.group.group);
        let readings: u64 = released.iter().map(|one| u64::from(one.frame.header().count)).sum();
        let mut json = json!({
            "schema": "vitals-access-1", "permitted": permitted, "time": at.to_string(),
            "position": position, "group": group, "frames": released.len(),
            "readings": readings, "receipt": hex::encode(receipt.to_bytes()),
        });
        let receipted = format!("at {at}, journal position {position}, receipt of group {group}");
        if !permitted {
            // Whoever is refused learns nothing of the rules, not even which one is missing.
            let text = format!("refused {receipted}; the reason is the patient's and operator's");
            return Ok(Report::failure(text, json));
        }
        let mut text =
            format!("permitted {receipted}: {} frames with {readings} readings", released.len());
        if let Some(path) = &self.out {
            // It is journaled and in the patient's log by now: whoever asked has the receipt,
            // whatever becomes of the file.
            if let Err(error) = write_csv(path, released) {
                let why = format!("{error:#}");
                text += &not_written(receipt, "out", &why);
                json["out_error"] = why.into();
                return Ok(Report::failure(text, json));
            }
            text += &format!(", written to {}", path.display());
            json["out"] = path.display().to_string().into();
        }
        if let Some(path) = &self.frames {
            let bytes = kept_frames(request, released).to_bytes();
            if let Err(error) = files::replace(path, &[&bytes], files::Audience::Owner) {
                text += &not_written(receipt, "frames", &error.to_string());
                json["frames_error"] = error.to_string().into();
                return Ok(Report::failure(text, json));
            }
            text += &format!(", kept as stored in {}", path.display());
            json["kept_frames"] = path.display().to_string().into();
        }
        Ok(Report::success(text, json))
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
        source: match &request.source {
            Source::Any => Party::Any,
            Source::Device(device) => Party::Named(scope::device(device)),
        },
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

/// Readings in the order released, exact in the signal's unit and to the microsecond below the
/// millisecond's text.
fn write_csv(path: &Path, released: &[Released]) -> anyhow::Result<()> {
    let mut text = String::from("device,signal,time,value\n");
    for Released { stream, frame, .. } in released {
        let signal = signal_by_code(stream.signal).context("a released frame of no signal")?;
        for reading in frame.readings(signal)? {
            let (device, name, at) =
                (stream.device.as_str(), signal.name, Utc(reading.at.millis()));
            let value = match reading.value {
                Some(value) => to_decimal(value, signal.decimals),
                None => "off".to_owned(),
            };
            writeln!(text, "{device},{name},{at},{value}")?;
        }
    }
    files::replace(path, &[text.as_bytes()], Audience::Owner)
        .with_context(|| format!("writing {}", path.display()))
}
