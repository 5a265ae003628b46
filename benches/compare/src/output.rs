//! How a table is printed.

use std::fmt::Display;

use serde::Serialize;

/// As JSON on standard output and beside it for people, behind what was said meanwhile: a run takes
/// too long to be taken again for the other form. Without `json`, for people alone.
///
/// # Errors
/// If it is no JSON.
pub(crate) fn print(report: &(impl Serialize + Display), json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
        eprint!("{report}");
    } else {
        print!("{report}");
    }
    Ok(())
}
