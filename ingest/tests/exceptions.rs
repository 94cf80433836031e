//! Texts in, exceptions out. The texts are our own, in the forms that runtimes print.

use hushlog_ingest::exception;

fn check(text: &str, type_name: &str, message: &str) {
    let found = exception::find(text).unwrap_or_else(|| panic!("nothing found in {text}"));
    let exception = found.to_exception(text);
    assert_eq!(
        (exception.type_name.as_str(), exception.message.as_str()),
        (type_name, message),
        "{text}"
    );
    let frames = text.contains('\n');
    assert_eq!(!exception.stack_trace.is_empty(), frames, "{text}");
}

fn none(text: &str) {
    let found = exception::find(text);
    assert!(found.is_none(), "{found:?} in {text}");
}

#[test]
fn java_names_the_outermost_in_its_first_line() {
    check(
        "java.io.IOException: broken pipe\n\tat a.B.c(B.java:1)\nCaused by: java.net.E: x\n\t... 1 more",
        "java.io.IOException",
        "broken pipe",
    );
    check(
        "2026-01-02 03:04:05 ERROR [http-1] c.f.Pay - failed\ncom.f.Declined$CardException: a\nb\n\tat a.B.c(B.java:1)",
        "com.f.Declined$CardException",
        "a\nb",
    );
    check(
        "Exception in thread \"main\" java.lang.Error\n\tat a.B.c(B.java:1)",
        "java.lang.Error",
        "",
    );
    check(
        "oops.Kaboom: no suffix\n\tat a.B.c(B.java:1)",
        "oops.Kaboom",
        "no suffix",
    );
    check(
        "Caused by: java.net.SocketException: reset\n\tat a.B.c(B.java:1)",
        "java.net.SocketException",
        "reset",
    );
}

#[test]
fn python_names_it_in_the_last_line_of_the_last_traceback() {
    check(
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nKeyError: 'a'",
        "KeyError",
        "'a'",
    );
    check(
        "ERROR job failed\nTraceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 1\n\nDuring handling of the above exception, \
         another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 2\n    x()\npsycopg2.errors.Deadlock: two\nlines",
        "psycopg2.errors.Deadlock",
        "two",
    );
    check(
        "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyboardInterrupt",
        "KeyboardInterrupt",
        "",
    );
    check(
        "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in <module>\n  | ExceptionGroup: several (2 sub-exceptions)\n\
         \u{20} +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    |   File \"a.py\"\n    | ValueError: 1",
        "ExceptionGroup",
        "several (2 sub-exceptions)",
    );
}

#[test]
fn other_runtimes_are_understood() {
    check(
        "System.InvalidOperationException: outer ---> System.IO.IOException: inner\n   at A.B()",
        "System.InvalidOperationException",
        "outer",
    );
    check(
        "Unhandled exception. System.NullReferenceException: Object reference not set\n   at A.B()",
        "System.NullReferenceException",
        "Object reference not set",
    );
    check(
        "System.InvalidOperationException: outer\n ---> System.IO.IOException: inner\n   at A.B()",
        "System.InvalidOperationException",
        "outer",
    );
    check(
        "TypeError: x is undefined\n    at f (a.js:1:2)",
        "TypeError",
        "x is undefined",
    );
    check(
        "Uncaught TypeError: x is not a function\n    at f (a.js:1:2)",
        "TypeError",
        "x is not a function",
    );
    check(
        "Error: default\nfoo@http://host/file.js:41:13\n",
        "Error",
        "default",
    );
    check(
        "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1",
        "panic",
        "boom",
    );
    check(
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()",
        "fatal error",
        "all goroutines are asleep - deadlock!",
    );
    check(
        "thread 'main' (7) panicked at src/main.rs:3:9:\nindex out of bounds\nstack backtrace:\n   0: f",
        "panic",
        "index out of bounds",
    );
    check(
        "thread 'w' panicked at 'boom', src/a.rs:1:2\nnote: run with `RUST_BACKTRACE=1`",
        "panic",
        "boom",
    );
    check(
        "PHP Fatal error:  Uncaught A\\First: a in /x.php:1\nStack trace:\n#0 {main}\n\nNext B\\Second: b in /x.php:2\nStack trace:\n#0 {main}\n  thrown in /x.php on line 2",
        "B\\Second",
        "b",
    );
    check(
        "PHP Fatal error:  Uncaught exception 'LogicException' with message 'no' in /x.php:1\nStack trace:\n#0 {main}",
        "LogicException",
        "no",
    );
    check(
        "a.rb:6:in `f': divided by 0 (ZeroDivisionError)\n\tfrom a.rb:9:in `<main>'",
        "ZeroDivisionError",
        "divided by 0",
    );
    check(
        "ActiveRecord::RecordNotFound (Couldn't find User):\n  app/a.rb:3:in 'show'",
        "ActiveRecord::RecordNotFound",
        "Couldn't find User",
    );
    check(
        "** (Pay.Declined) no funds\n    a.exs:5: Pay.charge/1",
        "Pay.Declined",
        "no funds",
    );
    check(
        "terminate called after throwing an instance of 'std::out_of_range'\n  what():  at()",
        "std::out_of_range",
        "at()",
    );
    check(
        "Unhandled exception:\nFormatException: bad\n#0      main (file:///a.dart:1:2)",
        "FormatException",
        "bad",
    );
    check(
        "lua5.4: a.lua:1: no\nstack traceback:\n\ta.lua:1: in main chunk",
        "lua error",
        "lua5.4: a.lua:1: no",
    );
}

#[test]
fn a_line_by_itself_reports_only_what_is_clearly_a_type() {
    check(
        "2026-01-02 ERROR Client: java.net.ConnectException: refused",
        "java.net.ConnectException",
        "refused",
    );
    check(
        "Diagnostics: Error: java.net.NoRouteToHostException: No route",
        "java.net.NoRouteToHostException",
        "No route",
    );
    check(
        "ValueErrorWrapped - KeyNotFoundException: k",
        "KeyNotFoundException",
        "k",
    );
    none("No Exception occurred");
    none("Error: could not open file");
    none("2026-01-02 INFO c.f.ErrorHandler: started");
    none("retrying after java.io.IOException occurred");
    none("caught end of stream exception");
    none("0 errors, Exception: none");
    none("http error=TimeoutException:5");
    none("panic mode is off");
    none("handled java.io.IOException:8080");
    none("the Traceback was lost");
    none("Traceback (most recent call last):\n  File \"a.py\", line 1");
    none("");
}

#[test]
fn the_first_line_of_a_given_stack_names_it_whatever_its_name() {
    let stack = "Boom: it broke\n  somewhere 1\n  somewhere 2";
    let found = exception::find_in_stack(stack).expect("the first line names it");
    assert_eq!(found.type_name(stack), "Boom");
    assert!(exception::find_in_stack("\tat a.B.c(B.java:1)").is_none());
}
