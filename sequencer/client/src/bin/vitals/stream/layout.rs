//! How the readings of a signal lie in its frames.

use std::path::Path;

use clap::Args;
use model::Signal;
use recordings::Format;
use recordings::text::Period;
use wire::Codec;

use super::input::TextArgs;
use super::samples::Samples;
use crate::recording::detect;

/// The options.
#[derive(Args)]
pub(super) struct LayoutArgs {
    /// How readings lie in frames: raw, columnar or grid. Without it each frame takes what fits, a
    /// grid where its times are exactly on that of --rate-hz, --period or the recording
    #[arg(long, value_name = "CODEC", value_parser = parse_codec)]
    pub(super) codec: Option<Codec>,
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
