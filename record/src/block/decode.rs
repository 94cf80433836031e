//! Columns from their decompressed bytes. Reads what [`encode`](super::encode) wrote; anything else
//! is an error, never a panic, and memory is taken only for what the bytes themselves pay for: every
//! row, string and field costs at least one byte of them.

use bytes::Bytes;

use super::Error;
use super::columns::{Columns, DictColumn, ExceptionColumn, FieldColumn, PiiColumn, StrColumn};
use super::encode::{FIELDS, IDS_ABSENT, IDS_HEX, IDS_TEXT, KINDS_MIXED, TIME_UNITS};
use super::wire::Reader;
use crate::limits::BLOCK_FIELDS_MAX;
use crate::{Kind, Level, LogId};

const ROWS: Error = Error::Malformed("rows of a sparse column are not ascending rows of the block");

/// All columns of a block of `rows` rows, with signatures of its exceptions or without.
pub(super) fn columns(
    packed: &Bytes,
    plain: &[u8],
    rows: u32,
    signed: bool,
) -> Result<Columns, Error> {
    let mut input = Input {
        packed,
        reader: Reader::new(packed),
        plain: Reader::new(plain),
        rows: rows as usize,
    };
    if input.rows > input.reader.remaining() {
        return Err(Error::Malformed("it has fewer bytes than rows"));
    }
    let columns = Columns {
        rows,
        log_id: input.log_ids()?,
        timestamp: input.times()?,
        created_at: input.times()?,
        level: input.levels()?,
        service_name: input.dictionary()?,
        host: input.dictionary()?,
        environment: input.dictionary()?,
        region: input.dictionary()?,
        trace_id: input.ids()?,
        span_id: input.ids()?,
        message: input.strings(input.rows)?,
        exception: input.exceptions(signed)?,
        pii: input.pii()?,
        fields: input.fields()?,
    };
    input.reader.end()?;
    input.plain.end()?;
    Ok(columns)
}

struct Input<'a> {
    packed: &'a Bytes,
    /// Reads `packed`.
    reader: Reader<'a>,
    /// Reads the random ids.
    plain: Reader<'a>,
    rows: usize,
}

impl Input<'_> {
    fn log_ids(&mut self) -> Result<Vec<LogId>, Error> {
        let mut millis = Vec::with_capacity(self.rows);
        let mut value = 0i64;
        for _ in 0..self.rows {
            value = value.wrapping_add(self.reader.signed()?);
            if !(0..1 << 48).contains(&value) {
                return Err(Error::Malformed("the time of a log id is out of range"));
            }
            millis.push(value);
        }
        let mut ids = Vec::with_capacity(self.rows);
        for millis in millis {
            let [_, _, m0, m1, m2, m3, m4, m5] = millis.to_be_bytes();
            let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = self.plain.array()?;
            ids.push(LogId([
                m0, m1, m2, m3, m4, m5, r0, r1, r2, r3, r4, r5, r6, r7, r8, r9,
            ]));
        }
        Ok(ids)
    }

    fn times(&mut self) -> Result<Vec<i64>, Error> {
        let unit = usize::from(self.reader.byte()?);
        let unit = *TIME_UNITS
            .get(unit)
            .ok_or(Error::Malformed("a unit of time is unknown"))?;
        let mut times = Vec::with_capacity(self.rows);
        let mut time = self.reader.signed()?;
        times.push(time);
        for _ in 1..self.rows {
            time = time.wrapping_add(self.reader.signed()?.wrapping_mul(unit));
            times.push(time);
        }
        Ok(times)
    }

    fn levels(&mut self) -> Result<Vec<Level>, Error> {
        let codes = self.reader.take(self.rows)?;
        codes
            .iter()
            .map(|code| Level::from_code(*code).ok_or(Error::Malformed("a level is unknown")))
            .collect()
    }

    /// `count` lengths, then the text.
    fn strings(&mut self, count: usize) -> Result<StrColumn, Error> {
        let (offsets, total) = self.offsets(count, 1)?;
        let data = self.packed.slice_ref(self.reader.take(total)?);
        StrColumn::new(offsets, data)
    }

    /// `count` lengths as offsets, each length times `scale`, and the bytes that follow for them.
    fn offsets(&mut self, count: usize, scale: i32) -> Result<(Vec<i32>, usize), Error> {
        const LONG: Error = Error::Malformed("text is longer than the block");
        if count > self.reader.remaining() {
            return Err(LONG);
        }
        let mut offsets = Vec::with_capacity(count + 1);
        let mut end = 0i32;
        offsets.push(end);
        for _ in 0..count {
            let len = i32::try_from(self.reader.varint()?).map_err(|_| LONG)?;
            end = len
                .checked_mul(scale)
                .and_then(|len| end.checked_add(len))
                .ok_or(LONG)?;
            offsets.push(end);
        }
        let total = usize::try_from(end / scale).map_err(|_| LONG)?;
        Ok((offsets, total))
    }

    fn dictionary(&mut self) -> Result<DictColumn, Error> {
        let count = self.reader.count(self.rows, "values of a dictionary")?;
        if count == 0 {
            return Err(Error::Malformed("a dictionary is empty"));
        }
        let values = self.strings(count)?;
        let codes: Vec<u32> = match count {
            1 => vec![0; self.rows],
            2..=0x100 => self
                .reader
                .take(self.rows)?
                .iter()
                .map(|code| u32::from(*code))
                .collect(),
            _ => {
                let (pairs, _) = self.reader.take(self.rows * 2)?.as_chunks::<2>();
                pairs
                    .iter()
                    .map(|pair| u32::from(u16::from_le_bytes(*pair)))
                    .collect()
            }
        };
        if codes.iter().any(|code| *code as usize >= count) {
            return Err(Error::Malformed(
                "a row names an unknown value of its dictionary",
            ));
        }
        Ok(DictColumn { values, codes })
    }

    fn ids(&mut self) -> Result<StrColumn, Error> {
        match self.reader.byte()? {
            IDS_ABSENT => StrColumn::new(vec![0; self.rows + 1], Bytes::new()),
            IDS_TEXT => self.strings(self.rows),
            IDS_HEX => {
                let (offsets, total) = self.offsets(self.rows, 2)?;
                StrColumn::new(offsets, unpack(self.plain.take(total)?))
            }
            _ => Err(Error::Malformed("an id column has an unknown form")),
        }
    }

    fn sparse_rows(&mut self, count: usize) -> Result<Vec<u32>, Error> {
        let mut rows = Vec::with_capacity(count);
        let mut row = 0u64;
        for index in 0..count {
            let delta = self.reader.varint()?;
            row = row.checked_add(delta).ok_or(ROWS)?;
            if row >= self.rows as u64 || (delta == 0 && index > 0) {
                return Err(ROWS);
            }
            rows.push(u32::try_from(row).map_err(|_| ROWS)?);
        }
        Ok(rows)
    }

    fn exceptions(&mut self, signed: bool) -> Result<ExceptionColumn, Error> {
        let count = self.reader.count(self.rows, "exceptions of a block")?;
        let signatures = if signed { count } else { 0 };
        Ok(ExceptionColumn {
            rows: self.sparse_rows(count)?,
            type_name: self.strings(count)?,
            message: self.strings(count)?,
            stack_trace: self.strings(count)?,
            signature: (0..signatures)
                .map(|_| self.plain.array().map(u64::from_le_bytes))
                .collect::<Result<_, _>>()?,
        })
    }

    fn pii(&mut self) -> Result<PiiColumn, Error> {
        let count = self.reader.count(self.rows, "detections of a block")?;
        Ok(PiiColumn {
            rows: self.sparse_rows(count)?,
            names: self.strings(count)?,
        })
    }

    fn fields(&mut self) -> Result<Vec<FieldColumn>, Error> {
        let count = self.reader.count(BLOCK_FIELDS_MAX, FIELDS)?;
        let mut fields = Vec::<FieldColumn>::new();
        for _ in 0..count {
            let field = self.field()?;
            if fields.last().is_some_and(|before| before.key >= field.key) {
                return Err(Error::Malformed("fields are not sorted"));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn field(&mut self) -> Result<FieldColumn, Error> {
        let key = self.reader.text()?.to_owned();
        let count = self.reader.count(self.rows, "rows of a field")?;
        let rows = if count == self.rows {
            (0..u32::try_from(count).map_err(|_| ROWS)?).collect()
        } else {
            self.sparse_rows(count)?
        };
        let kinds = self.kinds(count)?;
        Ok(FieldColumn {
            key,
            rows,
            kinds,
            values: self.strings(count)?,
        })
    }

    fn kinds(&mut self, count: usize) -> Result<Vec<Kind>, Error> {
        let kind = |code| Kind::from_code(code).ok_or(Error::Malformed("a kind is unknown"));
        match self.reader.byte()? {
            KINDS_MIXED => self
                .reader
                .take(count)?
                .iter()
                .map(|code| kind(*code))
                .collect(),
            code => Ok(vec![kind(code)?; count]),
        }
    }
}

fn unpack(packed: &[u8]) -> Bytes {
    let digit = |half: u8| {
        if half < 10 {
            b'0' + half
        } else {
            b'a' + half - 10
        }
    };
    let mut text = Vec::with_capacity(packed.len() * 2);
    for byte in packed {
        text.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
    }
    Bytes::from(text)
}
