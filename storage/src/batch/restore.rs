//! The rows of a batch as columns again, with the positions that they came with: what a merge of segments
//! gathers from.
//!
//! Nothing is lost or added on the way: typed fields come back with the text that they had.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use hushlog_record::Kind;
use hushlog_record::block::{
    Columns, DictColumn, ExceptionColumn, FieldColumn, PiiColumn, StrColumnBuilder,
};
use rustc_hash::FxHashMap;

use super::Error;
use super::row::{Row, Rows};

/// Columns, and seq and row of each of their rows.
pub(crate) struct Restored {
    pub(crate) columns: Columns,
    pub(crate) positions: Vec<(u64, u32)>,
}

/// Columns under construction.
#[derive(Default)]
pub(crate) struct Restore {
    rows: u32,
    positions: Vec<(u64, u32)>,
    log_id: Vec<hushlog_record::LogId>,
    timestamp: Vec<i64>,
    created_at: Vec<i64>,
    level: Vec<hushlog_record::Level>,
    service_name: Dict,
    host: Dict,
    environment: Dict,
    region: Dict,
    trace_id: StrColumnBuilder,
    span_id: StrColumnBuilder,
    message: StrColumnBuilder,
    exception_rows: Vec<u32>,
    exception: [StrColumnBuilder; 3],
    signature: Vec<u64>,
    pii_rows: Vec<u32>,
    pii: StrColumnBuilder,
    fields: BTreeMap<String, Field>,
}

#[derive(Default)]
struct Dict {
    codes: Vec<u32>,
    known: FxHashMap<String, u32>,
    values: StrColumnBuilder,
}

#[derive(Default)]
struct Field {
    rows: Vec<u32>,
    kinds: Vec<Kind>,
    values: StrColumnBuilder,
}

impl Dict {
    fn push(&mut self, text: &str) -> Result<(), Error> {
        let code = match self.known.get(text) {
            Some(code) => *code,
            None => {
                let code = u32::try_from(self.known.len())
                    .map_err(|_| Error::Columns("more than 2^32 distinct values"))?;
                self.values.push(text)?;
                self.known.insert(text.to_owned(), code);
                code
            }
        };
        self.codes.push(code);
        Ok(())
    }

    fn finish(self) -> DictColumn {
        DictColumn {
            values: self.values.finish(),
            codes: self.codes,
        }
    }
}

impl Restore {
    /// Adds those rows that `keep` says of a batch that has all columns.
    ///
    /// # Errors
    /// [`Error::Schema`] for a column that is missing or of another type, [`Error::Block`] for more text than
    /// a column can hold.
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
        keep: &impl Fn(&Row<'_, '_>) -> bool,
    ) -> Result<(), Error> {
        let rows = Rows::new(batch)?;
        let mut kept = rows.iter().filter(|row| keep(row));
        kept.try_for_each(|row| self.push(&row))
    }

    fn push(&mut self, row: &Row<'_, '_>) -> Result<(), Error> {
        let number = self.rows;
        let rows = number.checked_add(1);
        self.rows = rows.ok_or(Error::Columns("more than 2^32 rows"))?;
        self.positions.push((
            row.seq().ok_or_else(|| missing("_seq"))?,
            row.row().ok_or_else(|| missing("_row"))?,
        ));
        self.log_id
            .push(row.log_id().ok_or_else(|| missing("log_id"))?);
        let time = row.timestamp().ok_or_else(|| missing("timestamp"))?;
        self.timestamp.push(time.nanos());
        let created_at = row.created_at().ok_or_else(|| missing("created_at"))?;
        self.created_at.push(created_at.nanos());
        self.level
            .push(row.level().ok_or_else(|| missing("level"))?);
        let service = row.service_name().ok_or_else(|| missing("service_name"))?;
        self.service_name.push(service)?;
        self.host.push(row.host())?;
        self.environment.push(row.environment())?;
        self.region.push(row.region())?;
        self.trace_id.push(row.trace_id())?;
        self.span_id.push(row.span_id())?;
        self.message
            .push(row.message().ok_or_else(|| missing("message"))?)?;
        if let Some((type_name, message, stack_trace)) = row.exception() {
            self.exception_rows.push(number);
            for (column, text) in self
                .exception
                .iter_mut()
                .zip([type_name, message, stack_trace])
            {
                column.push(text)?;
            }
            self.signature.push(row.signature());
        }
        if let Some(names) = row.pii_names() {
            self.pii_rows.push(number);
            self.pii.push(names)?;
        }
        for field in row.fields() {
            if !self.fields.contains_key(field.name) {
                self.fields.insert(field.name.to_owned(), Field::default());
            }
            let Some(column) = self.fields.get_mut(field.name) else {
                continue;
            };
            column.rows.push(number);
            column.kinds.push(field.kind);
            column.values.push(&field.text)?;
        }
        Ok(())
    }

    /// What was added.
    pub(crate) fn finish(mut self) -> Restored {
        if self.signature.iter().all(|signature| *signature == 0) {
            self.signature.clear();
        }
        let [type_name, message, stack_trace] = self.exception.map(StrColumnBuilder::finish);
        let fields = self.fields.into_iter().map(|(key, field)| FieldColumn {
            key,
            rows: field.rows,
            kinds: field.kinds,
            values: field.values.finish(),
        });
        Restored {
            columns: Columns {
                rows: self.rows,
                log_id: self.log_id,
                timestamp: self.timestamp,
                created_at: self.created_at,
                level: self.level,
                service_name: self.service_name.finish(),
                host: self.host.finish(),
                environment: self.environment.finish(),
                region: self.region.finish(),
                trace_id: self.trace_id.finish(),
                span_id: self.span_id.finish(),
                message: self.message.finish(),
                exception: ExceptionColumn {
                    rows: self.exception_rows,
                    type_name,
                    message,
                    stack_trace,
                    signature: self.signature,
                },
                pii: PiiColumn {
                    rows: self.pii_rows,
                    names: self.pii.finish(),
                },
                fields: fields.collect(),
            },
            positions: self.positions,
        }
    }
}

fn missing(column: &str) -> Error {
    Error::Schema(column.to_owned())
}
