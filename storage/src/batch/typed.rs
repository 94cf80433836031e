//! Which fields of a segment get a column of their own, and of which type.
//!
//! A pure function of the rows: every replica chooses alike. A number column is chosen only if every
//! value's literal comes back from the machine number letter for letter, so `1.50` stays `1.50`.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use hushlog_record::Kind;
use hushlog_record::block::{Columns, FieldColumn};
use rustc_hash::FxHashSet;

use super::{dictionary, name, value};

/// Most typed columns of a segment.
pub const TYPED_COLUMNS_MAX: usize = 32;
/// A field gets a column if at least one row in this many carries it.
pub const TYPED_ROWS_SHARE: u64 = 10;
/// Most distinct values of a text column that is stored as a dictionary.
pub const DICTIONARY_VALUES_MAX: usize = 4_096;
/// A dictionary needs at least this many rows per distinct value.
pub const DICTIONARY_ROWS_PER_VALUE: u64 = 8;

/// Up to here every integer is a floating-point number of its own.
const EXACT_FLOAT_MAX: u64 = 1 << 53;

/// The type of a typed column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypedKind {
    /// Numbers that are 64-bit integers.
    Int,
    /// Numbers, at least one not an integer.
    Float,
    /// Truth values.
    Bool,
    /// Anything, as [`value::encode`] writes it.
    Text,
    /// The same, with few distinct values.
    Words,
}

impl TypedKind {
    /// The column's Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Bool => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Words => dictionary(),
        }
    }
}

/// One typed column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The field.
    pub name: String,
    /// Its type.
    pub kind: TypedKind,
}

impl Typed {
    /// The name of its column.
    pub fn column(&self) -> String {
        format!("{}{}", name::TYPED_PREFIX, self.name)
    }
}

/// Chooses the typed columns for these blocks: the most frequent fields first, ties by name; the
/// result is sorted by name.
pub fn choose(blocks: &[&Columns]) -> Vec<Typed> {
    let rows: u64 = blocks.iter().map(|columns| u64::from(columns.rows)).sum();
    let mut fields: BTreeMap<&str, Vec<&FieldColumn>> = BTreeMap::new();
    for columns in blocks {
        for field in &columns.fields {
            fields.entry(&field.key).or_default().push(field);
        }
    }
    let count =
        |parts: &[&FieldColumn]| parts.iter().map(|part| part.rows.len() as u64).sum::<u64>();
    let fields = fields
        .into_iter()
        .map(|(name, parts)| (count(&parts), name, parts));
    frequent(fields.collect(), rows)
        .into_iter()
        .map(|(count, name, parts)| Typed {
            name: name.to_owned(),
            kind: kind_of(count, &parts),
        })
        .collect()
}

/// Those of these fields, of so many rows each, that get a column, sorted by name.
fn frequent<T>(mut fields: Vec<(u64, &str, T)>, rows: u64) -> Vec<(u64, &str, T)> {
    fields.retain(|(count, _, _)| count * TYPED_ROWS_SHARE >= rows);
    fields.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    fields.truncate(TYPED_COLUMNS_MAX);
    fields.sort_by_key(|(_, name, _)| *name);
    fields
}

/// Chooses as [`choose`] does, of rows that are looked at one after the other and not kept: of their texts it keeps
/// 16 bytes each, for as long as they are few.
#[derive(Default)]
pub(crate) struct Chooser {
    rows: u64,
    fields: BTreeMap<String, Seen>,
}

/// What is known of the values of one field.
struct Seen {
    count: u64,
    ints: bool,
    floats: bool,
    bools: bool,
    /// The distinct ones by their marks, until there are too many.
    words: Option<FxHashSet<Mark>>,
}

/// What a text is told from others by: the text itself where it is short, else a part of its BLAKE3.
type Mark = [u8; 16];

/// No text has so many bytes that is its own mark.
const HASHED: u8 = 0xff;

fn mark(text: &str) -> Mark {
    let mut mark = [0; 16];
    let [first, rest @ ..] = &mut mark;
    match rest.get_mut(..text.len()) {
        Some(place) => {
            *first = u8::try_from(text.len()).unwrap_or(HASHED);
            place.copy_from_slice(text.as_bytes());
        }
        None => {
            *first = HASHED;
            rest.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..15]);
        }
    }
    mark
}

impl Chooser {
    /// One more row, which has these fields.
    pub(crate) fn add<'a>(&mut self, fields: impl IntoIterator<Item = (&'a str, Kind, &'a str)>) {
        self.rows += 1;
        for (name, kind, text) in fields {
            match self.fields.get_mut(name) {
                Some(seen) => seen.add(kind, text),
                None => {
                    let mut seen = Seen::default();
                    seen.add(kind, text);
                    self.fields.insert(name.to_owned(), seen);
                }
            }
        }
    }

    /// The columns for these rows.
    pub(crate) fn finish(&self) -> Vec<Typed> {
        let fields = self.fields.iter();
        let fields = fields.map(|(name, seen)| (seen.count, name.as_str(), seen));
        let frequent = frequent(fields.collect(), self.rows).into_iter();
        let typed = frequent.map(|(_, name, seen)| Typed {
            name: name.to_owned(),
            kind: seen.kind(),
        });
        typed.collect()
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            count: 0,
            ints: true,
            floats: true,
            bools: true,
            words: Some(FxHashSet::default()),
        }
    }
}

impl Seen {
    fn add(&mut self, kind: Kind, text: &str) {
        self.count += 1;
        let is_number = kind == Kind::Number;
        let number = int(text).filter(|_| is_number);
        self.ints = self.ints && number.is_some();
        if self.floats {
            // So small an integer is printed alike as a floating-point number.
            let is_small = number.is_some_and(|n| n.unsigned_abs() <= EXACT_FLOAT_MAX);
            self.floats = is_small || (is_number && float(text).is_some());
        }
        self.bools = self.bools && kind == Kind::Bool && matches!(text, "true" | "false");
        if let Some(words) = &mut self.words
            && words.insert(mark(text))
            && words.len() > DICTIONARY_VALUES_MAX
        {
            self.words = None;
        }
    }

    /// The narrowest type that holds every value exactly.
    fn kind(&self) -> TypedKind {
        let repeats =
            |words: &FxHashSet<Mark>| words.len() as u64 * DICTIONARY_ROWS_PER_VALUE <= self.count;
        if self.ints {
            TypedKind::Int
        } else if self.floats {
            TypedKind::Float
        } else if self.bools {
            TypedKind::Bool
        } else if self.words.as_ref().is_some_and(repeats) {
            TypedKind::Words
        } else {
            TypedKind::Text
        }
    }
}

/// The narrowest type that holds every value exactly.
fn kind_of(count: u64, parts: &[&FieldColumn]) -> TypedKind {
    let all = |accepts: fn(Kind, &str) -> bool| {
        parts.iter().all(|part| {
            part.kinds
                .iter()
                .enumerate()
                .all(|(i, kind)| accepts(*kind, part.values.get(i)))
        })
    };
    if all(|kind, text| kind == Kind::Number && int(text).is_some()) {
        TypedKind::Int
    } else if all(|kind, text| kind == Kind::Number && float(text).is_some()) {
        TypedKind::Float
    } else if all(|kind, text| kind == Kind::Bool && matches!(text, "true" | "false")) {
        TypedKind::Bool
    } else if is_wordlike(count, parts) {
        TypedKind::Words
    } else {
        TypedKind::Text
    }
}

/// Whether the values repeat enough for a dictionary.
fn is_wordlike(count: u64, parts: &[&FieldColumn]) -> bool {
    let mut seen = FxHashSet::default();
    for part in parts {
        for i in 0..part.values.len() {
            seen.insert(part.values.get(i));
            if seen.len() > DICTIONARY_VALUES_MAX {
                return false;
            }
        }
    }
    seen.len() as u64 * DICTIONARY_ROWS_PER_VALUE <= count
}

/// The integer that is written exactly as `text`.
pub(crate) fn int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { text.parse().ok() } else { None }
}

/// The floating-point number that Rust prints exactly as `text`.
pub(crate) fn float(text: &str) -> Option<f64> {
    if !value::is_number(text) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use hushlog_record::block::StrColumnBuilder;

    use super::*;

    /// What is chosen for a field with these values, from columns and row by row.
    fn chosen(values: &[(Kind, &str)]) -> [Vec<Typed>; 2] {
        let mut texts = StrColumnBuilder::default();
        let mut chooser = Chooser::default();
        for (kind, text) in values {
            texts.push(text).unwrap();
            chooser.add([("field", *kind, *text)]);
        }
        let field = FieldColumn {
            key: "field".into(),
            rows: (0..u32::try_from(values.len()).unwrap()).collect(),
            kinds: values.iter().map(|(kind, _)| *kind).collect(),
            values: texts.finish(),
        };
        let kind = kind_of(values.len() as u64, &[&field]);
        let name = "field".to_owned();
        [vec![Typed { name, kind }], chooser.finish()]
    }

    #[test]
    fn rows_one_by_one_are_chosen_for_as_columns_are() {
        const LARGE: &str = "9223372036854775807";
        let number = |text| (Kind::Number, text);
        let words: Vec<String> = (0..9_000)
            .map(|word| format!("w{}", word % 4_097))
            .collect();
        let words = |count: usize, times: usize| -> Vec<(Kind, &str)> {
            let all = words.iter().take(count).cycle().take(count * times);
            all.map(|word| (Kind::String, word.as_str())).collect()
        };
        let long: Vec<String> = (0..4_097)
            .map(|word| format!("a text with more than sixteen bytes {word}"))
            .collect();
        let long_words = |count: usize| -> Vec<(Kind, &str)> {
            let all = long.iter().take(count).cycle().take(count * 8);
            all.map(|word| (Kind::String, word.as_str())).collect()
        };
        for (values, expected) in [
            (vec![number("1"), number("-7")], TypedKind::Int),
            (vec![number(LARGE), number("2")], TypedKind::Int),
            (vec![number("3"), number("1.5")], TypedKind::Float),
            (vec![number("1.5"), number("3")], TypedKind::Float),
            (vec![number(LARGE), number("1.5")], TypedKind::Text),
            (vec![number("1.5"), number(LARGE)], TypedKind::Text),
            (vec![number("1.50"), number("1")], TypedKind::Text),
            (vec![number("1"), (Kind::String, "1")], TypedKind::Text),
            (
                vec![(Kind::Bool, "true"), (Kind::Bool, "false")],
                TypedKind::Bool,
            ),
            (
                vec![(Kind::Bool, "true"), (Kind::String, "true")],
                TypedKind::Text,
            ),
            (vec![number("07"); 8], TypedKind::Words),
            (words(4_096, 8), TypedKind::Words),
            (words(4_096, 7), TypedKind::Text),
            (words(4_097, 8), TypedKind::Text),
            (long_words(4_096), TypedKind::Words),
            (long_words(4_097), TypedKind::Text),
        ] {
            let [columns, rows] = chosen(&values);
            assert_eq!(columns, rows, "{:?}", values.first());
            let kinds: Vec<_> = rows.iter().map(|typed| typed.kind).collect();
            assert_eq!(kinds, [expected], "{:?}", values.first());
        }
    }

    #[test]
    fn texts_are_told_apart_by_16_bytes() {
        let long = |last: char| format!("{}{last}", "t".repeat(500_000));
        let texts = [
            String::new(),
            "\0".into(),
            "a".into(),
            "a\0".into(),
            "fifteen bytes..".into(),
            "fifteen bytes..\0".into(),
            "sixteen bytes...".into(),
            long('a'),
            long('b'),
        ];
        let marks: FxHashSet<Mark> = texts.iter().map(|text| mark(text)).collect();
        assert_eq!(marks.len(), texts.len());
        assert_eq!(mark(&long('a')), mark(&long('a')));
    }

    #[test]
    fn only_literals_that_come_back_exactly_are_numbers() {
        for (text, as_int) in [
            ("0", Some(0)),
            ("-7", Some(-7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-0", None),
            ("007", None),
            ("+1", None),
            ("1.0", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(int(text), as_int, "{text}");
        }
        for (text, as_float) in [
            ("1.5", Some(1.5)),
            ("12", Some(12.0)),
            ("-0.25", Some(-0.25)),
            ("1.50", None),
            ("1e3", None),
            ("9007199254740993", None),
            ("1e400", None),
            ("NaN", None),
            ("inf", None),
        ] {
            assert_eq!(float(text), as_float, "{text}");
        }
    }
}
