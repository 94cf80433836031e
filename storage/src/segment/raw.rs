//! How much the rows of a segment are before they are encoded and compressed: what whoever merges segments holds
//! in memory, and what merges are planned by.
//!
//! A sum over the rows, so that a segment has the same whether it was built of blocks or of other segments.
//! Never less than what the rows take in memory; repeated strings count once for each row.

use hushlog_record::block::{Columns, DictColumn, StrColumn};

/// Counted for each row: ids, times, its position and its place in the order.
const ROW_BYTES: u64 = 128;
/// Counted for each value that only some rows have: which row, where it ends, what it stands for.
const SPARSE_BYTES: u64 = 16;

/// Bytes of the rows of `columns` that are kept; a row that `kept` does not say is not.
pub(super) fn bytes(columns: &Columns, kept: &[bool]) -> u64 {
    let rows = kept.iter().filter(|kept| **kept).count() as u64;
    let repeated = [
        &columns.service_name,
        &columns.host,
        &columns.environment,
        &columns.region,
    ];
    let texts = [&columns.trace_id, &columns.span_id, &columns.message];
    let exception = &columns.exception;
    let exceptions = [
        &exception.type_name,
        &exception.message,
        &exception.stack_trace,
    ];
    let fields = columns.fields.iter();
    let sums = [
        rows * ROW_BYTES,
        repeated.map(|column| dictionary(column, kept)).iter().sum(),
        texts.map(|column| dense(column, kept)).iter().sum(),
        exceptions
            .map(|column| sparse(&exception.rows, column, kept))
            .iter()
            .sum(),
        sparse(&columns.pii.rows, &columns.pii.names, kept),
        fields
            .map(|field| sparse(&field.rows, &field.values, kept))
            .sum(),
    ];
    sums.iter().sum()
}

fn lengths(column: &StrColumn) -> impl Iterator<Item = u64> {
    let ends = column.offsets().iter().skip(1);
    let pairs = column.offsets().iter().zip(ends);
    pairs.map(|(from, to)| u64::try_from(to - from).unwrap_or(0))
}

fn dense(column: &StrColumn, kept: &[bool]) -> u64 {
    let rows = lengths(column).zip(kept);
    rows.filter_map(|(bytes, kept)| kept.then_some(bytes)).sum()
}

fn dictionary(column: &DictColumn, kept: &[bool]) -> u64 {
    let values: Vec<u64> = lengths(&column.values).collect();
    let rows = column.codes.iter().zip(kept);
    rows.filter_map(|(code, kept)| kept.then(|| values.get(*code as usize))?)
        .sum()
}

fn sparse(rows: &[u32], column: &StrColumn, kept: &[bool]) -> u64 {
    let is_kept = |row: u32| kept.get(row as usize).copied().unwrap_or(false);
    let values = rows.iter().zip(lengths(column));
    values
        .filter_map(|(row, bytes)| is_kept(*row).then_some(SPARSE_BYTES + bytes))
        .sum()
}
