//! Topics and what their payloads are, and a message read by them.

use bridge::{Cause, Foreign, Map, Refusal};

use crate::fields::Fields;
use crate::json::{Node, Pointer};
use crate::named::{Published, Who};
use crate::omh::OpenMHealth;
use crate::pattern::{Named, Pattern, is_sparkplug};
use crate::taken::{IDENTITY_BYTES_MAX, Subject, Taken, Taker, Valued};

/// What is subscribed to, and how it is read. Made by [`Topics::parse`].
pub struct Topics {
    pub(crate) rows: Vec<Row>,
}

/// One filter.
pub(crate) struct Row {
    pub(crate) pattern: Pattern,
    pub(crate) patient: Who,
    pub(crate) device: Who,
    /// Where the message's identifier stands.
    pub(crate) message: Option<Pointer>,
    pub(crate) payload: Payload,
}

pub(crate) enum Payload {
    Json(Fields),
    OpenMHealth(OpenMHealth),
}

impl Topics {
    /// The filters to subscribe to, row by row.
    pub fn filters(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.pattern.filter())
    }

    /// What a message says, by the first row that its topic fits.
    ///
    /// # Errors
    /// [`Refusal`] with the first element that cannot be taken: wholly or not at all.
    pub fn read(&self, published: Published<'_>, map: &Map) -> Result<Taken, Refusal> {
        let Published { topic, payload } = published;
        if is_sparkplug(topic) {
            let expected = "JSON or Open mHealth (Sparkplug B is left out)";
            return Err(Refusal::at("topic", Cause::Unsupported { expected }));
        }
        let found = self.rows.iter().find_map(|row| Some((row, row.pattern.fit(topic)?)));
        let none = Cause::Unsupported { expected: "a topic of the topics file" };
        let (row, named) = found.ok_or_else(|| Refusal::at("topic", none))?;
        row.read(&Node::whole(payload)?, &named, map)
    }
}

impl Row {
    fn read<'a>(
        &'a self,
        root: &Node<'a>,
        named: &Named<'a>,
        map: &'a Map,
    ) -> Result<Taken, Refusal> {
        let subject = self.subject(root, named, map)?;
        let values: Vec<Valued<'_>> = match &self.payload {
            Payload::Json(fields) => fields.read(root, named, map)?,
            Payload::OpenMHealth(body) => body.read(root, map)?,
        };
        let mut taker = Taker::new(map, subject, self.identity(root)?);
        values.iter().try_for_each(|valued| taker.add(valued))?;
        taker.end()
    }

    fn subject<'a>(
        &'a self,
        root: &Node<'a>,
        named: &Named<'a>,
        map: &Map,
    ) -> Result<Subject<'a>, Refusal> {
        let missing = |cause| Refusal::at("payload", cause);
        let patient = self.patient.source.read(named, root)?;
        let patient = patient.ok_or_else(|| missing(Cause::PatientMissing))?;
        let foreign = Foreign { authority: &self.patient.authority, identifier: &patient.text };
        let found = map.patient([foreign]);
        let found = found.map_err(|cause| Refusal::at(&patient.element, cause))?;
        let device = self.device.source.read(named, root)?;
        let device = device.ok_or_else(|| missing(Cause::DeviceMissing))?;
        Ok(Subject { patient: found, device, authority: &self.device.authority })
    }

    /// A message whose row says where its identifier stands has one.
    fn identity(&self, root: &Node<'_>) -> Result<Option<String>, Refusal> {
        let found = match (&self.message, &self.payload) {
            (Some(pointer), _) => {
                let expected = "the identifier that `message` of its [[topic]] names";
                let missing = || Refusal::at("payload", Cause::Malformed { expected });
                let found = root.at(pointer)?.filter(|found| !found.is_null());
                Some(found.ok_or_else(missing)?)
            }
            (None, Payload::OpenMHealth(_)) => OpenMHealth::identity(root)?,
            (None, Payload::Json(_)) => None,
        };
        let Some(found) = found else { return Ok(None) };
        let text = found.text()?;
        if text.is_empty() || text.len() > IDENTITY_BYTES_MAX {
            let expected = "an identifier of 1 to 256 bytes";
            return Err(found.refuse(Cause::Malformed { expected }));
        }
        Ok(Some(text.into_owned()))
    }
}
