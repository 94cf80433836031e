//! Lines of text in the forms that loggers, servers and container runtimes write; and look-alikes.

mod common;

use common::{line, show, with_context};
use hushlog_ingest::limits::MESSAGE_LAYERS_MAX;
use hushlog_ingest::parse;

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(show(&line(text)), expected, "{text}");
}

/// Nothing but time and level is taken from it: no fields, no names, and the message is the line.
#[track_caller]
fn plain(text: &str) {
    let record = line(text);
    assert!(record.fields.is_empty(), "{}", show(&record));
    assert_eq!(
        (record.message.as_str(), record.service_name.as_str()),
        (text, "unknown")
    );
    assert_eq!(record.host, "");
}

#[test]
fn syslog_of_the_new_kind_is_an_envelope() {
    check(
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 8710 ID47 [ex@32473 iut=\"3\" src=\"a \\\"b\\\" \\\\ \\]c\"][o@1 x=\"\"] An event",
        "INFO @2003-10-11T22:14:15.003Z service=evntslog host=mymachine.example.com | An event \
         | log.syslog.facility.name=local4 | log.syslog.msgid=ID47 | log.syslog.priority=165 \
         | log.syslog.structured_data.ex@32473.iut=3 | log.syslog.structured_data.ex@32473.src=a \"b\" \\ ]c \
         | log.syslog.structured_data.o@1.x= | process.pid=8710",
    );
    check(
        "<34>1 2003-10-11T22:14:15.003+02:00 host su - - - \u{feff}'su root' failed on /dev/pts/8",
        "FATAL @2003-10-11T20:14:15.003Z service=su host=host | 'su root' failed on /dev/pts/8 \
         | log.syslog.facility.name=auth | log.syslog.priority=34",
    );
    check(
        "<15>1 - - - - - -",
        "DEBUG |  | log.syslog.facility.name=user | log.syslog.priority=15",
    );
    check(
        "<12>1 - - app worker-1 - - two\nlines",
        "WARN service=app | two\nlines | log.syslog.facility.name=user | log.syslog.priority=12 | process.pid=worker-1",
    );
}

#[test]
fn the_space_that_rsyslog_leaves_in_front_of_a_message_is_not_of_it() {
    for (sent, message) in [
        (" payment failed", "payment failed"),
        ("\u{feff} payment failed", "payment failed"),
        // Lines of a stack trace keep their indentation.
        ("  File \"a.py\", line 1", "  File \"a.py\", line 1"),
        (" \tat a.B.c(B.java:1)", " \tat a.B.c(B.java:1)"),
    ] {
        let record = line(&format!("<11>1 - h app 7 - - {sent}"));
        assert_eq!(record.message, message, "{sent:?}");
    }
}

#[test]
fn words_around_a_time_are_no_host_and_no_program() {
    for text in [
        "ERROR 2026-01-02 03:04:05 payment failed: card declined",
        "ERROR 2026-01-02 03:04:05 payment worker[7]: card declined",
        "Fri, 02 Jan 2026 03:04:05 GMT payment failed: card declined",
        "Fri Jan  2 03:04:05 2026 payment failed: card declined",
    ] {
        plain(text);
    }
}

#[test]
fn a_zone_is_read_where_it_stands_and_nowhere_else() {
    for (text, time) in [
        ("[Fri, 02 Jan 2026 03:04:05 +0100 Zone is far", "02:04:05"),
        ("Fri, 02 Jan 2026 03:04:05 +0100 Zone is far", "02:04:05"),
        ("2026-01-02 03:04:05 UTC+02:00 x", "01:04:05"),
        ("2026-01-02 03:04:05 UTC-foo", "03:04:05"),
        ("2026-01-02 03:04:05 GMT+12345 x", "03:04:05"),
    ] {
        let record = line(text);
        assert_eq!(
            record.timestamp.to_string(),
            format!("2026-01-02T{time}Z"),
            "{text}"
        );
    }
}

#[test]
fn no_word_of_logfmt_is_lost() {
    check("msg=user logged in id=5", "INFO | user logged in | id=5");
    check(
        "level=warn msg=user  logged in, id=5 took=12",
        "WARN | user  logged in, | id=5 | took=12",
    );
    check(
        "level=warn event=user left msg=12 of 15 id=5",
        "WARN | 12 of 15 | event=user left | id=5",
    );
    // Words behind another value, or a quoted one, have no place but the message.
    check(
        "level=warn took=12 ms path=/a/b/c msg=done",
        "WARN | level=warn took=12 ms path=/a/b/c msg=done | msg=done | path=/a/b/c | took=12",
    );
    check(
        "level=info time=2026-01-02T03:04:05Z msg=\"a b\"c id=5",
        "INFO @2026-01-02T03:04:05Z | level=info time=2026-01-02T03:04:05Z msg=\"a b\"c id=5 | id=5 | msg=a b",
    );
}

#[test]
fn syslog_of_the_old_kind_is_an_envelope() {
    check(
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick",
        "FATAL @2025-10-11T22:14:15Z service=su host=mymachine | 'su root' failed for lonvick \
         | log.syslog.facility.name=auth | log.syslog.priority=34",
    );
    check(
        "<38>Mar  4 05:06:06 web-1 sshd[24200]: Invalid user webmaster",
        "INFO @2026-03-04T05:06:06Z service=sshd host=web-1 | Invalid user webmaster \
         | log.syslog.facility.name=auth | log.syslog.priority=38 | process.pid=24200",
    );
    // Without a host, as glibc writes to the local socket.
    check(
        "<30>Mar  4 05:06:06 dockerd[7]: x",
        "INFO @2026-03-04T05:06:06Z service=dockerd | x | log.syslog.facility.name=daemon | log.syslog.priority=30 | process.pid=7",
    );
    check(
        "<38>Mar  4 05:06:06 web-1 sshd(pam_unix)[7]: x",
        "INFO @2026-03-04T05:06:06Z service=sshd host=web-1 | x | log.syslog.appname=sshd(pam_unix) \
         | log.syslog.facility.name=auth | log.syslog.priority=38 | process.pid=7",
    );
    // rsyslog's forward format.
    check(
        "<27>2026-03-04T06:06:06.123456+01:00 db postgres[9]: down",
        "ERROR @2026-03-04T05:06:06.123456Z service=postgres host=db | down \
         | log.syslog.facility.name=daemon | log.syslog.priority=27 | process.pid=9",
    );
    // Cisco: a sequence number, and a star before a clock that is not synchronised.
    check(
        "<189>29: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured from console",
        "INFO | 29: *Mar  1 18:46:11: %SYS-5-CONFIG_I: Configured from console | log.syslog.facility.name=local7 | log.syslog.priority=189",
    );
    check(
        "<13>just text",
        "INFO | just text | log.syslog.facility.name=user | log.syslog.priority=13",
    );
    // The version without the rest of its header.
    check(
        "<13>1 x",
        "INFO | 1 x | log.syslog.facility.name=user | log.syslog.priority=13",
    );
}

#[test]
fn what_only_resembles_a_priority_is_text() {
    for text in [
        "<192>x", "<>x", "<1a>x", "<007>x", "<html> x", "<1234>x", "<12", "< 1>x",
    ] {
        plain(text);
    }
}

#[test]
fn a_syslog_file_names_host_and_program_and_keeps_its_lines() {
    check(
        "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure",
        "INFO @2025-06-14T15:16:01Z service=sshd host=combo \
         | Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure | process.pid=19939",
    );
    check(
        "2026-03-04T05:06:06.1+00:00 web-1 kubelet[812]: started",
        "INFO @2026-03-04T05:06:06.1Z service=kubelet host=web-1 \
         | 2026-03-04T05:06:06.1+00:00 web-1 kubelet[812]: started | process.pid=812",
    );
    let text = "Mar  4 05:06:06 combo sshd[1]: x";
    let record = with_context("given", |context| parse::line(text.as_bytes(), context));
    assert_eq!(record.service_name, "given");
    // Not a program but a level, a sentence, a clock.
    plain("Mar  4 05:06:06 ERROR main: x");
    plain("2026-03-04T05:06:06Z worker done: x");
    plain("Mar  4 05:06:06 it is done: x");
}

#[test]
fn container_lines_are_envelopes() {
    check(
        "2026-03-04T05:06:06.123456789Z stderr F panic: no",
        "FATAL @2026-03-04T05:06:06.123456789Z | panic: no | stream=stderr | !panic: no",
    );
    check(
        "2026-03-04T05:06:06Z stdout P a part",
        "INFO @2026-03-04T05:06:06Z | a part | stream=stdout",
    );
    check(
        "2026-03-04T05:06:06Z stdout F ",
        "INFO @2026-03-04T05:06:06Z |  | stream=stdout",
    );
    check(
        "2026-03-04T05:06:06Z stdout F:x y",
        "INFO @2026-03-04T05:06:06Z | y | stream=stdout",
    );
    check(
        "2026-03-04T05:06:06Z stdout F {\"level\":\"warn\",\"msg\":\"m\",\"n\":1}",
        "WARN @2026-03-04T05:06:06Z | m | n=1 | stream=stdout",
    );
    check(
        "{\"log\":\"2026-03-04 05:00:00,5 WARN  [main] c.f.Pay - slow\\n\",\"stream\":\"stdout\",\"time\":\"2026-03-04T05:06:06.5Z\"}",
        "WARN @2026-03-04T05:06:06.5Z | 2026-03-04 05:00:00,5 WARN  [main] c.f.Pay - slow \
         | log.logger=c.f.Pay | process.thread.name=main | stream=stdout",
    );
    check(
        "{\"log\":\"{\\\"severity\\\":\\\"ERROR\\\",\\\"message\\\":\\\"in\\\"}\\n\",\"stream\":\"stderr\",\"time\":\"2026-03-04T05:06:06Z\"}",
        "ERROR @2026-03-04T05:06:06Z | in | stream=stderr",
    );
    plain("x[10/Oct/2000:13:55:36 -0700] stdout F y");
    plain("2026-03-04T05:06:06Z stdout was closed");
    plain("2026-03-04T05:06:06Z stdoutF x");
    plain("2026-03-04T05:06:06Z stdout Fatal x");
}

#[test]
fn layers_are_taken_off_up_to_a_limit() {
    check(
        "2026-03-04T05:06:06Z stdout F <11>app[3]: @cee: {\"msg\":\"deep\",\"a\":1}",
        "ERROR @2026-03-04T05:06:06Z service=app | deep | a=1 | log.syslog.facility.name=user \
         | log.syslog.priority=11 | process.pid=3 | stream=stdout",
    );
    let nested = format!("{}x", "<13>".repeat(MESSAGE_LAYERS_MAX + 1));
    assert_eq!(line(&nested).message, "<13>x");
}

#[test]
fn access_logs_become_fields_and_stay_as_they_are() {
    let text = "203.0.113.7 - ann [10/Oct/2000:13:55:36 -0700] \"GET /a?b=%20c HTTP/1.1\" 404 2326 \"https://e.example/\" \"curl/8 (\\\"x\\\")\" 0.012";
    check(
        text,
        &format!(
            "INFO @2000-10-10T20:55:36Z | {text} | http.request.method=GET | http.request.referrer=https://e.example/ \
             | http.response.body.bytes=2326 | http.response.status_code=404 | http.version=1.1 | source.address=203.0.113.7 \
             | url.original=/a?b=%20c | user.name=ann | user_agent.original=curl/8 (\\\"x\\\")"
        ),
    );
    let text = "127.0.0.1 - - [10/Oct/2000 13:55:36] \"GET / HTTP/1.1\" 200 -";
    check(
        text,
        &format!(
            "INFO @2000-10-10T13:55:36Z | {text} | http.request.method=GET | http.response.status_code=200 \
             | http.version=1.1 | source.address=127.0.0.1 | url.original=/"
        ),
    );
    let text = "::1 - - [10/Oct/2000:13:55:36 +0000] \"-\" 408 -";
    check(
        text,
        &format!(
            "INFO @2000-10-10T13:55:36Z | {text} | http.response.status_code=408 | source.address=::1"
        ),
    );
    let text =
        "shop.example:443 10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"POST /ERROR HTTP/2.0\" 500 0";
    check(
        text,
        &format!(
            "INFO @2000-10-10T13:55:36Z | {text} | http.request.method=POST | http.response.body.bytes=0 \
             | http.response.status_code=500 | http.version=2.0 | source.address=10.0.0.1 | url.domain=shop.example:443 \
             | url.original=/ERROR"
        ),
    );
    plain("10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1 200 1");
    plain("10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1\" ok 1");
    plain("and then at [10/Oct/2000:13:55:36 +0000] \"x\" 200 1 came");
}

#[test]
fn log4j_and_logback_headers_are_understood() {
    for (text, level, time, fields) in [
        (
            "2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.MRAppMaster: Created",
            "INFO",
            "2015-10-18T18:01:47.978Z",
            "log.logger=org.apache.hadoop.MRAppMaster | process.thread.name=main",
        ),
        (
            "2026-03-04 05:00:00.123 [http-nio-8080-exec-1] WARN  c.f.Pay$Inner - slow",
            "WARN",
            "2026-03-04T05:00:00.123Z",
            "log.logger=c.f.Pay$Inner | process.thread.name=http-nio-8080-exec-1",
        ),
        (
            "2026-03-04T05:00:00.123+01:00  INFO 12345 --- [           main] o.s.b.w.TomcatWebServer  : Tomcat",
            "INFO",
            "2026-03-04T04:00:00.123Z",
            "log.logger=o.s.b.w.TomcatWebServer | process.pid=12345 | process.thread.name=main",
        ),
        (
            "2026-03-04T05:00:00Z ERROR 1 --- [shop] [exec-[2]] c.f.Pay : x",
            "ERROR",
            "2026-03-04T05:00:00Z",
            "log.logger=c.f.Pay | process.pid=1 | process.thread.name=exec-[2]",
        ),
        (
            "17/06/09 20:10:40 INFO executor.Backend: Registered",
            "INFO",
            "2017-06-09T20:10:40Z",
            "log.logger=executor.Backend",
        ),
        (
            "081109 203615 148 WARN dfs.DataNode$PacketResponder: x",
            "WARN",
            "2008-11-09T20:36:15Z",
            "log.logger=dfs.DataNode$PacketResponder | process.pid=148",
        ),
        (
            "Mar 04, 2026 5:00:00 AM ERROR c.f.Pay: x",
            "ERROR",
            "2026-03-04T05:00:00Z",
            "log.logger=c.f.Pay",
        ),
    ] {
        check(text, &format!("{level} @{time} | {text} | {fields}"));
    }
    let text = "05:00:00.123 [main] DEBUG c.f.App - no date";
    check(
        text,
        &format!("DEBUG | {text} | log.logger=c.f.App | process.thread.name=main"),
    );
}

#[test]
fn python_headers_are_understood() {
    for (text, level, time, fields) in [
        ("ERROR:root:it failed", "ERROR", "", "log.logger=root"),
        (
            "2026-03-04 05:00:00,123 - app.db - WARNING - slow",
            "WARN",
            " @2026-03-04T05:00:00.123Z",
            "log.logger=app.db",
        ),
        (
            "[2026-03-04 05:00:00,123] ERROR in app: Exception on /",
            "ERROR",
            " @2026-03-04T05:00:00.123Z",
            "log.logger=app",
        ),
        (
            "[2026-03-04 05:00:00 +0000] [123] [CRITICAL] WORKER TIMEOUT",
            "FATAL",
            " @2026-03-04T05:00:00Z",
            "process.pid=123",
        ),
        (
            "nova.log 2017-05-16 00:00:04.500 2931 INFO nova.compute.manager [req-1 - -] x",
            "INFO",
            " @2017-05-16T00:00:04.5Z",
            "log.logger=nova.compute.manager | process.pid=2931",
        ),
        (
            "[ERROR]\t2026-03-04T05:00:00.5Z\t8476a536-e9f4-11e8-9739-2dfe598c3fcd\tx",
            "ERROR",
            " @2026-03-04T05:00:00.5Z",
            "faas.execution=8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        ),
        (
            "2026-03-04T05:00:00.5Z\t8476a536-e9f4-11e8-9739-2dfe598c3fcd\tERROR\tx",
            "ERROR",
            " @2026-03-04T05:00:00.5Z",
            "faas.execution=8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        ),
        (
            "[Sun Dec 04 04:47:44.25 2005] [core:error] [pid 9:tid 7] x",
            "ERROR",
            " @2005-12-04T04:47:44.25Z",
            "log.logger=core",
        ),
    ] {
        check(text, &format!("{level}{time} | {text} | {fields}"));
    }
}

#[test]
fn headers_of_other_loggers_are_understood() {
    for (text, level, time, fields) in [
        (
            "[2026-01-02 03:04:05] production.ERROR: it failed {\"order\":7} []",
            "ERROR",
            "2026-01-02T03:04:05Z",
            "log.logger=production",
        ),
        (
            "2026-01-02T03:04:05.678+0100\terror\tpay/main.go:12\tit failed\t{\"order\": 7, \"a\": {\"b\": true}}",
            "ERROR",
            "2026-01-02T02:04:05.678Z",
            "a.b=true | order=7",
        ),
        (
            "2026-01-02T03:04:05.123456Z ERROR shop::pay: it failed order=7",
            "ERROR",
            "2026-01-02T03:04:05.123456Z",
            "log.logger=shop::pay",
        ),
        (
            "[2026-01-02T03:04:05Z WARN  shop::pay] slow",
            "WARN",
            "2026-01-02T03:04:05Z",
            "log.logger=shop::pay",
        ),
        (
            "[2026-01-02T03:04:05,678][INFO ][o.e.n.Node               ] [node-1] started",
            "INFO",
            "2026-01-02T03:04:05.678Z",
            "log.logger=o.e.n.Node | process.thread.name=node-1",
        ),
        (
            "2026-01-02 03:04:05,678 [WARN ] [c.f.Pay] (worker-1) slow",
            "WARN",
            "2026-01-02T03:04:05.678Z",
            "log.logger=c.f.Pay",
        ),
        (
            "2026-01-02 03:04:05,678 INFO [pool.one] c.f.Pay: x",
            "INFO",
            "2026-01-02T03:04:05.678Z",
            "log.logger=c.f.Pay | process.thread.name=pool.one",
        ),
        (
            "[INFO] 2026-01-02 03:04:05 c.f.Pay - it ran",
            "INFO",
            "2026-01-02T03:04:05Z",
            "log.logger=c.f.Pay",
        ),
    ] {
        check(text, &format!("{level} @{time} | {text} | {fields}"));
    }
    for (text, time) in [
        (
            "E, [2026-01-02T03:04:05.678901 #123] ERROR -- pay: it failed",
            "2026-01-02T03:04:05.678901Z",
        ),
        (
            "WARN 2026-01-02 03:04:05,678 django.request Not Found: /x",
            "2026-01-02T03:04:05.678Z",
        ),
        (
            "1:M 02 Jan 2026 03:04:05.678 * Ready",
            "2026-01-02T03:04:05.678Z",
        ),
    ] {
        assert_eq!(line(text).timestamp.to_string(), time, "{text}");
        plain(text);
    }
    plain("2026-01-02 03:04:05 see a.b.ERROR: and go");
    plain("2026-01-02 03:04:05 info: a\tb");
}

#[test]
fn glog_and_klog_headers_are_understood() {
    let text = "E0102 15:04:05.678901    7 server.go:123] \"Pod failed\" pod=\"a/b\" restarts=3";
    check(
        text,
        &format!(
            "ERROR @2026-01-02T15:04:05.678901Z | {text} | log.origin.file.line=123 | log.origin.file.name=server.go \
             | pod=a/b | process.thread.id=7 | restarts=3"
        ),
    );
    let text = "I20260102 15:04:05.678901 12345 file.cc:12] started at x=1";
    check(
        text,
        &format!(
            "INFO @2026-01-02T15:04:05.678901Z | {text} | log.origin.file.line=12 | log.origin.file.name=file.cc \
             | process.thread.id=12345"
        ),
    );
    plain("E0102 15:04:05.678901 7 no origin] x");
    plain("E0102 of the series");
    plain("E01020 15:04:05 7 a.go:1] x");
}

#[test]
fn sentences_are_left_alone() {
    for text in [
        "",
        "2026-03-04 05:00:00 the ERROR was found in c.f.Pay: x",
        "2026-03-04 05:00:00 INFO Server started: port 80",
        "2026-03-04 05:00:00 WARN Timeout: 30s",
        "ERROR: in c.f.Pay - x",
        "NOTE:root:x",
        "2026-03-04 05:00:00 - INFO  [main] - FOLLOWING - LEADER ELECTION TOOK - 221",
        "ERROR:a b:c",
        "05:00:00 [main] no level here",
        "12:30 [x] INFO c.f.App - x",
        "[main] c.f.App - x",
        "2026-03-04 05:00:00 [unclosed INFO x",
    ] {
        plain(text);
    }
}
