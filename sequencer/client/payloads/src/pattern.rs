//! Topics as the file writes them, `ward/{patient}/{device}/+`, and what of a topic fits.

use std::collections::BTreeMap;

/// Longest topic that is read, bytes.
pub const TOPIC_BYTES_MAX: usize = 1024;
/// The root of every topic of Sparkplug B.
const SPARKPLUG: &str = "spBv1.0";

/// What a level of a topic names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    Patient,
    Device,
    Code,
}

impl Part {
    /// As a topic has it.
    pub(crate) fn braced(self) -> &'static str {
        match self {
            Part::Patient => "{patient}",
            Part::Device => "{device}",
            Part::Code => "{code}",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Level {
    Exactly(String),
    Named(Part),
    /// `+`
    Any,
    /// `#`: this one and all below.
    Rest,
}

/// A filter whose levels have names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    levels: Vec<Level>,
    filter: String,
}

/// What the levels of one topic say.
pub(crate) type Named<'a> = BTreeMap<Part, &'a str>;

impl Pattern {
    /// # Errors
    /// What is expected of it.
    pub(crate) fn parse(text: &str) -> Result<Pattern, &'static str> {
        if text.is_empty() || text.len() > TOPIC_BYTES_MAX || text.contains('\0') {
            return Err("a `topic` of 1 to 1024 bytes");
        }
        if is_sparkplug(text) {
            return Err("a `topic` whose payloads are read; those of spBv1.0/ are Sparkplug B, \
                        which this bridge leaves out");
        }
        if text.starts_with('$') {
            return Err("a `topic` that does not begin with $, as those of the broker itself do");
        }
        let mut levels = Vec::new();
        for level in text.split('/') {
            if levels.last() == Some(&Level::Rest) {
                return Err("# at the end of a `topic` alone");
            }
            levels.push(Level::parse(level)?);
        }
        let named = |part| levels.iter().filter(|level| **level == Level::Named(part)).count();
        if [Part::Patient, Part::Device, Part::Code].into_iter().any(|part| named(part) > 1) {
            return Err("each name once in a `topic`");
        }
        let filter = levels.iter().map(Level::filter).collect::<Vec<_>>().join("/");
        Ok(Pattern { levels, filter })
    }

    /// As it is subscribed to.
    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    pub(crate) fn names(&self, part: Part) -> bool {
        self.levels.contains(&Level::Named(part))
    }

    /// What a topic says, if it fits.
    pub(crate) fn fit<'t>(&self, topic: &'t str) -> Option<Named<'t>> {
        let mut named = Named::new();
        let mut levels = topic.split('/');
        for level in &self.levels {
            if *level == Level::Rest {
                return Some(named);
            }
            let found = levels.next()?;
            match level {
                Level::Exactly(text) if text != found => return None,
                Level::Named(part) => _ = named.insert(*part, found),
                _ => {}
            }
        }
        levels.next().is_none().then_some(named)
    }
}

impl Level {
    fn parse(text: &str) -> Result<Level, &'static str> {
        Ok(match text {
            "+" => Level::Any,
            "#" => Level::Rest,
            "{patient}" => Level::Named(Part::Patient),
            "{device}" => Level::Named(Part::Device),
            "{code}" => Level::Named(Part::Code),
            _ if text.contains(['+', '#', '{', '}']) => {
                return Err("+, #, {patient}, {device} and {code} as whole levels of a `topic`");
            }
            _ => Level::Exactly(text.to_owned()),
        })
    }

    fn filter(&self) -> &str {
        match self {
            Level::Exactly(text) => text,
            Level::Named(_) | Level::Any => "+",
            Level::Rest => "#",
        }
    }
}

/// Whether payloads of a topic are of Sparkplug B.
pub(crate) fn is_sparkplug(topic: &str) -> bool {
    topic.split('/').next() == Some(SPARKPLUG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_fits_by_its_levels_and_names_some() {
        let pattern = Pattern::parse("ward/{patient}/+/{device}/#").unwrap();
        assert_eq!(pattern.filter(), "ward/+/+/+/#");
        let named = pattern.fit("ward/4711/x/m1/hr/now").unwrap();
        assert_eq!(named, Named::from([(Part::Patient, "4711"), (Part::Device, "m1")]));
        // The level above a # is part of it (MQTT 3.1.1, 4.7.1.2).
        assert!(pattern.fit("ward/4711/x/m1").is_some());
        for topic in ["ward/4711/x", "bed/4711/x/m1/hr", "", "ward"] {
            assert_eq!(pattern.fit(topic), None, "{topic}");
        }
        let exact = Pattern::parse("bed7/hr").unwrap();
        assert!(exact.fit("bed7/hr").is_some());
        assert!(exact.fit("bed7/hr/").is_none(), "an empty level is a level");
    }

    #[test]
    fn what_no_broker_would_take_is_refused_and_sparkplug_by_its_name() {
        for (text, expected) in [
            ("", "1 to 1024"),
            ("a/#/b", "at the end"),
            ("a/b+", "whole levels"),
            ("a/{bed}", "whole levels"),
            ("{code}/{code}", "each name once"),
            ("$SYS/broker", "begin with $"),
            ("spBv1.0/plant/DDATA/edge", "Sparkplug B"),
        ] {
            let error = Pattern::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
