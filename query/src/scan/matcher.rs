//! A compiled expression, and its evaluation on a batch.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::Schema;
use hushlog_record::{ExceptionId, Kind, Level};
use hushlog_storage::batch::{Text, name, value};
use rustc_hash::FxHashMap;

use super::column::{self, Columns, Need, Values};
use super::text::TextTest;
use super::value::{ValueTest, between};
use super::words::{Anywhere, WordsTest};
use crate::Error;
use crate::field::{Field, Nature};
use crate::language::{Expr, Leaf, Levels, Scalar, Target, Test, compile, whole};
use crate::letters::Letters;

/// A compiled expression.
pub(crate) enum Matcher {
    All,
    And(Vec<Matcher>),
    Or(Vec<Matcher>),
    Not(Box<Matcher>),
    Leaf(Box<LeafMatcher>),
}

/// A compiled test.
pub(crate) enum LeafMatcher {
    Levels(Levels),
    Time {
        column: &'static str,
        first: i64,
        last: i64,
    },
    LogId([u8; 16]),
    ExceptionId(u64),
    /// One of these columns has a text that passes.
    Text(Vec<&'static str>, TextTest),
    /// One of the comma-separated names passes.
    Pii(TextTest),
    /// One of the text columns, or a text or array among the custom fields, passes.
    Anywhere(Anywhere),
    Custom(String, ValueTest),
}

impl Matcher {
    pub(crate) fn compile(expr: &Expr) -> Self {
        match expr {
            Expr::All => Self::All,
            Expr::And(parts) => {
                let mut parts: Vec<_> = parts.iter().map(Self::compile).collect();
                parts.sort_by_key(Self::cost);
                Self::And(parts)
            }
            Expr::Or(parts) => Self::Or(parts.iter().map(Self::compile).collect()),
            Expr::Not(inner) => Self::Not(Box::new(Self::compile(inner))),
            Expr::Leaf(leaf) => Self::Leaf(Box::new(LeafMatcher::compile(leaf))),
        }
    }

    /// How expensive it is, roughly: cheap columns before text.
    fn cost(&self) -> u32 {
        match self {
            Self::All => 0,
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::cost).sum(),
            Self::Not(inner) => inner.cost(),
            Self::Leaf(leaf) => match &**leaf {
                LeafMatcher::Time { .. } | LeafMatcher::Levels(_) => 1,
                LeafMatcher::LogId(_) | LeafMatcher::Pii(_) | LeafMatcher::ExceptionId(_) => 2,
                LeafMatcher::Text(columns, _) if columns.iter().all(|c| is_cheap(c)) => 2,
                LeafMatcher::Custom(..) => 20,
                LeafMatcher::Text(..) => 50,
                LeafMatcher::Anywhere(_) => 200,
            },
        }
    }

    /// Which rows of the batch match.
    pub(crate) fn eval(&self, batch: &RecordBatch) -> Result<BooleanBuffer, Error> {
        self.eval_on(&Columns::of(batch))
    }

    fn eval_on(&self, columns: &Columns<'_>) -> Result<BooleanBuffer, Error> {
        match self {
            Self::All => Ok(BooleanBuffer::new_set(columns.rows())),
            Self::And(parts) => {
                let mut all = BooleanBuffer::new_set(columns.rows());
                for part in parts {
                    all = &all & &part.eval_on(columns)?;
                    if all.count_set_bits() == 0 {
                        break;
                    }
                }
                Ok(all)
            }
            Self::Or(parts) => {
                let mut any = BooleanBuffer::new_unset(columns.rows());
                for part in parts {
                    any = &any | &part.eval_on(columns)?;
                }
                Ok(any)
            }
            Self::Not(inner) => Ok(!&inner.eval_on(columns)?),
            Self::Leaf(leaf) => leaf.eval(columns),
        }
    }

    /// Whether a record of this service and level matches, given that nothing else is asked.
    pub(crate) fn matches_pair(&self, service: &str, level: Level) -> bool {
        match self {
            Self::All => true,
            Self::And(parts) => parts.iter().all(|part| part.matches_pair(service, level)),
            Self::Or(parts) => parts.iter().any(|part| part.matches_pair(service, level)),
            Self::Not(inner) => !inner.matches_pair(service, level),
            Self::Leaf(leaf) => match &**leaf {
                LeafMatcher::Levels(levels) => levels.contains(level),
                LeafMatcher::Text(_, test) => test.matches(service),
                _ => false,
            },
        }
    }

    /// Adds the columns it looks at.
    pub(crate) fn needs(&self, schema: &Schema, into: &mut Vec<Need>) {
        match self {
            Self::All => {}
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.needs(schema, into);
                }
            }
            Self::Not(inner) => inner.needs(schema, into),
            Self::Leaf(leaf) => leaf.needs(schema, into),
        }
    }
}

/// Whether reading this column costs next to nothing.
pub(crate) fn is_cheap(column: &str) -> bool {
    matches!(
        column,
        name::LEVEL
            | name::SERVICE_NAME
            | name::HOST
            | name::ENVIRONMENT
            | name::REGION
            | name::PII
            | name::EXCEPTION_TYPE
            | name::EXCEPTION_SIGNATURE
            | name::TIMESTAMP
            | name::CREATED_AT
    )
}

/// Whether an expression looks at nothing but such columns.
pub(crate) fn is_cheap_expr(expr: &Expr) -> bool {
    let mut cheap = true;
    expr.for_each_leaf(&mut |leaf| {
        cheap &= match &leaf.target {
            Target::Anywhere => false,
            Target::Field(field) => column::fixed(field).is_some_and(is_cheap),
        };
    });
    cheap
}

impl LeafMatcher {
    fn compile(leaf: &Leaf) -> Self {
        match (&leaf.target, &leaf.test) {
            (_, Test::Levels(levels)) => Self::Levels(*levels),
            (_, Test::LogId(id)) => Self::LogId(*id),
            (_, Test::ExceptionId(id)) => Self::ExceptionId(*id),
            (target, Test::Time { first, last }) => {
                let created = *target == Target::Field(Field::CreatedAt);
                let column = if created {
                    name::CREATED_AT
                } else {
                    name::TIMESTAMP
                };
                Self::Time {
                    column,
                    first: *first,
                    last: *last,
                }
            }
            (Target::Anywhere, Test::Words(words)) => {
                Self::Anywhere(Anywhere::Words(WordsTest::new(words)))
            }
            (Target::Anywhere, test) => {
                Self::Anywhere(Anywhere::Text(text_test(Nature::Text, test)))
            }
            (Target::Field(Field::Custom(name)), test) => {
                Self::Custom(name.clone(), ValueTest::compile(test))
            }
            (Target::Field(Field::Pii), test) => Self::Pii(text_test(Nature::Name, test)),
            (Target::Field(Field::Exception), test) => {
                Self::Text(column::EXCEPTION.to_vec(), text_test(Nature::Text, test))
            }
            // What is left of an exception's id is whether there is one.
            (Target::Field(field), test) => {
                let column = column::fixed(field).unwrap_or(name::EXCEPTION_TYPE);
                Self::Text(vec![column], text_test(field.nature(), test))
            }
        }
    }

    fn needs(&self, schema: &Schema, into: &mut Vec<Need>) {
        let mut add = |names: &[&str], letters| {
            into.extend(names.iter().map(|&name| Need {
                column: name.to_owned(),
                letters,
            }));
        };
        match self {
            Self::Levels(_) => add(&[name::LEVEL], Letters::NONE),
            Self::Time { column, .. } => add(&[column], Letters::NONE),
            Self::LogId(_) => add(&[name::LOG_ID], Letters::NONE),
            Self::ExceptionId(_) => {
                add(&[name::EXCEPTION_TYPE, name::SERVICE_NAME], Letters::NONE);
            }
            Self::Text(columns, test) => add(columns, test.letters()),
            Self::Pii(_) => add(&[name::PII], Letters::NONE),
            Self::Anywhere(test) => {
                let of_values = test.letters_of_values();
                add(&column::ANYWHERE, test.text().letters());
                add(&[name::FIELDS], of_values);
                for field in schema.fields() {
                    if column::is_typed(field.name()) {
                        add(&[field.name()], of_values);
                    }
                }
            }
            Self::Custom(custom, _) => {
                let mut columns = Vec::new();
                column::needed(&Field::Custom(custom.clone()), schema, &mut columns);
                into.extend(columns.into_iter().map(Need::any));
            }
        }
    }

    fn eval(&self, columns: &Columns<'_>) -> Result<BooleanBuffer, Error> {
        let rows = columns.rows();
        match self {
            Self::Levels(levels) => {
                let wanted = |name: &str| {
                    Level::ALL
                        .into_iter()
                        .any(|level| level.name() == name && levels.contains(level))
                };
                Ok(eval_text(columns.text(name::LEVEL)?, rows, |values| {
                    each(values, wanted)
                }))
            }
            Self::Time {
                column,
                first,
                last,
            } => {
                let times = columns.times(column)?;
                Ok(BooleanBuffer::collect_bool(rows, |row| {
                    times
                        .get(row)
                        .is_some_and(|time| (first..=last).contains(&time))
                }))
            }
            Self::LogId(id) => {
                let column = columns.column(name::LOG_ID)?.as_fixed_size_binary_opt();
                let column = column.ok_or_else(|| column::mismatch(name::LOG_ID))?;
                Ok(BooleanBuffer::collect_bool(rows, |row| {
                    column.value(row) == id
                }))
            }
            Self::ExceptionId(id) => eval_exception_id(columns, *id),
            Self::Text(names, test) => any_of(columns, names, test),
            Self::Pii(test) => {
                let wanted = |names: &str| names.split(',').any(|name| test.matches(name));
                Ok(eval_text(columns.text(name::PII)?, rows, |values| {
                    each(values, wanted)
                }))
            }
            Self::Anywhere(test) => {
                let mut found = any_of(columns, &column::ANYWHERE, test.text())?;
                for text in columns.typed_texts() {
                    found =
                        &found | &eval_text(Some(text), rows, |values| test.eval_encoded(values));
                }
                Ok(&found | &eval_map(columns, test)?)
            }
            Self::Custom(field, test) => eval_custom(columns, field, test),
        }
    }
}

/// The test on a text, for a field whose values compare in this way.
fn text_test(nature: Nature, test: &Test) -> TextTest {
    let is_name = nature == Nature::Name;
    match test {
        Test::Words(words) if is_name => TextTest::is(words),
        Test::Words(words) => TextTest::tokens_of(words),
        Test::Wildcard(pattern) if is_name => TextTest::name_like(pattern),
        Test::Wildcard(pattern) => TextTest::within(pattern),
        Test::Substring(text) => TextTest::contains(text),
        Test::Regex(pattern) => {
            let regex = compile(&whole(pattern)).expect("the parser compiled it");
            if is_name {
                TextTest::WholeOrToken(regex)
            } else {
                TextTest::TokenLike(regex)
            }
        }
        Test::Range(range) => between(range),
        Test::Equal(values) => {
            let mut values: Vec<_> = values
                .iter()
                .map(|value| match value {
                    Scalar::Text(text) => text.clone(),
                    Scalar::Number(number) => number.to_string(),
                    Scalar::Bool(value) => value.to_string(),
                })
                .collect();
            values.sort();
            TextTest::OneOf(values)
        }
        Test::Exists
        | Test::Levels(_)
        | Test::Time { .. }
        | Test::LogId(_)
        | Test::ExceptionId(_) => TextTest::Any,
    }
}

fn each(values: &StringArray, wanted: impl Fn(&str) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(values.len(), |i| {
        values.is_valid(i) && wanted(values.value(i))
    })
}

/// Evaluates a text column: its distinct values if it is a dictionary, else all of them.
fn eval_text(
    text: Option<Text<'_>>,
    rows: usize,
    eval: impl Fn(&StringArray) -> BooleanBuffer,
) -> BooleanBuffer {
    let Some(text) = text else {
        return BooleanBuffer::new_unset(rows);
    };
    match text {
        Text::Plain(values) => eval(values),
        Text::Dictionary(keys, values) => {
            let wanted = eval(values);
            if wanted.count_set_bits() == 0 {
                return BooleanBuffer::new_unset(rows);
            }
            let key = |row: usize| usize::try_from(keys.value(row)).unwrap_or(usize::MAX);
            BooleanBuffer::collect_bool(rows, |row| {
                keys.is_valid(row) && key(row) < wanted.len() && wanted.value(key(row))
            })
        }
    }
}

fn any_of(columns: &Columns<'_>, names: &[&str], test: &TextTest) -> Result<BooleanBuffer, Error> {
    let mut found = BooleanBuffer::new_unset(columns.rows());
    for name in names {
        let Some(column) = columns.text(name)? else {
            continue;
        };
        found = &found | &eval_text(Some(column), columns.rows(), |values| test.eval(values));
    }
    Ok(found)
}

/// Which rows have a text or array in the map that passes.
fn eval_map(columns: &Columns<'_>, test: &Anywhere) -> Result<BooleanBuffer, Error> {
    let mut rows = unset(columns.rows());
    let Some(map) = columns.map_if_read()? else {
        return Ok(rows.finish());
    };
    let values = map.values().as_string_opt::<i32>();
    let values = values.ok_or_else(|| column::mismatch(name::FIELDS))?;
    let passing = test.eval_encoded(values);
    if passing.count_set_bits() == 0 {
        return Ok(rows.finish());
    }
    for (row, entries) in column::entries(map) {
        if entries
            .into_iter()
            .any(|entry| passing.value(entry as usize))
        {
            rows.set_bit(row as usize, true);
        }
    }
    Ok(rows.finish())
}

fn unset(rows: usize) -> BooleanBufferBuilder {
    let mut builder = BooleanBufferBuilder::new(rows);
    builder.append_n(rows, false);
    builder
}

fn eval_custom(
    columns: &Columns<'_>,
    field: &str,
    test: &ValueTest,
) -> Result<BooleanBuffer, Error> {
    let rows = columns.rows();
    let passes = |encoded: &str| {
        let (kind, text) = value::decode(encoded);
        test.matches(kind, &text)
    };
    Ok(match columns.custom(field)? {
        Values::Absent => BooleanBuffer::new_unset(rows),
        Values::Int(column) => BooleanBuffer::collect_bool(rows, |row| {
            let value = column.is_valid(row).then(|| column.value(row));
            value.is_some_and(|value| match test.on_numbers() {
                Some(test) => test.matches_int(value),
                None => test.matches(Kind::Number, &value.to_string()),
            })
        }),
        Values::Float(column) => BooleanBuffer::collect_bool(rows, |row| {
            let value = column.is_valid(row).then(|| column.value(row));
            value.is_some_and(|value| match test.on_numbers() {
                Some(test) => test.matches_float(value),
                None => test.matches(Kind::Number, &value.to_string()),
            })
        }),
        Values::Bool(column) => {
            let truth = [
                test.matches(Kind::Bool, "false"),
                test.matches(Kind::Bool, "true"),
            ];
            BooleanBuffer::collect_bool(rows, |row| {
                column.is_valid(row) && truth[usize::from(column.value(row))]
            })
        }
        Values::Encoded(text) => eval_text(Some(text), rows, |values| each(values, passes)),
        Values::Map(found, values) => {
            let mut builder = unset(rows);
            for (row, entry) in found {
                if passes(values.value(entry as usize)) {
                    builder.set_bit(row as usize, true);
                }
            }
            builder.finish()
        }
    })
}

fn eval_exception_id(columns: &Columns<'_>, id: u64) -> Result<BooleanBuffer, Error> {
    let mut rows = unset(columns.rows());
    let pair = (
        columns.text(name::EXCEPTION_TYPE)?,
        columns.text(name::SERVICE_NAME)?,
    );
    let (Some(types), Some(services)) = pair else {
        return Ok(rows.finish());
    };
    let mut known = FxHashMap::default();
    for row in 0..columns.rows() {
        let (Some(type_name), Some(service)) = (types.get(row), services.get(row)) else {
            continue;
        };
        let is = *known
            .entry((type_name, service))
            .or_insert_with(|| ExceptionId::of(type_name, service).0 == id);
        if is {
            rows.set_bit(row, true);
        }
    }
    Ok(rows.finish())
}
