//! The numbered rules of both statements, with their sentences: SPEC.md sections 9 and 10 as data.

use std::fmt;

/// A rule of `circuits/SPEC.md`, as `C1.7` or `C2.15`. Numbers are never reused.
///
/// ```
/// use model::RuleNumber;
///
/// let rule = RuleNumber::c2(16);
/// let text = rule.text().expect("a rule of SPEC.md");
/// assert_eq!(rule.to_string(), "C2.16");
/// assert_eq!(text.sentence, "the receipt interval ends no later than closed_at");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleNumber {
    /// 1 for C1 (operations), 2 for C2 (claims).
    pub statement: u8,
    /// Number within the statement.
    pub number: u8,
}

impl RuleNumber {
    /// Rule `number` of C1.
    pub const fn c1(number: u8) -> RuleNumber {
        RuleNumber { statement: 1, number }
    }

    /// Rule `number` of C2.
    pub const fn c2(number: u8) -> RuleNumber {
        RuleNumber { statement: 2, number }
    }

    /// What the rule says; `None` for a number that SPEC.md does not have, which a journal of a
    /// later version may hold.
    pub fn text(self) -> Option<&'static RuleText> {
        RULES.iter().find(|rule| rule.number == self)
    }
}

impl fmt::Display for RuleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{}.{}", self.statement, self.number)
    }
}

impl fmt::Debug for RuleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A numbered rule in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleText {
    /// Its number.
    pub number: RuleNumber,
    /// What it says, word by word as in SPEC.md.
    pub sentence: &'static str,
    /// What to do, for whoever meets it: the patient, a requester or the operator.
    pub remedy: &'static str,
}

macro_rules! rules {
    ($($statement:ident $number:literal $sentence:literal, $remedy:literal;)*) => {
        &[$(RuleText {
            number: RuleNumber::$statement($number),
            sentence: $sentence,
            remedy: $remedy,
        },)*]
    };
}

/// Every rule of C1, then of C2, by number.
pub const RULES: &[RuleText] = rules! {
    c1 1 "the row has exactly one kind 0 to 6; a padding row changes nothing and has leaf 0",
        "report a bug: a row of the chunk is no operation";
    c1 2 "t_op of an operation is later than that of the one before (the first: than time_in); time_out is the last",
        "send it again: the node takes operations in the order of their times";
    c1 3 "t_op < t1",
        "leave it to the next window";
    c1 4 "signed_at <= t_op",
        "set the wallet's clock and sign again";
    c1 5 "t_op < valid_until",
        "sign again, with a later end of validity";
    c1 6 "the message holds the record's nonce, and the nonce grows by one (enrol: 0 stays 0)",
        "read the record's nonce and sign again";
    c1 7 "the signature verifies under the record's key, of an enrolment under the registrar's",
        "sign with the key on record, an enrolment with the registrar's";
    c1 8 "the message binds sig_domain, index, kind, slot, signed_at, valid_until and argument",
        "sign what is sent, for this chain and contract";
    c1 9 "the old record is the leaf at the index under the current root",
        "check the patient's number: it has another record, or none";
    c1 10 "the new root differs from it in that leaf only, which holds the new record",
        "report a bug: the root after the operation is another";
    c1 11 "enrol: the leaf was empty; the new record has key hash, view key and salt, is open and holds no rule",
        "choose a number that nobody was enrolled under";
    c1 12 "every other kind: the record is open",
        "enrol under another number: a stopped record stays closed";
    c1 13 "the slot belongs to the kind: permit 0-7, deny 8-11, policy 12-13; revoke any",
        "choose a slot of the rule's kind";
    c1 14 "a written rule is canonical: reserved bits zero, lanes below 2^44",
        "report a bug of the wallet: a reserved bit of the rule is set";
    c1 15 "the stored access.from is max(signed access.from, t_op); nothing else of the rule changes",
        "report a bug: the stored rule is not the signed one";
    c1 16 "the stored access period and the data period are not empty",
        "choose periods that end after they begin, the access period also after now";
    c1 17 "the overwritten slot is empty or its access.until <= t0",
        "choose another slot; one whose rule ended is free from the next window on";
    c1 18 "a permit has no break-glass kind; a policy has no other kind",
        "allow break-glass in a policy, and nothing else there";
    c1 19 "actor and source of a written rule are not zero",
        "name an actor and a source, or anybody";
    c1 20 "revoke: the argument is the hash of the rule in the slot, and the slot is not empty",
        "read the record and revoke the rule that stands in the slot";
    c1 21 "revoke: access.until was later than t_op and becomes t_op; nothing else changes",
        "nothing: the rule has ended already";
    c1 22 "stop: closed_at becomes t_op; nothing else changes",
        "report a bug: a stop changed more than the closing time";
    c1 23 "guardians, stop_authority, replaced_authority, recovery_key, recovery_state, forced_at are zero",
        "report a bug: recovery and forced stops are not built";
    c1 24 "operations_root is over the row leaves",
        "report a bug: the published rows are not the proven ones";
    c1 25 "operations and enrolments count the rows",
        "report a bug: the counts are not those of the rows";
    c1 26 "the proof is bound to domain",
        "prove again, for this chain, contract, key version and batch";
    c1 27 "the signing key is a point of the prime-order subgroup whose hash is the one named by C1.7",
        "sign with the key on record, an enrolment with the registrar's";
    c2 1 "the cap hashes to root",
        "report a bug: the chunk is of another root";
    c2 2 "the slot's record is the leaf at its index",
        "check the patient's number: it has another record, or none";
    c2 3 "slots ascend by index; an equal index continues the order of positions (C2.4), also over an edge",
        "report a bug: the slots are not in the order of patients";
    c2 4 "positions of a patient strictly ascend; position_in < position <= position_out",
        "report a bug: the claims are not in the order of positions";
    c2 5 "t0 <= receipt.from < receipt.until <= t1; measured is not empty",
        "leave the claim to the batch whose window holds it";
    c2 6 "the selected rule's access period contains the receipt interval",
        "ask the patient for a rule that holds at this time";
    c2 7 "the selected rule's data period contains the measured interval",
        "ask for data of the time that the rule covers";
    c2 8 "the claim's categories are not empty and within the rule's",
        "name at least one category, and only those that the rule covers";
    c2 9 "the claim has exactly one purpose, within the rule's",
        "ask for a purpose that the rule covers";
    c2 10 "the claim has exactly one kind, within the rule's",
        "ask the patient for a rule that covers this kind of act";
    c2 11 "the claim's labels are not empty and within the rule's",
        "ask the patient for a rule that covers the labels of this data";
    c2 12 "the rule's actor is ANY or the claim's individual, organisation or care team",
        "ask the patient for a rule that names you, your organisation or your care team";
    c2 13 "the rule's source is ANY or the claim's source",
        "ask for a source that the rule covers";
    c2 14 "the kind is break-glass if and only if the selected rule is a policy",
        "break the glass under a policy only, and use a permit for everything else";
    c2 15 "no deny overlaps: for each of the four, actor, source, categories, purpose, kind, labels, access period or data period is disjoint (a claim of source ANY meets every deny's source)",
        "accept it: only the patient can end a deny";
    c2 16 "the receipt interval ends no later than closed_at",
        "accept it: the patient has stopped the record";
    c2 17 "claims_root is over the claim leaves and tags",
        "report a bug: the published leaves are not the proven ones";
    c2 18 "access, collect, break_glass count the claims of each kind; padding counts nothing and has leaf 0",
        "report a bug: the counts are not those of the claims";
    c2 19 "a slot is covered or excluded as a whole; excluded counts its claims; an excluded slot is exempt from C2.6 to C2.16 only as far as the selected rule, denies and closed_at go: its claims are still well-formed (C2.4, C2.5, one purpose, one kind, non-empty masks)",
        "report a bug: claims with and without cover share a slot, or are counted wrongly";
    c2 20 "an active slot's tag is the one of its view key, index, number and count",
        "report a bug: the patient would not find the slot";
    c2 21 "edge_in opens to the last index and position before this chunk (0: there is none), edge_out to the last of it",
        "prove the chunks of a batch in their order";
    c2 22 "individual, organisation, source and digest of a claim are not zero",
        "name who acts, for which organisation and on which bytes";
    c2 23 "the proof is bound to domain",
        "prove again, for this chain, contract, key version and batch";
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Number and sentence of every row of SPEC.md that states a rule.
    fn stated() -> Vec<(String, String)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../SPEC.md");
        let spec = std::fs::read_to_string(path).expect("SPEC.md can be read");
        let rows = spec.lines().filter_map(|line| {
            let (number, sentence) =
                line.strip_prefix("| C")?.strip_suffix(" |")?.split_once(" | ")?;
            let is_rule = number.starts_with("1.") || number.starts_with("2.");
            is_rule.then(|| (format!("C{number}"), sentence.to_owned()))
        });
        rows.collect()
    }

    #[test]
    fn the_list_is_that_of_the_specification_word_by_word() {
        let listed = RULES.iter().map(|rule| (rule.number.to_string(), rule.sentence.to_owned()));
        assert_eq!(listed.collect::<Vec<_>>(), stated());
    }

    #[test]
    fn every_rule_is_found_by_its_number_and_says_what_to_do() {
        for rule in RULES {
            assert_eq!(rule.number.text(), Some(rule));
            assert!(!rule.remedy.is_empty() && !rule.remedy.ends_with('.'), "{}", rule.number);
        }
        assert_eq!(RuleNumber::c1(28).text(), None);
        assert_eq!(RuleNumber { statement: 3, number: 1 }.text(), None);
    }
}
