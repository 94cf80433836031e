//! Masked rows on their way to shards.

use hushlog_record::block::PartKey;
use hushlog_record::{Masked, Record, ShardId};
use rustc_hash::FxHashMap;

use super::{Refused, Sink};

/// Rows that travel together, each of some service.
///
/// Keyed rows are all of one service, and how a request is cut into them depends on the request
/// alone: a retry that finds another shard map makes the same pieces with the same keys.
pub(super) struct Rows {
    pub(super) records: Vec<Masked<Record>>,
    pub(super) text_bytes: usize,
    pub(super) key: Option<PartKey>,
}

/// Rows with the shard that takes them.
pub(super) struct Part {
    pub(super) shard: ShardId,
    pub(super) rows: Rows,
}

impl Rows {
    pub(super) fn new(key: Option<PartKey>) -> Self {
        Self {
            records: Vec::new(),
            text_bytes: 0,
            key,
        }
    }

    pub(super) fn push(&mut self, record: Masked<Record>) {
        self.text_bytes += record.text_bytes();
        self.records.push(record);
    }

    /// Finds the shard of every row again.
    pub(super) fn route(self, sink: &dyn Sink) -> Result<Vec<Part>, Refused> {
        let Some(first) = self.records.first() else {
            return Ok(Vec::new());
        };
        if self.key.is_some() {
            let shard = sink.route(&first.service_name)?;
            return Ok(vec![Part { shard, rows: self }]);
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut places: FxHashMap<String, usize> = FxHashMap::default();
        for record in self.records {
            let place = match places.get(&record.service_name) {
                Some(place) => *place,
                None => {
                    let shard = sink.route(&record.service_name)?;
                    let known = parts.iter().position(|part| part.shard == shard);
                    let place = known.unwrap_or(parts.len());
                    if known.is_none() {
                        parts.push(Part {
                            shard,
                            rows: Self::new(None),
                        });
                    }
                    places.insert(record.service_name.clone(), place);
                    place
                }
            };
            if let Some(part) = parts.get_mut(place) {
                part.rows.push(record);
            }
        }
        Ok(parts)
    }
}
