//! The tail of one replica as queries see it: blocks that are turned into columns on first use.
//!
//! Nothing here is needed for a right answer: what is dropped is decoded again.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_query::{TailBlock, TailMemory};

/// Blocks by seq.
pub(crate) struct Tail {
    blocks: BTreeMap<u64, Arc<TailBlock>>,
    /// The node's, for the columns of all tails.
    memory: TailMemory,
}

impl Tail {
    /// No block yet.
    pub(crate) fn new(memory: TailMemory) -> Self {
        Self {
            blocks: BTreeMap::new(),
            memory,
        }
    }

    /// These blocks, in order; those that an earlier view had keep their columns. Blocks whose rows are all
    /// skipped have none.
    pub(crate) fn blocks(&mut self, applied: &[hushlog_raft::TailBlock]) -> Vec<Arc<TailBlock>> {
        self.forget(applied.first().map_or(u64::MAX, |block| block.seq));
        let rows = applied.iter().filter(|block| block.rows() > 0);
        rows.map(|block| {
            let make = || {
                let skip = block.skip.to_vec();
                let memory = self.memory.clone();
                Arc::new(TailBlock::new(block.seq, block.block.clone(), skip, memory))
            };
            Arc::clone(self.blocks.entry(block.seq).or_insert_with(make))
        })
        .collect()
    }

    /// Lets go of what is before `first`: it is in a segment.
    pub(crate) fn forget(&mut self, first: u64) {
        self.blocks = self.blocks.split_off(&first);
    }
}
