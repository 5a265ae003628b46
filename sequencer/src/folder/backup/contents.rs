//! What becomes of each thing in a node's folder when it is backed up: the one list, which the page
//! about keys repeats for people.

/// What becomes of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is copied.
    Copied,
    /// It is copied apart from the journal, if it is asked for: beside it, it would open what the
    /// journal alone keeps closed.
    Apart,
    /// It is left out.
    LeftOut,
}

/// Something in a node's folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// Its name, of a file or of a folder with all that is in it.
    pub name: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// Why, where somebody would ask.
    pub why: &'static str,
}

const fn content(name: &'static str, fate: Fate, why: &'static str) -> Content {
    Content { name, fate, why }
}

/// Everything that a node's folder may hold.
pub const CONTENTS: &[Content] = &[
    content("node.toml", Fate::Copied, "may name addresses with passwords"),
    content("deployment.json", Fate::Copied, "is written for a contract once"),
    content("store", Fate::Copied, "is made again at the cost of proving every batch anew"),
    content("chain.journal", Fate::Copied, "of the embedded chain"),
    content("evidence", Fate::Copied, "says what the journal lacks"),
    content("head.witness", Fate::Copied, "of the journal as it is copied"),
    content("journal", Fate::Copied, ""),
    content("keys", Fate::Apart, "opens, with the journal, every patient's claims"),
    content("body-keys.json", Fate::Copied, "says which keys of bodies were destroyed"),
    content("body-keys", Fate::LeftOut, "has backups of its own, which expire (keys backup)"),
    content("authority", Fate::Apart, "issues certificates"),
    content("server", Fate::Apart, "stands in for the node"),
    content("clock.witness", Fate::LeftOut, "speaks of one boot of one machine"),
    content("operator.log", Fate::Copied, "says who told the node to do what"),
    content("audit-reads.log", Fate::Copied, "says who read whose AuditEvents"),
    content("subscriptions.json", Fate::Copied, "its secrets sign notices and open nothing"),
    content("erasures.waiting", Fate::Copied, "says which patients ask to be erased"),
    content("paused.json", Fate::Copied, "says that nothing is to be settled"),
    content("restored.mark", Fate::LeftOut, "is written by each restore"),
    content("proving-keys", Fate::LeftOut, "are made or imported again"),
    content("snapshots", Fate::LeftOut, "are made again from the journal"),
    content("archive.mark", Fate::LeftOut, "is found again in the archive"),
    content("archived", Fate::LeftOut, "is fetched again from the archive"),
    content("admin.sock", Fate::LeftOut, "is of the running process"),
    content("endpoints.json", Fate::LeftOut, "is of the running process"),
    content("journal.log", Fate::LeftOut, "is converted first (sequencer journal convert)"),
];

impl Content {
    /// What is known of something directly below the folder.
    pub fn of(name: &str) -> Option<&'static Content> {
        CONTENTS.iter().find(|content| content.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::layout::Layout;
    use crate::folder::secrets::NodeSecret;

    #[test]
    fn every_place_of_a_node_has_its_fate() {
        let secrets = NodeSecret::ALL.map(NodeSecret::file);
        for place in Layout::PLACES.iter().chain(&secrets) {
            let name = place.split('/').next().unwrap();
            assert!(Content::of(name).is_some(), "{place}: copied, apart or left out?");
        }
        for (at, content) in CONTENTS.iter().enumerate() {
            assert!(CONTENTS[..at].iter().all(|other| other.name != content.name), "{content:?}");
        }
    }

    #[test]
    fn the_page_about_keys_lists_what_is_copied_and_what_apart() {
        let page = include_str!("../../../docs/keys.md");
        let (_, section) = page.split_once("### What to back up\n").unwrap();
        let (section, _) = section.split_once("\n### ").unwrap();
        let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
        for Content { name, fate, .. } in CONTENTS.iter().filter(|one| one.fate != Fate::LeftOut) {
            let named = |row: &&&str| {
                let first = row.split('|').nth(1).unwrap();
                first.contains(&format!("`{name}`")) || first.contains(&format!("`{name}/`"))
            };
            let row = rows.iter().find(named);
            let row = row.unwrap_or_else(|| panic!("expected a row of {name} in keys.md"));
            assert_eq!(row.contains("**apart**"), *fate == Fate::Apart, "{row}");
        }
    }
}
