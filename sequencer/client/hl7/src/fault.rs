//! A refusal, and the segment and field that it is of.

use std::fmt;

use bridge::{Cause, Fate, Refusal};

/// A field of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The segment's name.
    pub segment: &'static str,
    /// Which of that name, counted from 1 over the message.
    pub number: usize,
    /// The field, or 0 for the whole segment.
    pub field: usize,
}

impl Place {
    /// A field of the header.
    pub const fn header(field: usize) -> Place {
        Place { segment: "MSH", number: 1, field }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.segment, self.number)?;
        if self.field > 0 {
            write!(f, "-{}", self.field)?;
        }
        Ok(())
    }
}

/// Why a message is not taken, or a part of it is left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where; none if it is of the whole message.
    pub place: Option<Place>,
    /// Why.
    pub cause: Cause,
}

impl Fault {
    /// Of a field.
    pub const fn at(place: Place, cause: Cause) -> Fault {
        Fault { place: Some(place), cause }
    }

    /// Of the whole message.
    pub const fn of_message(cause: Cause) -> Fault {
        Fault { place: None, cause }
    }

    /// What whoever sent it can do.
    pub fn fate(&self) -> Fate {
        self.cause.fate()
    }

    /// For logs: the element and the cause, and nothing of the message.
    pub fn refusal(&self) -> Refusal {
        let element = self.place.map_or_else(|| "message".to_owned(), |place| place.to_string());
        Refusal { cause: self.cause.clone(), element }
    }
}
