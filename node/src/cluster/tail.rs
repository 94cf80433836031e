//! The tail of one replica as queries see it: blocks that are turned into columns on first use.
//!
//! Nothing here is needed for a right answer: what is dropped is decoded again.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_query::{TailBlock, TailMemory};

/// Blocks by seq.
pub(crate) struct Tail {
    blocks: BTreeMap<u64, Arc<TailBlock>>,
    /// What is before this position is in segments for good, and is not kept again.
    first: u64,
    /// The node's, for the columns of all tails.
    memory: TailMemory,
}

impl Tail {
    /// No block yet.
    pub(crate) fn new(memory: TailMemory) -> Self {
        Self {
            blocks: BTreeMap::new(),
            first: 0,
            memory,
        }
    }

    /// The blocks of this view, in order; those that an earlier one had keep their columns. Blocks whose rows are all
    /// skipped have none. The view may be older than what was forgotten: such blocks go with it.
    pub(crate) fn blocks(&mut self, view: &hushlog_raft::View) -> Vec<Arc<TailBlock>> {
        self.forget(view.segmented_to);
        let rows = view.tail.iter().filter(|block| block.rows() > 0);
        rows.map(|block| {
            let make = || {
                let skip = block.skip.to_vec();
                let memory = self.memory.clone();
                Arc::new(TailBlock::new(block.seq, block.block.clone(), skip, memory))
            };
            if block.seq < self.first {
                return make();
            }
            Arc::clone(self.blocks.entry(block.seq).or_insert_with(make))
        })
        .collect()
    }

    /// Lets go of what is before `first`: it is in a segment.
    pub(crate) fn forget(&mut self, first: u64) {
        if first > self.first {
            self.first = first;
            self.blocks = self.blocks.split_off(&first);
        }
    }
}
