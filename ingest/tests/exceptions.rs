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

/// In the forms of thirteen languages and their frameworks.
#[test]
fn types_are_read_in_every_form_that_runtimes_print() {
    for (text, type_name) in [
        (
            "Jul 09, 2015 3:23:29 PM com.acme.search.MakeLog: RuntimeException: Run from this message!\n  at com.my.app.Object.do$a1(MakeLog.java:50)\n  at java.lang.Thing.call(Thing.java:10)",
            "RuntimeException",
        ),
        (
            "javax.servlet.ServletException: Something bad happened\n    at com.example.myproject.OpenSessionInViewFilter.doFilter(OpenSessionInViewFilter.java:60)\n    at x.Y.z(Y.java:1)\nCaused by: com.example.myproject.MyProjectServletException\n    at com.example.myproject.MyServlet.doPost(MyServlet.java:169)\n    ... 27 more\nCaused by: java.sql.SQLException: Violation of unique constraint MY_ENTITY_UK_1: duplicate value(s) for column(s) MY_COLUMN in statement [...]\n    at org.hsqldb.jdbc.Util.throwError(Unknown Source)",
            "javax.servlet.ServletException",
        ),
        (
            "ReferenceError: myArray is not defined\n  at next (/app/node_modules/express/lib/router/index.js:256:14)\n  at /app/node_modules/express/lib/router/index.js:615:15",
            "ReferenceError",
        ),
        (
            "Error\n    at bls (<anonymous>:3:9)\n    at <anonymous>:6:4\n    at a_function_name\n    at Object.InjectedScript._evaluateOn (http://a/b.js:1:1)",
            "Error",
        ),
        (
            "panic: my panic\n\ngoroutine 4 [running]:\npanic(0x45cb40, 0x47ad70)\n\t/usr/local/go/src/runtime/panic.go:542 +0x46c fp=0xc42003f7b8 sp=0xc42003f710 pc=0x422f7c\nmain.main.func1(0xc420024120)\n\tfoo.go:6 +0x39",
            "panic",
        ),
        (
            "2019/01/15 07:48:05 http: panic serving [::1]:54143: test panic\ngoroutine 24 [running]:\nnet/http.(*conn).serve.func1(0xc00007eaa0)\n\t/usr/local/go/src/net/http/server.go:1746 +0xd0",
            "panic",
        ),
        (
            "System.Collections.Generic.KeyNotFoundException: The given key was not present in the dictionary.\n  at System.Collections.Generic.Dictionary`2[System.String,System.Collections.Generic.Dictionary`2[System.Int32,System.Double]].get_Item (System.String key) [0x00000] in <filename unknown>:0\n  at File3.Consolidator_Class.Function5 (System.Collections.Generic.Dictionary`2 names) [0x00007] in /usr/local/google/home/Csharp/another file.csharp:9",
            "System.Collections.Generic.KeyNotFoundException",
        ),
        (
            "System.InvalidOperationException: This is an exception\n   at ExampleApp2.AsyncExceptionExample.LowestLevelMethod() in c:/ExampleApp/ExampleApp/ExampleApp.cs:line 36\n   at ExampleApp2.AsyncExceptionExample.<ThirdLevelMethod>d__5.MoveNext() in c:/x.cs:line 31\n--- End of stack trace from previous location where exception was thrown ---\n   at System.Runtime.CompilerServices.TaskAwaiter.ThrowForNonSuccess(Task task)",
            "System.InvalidOperationException",
        ),
        (
            "ActionController::RoutingError (No route matches [GET] \"/settings\"):\n  actionpack (5.1.4) lib/action_dispatch/middleware/debug_exceptions.rb:63:in `call'\n  web-console (3.5.1) lib/web_console/middleware.rb:135:in `call_app'",
            "ActionController::RoutingError",
        ),
        (
            "Unhandled exception:\nInstance of 'MyError'\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "MyError",
        ),
        (
            "Unhandled exception:\nException: exception message\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "Exception",
        ),
        (
            "Unhandled exception:\nIntegerDivisionByZeroException\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "IntegerDivisionByZeroException",
        ),
        (
            "Unhandled exception:\nNoSuchMethodError: The method 'invalidMethod' was called on null.\nReceiver: null\nTried calling: invalidMethod()\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "NoSuchMethodError",
        ),
        (
            "Unhandled exception:\nRangeError (index): Invalid value: Not in range 0..9, inclusive: 10\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "RangeError",
        ),
        (
            "Unhandled exception:\nUnimplementedError: unimplemented error\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "UnimplementedError",
        ),
        (
            "Unhandled exception:\nUnsupported operation: unsupported operation\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "Unsupported operation",
        ),
        (
            "Unhandled exception:\nStack Overflow\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
            "Stack Overflow",
        ),
        (
            "[ERROR:flutter/lib/ui/ui_dart_state.cc(157)] Unhandled Exception: FormatException: bad\n#0      main (package:app/main.dart:3:5)",
            "FormatException",
        ),
        (
            "Exception in thread \"main\" java.lang.StackOverflowError\n\tat Main.f(Main.java:1)",
            "java.lang.StackOverflowError",
        ),
        (
            "Exception in thread \"main\" kotlin.KotlinNullPointerException\n\tat app.MainKt.main(Main.kt:3)\n\tat app.MainKt.main(Main.kt)",
            "kotlin.KotlinNullPointerException",
        ),
        (
            "scala.MatchError: 5 (of class java.lang.Integer)\n\tat a.B$.main(B.scala:3)",
            "scala.MatchError",
        ),
        (
            "Exception in thread \"main\" clojure.lang.ExceptionInfo: no {:a 1}\n\tat user$eval1.invoke(NO_SOURCE_FILE:1)",
            "clojure.lang.ExceptionInfo",
        ),
        (
            "E/AndroidRuntime(1234): FATAL EXCEPTION: main\nE/AndroidRuntime(1234): Process: com.a, PID: 1\njava.lang.NullPointerException: x\n\tat a.B.c(B.java:1)",
            "java.lang.NullPointerException",
        ),
        (
            "2026-01-02 03:04:05.678 ERROR 1 --- [main] o.s.boot.SpringApplication : Application run failed\n\norg.springframework.beans.factory.BeanCreationException: Error creating bean with name 'x': nested exception is java.lang.IllegalStateException: y\n\tat org.springframework.X.y(X.java:1)\nCaused by: java.lang.IllegalStateException: y\n\tat a.B.c(B.java:1)",
            "org.springframework.beans.factory.BeanCreationException",
        ),
        (
            "ERROR [2026-01-02 03:04:05,678] io.dropwizard.X: Error handling a request: 5a\n! java.lang.NullPointerException: null\n! at a.B.c(B.java:1)",
            "java.lang.NullPointerException",
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    import x\nModuleNotFoundError: No module named 'x'",
            "ModuleNotFoundError",
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\nmypkg.errors.PaymentDeclined",
            "mypkg.errors.PaymentDeclined",
        ),
        (
            "  File \"a.py\", line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax",
            "SyntaxError",
        ),
        (
            "ERROR:root:it failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n    g()\nValueError: line1\nline2\nline3",
            "ValueError",
        ),
        (
            "Exception in thread Thread-1 (run):\nTraceback (most recent call last):\n  File \"/usr/lib/python3.11/threading.py\", line 1045, in _bootstrap_inner\n    self.run()\n  File \"a.py\", line 3, in run\n    1/0\nZeroDivisionError: division by zero",
            "ZeroDivisionError",
        ),
        (
            "Unhandled exception. System.DivideByZeroException: Attempted to divide by zero.\n   at Program.<Main>$(String[] args) in /srv/Program.cs:line 3",
            "System.DivideByZeroException",
        ),
        (
            "Unhandled Exception: System.ArgumentNullException: Value cannot be null. (Parameter 'x')\n   at Program.Main()",
            "System.ArgumentNullException",
        ),
        (
            "fail: Microsoft.AspNetCore.Server.Kestrel[13]\n      Connection id \"0HM\", Request id \"0HM:1\": An unhandled exception was thrown by the application.\n      System.InvalidOperationException: x\n         at A.B.C() in /a.cs:line 3",
            "System.InvalidOperationException",
        ),
        (
            "uncaughtException TypeError: Cannot read properties of undefined (reading 'id')\n    at charge (/srv/pay.js:3:5)",
            "TypeError",
        ),
        (
            "/srv/app.js:3\n  throw new TypeError('x')\n  ^\n\nTypeError: x\n    at Object.<anonymous> (/srv/app.js:3:9)\n    at node:internal/main:1:1\n\nNode.js v20.1.0",
            "TypeError",
        ),
        (
            "(node:123) UnhandledPromiseRejectionWarning: Error: no\n    at f (/a.js:1:2)",
            "Error",
        ),
        (
            "Error [ERR_HTTP_HEADERS_SENT]: Cannot set headers after they are sent to the client\n    at new NodeError (node:internal/errors:405:5)\n    at f (/a.js:1:2)",
            "Error",
        ),
        (
            "AxiosError: Request failed with status code 500\n    at settle (file:///srv/node_modules/axios/lib/core/settle.js:19:12)",
            "AxiosError",
        ),
        (
            "PaymentDeclined: no funds\n    at charge (/srv/pay.ts:3:5)",
            "PaymentDeclined",
        ),
        (
            "TypeError: undefined is not an object (evaluating 'a.b')\nf@https://h/a.js:1:2\nglobal code@https://h/a.js:9:1",
            "TypeError",
        ),
        (
            "foo.rb:3:in `charge': no funds (Pay::Declined)",
            "Pay::Declined",
        ),
        (
            "foo.rb:3:in 'Integer#/': divided by 0 (ZeroDivisionError)\n\tfrom foo.rb:3:in '<main>'",
            "ZeroDivisionError",
        ),
        (
            "Traceback (most recent call last):\n\t2: from a.rb:9:in `<main>'\n\t1: from a.rb:5:in `f'\na.rb:2:in `g': no (RuntimeError)",
            "RuntimeError",
        ),
        (
            "F, [2026-01-02T03:04:05.678 #1] FATAL -- : \nNoMethodError (undefined method 'x' for nil):\n\napp/models/a.rb:3:in 'f'",
            "NoMethodError",
        ),
        (
            "NameError: undefined local variable or method `x' for main:Object\n\tfrom (irb):1\n\tfrom /usr/bin/irb:11:in `<main>'",
            "NameError",
        ),
        (
            "2026-01-02T03:04:05.678Z 1 TID-abc WARN: RuntimeError: no\n2026 WARN: app/a.rb:3:in `f'",
            "RuntimeError",
        ),
        (
            "PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] [2002] Connection refused in /srv/db.php:3\nStack trace:\n#0 /srv/db.php(3): PDO->__construct()\n#1 {main}\n  thrown in /srv/db.php on line 3",
            "PDOException",
        ),
        (
            "[2026-01-02 03:04:05] production.ERROR: Declined {\"exception\":\"[object] (App\\\\Exceptions\\\\Declined(code: 0): Declined at /srv/Pay.php:3)\n[stacktrace]\n#0 /srv/a.php(3): f()\n#1 {main}\n\"}",
            "App\\\\Exceptions\\\\Declined",
        ),
        (
            "[02-Jan-2026 03:04:05 UTC] PHP Fatal error:  Uncaught Exception: x in /a.php:1\nStack trace:\n#0 {main}\n  thrown in /a.php on line 1",
            "Exception",
        ),
        (
            "thread 'tokio-runtime-worker' panicked at 'called `Result::unwrap()` on an `Err` value: ParseIntError { kind: InvalidDigit }', src/main.rs:3:9\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "panic",
        ),
        (
            "thread 'main' panicked at src/main.rs:3:9:\nboom\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
            "panic",
        ),
        (
            "\nthread 'main' panicked at src/main.rs:3:9:\nboom",
            "panic",
        ),
        ("thread '<unnamed>' panicked at src/a.rs:1:1:\nx", "panic"),
        (
            "panic: assignment to entry in nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1\nexit status 2",
            "panic",
        ),
        (
            "panic: main.MyErr{Code:3} [recovered]\n\tpanic: main.MyErr{Code:3}\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1",
            "panic",
        ),
        (
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/a.go:3 +0x1",
            "fatal error",
        ),
        (
            "SIGSEGV: segmentation violation\nPC=0x45cb40 m=0 sigcode=1\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1",
            "SIGSEGV",
        ),
        (
            "** (ArithmeticError) bad argument in arithmetic expression\n    a.exs:1: (file)",
            "ArithmeticError",
        ),
        (
            "** (FunctionClauseError) no function clause matching in Pay.charge/1    \n    \n    The following arguments were given to Pay.charge/1:\n    \n        # 1\n        :x\n    \n    a.exs:2: Pay.charge/1",
            "FunctionClauseError",
        ),
        (
            "03:04:05.678 [error] GenServer Pay terminating\n** (RuntimeError) oops\n    (shop 0.1.0) lib/pay.ex:5: Pay.handle_call/3\nLast message: :go",
            "RuntimeError",
        ),
        (
            "** (EXIT from #PID<0.98.0>) an exception was raised:\n    ** (ArgumentError) x\n        a.exs:3: A.f/0",
            "ArgumentError",
        ),
        (
            "terminate called after throwing an instance of 'std::out_of_range'\n  what():  vector::_M_range_check: __n (which is 9) >= this->size() (which is 3)",
            "std::out_of_range",
        ),
        (
            "terminate called after throwing an instance of 'int'",
            "int",
        ),
        ("terminate called without an active exception", "terminate"),
        (
            "libc++abi: terminating due to uncaught exception of type std::runtime_error: no",
            "std::runtime_error",
        ),
        (
            "libc++abi.dylib: terminating with uncaught exception of type NSException",
            "NSException",
        ),
    ] {
        let found = exception::find(text).unwrap_or_else(|| panic!("nothing found in {text}"));
        assert_eq!(found.type_name(text), type_name, "{text}");
    }
}

#[test]
fn what_only_speaks_of_exceptions_reports_none() {
    for text in [
        "V8 errors stack trace\n  eval at Foo.a (eval at Bar.z (myscript.js:10:3))\n  at new Contructor.Name (native)\n  at new FunctionName (unknown location)\n  at Type.functionName [as methodName] (file(copy).js:10:5)",
        "Unhandled exception:\n'file:///p/d.dart': malformed type: line 7 pos 3: type 'NoType' is not loaded\n\n\n#0      main.<anonymous closure> (file:///path/to/code/dartFile.dart:18:20)\n#1      printError (file:///path/to/code/dartFile.dart:42:13)",
        "PHP Warning:  Undefined variable $x in /a.php on line 1",
        "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /a.php on line 3",
        "** (throw) :x\n    a.exs:1: (file)",
        "ErrorBoundary mounted",
        "Loading ErrorHandler",
        "java.lang.String is a class",
        "Exception handling enabled",
        "no Errors: 0",
        "{\"level\":\"info\",\"msg\":\"ErrorRate: 0.1\"}",
        "Registered exception handler for FooException",
        "INFO o.a.Foo: ErrorCount: 3",
        "Set-Cookie: Error=1",
        "GET /errors/NotFoundException: 200",
        "status=ErrorState: 5",
        "INFO com.a.ExceptionMapper: mapped",
        "goroutine count 7",
        "panic mode: off",
        "Traceback disabled",
        "Uncaught fish: 3",
        "Uncaught traffic: slow",
        "[INFO] c.a.MyError - started",
        "2026-01-02 INFO CircuitBreaker NetworkError: CLOSED",
        "HTTP Error 404: Not Found",
        "Error: 5 files could not be read",
        "errors: [ValidationError]",
        "at the end of day\n  at home (all day)",
        "Unhandled exception: none today",
        "called ** (twice)",
        "the thread 'main' was started",
        "fatal error: repository not found",
        "fatal error: foo.h: No such file or directory\ncompilation terminated.",
        "stack traceback: empty",
        "DEBUG FooError: constructor called",
        "class MyError: pass",
        "import FooError: done",
        "WARN  Error: retrying",
        "Kernel panic - not syncing: VFS",
        "metric PanicCounter: 3",
        "Loaded com.acme.errors.DeclinedException: 3 handlers",
        "config.onError: restart",
        "2026-01-02 INFO  [main] a.b.c.FooErrorHandler: up",
        "throws IOException: never",
    ] {
        none(text);
    }
}

#[test]
fn characters_of_several_bytes_stand_anywhere_in_a_report() {
    for space in ["\u{3000}", "\u{a0}", "\u{2028}", "é"] {
        for text in [
            format!(
                "libc++abi: terminating due to uncaught exception of type std::bad_alloc{space}"
            ),
            format!("libc++abi: terminating due to uncaught exception of type {space}"),
            format!("Unhandled exception:\nBad{space}.{space}\n#0 main (a.dart:1:2)"),
            format!("Uncaught exception '{space}' with message '{space}' in {space}"),
            format!("thread 'main' panicked at '{space}"),
            format!("terminate called after throwing an instance of '{space}'\n what(): {space}"),
        ] {
            if let Some(found) = exception::find(&text) {
                found.to_exception(&text);
            }
            exception::parameterise(&text);
        }
    }
    check(
        "libc++abi: terminating due to uncaught exception of type std::bad_alloc\u{3000}",
        "std::bad_alloc",
        "",
    );
    // As long as a trace parent, but with characters of several bytes where its parts end.
    for start in 0..52 {
        let text = format!(
            "00-{}é{}",
            "a".repeat(start),
            "a".repeat(50 - start.min(50))
        );
        assert!(exception::parameterise(&text).len() > 2);
    }
}
