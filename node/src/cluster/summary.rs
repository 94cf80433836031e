//! Summaries of segments: from block headers, or from the rows when a summary was lost.
//!
//! Both ways count the same.

use arrow_array::RecordBatch;
use hushlog_raft::TailBlock;
use hushlog_record::block::Counts;
use hushlog_sketch::{ExceptionTally, Summary};
use hushlog_storage::batch::{self, Rows};

/// The summary of these blocks, without decoding them.
pub(crate) fn of_blocks(blocks: &[TailBlock]) -> Summary {
    let mut summary = Summary::new();
    for block in blocks {
        add_counts(&mut summary, block.counts());
    }
    summary.compact();
    summary
}

fn add_counts(summary: &mut Summary, counts: &Counts) {
    for level in &counts.levels {
        summary.add_level(
            level.minute,
            &level.service,
            level.level.code(),
            level.count,
        );
    }
    for exception in &counts.exceptions {
        let samples: Vec<[u8; 16]> = exception.samples.iter().map(|id| id.0).collect();
        let tally = ExceptionTally {
            count: exception.count,
            first_seen: exception.first_seen.nanos(),
            last_seen: exception.last_seen.nanos(),
            samples: &samples,
        };
        summary.add_exception(
            exception.minute,
            &exception.service,
            &exception.type_name,
            tally,
        );
    }
}

/// The summary of rows, and their ids, granule by granule.
pub(crate) struct Counting {
    summary: Summary,
    ids: Vec<[u8; 16]>,
}

impl Counting {
    pub(crate) fn new() -> Self {
        Self {
            summary: Summary::new(),
            ids: Vec::new(),
        }
    }

    /// Takes in a granule.
    ///
    /// # Errors
    /// [`batch::Error::Schema`].
    pub(crate) fn add(&mut self, granule: &RecordBatch) -> Result<(), batch::Error> {
        for row in Rows::new(granule)?.iter() {
            let id = row.log_id().map(|id| id.0);
            self.ids.extend(id);
            let (Some(time), Some(level)) = (row.timestamp(), row.level()) else {
                continue;
            };
            let service = row.service_name().unwrap_or_default();
            self.summary
                .add_level(time.minute(), service, level.code(), 1);
            let Some((type_name, _, _)) = row.exception() else {
                continue;
            };
            let tally = ExceptionTally {
                count: 1,
                first_seen: time.nanos(),
                last_seen: time.nanos(),
                samples: id.as_slice(),
            };
            self.summary
                .add_exception(time.minute(), service, type_name, tally);
        }
        Ok(())
    }

    /// What was taken in.
    pub(crate) fn finish(mut self) -> (Summary, Vec<[u8; 16]>) {
        self.summary.compact();
        (self.summary, self.ids)
    }
}
