//! The unit of a value, which quantities and waveforms have.

use crate::element::Object;
use crate::issue::Issue;

/// Bytes of a name, a code, a unit, a reference.
pub const TEXT_BYTES_MAX: usize = 512;

/// In what a value is given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unit {
    /// The system of its code.
    pub system: Option<String>,
    /// Its code there.
    pub code: Option<String>,
    /// As people read it.
    pub text: Option<String>,
}

pub(crate) fn read_unit(quantity: &Object<'_>) -> Result<Unit, Issue> {
    let text = |name| quantity.string(name, TEXT_BYTES_MAX);
    Ok(Unit { system: text("system")?, code: text("code")?, text: text("unit")? })
}
