//! Each rule of the language on a handful of records.

use hushlog_query::topk::{Params, top_k};
use hushlog_query::{Budget, Error, Memory, Plan, TailMemory, TopK};
use hushlog_record::{Exception, ExceptionId, Level, LogId, Record, ShardId, Value};

use crate::shards::{self, Batch, answer, budget, in_parts, now};

fn record(number: u8, service: &str, level: Level, message: &str) -> Record {
    let mut record = Record::new(LogId([number; 16]), now(), message);
    record.timestamp = now().saturating_add(i64::from(number) * 1_000_000_000);
    record.service_name = service.into();
    record.level = level;
    record
}

fn records() -> Vec<Record> {
    let mut one = record(
        1,
        "payment-service",
        Level::Error,
        "Payment failed: card declined",
    );
    one.fields = vec![
        ("http.status".into(), Value::number("500")),
        ("latency_ms".into(), Value::number("150.50")),
        ("tags".into(), Value::json("[\"prod\",\"eu\"]")),
        ("user_id".into(), Value::string("user_123")),
    ];
    one.exception = Some(Exception {
        type_name: "java.io.IOException".into(),
        message: "broken pipe".into(),
        stack_trace: "at com.example.Pay.run(Pay.java:7)".into(),
        signature: 0xab,
    });
    one.host = "api-server-01".into();
    one.trace_id = "0af7651916cd43dd8448eb211c80319c".into();
    one.pii = vec!["email".into(), "ipv4".into()];
    let mut two = record(
        2,
        "payment-service-v2",
        Level::Warn,
        "payment service slow, retry 10.0.0.7",
    );
    two.fields = vec![
        ("http.status".into(), Value::string("500")),
        ("latency_ms".into(), Value::number("9007199254740993")),
        ("ok".into(), Value::bool(true)),
    ];
    two.environment = "prod".into();
    let mut three = record(
        3,
        "auth",
        Level::Info,
        "ÜBERWEISUNG an Straße 7, connection-refused",
    );
    three.region = "us-east-1".into();
    three.span_id = "00f067aa0ba902b7".into();
    vec![one, two, three]
}

/// The numbers of the records that a query finds, in the segment and in the tail alike.
fn found(body: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    let batches = [Batch::of(records())];
    let [segment, tail] = [&[1][..], &[]].map(|cuts| {
        let view = shards::view(folder.path(), shard, &batches, cuts);
        let answer = answer(body, &[view], &budget(true, true));
        assert_eq!(answer.total, answer.hits.len() as u64);
        answer
            .hits
            .iter()
            .map(|hit| hit.record.log_id.0[0])
            .collect::<Vec<_>>()
    });
    assert_eq!(segment, tail, "{body}");
    segment
}

/// The numbers of the records whose field passes, of records that have these values in it.
fn with_values(values: &[Value], body: &serde_json::Value) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    let record = |(number, value): (u8, &Value)| {
        let mut record = record(number, "a", Level::Info, "m");
        record.fields = vec![("x".into(), value.clone())];
        record
    };
    let batches = [Batch::of((1u8..).zip(values).map(record).collect())];
    let ways = [(&[1][..], true), (&[1], false), (&[], true)];
    let [segment, scanned, tail] = ways.map(|(cuts, index)| {
        let view = shards::view(folder.path(), shard, &batches, cuts);
        let answer = answer(&body.to_string(), &[view], &budget(index, true));
        let ids = answer.hits.iter().map(|hit| hit.record.log_id.0[0]);
        ids.collect::<Vec<_>>()
    });
    assert_eq!(segment, scanned, "{body}");
    assert_eq!(segment, tail, "{body}");
    segment
}

fn query(query: &str) -> Vec<u8> {
    found(&serde_json::json!({ "query": query, "sort": { "order": "asc" } }).to_string())
}

#[test]
fn the_language_finds_what_it_says() {
    let exception = format!(
        "exception_id:{}",
        ExceptionId::of("java.io.IOException", "payment-service")
    );
    for (text, expected) in [
        ("*", &[1, 2, 3][..]),
        ("payment", &[1, 2]),
        ("PAYMENT failed", &[1]),
        ("pay", &[1]),
        ("paym", &[]),
        ("pay*", &[1, 2]),
        ("p?yment", &[1, 2]),
        ("*ment", &[1, 2]),
        ("\"payment failed\"", &[1]),
        ("\"failed payment\"", &[]),
        ("connection-refused", &[3]),
        ("\"declined java\"", &[]),
        ("überweisung", &[3]),
        ("STRASSE", &[3]),
        ("prod", &[1, 2]),
        ("user_123", &[1]),
        ("500", &[2]),
        ("email", &[]),
        ("error", &[]),
        ("pipe", &[1]),
        ("0af7651916cd43dd8448eb211c80319c", &[1]),
        ("00f067aa0ba902b7", &[3]),
        ("us-east-1", &[3]),
        ("10.0.*", &[2]),
        ("0.0.*", &[2]),
        ("exception.signature:00000000000000AB", &[1]),
        ("exception.signature:00000000000000ac", &[]),
        ("exception.signature:*", &[1]),
        ("-exception.signature:*", &[2, 3]),
        ("exception.signature:0000*", &[1]),
        ("service:payment-service", &[1]),
        ("service:PAYMENT-service", &[1]),
        ("service:payment", &[]),
        ("service:payment*", &[1, 2]),
        ("service_name:*service*", &[1, 2]),
        ("service:/v\\d/", &[2]),
        ("host:api-server-01", &[1]),
        ("host:*", &[1]),
        ("-host:*", &[2, 3]),
        ("environment:prod", &[2]),
        ("region:us-east-1", &[3]),
        ("span_id:00F067AA0BA902B7", &[3]),
        ("pii:email", &[1]),
        ("pii:ipv4", &[1]),
        ("pii:ema", &[]),
        ("pii:*", &[1]),
        ("level:error", &[1]),
        ("level:>=warn", &[1, 2]),
        ("level:(INFO OR WARN)", &[2, 3]),
        ("message:*card dec*", &[1]),
        ("message:*ard\\ de*", &[1]),
        ("message:*card\\ dec*", &[1]),
        ("message:*CTION-REF*", &[3]),
        ("msg:/fail.*/", &[1]),
        ("msg:/ail.*/", &[]),
        ("exception:*", &[1]),
        ("exception.type:IOException", &[1]),
        ("exception.message:\"broken pipe\"", &[1]),
        ("exception.stack_trace:run", &[1]),
        ("exception:pay.run", &[1]),
        (&exception, &[1]),
        ("http.status:500", &[1, 2]),
        ("fields.http.status:500.0", &[1]),
        ("http.status:>=500", &[1, 2]),
        ("http.status:{500 TO 600]", &[]),
        ("latency_ms:[150 TO 151]", &[1]),
        ("latency_ms:>9007199254740992", &[2]),
        ("latency_ms:9007199254740992", &[]),
        ("latency_ms:150.5", &[1]),
        ("latency_ms:15*", &[1]),
        ("ok:true", &[2]),
        ("ok:TRUE", &[2]),
        ("ok:false", &[]),
        ("tags:prod", &[1]),
        ("user_id:user_123", &[1]),
        ("user_id:user*", &[1]),
        ("user_id:[user_1 TO user_2]", &[1]),
        ("nothing:*", &[]),
        ("log_id:02020202-0202-0202-0202-020202020202", &[2]),
        ("timestamp:>=2026-01-02T03:04:07Z", &[2, 3]),
        (
            "timestamp:[2026-01-02T03:04:06Z TO 2026-01-02T03:04:07Z}",
            &[1],
        ),
        ("timestamp:2026-01-02", &[1, 2, 3]),
        ("timestamp:>now", &[1, 2, 3]),
        ("created_at:<=now", &[1, 2, 3]),
        ("payment -failed", &[2]),
        ("failed OR slow", &[1, 2]),
        ("(failed OR slow) level:warn", &[2]),
        ("NOT payment", &[3]),
        ("NOT *", &[]),
        ("payment OR NOT *", &[1, 2]),
    ] {
        assert_eq!(query(text), expected, "{text}");
    }
}

#[test]
fn filters_compare_whole_values() {
    for (filters, expected) in [
        (r#"{"services":["auth","payment-service"]}"#, &[1, 3][..]),
        (r#"{"services":["Auth"]}"#, &[]),
        (r#"{"levels":["error","INFO"]}"#, &[1, 3]),
        (r#"{"fields":{"user_id":"user_123"}}"#, &[1]),
        (r#"{"fields":{"user_id":"user"}}"#, &[]),
        (r#"{"fields":{"http.status":500}}"#, &[1, 2]),
        (r#"{"fields":{"http.status":"500"}}"#, &[1, 2]),
        (r#"{"fields":{"ok":true}}"#, &[2]),
        (r#"{"fields":{"host":"api-server-01"}}"#, &[1]),
        (r#"{"fields":{"fields.latency_ms":[150.5,7]}}"#, &[1]),
        (r#"{"fields":{"message":"payment"}}"#, &[]),
        (
            r#"{"timestamp_range":{"start":"2026-01-02T03:04:06Z","end":"2026-01-02T03:04:07Z"}}"#,
            &[1],
        ),
        (
            r#"{"timestamp_range":{"start":"2026-01-02T03:04:07Z"}}"#,
            &[2, 3],
        ),
        (r#"{"timestamp_range":{"end":"2026-01-02T03:04:06Z"}}"#, &[]),
    ] {
        let body = format!(r#"{{"filters":{filters},"sort":{{"order":"asc"}}}}"#);
        assert_eq!(found(&body), expected, "{filters}");
    }
}

#[test]
fn an_array_is_found_by_each_of_its_values() {
    use serde_json::json;
    let values = [
        Value::json(r#"["red","blue"]"#),
        Value::json(r#"["red"]"#),
        Value::string("red"),
        Value::json(r#"[["deep",["red"]],true,{"colour":"green","n":9}]"#),
        Value::json("[1,2.50]"),
        Value::number("2"),
        Value::json(r#"["2","a\nb",1e2,-0.0]"#),
    ];
    for (wanted, expected) in [
        (json!("red"), &[1, 2, 3, 4][..]),
        (json!("blue"), &[1]),
        (json!("re"), &[]),
        (json!("deep"), &[4]),
        (json!("green"), &[]),
        (json!(true), &[4]),
        (json!(1), &[5]),
        (json!(2), &[6, 7]),
        (json!("2"), &[6, 7]),
        (json!(2.5), &[5]),
        (json!("2.5"), &[5]),
        (json!(100), &[7]),
        (json!(0), &[7]),
        (json!(9), &[]),
        (json!("a\nb"), &[7]),
        (json!(["blue", 1]), &[1, 5]),
    ] {
        let body = json!({ "filters": { "fields": { "x": wanted } }, "sort": { "order": "asc" } });
        assert_eq!(with_values(&values, &body), expected, "{wanted}");
    }
    for (query, expected) in [
        ("x:red", &[1, 2, 3, 4][..]),
        ("x:>1", &[5, 6, 7]),
        ("x:>=100", &[7]),
        ("x:[2.5 TO 3]", &[5]),
        ("x:<0", &[]),
        ("x:2.5", &[5]),
        ("x:100", &[7]),
        ("x:true", &[4]),
        ("x:>9000", &[]),
        ("-x:red x:*", &[5, 6, 7]),
        ("x:[blue TO green]", &[1, 4]),
        ("x:re*", &[1, 2, 3, 4]),
    ] {
        let body = json!({ "query": query, "sort": { "order": "asc" } });
        assert_eq!(with_values(&values, &body), expected, "{query}");
    }
}

#[test]
fn words_are_of_one_value_of_an_array() {
    use serde_json::json;
    let values = [
        Value::json(r#"["red","blue sky"]"#),
        Value::json("[2,5]"),
        Value::json("[1.5,-1]"),
        Value::json(r#"["first\nsecond","C:\\temp","tab\there","bell\u0007rung"]"#),
        Value::json(r#"[[true,"deep"],null,{"colour":"green","n":9}]"#),
        Value::json(r#"{"kept":"as text","n":[3,4]}"#),
        Value::json(r#"["1.5 s","500"]"#),
        Value::json("[5e2,12345678901234567890]"),
    ];
    for (words, expected) in [
        ("red", &[1][..]),
        ("\"blue sky\"", &[1]),
        ("\"red blue\"", &[]),
        ("2", &[2]),
        ("2.5", &[]),
        ("5", &[2, 7]),
        ("1", &[7]),
        ("\"-1\"", &[3, 7]),
        ("1.5", &[3, 7]),
        ("first", &[4]),
        ("second", &[4]),
        ("nsecond", &[]),
        ("\"first second\"", &[4]),
        ("\"second c\"", &[]),
        ("temp", &[4]),
        ("here", &[4]),
        ("rung", &[4]),
        ("deep", &[5]),
        ("true", &[5]),
        ("\"true deep\"", &[]),
        ("null", &[]),
        ("green", &[5]),
        ("colour", &[5]),
        ("\"colour green\"", &[5]),
        ("kept", &[6]),
        ("\"3 4\"", &[6]),
        ("500", &[7, 8]),
        ("12345678901234567890", &[8]),
        ("12345678901234567891", &[]),
    ] {
        for query in [format!("x:{words}"), words.to_owned()] {
            let body = json!({ "query": query, "sort": { "order": "asc" } });
            assert_eq!(with_values(&values, &body), expected, "{query}");
        }
    }
    // What is not there hides nothing.
    let body = json!({ "query": "-x:5 -x:1", "sort": { "order": "asc" } });
    assert_eq!(with_values(&values, &body), [1, 3, 4, 5, 6, 8]);
}

#[test]
fn a_record_is_found_by_its_id_and_an_unknown_id_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    let batches: Vec<Batch> = records()
        .into_iter()
        .map(|record| Batch::of(vec![record]))
        .collect();
    let view = shards::view(folder.path(), shard, &batches, &[2]);
    let budget = budget(true, true);
    for record in records() {
        let hit = hushlog_query::lookup(record.log_id, &view, &budget)
            .unwrap()
            .unwrap();
        assert!(hit.record == record);
    }
    assert_eq!(
        hushlog_query::lookup(LogId([9; 16]), &view, &budget).unwrap(),
        None
    );
}

#[test]
fn a_record_that_is_hidden_is_not_found_by_its_id() {
    use hushlog_query::{Floors, execute, lookup_plan};
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    for cuts in [&[1][..], &[]] {
        let view = shards::view(folder.path(), shard, &[Batch::of(records())], cuts);
        let found = |record: &Record, floors: Floors| {
            let mut plan = lookup_plan(record.log_id).unwrap();
            plan.hide(floors);
            execute(&plan, &view, &budget(true, true)).unwrap().total
        };
        for record in records() {
            let later = record.timestamp.saturating_add(1);
            assert_eq!(found(&record, Floors::new(record.timestamp, [])), 1);
            assert_eq!(found(&record, Floors::new(later, [])), 0);
            let own = |floor| [(record.service_name.clone(), floor)];
            assert_eq!(found(&record, Floors::new(later, own(record.timestamp))), 1);
            assert_eq!(found(&record, Floors::new(record.timestamp, own(later))), 0);
        }
    }
}

#[test]
fn a_query_stops_when_it_must() {
    use hushlog_query::{Budget, Error, Memory, Plan, Stop, execute};
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    let view = shards::view(folder.path(), shard, &[Batch::of(records())], &[1]);
    let plan = |json: &str| Plan::new(json.as_bytes(), now()).unwrap();
    let all = plan(r#"{"query":"payment"}"#);
    let stopping = |stop| Budget::new(Memory::alone(1 << 30), move || Some(stop));
    let stopped = execute(&all, &view, &stopping(Stop::Timeout));
    assert!(matches!(stopped, Err(Error::Timeout)));
    let stopped = execute(&all, &view, &stopping(Stop::Cancelled));
    assert!(matches!(stopped, Err(Error::Cancelled)));
    let large = execute(&all, &view, &Budget::new(Memory::alone(64), || None));
    assert!(matches!(large, Err(Error::Memory(64))));
}

#[test]
fn a_damaged_partial_is_refused() {
    use hushlog_query::{Partial, Plan, execute};
    let folder = tempfile::tempdir().unwrap();
    let shard = ShardId { bucket: 1, slot: 0 };
    let view = shards::view(folder.path(), shard, &[Batch::of(records())], &[]);
    let json = r#"{"aggs":{"a":{"terms":{"field":"level"},"aggs":{
        "b":{"percentiles":{"field":"latency_ms"}},"c":{"cardinality":{"field":"host"}}}}}}"#;
    let plan = Plan::new(json.as_bytes(), now()).unwrap();
    let bytes = execute(&plan, &view, &budget(true, true)).unwrap().encode();
    assert!(Partial::decode(&plan, &bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(Partial::decode(&plan, &bytes[..length]).is_err());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(Partial::decode(&plan, &longer).is_err());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x80;
        // It need not be noticed, but nothing may panic.
        let _ = Partial::decode(&plan, &changed);
    }
}

#[test]
fn columns_of_the_tail_are_kept_as_far_as_there_is_memory_and_answers_are_the_same() {
    const BLOCKS: usize = 8;
    let shard = ShardId { bucket: 1, slot: 0 };
    let folder = tempfile::tempdir().unwrap();
    let batches = vec![Batch::of(records()); BLOCKS];
    let ask = |memory: &TailMemory| {
        let view = shards::view_in(folder.path(), shard, &batches, &[], memory);
        let totals = [(); 2].map(|()| {
            let views = [view.clone()];
            answer(r#"{"query": "payment"}"#, &views, &budget(true, true)).total
        });
        assert_eq!(totals, [2 * BLOCKS as u64; 2]);
        memory.bytes()
    };
    let plenty = TailMemory::new(usize::MAX);
    let all = ask(&plenty);
    assert!(all > 0);
    assert_eq!(plenty.bytes(), 0, "it comes back with the view");
    for most in [0, all / 2, all - 1] {
        let kept = ask(&TailMemory::new(most));
        assert!(kept <= most, "{kept} of {most}");
        // Room for a block is not left over.
        assert!(kept + all / BLOCKS > most, "{kept} of {most}");
    }
}

#[test]
fn columns_of_the_tail_that_are_not_kept_are_in_the_memory_of_the_question() {
    let shard = ShardId { bucket: 1, slot: 0 };
    let folder = tempfile::tempdir().unwrap();
    let batches = [Batch::of(records())];
    let view = |memory: &TailMemory| shards::view_in(folder.path(), shard, &batches, &[], memory);
    let ask = |json: &str, tail: &TailMemory, most: usize| {
        let memory = Memory::alone(most);
        let plan = Plan::new(json.as_bytes(), now()).unwrap();
        let budget = Budget::new(memory.clone(), || None);
        let asked = in_parts(&plan, &view(tail), 1, &budget).map(|partial| partial.total);
        let params = Params {
            environment: Some("prod".into()),
            // The records are of the next seconds.
            end: Some("now+1m".into()),
            ..Params::default()
        };
        let counted = TopK::new(params, now()).unwrap();
        let counted = top_k(&counted, &view(tail), &budget).map(|_| ());
        assert!(memory.lease(most).is_ok(), "all of it comes back");
        [asked.map(|_| ()), counted].map(|outcome| match outcome {
            Ok(()) => true,
            Err(Error::Memory(limit)) => limit != most,
            Err(other) => panic!("{other}"),
        })
    };
    let count = r#"{"query": "payment", "limit": 0}"#;
    let (plenty, none) = (TailMemory::new(usize::MAX), TailMemory::new(0));
    let kept = view(&plenty);
    let plan = Plan::new(count.as_bytes(), now()).unwrap();
    in_parts(&plan, &kept, 1, &budget(true, true)).unwrap();
    let one = plenty.bytes();
    drop(kept);
    assert_eq!(
        ask(count, &plenty, 0),
        [true, true],
        "what is kept is not in it"
    );
    assert_eq!(ask(count, &none, one - 1), [false, false]);
    assert_eq!(ask(count, &none, one), [true, true]);
    // Hits are read from the block once more.
    let hits = r#"{"query": "payment", "limit": 5}"#;
    assert!(!ask(hits, &none, one)[0]);
    assert!(ask(hits, &none, 2 * one)[0]);
}
