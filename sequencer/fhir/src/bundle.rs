//! A Bundle of Observations: what each entry asks for, and what is wrong with it, apart.

use crate::condition::Condition;
use crate::element::{Element, Object};
use crate::issue::{Fault, Issue};
use crate::observation::{Observation, expect_type};
use crate::unit::TEXT_BYTES_MAX;

/// Entries of one Bundle.
pub const ENTRIES_MAX: usize = 1000;
/// Samples of all waveforms of one Bundle: some 8 MiB while they are mapped.
pub const BUNDLE_SAMPLES_MAX: usize = 4 * crate::sampled::SAMPLES_MAX;

/// How its entries hang together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BundleType {
    /// Each for itself.
    Batch,
    /// All or none.
    Transaction,
}

/// What one entry asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What is posted.
    pub observation: Observation,
    /// Not if there is one already.
    pub condition: Option<Condition>,
}

/// Entries in their order; of one that cannot be taken the reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    /// How they hang together.
    pub bundle_type: BundleType,
    /// Each as it could be read.
    pub entries: Vec<Result<Entry, Issue>>,
}

impl Bundle {
    /// Reads a Bundle; an entry that cannot be taken does not keep another from being read.
    ///
    /// # Errors
    /// [`Issue`] where the Bundle itself cannot be taken.
    pub fn parse(bytes: &[u8]) -> Result<Bundle, Issue> {
        let whole = Element::whole("Bundle", bytes)?;
        let resource = whole.object()?;
        expect_type(&resource, "Bundle")?;
        if let Some(found) = resource.field("implicitRules") {
            return Err(found.refuse(Fault::ImplicitRules));
        }
        let kind = resource.need("type")?;
        let bundle_type = match kind.string(TEXT_BYTES_MAX)?.as_ref() {
            "batch" => BundleType::Batch,
            "transaction" => BundleType::Transaction,
            _ => return Err(kind.refuse(Fault::BundleType)),
        };
        let list = resource.need("entry")?;
        let items = list.items(ENTRIES_MAX)?;
        let entries: Vec<_> = items.iter().map(read_entry).collect();
        let samples = |entry: &Result<Entry, Issue>| {
            entry.as_ref().map_or(0, |entry| entry.observation.samples())
        };
        if entries.iter().map(samples).sum::<usize>() > BUNDLE_SAMPLES_MAX {
            return Err(list.refuse(Fault::Many { of: "samples", max: BUNDLE_SAMPLES_MAX }));
        }
        Ok(Bundle { bundle_type, entries })
    }
}

fn read_entry(element: &Element<'_>) -> Result<Entry, Issue> {
    let entry = element.object()?;
    if let Some(found) = entry.field("modifierExtension") {
        return Err(found.refuse(Fault::Modifier));
    }
    let condition = read_request(&entry)?;
    let resource = entry.need("resource")?;
    Ok(Entry { observation: Observation::read(&resource)?, condition })
}

/// `POST Observation`, and under which condition.
fn read_request(entry: &Object<'_>) -> Result<Option<Condition>, Issue> {
    let element = entry.need("request")?;
    let request = element.object()?;
    let (method, url) = (request.need("method")?, request.need("url")?);
    if method.string(TEXT_BYTES_MAX)? != "POST" {
        return Err(method.refuse(Fault::Request));
    }
    if url.string(TEXT_BYTES_MAX)?.trim_start_matches('/') != "Observation" {
        return Err(url.refuse(Fault::Request));
    }
    let condition = request.field("ifNoneExist");
    condition.map(|it| Condition::read(it.at(), &it.string(TEXT_BYTES_MAX)?)).transpose()
}
