//! The tail of one replica as queries see it: blocks that are turned into columns on first use.
//!
//! Nothing here is needed for a right answer: what is dropped is decoded again.

use std::collections::BTreeMap;
use std::sync::Arc;

use hushlog_query::TailBlock;

/// Blocks by seq.
#[derive(Default)]
pub(crate) struct Tail {
    blocks: BTreeMap<u64, Arc<TailBlock>>,
}

impl Tail {
    /// These blocks, in order; those that an earlier view had keep their columns, unless all of them
    /// together take more than `bytes_max`. Blocks whose rows are all skipped have none.
    pub(crate) fn blocks(
        &mut self,
        applied: &[hushlog_raft::TailBlock],
        bytes_max: usize,
    ) -> Vec<Arc<TailBlock>> {
        let first = applied.first().map_or(u64::MAX, |block| block.seq);
        self.blocks = self.blocks.split_off(&first);
        let decoded: usize = self
            .blocks
            .values()
            .map(|block| block.decoded_bytes())
            .sum();
        if decoded > bytes_max {
            self.blocks.clear();
        }
        let rows = applied.iter().filter(|block| block.rows() > 0);
        rows.map(|block| {
            let make = || {
                let skip = block.skip.to_vec();
                Arc::new(TailBlock::new(block.seq, block.block.clone(), skip))
            };
            Arc::clone(self.blocks.entry(block.seq).or_insert_with(make))
        })
        .collect()
    }
}
