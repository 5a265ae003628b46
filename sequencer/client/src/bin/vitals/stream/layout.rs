//! How the readings of a signal lie in its frames.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use client::BodyKey;
use model::Signal;
use recordings::Format;
use recordings::text::Period;
use wire::{Codec, ENCRYPTION_BYTES, Frame, RAW_ROW_BYTES};

use super::input::TextArgs;
use super::samples::Samples;
use crate::recording::detect;
use crate::report::Usage;

/// The options.
#[derive(Args)]
pub(super) struct LayoutArgs {
    /// How readings lie in frames: raw, columnar or grid. Without it each frame takes what fits, a
    /// grid where its times are exactly on that of --rate-hz, --period or the recording
    #[arg(long, value_name = "CODEC", value_parser = parse_codec)]
    pub(super) codec: Option<Codec>,
    /// Encrypt the readings of each frame under this key (vitals key new --kind readings): the node
    /// learns whose they are and when they were measured, and not what they are. Whoever reads them
    /// needs the key, too (vitals access --decrypt). Begin, end or change it only when all that was
    /// sent has its receipt
    #[arg(long, value_name = "KEYFILE")]
    pub(super) encrypt: Option<PathBuf>,
}

impl LayoutArgs {
    /// What encrypts, if that is asked for.
    pub(super) fn body_key(&self) -> anyhow::Result<Option<Arc<BodyKey>>> {
        let key = self.encrypt.as_deref().map(BodyKey::read).transpose()?;
        Ok(key.map(Arc::new))
    }

    /// Whether so many readings fit in a frame, whatever they are.
    pub(super) fn check_readings(&self, found: u16) -> Result<(), Usage> {
        let limit = Frame::RAW_READINGS_MAX - ENCRYPTION_BYTES.div_ceil(RAW_ROW_BYTES);
        if self.encrypt.is_none() || usize::from(found) <= limit {
            return Ok(());
        }
        Err(Usage(format!(
            "expected at most {limit} for --frame-readings with --encrypt, found {found}"
        )))
    }
}

fn parse_codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name).ok_or_else(|| "expected raw, columnar or grid".to_owned())
}

/// The time between the readings of each signal: as the recording says it, or as it was `said`.
/// Reads the recording once.
pub(super) fn periods(
    file: Option<&Path>,
    signals: &[&'static Signal],
    args: &TextArgs,
    said: Option<Period>,
) -> anyhow::Result<Vec<Option<Period>>> {
    match file.map(|path| Ok::<_, anyhow::Error>((path, detect(path)?))).transpose()? {
        None | Some((_, Format::Text)) => Ok(vec![said; signals.len()]),
        Some((path, format)) => Samples::new(path, format, args, Vec::new()).periods(signals),
    }
}
