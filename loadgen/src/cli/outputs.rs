//! Files that a report goes to besides the screen.

use std::path::{Path, PathBuf};

use clap::Args;
use files::Audience;
use loadgen::Report;
use loadgen::html::{Origin, page, scenario_page};
use loadgen::scenario::Outcome;
use model::ExitCode;

use super::Failure;

#[derive(Args)]
pub(crate) struct Outputs {
    /// Write the report as one HTML file with charts over time: it needs no network.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write all latencies as the text of HdrHistogram's percentile distribution (.hgrm), which its
    /// plotters read, in milliseconds. Of a scenario a file for each group, its name before the
    /// ending.
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long)]
    overwrite: bool,
}

/// A file, and what goes into it.
struct Written {
    path: PathBuf,
    text: String,
}

impl Outputs {
    /// Refuses what cannot be written, and what would be lost by it, before a run is measured in
    /// vain. `groups` are those of a scenario.
    pub(crate) fn check(&self, groups: &[String]) -> Result<(), Failure> {
        let hdr = self.hdr.iter().flat_map(|path| paths_of_groups(path, groups));
        for path in self.html.iter().cloned().chain(hdr) {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let shown = path.display();
            if path.is_dir() || !folder.is_dir() {
                return Err(refused(format!(
                    "expected the name of a file in a folder that is there, found {shown}"
                )));
            }
            if path.exists() && !self.overwrite {
                return Err(refused(format!(
                    "expected no file at {shown}, found one: name another, or --overwrite"
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn write(&self, report: &Report, deployment: String) -> Result<(), Failure> {
        let html = self.html.iter().map(|path| {
            let text = page(report, &Origin::of_this_program(deployment.clone()));
            Written { path: path.clone(), text }
        });
        let hdr = self.hdr.iter().map(|path| {
            let text = report.distribution.clone();
            Written { path: path.clone(), text }
        });
        html.chain(hdr).try_for_each(|one| self.put(&one))
    }

    pub(crate) fn write_scenario(
        &self,
        outcome: &Outcome,
        deployment: String,
    ) -> Result<(), Failure> {
        let html = self.html.iter().map(|path| {
            let text = scenario_page(outcome, &Origin::of_this_program(deployment.clone()));
            Written { path: path.clone(), text }
        });
        let names: Vec<_> = outcome.groups.iter().map(|group| group.name.clone()).collect();
        let hdr = self.hdr.iter().flat_map(|path| {
            let texts = outcome.groups.iter().map(|group| group.report.distribution.clone());
            let paths = paths_of_groups(path, &names).into_iter();
            paths.zip(texts).map(|(path, text)| Written { path, text })
        });
        html.chain(hdr).try_for_each(|one| self.put(&one))
    }

    /// For its owner alone: it names files of this machine.
    fn put(&self, one: &Written) -> Result<(), Failure> {
        let Written { path, text } = one;
        let parts = text.as_bytes();
        // Made new unless it may be replaced: one that came since the run began is kept as well.
        let written = match self.overwrite {
            true => files::replace(path, &[parts], Audience::Owner),
            false => files::create(path, parts, Audience::Owner).map(drop),
        };
        written.map_err(|error| {
            let code = ExitCode::of_named_file(error.kind());
            let what = format!("expected to write {}", path.display());
            (code, anyhow::Error::new(error).context(what))
        })
    }
}

fn refused(what: String) -> Failure {
    (ExitCode::Usage, anyhow::Error::msg(what))
}

/// `latency.hgrm` of the groups a and b: `latency.a.hgrm` and `latency.b.hgrm`; itself where there
/// are no groups.
fn paths_of_groups(path: &Path, groups: &[String]) -> Vec<PathBuf> {
    if groups.is_empty() {
        return vec![path.to_owned()];
    }
    let of_group = |group: &String| match path.extension() {
        Some(ending) => path.with_extension(format!("{group}.{}", ending.to_string_lossy())),
        None => path.with_extension(group),
    };
    groups.iter().map(of_group).collect()
}
