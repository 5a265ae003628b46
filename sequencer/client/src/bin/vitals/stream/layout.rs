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

/// The time between the readings of a signal: as the recording says it, or as it was `said`.
pub(super) fn period(
    file: Option<&Path>,
    signal: &'static Signal,
    args: &TextArgs,
    said: Option<Period>,
) -> anyhow::Result<Option<Period>> {
    let Some(path) = file else { return Ok(said) };
    match detect(path)? {
        Format::Text => Ok(said),
        format => Samples::new(path, format, args, Vec::new()).period(signal),
    }
}
