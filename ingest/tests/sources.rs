//! The JSON that loggers and clouds write, by source.

mod common;

use common::{line, object, objects, show};

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(show(&object(text)), expected, "{text}");
    // The same as a line of text, as an agent that tails a file sends it.
    assert_eq!(show(&line(text)), expected, "{text}");
}

#[test]
fn elastic_common_schema() {
    check(
        r#"{"@timestamp":"2026-01-02T03:04:05.678Z","log.level":"WARN","message":"slow","ecs.version":"1.6.0","service.name":"pay","service.environment":"prod","process.thread.name":"main","log.logger":"c.f.Pay","error.type":"java.io.IOException","error.message":"pipe","error.stack_trace":"java.io.IOException: pipe\n\tat a.B.c(B.java:1)","trace.id":"AB12","host":{"name":"h1"}}"#,
        "WARN @2026-01-02T03:04:05.678Z service=pay host=h1 environment=prod trace=ab12 | slow | ecs.version=1.6.0 \
         | log.logger=c.f.Pay | process.thread.name=main | !java.io.IOException: pipe",
    );
}

#[test]
fn bunyan_and_pino() {
    check(
        r#"{"name":"shop","hostname":"web-1","pid":123,"level":50,"err":{"message":"no","name":"TypeError","stack":"TypeError: no\n    at f (a.js:1:2)"},"msg":"failed","time":"2026-01-02T03:04:05.678Z","v":0}"#,
        "ERROR @2026-01-02T03:04:05.678Z service=shop host=web-1 | failed | name=shop | pid=123 | v=0 | !TypeError: no",
    );
    check(
        r#"{"level":30,"time":1767323045123,"pid":9,"hostname":"web-1","req":{"id":1,"url":"/a"},"err":{"type":"Error","message":"no","stack":"Error: no\n    at f (a.js:1:2)"},"msg":"done"}"#,
        "INFO @2026-01-02T03:04:05.123Z host=web-1 | done | pid=9 | req.id=1 | req.url=/a | !Error: no",
    );
    // The name of anything else is no service.
    check(
        r#"{"name":"Ann","level":"info","msg":"x"}"#,
        "INFO | x | name=Ann",
    );
}

#[test]
fn zap_logrus_and_slog() {
    check(
        r#"{"level":"error","ts":1767323045.123,"logger":"http","caller":"a/b.go:12","msg":"failed","error":"refused","stacktrace":"main.f\n\t/srv/a.go:12\nmain.main\n\t/srv/a.go:3"}"#,
        "ERROR @2026-01-02T03:04:05.123Z | failed | caller=a/b.go:12 | error=refused | logger=http \
         | stacktrace=main.f\n\t/srv/a.go:12\nmain.main\n\t/srv/a.go:3",
    );
    check(
        r#"{"level":"dpanic","ts":"2026-01-02T03:04:05.678+0100","msg":"x"}"#,
        "FATAL @2026-01-02T02:04:05.678Z | x",
    );
    check(
        r#"{"level":"warning","msg":"x","time":"2026-01-02T03:04:05Z","error":"no"}"#,
        "WARN @2026-01-02T03:04:05Z | x | error=no",
    );
    check(
        r#"{"time":"2026-01-02T03:04:05.1Z","level":"ERROR+2","source":{"function":"main.f","file":"a.go","line":3},"msg":"x"}"#,
        "ERROR @2026-01-02T03:04:05.1Z | x | source.file=a.go | source.function=main.f | source.line=3",
    );
    check(r#"{"level":"A-1","msg":"x"}"#, "INFO | x | level_raw=A-1");
}

#[test]
fn google_cloud() {
    check(
        r#"{"severity":"CRITICAL","message":"x","time":"2026-01-02T03:04:05Z","logging.googleapis.com/trace":"projects/p/traces/0123456789abcdef0123456789abcdef","logging.googleapis.com/spanId":"000000000000004a","serviceContext":{"service":"pay"}}"#,
        "FATAL @2026-01-02T03:04:05Z service=pay trace=0123456789abcdef0123456789abcdef span=000000000000004a | x \
         | logging.googleapis.com/trace=projects/p/traces/0123456789abcdef0123456789abcdef",
    );
    check(
        r#"{"insertId":"i","jsonPayload":{"message":"x","n":1},"resource":{"type":"k8s_container","labels":{"container_name":"pay"}},"timestamp":"2026-01-02T03:04:05Z","severity":"DEFAULT","trace":"projects/p/traces/0123456789abcdef0123456789abcdef"}"#,
        "INFO @2026-01-02T03:04:05Z service=pay trace=0123456789abcdef0123456789abcdef | x | insertId=i | jsonPayload.n=1 \
         | level_raw=DEFAULT | resource.labels.container_name=pay | resource.type=k8s_container \
         | trace=projects/p/traces/0123456789abcdef0123456789abcdef",
    );
    check(
        r#"{"textPayload":"x","timestamp":{"seconds":1767323045,"nanos":5},"severity":"NOTICE"}"#,
        "INFO @2026-01-02T03:04:05.000000005Z | x | timestamp.nanos=5 | timestamp.seconds=1767323045",
    );
}

#[test]
fn cloudwatch_and_lambda() {
    check(
        r#"{"id":"e1","timestamp":1767323045123,"message":"x","logGroup":"/aws/lambda/pay","logStream":"s"}"#,
        "INFO @2026-01-02T03:04:05.123Z service=pay | x | id=e1 | logGroup=/aws/lambda/pay | logStream=s",
    );
    check(
        r#"{"@timestamp":"2026-01-02 03:04:05.123","@message":"ERROR x","@log":"123:/aws/lambda/pay"}"#,
        "ERROR @2026-01-02T03:04:05.123Z service=pay | ERROR x | @log=123:/aws/lambda/pay",
    );
}

#[test]
fn a_batch_of_cloudwatch_is_as_many_records_as_it_has_events() {
    let batch = |kind: &str, events: &str| {
        format!(
            r#"{{"messageType":"{kind}","owner":"123","logGroup":"/aws/lambda/pay","logStream":"s","logEvents":[{events}]}}"#
        )
    };
    let events = r#"{"id":"1","timestamp":1767323045123,"message":"ERROR x"},{"id":"2","timestamp":1767323045124,"message":"{\"level\":\"warn\",\"msg\":\"y\"}"}"#;
    let two = objects(&batch("DATA_MESSAGE", events));
    let rest = "logGroup=/aws/lambda/pay | logStream=s | messageType=DATA_MESSAGE | owner=123";
    assert_eq!(
        two.iter().map(show).collect::<Vec<_>>(),
        [
            format!("ERROR @2026-01-02T03:04:05.123Z service=pay | ERROR x | id=1 | {rest}"),
            format!("WARN @2026-01-02T03:04:05.124Z service=pay | y | id=2 | {rest}"),
        ]
    );
    // A large batch is as many small records.
    let many =
        vec![r#"{"id":"1","timestamp":1767323045123,"message":"0123456789"}"#; 20_000].join(",");
    assert_eq!(objects(&batch("DATA_MESSAGE", &many)).len(), 20_000);
    // Not a batch: the array is a field.
    for (kind, events) in [
        ("OTHER", events),
        ("DATA_MESSAGE", "1"),
        ("DATA_MESSAGE", r#"{"id":"1"}"#),
        ("DATA_MESSAGE", ""),
    ] {
        let one = objects(&batch(kind, events));
        assert_eq!(one.len(), 1);
        let kept = one[0].fields.iter().find(|(name, _)| name == "logEvents");
        assert!(kept.is_some(), "{kind} {events}");
    }
}

#[test]
fn java_dotnet_python_and_php() {
    check(
        r#"{"instant":{"epochSecond":1767323045,"nanoOfSecond":678000000},"thread":"main","level":"ERROR","loggerName":"c.f.Pay","message":"x","thrown":{"name":"java.io.IOException","message":"pipe","extendedStackTrace":"java.io.IOException: pipe\n\tat a.B.c(B.java:1)"}}"#,
        "ERROR @2026-01-02T03:04:05.678Z | x | instant.epochSecond=1767323045 | instant.nanoOfSecond=678000000 \
         | loggerName=c.f.Pay | thread=main | !java.io.IOException: pipe",
    );
    check(
        r#"{"@t":"2026-01-02T03:04:05.678Z","@mt":"Hi {Name}","@l":"Fatal","@x":"System.InvalidOperationException: no\n   at A.B()","Name":"n"}"#,
        "FATAL @2026-01-02T03:04:05.678Z | Hi {Name} | Name=n | !System.InvalidOperationException: no",
    );
    check(
        r#"{"message":"x","context":{"a":1},"level":400,"level_name":"ERROR","channel":"app","datetime":"2026-01-02T03:04:05.678+00:00"}"#,
        "ERROR @2026-01-02T03:04:05.678Z | x | channel=app | context.a=1 | level_name=ERROR",
    );
    check(
        r#"{"event":"user_login","level":"info","timestamp":"2026-01-02T03:04:05Z","exc_info":true,"user":7}"#,
        "INFO @2026-01-02T03:04:05Z | user_login | exc_info=true | user=7",
    );
    check(
        r#"{"asctime":"2026-01-02 03:04:05,678","levelname":"ERROR","name":"app","message":"x","exc_info":"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a'"}"#,
        "ERROR @2026-01-02T03:04:05.678Z | x | name=app | !KeyError: 'a'",
    );
    check(
        r#"{"level":"error","msg":"x","error":"Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a'"}"#,
        "ERROR | x | error=Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a' | !KeyError: 'a'",
    );
}

#[test]
fn journald_gelf_and_collectors() {
    check(
        r#"{"__REALTIME_TIMESTAMP":"1767323045123456","_HOSTNAME":"h1","PRIORITY":"3","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"x","_PID":"7"}"#,
        "ERROR @2026-01-02T03:04:05.123456Z service=sshd host=h1 | x | SYSLOG_IDENTIFIER=sshd | _PID=7",
    );
    check(
        r#"{"version":"1.1","host":"h1","short_message":"x","full_message":"x\nmore","timestamp":1767323045.123,"level":4,"_n":1}"#,
        "WARN @2026-01-02T03:04:05.123Z host=h1 | x | _n=1 | full_message=x\nmore | version=1.1",
    );
    check(
        r#"{"date":1767323045.5,"log":"ERROR x\n","kubernetes":{"container_name":"pay","pod_name":"pay-1"}}"#,
        "ERROR @2026-01-02T03:04:05.5Z service=pay | ERROR x | kubernetes.container_name=pay | kubernetes.pod_name=pay-1",
    );
    check(
        r#"{"lvl":"eror","msg":"x","date":"2024-05-01"}"#,
        "ERROR | x | date=2024-05-01",
    );
    check(
        r#"{"msg":"x","date":"2026-01-02 03:04:05"}"#,
        "INFO @2026-01-02T03:04:05Z | x",
    );
}

#[test]
fn types_that_disagree_drop_nothing() {
    let all = object(
        r#"{"level":{"name":"x"},"message":{"a":1},"service":["s"],"host":7,"trace_id":true,"exception":false,"timestamp":[1],"a":1,"a":{"b":"c"}}"#,
    );
    assert_eq!(
        show(&all),
        "INFO service=[\"s\"] host=7 trace=true |  | a=1 | a.b=c | exception=false | level.name=x | message.a=1 | timestamp_raw=[1]"
    );
    check(r#"{"message":5,"level":null,"n":null}"#, "INFO | 5");
    check(r#"{"message":["a","b"]}"#, "INFO | [\"a\",\"b\"]");
}
