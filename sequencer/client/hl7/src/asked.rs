//! What a sender asks of the acknowledgements of a message: MSH-15 and MSH-16.

use crate::segment::Field;

/// When an acknowledgement is asked for, as table 0155 has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Asked {
    /// Nothing is said.
    #[default]
    Unsaid,
    Always,
    Never,
    OnError,
    OnSuccess,
    /// Something else is said: the message is refused for it, and whoever said it may wait.
    Unknown,
}

impl Asked {
    pub(crate) fn read(field: Field<'_>) -> Asked {
        match field.raw().trim() {
            "" | "\"\"" => Asked::Unsaid,
            "AL" => Asked::Always,
            "NE" => Asked::Never,
            "ER" => Asked::OnError,
            "SU" => Asked::OnSuccess,
            _ => Asked::Unknown,
        }
    }

    /// Whether a message that is accepted, or is not, is to be acknowledged.
    pub(crate) fn is_for(self, is_accepted: bool) -> bool {
        match self {
            Asked::Always | Asked::Unknown => true,
            // One of the two that is left empty beside the other asks for nothing.
            Asked::Never | Asked::Unsaid => false,
            Asked::OnError => !is_accepted,
            Asked::OnSuccess => is_accepted,
        }
    }
}
