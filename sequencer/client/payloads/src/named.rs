//! Who is meant: by a level of the topic, by a place of the payload, or by the file alone.

use std::borrow::Cow;

use bridge::Refusal;

use crate::json::{Node, Pointer};
use crate::pattern::{Named, Part};

/// A message as a broker delivers it.
#[derive(Clone, Copy)]
pub struct Published<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// What it holds.
    pub payload: &'a [u8],
}

/// Hides both: topics name patients.
impl std::fmt::Debug for Published<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Published({} bytes)", self.payload.len())
    }
}

/// Where a name or a code comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// A level of the topic.
    Topic(Part),
    /// Below the payload, or below the item of it.
    At(Pointer),
    /// The file says it.
    Is(String),
}

/// A name that somebody gave a patient or a device.
#[derive(Clone)]
pub(crate) struct Who {
    pub(crate) authority: String,
    pub(crate) source: Source,
}

/// A text of a message, and how its place is called.
#[derive(Clone)]
pub(crate) struct Said<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) element: String,
}

impl Source {
    /// What it says of a message; `None` if the message says nothing there.
    pub(crate) fn read<'a>(
        &'a self,
        named: &Named<'a>,
        node: &Node<'a>,
    ) -> Result<Option<Said<'a>>, Refusal> {
        match self {
            Source::Topic(part) => {
                let element = format!("topic, {}", part.braced());
                let said = |text: &&'a str| Said { text: Cow::Borrowed(text), element };
                Ok(named.get(part).map(said))
            }
            Source::Is(text) => {
                Ok(Some(Said { text: Cow::Borrowed(text), element: "topics".to_owned() }))
            }
            Source::At(pointer) => match node.at(pointer)? {
                Some(found) if !found.is_null() => {
                    Ok(Some(Said { text: found.text()?, element: found.place().to_owned() }))
                }
                _ => Ok(None),
            },
        }
    }
}
