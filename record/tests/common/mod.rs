//! Records for the tests of blocks: any that the types allow, and one fixed set.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses its own part"
)]

use hushlog_record::block::{Codec, Part, PartKey};
use hushlog_record::{
    Block, Exception, Kind, Level, LogId, Masked, Record, ShardId, Timestamp, Value,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

pub(crate) const SHARD: ShardId = ShardId {
    bucket: 12,
    slot: 3,
};

pub(crate) fn mask(records: Vec<Record>) -> Vec<Masked<Record>> {
    records.into_iter().map(Masked::vouch).collect()
}

pub(crate) fn seal(codec: Codec, records: &[Masked<Record>]) -> Block {
    seal_content(codec, records, 0)
}

/// As [`seal`], of a request whose content has this digest.
pub(crate) fn seal_content(codec: Codec, records: &[Masked<Record>], content: u64) -> Block {
    let rows = u32::try_from(records.len()).expect("it works");
    let key = PartKey {
        producer: u128::MAX / 3,
        sequence: 1 << 40,
        chunk: 7,
    };
    let mut parts = vec![Part {
        key: Some(key),
        content,
        rows: 0..rows.div_ceil(2),
    }];
    if rows > 1 {
        parts.push(Part {
            key: None,
            content: 0,
            rows: rows.div_ceil(2)..rows,
        });
    }
    Block::seal_with(
        codec,
        SHARD,
        9,
        Timestamp::from_nanos(1_234_567),
        parts,
        records,
    )
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "",
        "[a-c]{1,3}",
        "\\PC{0,20}",
        Just("ß→𝛼\u{0}\n".to_owned())
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[0-9a-f]{16}",
        "[0-9a-f]{1,5}",
        "[0-9A-F]{4}",
        text()
    ]
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        any::<i64>().prop_map(Timestamp::from_nanos),
        (0..5_000i64).prop_map(|ms| Timestamp::from_millis(1_700_000_000_000 + ms)),
        (0..5i64).prop_map(|s| Timestamp::from_millis(1_700_000_000_000 + s * 1_000)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![Kind::String, Kind::Number, Kind::Bool, Kind::Json]);
    (kind, text()).prop_map(|(kind, text)| Value { kind, text })
}

fn exception() -> impl Strategy<Value = Exception> {
    let signature = prop_oneof![Just(0), any::<u64>()];
    (text(), text(), text(), signature).prop_map(|(type_name, message, stack_trace, signature)| {
        Exception {
            type_name,
            message,
            stack_trace,
            signature,
        }
    })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let identity = (
        any::<[u8; 16]>(),
        time(),
        time(),
        prop::sample::select(&Level::ALL[..]),
    );
    let content = (
        text(),
        btree_map("[a-e.]{1,2}", value(), 0..6),
        prop::option::weighted(0.2, exception()),
        vec("[a-z_]{1,8}", 0..3),
    );
    let source = ("[a-d]{0,1}", text(), text(), text(), id(), id());
    (identity, content, source).prop_map(|(identity, content, source)| {
        let mut record = Record::new(LogId(identity.0), identity.1, content.0);
        record.created_at = identity.2;
        record.level = identity.3;
        record.fields = content.1.into_iter().collect();
        record.exception = content.2;
        record.pii = content.3;
        record.service_name = source.0;
        record.host = source.1;
        record.environment = source.2;
        record.region = source.3;
        record.trace_id = source.4;
        record.span_id = source.5;
        record
    })
}

pub(crate) fn records(rows_max: usize) -> impl Strategy<Value = Vec<Masked<Record>>> {
    vec(record(), 1..=rows_max).prop_map(mask)
}

/// The records of the golden files: never change them.
pub(crate) fn fixed() -> Vec<Masked<Record>> {
    let number = |i: u8| i64::from(i);
    let record = |i: u8| {
        let time = Timestamp::from_millis(1_700_000_000_000 + number(i) * 250);
        let mut record = Record::new(
            LogId::v7(time, [i; 10]),
            time,
            format!("payment {i} failed"),
        );
        record.created_at = Timestamp::from_nanos(time.nanos() + 1_000_001 * number(i));
        record.service_name = if i.is_multiple_of(3) {
            "payments"
        } else {
            "checkout"
        }
        .into();
        record.level = Level::ALL[usize::from(i) % 5];
        record.host = format!("api-{}", i % 2);
        record.environment = "production".into();
        record.trace_id = format!("{:032x}", u128::from(i) * 77);
        record.span_id = if i.is_multiple_of(2) {
            "Not-Hex".into()
        } else {
            String::new()
        };
        record.fields = vec![
            ("amount".into(), Value::number(format!("{i}.50"))),
            ("user.name".into(), Value::string("Zoë →")),
        ];
        if i.is_multiple_of(4) {
            record.fields.push(("z".into(), Value::json("[1,true]")));
            record.pii = vec!["credit_card".into(), "email".into()];
        }
        if i.is_multiple_of(5) {
            record
                .fields
                .insert(0, ("active".into(), Value::bool(true)));
            record.exception = Some(Exception {
                type_name: "java.io.IOException".into(),
                message: "gone".into(),
                stack_trace: "java.io.IOException: gone\n\tat a.B.c(B.java:7)".into(),
                signature: 0,
            });
        }
        record
    };
    mask((0..20).map(record).collect())
}
