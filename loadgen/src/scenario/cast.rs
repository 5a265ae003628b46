//! Who plays which group: the gateways of the assignments, dealt in their order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

use super::part::Part;
use super::script::Scenario;
use crate::assignments::Assignment;
use crate::hostile::Culprit;

/// Assignments that do not reach for a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CastError {
    /// There are too few gateways.
    #[error(
        "expected assignments of {expected} gateways for the groups of this scenario, found \
         {found}: start a node with more (`sequencer run --dev --gateways {expected} --patients \
         ..`, at least a patient for each stream), or lower `count` in a file of your own"
    )]
    Gateways {
        /// All that the groups ask for.
        expected: usize,
        /// All that there are.
        found: usize,
    },
    /// A part without a gateway of some group.
    #[error("expected at most {count} parts, as many as group {group} has gateways, found {parts}")]
    Parts {
        /// The group.
        group: String,
        /// What it has.
        count: usize,
        /// What it was to be divided into.
        parts: usize,
    },
    /// A gateway has too few streams.
    #[error(
        "expected {expected} streams of each gateway of group {group}, found one with {found}: \
         start a node with more patients (`sequencer run --dev --patients ..`), or lower `streams`"
    )]
    Streams {
        /// The group.
        group: String,
        /// What it asks for.
        expected: usize,
        /// What a gateway has.
        found: usize,
    },
}

/// The assignments of each group.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cast {
    /// In the order of the honest groups.
    pub(super) honest: Vec<Vec<Assignment>>,
    /// In the order of the hostile groups.
    pub(super) hostile: Vec<Vec<Culprit>>,
}

impl Cast {
    /// Deals gateways to honest groups first. No gateway is in two groups: a hostile one may use up
    /// what its certificate may have. Of each group, what is `part`'s.
    pub(super) fn deal(
        scenario: &Scenario,
        all: &[Assignment],
        part: Part,
    ) -> Result<Cast, CastError> {
        let mut gateways = by_gateway(all);
        let honest = scenario.gateways.iter().map(|group| group.count);
        let hostile = scenario.hostile.iter().map(|group| group.count);
        let (expected, found) = (honest.chain(hostile).sum(), gateways.len());
        if expected > found {
            return Err(CastError::Gateways { expected, found });
        }
        let names = scenario.gateways.iter().map(|group| (&group.name, group.count));
        let hostile = scenario.hostile.iter().map(|group| (&group.name, group.count));
        if let Some((group, count)) = names.chain(hostile).find(|(_, count)| *count < part.count())
        {
            return Err(CastError::Parts { group: group.clone(), count, parts: part.count() });
        }
        let mut cast = Cast { honest: Vec::new(), hostile: Vec::new() };
        for group in &scenario.gateways {
            let mut dealt = Vec::new();
            for (number, streams) in gateways.drain(..group.count).enumerate() {
                let wanted = group.streams.unwrap_or(streams.len());
                if streams.len() < wanted {
                    let (group, found) = (group.name.clone(), streams.len());
                    return Err(CastError::Streams { group, expected: wanted, found });
                }
                if part.has(number) {
                    dealt.extend(streams.into_iter().take(wanted));
                }
            }
            cast.honest.push(dealt);
        }
        for group in &scenario.hostile {
            let culprits = gateways.drain(..group.count).enumerate();
            let culprits = culprits.filter(|(number, _)| part.has(*number));
            let culprits = culprits.filter_map(|(_, streams)| {
                let Assignment { identity, key } = streams.into_iter().next()?;
                Some(Culprit { identity, key })
            });
            cast.hostile.push(culprits.collect());
        }
        Ok(cast)
    }
}

/// The streams of each gateway, gateways in the order in which the file names them first.
fn by_gateway(all: &[Assignment]) -> Vec<Vec<Assignment>> {
    let (mut places, mut gateways) = (BTreeMap::<&PathBuf, usize>::new(), Vec::new());
    for one in all {
        let place = *places.entry(&one.identity).or_insert_with(|| {
            gateways.push(Vec::new());
            gateways.len() - 1
        });
        gateways[place].push(one.clone());
    }
    gateways
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, PatientIndex};
    use wire::StreamKey;

    use super::*;

    const TEXT: &str = r#"
        duration = "1s"
        [[gateways]]
        name = "monitors"
        count = 2
        streams = 1
        readings = 16
        rate = "natural"
        [[hostile]]
        name = "mallory"
        behaviour = "gaps"
        count = 1
        connections = 3
    "#;

    fn assignment(gateway: &str, device: &str) -> Assignment {
        let device = DeviceId::new(device).unwrap();
        let key = StreamKey { device, patient: PatientIndex::new(7).unwrap(), signal: 131_328 };
        Assignment { identity: gateway.into(), key }
    }

    #[test]
    fn each_gateway_plays_in_one_group_and_sends_no_more_streams_than_it_should() {
        let scenario = Scenario::parse("test", TEXT).unwrap();
        let streams = [("b", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("d", "5")]
            .map(|(g, d)| assignment(g, d));
        let cast = Cast::deal(&scenario, &streams, Part::WHOLE).unwrap();
        assert_eq!(cast.honest, [[streams[0].clone(), streams[1].clone()]]);
        assert_eq!(cast.hostile.len(), 1);
        assert_eq!(
            cast.hostile[0],
            [Culprit { identity: "c".into(), key: streams[3].key.clone() }]
        );
        let few = Cast::deal(&scenario, &streams[..3], Part::WHOLE).unwrap_err();
        assert_eq!(few, CastError::Gateways { expected: 3, found: 2 });
        assert!(few.to_string().contains("--gateways 3"), "{few}");
        let wide = Scenario::parse("test", &TEXT.replace("streams = 1", "streams = 2")).unwrap();
        let group = "monitors".to_owned();
        let narrow = CastError::Streams { group, expected: 2, found: 1 };
        assert_eq!(Cast::deal(&wide, &streams, Part::WHOLE).unwrap_err(), narrow);
    }
}
