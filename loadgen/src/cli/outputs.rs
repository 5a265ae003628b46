//! Files that a report goes to besides the screen.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use files::Audience;
use loadgen::Report;
use loadgen::html::{Origin, page};
use model::ExitCode;

#[derive(Args)]
pub(crate) struct Outputs {
    /// Write the report as one HTML file with charts over time: it needs no network. An older one
    /// is replaced.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write all latencies as the text of HdrHistogram's percentile distribution (.hgrm), which its
    /// plotters read, in milliseconds. An older one is replaced.
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
}

impl Outputs {
    /// Refuses what cannot be written, before a run is measured in vain.
    pub(crate) fn check(&self) -> Result<(), crate::cli::Failure> {
        for path in [&self.html, &self.hdr].into_iter().flatten() {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            if path.is_dir() || !folder.is_dir() {
                let path = path.display();
                let what =
                    format!("expected the name of a file in a folder that is there, found {path}");
                return Err((ExitCode::Usage, anyhow::Error::msg(what)));
            }
        }
        Ok(())
    }

    pub(crate) fn write(
        &self,
        report: &Report,
        deployment: String,
    ) -> Result<(), crate::cli::Failure> {
        let page = || page(report, &Origin::of_this_program(deployment));
        let html = self.html.as_ref().map(|path| (path, page()));
        let hdr = self.hdr.as_ref().map(|path| (path, report.distribution.clone()));
        for (path, text) in html.into_iter().chain(hdr) {
            replace(path, &text).map_err(|error| {
                let code = ExitCode::of_named_file(error.kind());
                let written = Err::<(), _>(error);
                let said = written.with_context(|| format!("expected to write {}", path.display()));
                (code, said.expect_err("made of an error"))
            })?;
        }
        Ok(())
    }
}

/// For its owner alone: it names files of this machine.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    files::replace(path, &[text.as_bytes()], Audience::Owner)
}
