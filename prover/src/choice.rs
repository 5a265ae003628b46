//! Which engine proves.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kernel::{Ifma, Missing};

use crate::engine::Engine;
use crate::keys::ProvingKey;
use crate::portable::PortableEngine;

/// What an operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The accelerated engine where the processor can run it, else the portable one.
    #[default]
    Auto,
    /// The accelerated engine.
    Accelerated,
    /// The portable engine.
    Portable,
}

impl Choice {
    /// All of them, as they are written.
    pub const NAMES: [&str; 3] = ["auto", "accelerated", "portable"];

    /// The engine for `key`.
    ///
    /// # Errors
    /// What the processor lacks, if the accelerated engine was asked for by name.
    pub fn open(self, key: Arc<ProvingKey>) -> Result<Box<dyn Engine>, Missing> {
        match (self, Ifma::detect()) {
            (Choice::Accelerated, Err(missing)) => Err(missing),
            (Choice::Portable, _) | (Choice::Auto, Err(_)) => {
                Ok(Box::new(PortableEngine::new(key)))
            }
            (Choice::Auto | Choice::Accelerated, Ok(cpu)) => Ok(accelerate(cpu, key)),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn accelerate(cpu: Ifma, key: Arc<ProvingKey>) -> Box<dyn Engine> {
    // A few rows gain nothing: they are proven by the portable engine whatever is asked for.
    match crate::accelerated::AcceleratedEngine::new(cpu, key.clone()) {
        Some(engine) => Box::new(engine),
        None => Box::new(PortableEngine::new(key)),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn accelerate(_: Ifma, key: Arc<ProvingKey>) -> Box<dyn Engine> {
    Box::new(PortableEngine::new(key))
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

/// The text is the name of no choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected auto, accelerated or portable, found {found:?}")]
pub struct UnknownChoice {
    /// What was found.
    pub found: String,
}

impl FromStr for Choice {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, UnknownChoice> {
        match text {
            "auto" => Ok(Choice::Auto),
            "accelerated" => Ok(Choice::Accelerated),
            "portable" => Ok(Choice::Portable),
            found => Err(UnknownChoice { found: found.to_owned() }),
        }
    }
}
