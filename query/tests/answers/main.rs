//! Answers held against a plain reading of the rules: generated records and queries, split anywhere
//! between segments and tail, with and without index and summaries; and tables of single rules.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what went wrong by panicking"
)]

mod aggregations;
mod generate;
mod oracle;
mod shards;
mod table;
mod topk;
mod whole;
