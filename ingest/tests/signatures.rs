//! Frames, root causes and signatures: what they are, what does not change them, what does.

use hushlog_ingest::exception::{self, Basis, frames, parameterise, root_cause, signature};
use hushlog_record::Exception;
use proptest::prelude::*;

fn exception_of(text: &str) -> Exception {
    let found = exception::find(text).unwrap_or_else(|| panic!("nothing found in {text}"));
    found.to_exception(text)
}

/// The frames as `module.function`, those that are not the application's in brackets.
fn shown(stack: &str) -> Vec<String> {
    frames(stack)
        .iter()
        .map(|frame| match frame.in_app {
            true => format!("{}.{}", frame.module, frame.function),
            false => format!("({}.{})", frame.module, frame.function),
        })
        .collect()
}

#[test]
fn frames_of_every_language_are_read() {
    for (stack, expected) in [
        (
            "c.f.E: x\n\tat c.f.Pay.charge(Pay.java:12)\n\tat c.f.Pay$$Lambda$14/0x0000000800c8.run(Unknown Source)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: a.B: y\n\tat not.This.one(X.java:1)",
            &["c.f.Pay.charge", "(java.lang.Thread.run)"][..],
        ),
        (
            "E: x\n\tat app//c.f.Kt.lambda$run$3(Kt.kt:1)\n\tat jdk.internal.reflect.GeneratedMethodAccessor123.invoke(Unknown Source)\n\tat c.f.A$$EnhancerBySpringCGLIB$$ab12cd34.go(<generated>)\n\tat c.f.B$$EnhancerBySpringCGLIB$$cafe.go(<generated>)\n\tat com.sun.proxy.$Proxy12.f(Unknown Source)",
            &[
                "c.f.Kt.<lambda>",
                "(jdk.internal.reflect.GeneratedMethodAccessor<auto>.invoke)",
                "c.f.A$$EnhancerBySpringCGLIB$$<auto>.go",
                "c.f.B$$EnhancerBySpringCGLIB$$<auto>.go",
                "(com.sun.proxy.$Proxy<auto>.f)",
            ],
        ),
        (
            "System.E: x\n   at Shop.Pay.<Run>b__0_1(String a, Int32 b) in C:\\src\\Pay.cs:line 33\n   at Shop.Pay.<DoAsync>d__5.MoveNext()\n   at Shop.Pay..ctor()\n   at System.Threading.Tasks.Task.Execute()",
            &[
                "Shop.Pay.<Run>b__<auto>_<auto>",
                "Shop.Pay.<DoAsync>d__<auto>.MoveNext",
                "Shop.Pay.ctor",
                "(System.Threading.Tasks.Task.Execute)",
            ],
        ),
        (
            "E: x\n    at charge (/srv/app/pay.js:1:2)\n    at async Object.run [as go] (https://h.example/static/main.3f9a1c2b.js?v=1:8:9)\n    at new Pay (file:///srv/pay.mjs:3:4)\n    at /srv/app/index.js:5:6\n    at f (/srv/node_modules/x/y.js:7:8)\n    at process.tick (node:internal/process:9:1)\n    at <anonymous>",
            &[
                "pay.js.charge",
                "main.<auto>.js.run",
                "pay.mjs.Pay",
                "index.js.",
                "(y.js.f)",
                "(process.tick)",
            ],
        ),
        (
            "E: x\nfoo@http://h.example/file.js:41:13\n@http://h.example/file.js:1:1",
            &["file.js.foo", "file.js."],
        ),
        (
            "Traceback (most recent call last):\n  File \"/srv/main.py\", line 9, in <module>\n    run()\n  File \"/srv/pay.py\", line 3, in charge\n    x\n  File \"/usr/lib/python3.11/site-packages/q/r.py\", line 1, in get\nKeyError: 1",
            &["(r.get)", "pay.charge", "main.<module>"],
        ),
        (
            "panic: x\n\ngoroutine 1 [running]:\nmain.(*Pay).Charge(0xc000012, {0x1, 0x2})\n\t/srv/pay.go:12 +0x1f\nmain.run.func2.1()\n\t/srv/a.go:1\ngithub.com/a/b%2ev2.F(...)\n\t/go/pkg/mod/github.com/a/b@v1/x.go:1 +0x1\nruntime.main()\n\t/usr/local/go/src/runtime/proc.go:250\ncreated by main.start in goroutine 7\n\t/srv/a.go:3\n\ngoroutine 2 [select]:\nother.F()",
            &[
                "main.(*Pay).Charge",
                "main.run.func<auto>",
                "(github.com/a/b%2ev2.F)",
                "(runtime.main)",
                "main.start",
            ],
        ),
        (
            "app/pay.rb:6:in `charge': no (Pay::Declined)\n\tfrom app/pay.rb:9:in `block (2 levels) in run'\n\tfrom /var/lib/gems/3.0.0/gems/x/y.rb:1:in 'X::Y#go'",
            &["pay.rb.charge", "pay.rb.run", "(y.rb.X::Y#go)"],
        ),
        (
            "PHP Fatal error:  Uncaught E: x in /srv/a.php:1\nStack trace:\n#0 /srv/app/Pay.php(5): App\\Pay->charge(Object(Order), '7')\n#1 /srv/vendor/x/y.php(3): X\\Y::go()\n#2 [internal function]: App\\{closure:/srv/a.php:3}()\n#3 {main}",
            &["App\\Pay.charge", "(X\\Y.go)", "(App.{closure})"],
        ),
        (
            "thread 'main' panicked at src/main.rs:3:9:\nno\nstack backtrace:\n   0: core::panicking::panic_fmt\n             at /rustc/59807616e/library/core/src/panicking.rs:80:14\n   1: shop::pay::charge::h0123456789abcdef\n             at ./src/pay.rs:3:120\n   2: shop::main::{{closure}}\n   3: <alloc::vec::Vec<T,A> as core::ops::index::Index<I>>::index\n   4: <shop::Pay as shop::Charge>::go",
            &[
                "(core::panicking.panic_fmt)",
                "shop::pay.charge",
                "shop::main.{{closure}}",
                "(<alloc::vec::Vec<T,A> as core::ops::index::Index<I>>.index)",
                "<shop::Pay as shop::Charge>.go",
            ],
        ),
        (
            "#0  0x00007ffff7a in std::vector<int>::at (this=0x7f) at /usr/include/v.h:3\n#1  0x0000555 in charge (order=7) at pay.cc:12\n#2  main () at main.cc:3",
            &["(std::vector<int>.at)", ".charge", ".main"],
        ),
        (
            "Unhandled exception:\nE: x\n#0      main.<anonymous closure> (file:///srv/pay.dart:1:2)\n#1      _startIsolate.<anonymous closure> (dart:isolate-patch/isolate_patch.dart:265)",
            &[
                "pay.main.<anonymous closure>",
                "(isolate_patch._startIsolate.<anonymous closure>)",
            ],
        ),
        (
            "** (E) x\n    (shop 0.1.0) lib/pay.ex:5: Shop.Pay.charge/1\n    (elixir 1.14.0) lib/code.ex:1245: Code.require_file/2",
            &["Shop.Pay.charge/<auto>", "(Code.require_file/<auto>)"],
        ),
        (
            "no at pay.pl line 3.\n\tmain::charge(7) called at pay.pl line 12\n\tLWP::get('a') called at /usr/share/perl5/LWP.pm line 3",
            &["main.charge", "(LWP.get)"],
        ),
        (
            "lua: a.lua:1: no\nstack traceback:\n\ta.lua:1: in upvalue 'f'\n\ta.lua:9: in main chunk\n\t[C]: in ?",
            &["a.lua.f", "a.lua.main chunk", "([c].)"],
        ),
        ("nothing here\n looks: like a frame (at all)", &[]),
    ] {
        assert_eq!(shown(stack), expected, "{stack}");
    }
}

#[test]
fn a_recursion_is_one_frame_and_a_trace_has_no_more_than_the_limit() {
    let recursive = format!(
        "E: x\n{}\tat a.B.d(B.java:2)",
        "\tat a.B.c(B.java:1)\n".repeat(1_000)
    );
    assert_eq!(shown(&recursive), ["a.B.c", "a.B.d"]);
    let deep: String = (0..1_000u16)
        .map(|i| {
            format!(
                "\tat a.B{}.c(B.java:1)\n",
                (b'a' + (i % 26).to_le_bytes()[0]) as char
            )
        })
        .collect();
    assert_eq!(frames(&deep).len(), hushlog_ingest::limits::FRAMES_MAX);
}

#[test]
fn the_root_cause_is_found_in_every_order() {
    for (text, expected) in [
        (
            "a.E1: x\n\tat a.B.c(B.java:1)\nCaused by: a.E2: y\n\t... 1 more\nCaused by: a.E3\n\t... 2 more",
            Some("a.E3"),
        ),
        (
            "a.E1: x\n\tat a.B.c(B.java:1)\n\tSuppressed: a.E2: y\n\t\tat a.B.c(B.java:1)\n\tCaused by: a.E3: z",
            None,
        ),
        (
            "System.AException: x ---> System.BException: y ---> System.CException: z\n   at A.B()",
            Some("System.CException"),
        ),
        (
            "System.AException: x\n ---> System.BException: y\n   at A.B()\n   --- End of inner exception stack trace ---\n   at A.C()",
            Some("System.BException"),
        ),
        (
            "System.AggregateException: x\n ---> (Inner Exception #0) System.BException: y\n   at A.B()",
            Some("System.BException"),
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 2\nValueError: 2",
            Some("KeyError"),
        ),
        (
            "Traceback (most recent call last):\n  File \"a.py\", line 1\nKeyError: 1",
            None,
        ),
        (
            "PHP Fatal error:  Uncaught A\\B: a in /x.php:1\nStack trace:\n#0 {main}\n\nNext C\\D: b in /x.php:2\nStack trace:\n#0 {main}",
            Some("A\\B"),
        ),
        (
            "Error: x\n    at f (a.js:1:2) {\n  [cause]: TypeError: y\n      at g (a.js:3:4)\n}",
            Some("TypeError"),
        ),
        (
            "a.rb:6:in `f': outer (RuntimeError)\n\tfrom a.rb:9:in `<main>'\na.rb:3:in `g': inner (KeyError)\n\tfrom a.rb:6:in `f'",
            Some("KeyError"),
        ),
        (
            "panic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1",
            None,
        ),
    ] {
        let found = exception::find(text).expect("it reports one");
        assert_eq!(root_cause(text, &found), expected, "{text}");
    }
}

#[test]
fn parameters_of_messages_are_replaced() {
    for (message, expected) in [
        ("user 7 not found", "user <int> not found"),
        (
            "no row for ann@example.com, id=42.",
            "no row for <email>, id=<int>.",
        ),
        (
            "GET https://h.example/a?b=1 failed: 503",
            "GET <url> failed: <int>",
        ),
        (
            "connect to 10.0.0.1:5432 refused",
            "connect to <ip> refused",
        ),
        (
            "from host/10.0.0.1:9000 to=a@b.example",
            "from host/<ip> to=<email>",
        ),
        ("connect to fe80::1 refused", "connect to <ip> refused"),
        ("db-3.prod.internal:5432 is down", "<hostname> is down"),
        (
            "job 3f2504e0-4f89-11d3-9a0c-0305e82c3301 died",
            "job <uuid> died",
        ),
        (
            "at 2026-01-02T03:04:05.678Z after 1.5s (30ms, 2h)",
            "at <date> after <duration> (<duration>, <duration>)",
        ),
        (
            "at address 0x7fd34f, rev 3f9a1c2",
            "at address <hex>, rev <hex>",
        ),
        (
            "da39a3ee5e6b4b0d3255bfef95601890afd80709 d41d8cd98f00b204e9800998ecf8427e",
            "<sha1> <md5>",
        ),
        (
            "undefined method `foo' for \"bar\" and 'baz'",
            "undefined method <quoted_str> for <quoted_str> and <quoted_str>",
        ),
        ("can't find Ann's book", "can't find Ann's book"),
        (
            "ratio -0.5 of +3, ok=true",
            "ratio <float> of <int>, ok=<bool>",
        ),
        (
            "attempt_1445144423722_0020_m_000002_0 failed",
            "attempt_<int>_<int>_m_<int>_<int> failed",
        ),
        (
            "java.net.ConnectException: x",
            "java.net.ConnectException: x",
        ),
        (
            "index out of bounds: the len is 3 but the index is 9",
            "index out of bounds: the len is <int> but the index is <int>",
        ),
        ("first line\nsecond 5", "first line"),
        ("unterminated 'quote", "unterminated 'quote"),
        ("facade of decades", "facade of decades"),
        ("", ""),
    ] {
        assert_eq!(parameterise(message), expected);
        assert_eq!(parameterise(&parameterise(message)), expected);
    }
}

#[test]
fn the_basis_is_the_best_that_there_is() {
    let of = |text: &str| signature(&exception_of(text));
    let app = of("a.E: x\n\tat java.util.List.get(List.java:1)\n\tat a.B.c(B.java:1)");
    assert_eq!(
        (app.basis, app.parts.join(" ").as_str()),
        (Basis::App, "a.E a.B.c")
    );
    let system = of("a.E: x\n\tat java.util.List.get(List.java:1)");
    assert_eq!(
        (system.basis, system.parts.join(" ").as_str()),
        (Basis::System, "a.E java.util.List.get")
    );
    let message = of("ERROR a.b.FooException: user 7");
    assert_eq!(
        (message.basis, message.parts.join(" ").as_str()),
        (Basis::Message, "a.b.FooException user <int>")
    );
    // Stored; they must never change.
    assert_eq!(
        [app, system, message].map(|s| s.to_string()),
        ["f056a91b5326d9d1", "74e9d165373fc717", "ba5b2e3335cd4d91"]
    );
}

#[test]
fn other_faults_have_other_signatures() {
    let base = exception_of("a.E: x\n\tat a.B.c(B.java:1)\n\tat a.B.main(B.java:1)");
    for other in [
        "a.F: x\n\tat a.B.c(B.java:1)\n\tat a.B.main(B.java:1)",
        "a.E: x\n\tat a.B.d(B.java:1)\n\tat a.B.main(B.java:1)",
        "a.E: x\n\tat a.C.c(B.java:1)\n\tat a.B.main(B.java:1)",
        "a.E: x\n\tat a.B.c(B.java:1)",
    ] {
        assert_ne!(
            signature(&base).hash,
            signature(&exception_of(other)).hash,
            "{other}"
        );
    }
}

/// A trace in a language of its own, with numbers where builds and runs differ.
fn trace(kind: usize, n: u32, m: u32, hash: u64) -> String {
    match kind {
        0 => format!(
            "2026-01-02 ERROR x\nc.f.DeclinedException: order {n} of 0x{hash:08x}\n\tat c.f.Pay.charge(Pay.java:{n})\n\tat c.f.Pay.lambda$run${m}(Pay.java:{m})\n\
             \tat c.f.Pay$$Lambda${n}/0x{hash:016x}.run(Unknown Source)\n\tat jdk.internal.reflect.GeneratedMethodAccessor{m}.invoke(Unknown Source)\n\
             \tat c.f.Pay$$EnhancerBySpringCGLIB$${:08x}.go(<generated>)\n\tat java.base/java.lang.Thread.run(Thread.java:{n})",
            hash & 0xffff_ffff | 0x1000_0000
        ),
        1 => format!(
            "panic: no order {n}\n\ngoroutine {m} [running]:\nmain.(*Pay).Charge(0x{hash:x}, 0x{n:x})\n\t/srv/pay.go:{n} +0x{m:x}\nmain.run.func{m}()\n\t/srv/pay.go:{m} +0x1f\n\
             created by main.main in goroutine {n}\n\t/srv/pay.go:{m} +0x91"
        ),
        2 => format!(
            "thread 'w-{n}' ({m}) panicked at src/pay.rs:{n}:{m}:\nno {n}\nstack backtrace:\n   0: core::panicking::panic_fmt\n             at /rustc/{hash:016x}/x.rs:{n}:1\n\
             \x20  1: shop::pay::charge::h{hash:016x}\n             at ./src/pay.rs:{n}:{m}"
        ),
        3 => format!(
            "Traceback (most recent call last):\n  File \"/srv/main.py\", line {n}, in <module>\n    run({n})\n  File \"/srv/pay.py\", line {m}, in <lambda>\nKeyError: {n}"
        ),
        4 => format!(
            "TypeError: order {n}\n    at charge (/srv/pay.js:{n}:{m})\n    at https://h.example/main.{:08x}.js?v={m}:{n}:{m}",
            hash & 0xffff_ffff | 0x1000_0000
        ),
        5 => format!(
            "Shop.DeclinedException: {n}\n   at Shop.Pay.<Run>b__{n}_{m}(Int32 a) in C:\\a.cs:line {n}\n   at Shop.Pay.<Go>d__{m}.MoveNext()"
        ),
        6 => format!(
            "ERROR c.f.DeclinedException: order {n} of user-{m} at 10.0.0.{} took {m}ms, rev {:016x}, '{n}'",
            n % 256,
            // One without a letter is a number to every reader.
            hash | 0xa << 60
        ),
        7 => format!(
            "app/pay.rb:{n}:in `charge': no {m} (Pay::Declined)\n\tfrom app/pay.rb:{m}:in `block ({} levels) in run'",
            n % 9 + 2
        ),
        8 => format!(
            "PHP Fatal error:  Uncaught Declined: {n} in /srv/a.php:{m}\nStack trace:\n#0 /srv/Pay.php({n}): App\\Pay->charge({m}, '{hash:x}')\n#1 {{main}}\n  thrown in /srv/a.php on line {n}"
        ),
        _ => format!(
            "** (Pay.Declined) order {n}\n    (shop 0.{m}.0) lib/pay.ex:{n}: Shop.Pay.charge/1"
        ),
    }
}

proptest! {
    #[test]
    fn numbers_addresses_and_lambdas_do_not_change_a_signature(
        kind in 0usize..10, a in (1u32..100_000, 1u32..100_000, 1u64 << 60..u64::MAX), b in (1u32..100_000, 1u32..100_000, 1u64 << 60..u64::MAX)
    ) {
        let one = signature(&exception_of(&trace(kind, a.0, a.1, a.2)));
        let two = signature(&exception_of(&trace(kind, b.0, b.1, b.2)));
        prop_assert_eq!(&one.parts, &two.parts);
        prop_assert_eq!(one.hash, two.hash);
    }

    #[test]
    fn any_text_has_a_signature(text in "\\PC{0,200}", stack in "(\\PC{0,30}\n?){0,12}") {
        let exception = Exception { type_name: text.clone(), message: text, stack_trace: stack, signature: 0 };
        prop_assert_eq!(signature(&exception), signature(&exception));
    }

    #[test]
    fn pieces_of_frames_never_panic(pieces in prop::collection::vec(prop_oneof![
        Just("at "), Just("\tat "), Just("("), Just(")"), Just(" ("), Just(":1:2"), Just(".java:1"), Just("#0 "), Just("1: "), Just("0# "), Just("\n"), Just("'"), Just(":in '"),
        Just("File \""), Just("\", line 1"), Just(", in f"), Just("Traceback (most recent call last):\n"), Just("goroutine 1 [x]:\n"), Just("a.B"), Just("::h0123456789abcdef"),
        Just("@http://"), Just(" called at "), Just(" line "), Just(": in "), Just(".lua"), Just(".ex"), Just("[internal function]"), Just("->"), Just("é"), Just("$$Lambda$1/0x1"),
        Just("lambda$"), Just("["), Just("<auto>."), Just("func1.2"), Just("0x"), Just(" in "), Just(".dart"), Just("{closure"), Just("created by "), Just("async "), Just(" [as "),
    ], 0..24)) {
        let text = pieces.concat();
        frames(&text);
        parameterise(&text);
        let exception = Exception { type_name: "E".into(), message: text.clone(), stack_trace: text, signature: 0 };
        signature(&exception);
    }
}
