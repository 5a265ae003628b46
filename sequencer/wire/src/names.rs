//! Whether the registry knows whom a rule is about to name (docs/wire.md, W.57 to W.59).

use std::fmt;

use crate::codec::{Reader, Writer};
use crate::limits::NAMES_ASKED_MAX;
use crate::registry::RegistryKey;
use crate::{DecodeError, RequestId};

/// Names that somebody asks about: of organisations, practitioners and devices, whom rules name.
#[derive(Clone, PartialEq, Eq)]
pub struct NamesQuestion(Vec<RegistryKey>);

impl NamesQuestion {
    /// Checks number and kinds.
    ///
    /// # Errors
    /// [`DecodeError`] unless there are 1 to [`NAMES_ASKED_MAX`], each of a kind that rules name.
    pub fn new(names: Vec<RegistryKey>) -> Result<NamesQuestion, DecodeError> {
        check_count(names.len())?;
        let is_named = |name: &RegistryKey| match name {
            RegistryKey::Organisation(_)
            | RegistryKey::Practitioner(_)
            | RegistryKey::Device(_) => true,
            // No rule names them: whoever asks wants to know whose certificates there are.
            RegistryKey::Gateway(_) | RegistryKey::Wallet(_) | RegistryKey::Operator(_) => false,
        };
        if !names.iter().all(is_named) {
            let why = "expected organisations, practitioners and devices only";
            return Err(DecodeError::field("names asked about", why));
        }
        Ok(NamesQuestion(names))
    }

    /// Who is asked about, in the order of the answer.
    pub fn names(&self) -> &[RegistryKey] {
        &self.0
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        to.u8(self.0.len() as u8);
        self.0.iter().for_each(|name| name.write(to));
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<NamesQuestion, DecodeError> {
        let count = read_count(from)?;
        let names = (0..count).map(|_| RegistryKey::read(from));
        NamesQuestion::new(names.collect::<Result<_, _>>()?)
    }
}

/// Prints how many: who is asked about says whom a patient is about to name.
impl fmt::Debug for NamesQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamesQuestion({} names)", self.0.len())
    }
}

/// Which of them are registered now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamesAnswer {
    /// Which request.
    pub request: RequestId,
    /// Of each name, in the order of the question, whether the registry knows it; as many.
    pub known: Vec<bool>,
}

impl NamesAnswer {
    pub(crate) fn write(&self, to: &mut Writer) {
        to.u64(self.request.0);
        to.u8(self.known.len() as u8);
        self.known.iter().for_each(|known| to.u8(u8::from(*known)));
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<NamesAnswer, DecodeError> {
        let request = RequestId(from.u64()?);
        let count = read_count(from)?;
        let known = (0..count).map(|_| from.flag("whether a name is known"));
        Ok(NamesAnswer { request, known: known.collect::<Result<_, _>>()? })
    }
}

fn read_count(from: &mut Reader<'_>) -> Result<usize, DecodeError> {
    let count = usize::from(from.u8()?);
    check_count(count).map(|()| count)
}

fn check_count(found: usize) -> Result<(), DecodeError> {
    match found {
        0 => Err(DecodeError::field("names asked about", "expected 1 or more, found none")),
        found if found > NAMES_ASKED_MAX => {
            let (what, limit) = ("names asked about", NAMES_ASKED_MAX);
            Err(DecodeError::TooLarge { what, limit, found })
        }
        _ => Ok(()),
    }
}
