//! The page of operating: its commands are run as they stand there, against a node of its own.

use crate::walker::Walker;

#[test]
fn the_page_of_operating_is_walked_by_its_own_commands() {
    let mut operator = Walker::new();
    operator.walk("operate.md", None);
    assert!(operator.commands > 30, "the page is read: {}", operator.commands);
}
