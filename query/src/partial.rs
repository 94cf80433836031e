//! What one shard found: hits, counts and aggregation states, ready to travel and to be merged.

use hushlog_record::ShardId;

use crate::Error;
use crate::aggregation::{self, State};
use crate::codec::{DAMAGED, Reader, Writer};
use crate::hit::Hit;
use crate::limits::PARTIAL_BYTES_MAX;
use crate::plan::Plan;

/// Version of the encoding.
const VERSION: u8 = 1;

/// What one shard found.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    /// The shard.
    pub shard: ShardId,
    /// End of what was applied there when it was asked.
    pub applied_to: u64,
    /// Records that match.
    pub total: u64,
    /// Whether records may match beyond the last hit.
    pub more: bool,
    /// The best hits in order, at most offset + limit.
    pub hits: Vec<Hit>,
    pub(crate) states: Vec<State>,
    /// What it took.
    pub scanned: Scanned,
}

/// What an answer took on one shard; for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Granules read.
    pub granules: u64,
    /// Granules left out by statistics or index.
    pub granules_pruned: u64,
    /// Rows looked at beyond their cheap columns.
    pub rows: u64,
    /// Indexes that could not be read, so that everything was scanned instead.
    pub index_failures: u64,
}

impl Scanned {
    pub(crate) fn add(&mut self, other: Self) {
        self.granules += other.granules;
        self.granules_pruned += other.granules_pruned;
        self.rows += other.rows;
        self.index_failures += other.index_failures;
    }
}

impl Partial {
    /// Memory that it takes, estimated from what is in it.
    pub fn memory_bytes(&self) -> usize {
        let hits: usize = self.hits.iter().map(Hit::memory_bytes).sum();
        let (_, states) = aggregation::size(&self.states);
        size_of::<Self>() + hits + states
    }

    /// The bytes for the coordinator.
    pub fn encode(&self) -> Vec<u8> {
        let mut into = Writer::default();
        into.byte(VERSION);
        into.number(self.shard.group());
        into.number(self.applied_to);
        into.number(self.total);
        into.byte(u8::from(self.more));
        let Scanned {
            granules,
            granules_pruned,
            rows,
            index_failures,
        } = self.scanned;
        for number in [granules, granules_pruned, rows, index_failures] {
            into.number(number);
        }
        into.size(self.hits.len());
        self.hits.iter().for_each(|hit| hit.encode(&mut into));
        aggregation::encode(&self.states, &mut into);
        into.bytes
    }

    /// Reads a partial of this plan.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn decode(plan: &Plan, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > PARTIAL_BYTES_MAX {
            return Err(DAMAGED);
        }
        let mut from = Reader::new(bytes);
        if from.byte()? != VERSION {
            return Err(DAMAGED);
        }
        let shard = ShardId::from_group(from.number()?).ok_or(DAMAGED)?;
        let (applied_to, total) = (from.number()?, from.number()?);
        let more = from.byte()? != 0;
        let scanned = Scanned {
            granules: from.number()?,
            granules_pruned: from.number()?,
            rows: from.number()?,
            index_failures: from.number()?,
        };
        let hits = (0..from.size()?)
            .map(|_| Hit::decode(&mut from))
            .collect::<Result<_, _>>()?;
        let states = aggregation::decode(&plan.request.aggregations, &mut from)?;
        from.finish()?;
        Ok(Self {
            shard,
            applied_to,
            total,
            more,
            hits,
            states,
            scanned,
        })
    }
}
