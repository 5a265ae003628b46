//! What the demo is told, and where it may write.

use std::path::PathBuf;

use super::expect::{DemoError, Step};

/// What the demo is told on the command line.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where it keeps node, identities and batches; a fresh folder beside the program if none.
    pub dir: Option<PathBuf>,
    /// Seed of the cast.
    pub seed: u64,
    /// Whether to leave the node running at the end.
    pub keep: bool,
    /// Whether to end with one JSON object on stdout.
    pub json: bool,
}

/// A fresh folder: the demo's own may be replaced, any other must be empty.
pub(super) fn fresh_folder(options: &DemoOptions) -> Result<PathBuf, DemoError> {
    let step = Step("folder");
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => {
            let own = beside_program("demo").ok_or_else(|| {
                step.failed("the folder of this program", "none that can be named")
            })?;
            // Only what an earlier demo made: a folder without a node in it may be anybody's.
            if own.join("node").exists() {
                step.io(&own, std::fs::remove_dir_all(&own))?;
            }
            own
        }
    };
    step.io(&dir, files::make_folder(&dir, files::Audience::Owner))?;
    step.io(&dir, files::check_folder(&dir))?;
    // Never over files that are there: the folder was given by a person, who may have meant
    // another.
    let mut entries = step.io(&dir, std::fs::read_dir(&dir))?;
    match entries.next() {
        None => Ok(dir),
        Some(_) => Err(step.failed(format!("{} to be empty", dir.display()), "files in it")),
    }
}

/// A path beside the running program, where a second run finds it again.
pub(super) fn beside_program(name: &str) -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.join(name))
}
