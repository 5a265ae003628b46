//! One root over the rows of a data set, block by block.

/// Rows of a block: of one block it can be shown that it is in the set, without the others.
pub(crate) const BLOCK_ROWS: u64 = 1024;
/// Second line of a set.
pub(crate) const ROWS_HEADER: &str = "participant,signal,time_ms,value,unit";

const BLOCK: &str = "vitals rollup 2026 study block v1";
const NODE: &str = "vitals rollup 2026 study node v1";
const ROOT: &str = "vitals rollup 2026 study root v1";

/// Hashes rows into blocks, and blocks into a binary tree. The root holds how many rows and blocks
/// there are, and the set's first line: a set of other length or layout has another root.
pub(crate) struct RowsRoot {
    head: String,
    rows: u64,
    block: Vec<u8>,
    blocks: Vec<[u8; 32]>,
}

impl RowsRoot {
    /// Of a set whose first line, without its root, is this.
    pub(crate) fn new(head: &str) -> RowsRoot {
        RowsRoot { head: head.to_owned(), rows: 0, block: Vec::new(), blocks: Vec::new() }
    }

    pub(crate) fn take(&mut self, row: &str) {
        self.block.extend((row.len() as u64).to_be_bytes());
        self.block.extend(row.as_bytes());
        self.rows += 1;
        if self.rows.is_multiple_of(BLOCK_ROWS) {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        let mut hasher = blake3::Hasher::new_derive_key(BLOCK);
        hasher.update(&(self.blocks.len() as u64).to_be_bytes());
        hasher.update(&self.block);
        self.blocks.push(*hasher.finalize().as_bytes());
        self.block.clear();
    }

    pub(crate) fn conclude(mut self) -> [u8; 32] {
        if !self.block.is_empty() {
            self.close_block();
        }
        let count = self.blocks.len() as u64;
        let mut nodes = self.blocks;
        while nodes.len() > 1 {
            nodes = nodes.chunks(2).map(node).collect();
        }
        let mut hasher = blake3::Hasher::new_derive_key(ROOT);
        hasher.update(&(self.head.len() as u64).to_be_bytes());
        hasher.update(self.head.as_bytes());
        hasher.update(&self.rows.to_be_bytes());
        hasher.update(&count.to_be_bytes());
        for top in &nodes {
            hasher.update(top);
        }
        *hasher.finalize().as_bytes()
    }
}

/// A node with one child is a hash as well: what was passed up could be taken for a node.
fn node(children: &[[u8; 32]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(NODE);
    for child in children {
        hasher.update(child);
    }
    *hasher.finalize().as_bytes()
}
