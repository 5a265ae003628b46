//! Declares values of the configuration: field, default, bounds and words in one place.
//!
//! `settings!` makes the struct that serde reads, its `Default`, its documentation and its
//! [`Setting`] rows. A check takes its bounds from the rows and `docs/configuration.md` is made of
//! them, so that no bound and no default stands twice.

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

/// One key of the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Sections and key, with dots between.
    pub path: &'static str,
    /// What it sets.
    pub meaning: &'static str,
    /// Unit of a number; otherwise what kind of text it is.
    pub unit: &'static str,
    /// What is accepted.
    pub allowed: Allowed,
    /// What it may cost in memory.
    pub memory: &'static str,
    /// What happens when the limit is reached; empty for what is no limit.
    pub at_limit: &'static str,
    /// When a changed value takes effect.
    pub applies: Applies,
}

/// Which values are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// Numbers.
    Range {
        /// Least.
        least: u64,
        /// Most; `u64::MAX` for no upper bound.
        most: u64,
    },
    /// What a check of its own decides, in words.
    Words(&'static str),
}

/// When a changed value takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applies {
    /// When the running node is sent SIGHUP, or told by `sequencer tune set`.
    Live,
    /// The same, with the window that begins next: the open one ends as it was begun.
    Window,
    /// When a command of `sequencer identity` issues the next certificate.
    Issue,
    /// When the node is started again.
    Restart,
    /// When `sequencer init` makes what the folder lacks.
    Init,
    /// When `sequencer deploy` deploys; a deployed node refuses another value.
    Deploy,
}

/// A number out of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {key} to be {least} to {most}, found {found}")]
pub struct LimitError {
    /// Sections and key.
    pub key: &'static str,
    /// Least allowed.
    pub least: u64,
    /// Most allowed.
    pub most: u64,
    /// Found.
    pub found: u64,
}

impl Setting {
    /// The key without its sections.
    pub fn key(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }
}

/// Checks every number of `section` whose row has a range.
///
/// # Errors
/// [`LimitError`] for the first that is out of its range.
///
/// # Panics
/// If `rows` are not those of `section`.
pub(crate) fn check(section: &impl Serialize, rows: &[Setting]) -> Result<(), LimitError> {
    // Through its serialised form: there each field stands under the name that its row has.
    let section = serde_json::to_value(section).expect("a section is plain data");
    for row in rows {
        let Allowed::Range { least, most } = row.allowed else { continue };
        let found = section.get(row.key()).and_then(Value::as_u64);
        let found = found.expect("a row with a range is of an unsigned number");
        if !(least..=most).contains(&found) {
            return Err(LimitError { key: row.path, least, most, found });
        }
    }
    Ok(())
}

/// Declares a section: see the module's documentation and any use of it.
macro_rules! settings {
    (
        $(#[$doc:meta])*
        pub struct $name:ident in $section:literal {
            $(
                $(#[$read:meta])*
                $field:ident: $kind:ty = $default:expr; $unit:literal, $allowed:expr => {
                    sets: $meaning:literal,
                    $(memory: $memory:literal,)?
                    $(at_limit: $at_limit:literal,)?
                    $(applies: $applies:ident,)?
                }
            )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $(
                #[doc = $meaning]
                #[doc = concat!("\n\nUnit: ", $unit, ". Default: `", stringify!($default), "`.")]
                $(#[doc = concat!("\n\nMemory: ", $memory)])?
                $(#[doc = concat!("\n\nReached: ", $at_limit)])?
                $(#[$read])*
                pub $field: $kind,
            )*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            /// Its keys, in the order of the file.
            pub const SETTINGS: &'static [$crate::setting::Setting] = &[$(
                $crate::setting::Setting {
                    path: concat!($section, ".", stringify!($field)),
                    meaning: $meaning,
                    unit: $unit,
                    allowed: $allowed,
                    memory: concat!($($memory)?),
                    at_limit: concat!($($at_limit)?),
                    applies: $crate::setting::settings!(@applies $($applies)?),
                },
            )*];
        }
    };
    (@applies) => {
        $crate::setting::Applies::Restart
    };
    (@applies $applies:ident) => {
        $crate::setting::Applies::$applies
    };
}

/// From `least` to `most`.
pub(crate) const fn range(least: u64, most: u64) -> Allowed {
    Allowed::Range { least, most }
}

pub(crate) use settings;
