//! Reads the examples of a page: what stands between fences.

/// What stands between two fences of the page.
pub(crate) struct Block {
    pub(crate) info: String,
    pub(crate) text: String,
}

/// All of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(info), None) => {
                open = Some(Block { info: info.to_owned(), text: String::new() });
            }
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    found
}
