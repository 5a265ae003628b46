//! The slots of a record's rules as people write them: `permit:0`, `deny:3`, `policy:1`.

use model::{RuleSlot, whole_number};

/// Makes the slot of one kind of rule by its number within the kind: a variant of [`RuleSlot`].
pub type OfKind = fn(u8) -> RuleSlot;

/// Every slot that a record has.
pub fn all() -> impl Iterator<Item = RuleSlot> {
    (0..RuleSlot::COUNT as u8).filter_map(|number| RuleSlot::from_number(number).ok())
}

/// The slots of one kind of rule.
pub fn of_kind(kind: OfKind) -> impl Iterator<Item = RuleSlot> {
    let one = std::mem::discriminant(&kind(0));
    all().filter(move |slot| std::mem::discriminant(slot) == one)
}

/// The slot with a number within its kind, if the record has one.
pub fn find(kind: OfKind, number: u8) -> Option<RuleSlot> {
    // Looked for among those that exist: a number beyond its kind would be counted on into the
    // next kind, and a rule would be written where nobody asked for it.
    all().find(|slot| *slot == kind(number))
}

/// The name of a slot.
pub fn name(slot: RuleSlot) -> String {
    match slot {
        RuleSlot::Permit(n) => format!("permit:{n}"),
        RuleSlot::Deny(n) => format!("deny:{n}"),
        RuleSlot::Policy(n) => format!("policy:{n}"),
    }
}

/// Reads a [`name`].
pub fn from_name(text: &str) -> Option<RuleSlot> {
    let (kind, number) = text.split_once(':')?;
    let kind: OfKind = match kind {
        "permit" => RuleSlot::Permit,
        "deny" => RuleSlot::Deny,
        "policy" => RuleSlot::Policy,
        _ => return None,
    };
    find(kind, whole_number(number)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_names_and_none_spills_into_the_next_kind() {
        assert_eq!(all().count(), RuleSlot::COUNT);
        for slot in all() {
            assert_eq!(from_name(&name(slot)), Some(slot));
        }
        let bad = ["permit:8", "deny:4", "policy:2", "permit", "permit:-1", "rule:0", "deny:255"];
        for bad in bad.into_iter().chain(["permit:+1", "permit:01"]) {
            assert_eq!(from_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_number_is_found_within_its_kind_alone() {
        assert_eq!(find(RuleSlot::Deny, 3), Some(RuleSlot::Deny(3)));
        assert_eq!(find(RuleSlot::Deny, 4), None);
        assert_eq!(find(RuleSlot::Permit, u8::MAX), None);
        let policies = [RuleSlot::Policy(0), RuleSlot::Policy(1)];
        assert!(of_kind(RuleSlot::Policy).eq(policies));
    }
}
