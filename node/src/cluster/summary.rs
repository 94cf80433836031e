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

/// The summary of these rows.
pub(crate) fn of_granules(granules: &[RecordBatch]) -> Result<Summary, batch::Error> {
    let mut summary = Summary::new();
    for granule in granules {
        for row in Rows::new(granule)?.iter() {
            let (Some(time), Some(level)) = (row.timestamp(), row.level()) else {
                continue;
            };
            let service = row.service_name().unwrap_or_default();
            summary.add_level(time.minute(), service, level.code(), 1);
            let Some((type_name, _, _)) = row.exception() else {
                continue;
            };
            let samples: Vec<[u8; 16]> = row.log_id().map(|id| id.0).into_iter().collect();
            let tally = ExceptionTally {
                count: 1,
                first_seen: time.nanos(),
                last_seen: time.nanos(),
                samples: &samples,
            };
            summary.add_exception(time.minute(), service, type_name, tally);
        }
    }
    summary.compact();
    Ok(summary)
}

/// The ids of these rows.
pub(crate) fn log_ids(granules: &[RecordBatch]) -> Result<Vec<[u8; 16]>, batch::Error> {
    let mut ids = Vec::new();
    for granule in granules {
        ids.extend(
            Rows::new(granule)?
                .iter()
                .filter_map(|row| row.log_id())
                .map(|id| id.0),
        );
    }
    Ok(ids)
}
