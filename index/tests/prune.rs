//! The index against the plain definition: no granule that holds a match is ever left out.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking; its numbers are small"
)]

#[path = "../../storage/examples/records/mod.rs"]
mod records;

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use hushlog_index::{Error, Index, Prune, build, token};
use hushlog_record::{Kind, Masked, Record, Value};
use hushlog_storage::batch::{self, Row, Rows};
use hushlog_storage::manifest::FileMeta;
use hushlog_storage::segment::checked::CheckedFile;
use hushlog_storage::segment::{self, BlockRows};
use proptest::prelude::*;

/// All that the index should know of a granule, by definition.
#[derive(Default)]
struct Known {
    tokens: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

fn known(batch: &RecordBatch) -> Known {
    let mut known = Known::default();
    for row in Rows::new(batch).unwrap().iter() {
        texts(row, |text| {
            token::for_each(text, |t| {
                known.tokens.insert(t.to_owned());
            })
        });
        for field in row.fields().iter() {
            match field.kind {
                Kind::Number => known.numbers.extend(token::number(&field.text)),
                Kind::Json => known.add_array(&field.text),
                Kind::String | Kind::Bool => {}
            }
        }
    }
    known
}

fn texts(row: Row<'_, '_>, mut each: impl FnMut(&str)) {
    each(row.message().unwrap());
    each(row.service_name().unwrap());
    each(row.level().unwrap().name());
    for text in [
        row.host(),
        row.environment(),
        row.region(),
        row.trace_id(),
        row.span_id(),
    ] {
        each(text);
    }
    if let Some((type_name, message, stack_trace)) = row.exception() {
        [type_name, message, stack_trace]
            .into_iter()
            .for_each(&mut each);
    }
    row.pii().for_each(&mut each);
    row.fields().iter().for_each(|field| each(&field.text));
}

impl Known {
    /// What an array holds is known as if each value stood alone.
    fn add_array(&mut self, array: &str) {
        batch::for_each_element(array, |kind, text| {
            token::for_each(text, |token| {
                self.tokens.insert(token.to_owned());
            });
            let number = (kind == Kind::Number).then(|| token::number(text));
            self.numbers.extend(number.flatten());
            true
        });
    }

    fn may_hold(&self, expression: &Prune) -> bool {
        match expression {
            Prune::Any => true,
            Prune::Token(token) => self.tokens.contains(token),
            Prune::Prefix(prefix) => self.tokens.iter().any(|token| token.starts_with(prefix)),
            Prune::Number(number) => self.numbers.contains(number),
            Prune::And(all) => all.iter().all(|expression| self.may_hold(expression)),
            Prune::Or(any) => any.iter().any(|expression| self.may_hold(expression)),
        }
    }
}

/// Records with strange texts among ordinary ones.
fn granules(seed: u64, strange: &[String]) -> Vec<RecordBatch> {
    let mut random = records::Random(seed);
    let mut batches = Vec::new();
    for seq in 0..6u64 {
        let records: Vec<_> = (0..12u64)
            .map(|i| {
                let mut record: Record = records::record(&mut random, i, 12);
                if let Some(text) = strange.get((seq * 12 + i) as usize) {
                    record.message = text.clone();
                    let quoted = format!("{text:?}");
                    let value = match i % 5 {
                        3 => Value::json(format!(
                            "[{}.50,[{}e2]]",
                            random.below(9),
                            random.below(99)
                        )),
                        4 => Value::json(format!("[[\"a\\nb\"],{quoted}]")),
                        0 => Value::number(format!("{}.50", random.below(9))),
                        1 => Value::number(format!("{}e2", random.below(1_000_000))),
                        _ => Value::string(text.clone()),
                    };
                    record.fields.push(("z".into(), value));
                }
                Masked::vouch(record)
            })
            .collect();
        let columns = records::seal(&records).columns().unwrap();
        batches.push(batch::from_columns(seq, &columns, &[]).unwrap());
    }
    batches
}

/// An expression from words that occur, parts of them, and others.
fn expression(random: &mut records::Random, words: &[&String], depth: u32) -> Prune {
    let word = words[random.below(words.len() as u64) as usize].clone();
    let some = |random: &mut records::Random| {
        (0..1 + random.below(3))
            .map(|_| expression(random, words, depth + 1))
            .collect()
    };
    match random.below(if depth < 2 { 9 } else { 6 }) {
        0..=1 => Prune::Token(word),
        2..=3 => {
            let length = 1 + random.below(word.chars().count() as u64) as usize;
            Prune::Prefix(word.chars().take(length).collect())
        }
        4 => Prune::Number(token::number(&word).unwrap_or(word)),
        5 => [Prune::Any, Prune::Token(format!("{word}x"))][random.below(2) as usize].clone(),
        6 => Prune::Or(some(random)),
        _ => Prune::And(some(random)),
    }
}

fn assert_never_leaves_out(batches: &[RecordBatch], index: &Index, seed: u64, count: usize) {
    let known: Vec<_> = batches.iter().map(known).collect();
    let words: Vec<_> = known
        .iter()
        .flat_map(|k| k.tokens.iter().chain(&k.numbers))
        .collect();
    let mut random = records::Random(seed);
    for _ in 0..count {
        let expression = expression(&mut random, &words, 0);
        let Some(set) = index.prune(&expression).unwrap() else {
            continue;
        };
        for (granule, known) in (0u32..).zip(&known) {
            let left_out = known.may_hold(&expression) && !set.contains(granule);
            assert!(!left_out, "{expression:?} leaves out granule {granule}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_granule_with_a_match_is_never_left_out(
        seed: u64,
        strange in proptest::collection::vec("(?s)([A-Za-z0-9_ -]{0,12}|.|ß|Σ|[0-9a-f]{20} ){0,8}", 0..40),
    ) {
        let batches = granules(seed, &strange);
        let index = Index::from_bytes(build(&batches).unwrap()).unwrap();
        assert_never_leaves_out(&batches, &index, seed, 200);
    }
}

#[test]
fn a_segments_index_is_the_same_from_a_build_and_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let blocks = records::blocks(11, 5_000);
    let rows = || {
        let blocks = (0u64..).zip(&blocks);
        blocks
            .map(|(seq, b)| BlockRows {
                seq,
                columns: b.columns().unwrap(),
                skip: vec![],
            })
            .collect()
    };
    let mut granules = Vec::new();
    let range = 0..blocks.len() as u64;
    let written = segment::write(folder.path(), range, rows(), |_, batch| {
        granules.push(batch.clone())
    })
    .unwrap();
    let first = build(&granules).unwrap();
    let all = written
        .segment
        .read(&written.segment.all_granules(), None)
        .unwrap();
    let again = build(&all.into_iter().map(|(_, batch)| batch).collect::<Vec<_>>()).unwrap();
    assert!(first == again, "two builds differ");

    let file_folder = folder.path().join(written.meta.folder_name());
    let meta = FileMeta::create(&file_folder, segment::INDEX_FILE, &first).unwrap();
    let index = Index::open(CheckedFile::open(&file_folder, &meta).unwrap()).unwrap();
    assert_eq!(index.granule_count(), 5);
    assert_never_leaves_out(&granules, &index, 5, 300);
}

#[test]
fn one_id_is_found_in_one_granule_and_unknown_words_in_none() {
    let batches = granules(21, &[]);
    let index = Index::from_bytes(build(&batches).unwrap()).unwrap();
    let first = Rows::new(&batches[2]).unwrap();
    let trace = first.get(3).trace_id().to_owned();
    let found = |expression: Prune| index.prune(&expression).unwrap().unwrap();
    assert!(found(Prune::Token(trace.clone())).iter().eq([2]));
    assert!(found(Prune::Token("nonesuch".into())).is_empty());
    assert!(found(Prune::Token("0af7651916cd43dd8448eb211c80319c".into())).is_empty());
    assert!(found(Prune::Prefix("nonesuch".into())).is_empty());
    assert!(found(Prune::Prefix(trace[..9].into())).contains(2));
    assert_eq!(found(Prune::Token("service".into())).len(), 6);
    assert_eq!(index.prune(&Prune::Any).unwrap(), None);
    assert_eq!(
        index
            .prune(&Prune::Or(vec![Prune::Any, Prune::Token(trace)]))
            .unwrap(),
        None
    );
}

#[test]
fn a_flipped_byte_anywhere_is_seen() {
    let good = build(&granules(31, &[])).unwrap();
    Index::from_bytes(good.clone()).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(Index::from_bytes(bad).is_err(), "byte {at}");
    }
    for length in [0, 3, 7, 100, good.len() - 1] {
        assert!(
            Index::from_bytes(good[..length].to_vec()).is_err(),
            "first {length} bytes"
        );
    }
    let mut newer = good;
    newer[4] = 9;
    assert!(matches!(
        Index::from_bytes(newer),
        Err(Error::Version {
            packing: 9,
            tokens: 2
        })
    ));
}

#[test]
fn a_damaged_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = build(&granules(41, &[])).unwrap();
    let meta = FileMeta::create(folder.path(), "index.bin", &bytes).unwrap();
    let mut bad = bytes;
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(folder.path().join("index.bin"), &bad).unwrap();
    assert!(CheckedFile::open(folder.path(), &meta).is_err());
    std::fs::remove_file(folder.path().join("index.bin")).unwrap();
    assert!(CheckedFile::open(folder.path(), &meta).is_err());
}

#[test]
fn the_terms_are_the_words_and_the_beginnings_of_ids() {
    let batches = granules(51, &[]);
    let index = Index::open(build(&batches).unwrap()).unwrap();
    let mut words = BTreeSet::new();
    let mut stems = BTreeSet::new();
    let collected: Result<(), Error> = index.for_each_term(|term| {
        match term.strip_prefix(b"\x01") {
            Some(stem) => stems.insert(String::from_utf8(stem.to_vec()).unwrap()),
            None => words.insert(String::from_utf8(term.to_vec()).unwrap()),
        };
        Ok(())
    });
    collected.unwrap();
    let known: Vec<Known> = batches.iter().map(known).collect();
    let all = known
        .iter()
        .flat_map(|known| known.tokens.iter().chain(&known.numbers));
    let (long, short): (BTreeSet<&String>, _) = all.partition(|t| token::is_fingerprinted(t));
    assert!(
        short
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .eq(&words)
    );
    let beginnings = long.iter().map(|token| token.chars().take(2).collect());
    assert_eq!(beginnings.collect::<BTreeSet<String>>(), stems);
}

#[test]
fn no_granules_make_an_index_that_finds_nothing() {
    let index = Index::from_bytes(build(&[]).unwrap()).unwrap();
    assert_eq!(index.granule_count(), 0);
    assert!(
        index
            .prune(&Prune::Token("a".into()))
            .unwrap()
            .unwrap()
            .is_empty()
    );
}
