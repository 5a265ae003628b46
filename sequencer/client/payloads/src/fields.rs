//! JSON of a form of somebody's own: pointers say where its values stand.

use bridge::{Cause, Map, Refusal};

use crate::clock::Clock;
use crate::json::{Node, Pointer};
use crate::named::Source;
use crate::pattern::Named;
use crate::taken::{Code, READINGS_MAX, Valued};

/// Where everything stands.
#[derive(Clone)]
pub(crate) struct Fields {
    /// A list, below whose items the values stand; without it, below the payload.
    pub(crate) each: Option<Pointer>,
    pub(crate) time: Pointer,
    pub(crate) clock: Clock,
    pub(crate) values: Vec<Field>,
}

/// One value.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) at: Pointer,
    pub(crate) system: String,
    pub(crate) code: Source,
    pub(crate) unit: Option<Source>,
    /// Where it has a time of its own.
    pub(crate) time: Option<Pointer>,
}

impl Fields {
    /// Every value that is there: one that is not was not measured.
    pub(crate) fn read<'a>(
        &'a self,
        root: &Node<'a>,
        named: &Named<'a>,
        map: &Map,
    ) -> Result<Vec<Valued<'a>>, Refusal> {
        let items = match &self.each {
            None => vec![root.clone()],
            Some(each) => match root.at(each)? {
                Some(list) => list.items(READINGS_MAX / self.values.len().max(1))?,
                None => Vec::new(),
            },
        };
        let mut values = Vec::new();
        for item in items {
            for field in &self.values {
                values.extend(self.value(field, &item, (named, map))?);
            }
        }
        Ok(values)
    }

    fn value<'a>(
        &'a self,
        field: &'a Field,
        item: &Node<'a>,
        (named, map): (&Named<'a>, &Map),
    ) -> Result<Option<Valued<'a>>, Refusal> {
        let Some(found) = item.at(&field.at)? else { return Ok(None) };
        let number = if found.is_null() { None } else { Some(found.text()?) };
        let code = field.code.read(named, item)?;
        let code = code.ok_or_else(|| found.refuse(Cause::CodeMissing))?;
        let unit = field.unit.as_ref().map(|unit| unit.read(named, item)).transpose()?.flatten();
        let time = item.at(field.time.as_ref().unwrap_or(&self.time))?;
        let time = time.filter(|time| !time.is_null());
        let time = time.ok_or_else(|| found.refuse(Cause::TimeMissing))?;
        Ok(Some(Valued {
            at: self.clock.read(&time, map)?,
            code: Code { system: &field.system, code: code.text, known: None },
            number,
            unit: unit.map(|unit| unit.text),
            element: found.place().to_owned(),
        }))
    }
}
